"""`Session`: twin potentials that learn the same frames in turn, with or without a screen.

A session knows nothing of widgets. A cell or a test drives it with `run(n)`, a button with `start()` and `stop()`;
both go through `Session._advance`, the only place where a step is taken. Whoever wants to draw reads plain Python
values (`twin.records`, `twin.points`, `twin.history`) whenever it likes; the loop itself never draws.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch

from piwsl_lab.graph import GraphSet
from piwsl_lab.lab.colours import kind_of
from piwsl_lab.lab.fairlock import FairLock
from piwsl_lab.lab.trajectory import simulate
from piwsl_lab.lab.twin import Twin, taught_by_piwsl
from piwsl_lab.metrics import Metrics, evaluate
from piwsl_lab.objective import Objective, suited
from piwsl_lab.study import Setup, Task, build_trainer, prepare

MONITOR_FRAMES = 24  # test frames scored while training runs
MONITOR_SECONDS = 0.15  # wanted time between two scores: curves that move about six times a second
MONITOR_SHARE = 0.1  # ... unless scoring would then cost more than this share of the time
RATE_WINDOW = 3.0  # s, over which the step rate is averaged


class Session:
    """Twins trained in turn on the same batches and the same seed.

    Parameters
    ----------
    setup : Setup
        Data, model and training; `piwsl_lab.study` explains the fields.
    objectives : mapping of name → Objective
        One twin each. The last one is the twin that the sliders of the panel act on. By default a supervised and a
        PIWSL twin, with the weights of `suited(setup.head)`.
    heads : mapping of name → head, optional
        Twins whose forces come from elsewhere than `setup.head` says. With a dual head the rivals of the last twin
        are conservative by default, as in `piwsl_lab.comparison`, since that is what a dual potential answers with.
    monitor_every : int or None
        Steps between two scores on the monitored test frames. None adapts to the machine: about five a second, but
        never more than a tenth of the time.
    """

    def __init__(
        self,
        setup: Setup | None = None,
        objectives: Mapping[str, Objective] | None = None,
        monitor_every: int | None = None,
        heads: Mapping[str, str] | None = None,
    ) -> None:
        self.setup = setup or Setup()
        if objectives is None:
            objectives = {"supervised": Objective(), "PIWSL": Objective(**suited(self.setup.head))}
        if not objectives:
            raise ValueError("a session needs at least one twin: give objectives={'name': Objective(...)}")
        self._heads = dict(heads or {})
        if unknown := sorted(self._heads.keys() - objectives.keys()):
            raise ValueError(f"heads: no twin is called {unknown[0]!r}; this session has {list(objectives)}")
        _leave_cores_to_the_browser()
        self.monitor_every = monitor_every
        self.lock = FairLock()
        self.error: Exception | None = None
        self.pins: list[dict[str, Any]] = []
        self.listeners: list[Callable[[], None]] = []  # called when the loop begins to run
        self.activity = "idle"  # or "training", "stopping", "scoring" (all test frames), "simulating"
        self._objectives = {name: replace(objective) for name, objective in objectives.items()}
        self._taught = {name: taught_by_piwsl(name, objective) for name, objective in objectives.items()}
        self._thread: threading.Thread | None = None
        self._stop, self._abort, self._halted = threading.Event(), threading.Event(), threading.Event()
        self._halted.set()
        self._build()
        # A thread that is inside torch when Python ends would end it with a crash.
        atexit.register(_abandon_if_alive, weakref.ref(self))

    def _build(self) -> None:
        """Prepare the data and the twins; on failure the session stays as it was."""
        task = prepare(self.setup)
        test = task.test[:MONITOR_FRAMES]
        twins = []
        for name, objective in self._objectives.items():
            setup = replace(self.setup, head=self._head(name, objective))
            kind = kind_of(setup.head, self._taught[name])
            twins.append(Twin(name, setup, build_trainer(setup, task, replace(objective)), objective, kind))
        self._monitored: GraphSet = twins[0].potential.graphs(test, skin=0.0)
        self._monitor(twins)  # before anybody can see the new twins: they are drawn from another thread
        self._rate: deque[tuple[float, int]] = deque(maxlen=200)
        self._next_monitor = self.monitor_every or 1
        self.task: Task = task
        self.test_frames = test
        self.twins: list[Twin] = twins

    def _head(self, name: str, objective: Objective) -> str:
        """Where the forces of a twin come from."""
        head = self.setup.head
        two_heads = objective.gradient > 0 or "gradient" in objective.schedules
        if head == "dual" and name != list(self._objectives)[-1] and not two_heads:
            head = "conservative"
        return self._heads.get(name, head)

    def reset(self, setup: Setup | None = None) -> None:
        """Stop, and begin again with new weights; the objectives and the pinned runs are kept.

        Raises
        ------
        ValueError
            The setup cannot be built; the session then still holds the old one.
        """
        self._abandon()
        with self.lock:
            before = self.setup
            self.setup = setup or self.setup
            self._objectives = {twin.name: twin.objective for twin in self.twins}
            try:
                self._build()
            except Exception:
                self.setup = before
                raise
            self.error = None

    # -- what it is doing ------------------------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether steps are being taken (scoring and simulating afterwards do not count)."""
        return self.activity == "training"

    @property
    def busy(self) -> bool:
        return self.activity != "idle"

    @property
    def step(self) -> int:
        """Steps that every twin has taken."""
        return min(len(twin.records) for twin in self.twins)

    @property
    def steps(self) -> int:
        return self.setup.steps

    @property
    def finished(self) -> bool:
        return all(twin.trainer.finished for twin in self.twins)

    @property
    def steps_per_second(self) -> float:
        """Steps of all twins together count as one; 0 before the second step."""
        marks = list(self._rate)
        if len(marks) < 2:
            return 0.0
        (t0, s0), (t1, s1) = marks[0], marks[-1]
        return (s1 - s0) / max(t1 - t0, 1e-9)

    @property
    def seconds_left(self) -> float:
        """Time to the last step at the present rate; infinite while the rate is unknown."""
        rate = self.steps_per_second
        return (self.steps - self.step) / rate if rate else float("inf")

    def twin(self, name: str) -> Twin:
        for twin in self.twins:
            if twin.name == name:
                return twin
        raise ValueError(f"no twin {name!r}: this session has {[t.name for t in self.twins]}")

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self, n: int | None = None) -> Session:
        """Take n steps (all that are left by default) and come back; exceptions are raised here."""
        if self.running:
            raise ValueError("the session is running already: call stop() first")
        self._begin()
        try:
            self._loop(self.steps if n is None else self.step + n)
        finally:  # also when the cell is interrupted
            self.activity = "idle"
        if self.error is not None:
            raise self.error
        return self

    def start(self) -> None:
        """Take the remaining steps on a daemon thread; an exception ends up in `error`.

        When it ends, every twin moves a molecule for a moment (`twin.trajectory`). A running session is left alone.
        """
        if self.running:
            return
        self._begin()
        self._thread = threading.Thread(target=self._work, name="piwsl-session", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the step under way, and wait for that. The short trajectories are still made."""
        self._stop.set()
        self._halted.wait()

    def wait(self) -> Session:
        """Wait until the thread has done everything, short trajectories included."""
        if self._thread is not None:
            self._thread.join()
        return self

    def _abandon(self) -> None:
        """Stop and give up the short trajectories too."""
        self._abort.set()
        self.stop()
        self.wait()

    def _begin(self) -> None:
        self._abandon()
        for event in (self._stop, self._abort, self._halted):
            event.clear()
        self._rate.clear()
        self.error = None
        for twin in self.twins:
            twin.trajectory = None
        self.activity = "training"
        for listener in self.listeners:
            listener()

    def _work(self) -> None:
        self._loop(self.steps)
        try:
            if self.error is None:
                self._simulate()
        except Exception as error:
            self.error = error
        finally:
            self.activity = "idle"

    def _loop(self, last: int) -> None:
        try:
            while self.step < min(last, self.steps) and not self._stop.is_set():
                with self.lock:
                    self._advance()
            self.activity = "scoring" if self.finished else "stopping"
            with self.lock:
                self._monitor(self.twins)
                if self.finished:
                    self._finish()
        except Exception as error:  # whoever drives the session shows it to the person
            self.error = error
        finally:
            self._halted.set()

    def _advance(self) -> None:
        """One step of every twin, in turn: the one code path of both drivers."""
        target = self.step + 1
        for twin in self.twins:
            if len(twin.records) < target:  # a twin is ahead when the one after it failed in this step
                twin.step()
        self._rate.append((time.perf_counter(), self.step))
        while self._rate[-1][0] - self._rate[0][0] > RATE_WINDOW:
            self._rate.popleft()
        self._monitor_when_due()

    # -- scores ----------------------------------------------------------------------------------------------------

    def _monitor_when_due(self) -> None:
        """Score now and then: every twin at fixed steps, or one twin after the other as often as the time allows."""
        if self.step < self._next_monitor:
            return
        if self.monitor_every is not None:
            self._monitor(self.twins)
            self._next_monitor = self.step + self.monitor_every
        else:
            began = time.perf_counter()
            self._monitor([min(self.twins, key=lambda twin: twin.points[-1][0])])
            pause = max(MONITOR_SECONDS, (time.perf_counter() - began) / MONITOR_SHARE)
            self._next_monitor = self.step + max(1, round(pause * self.steps_per_second))

    def _monitor(self, twins: list[Twin]) -> None:
        """Score the current weights of twins on the monitored test frames."""
        for twin in twins:
            twin.monitor(self._monitored)

    def _finish(self) -> None:
        """Put the best weights back and score them on all test frames, as `piwsl-lab compare` does."""
        for twin in self.twins:
            if twin.final is None:
                twin.trainer.restore_best()
                twin.final = evaluate(twin.potential, self.task.test)
                twin.snapshot = twin.look(self._monitored)[0]

    def _simulate(self) -> None:
        self.activity = "simulating"
        for twin in self.twins:
            if not self._abort.is_set():
                twin.trajectory = simulate(twin.potential, self.test_frames[0], self._abort.is_set)

    # -- results ---------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, Metrics]:
        """Score the present weights of every twin on all test frames."""
        with self.lock:
            return {twin.name: evaluate(twin.potential, self.task.test) for twin in self.twins}

    def pin(self, label: str | None = None) -> dict[str, Any]:
        """Remember the settings and the present scores as one row of the table of runs."""
        row = {"label": label or f"run {len(self.pins) + 1}", "step": self.step, "setup": replace(self.setup)}
        row["frames"] = len(self.task.test if self.twins[0].final else self.test_frames)
        # What the last step used, not where the sliders stand now; and whether it was so from the start.
        row["twins"] = {t.name: (replace(t.trainer.objective), t.metrics, len(t.changes) > 1) for t in self.twins}
        row["heads"] = {t.name: t.setup.head for t in self.twins}
        self.pins.append(row)
        return row


def _leave_cores_to_the_browser() -> None:
    """Take half of the cores at most, unless OMP_NUM_THREADS says otherwise.

    A second thread makes a step on a small molecule about a tenth faster; when the browser needs that core to draw, the
    threads wait for each other and every step takes several times as long.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), max(1, (os.cpu_count() or 1) // 2)))


def _abandon_if_alive(session: weakref.ref[Session]) -> None:
    if (alive := session()) is not None:
        alive._abandon()
