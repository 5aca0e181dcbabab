"""Paths, patterns and compressed files: what a person names becomes files that can be opened."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from piwsl_lab.data.frames.frame import DataError

COMPRESSED: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MAGIC: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}  # first bytes, whatever the name
LARGEST_UNPACKED = 1_000_000_000  # bytes; a bomb of a few kB unpacks to any size
CHUNK = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def files_of(named: object) -> list[Path]:
    """Files that a path, a pattern (``run*.xyz``) or a list of either means; matches in natural order (2 before 10).

    Raises
    ------
    DataError
        A pattern without a match, an empty list, anything that is no path.
    """
    if isinstance(named, bytes) or hasattr(named, "read") or not isinstance(named, (str, Path, Iterable)):
        raise DataError(f"{named!r:.60} is no path; give the path of a file, a pattern or a list of paths as text")
    if not isinstance(named, (str, Path)):
        found = [file for one in named for file in files_of(one)]
        if not found:
            raise DataError("no file was named; give a path, a pattern or a list of paths")
        return found
    path = _at_home(Path(named))
    if exists(path) or isinstance(named, Path) or not is_pattern(str(named)):
        return [path]
    anchor = Path(path.anchor) if path.anchor else Path()
    try:
        matches = sorted(anchor.glob(str(path.relative_to(path.anchor))), key=lambda match: natural(str(match)))
    except (OSError, ValueError, NotImplementedError) as error:
        raise DataError(f"{named}: is no pattern of files ({error}); give a path") from error
    if not matches:
        raise DataError(f"{named}: no file matches this pattern; check the folder and the pattern")
    return matches


def _at_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # no home for this user: the sign belongs to the name
        return path


def exists(path: Path) -> bool:
    """Whether something of this name is there; no name is too long or too strange to be asked for."""
    try:
        return _at_home(path).exists()
    except OSError:
        return False


def is_pattern(text: str) -> bool:
    """Whether a text holds a wildcard of file names."""
    return any(sign in text for sign in "*?[")


def natural(name: str) -> list[tuple[int, int, str]]:
    """Key by which run2 comes before run10."""
    # Of two numbers the one with more digits is larger; Python makes no int of a name with 5000.
    parts = re.split(r"0*([0-9]+)", name)
    return [(1, len(part), part) if i % 2 else (0, 0, part) for i, part in enumerate(parts)]


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """The file itself, or a temporary copy without compression or byte order mark whose name ends as it should.

    Raises
    ------
    DataError
        A damaged compressed file, or one that unpacks to more than 1 GB.
    """
    with path.open("rb") as handle:
        head = handle.read(max(map(len, MAGIC)))
    marked = head.startswith(BYTE_ORDER_MARK)
    named = COMPRESSED.get(path.suffix.lower())
    opener = next((opener for magic, opener in MAGIC.items() if head.startswith(magic)), None)
    if named is not None and opener is not named:
        what = "is compressed in another way" if opener else "is not compressed"
        raise DataError(
            f"{path}: {what}, or is damaged at its beginning, in spite of its end {path.suffix}; rename it as what "
            "it is, or copy it again"
        )
    if opener is None and not marked:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="piwsl-lab-") as folder:
        copy = Path(folder) / (path.name if named is None else path.stem)
        _copy(path, copy, opener or open)
        yield copy


def _copy(path: Path, copy: Path, opener: Callable[..., Any]) -> None:
    written = 0
    try:
        with opener(path, "rb") as source, copy.open("wb") as target:
            while chunk := source.read(CHUNK):
                target.write(chunk.removeprefix(BYTE_ORDER_MARK) if not written else chunk)
                written += len(chunk)
                if written > LARGEST_UNPACKED:
                    raise DataError(
                        f"{path}: unpacks to more than {LARGEST_UNPACKED / 1e6:.0f} MB, which is not read; "
                        "unpack it yourself and keep the part you need"
                    )
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: not a whole {path.suffix} file ({error}); copy or download it again") from error
    except OSError as error:
        if shutil.disk_usage(copy.parent).free < CHUNK:
            raise DataError(f"{path}: no space to unpack it in {copy.parent}; free some, or unpack it") from error
        raise DataError(f"{path}: cannot be unpacked ({error}); copy or download it again") from error
