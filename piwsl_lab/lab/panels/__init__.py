"""Small panels of the course: at most three knobs, a plot, a molecule, one line of numbers."""
