"""Whether a text that ASE reads without a word is whole: what it announces is compared with what it holds."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.formula import Formula

from piwsl_lab.data.frames.frame import DataError, DataWarning

FORMULA = re.compile(r"^_chemical_formula_sum\s+['\"]?([A-Za-z0-9 ().]+?)['\"]?\s*$", re.MULTILINE)
AGAIN = "the file is cut: copy or download it again"


def refuse_cut(path: Path, source: str) -> None:
    """Refuse a text whose format says how it ends, and that does not end so.

    Raises
    ------
    DataError
        The file is cut.
    """
    suffix = path.suffix.lower()
    if suffix == ".gro":
        _check_gro(_lines(path), source)
    elif suffix == ".res" and not any(line.strip().upper() == "END" for line in _lines(path)):
        raise DataError(f"{source}: has no line END, which is the last of a .res file; {AGAIN}")
    elif suffix == ".pdb":
        marks = [line[:6].strip() for line in _lines(path)]
        if marks.count("MODEL") > marks.count("ENDMDL"):
            raise DataError(f"{source}: its last MODEL has no ENDMDL; {AGAIN}")
    elif path.name.lower() == "coord" and not any(line.startswith("$end") for line in _lines(path)):
        raise DataError(f"{source}: has no line $end, which is the last of a coord file; {AGAIN}")
    elif suffix == ".g96" and _lines(path)[-1:] != ["END"]:
        raise DataError(f"{source}: its last block has no END; {AGAIN}")


def doubt_end(images: Sequence[Atoms], path: Path, source: str) -> list[str]:
    """Remarks, and warnings, on a last frame that has other atoms than all before it or than its formula says."""
    said = []
    sizes = [len(atoms) for atoms in images]
    if len(sizes) > 1 and sizes[-1] < sizes[0] and len({*sizes[:-1]}) == 1:
        said.append(
            f"{source}: the last frame has {sizes[-1]} atoms and each before it {sizes[0]}; is the file cut? "
            "Copy it again, or remove the frame"
        )
    if path.suffix.lower() == ".cif" and images:
        stated = FORMULA.findall(path.read_text("utf-8", "replace"))
        if stated and len(stated) == len(images) and not _same(stated[-1], images[-1]):
            said.append(
                f"{source}: the last block states the formula {stated[-1]} and has the atoms "
                f"{images[-1].get_chemical_formula()}; is the file cut, or are sites only partly occupied?"
            )
    for sentence in said:
        warnings.warn(sentence, DataWarning, stacklevel=4)
    return said


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").rstrip().splitlines()


def _check_gro(lines: Sequence[str], source: str) -> None:
    """A title, a number of atoms, so many lines, and a line with the box."""
    announced = lines[1].strip() if len(lines) > 1 else ""
    if not announced.isdigit():
        raise DataError(f"{source}: its second line is no number of atoms; the file is cut or is no .gro file")
    atoms = int(announced)
    if len(lines) < atoms + 3 or len(lines[atoms + 2].split()) not in (3, 9):
        held = max(0, min(atoms, len(lines) - 2))
        raise DataError(f"{source}: announces {atoms} atoms and a box, and ends after {held} lines of atoms; {AGAIN}")


def _same(stated: str, atoms: Atoms) -> bool:
    """Whether the atoms are a whole multiple of a formula; True where it cannot be read."""
    try:
        counts = Formula(stated.replace(" ", "")).count()
    except ValueError:
        return True
    found = atoms.symbols.formula.count()
    times = sum(found.values()) // max(1, sum(counts.values()))
    return times > 0 and dict(found) == {symbol: number * times for symbol, number in counts.items()}
