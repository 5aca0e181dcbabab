"""Ctrl-C that waits until what must not be left half done is done.

Python raises `KeyboardInterrupt` between any two instructions of the main thread. Where that would leave weights and
records out of step, the signal is held back here and delivered afterwards. Other threads get no such signal.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class _Held:
    """How often the signal is held back at present, what it then met, and whether one came."""

    depth = 0
    came = False
    handler: Any = None


def hold() -> None:
    """Hold interrupts back until the matching `release`; does nothing outside the main thread."""
    if not _in_main_thread():
        return
    if _Held.depth == 0 or signal.getsignal(signal.SIGINT) is not _note:
        _install()
    _Held.depth += 1


def release() -> None:
    """End a `hold`; an interrupt that came meanwhile is delivered at the end of the outermost one."""
    if not _in_main_thread():
        return
    _Held.depth = max(0, _Held.depth - 1)
    if _Held.depth == 0 and signal.getsignal(signal.SIGINT) is _note:
        signal.signal(signal.SIGINT, _Held.handler)
        if _Held.came:
            signal.raise_signal(signal.SIGINT)


def deliver() -> None:
    """Let an interrupt through that was held back: call this where nothing is half done.

    Raises
    ------
    KeyboardInterrupt
        One came, and nobody else handles it.
    """
    if _in_main_thread() and _Held.came and signal.getsignal(signal.SIGINT) is _note:
        _Held.came = False
        signal.signal(signal.SIGINT, _Held.handler)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            signal.signal(signal.SIGINT, _note)


@contextmanager
def held() -> Iterator[Callable[[], None]]:
    """Hold interrupts back for the length of a `with`; gives `deliver`."""
    hold()
    try:
        yield deliver
    finally:
        release()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _install() -> None:
    handler = signal.getsignal(signal.SIGINT)
    if handler is None:  # set by a library in C: it cannot be put back, so it stays
        return
    _Held.depth, _Held.came = 0, False
    if handler is not _note:
        _Held.handler = handler
    signal.signal(signal.SIGINT, _note)


def _note(_number: int, _frame: FrameType | None) -> None:
    _Held.came = True
