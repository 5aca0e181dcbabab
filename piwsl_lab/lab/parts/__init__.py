"""Small parts that all rooms of the lab share: words, units, colours, knobs, and how widgets are closed."""
