"""Frames from stacked arrays, as ``.npz`` and HDF5 files hold them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from ase.data import atomic_numbers

from piwsl_lab.data.frames.frame import NO_CELL, DataError, Frame

LARGEST = 1_000_000_000  # bytes of one array, and of all of a file: they are held in memory
HEAVIEST = max(atomic_numbers.values())


@dataclass
class Arrays:
    """Arrays of S frames in the units of the file; factors turn them into eV and Å.

    `names` says how each of them is called in the file, for messages.
    """

    numbers: np.ndarray  # (N,) or (S, N); the end of a row of (S, N) may be padded with 0 or -1
    positions: np.ndarray  # (S, N, 3), or (N, 3) of a single frame
    energy: np.ndarray | None = None
    forces: np.ndarray | None = None
    cell: np.ndarray | None = None  # (3, 3) or (S, 3, 3)
    pbc: np.ndarray | None = None
    counts: np.ndarray | None = None  # atoms of each frame, where rows are padded
    charge: np.ndarray | None = None
    multiplicity: np.ndarray | None = None
    length: float = 1.0
    energy_unit: float = 1.0
    force_unit: float = 1.0
    missing: bool = False  # whether NaN means that there is no label
    info: Mapping[str, float | str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    def name(self, role: str) -> str:
        """How the file calls the array of a role."""
        return self.names.get(role, role)


def frames(arrays: Arrays, source: str) -> Iterator[Frame]:
    """The frames one by one; shapes are checked at once, before the first is built.

    Raises
    ------
    DataError
        Shapes that do not belong together.
    """
    positions = _positions(arrays, source)
    size = len(positions)
    numbers = _numbers(arrays, positions, source)
    energy = _per_frame(arrays, "energy", size, source)
    forces = _forces(arrays, positions, source)
    cell = _cells(arrays, size, source)
    states = {name: _per_frame(arrays, name, size, source) for name in ("charge", "multiplicity")}
    extra = {name: values for name, values in states.items() if values is not None}
    pbc = _directions(arrays, cell is not None, size, source)
    _check_counts(arrays, numbers, size, source)
    whole = _Whole(numbers, positions, energy, forces, cell, pbc, extra)
    return (_frame(arrays, whole, i) for i in range(size))


class _Whole(NamedTuple):
    """What is known of all S frames, in the units of the file and with shapes that belong together."""

    numbers: np.ndarray
    positions: np.ndarray
    energy: np.ndarray | None
    forces: np.ndarray | None
    cell: np.ndarray | None
    pbc: np.ndarray
    extra: Mapping[str, np.ndarray]


def _frame(arrays: Arrays, whole: _Whole, i: int) -> Frame:
    real = whole.numbers[i] > 0
    pull = None if whole.forces is None else whole.forces[i].astype(np.float64)[real] * arrays.force_unit
    # A float32 number times a factor stays float32, and a total energy has more digits than that.
    total = None if whole.energy is None else float(whole.energy[i]) * arrays.energy_unit
    if arrays.missing:
        total = None if total is not None and np.isnan(total) else total
        pull = None if pull is not None and np.isnan(pull).all() else pull
    return Frame(
        numbers=whole.numbers[i][real],
        positions=whole.positions[i].astype(np.float64)[real] * arrays.length,
        cell=NO_CELL if whole.cell is None else whole.cell[i] * arrays.length,
        pbc=whole.pbc[i],
        energy=total,
        forces=pull,
        info={**arrays.info, **{name: values[i].item() for name, values in whole.extra.items()}},
    )


def _positions(arrays: Arrays, source: str) -> np.ndarray:
    positions = np.asarray(arrays.positions)
    numbers = np.asarray(arrays.numbers)
    _check_real(positions, arrays.name("positions"), source)
    _refuse_flat(arrays, positions, numbers, source)
    if positions.ndim == 2 and positions.shape == (numbers.size, 3):
        positions = positions[None]
        for role in ("forces", "cell"):
            value = getattr(arrays, role)
            if value is not None and np.ndim(value) == 2:
                setattr(arrays, role, np.asarray(value)[None])
    if (
        positions.ndim != 3
        or positions.shape[2] != 3
        or numbers.shape
        not in (
            positions.shape[1:2],
            positions.shape[:2],
            (1, *positions.shape[1:2]),
        )
    ):
        raise DataError(
            f"{source}: {arrays.name('positions')} has shape {positions.shape} and {arrays.name('numbers')} "
            f"{numbers.shape}; expected (frames, atoms, 3) and (atoms,) or (frames, atoms)"
        )
    return positions


def _refuse_flat(arrays: Arrays, positions: np.ndarray, numbers: np.ndarray, source: str) -> None:
    """Name the layouts in which the atoms of all frames follow each other, or the coordinates of one frame do."""
    name, size = arrays.name("positions"), 0 if arrays.energy is None else np.size(arrays.energy)
    stacked = positions.ndim == 2 and positions.shape[1] == 3 and size > 1
    if stacked and (numbers.size == len(positions) or (numbers.size and not len(positions) % numbers.size)):
        raise DataError(
            f"{source}: {name} has shape {positions.shape} and {arrays.name('energy')} has {size} values: the atoms of "
            "all frames are stacked in one list; cut it up into (frames, atoms, 3), padded with 0 where frames differ "
            "in size, or write extended XYZ"
        )
    if positions.ndim == 2 and numbers.ndim and positions.shape[1] == 3 * numbers.shape[-1] != 3:
        raise DataError(
            f"{source}: {name} has shape {positions.shape} and {arrays.name('numbers')} {numbers.shape}; expected "
            "(frames, atoms, 3), and the coordinates of a frame are in one row: reshape them, and the forces, to "
            f"({len(positions)}, {numbers.shape[-1]}, 3)"
        )


def _numbers(arrays: Arrays, positions: np.ndarray, source: str) -> np.ndarray:
    """Atomic numbers of every frame, (S, N); 0 or -1 where the end of a row is padded."""
    numbers = np.asarray(arrays.numbers)
    if numbers.dtype.kind in "SU":
        # No element has a letter that UTF-8 cannot read.
        texts = np.char.decode(numbers, "utf-8", "replace") if numbers.dtype.kind == "S" else numbers
        symbols = np.char.strip(texts)
        known = {"": 0, **atomic_numbers}
        unknown = sorted(set(symbols.ravel().tolist()) - set(known))
        if unknown:
            raise DataError(f"{source}: {arrays.name('numbers')} holds '{unknown[0]}', which is no element")
        numbers = np.array([known[s] for s in symbols.ravel().tolist()]).reshape(symbols.shape)
    _check_real(numbers, arrays.name("numbers"), source)
    wrong = (numbers != np.round(numbers)) | ~((numbers >= -1) & (numbers <= HEAVIEST))
    if wrong.any():
        raise DataError(
            f"{source}: {arrays.name('numbers')} holds {numbers[wrong][0]}, which is no atomic number; correct the file"
        )
    whole = numbers.astype(np.int64)
    _check_padding(whole, len(positions), arrays.name("numbers"), source)
    return np.broadcast_to(whole, positions.shape[:2])


def _check_padding(numbers: np.ndarray, size: int, name: str, source: str) -> None:
    """An atom whose number is lost must not vanish: only the end of a row of one frame is padding."""
    padded = numbers <= 0
    if numbers.ndim < 2 or len(numbers) != size:
        if padded.any():
            raise DataError(
                f"{source}: {name} holds {numbers[padded][0]} in the one row of all frames, which is no atomic number; "
                "correct it, or give each frame a row of its own, padded at its end"
            )
        return
    lost = np.flatnonzero((padded[:, :-1] & ~padded[:, 1:]).any(axis=1))
    if len(lost):
        raise DataError(
            f"{source}: {name} of frame {lost[0]} holds 0 or -1 before other atoms; correct it: only the end of a row "
            "may be padded"
        )


def _per_frame(arrays: Arrays, role: str, size: int, source: str) -> np.ndarray | None:
    """One number a frame, (S,)."""
    value = getattr(arrays, role)
    if value is None:
        return None
    values = np.asarray(value)
    _check_real(values, arrays.name(role), source)
    if role != "energy" and values.size == 1:
        values = np.full(size, values.reshape(()))
    if values.size != size:
        raise DataError(f"{source}: {arrays.name(role)} has shape {values.shape}; expected one a frame, ({size},)")
    return values.reshape(-1)


def _check_real(values: np.ndarray, name: str, source: str) -> None:
    if values.dtype.kind not in "fiu":
        raise DataError(f"{source}: {name} holds {values.dtype}, not real numbers; correct the file")


def _forces(arrays: Arrays, positions: np.ndarray, source: str) -> np.ndarray | None:
    if arrays.forces is None:
        return None
    forces = np.asarray(arrays.forces)
    if forces.shape != positions.shape:
        raise DataError(
            f"{source}: {arrays.name('forces')} has shape {forces.shape}, {arrays.name('positions')} has "
            f"{positions.shape}; they must be the same"
        )
    _check_real(forces, arrays.name("forces"), source)
    return forces


def _cells(arrays: Arrays, size: int, source: str) -> np.ndarray | None:
    if arrays.cell is None:
        return None
    _check_real(np.asarray(arrays.cell), arrays.name("cell"), source)
    cell = np.asarray(arrays.cell, dtype=np.float64)
    if cell.shape not in ((3, 3), (1, 3, 3), (size, 3, 3)):
        raise DataError(f"{source}: {arrays.name('cell')} has shape {cell.shape}; expected (3, 3) or (frames, 3, 3)")
    # Programs differ in whether rows or columns are the cell vectors: only where that is one is the cell clear.
    # "cell" is ASE's, whose vectors are rows.
    if "cell" not in arrays.name("cell").lower() and not np.array_equal(cell, np.swapaxes(cell, -1, -2)):
        raise DataError(
            f"{source}: key '{arrays.name('cell')}': periodic cells whose vectors may be rows or columns are not read; "
            "store the vectors as rows under 'cell', or convert it to extended XYZ"
        )
    return np.broadcast_to(cell, (size, 3, 3))


def _directions(arrays: Arrays, periodic: bool, size: int, source: str) -> np.ndarray:
    """Which cell vectors repeat, (S, 3) bool."""
    pbc = np.asarray(periodic if arrays.pbc is None else arrays.pbc)
    if pbc.dtype.kind not in "biuf" or not np.isin(pbc, (0, 1)).all():
        raise DataError(f"{source}: {arrays.name('pbc')} holds {pbc.dtype}, not true or false; correct the file")
    if pbc.size != 1 and pbc.shape not in ((3,), (1, 3), (size, 3)):
        raise DataError(f"{source}: {arrays.name('pbc')} has shape {pbc.shape}; expected (3,) or (frames, 3)")
    return np.broadcast_to(pbc.astype(bool) if pbc.size > 1 else bool(pbc.item()), (size, 3))


def _check_counts(arrays: Arrays, numbers: np.ndarray, size: int, source: str) -> None:
    counts = _per_frame(arrays, "counts", size, source)
    if counts is None:
        return
    wrong = np.flatnonzero((numbers > 0).sum(axis=1) != counts)
    if len(wrong):
        i = int(wrong[0])
        raise DataError(
            f"frame {i} of {source}: {arrays.name('counts')} says {counts[i]} atoms, {arrays.name('numbers')} has "
            f"{int((numbers[i] > 0).sum())} that are not 0; correct the file"
        )
