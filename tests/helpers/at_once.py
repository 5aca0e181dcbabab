"""Doing things at the same time, each on a thread of its own."""

from __future__ import annotations

import threading


def in_time(*actions, seconds: float = 60.0) -> list[Exception]:
    """Do things at once, each on a thread of its own, and come back when all are done; errors are returned."""
    errors = []

    def guarded(action):
        try:
            action()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(action,), daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads), "it hangs"
    return errors
