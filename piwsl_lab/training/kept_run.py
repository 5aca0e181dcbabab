"""Where a run of the command line keeps what it has done: the folder `piwsl-lab-runs`, one file per run.

The name of the file is made of all that decides the run, so the same command finds it again. A run
takes a name that is nobody's, and holds it by a lock. The system frees the lock when its process
ends, however it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from piwsl_lab.support.files import write_whole
from piwsl_lab.training.kept import Kept

FOLDER = "piwsl-lab-runs"
SUFFIX = ".safetensors"


class KeptRun(Kept):
    """The progress of a command.

    Parameters
    ----------
    command : str
        "train" or "compare".
    asked : dict
        All that decides its numbers, as JSON has it: the recipe of `piwsl_lab.study.setup` too.
    folders : sequence of Path
        Where `piwsl-lab-runs` may lie: the first that can be written to.
    """

    def __init__(self, command: str, asked: Mapping[str, Any], folders: Sequence[Path]) -> None:
        super().__init__()
        text = json.dumps(asked, sort_keys=True, default=str)
        self.name = f"{command}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self.folders = [Path(folder) / FOLDER for folder in dict.fromkeys(folders)]
        self._lock: _Lock | None = None

    @property
    def keeps(self) -> bool:
        """Always: its file is named when it is first written."""
        return True

    @property
    def place(self) -> Path:
        """Where it lies, or would lie."""
        return self.path or self.folders[0]

    def find(self) -> bool:
        """Go on with the newest file of this run that no other process has in hand; whether there was one."""
        for path in sorted(self.left_behind(), key=lambda path: path.stat().st_mtime, reverse=True):
            lock = _Lock.take(path)
            if lock is not None:
                self._lock, self.path = lock, path
                try:
                    self.open()
                except BaseException:
                    self.close()
                    raise
                return True
        return False

    def left_behind(self) -> list[Path]:
        """Files of this very run that lie there already."""
        pattern = f"{self.name}*{SUFFIX}"
        return [path for folder in self.folders for path in sorted(folder.glob(pattern)) if path.is_file()]

    def remove(self) -> None:
        """The result is delivered: the file goes, and its folder if nothing else is in it."""
        self.close()
        super().remove()

    def close(self) -> None:
        """Let go of the file: others may go on with it."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _place(self, content: bytes) -> None:
        """The first time: in the first folder that can be written to, under a name that is nobody's."""
        if self.path is not None:
            super()._place(content)
            return
        for last in self.folders:
            try:
                last.mkdir(parents=True, exist_ok=True)
                self._lock, path = self._free(last)
                write_whole(path, content)
            except OSError:
                self.close()
                with suppress(OSError):
                    last.rmdir()
                if last == self.folders[-1]:
                    raise
            else:
                self.path = path
                return

    def _free(self, folder: Path) -> tuple[_Lock, Path]:
        """A name in a folder that is nobody's, and its lock."""
        number = 0
        while True:
            number += 1
            path = folder / f"{self.name}{f'-{number}' if number > 1 else ''}{SUFFIX}"
            lock = _Lock.take(path)
            if lock is not None and not path.exists():
                return lock, path
            if lock is not None:
                lock.release()


class _Lock:
    """A file beside another that says that the other is in hand."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path, self.handle = path, handle

    @classmethod
    def take(cls, path: Path) -> _Lock | None:
        """The lock of a file; None if another process, or another run of this one, holds it."""
        beside = path.with_name(f".{path.name}.lock")
        while True:
            handle = os.open(beside, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
            if not _locks(handle):
                os.close(handle)
                return None
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(beside)):
                    return cls(beside, handle)
            os.close(handle)  # its holder has taken it away meanwhile

    def release(self) -> None:
        with suppress(PermissionError):  # Windows keeps what is open
            self.path.unlink(missing_ok=True)
        os.close(self.handle)


def _locks(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows: two equal commands at once are not told apart there
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
