"""One configuration of atoms and the checks it must pass before anything else sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, DTypeLike, NDArray

from piwsl_lab.data.frames.geometry import Lattice, closest_pair, crowding, flatness

SHORTEST_DISTANCE = 0.1  # Å; nothing physical is closer, a copied line in a file is
SHORTEST_TRANSLATION = 0.5  # Å; no crystal repeats after less, whatever the pressure
FLATTEST = 1e-6  # of what the cell would hold at right angles; two vectors of a line have about 1e-16
CROWDED = 12.0  # other atoms within 1 Å of an atom, on average; carbon in the core of a planet has fewer than 1
CROWD = 500  # atoms; the pairs of fewer fit into memory even if all stand on one heap
FARTHEST = 1e7  # Å, a millimetre
STRONGEST = 1e7  # eV/Å, and eV per atom; the electrons of an atom of oganesson are worth 1.5e6 eV


class DataError(ValueError):
    """Data that cannot be used. The message names the frame, key or file and what to do about it."""


class DataWarning(UserWarning):
    """Data that can be used and may still be wrong. The message says what was seen, with numbers."""


NO_CELL = np.zeros((3, 3))


@dataclass(frozen=True, eq=False, init=False)
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
        For wrong shapes, numbers that are not finite or beyond what they can mean, cells that are flat or that
        repeat within 0.5 Å, two atoms or images on one spot, and a charge or multiplicity that is none.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float64]
    cell: NDArray[np.float64]
    pbc: NDArray[np.bool_]
    energy: float | None
    forces: NDArray[np.float64] | None
    info: Mapping[str, float | str]
    masses: NDArray[np.float64] | None
    fixed: NDArray[np.bool_] | None

    def __init__(
        self,
        numbers: ArrayLike,
        positions: ArrayLike,
        cell: ArrayLike = NO_CELL,
        pbc: ArrayLike = False,
        energy: float | None = None,
        forces: ArrayLike | None = None,
        info: Mapping[str, float | str] = MappingProxyType({}),
        masses: ArrayLike | None = None,
        fixed: ArrayLike | None = None,
    ) -> None:
        n = np.size(numbers)
        if n == 0:
            raise DataError("no atoms; remove the frame")
        if fixed is not None and np.ndim(fixed) == 1:
            fixed = np.tile(np.c_[fixed], 3)
        self.__dict__.update(
            numbers=_array("numbers", numbers, (n,), np.int64),
            positions=_array("positions", positions, (n, 3), np.float64),
            cell=_array("cell", cell, (3, 3), np.float64),
            pbc=_array("pbc", np.tile(pbc, 3) if np.ndim(pbc) == 0 else pbc, (3,), bool),
            energy=None if energy is None else _energy(energy, n),
            forces=None if forces is None else _array("forces", forces, (n, 3), np.float64),
            info=MappingProxyType(dict(info)),
            masses=None if masses is None else _array("masses", masses, (n,), np.float64),
            fixed=None if fixed is None else _array("fixed", fixed, (n, 3), bool),
        )
        _check_state(self.info)
        _check_sizes(self)
        _check_cell(self)
        _check_distances(self)

    def with_labels(self, energy: float | None, forces: ArrayLike | None) -> Frame:
        """The same geometry with these labels, eV and (N, 3) eV/Å; it shares its arrays and is not checked again."""
        copy = object.__new__(Frame)
        copy.__dict__.update(self.__dict__)
        if energy is not None and energy is not self.energy:
            energy = _energy(energy, len(self))
        if forces is not None and forces is not self.forces:
            forces = _array("forces", forces, (len(self), 3), np.float64)
            _check_size("forces", forces, STRONGEST, "eV/Å")
        copy.__dict__.update(energy=energy, forces=forces)
        return copy

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "info": dict(self.info)}  # a view of a dict cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, info=MappingProxyType(state["info"]))
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False

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


def required_energy(frame: Frame) -> float:
    """Energy of a frame, eV.

    Raises
    ------
    DataError
        The frame has none.
    """
    if frame.energy is None:
        raise DataError(f"{frame} has no energy; label it with an Oracle, or leave it out")
    return frame.energy


def required_forces(frame: Frame) -> NDArray[np.float64]:
    """Forces of a frame, (N, 3) eV/Å.

    Raises
    ------
    DataError
        The frame has none.
    """
    if frame.forces is None:
        raise DataError(f"{frame} has no forces; label it with an Oracle, or leave it out")
    return frame.forces


def _array(name: str, values: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
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
    converted: NDArray[Any] = array.astype(dtype, copy=False)
    if dtype is not np.float64 and (converted != array).any():
        raise DataError(f"{name} must be whole numbers; correct the frame")
    converted.flags.writeable = False
    return converted


def _energy(value: object, n: int) -> float:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"energy is {value!r}, not a number; give the total energy of the frame in eV") from error
    if array.size != 1:
        raise DataError(f"energy has shape {array.shape}, expected one number; give the total energy of the frame")
    energy = float(array.reshape(()))
    if not np.isfinite(energy):
        raise DataError(f"energy is {energy}; remove the frame or compute it again")
    if abs(energy) > STRONGEST * n:
        raise DataError(
            f"energy is {energy:g} eV, more than {n} atoms can have ({STRONGEST:g} eV per atom); "
            "correct it, or remove the frame"
        )
    return energy


def _check_state(info: Mapping[str, Any]) -> None:
    for name in ("charge", "multiplicity"):
        value = info.get(name, 1)
        kind = np.asarray(value).dtype.kind
        if np.ndim(value) or kind not in "iuf" or not np.isfinite(value):
            raise DataError(f"{name} is {value!r:.60}, not one finite number; correct info['{name}'], or leave it out")
    if (number := info.get("multiplicity", 1)) < 1 or number != round(number):
        raise DataError(f"multiplicity is {number:g}; 2S + 1 is 1, 2, 3 …: correct the frame")


def _check_size(name: str, array: NDArray[np.float64], limit: float, unit: str) -> None:
    if np.abs(array).max() > limit:
        bad = np.unravel_index(np.abs(array).argmax(), array.shape)
        raise DataError(
            f"{name}{[int(i) for i in bad]} is {array[bad]:g} {unit}, and {limit:g} {unit} is the most that it can "
            "mean; look for a lost decimal point or another unit, or remove the frame"
        )


def _check_sizes(frame: Frame) -> None:
    numbers = frame.numbers
    if frame.masses is not None and frame.masses.min() <= 0:
        raise DataError("masses must be above 0 u; correct the frame, or leave them out")
    if numbers.min() < 1 or numbers.max() > 118:
        raise DataError(f"numbers holds {numbers.min()}..{numbers.max()}; atomic numbers are 1 to 118")
    _check_size("positions", frame.positions, FARTHEST, "Å")
    _check_size("cell", frame.cell, FARTHEST, "Å")
    if frame.forces is not None:
        _check_size("forces", frame.forces, STRONGEST, "eV/Å")


def _check_cell(frame: Frame) -> None:
    """What repeats must be a lattice of matter: everything that looks for neighbours takes that for granted."""
    cell, pbc = frame.cell, frame.pbc
    if not pbc.any():
        return
    if (pbc & ~cell.any(axis=1)).any():
        raise DataError("pbc is set along a cell vector that is zero; give the cell or set pbc to False")
    shortest = np.linalg.norm(cell[pbc], axis=1).min()
    if shortest >= SHORTEST_TRANSLATION:  # else its length says enough
        if flatness(cell[pbc]) < FLATTEST:
            shape = "lie in one plane" if pbc.all() else "are parallel"
            raise DataError(
                f"the periodic vectors of the cell {cell.tolist()} {shape}; correct the cell, or set pbc to False "
                "where nothing repeats"
            )
        shortest = np.linalg.norm(Lattice.of(cell, pbc).vectors, axis=1).min()
    if shortest < SHORTEST_TRANSLATION:
        raise DataError(
            f"the cell {cell.tolist()} repeats its atoms every {shortest:.3g} Å; nothing repeats within "
            f"{SHORTEST_TRANSLATION} Å: give the cell in Å, or set pbc to False where nothing repeats"
        )


def _check_distances(frame: Frame) -> None:
    images = f", images of the cell {frame.cell.tolist()} included" if frame.pbc.any() else ""
    closest = closest_pair(frame.positions, frame.cell, frame.pbc, SHORTEST_DISTANCE)
    if closest is not None:
        distance, i, j = closest
        raise DataError(
            f"atoms {i} and {j} are on one spot ({distance:.3f} Å apart{images}); remove the frame or the repeated atom"
        )
    if not frame.pbc.any() and len(frame) <= CROWD:
        return
    others = crowding(frame.positions, frame.cell, frame.pbc)
    if others > CROWDED:
        raise DataError(
            f"an atom has {others:.0f} others within 1 Å on average{images}; matter has fewer than one: "
            "give cell and positions in Å"
        )
