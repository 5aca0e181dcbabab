"""SIGTERM and SIGHUP that end a command as Ctrl-C does: what it has done so far is saved first."""

from __future__ import annotations

import atexit
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

STOPS = ("SIGTERM", "SIGHUP", "SIGBREAK")  # the middle one is missing on Windows, the last one elsewhere
# What a command returns.
FAILED, BAD_INPUT = 1, 2
INTERRUPTED = 128 + signal.SIGINT  # after a KeyboardInterrupt


@dataclass
class Stop:
    """Which signal came; 0 before one did, and after a Ctrl-C."""

    number: int = 0

    def code(self, code: int) -> int:
        """The exit code of a command: 130 becomes 143 after SIGTERM and 129 after SIGHUP."""
        return 128 + self.number if self.number and code == INTERRUPTED else code


def deaf_at_the_end() -> None:
    """Let no further signal break off the end of Python, once a command was interrupted and has said so."""
    atexit.unregister(_deaf)
    atexit.register(_deaf)  # last registered, first called: before libraries take themselves apart


def _deaf() -> None:
    for number in (getattr(signal, name, None) for name in ("SIGINT", *STOPS)):
        if number is not None:
            signal.signal(number, signal.SIG_IGN)


@contextmanager
def as_interrupts() -> Iterator[Stop]:
    """Let SIGTERM and SIGHUP raise a `KeyboardInterrupt` in the main thread, for the length of a `with`.

    They go the way of SIGINT, so that `support.interrupts` holds them back too. A signal that was ignored before
    (`nohup`) stays ignored. Outside the main thread nothing changes.
    """
    stop = Stop()
    before: dict[int, Any] = {}

    def end(number: int, _frame: FrameType | None) -> None:
        stop.number = stop.number or number
        signal.raise_signal(signal.SIGINT)

    def only_then(_number: int, _frame: FrameType | None) -> None:
        if stop.number:
            raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in (getattr(signal, name, None) for name in STOPS):
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, end)
        # A shell starts what runs in the background with Ctrl-C ignored: SIGTERM shall end that too.
        if before and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            before[signal.SIGINT] = signal.signal(signal.SIGINT, only_then)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
