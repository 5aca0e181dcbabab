"""Molecules in 3D; only this room uses nglview."""
