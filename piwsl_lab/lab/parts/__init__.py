"""Small parts that all rooms of the lab share: words, colours, knobs, and how things are closed."""
