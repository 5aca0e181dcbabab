"""The square of Jupyter's tool bar stops what trains or flies on a thread.

It sends SIGINT to the kernel. While a cell runs, that ends the cell with a `KeyboardInterrupt`.
While none runs, the kernel ignores it, and a training on a thread would never know. From `watch`
on, both stop every watched session.

The kernel (ipykernel 6 and 7) sets a handler before every message and puts the old one back after
it. What a cell sets is undone when it ends. The handler is therefore set from the
kernel's event loop, between two messages. Outside a kernel nothing happens: there Ctrl-C reaches
the cell or the script that waits.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import weakref
from types import FrameType
from typing import Any, Protocol

AGAIN = 0.2  # s until the next try, while a cell that waits has a handler of its own


class Watched(Protocol):
    """What an interrupt has to know of a session."""

    @property
    def running(self) -> bool: ...

    def interrupted(self) -> None:
        """Stop, without waiting and without a lock."""


_watched: tuple[weakref.ref[Watched], ...] = ()  # replaced, never changed: the handler may read it at any moment
_adding = threading.Lock()
_told: weakref.WeakSet[Any] = weakref.WeakSet()  # shells whose cells are listened to


def watch(session: Watched) -> None:
    """Let the kernel's interrupt stop a session from now on; the session is not kept alive by that."""
    shell = _shell()
    if shell is None:
        return
    global _watched
    with _adding:
        alive = [reference for reference in _watched if reference() is not None]
        if all(reference() is not session for reference in alive):
            alive.append(weakref.ref(session))
        _watched = tuple(alive)
        if shell not in _told:
            shell.events.register("post_run_cell", _after_a_cell)
            _told.add(shell)
    # Also from another thread: with ipykernel 7 a button may be handled beside the main thread.
    shell.kernel.io_loop.add_callback(_listen, shell.kernel.io_loop)


def _shell() -> Any:
    """The shell of the kernel, or None outside Jupyter; IPython is not imported for that."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell if hasattr(getattr(shell, "kernel", None), "io_loop") else None


def _listen(loop: Any) -> None:
    """Take the place of the kernel's "ignore"; where a cell has a handler of its own, try again later."""
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:
        signal.signal(signal.SIGINT, _while_idle)
    elif handler is not _while_idle and any(session.running for session in _sessions()):
        loop.call_later(AGAIN, _listen, loop)


def _while_idle(_number: int, _frame: FrameType | None) -> None:
    """The handler between two cells. It takes no lock: what it interrupts may hold it."""
    for session in _sessions():
        session.interrupted()


def _after_a_cell(result: Any = None) -> None:
    """A cell has ended; one that an interrupt ended takes the threads with it."""
    # A cell that waits (async) has no result when it is interrupted.
    if result is None or isinstance(result.error_in_exec, KeyboardInterrupt | asyncio.CancelledError):
        for session in _sessions():
            session.interrupted()


def _sessions() -> list[Watched]:
    return [session for reference in _watched if (session := reference()) is not None]
