"""What panels share that draw while something runs: the thread, the pace, and the guard around a button."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape


class Drawing:
    """A thread that draws again and again until nothing changes any more; the next `start` makes a new one.

    Parameters
    ----------
    name : str
        Of the thread.
    draw : function
        Draws once, while `lock` is held. Returns the seconds until the next drawing, or None to end the thread.

    Attributes
    ----------
    lock : threading.RLock
        Held while something is drawn: callbacks of widgets may come on another thread.
    """

    def __init__(self, name: str, draw: Callable[[], float | None]) -> None:
        self.lock = threading.RLock()
        self._name, self._draw = name, draw
        self._thread: threading.Thread | None = None
        self._end = threading.Event()

    @property
    def active(self) -> bool:
        """Whether the thread draws."""
        return self._thread is not None

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._end.is_set()

    def start(self) -> None:
        """Draw from now on, unless it does already."""
        with self.lock:
            if self._thread is None and not self.ended:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Draw no more, and wait for the drawing that is under way."""
        self._end.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _loop(self) -> None:
        try:
            while (pause := self._once()) is not None:
                self._end.wait(pause)
        finally:
            with self.lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _once(self) -> float | None:
        """Draw. Under one lock it is decided whether to go on: a run that starts just now finds a thread or none."""
        with self.lock:
            pause = None if self.ended else self._draw()
            if pause is None:
                self._thread = None
            return pause


class OwnMoves:
    """Tells the knobs that a panel moves by itself from those that a person moves.

    Parameters
    ----------
    lock : threading.RLock
        Of the panel's `Drawing`.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock, self._own = lock, False

    @property
    def by_hand(self) -> bool:
        """Whether it was not the panel that moved a knob just now; waits for a drawing that is under way."""
        with self._lock:
            return not self._own

    @contextmanager
    def own(self) -> Iterator[None]:
        """What is moved inside is moved by the panel."""
        with self._lock:
            before, self._own = self._own, True
            try:
                yield
            finally:
                self._own = before


class Pace:
    """When something was drawn last."""

    def __init__(self) -> None:
        self._drawn: dict[str, float] = {}

    def due(self, what: str, period: float) -> bool:
        """Whether `what` has not been drawn for a period (s), give or take a moment of the clock; then it counts as
        drawn now."""
        now = time.monotonic()
        if now - self._drawn.get(what, -math.inf) < 0.9 * period:
            return False
        self._drawn[what] = now
        return True


def guarded(action: Callable[[], object], sorry: Callable[[Exception], str]) -> str:
    """Do what a widget asks for; returns the words for a failure, "" where there is none.

    ipywidgets would write the error into a log that nobody reads.
    """
    try:
        action()
    except Exception as error:
        return sorry(error)
    return ""


def failed(what: str, error: Exception, remedy: str = "") -> str:
    """What went wrong as HTML: "**Reset was not possible:** no data set is called 'x' …".

    Parameters
    ----------
    what : str
        A few words for what was tried, without a full stop; they are not escaped.
    error : Exception
        Its message is shown. Where the message was not written for a reader, the kind of the error follows.
    remedy : str
        A sentence that says what to do, if the message does not.
    """
    message = str(error).strip()
    kind = type(error).__name__
    if not message:
        message = f"an error of the kind {kind}"
    elif isinstance(error, OSError) and error.strerror:
        message = error.strerror + (f": {error.filename}" if error.filename else "")
    elif not isinstance(error, ValueError):
        message += f" ({kind})"
    end = "" if message.endswith((".", "!", "?")) else "."
    after = f" <i>{remedy}</i>" if remedy else ""
    return f'<b class="piwsl-error">{what}:</b> {escape(message)}{end}{after}'


def button_failed(name: str, error: Exception) -> str:
    """What the status line says when a button could not do its work."""
    return failed(f"{name} was not possible, nothing has changed", error, f"Then press {name} again.")


def drawing_failed(error: Exception) -> str:
    """What the status line says while training goes on that cannot be drawn."""
    return failed("Drawing failed, training goes on", error, "It is tried again every second.")
