"""Molecules in 3D; the only place that imports nglview."""
