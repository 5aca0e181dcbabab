"""LAMMPS dumps in text: looked at before ASE reads them, because they state units and may be cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from piwsl_lab.data.frames.frame import DataError

KNOWN = ("metal", "real", "electron", "si", "cgs", "micro", "nano")  # those that ASE converts
FIRST_LINES = (b"ITEM: TIMESTEP", b"ITEM: UNITS", b"ITEM: TIME")


def is_dump(path: Path) -> bool:
    """Whether a file begins as a LAMMPS dump does."""
    with path.open("rb") as handle:
        return handle.read(20).lstrip().startswith(FIRST_LINES)


def units_of_dump(path: Path, source: str, labels: bool) -> str:
    """Units of a dump: those that it states, else "metal", as long as nothing depends on it.

    Raises
    ------
    DataError
        A dump that is cut, has no elements, or whose forces are in no unit that is known.
    """
    units, forces = None, False
    with path.open("rb") as handle:
        lines = (line.decode("utf-8", "replace") for line in handle)
        frame, atoms = -1, None
        for whole in lines:
            line = whole.strip()
            if line and "ITEM".startswith(line[:4]) and not whole.endswith("\n"):
                raise _cut(source, frame, f"its last line is '{line}'")
            if line == "ITEM: UNITS":
                units = next(lines, "").strip()
            elif line == "ITEM: TIMESTEP":
                if frame >= 0 and atoms != 0:
                    raise _cut(source, frame, "it has no atoms")
                frame, atoms = frame + 1, None
            elif line == "ITEM: NUMBER OF ATOMS":
                announced = next(lines, "").strip()
                atoms = int(announced) if announced.isdigit() else None
            elif line.startswith("ITEM: ATOMS"):
                columns = line.split()[2:]
                if not {"element", "mass"} & {*columns}:
                    raise DataError(
                        f"{source}: is a LAMMPS dump without elements; write it with 'dump_modify … element' and a "
                        "column 'element'"
                    )
                forces = forces or "fx" in columns
                _count(lines, atoms, len(columns), frame, source)
                atoms = 0
        if atoms != 0:
            raise _cut(source, frame, "it has no atoms")
    return _units(units, forces and labels, source)


def _count(lines: Iterator[str], atoms: int | None, columns: int, frame: int, source: str) -> None:
    before = ""
    for i in range(atoms or 0):
        line = next(lines, "")
        # No end of line: the number at the end may have lost digits.
        lost = not line.endswith("\n") and _decimals(line) < _decimals(before)
        if len(line.split()) < columns or line.startswith("ITEM:") or lost:
            raise _cut(source, frame, f"it announces {atoms} atoms, and {i} of them are whole")
        before = line


def _decimals(line: str) -> int:
    return len(line.strip().rpartition(".")[2]) if line else 0


def _cut(source: str, frame: int, why: str) -> DataError:
    return DataError(
        f"{source}: ends or is damaged in frame {max(frame, 0)} ({why}); the file is cut: copy or download it again"
    )


def _units(units: str | None, forces: bool, source: str) -> str:
    if units is not None and units not in KNOWN:
        raise DataError(f"{source}: is in units '{units}' of LAMMPS, which have no fixed size; write it in 'metal'")
    if units is None and forces:
        raise DataError(
            f"{source}: is a LAMMPS dump with forces and states no units; write it with 'dump_modify … units yes', or "
            "add the lines 'ITEM: UNITS' and 'metal' (eV/Å) or 'real' (kcal/mol/Å) at its beginning"
        )
    return units or "metal"


def keep_forces(images: Sequence[Atoms], labels: bool) -> None:
    """Leave the forces alone in each frame: the energy of 0 is ASE's, not the dump's."""
    for atoms in images:
        forces = None if atoms.calc is None else atoms.calc.results.get("forces")
        atoms.calc = SinglePointCalculator(atoms, forces=forces) if labels and forces is not None else None
