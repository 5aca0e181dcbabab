"""Damaged files, made the same way every time, and a worker that opens each as a person would."""
