"""`Replay`: a stored run that is shown as if it were training, within ten seconds.

It has what a `Session` has for those that draw; nothing is trained. The stored runs lie in `stored/`, one folder each,
and are made by `tools/make_stored_run.py`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from piwsl_lab.data import Frame
from piwsl_lab.lab.sessions.saved import SESSION, SavedTwin, read_record
from piwsl_lab.lab.sessions.twin import Predictions
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import Task, prepare
from piwsl_lab.training.errors import Metrics
from piwsl_lab.training.record import Record

STORED = Path(__file__).resolve().parent / "stored"
SECONDS = 10.0  # that a whole run takes on the screen


@dataclass
class ReplayTwin:
    """What was known about a twin of a stored run after `step` steps: the part of a `Twin` that is drawn.

    `records`, `points`, `history`, `snapshot` and `changes` hold what came until then; `final` is there after the last
    step only.
    """

    whole: SavedTwin
    step: int = 0
    trajectory: None = field(default=None, init=False)
    obstacle: str = field(default="", init=False)

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def kind(self) -> str:
        return self.whole.kind

    @property
    def setup(self) -> Setup:
        return self.whole.setup

    @property
    def objective(self) -> Objective:
        return self.whole.objective

    @property
    def now(self) -> Objective:
        return self.whole.objective

    @property
    def ended(self) -> bool:
        return self.step >= len(self.whole.records)

    @property
    def records(self) -> list[Record]:
        return self.whole.records[: self.step]

    @property
    def points(self) -> list[tuple[int, Metrics]]:
        return self.whole.points[: bisect_right(self.whole.points, self.step, key=lambda point: point[0])]

    @property
    def history(self) -> list[Predictions]:
        return self.whole.history[: bisect_right(self.whole.history, self.step, key=lambda shot: shot.step)]

    @property
    def snapshot(self) -> Predictions:
        """What was predicted last; at the end, with the best weights."""
        return self.whole.snapshot if self.ended else self.history[-1]

    @property
    def changes(self) -> dict[int, Objective]:
        return {step: objective for step, objective in self.whole.changes.items() if step < max(self.step, 1)}

    @property
    def final(self) -> Metrics | None:
        return self.whole.final if self.ended else None

    @property
    def metrics(self) -> Metrics | None:
        """The latest score: on all test frames at the end, on the monitored ones before."""
        return self.final or self.points[-1][1]

    def in_force(self, name: str) -> Any:
        """The value of a field of the objective; a stored run has no schedules."""
        return getattr(self.objective, name)


class Replay:
    """A stored run; `advance` says how much of it is known.

    It begins at its first step. `setup`, `twins`, `step`, `steps`, `test_frames` and the words of what it is doing are
    those of a `Session`.

    Parameters
    ----------
    folder : Path
        Where `Session.save` wrote the run; weights are not needed.
    """

    test_frames: list[Frame]

    def __init__(self, folder: Path) -> None:
        run = read_record(folder)
        self.setup, self.test_frames = run.setup, run.test_frames
        self.twins = [ReplayTwin(twin) for twin in run.twins]
        self.seconds = 0.0
        self.error: Exception | None = None
        self.pins: list[dict[str, Any]] = []

    @classmethod
    def of(
        cls, setup: Setup, objectives: Mapping[str, Objective], heads: Mapping[str, str] | None = None
    ) -> Replay | None:
        """The stored run of a session, or None.

        Parameters
        ----------
        setup, objectives, heads
            What the session was made of. Everything must be the same, names and their order too, but for the device.
        """
        for folder in sorted(path.parent for path in STORED.glob(f"*/{SESSION}")):
            replay = cls(folder)
            wanted = {name: (heads or {}).get(name, setup.head) for name in objectives}
            if (
                replace(setup, device="auto").filled() == replace(replay.setup, device="auto").filled()
                and list(objectives.items()) == [(twin.name, twin.objective) for twin in replay.twins]
                and wanted == {twin.name: twin.setup.head for twin in replay.twins}
            ):
                return replay
        return None

    def __repr__(self) -> str:
        return f"Replay({' and '.join(twin.name for twin in self.twins)}, data {self.setup.data})"

    def advance(self, seconds: float) -> Replay:
        """Show what the run knew this many seconds after its beginning on the screen; all of it after ten."""
        if not seconds >= 0:
            raise ValueError(f"seconds={seconds} must be 0 or more: the time since the replay began")
        self.seconds = seconds
        share = min(seconds / SECONDS, 1.0)
        longest = max(len(twin.whole.records) for twin in self.twins)
        for twin in self.twins:  # at the same step, as they were trained; one that ended early waits for the others
            twin.step = min(round(share * longest), len(twin.whole.records))
        return self

    @property
    def ended(self) -> bool:
        """Whether all of the run is shown."""
        return self.seconds >= SECONDS

    @property
    def step(self) -> int:
        return max(twin.step for twin in self.twins)

    @property
    def steps(self) -> int:
        return self.setup.steps

    @property
    def finished(self) -> bool:
        return self.ended

    @property
    def running(self) -> bool:
        """Nothing is trained."""
        return False

    @property
    def busy(self) -> bool:
        """Whether there is more to be shown."""
        return not self.ended

    @property
    def activity(self) -> str:
        return "idle" if self.ended else "replaying"

    def twin(self, name: str) -> ReplayTwin:
        for twin in self.twins:
            if twin.name == name:
                return twin
        raise ValueError(f"no twin {name!r}: this stored run has {[t.name for t in self.twins]}")

    @cached_property
    def task(self) -> Task:
        """The frames of the run, prepared when first asked for."""
        return prepare(self.setup)
