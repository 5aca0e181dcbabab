"""What a person sees and turns: the dashboard, *Fly*, the explorer of a study."""
