"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
from pathlib import Path
from typing import Any

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EFBIG: "free some space, or raise the limit on the size of files",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "make the folder first",
    errno.ENOTDIR: "name a folder that is there",
    errno.EROFS: "choose another folder",
    errno.EACCES: "choose another folder, or see who may use this one",
    errno.EPERM: "choose another folder, or see who may use this one",
}
PARTIAL = ".part"  # ends the name of a file that is being written; it begins with a dot


def write_whole(path: str | Path, content: bytes | str) -> Path:
    """Write a file so that it is there whole or not at all, even after a kill or a power cut.

    The content goes into a new file beside it, is forced to the disk and then takes the name. Nobody can guess the
    name of that file, and a link of that name is never followed. Who may read the file is what the umask says. Where
    `path` is a link, the file that it means is written.

    Parameters
    ----------
    path : path
        A file that is there already is replaced.
    content : bytes or str
        A str is written as UTF-8.

    Raises
    ------
    OSError
        The folder is missing, full or not to be written to, or the path is a pipe, a device or a socket. An older file
        is then as it was. Only where the disk itself fails (EIO) can the new one be there already.
    """
    path = Path(path)
    target = ordinary(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    # Short enough for any name that the system takes: a letter has up to four bytes, a name 255.
    partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}{PARTIAL}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    with open(partial, "wb", opener=lambda name, _: os.open(name, flags, 0o666)) as file:
        try:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, target)
        except BaseException:  # an interrupt too
            partial.unlink(missing_ok=True)
            raise
    _settle(target.parent)
    return path


def ordinary(path: Path) -> Path:
    """The place that a path means once its links are followed.

    Raises
    ------
    OSError
        A pipe, a device or a socket is there, which a new file would take the place of; or the links go in a circle.
    """
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    target = Path(os.path.realpath(path))
    kind = kind_of_file(there.st_mode)
    if kind not in ("a file", "a folder"):
        raise OSError(errno.EINVAL, f"is {kind}, which is no ordinary file", str(path))
    # /dev/fd and the like lead to files that no name leads to any more.
    if not os.path.lexists(target) and os.path.lexists(path):
        raise OSError(errno.EINVAL, "is no ordinary file", str(path))
    return target


def kind_of_file(mode: int) -> str:
    """What a thing in a file system is, in words, from its `st_mode`."""
    kinds = {stat.S_IFREG: "a file", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def no_file(path: Path) -> str:
    """Why a path is no file that can be read, in words that go after its name."""
    try:
        kind = kind_of_file(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name with a zero byte
        return "there is no such file"
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    return f"is {kind}, which is no regular file"


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


def describe_error(error: OSError, path: str | Path | None = None) -> str:
    """What went wrong with a file, in one sentence with a remedy.

    Parameters
    ----------
    error : OSError
    path : path, optional
        The file that was meant; by default the one that the error names.
    """
    name = path or error.filename or "the output"
    remedy = REMEDIES.get(error.errno or 0, "see what is wrong with that place, or choose another")
    return f"{name}: {error.strerror or error}; {remedy}"


def _settle(folder: Path) -> None:
    """Force the names in a folder to the disk, where the system can do that."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows
        return
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        # The file has its name already. A folder that may be written to but not read, and file systems of a network,
        # refuse the rest; a disk that fails is another matter.
        if error.errno == errno.EIO:
            raise
