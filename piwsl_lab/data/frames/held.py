"""Constraints and masses of `ase.Atoms`, as far as a frame can hold them."""

from __future__ import annotations

import re

import numpy as np
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian, FixedLine, FixedPlane, FixScaled
from ase.data import atomic_masses
from numpy.typing import NDArray

from piwsl_lab.data.frames.keys import plain_key

# Columns that say it of themselves: true holds an atom, or true leaves it free. Of others the sense is not known.
HOLDS = ("fixed", "frozen", "isfixed", "isfrozen", "fixedatoms", "frozenatoms")
FREES = ("selectivedynamics", "movable", "mobile", "ismovable", "ismobile")
ABOUT = re.compile(r"^(is)?(fix|froz|freez|constrain|mov(e|able)|mobile|immobile|selective|held)|^mask$")
MASSES = ("mass", "atomicmass", "atomicmasses")
SAME_MASS = 1e-3  # relative: tables of atomic weights differ by less, isotopes of light elements by more


def held_coordinates(atoms: Atoms) -> tuple[np.ndarray | None, list[str]]:
    """Coordinates that the constraints hold, (N, 3) bool or None, and the constraints that are not kept."""
    fixed = np.zeros((len(atoms), 3), dtype=bool)
    refused = []
    for constraint in atoms.constraints:
        mask = _mask(constraint, atoms)
        if mask is None:
            refused.append(f"constraint {type(constraint).__name__}")
        else:
            fixed[constraint.index] |= mask
    for name in [
        name for name in (*atoms.arrays, *atoms.info) if isinstance(name, str) and ABOUT.search(plain_key(name))
    ]:
        column = _column(name, atoms.arrays.get(name), len(atoms))
        if column is None:
            refused.append(name)
        else:
            fixed |= column
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
        along: NDArray[np.bool_] = np.isclose(np.abs(constraint.dir), 1.0)
        if not along.any():
            return None
        return along if isinstance(constraint, FixedPlane) else ~along
    return None


def _column(name: str, value: np.ndarray | None, size: int) -> np.ndarray | None:
    """Coordinates that a column of a file holds, (N, 1) or (N, 3); None where that is not clear."""
    short = plain_key(name)
    if value is None or short not in (*HOLDS, *FREES) or value.shape not in ((size,), (size, 1), (size, 3)):
        return None
    if value.dtype.kind not in "biu" or not np.isin(value, (0, 1)).all():
        return None
    column = value.reshape(size, -1).astype(bool)
    return column if short in HOLDS else ~column


def own_masses(atoms: Atoms) -> np.ndarray | None:
    """Masses, (N,) u, where they are others than the standard atomic weights."""
    if atoms.has("masses"):
        masses = atoms.get_masses()
    else:
        names = [
            name for name, value in atoms.arrays.items() if plain_key(name) in MASSES and value.dtype.kind in "fiu"
        ]
        if not names or atoms.arrays[names[0]].size != len(atoms):
            return None
        masses = atoms.arrays[names[0]].reshape(-1).astype(np.float64)
    standard = atomic_masses[atoms.numbers]
    return None if np.allclose(masses, standard, rtol=SAME_MASS, atol=0.0) else np.asarray(masses, dtype=np.float64)
