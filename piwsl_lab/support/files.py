"""Files that are there whole or not at all."""

from __future__ import annotations

import json
import math
import os
import secrets
from pathlib import Path
from typing import Any

PARTIAL = ".part"  # ends the name of a file that is being written; it begins with a dot


def write_whole(path: str | Path, content: bytes | str) -> Path:
    """Write a file so that it is there whole or not at all, even after a kill or a power cut.

    The content goes into a new file beside it, is forced to the disk and then takes the name. Nobody can guess the
    name of that file, and a link of that name is never followed. Who may read the file is what the umask says.

    Parameters
    ----------
    path : path
        A file that is there already is replaced.
    content : bytes or str
        A str is written as UTF-8.

    Raises
    ------
    OSError
        The folder is missing, full or not to be written to; an older file is then as it was.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    partial = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}{PARTIAL}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with open(partial, "wb", opener=lambda name, _: os.open(name, flags, 0o666)) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:  # an interrupt too
            partial.unlink(missing_ok=True)
            raise
    _settle(path.parent)
    return path


def write_json(path: str | Path, value: Any) -> Path:
    """Write plain values as JSON, whole or not at all; what is not finite becomes null."""
    text = json.dumps(without_nan(value), indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(path, text + "\n")


def without_nan(value: Any) -> Any:
    """The same values for a JSON file, which has no nan and no infinity: what could not be measured becomes None.

    Numbers and arrays of numpy become plain ones.
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _settle(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
