"""One configuration of atoms and the checks it must pass before anything else sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from ase import Atoms

from piwsl_lab.data.geometry import shortest_pair

SHORTEST_DISTANCE = 0.1  # Å; nothing physical is closer, a copied line in a file is


class DataError(ValueError):
    """Data that cannot be used. The message names the frame, key or file and what to do about it."""


class DataWarning(UserWarning):
    """Data that can be used and may still be wrong. The message says what was seen, with numbers."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One configuration of atoms with the labels that are known for it.

    Parameters
    ----------
    numbers : (N,) int
        Atomic numbers.
    positions : (N, 3) float
        Å.
    cell : (3, 3) float
        Cell vectors as rows, Å; zeros for none.
    pbc : (3,) bool
        Which cell vectors repeat; a single bool stands for all three.
    energy : float, optional
        Total energy, eV.
    forces : (N, 3) float, optional
        eV/Å.
    info : mapping
        What else is known, numbers and strings only, e.g. ``{"temperature": 500.0}``. ``charge`` (e) and
        ``multiplicity`` (2S + 1) have a meaning here: an `Oracle` labels that electronic state.
    masses : (N,) float, optional
        u; None for the standard atomic weights.
    fixed : (N, 3) bool, optional
        Coordinates that a constraint holds while atoms move; (N,) for whole atoms. Forces stay as labelled.

    Raises
    ------
    DataError
        For wrong shapes, numbers that are not finite, and two atoms on one spot.
    """

    numbers: np.ndarray
    positions: np.ndarray
    cell: np.ndarray = field(default_factory=lambda: np.zeros((3, 3)))
    pbc: np.ndarray | bool = False
    energy: float | None = None
    forces: np.ndarray | None = None
    info: Mapping[str, float | str] = field(default_factory=dict)
    masses: np.ndarray | None = None
    fixed: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = np.size(self.numbers)
        if n == 0:
            raise DataError("no atoms; remove the frame")
        arrays = {
            "numbers": _array("numbers", self.numbers, (n,), np.int64),
            "positions": _array("positions", self.positions, (n, 3), np.float64),
            "cell": _array("cell", self.cell, (3, 3), np.float64),
            "pbc": _array("pbc", [self.pbc] * 3 if np.ndim(self.pbc) == 0 else self.pbc, (3,), bool),
        }
        if self.forces is not None:
            arrays["forces"] = _array("forces", self.forces, (n, 3), np.float64)
        if self.masses is not None:
            arrays["masses"] = _array("masses", self.masses, (n,), np.float64)
            if arrays["masses"].min() <= 0:
                raise DataError("masses must be above 0 u; correct the frame, or leave them out")
        if self.fixed is not None:
            whole = np.ndim(self.fixed) == 1
            arrays["fixed"] = _array("fixed", np.tile(np.c_[self.fixed], 3) if whole else self.fixed, (n, 3), bool)
        for name, array in arrays.items():
            object.__setattr__(self, name, array)
        if self.energy is not None:
            object.__setattr__(self, "energy", _energy(self.energy))
        object.__setattr__(self, "info", MappingProxyType(dict(self.info)))
        self._check_geometry()

    def _check_geometry(self) -> None:
        if self.numbers.min() < 1 or self.numbers.max() > 118:
            raise DataError(f"numbers holds {self.numbers.min()}..{self.numbers.max()}; atomic numbers are 1 to 118")
        missing = self.pbc & ~self.cell.any(axis=1)
        if missing.any():
            raise DataError("pbc is set along a cell vector that is zero; give the cell or set pbc to False")
        distance, i, j = shortest_pair(self.positions, self.cell, self.pbc)
        if distance < SHORTEST_DISTANCE:
            raise DataError(
                f"atoms {i} and {j} are on one spot ({distance:.3f} Å apart); remove the frame or the repeated atom"
            )

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def charge(self) -> float:
        """Total charge, e; 0 where the frame says nothing."""
        return float(self.info.get("charge", 0))

    @property
    def multiplicity(self) -> int | None:
        """Spin multiplicity 2S + 1; None where the frame says nothing."""
        found = self.info.get("multiplicity")
        return None if found is None else int(found)

    def __repr__(self) -> str:
        labels = [name for name in ("energy", "forces") if getattr(self, name) is not None]
        parts = [str(Atoms(self.numbers).symbols), " + ".join(labels) or "no labels"]
        if self.charge:
            parts.append(f"charge {self.charge:+g} e")
        if self.multiplicity not in (None, 1):
            parts.append(f"multiplicity {self.multiplicity}")
        if self.pbc.any():
            parts.append("periodic along " + "".join(name for name, on in zip("abc", self.pbc, strict=True) if on))
        if self.masses is not None:
            parts.append("own masses")
        if self.fixed is not None and self.fixed.any():
            parts.append(f"{int(self.fixed.any(axis=1).sum())} of {len(self)} atoms held")
        return f"Frame({', '.join(parts)})"


def _array(name: str, values: object, shape: tuple[int, ...], dtype: type) -> np.ndarray:
    """Read-only copy of `values`; DataError when the shape is another or a number is not finite."""
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are not numbers ({error}); correct or remove the frame") from error
    if array.shape != shape:
        raise DataError(f"{name} have shape {array.shape}, expected {shape}; correct or remove the frame")
    if not np.isfinite(array).all():
        bad = np.argwhere(~np.isfinite(array))[0]
        raise DataError(f"{name}{bad.tolist()} is {array[tuple(bad)]}; remove the frame or compute it again")
    converted = array.astype(dtype, copy=False)
    if dtype is not np.float64 and (converted != array).any():
        raise DataError(f"{name} must be whole numbers; correct the frame")
    converted.flags.writeable = False
    return converted


def _energy(value: object) -> float:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"energy is {value!r}, not a number; give the total energy of the frame in eV") from error
    if array.size != 1:
        raise DataError(f"energy has shape {array.shape}, expected one number; give the total energy of the frame")
    energy = float(array.reshape(()))
    if not np.isfinite(energy):
        raise DataError(f"energy is {energy}; remove the frame or compute it again")
    return energy
