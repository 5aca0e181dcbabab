"""Sets of frames: parts and budgets of labels are drawn, and labels are checked against each other."""
