"""Where a command may write: looked at before the work, so that no work and no file of a person is lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from piwsl_lab.support.files import describe_error, ordinary


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Iterable[str | Path]]) -> None:
    """Refuse files to write that would take the place of another, or that cannot be written.

    Parameters
    ----------
    outputs : mapping of flag → path
        None where nothing is to be written.
    inputs : mapping of flag → paths
        Files that are read, and have to stay.

    Raises
    ------
    ValueError
        Names the flag, the file and what is wrong with it.
    """
    given = {flag: path for flag, path in outputs.items() if path is not None}
    taken = [(flag, Path(path)) for flag, paths in inputs.items() for path in paths]
    for flag, path in given.items():
        _check_output(flag, path)
        for other, read in taken:
            if _same(path, read):
                raise ValueError(
                    f"{flag} {path}: is the file of {other} too and would take its place; choose another name"
                )
        taken.append((flag, path))


def _check_output(flag: str, path: Path) -> None:
    try:
        ordinary(path)
        folder = path.resolve().parent
        is_folder = path.is_dir()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        words = describe_error(error, path) if isinstance(error, OSError) else f"{path}: its links go in a circle"
        raise ValueError(f"{flag} {words}") from None
    if is_folder:
        raise ValueError(f"{flag} {path} is a folder; name a file in it")
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{flag} {path}: {folder} does not exist or cannot be written to; choose another folder")
    for number, name in ((1, "output"), (2, "error")):
        with suppress(OSError):  # the stream is closed, or there is no such file yet
            there, stream = path.stat(), os.fstat(number)
            if stat.S_ISREG(stream.st_mode) and os.path.samestat(there, stream):
                raise ValueError(f"{flag} {path}: the standard {name} goes there too; choose another name")


def _same(one: Path, other: Path) -> bool:
    """Whether two paths mean one file, which need not be there yet."""
    try:
        if one.exists() and other.exists():
            return os.path.samefile(one, other)
        return one.resolve() == other.resolve()
    except (OSError, RuntimeError):  # a name that no file can have
        return False
