"""A lock for one greedy loop and some patient readers."""

from __future__ import annotations

import threading

from piwsl_lab.support import interrupts

PATIENCE = 0.1  # s between two looks for an interrupt, while the main thread waits


class FairLock:
    """A re-entrant lock that is handed over in turn.

    A loop that takes a plain lock at every step gets it back before anybody else wakes up. Here
    whoever waits holds the turnstile, and the loop has to queue behind.

    Ctrl-C in the main thread waits until the lock is given back, so that nothing behind it is left half done. While
    the main thread waits for the lock, an interrupt comes through at once.
    """

    def __init__(self) -> None:
        self._turnstile, self._lock = threading.Lock(), threading.RLock()
        self._owner: int | None = None
        self._depth = 0

    def __enter__(self) -> FairLock:
        interrupts.hold()
        try:
            if self._owner == threading.get_ident():
                self._lock.acquire()
            else:
                _take(self._turnstile)
                try:
                    _take(self._lock)
                finally:
                    self._turnstile.release()
        except BaseException:
            interrupts.release()
            raise
        self._owner, self._depth = threading.get_ident(), self._depth + 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
        self._lock.release()
        interrupts.release()


def _take(lock: threading.Lock | threading.RLock) -> None:
    """Acquire a lock; an interrupt may come meanwhile."""
    while not lock.acquire(timeout=PATIENCE):
        interrupts.deliver()
