"""Extended XYZ, looked at line by line before ASE reads it: what is cut, doubled or undeclared is said here."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import ase.io
from ase import Atoms

from piwsl_lab.data.frames.frame import DataError
from piwsl_lab.data.frames.keys import meaning, plain_key

SUFFIXES = (".xyz", ".extxyz", ".exyz")
PAIR = re.compile(r'([^\s="\']+|"[^"]*")\s*=\s*("(?:[^"\\]|\\.)*"|\'[^\']*\'|\{[^}]*\}|\[[^\]]*\]|[^\s"]*)')
CP2K = re.compile(r"^\s*i\s*=\s*\d+\s*,.*\bE\s*=", re.IGNORECASE)
ATOM = re.compile(rb"\s*([A-Za-z]{1,3}|\d{1,3})\S*(\s+[-+]?[\d.]+([eE][-+]?\d+)?){3}")
LONGEST_LINE = 1_000_000  # bytes; a line of a text is shorter
QM9 = "its energies are in hartree at fixed places: convert it to extended XYZ with 'energy' in eV"
ONCE = ("lattice", "properties", "pbc", "charge", "totalcharge", "spin", "multiplicity")


def is_xyz(path: Path) -> bool:
    """Whether a file is XYZ by its name, or by a number of atoms, a comment and an atom at its beginning."""
    if path.suffix.lower() in SUFFIXES:
        return True
    with path.open("rb") as handle:
        lines = [handle.readline(LONGEST_LINE) for _ in range(3)]
    return lines[0].strip().isdigit() and ATOM.match(lines[2]) is not None


def read_xyz(path: Path, source: str, labels: bool) -> tuple[list[Atoms], list[str]]:
    """Atoms of every frame with what the file says about them, and remarks.

    Raises
    ------
    DataError
        A file that is cut or that is no XYZ, a key that stands twice, another dialect (QM9, CP2K).
    """
    remarks = _look_through(path, source, labels)
    images: list[Atoms] = []
    try:
        with path.open(encoding="utf-8") as handle, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            images.extend(ase.io.iread(handle, index=":", format="extxyz"))
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: is not UTF-8 text ({error}); save it as UTF-8") from error
    # A damaged line may fail anywhere in ASE.
    except Exception as error:
        reason = f"{error} is no element" if isinstance(error, KeyError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"frame {len(images)} of {source}: cannot be read ({reason}); a line is damaged or does not fit the "
            "Properties of its frame: correct it, or copy the file again"
        ) from error
    return images, [*remarks, *sorted({f"ASE says: {warning.message}" for warning in caught})]


def _look_through(path: Path, source: str, labels: bool) -> list[str]:
    undeclared: Counter[int] = Counter()
    with path.open("rb") as handle:
        frame = 0
        while (line := handle.readline(LONGEST_LINE)).strip():
            atoms = _count(line, frame, source)
            comment = _comment(handle.readline(LONGEST_LINE), frame, source)
            _check_comment(comment, frame, source, labels)
            extra = _check_atoms(handle, atoms, _columns(comment, frame, source), frame, source)
            undeclared[extra] += 1
            frame += 1
        _check_rest(handle, frame, source)
    return [
        f"{number} frames have {extra} columns without a name." for extra, number in undeclared.items() if extra > 0
    ]


def _count(line: bytes, frame: int, source: str) -> int:
    if line.strip().isdigit() and len(line) < 20 and int(line) > 0:
        return int(line)
    shown = line[:40].decode("utf-8", "replace").strip()
    if frame == 0:
        raise DataError(
            f"{source}: cannot be read: its first line is '{shown}' and not a number of atoms, so it is no XYZ file: "
            "copy it again, or convert it to extended XYZ"
        )
    if "\t" in line.decode("utf-8", "replace"):
        raise DataError(f"{source}: is a file of QM9, or has lines after its atoms; {QM9}")
    raise DataError(
        f"{source}: after frame {frame - 1} stands '{shown}' and not a number of atoms; the file is damaged there: "
        "copy it again, or correct it"
    )


def _comment(line: bytes, frame: int, source: str) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"frame {frame} of {source}: its comment is not UTF-8 text ({error.reason}); save the file as UTF-8"
        ) from error


def _check_comment(comment: str, frame: int, source: str, labels: bool) -> None:
    if comment.startswith("gdb ") and comment.count("\t") > 10:
        raise DataError(f"{source}: is a file of QM9; {QM9}")
    if labels and CP2K.match(comment):
        raise DataError(
            f"{source}: is a trajectory of CP2K, with E in hartree and no forces; convert it to extended XYZ with "
            "'energy' in eV and, from the -frc- file, 'forces' in eV/Å"
        )
    doubled = [key for key, number in Counter(_keys(comment)).items() if number > 1]
    for key in doubled:
        if meaning(key) or plain_key(key) in ONCE:
            raise DataError(f"frame {frame} of {source}: '{key}' stands twice in its comment; keep the right one")


def _keys(comment: str) -> list[str]:
    return [key.strip('"') for key, _ in PAIR.findall(comment)]


def _columns(comment: str, frame: int, source: str) -> int:
    """How many columns the comment declares."""
    stated = next((value.strip("\"'{}[]") for key, value in PAIR.findall(comment) if key == "Properties"), None)
    if stated is None:
        return 4
    fields = stated.split(":")
    if len(fields) % 3 or not all(number.isdigit() for number in fields[2::3]):
        raise DataError(f"frame {frame} of {source}: Properties={stated} is not name:type:columns; correct it")
    names = fields[::3]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"frame {frame} of {source}: column '{twice[0]}' stands twice in Properties; keep the right one"
        )
    return sum(int(number) for number in fields[2::3])


def _check_atoms(handle: BinaryIO, atoms: int, columns: int, frame: int, source: str) -> int:
    """Read past the lines of the atoms; how many more columns the first has than are declared."""
    lengths = []
    extra = 0
    for i in range(atoms):
        line = handle.readline(LONGEST_LINE)
        if not line.strip():
            raise DataError(_cut(source, frame, f"it announces {atoms} atoms and has {i}"))
        if not i:
            extra = len(line.split()) - columns
        lengths.append(len(line.rstrip(b"\r\n")))
    if not line.endswith(b"\n") and len(line.split()) < columns:
        raise DataError(_cut(source, frame, "its last line has too few columns"))
    # Columns of one width and no end of line: the number at the end has lost digits.
    if not line.endswith(b"\n") and len({*lengths[:-1]}) == 1 and lengths[-1] < lengths[0]:
        raise DataError(_cut(source, frame, "its last line is shorter than the others"))
    return extra


def _cut(source: str, frame: int, why: str) -> str:
    before = f"ends after frame {frame - 1}, in the middle of frame {frame}" if frame else "ends in frame 0"
    return f"{source}: {before} ({why}); the file is cut: copy or download it again"


def _check_rest(handle: BinaryIO, frame: int, source: str) -> None:
    """Only blank lines may follow: ASE would stop at the first of them without a word."""
    for line in handle:
        if line.strip():
            where = f"follows frame {frame - 1}, and more after it" if frame else "stands before the first frame"
            raise DataError(f"{source}: an empty line {where}; remove the empty line")
