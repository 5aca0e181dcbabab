"""A lock for one greedy loop and some patient readers."""

from __future__ import annotations

import threading


class FairLock:
    """A re-entrant lock that is handed over in turn.

    A loop that takes a plain lock at every step gets it back before anybody else wakes up; here whoever waits holds the
    turnstile, and the loop has to queue behind.
    """

    def __init__(self) -> None:
        self._turnstile, self._lock = threading.Lock(), threading.RLock()
        self._owner, self._depth = None, 0

    def __enter__(self) -> FairLock:
        if self._owner == threading.get_ident():
            self._lock.acquire()
        else:
            with self._turnstile:
                self._lock.acquire()
        self._owner, self._depth = threading.get_ident(), self._depth + 1
        return self

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
        self._lock.release()
