"""Who is better, and how sure that is: two potentials by their errors on the same frames while they learn.

An error jumps from one score to the next, by a factor of two where forces come from an output of their own. A verdict
therefore rests on many scores and says so. It knows no widgets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

BETTER, WORSE, UNDECIDED = "better", "worse", "not decided yet"
FEWEST, MOST = 9, 40  # scores in the window
LEAST_RATIO = 1.05  # of two errors: less is no difference worth a word
MIDDLE = 0.1, 0.9  # quantiles: four of five scores lie between them
FRAME_WIDTH = 2.0  # standard errors
CONFIRMED = 3  # scores in a row that must agree
REVERSED = 15  # ... to say the opposite of what was said before


@dataclass(frozen=True)
class Verdict:
    """The last potential against another, in one error.

    Attributes
    ----------
    state : "better", "worse" or "not decided yet"
        Of the last potential.
    ratio : float
        Error of the other over that of the last: above 1, the last is better; nan where nothing can be compared.
    frames : int
        Test frames that it rests on.
    scores : int
        Scores of these frames that it rests on; 1 for the score of the best weights at the end.
    """

    state: str
    ratio: float
    frames: int
    scores: int


class Judge:
    """Decides from a sequence of log ratios of two errors.

    The decision rule:

    1. The window holds the last half of all ratios, at least 9 and at most 40 of them. What was
       true at the beginning is forgotten, and nothing turns round sooner than it took to come
       about.
    2. m is the median of the window. Its uncertainty u has two parts, added in quadrature. One is
       half the range in which four of five scores lie, the other 2 standard errors from the choice
       of test frames.
    3. It is decided when |m| > u and the ratio is 1.05 at least, for 3 scores in a row. The spread
       of the ratio then leaves out 1.
    4. What is decided stays until |m| < u / 2, or m changes its sign; then it is open again. From "better" to "worse"
       there is no other way, and that takes 15 scores in a row.
    """

    def __init__(self) -> None:
        self.logs: list[float] = []
        self.state = UNDECIDED
        self._said = UNDECIDED  # the last decision, even if it is open again
        self._agreeing = 0  # how many of the last scores point the same way, negative for "worse"

    def add(self, log_ratio: float, frame_error: float = 0.0) -> str:
        """Take one more ratio, ln(error of the other / error of the last); returns the state.

        Parameters
        ----------
        log_ratio : float
        frame_error : float
            Standard error of the log ratio from the choice of test frames.
        """
        self.logs.append(log_ratio)
        window = self.window
        if len(window) < FEWEST:
            return self.state
        middle = float(np.median(window))
        low, high = np.quantile(window, MIDDLE)
        width = math.hypot((high - low) / 2, FRAME_WIDTH * frame_error)
        sign = 1 if middle > 0 else -1
        if abs(middle) > max(width, math.log(LEAST_RATIO)):
            self._agreeing = sign * (abs(self._agreeing) + 1 if sign * self._agreeing > 0 else 1)
        else:
            self._agreeing = 0
        kept = {BETTER: 1, WORSE: -1}.get(self.state, 0) * middle
        if self.state != UNDECIDED and kept < width / 2:
            self.state, self._agreeing = UNDECIDED, 0
        elif self.state == UNDECIDED and self._agreeing:
            found = BETTER if sign > 0 else WORSE
            if abs(self._agreeing) >= (CONFIRMED if self._said in (UNDECIDED, found) else REVERSED):
                self.state = self._said = found
        return self.state

    @property
    def window(self) -> np.ndarray:
        size = min(max(FEWEST, len(self.logs) // 2), MOST)
        return np.array(self.logs[-size:])

    @property
    def ratio(self) -> float:
        """Median ratio of the errors in the window; nan before the first."""
        return math.exp(float(np.median(self.window))) if self.logs else math.nan


class Comparison:
    """Two twins under the eyes of a `Judge`, in energy or force; it reads every score once.

    Parameters
    ----------
    other, last : Twin
        One that has `ended` counts with its last score while the other goes on.
    metric : "energy_mae" or "force_rmse"
    """

    def __init__(self, other: Any, last: Any, metric: str) -> None:
        self.other, self.last, self.metric = other, last, metric
        self.judge = Judge()
        self._read = 0  # scores of the last twin

    def verdict(self, monitored: int, tested: int) -> Verdict:
        """The present verdict.

        Parameters
        ----------
        monitored, tested : int
            Frames that are scored while it trains, and all test frames.
        """
        if self.other.final and self.last.final:
            return self._at_the_end(monitored, tested)
        mine, others = list(self.last.points), list(self.other.points)
        steps = [step for step, _ in others]
        known = [getattr(metrics, self.metric) for _, metrics in others]
        if _rests(self.last):  # it stays what it is while the other learns on
            mine += [(step, mine[-1][1]) for step in steps if step > mine[-1][0]]
        error = self._frame_error()
        for step, metrics in mine[self._read :]:
            if step > steps[-1] and not _rests(self.other):
                break  # the other is scored a moment later
            self._read += 1
            value = getattr(metrics, self.metric)
            if step == 0:
                continue  # the same start
            k = np.searchsorted(steps, step)
            if value > 0 and min(known[k - 1 : k + 1], default=0.0) > 0:  # false for nan, which is no label
                there = np.interp(step, steps[k - 1 : k + 1], np.log(known[k - 1 : k + 1]))
                self.judge.add(float(there) - math.log(value), error)
        return Verdict(self.judge.state, self.judge.ratio, monitored, len(self.judge.window))

    def _at_the_end(self, monitored: int, tested: int) -> Verdict:
        before, after = (getattr(twin.final, self.metric) for twin in (self.other, self.last))
        if not (before > 0 and after > 0):
            return Verdict(UNDECIDED, math.nan, tested, 1)
        log_ratio = math.log(before / after)
        width = FRAME_WIDTH * self._frame_error() * math.sqrt(monitored / max(tested, 1))
        decided = abs(log_ratio) > max(width, math.log(LEAST_RATIO))
        state = (BETTER if log_ratio > 0 else WORSE) if decided else UNDECIDED
        return Verdict(state, math.exp(log_ratio), tested, 1)

    def _frame_error(self) -> float:
        """Standard error of the present log ratio, from frames that both were scored on."""
        shots = self.other.snapshot, self.last.snapshot
        if None in shots:
            return 0.0
        if self.metric == "energy_mae":
            errors = [np.abs(shot.energy - shot.reference_energy) for shot in shots]
            return paired_error(*errors)
        squares = [
            np.array([np.mean((f - r) ** 2) for f, r in zip(shot.forces, shot.reference_forces, strict=True)])
            for shot in shots
        ]
        return 0.5 * paired_error(*squares)  # of the root


def _rests(twin: Any) -> bool:
    """Whether a twin has ended and had its last score."""
    return twin.ended and twin.points[-1][0] == len(twin.records)


def paired_error(one: ArrayLike, other: ArrayLike) -> float:
    """Standard error of ln(mean of one / mean of the other) over the frames that both have a value for."""
    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    there = np.isfinite(a) & np.isfinite(b)
    a, b = a[there], b[there]
    if len(a) < 2 or not (a.mean() > 0 and b.mean() > 0):
        return 0.0
    influence = a / a.mean() - b / b.mean()
    return float(influence.std(ddof=1) / math.sqrt(len(a)))


class Verdicts:
    """The last twin of a session against every other one; begins anew when the twins are others."""

    def __init__(self) -> None:
        self._twins: list[Any] = []
        self._comparisons: list[tuple[str, Comparison, Comparison]] = []

    def of(self, session: Any) -> list[tuple[str, Verdict, Verdict]]:
        """Name of the other twin, verdict on the energy, verdict on the forces; nothing for a session of one twin.

        Parameters
        ----------
        session : Session, or a stored run that looks like one
        """
        *others, last = twins = list(session.twins)
        if [id(twin) for twin in twins] != [id(twin) for twin in self._twins]:
            self._twins = twins
            self._comparisons = [
                (other.name, Comparison(other, last, "energy_mae"), Comparison(other, last, "force_rmse"))
                for other in others
            ]
        counts = len(session.test_frames), len(session.task.test)
        return [(name, energy.verdict(*counts), force.verdict(*counts)) for name, energy, force in self._comparisons]
