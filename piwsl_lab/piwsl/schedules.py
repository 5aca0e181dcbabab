"""Values that follow the training step: a weight that ramps up, an ε that shrinks."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from piwsl_lab.names import SCHEDULE_KINDS


@dataclass(frozen=True)
class Schedule:
    """A number as a function of the step, `schedule(step)`.

    Attributes
    ----------
    kind : "constant", "ramp" or "cosine"
        `start` throughout; or from `start` to `end` in `steps` steps, along a line or half a cosine, and `end` then on.
    start, end : float
    steps : int
    """

    kind: str
    start: Any
    end: Any = None
    steps: int = 1

    def __post_init__(self) -> None:
        if self.kind not in SCHEDULE_KINDS:
            raise ValueError(f"schedule {self.kind!r} does not exist; choose one of {', '.join(SCHEDULE_KINDS)}")
        if self.kind != "constant" and (self.end is None or self.steps < 1):
            raise ValueError(f"a {self.kind} needs an end and at least 1 step, not end={self.end}, steps={self.steps}")

    @classmethod
    def read(cls, name: str, table: dict[str, Any]) -> Schedule:
        """A schedule from a table of its fields, as files hold it; `name` is the field that follows it.

        Raises
        ------
        ValueError
            A key is missing or unknown, or its fields make no schedule.
        """
        known = [f.name for f in fields(cls)]
        if "kind" not in table or "start" not in table or set(table) - set(known):
            raise ValueError(
                f"the schedule of {name} has the keys {', '.join(table)}: write kind = {' | '.join(SCHEDULE_KINDS)}, "
                "start, end and steps"
            )
        return cls(**table)

    def __call__(self, step: int) -> Any:
        if self.kind == "constant":
            return self.start
        done = min(max(step / self.steps, 0.0), 1.0)
        if self.kind == "cosine":
            done = 0.5 * (1.0 - math.cos(math.pi * done))
        return self.start + (self.end - self.start) * done


def constant(value: Any) -> Schedule:
    """The same value at every step."""
    return Schedule("constant", value)


def ramp(start: float, end: float, steps: int) -> Schedule:
    """From `start` to `end` along a line, then `end`."""
    return Schedule("ramp", start, end, steps)


def cosine(start: float, end: float, steps: int) -> Schedule:
    """From `start` to `end` along half a cosine, slow at both ends, then `end`."""
    return Schedule("cosine", start, end, steps)
