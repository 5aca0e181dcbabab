"""A worker whose doors do what no door may, so that the harness can show that it notices."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

from address_space import limit

from fuzz.worker import serve
from piwsl_lab.data.frames.frame import DataWarning


class OurError(ValueError):
    """As a reader of ours would raise it."""


OurError.__module__ = "piwsl_lab.fuzz"


class Doubt(DataWarning):
    """As the check of a data set warns."""


def refuse(error: Exception) -> Callable[[], object]:
    def step() -> None:
        raise error

    return step


def turn_for_ever() -> None:
    while True:
        pass


DOORS: dict[str, Callable[[Path], list[Callable[[], object]]]] = {
    "good": lambda path: [path.read_bytes],
    "warning": lambda path: [lambda: warnings.warn("large", UserWarning, stacklevel=1)],
    "doubting": lambda path: [lambda: warnings.warn("forces of 1e30", Doubt, stacklevel=1), path.read_bytes],
    "refusing": lambda path: [refuse(OurError(f"{path}: is damaged")), path.read_bytes],
    "late": lambda path: [path.read_bytes, refuse(OurError(f"{path}: has too few frames"))],
    "plain": lambda path: [refuse(ValueError(f"{path.name}: is damaged"))],
    "unnamed": lambda path: [refuse(ValueError("is damaged"))],
    "decoding": lambda path: [refuse(UnicodeDecodeError("utf-8", b"", 0, 1, str(path)))],
    "raising": lambda path: [path.read_bytes, refuse(KeyError(str(path))), path.read_bytes],
    "greedy": lambda path: [lambda: bytearray(8 << 30)],
    "dying": lambda path: [lambda: os.kill(os.getpid(), signal.SIGFPE)],
    "leaving": lambda path: [lambda: os._exit(3)],
    "hanging": lambda path: [turn_for_ever],
    "printing": lambda path: [lambda: os.write(1, b"a library talks\n")],
}

if __name__ == "__main__":
    limit()
    serve(DOORS)
