"""Constraints and masses of `ase.Atoms`, as far as a frame can hold them."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled
from ase.data import atomic_masses

SAME_MASS = 1e-3  # relative: tables of atomic weights differ by less, isotopes of light elements by more


def held(atoms: Atoms) -> tuple[np.ndarray | None, list[str]]:
    """Coordinates that the constraints hold, (N, 3) bool or None, and the constraints that are not kept."""
    fixed = np.zeros((len(atoms), 3), dtype=bool)
    refused = []
    for constraint in atoms.constraints:
        mask = _mask(constraint, atoms)
        if mask is None:
            refused.append(f"constraint {type(constraint).__name__}")
        else:
            fixed[constraint.index] |= mask
    return (fixed if fixed.any() else None), refused


def _mask(constraint: object, atoms: Atoms) -> np.ndarray | None:
    """Which of x, y, z a constraint holds, (3,); None where that cannot be said per coordinate."""
    if isinstance(constraint, FixAtoms):
        return np.ones(3, dtype=bool)
    if isinstance(constraint, FixCartesian):
        return np.asarray(constraint.mask, dtype=bool)
    if isinstance(constraint, FixScaled):
        mask = np.asarray(constraint.mask, dtype=bool)
        along_axes = not np.any(atoms.cell.array - np.diag(np.diag(atoms.cell.array)))
        return mask if mask.all() or along_axes else None
    if isinstance(constraint, (FixedPlane, FixedLine)):
        along = np.isclose(np.abs(constraint.dir), 1.0)
        if not along.any():
            return None
        return along if isinstance(constraint, FixedPlane) else ~along
    return None


def own_masses(atoms: Atoms) -> np.ndarray | None:
    """Masses, (N,) u, where they are others than the standard atomic weights."""
    if not atoms.has("masses"):
        return None
    masses = atoms.get_masses()
    standard = atomic_masses[atoms.numbers]
    return None if np.allclose(masses, standard, rtol=SAME_MASS, atol=0.0) else masses
