"""XSF files as aenet writes them, alone or many in one archive: the energy in a comment, forces beside positions.

ASE knows the format too, but drops the energy, and multiplies the forces by 27.2. It takes them for
Hartree/Å, the unit of XCrySDen, while aenet writes eV/Å. So only files whose comment states an
energy in eV are taken here.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from ase.data import atomic_numbers

from piwsl_lab.data.formats.opening import natural
from piwsl_lab.data.frames.frame import DataError, Frame
from piwsl_lab.data.sets.dataset import Dataset, Metadata

ARCHIVES = (".tar.gz", ".tgz")
LARGEST_ARCHIVE = 500_000_000  # bytes once unpacked: it is held in memory
ENERGY = re.compile(r"^[ \t]*#[ \t]*total[ \t]+energy[ \t]*=[ \t]*(\S+)[ \t]*(\S*)", re.IGNORECASE | re.MULTILINE)


def read_xsf(path: Path, source: str | None = None) -> Dataset:
    """Frame of an ``.xsf`` file, or all of a ``.tar.gz`` of such files, in natural order of their names.

    Parameters
    ----------
    path : Path
        Archives are read in memory, nothing is unpacked to the disk; members that do not end in ``.xsf``
        are passed over.
    source : str, optional
        How the person called the file, for messages; its path by default.

    Raises
    ------
    DataError
        Damaged file or archive, a member that is no plain file, a file without an energy in eV, bad frame.
    """
    packed = path.name.lower().endswith(ARCHIVES)
    named = _members(path) if packed else [(path.name, path.read_bytes())]
    source = source or str(path)
    return Dataset(_frames(named), Metadata(source, origin=source))


def read_xsf_files(paths: Iterable[Path]) -> Dataset:
    """Frames of many ``.xsf`` files: the same as of one archive that holds them."""
    return Dataset(_frames((path.name, path.read_bytes()) for path in paths))


def parse(text: str) -> Frame:
    """The frame that the text of an XSF file describes: ``CRYSTAL`` (periodic) or ``ATOMS`` (not), one image.

    Raises
    ------
    DataError
        Another kind of XSF, atoms that are not announced, something that is no number, no energy in eV.
    """
    energy = _energy(text)
    lines = [line.split() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    kind = lines[0][0] if lines else "nothing"
    if kind == "CRYSTAL":
        cell, rows = _crystal(lines)
    elif kind == "ATOMS":
        cell, rows = np.zeros((3, 3)), lines[1:]
    else:
        raise DataError(f"begins with {kind}; only CRYSTAL and ATOMS are read: convert it to extended XYZ")
    if {len(row) for row in rows} not in ({4}, {7}):
        raise DataError("an atom needs element, x, y, z and no or 3 forces, all atoms alike; copy it again")
    numbers = [_element(row[0]) for row in rows]
    values = _numbers([row[1:] for row in rows])
    forces = values[:, 3:] if values.shape[1] == 6 else None
    return Frame(numbers, values[:, :3], cell, kind == "CRYSTAL", energy, forces)


def _element(word: str) -> int:
    """Atomic number of a symbol, or of a number as text."""
    if word.isdecimal() and len(word) <= 3:
        return int(word)
    if word.capitalize() not in atomic_numbers:
        raise DataError(f"'{word:.20}' is no element; correct the file")
    return atomic_numbers[word.capitalize()]


def _crystal(lines: list[list[str]]) -> tuple[np.ndarray, list[list[str]]]:
    """Cell and the lines of the atoms of a periodic file."""
    first = {line[0]: i for i, line in enumerate(lines) if len(line) == 1}
    for section in ("PRIMVEC", "PRIMCOORD"):
        if section not in first:
            raise DataError(f"has no section {section} with one image; copy it again, or convert it to extended XYZ")
    cell = _numbers(lines[first["PRIMVEC"] + 1 : first["PRIMVEC"] + 4])
    announced, *rows = lines[first["PRIMCOORD"] + 1 :] or [["0"]]
    if announced[0] != str(len(rows)):
        raise DataError(f"announces {announced[0]} atoms and has lines for {len(rows)}; copy it again")
    return cell, rows


def _numbers(rows: list[list[str]]) -> np.ndarray:
    try:
        return np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise DataError(f"a coordinate, a force or the cell is not a number ({error}); copy it again") from error


def _energy(text: str) -> float:
    found = ENERGY.search(text)
    if found is None:
        raise DataError(
            "has no line '# total energy = ... eV', without which the unit of its forces is not known either; "
            "add it (forces in eV/Å), or convert the file to extended XYZ"
        )
    value, unit = found.groups()
    if unit.lower() != "ev":
        raise DataError(f"has an energy in '{unit}'; write energy and forces in eV and eV/Å")
    try:
        return float(value)
    except ValueError as error:
        raise DataError(f"has the energy '{value}', which is not a number; correct the file") from error


def _frames(named: Iterable[tuple[str, bytes]]) -> Iterator[Frame]:
    """Frames in natural order of the names (2 before 10), whatever order the files come in."""
    for name, content in sorted(named, key=lambda item: natural(item[0])):
        try:
            frame = parse(content.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise DataError(f"{name}: is not text ({error}); copy it again") from error
        except DataError as error:
            raise DataError(f"{name}: {error}") from error
        yield frame


def _members(path: Path) -> list[tuple[str, bytes]]:
    """Name and content of every XSF file of an archive."""
    damaged = f"{path}: not a whole .tar.gz archive"
    try:
        with gzip.open(path) as packed:
            content = packed.read(LARGEST_ARCHIVE + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{damaged} ({error}); copy or download it again") from error
    if len(content) > LARGEST_ARCHIVE:
        raise DataError(f"{path}: holds more than {LARGEST_ARCHIVE / 1e6:.0f} MB; give its files in smaller archives")
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                # macOS puts a hidden "._name" beside every file.
                if not member.name.endswith(".xsf") or Path(member.name).name.startswith("."):
                    continue
                # A sparse member may claim any size; a link leads out of the archive.
                handle = archive.extractfile(member) if member.isreg() and not member.issparse() else None
                if handle is None or member.name in found:
                    raise DataError(f"{path}: member {member.name} is no plain file or is there twice; pack it again")
                found[member.name] = handle.read()
    except tarfile.TarError as error:
        raise DataError(f"{damaged} ({error}); copy or download it again") from error
    if not found:
        raise DataError(
            f"{path}: no .xsf file in the archive; of archives only those of XSF files are read: unpack it, and load "
            "its files"
        )
    return list(found.items())
