"""What training and flying have in common: a loop that a cell or a thread drives, and that always ends.

`Driven` is the base of both sessions. One drive of the loop, from its start to its end, is a
`Drive`. Whoever stops or waits does so by it and never by a thread that may not have started.
"""

from __future__ import annotations

import atexit
import math
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import ClassVar, TypeVar

from piwsl_lab.lab.sessions import interrupt
from piwsl_lab.support import interrupts
from piwsl_lab.support.fairlock import FairLock
from piwsl_lab.support.memory import keep_memory

POLL = 0.1  # s between two checks whether the thread that is waited for still lives
RATE_WINDOW = 3.0  # s, over which the step rate is averaged
D = TypeVar("D", bound="Driven")


class Flag:
    """A switch that a signal handler may turn: unlike a `threading.Event`, it takes no lock."""

    def __init__(self) -> None:
        self._on = False

    def set(self) -> None:
        self._on = True

    def is_set(self) -> bool:
        return self._on


class Drive:
    """One drive of a loop, from its start to its end.

    Attributes
    ----------
    owner : Thread
        Whose loop it is: a thread of its own, or the one that called `run`.
    activity : str
        What it does at the moment, "idle" when it has ended.
    stop, abort : Flag
        Take no further step; and give up what comes after the steps too.
    halted, ended : Event
        No further step is taken; nothing is done any more.
    """

    def __init__(self, owner: threading.Thread, activity: str, in_background: bool) -> None:
        self.owner, self.activity, self.in_background = owner, activity, in_background
        self.stop, self.abort = Flag(), Flag()
        self.halted, self.ended = threading.Event(), threading.Event()

    def end(self) -> None:
        self.activity = "idle"
        self.halted.set()
        self.ended.set()

    @property
    def has_ended(self) -> bool:
        """Also where a thread died without a word."""
        return self.ended.is_set() or not self.owner.is_alive()

    def wait_for(self, event: threading.Event) -> None:
        """Wait until it halted or ended, unless its own thread asks; a thread that died has ended."""
        while self.owner is not threading.current_thread() and self.owner.is_alive() and not event.wait(POLL):
            interrupts.deliver()


class Rate:
    """Steps per second, averaged over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=200)

    def note(self, step: int) -> None:
        """So many steps are taken now."""
        self._marks.append((time.perf_counter(), step))
        while self._marks[-1][0] - self._marks[0][0] > RATE_WINDOW:
            self._marks.popleft()

    @property
    def per_second(self) -> float:
        """0 before the second step."""
        marks = list(self._marks)
        if len(marks) < 2:
            return 0.0
        (t0, s0), (t1, s1) = marks[0], marks[-1]
        return (s1 - s0) / max(t1 - t0, 1e-9)


class Driven:
    """A session whose loop is driven by `run` in a cell or by `start` and `stop`.

    Attributes
    ----------
    lock : FairLock
        Held during every step: take it to read or change what a step changes.
    error : Exception or None
        What ended the loop.
    notice : str
        One sentence for the person, for instance that the kernel's interrupt stopped it; cleared by the next start.
    listeners : list of functions without arguments
        Called when the loop begins. One that fails is named in `notice`, and the loop goes on.
    """

    _alive: ClassVar[weakref.WeakSet[Driven]] = weakref.WeakSet()
    BUSY: ClassVar[str]  # the activity while steps are taken
    THREAD: ClassVar[str]
    INTERRUPTED: ClassVar[str]  # what `notice` says then

    def __init__(self) -> None:
        self.lock = FairLock()
        self.error: Exception | None = None
        self.notice = ""
        self.listeners: list[Callable[[], None]] = []
        self._gate = threading.Lock()  # held for a moment only: who drives?
        self._drive: Drive | None = None
        Driven._alive.add(self)

    # What a session has to say -------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Get ready for a new drive."""

    @property
    def finished(self) -> bool:
        """Whether no step is left."""
        raise NotImplementedError

    @property
    def steps_taken(self) -> int:
        """Steps so far, as `last` counts them."""
        raise NotImplementedError

    def _advance(self, last: float) -> None:
        """Go on by a step or a few, up to step `last`; the lock is held."""
        raise NotImplementedError

    def _after_steps(self, drive: Drive) -> None:
        """What belongs to the steps and comes after the last of them, in a cell and on a thread."""

    def _afterwards(self, drive: Drive) -> None:
        """What a thread does after its last step, until `drive.abort` is set."""

    # What it is doing ----------------------------------------------------------------------------------------------

    @property
    def activity(self) -> str:
        """What the loop does at the moment; "idle" while there is none."""
        drive = self._drive
        return "idle" if drive is None or drive.has_ended else drive.activity

    @property
    def running(self) -> bool:
        """Whether steps are being taken; what comes after them does not count."""
        return self.activity == self.BUSY

    @property
    def busy(self) -> bool:
        """Whether the loop does anything at all."""
        return self.activity != "idle"

    @property
    def _thread(self) -> threading.Thread | None:
        drive = self._drive
        return drive.owner if drive is not None and drive.in_background else None

    # Driving -------------------------------------------------------------------------------------------------------

    def _take_steps(self, drive: Drive, last: float) -> None:
        """The loop of every session: steps until one asks to stop, `last` is reached or none is left."""
        keep_memory()
        while self.steps_taken < last and not self.finished and not drive.stop.is_set():
            with self.lock:
                self._advance(last)
            interrupts.deliver()
        self._after_steps(drive)

    def _run_here(self, last: float, announce: bool = True) -> None:
        """Take steps in this thread; Ctrl-C comes through between two of them."""
        with interrupts.held():
            before = self._drive
            try:
                drive = self._new_drive(in_background=False)
                if drive is None:
                    raise ValueError(f"the session is {self.BUSY} already: call stop() first")
                self._drive_here(drive, last, announce)
            finally:
                try:
                    self._end_since(before)
                finally:  # twice: an error may come in the first
                    self._end_since(before)
        if self.error is not None:
            raise self.error

    def _drive_here(self, drive: Drive, last: float, announce: bool) -> None:
        try:
            if announce:
                self._announce()
            self._take_steps(drive, last)
        except Exception as error:
            self.error = error

    def _end_since(self, before: Drive | None) -> None:
        """End the drive that this thread has begun since then, if there is one."""
        mine = self._drive
        if mine is not None and mine is not before and mine.owner is threading.current_thread():
            mine.end()

    def start(self) -> None:
        """Drive the loop on a daemon thread; an exception ends up in `error`. A running session is left alone.

        Raises
        ------
        RuntimeError
            The system can start no thread; the session is then at rest.
        """
        with interrupts.held():
            drive = self._new_drive(in_background=True)
        if drive is not None:
            interrupt.watch(self)
            self._announce()

    def stop(self) -> None:
        """Stop after the step under way, and wait for that.

        It returns at once after a start that failed, and on the thread that trains, which cannot wait for itself.
        """
        drive = self._drive
        if drive is not None:
            drive.stop.set()
            drive.wait_for(drive.halted)

    def wait(self: D) -> D:
        """Wait until everything is done, what comes after the steps included."""
        drive = self._drive
        if drive is not None:
            drive.wait_for(drive.ended)
        return self

    def abandon(self) -> None:
        """Stop, give up what comes after the steps, and wait for the end."""
        drive = self._drive
        if drive is not None:
            drive.abort.set()
            self.stop()
            drive.wait_for(drive.ended)

    def interrupted(self) -> None:
        """Stop what trains or flies on a thread, without waiting; a signal handler may call this."""
        drive = self._drive
        if drive is not None and drive.in_background and drive.activity == self.BUSY:
            drive.stop.set()
            self.notice = self.INTERRUPTED

    def _new_drive(self, in_background: bool) -> Drive | None:
        """Begin a drive, on a thread or in this one; None where steps are being taken already, or by this thread."""
        while True:
            with self._gate:
                before = self._drive
                if before is None or before.has_ended:
                    drive = Drive(threading.current_thread(), self.BUSY, in_background)
                    if in_background:
                        drive.owner = threading.Thread(target=self._work, args=(drive,), name=self.THREAD, daemon=True)
                        drive.owner.start()  # it waits at the gate
                    self._prepare()
                    self.error, self.notice, self._drive = None, "", drive
                    return drive
                if self.running or before.owner is threading.current_thread():
                    return None
            before.abort.set()
            before.wait_for(before.ended)

    def _announce(self) -> None:
        for listener in list(self.listeners):
            try:
                listener()
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                self.notice = f"Something that watches this session failed ({what}); the session goes on."

    def _work(self, drive: Drive) -> None:
        with self._gate:
            pass  # until everybody can see this drive
        try:
            self._take_steps(drive, math.inf)
            drive.halted.set()
            self._afterwards(drive)
        except Exception as error:  # whoever drives the session shows it to the person
            self.error = error
        finally:
            drive.end()


def _abandon_all() -> None:
    # A thread that is inside torch when Python ends would end it with a crash.
    for session in list(Driven._alive):
        session.abandon()


atexit.register(_abandon_all)
