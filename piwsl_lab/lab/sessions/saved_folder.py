"""Files of one folder that are replaced as a whole: the file that names the others is written last."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from piwsl_lab.support.files import PARTIAL, write_json, write_whole
from piwsl_lab.training.checkpoint_file import HEADER

MARK = "piwsl_lab_session"  # a file whose header says so was written here, and may be deleted here
LONGEST_NAME = 60


class SavedError(ValueError):
    """A folder that holds no whole saved session, or cannot hold one."""


def replace_files(folder: Path, index: str, table: Mapping[str, Any], files: Mapping[str, bytes]) -> list[Path]:
    """Write files and an index that names them, in the place of what an earlier call wrote into this folder.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    index : str
        Name of the JSON file; the others are named in its entry "files".
    table : mapping
        What else it says.
    files : mapping of str → bytes
        Contents of safetensors files, by any name.

    Returns
    -------
    list of Path
        The index and the other files.

    Raises
    ------
    SavedError
        The folder holds other things, or cannot be written to. An earlier session in it is then as it was.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            before = _ours(folder, index)
            written = _written(folder, index, table, files, before)
            for name in before:
                (folder / name).unlink(missing_ok=True)
        return written
    except (FileExistsError, NotADirectoryError) as error:
        raise SavedError(f"{folder}: is a file; a session is saved into a folder: choose another name") from error
    except OSError as error:
        raise SavedError(
            f"{folder}: cannot be written to ({error.strerror}); free some space, or choose another folder"
        ) from error


def _written(
    folder: Path, index: str, table: Mapping[str, Any], files: Mapping[str, bytes], before: list[str]
) -> list[Path]:
    """Write all files beside those of an earlier session, the index last; on an error none stays."""
    written: dict[str, Path] = {}
    try:
        for name, content in files.items():
            path = folder / _free_name(name, before, written.values())
            written[name] = path
            write_whole(path, content)
        entries = {
            name: {"file": path.name, "sha256": hashlib.sha256(files[name]).hexdigest()}
            for name, path in written.items()
        }
        write_json(folder / index, {**table, "files": entries})
    except BaseException:  # an interrupt too
        for path in written.values():
            path.unlink(missing_ok=True)
        raise
    return [folder / index, *written.values()]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that two that save into it at once do so one after the other."""
    if os.name != "posix":
        yield
        return
    import fcntl  # not on Windows

    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _ours(folder: Path, index: str) -> list[str]:
    """Names of the files an index of this folder names; what a killed writer left behind is deleted.

    Raises
    ------
    SavedError
        There is something else in the folder.
    """
    present = sorted(path.name for path in folder.iterdir())
    marked = [name for name in present if name.endswith(".safetensors") and _is_marked(folder / name)]
    named = _named(folder / index) if index in present else None
    partial = re.compile(rf"\.(.+)\.[0-9a-f]{{16}}{re.escape(PARTIAL)}")
    left = [name for name in present if (found := partial.fullmatch(name)) and found[1].endswith((".json", "tensors"))]
    known = {*marked, *left, *(name for name in present if name.startswith(".") and name not in left)}
    if named is not None or (index in present and marked):
        known.add(index)
    if others := [name for name in present if name not in known]:
        raise SavedError(
            f"{folder}: holds other things ({', '.join(others[:3])}{' …' if len(others) > 3 else ''}), which a saved "
            "session would lie among: choose another folder"
        )
    before = [name for name in marked if name in (named or ())]
    for name in {*marked, *left} - {*before}:
        (folder / name).unlink(missing_ok=True)
    return before


def _is_marked(path: Path) -> bool:
    try:
        with safe_open(path, framework="np") as file:
            return MARK in (file.metadata() or {})
    except (SafetensorError, OSError):  # no whole file of ours
        return False


def _named(path: Path) -> list[str] | None:
    """Names in an index, or None if it is none of ours."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return [str(entry["file"]) for entry in table["files"].values()] if HEADER in table else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _free_name(name: str, before: list[str], taken: Any) -> str:
    """A plain name that neither the session that is replaced nor this one has; case does not tell two apart."""
    plain = re.sub(r"[^A-Za-z0-9_+-]+", "-", name.removeprefix("twin ")).strip("-")[:LONGEST_NAME] or "twin"
    used = {other.casefold() for other in before} | {path.name.casefold() for path in taken}
    candidates = [f"{plain}.safetensors", *(f"{plain}.{k}.safetensors" for k in range(2, len(used) + 3))]
    return next(candidate for candidate in candidates if candidate.casefold() not in used)
