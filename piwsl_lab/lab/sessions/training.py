"""`Session`: twin potentials that learn the same frames in turn, with or without a screen.

A session knows nothing of widgets. A cell or a test drives it with `run(n)`, a button with `start()` and `stop()`;
`loop.py` has the loop of both. Whoever wants to draw reads plain Python
values (`twin.records`, `twin.points`, `twin.history`) whenever it likes; the loop itself never draws.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.data.checked import doubts
from piwsl_lab.lab.parts.colours import potential_kind
from piwsl_lab.lab.sessions import saved, saving
from piwsl_lab.lab.sessions.loop import Drive, Driven, Rate
from piwsl_lab.lab.sessions.preview import simulate
from piwsl_lab.lab.sessions.twin import Twin, steps_of, taught_by_piwsl
from piwsl_lab.piwsl.objective import Objective, suited
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import Task, build_trainer, prepare
from piwsl_lab.support.device import leave_cores_to_the_browser
from piwsl_lab.training.errors import Metrics, evaluate

MONITOR_FRAMES = 24  # test frames scored while training runs
MONITOR_SECONDS = 0.11  # wanted time between two scores: curves that move eight or nine times a second
MONITOR_SHARE = 0.1  # ... unless scoring would then cost more than this share of the time


class Session(Driven):
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
        are conservative by default, as in `piwsl_lab.study.compare`, since that is what a dual potential answers with.
    monitor_every : int or None
        Steps between two scores on the monitored test frames. None adapts to the machine: about five a second, but
        never more than a tenth of the time.

    Attributes
    ----------
    twins : list of Twin
    pins : list of dict
        The pinned runs.
    doubts : str
        What looks wrong in a data file of one's own; "" if nothing does.
    taught : dict of bool
        By name: whether a twin counts as taught by PIWSL.
    next_monitor : int
        Step of the next score.
    """

    BUSY: ClassVar[str] = "training"
    THREAD: ClassVar[str] = "piwsl-session"
    INTERRUPTED: ClassVar[str] = "Stopped by the kernel's interrupt. Train goes on where it stopped."

    def __init__(
        self,
        setup: Setup | None = None,
        objectives: Mapping[str, Objective] | None = None,
        monitor_every: int | None = None,
        heads: Mapping[str, str] | None = None,
    ) -> None:
        self.setup = setup or Setup()
        if objectives is None:
            weights: dict[str, Any] = suited(self.setup.head)
            objectives = {"supervised": Objective(), "PIWSL": Objective(**weights)}
        if not objectives:
            raise ValueError("a session needs at least one twin: give objectives={'name': Objective(...)}")
        self.heads = dict(heads or {})
        if unknown := sorted(self.heads.keys() - objectives.keys()):
            raise ValueError(f"heads: no twin is called {unknown[0]!r}; this session has {list(objectives)}")
        leave_cores_to_the_browser()
        super().__init__()
        self.monitor_every = monitor_every
        self.pins: list[dict[str, Any]] = []
        self.taught = {name: taught_by_piwsl(name, objective) for name, objective in objectives.items()}
        self._install(self._built(self.setup, {name: replace(objective) for name, objective in objectives.items()}))

    def _built(self, setup: Setup, objectives: dict[str, Objective]) -> _Built:
        """Data and twins of a setup; the session stays as it is."""
        task = prepare(setup)
        twins = []
        for name, objective in objectives.items():
            one = replace(setup, head=self._head(setup.head, name, objective, last=name == list(objectives)[-1]))
            kind = potential_kind(one.head, self.taught[name])
            twins.append(Twin(name, one, build_trainer(one, task, objective), kind))
        built = _Built(setup, task, twins)
        for twin in twins:  # before anybody can see them: they are drawn from another thread
            twin.monitor(built.monitored)
        return built

    def _install(self, built: _Built) -> None:
        """Put new data and twins in the place of the old ones."""
        with self.lock:
            self._rate = Rate()
            self.next_monitor = self.monitor_every or 1
            self.setup, self.task = built.setup, built.task
            self.test_frames, self._monitored = built.test_frames, built.monitored
            self.twins: list[Twin] = built.twins
            self.error, self.notice, self.doubts = None, "", built.doubts

    def _head(self, head: str, name: str, objective: Objective, last: bool) -> str:
        """Where the forces of a twin come from."""
        two_heads = objective.gradient > 0 or "gradient" in objective.schedules
        if head == "dual" and not last and not two_heads:
            head = "conservative"
        return self.heads.get(name, head)

    def reset(self, setup: Setup | None = None) -> None:
        """Stop, and begin again with new weights; the objectives and the pinned runs are kept.

        Raises
        ------
        ValueError
            The setup cannot be built; the session then still holds the old one.
        """
        self.abandon()
        # Not behind the lock: an interrupt must be able to end a download.
        self._install(self._built(setup or self.setup, {twin.name: twin.objective for twin in self.twins}))

    # -- on disk ---------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path) -> list[Path]:
        """Write everything into a folder, so that `Session.load` goes on where this session is now.

        A session that trains goes on training. An older session in the folder is replaced as a whole.

        Returns
        -------
        list of Path
            The files: `session.json`, the curves, and a checkpoint for every twin.

        Raises
        ------
        ValueError
            The folder holds other things or cannot be written to, or a schedule is a function.
        """
        return saving.write(self, folder)

    @classmethod
    def load(
        cls, folder: str | Path, *, data: str | None = None, test_part: str | None = None, device: str | None = None
    ) -> Session:
        """The session that was saved in a folder, at rest; it goes on as if it had never ended.

        Parameters
        ----------
        folder : path
        data, test_part : str, optional
            Where the files with its frames are now, if they have moved.
        device : str, optional
            Where it is to go on; where it was by default.

        Raises
        ------
        ValueError
            A file is missing, damaged or of a newer piwsl-lab, or the data set holds other frames than it did.
        """
        run = saved.read_record(folder)
        asked = {"data": data, "test_part": test_part, "device": device}
        given = {name: value for name, value in asked.items() if value is not None}
        task, twins = saved.twins_of(run, given)
        session = cls.__new__(cls)
        Driven.__init__(session)
        session.monitor_every, session.pins = run.monitor_every, run.pins
        session.heads = run.heads
        session.taught = {twin.name: twin.taught for twin in run.twins}
        session._install(_Built(saved.elsewhere(run.setup, given), task, twins))
        session.next_monitor = run.next_monitor
        leave_cores_to_the_browser()
        return session

    # -- what it is doing ------------------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Steps that every twin has taken that goes on; those of the longest where all have ended."""
        return steps_of(self.twins)

    @property
    def steps_taken(self) -> int:
        return self.step

    @property
    def steps(self) -> int:
        return self.setup.steps

    @property
    def finished(self) -> bool:
        return all(twin.ended for twin in self.twins)

    @property
    def steps_per_second(self) -> float:
        """Steps of all twins together count as one; 0 before the second step."""
        return self._rate.per_second

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

    def set_objective(self, field: str, value: Any) -> None:
        """Move a knob of the last twin; its next step uses the value, and a schedule of that field ends here."""
        with self.lock:
            self.twins[-1].objective.override(field, value)

    # -- the loop --------------------------------------------------------------------------------------------------

    def run(self, n: int | None = None) -> Session:
        """Take n steps (all that are left by default) and come back; exceptions are raised here."""
        self._run_here(self.steps if n is None else self.step + n)
        return self

    def _prepare(self) -> None:
        self._rate = Rate()
        for twin in self.twins:
            twin.trajectory = None

    def _after_steps(self, drive: Drive) -> None:
        drive.activity = "scoring" if self.finished else "stopping"
        with self.lock:
            self._monitor(self.twins)
            if self.finished:
                self._finish()

    def _afterwards(self, drive: Drive) -> None:
        """Every twin moves a molecule for a moment (`twin.trajectory`)."""
        drive.activity = "simulating"
        for twin in self.twins:
            if not drive.abort.is_set():
                twin.trajectory = simulate(twin.potential, self.test_frames[0], drive.abort.is_set)

    def _advance(self, last: float) -> None:
        """One step of every twin, in turn."""
        self._monitor_when_due()  # an error may have come between the last step and its score
        twins, target = self.twins, self.step + 1
        for twin in twins:
            if len(twin.records) < target and not twin.ended:  # it is ahead when the one after it failed in this step
                twin.step()
        if twins is not self.twins:  # reset from inside a step: these are gone
            return
        self._rate.note(self.step)
        self._monitor_when_due()

    # -- scores ----------------------------------------------------------------------------------------------------

    def _monitor_when_due(self) -> None:
        """Score now and then: every twin at fixed steps, or one twin after the other as often as the time allows."""
        if self.step < self.next_monitor:
            return
        if self.monitor_every is not None:
            self._monitor(self.twins)
            self.next_monitor = self.step + self.monitor_every
        else:
            began = time.perf_counter()
            unscored = [twin for twin in self.twins if twin.points[-1][0] < len(twin.records)]
            self._monitor(sorted(unscored, key=lambda twin: twin.points[-1][0])[:1])
            pause = max(MONITOR_SECONDS, (time.perf_counter() - began) / MONITOR_SHARE)
            self.next_monitor = self.step + max(1, round(pause * self.steps_per_second))

    def _monitor(self, twins: list[Twin]) -> None:
        """Score the current weights of twins on the monitored test frames."""
        for twin in twins:
            twin.monitor(self._monitored)

    def _finish(self) -> None:
        """Put the best weights back and score them on all test frames, as `piwsl-lab compare` does."""
        for twin in self.twins:
            if twin.final is None:
                twin.trainer.restore_best()
                twin.snapshot = twin.predict(self._monitored)[0]
                twin.final = evaluate(twin.potential, self.task.test)  # last: what is broken off here is done again

    # -- results ---------------------------------------------------------------------------------------------------

    def evaluate(self) -> dict[str, Metrics]:
        """Score the present weights of every twin on all test frames."""
        with self.lock:  # all of them at the same step
            return {twin.name: evaluate(twin.potential, self.task.test) for twin in self.twins}

    def pin(self, label: str | None = None) -> dict[str, Any]:
        """Remember the settings and the present scores as one row of the table of runs."""
        with self.lock:  # settings and scores of one step
            row = {"label": label or f"run {len(self.pins) + 1}", "step": self.step, "setup": replace(self.setup)}
            row["frames"] = len(self.task.test if self.twins[0].final else self.test_frames)
            # What the last step used, not where the sliders stand now; and whether it was so from the start.
            row["twins"] = {t.name: (replace(t.used), t.metrics, len(t.changes) > 1) for t in self.twins}
            row["kinds"] = {t.name: t.kind for t in self.twins}
            row["heads"] = {t.name: t.setup.head for t in self.twins}
            self.pins.append(row)
        return row


class _Built:
    """Data and twins of a setup, and the test frames that are scored while they train."""

    def __init__(self, setup: Setup, task: Task, twins: list[Twin]) -> None:
        self.setup, self.task, self.twins = setup, task, twins
        self.doubts = doubts(setup.data)
        self.test_frames = task.test[:MONITOR_FRAMES]
        self.monitored: GraphSet = twins[0].potential.graphs(self.test_frames, skin=0.0)
