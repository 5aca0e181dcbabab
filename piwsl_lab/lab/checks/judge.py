"""A check is data and a mistake is a function: whoever answers wrongly is told which mistake it was.

No widgets in here, so that tests run every check.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Answer = Callable[..., Any]
# Outcomes, from the first thing that can go wrong to the last.
BLANK, ERROR, CHANGED, SHAPE, WRONG, PASSED = "not yet", "error", "inputs changed", "wrong shape", "wrong", "passed"


@dataclass(frozen=True)
class Probe:
    """One set of arguments that an answer is tried with.

    Parameters
    ----------
    words : str
        What it is, as it stands in a sentence: "two molecules".
    arguments : tuple
        Arrays are copied for every call.
    unit : str
        Of what the answer returns.
    """

    words: str
    arguments: tuple[Any, ...]
    unit: str = ""

    def fresh(self) -> tuple[Any, ...]:
        """Arguments of their own for one call; functions among them stay what they are."""
        return tuple(value if callable(value) else copy.deepcopy(value) for value in self.arguments)


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that is known, and what to say to whoever gives it.

    Parameters
    ----------
    name : str
        One word for tables.
    function : callable
        Gives what the mistake gives; takes the arguments of the check.
    hint : str
        Names the mistake and not the answer.
    """

    name: str
    function: Answer
    hint: str


@dataclass(frozen=True)
class Exercise:
    """What an answer must give, and the mistakes that are known.

    Parameters
    ----------
    key : str
        "06.pitc": lesson and function.
    reference : callable
        A right answer.
    probes : sequence of Probe
        Between them the values have both signs, and every mistake gives another value than the reference.
    mistakes : sequence of Mistake
    nudge : str
        What to try when the mistake is not a known one.
    formula : str
        The formula with a gap, for whoever was told the mistake and is still stuck.
    points : int, optional
    rtol : float, optional
        Relative tolerance; an element is also right within 1e-2 of it of the largest element of its probe.
    """

    key: str
    reference: Answer
    probes: Sequence[Probe]
    mistakes: Sequence[Mistake]
    nudge: str
    formula: str
    points: int = 1
    rtol: float = 1e-4

    def agrees(self, values: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> bool:
        """Whether two lists of results, one for each probe, are the same within the tolerance."""
        return all(map(self.close, values, wanted))

    def close(self, value: np.ndarray, wanted: np.ndarray) -> bool:
        """Whether two results for one probe are the same within the tolerance."""
        if value.shape != wanted.shape:
            return False
        floor = 1e-2 * self.rtol * float(np.max(np.abs(wanted), initial=0.0))
        return bool(np.allclose(value, wanted, rtol=self.rtol, atol=floor, equal_nan=False))

    def results(self, function: Answer) -> list[np.ndarray]:
        """Results of a function for every probe, as float arrays."""
        with np.errstate(all="ignore"):
            return [numbers(function(*probe.fresh())) for probe in self.probes]


@dataclass(frozen=True)
class Judgement:
    """What came of an answer.

    Parameters
    ----------
    key : str
    outcome : str
        "not yet", "error", "inputs changed", "wrong shape", "wrong" or "passed".
    seen : str
        What was seen, with numbers.
    mistake : str
        Name of the known mistake, or "".
    hint : str
        What to say of it; the nudge where it is not known.
    formula : str
    """

    key: str
    outcome: str
    seen: str
    mistake: str = ""
    hint: str = ""
    formula: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer was right."""
        return self.outcome == PASSED

    def words(self, attempt: int = 1) -> str:
        """What to say at this attempt: what failed; from the second on the hint; from the third on the formula."""
        parts = [f"{self.key}: {self.outcome}. {self.seen}"]
        if self.outcome in (WRONG, SHAPE, ERROR) and self.hint:
            if attempt >= 2:
                parts.append(f"Hint: {self.hint}")
            if attempt >= 3:
                parts.append(f"Formula with a gap: {self.formula}")
            if attempt >= 4:
                parts.append("The solution is folded away below.")
        return "\n".join(parts)


def numbers(value: Any) -> np.ndarray:
    """A result as a float array: numbers, lists, arrays, tensors with or without a gradient.

    Raises
    ------
    TypeError
        It holds no real numbers.
    """
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, (list, tuple)):
        value = [numbers(part) for part in value]
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"a number or an array of numbers is needed, not {type(value).__name__}")
    return array.astype(float)


def judge(check: Exercise, answer: Answer) -> Judgement:
    """Try an answer: blank, error, changed inputs, shape, values, in this order.

    An error of the answer is reported and never raised.
    """
    wanted = check.results(check.reference)
    found = []
    for probe, right in zip(check.probes, wanted, strict=True):
        arguments = probe.fresh()
        try:
            with np.errstate(all="ignore"):
                value = answer(*arguments)
        except Exception as error:
            return Judgement(check.key, ERROR, _in_words(error), hint=check.nudge, formula=check.formula)
        if value is None or value is ...:
            return Judgement(check.key, BLANK, "The function returns nothing yet.")
        if not _same(arguments, probe.arguments):
            return Judgement(check.key, CHANGED, "The function changes what it is given: work on a copy.")
        try:
            value = numbers(value)
        except (TypeError, ValueError) as error:
            seen = f"For {probe.words}: {error}."
            return Judgement(check.key, SHAPE, seen, hint=_shaped(right), formula=check.formula)
        found.append(value)
        if value.shape != right.shape and not _known(check, answer):
            seen = f"For {probe.words} the result has shape {value.shape}, wanted {right.shape}."
            return Judgement(check.key, SHAPE, seen, hint=_shaped(right), formula=check.formula)
    if check.agrees(found, wanted):
        return Judgement(check.key, PASSED, _all_right(check))
    k = next(k for k, pair in enumerate(zip(found, wanted, strict=True)) if not check.close(*pair))
    mistake = _known(check, answer)
    seen = _compared(check.probes[k], found[k], wanted[k])
    name, hint = (mistake.name, mistake.hint) if mistake else ("", check.nudge)
    return Judgement(check.key, WRONG, seen, name, hint, check.formula)


def attempt(function: Answer, *arguments: Any) -> tuple[np.ndarray | None, str]:
    """Result of an answer as a float array, or None and why there is none; for a figure that draws it unjudged."""
    try:
        with np.errstate(all="ignore"):
            value = function(*arguments)
    except Exception as error:
        return None, f"Your function stopped: {_in_words(error)}"
    if value is None or value is ...:
        return None, "Your function returns nothing yet."
    try:
        return numbers(value), ""
    except (TypeError, ValueError) as error:
        return None, f"Your function cannot be drawn: {error}."


def _known(check: Exercise, answer: Answer) -> Mistake | None:
    """The first known mistake that gives what the answer gives, for every probe."""
    try:
        found = check.results(answer)
    except Exception:
        return None
    return next((mistake for mistake in check.mistakes if check.agrees(found, check.results(mistake.function))), None)


def _same(left: Sequence[Any], right: Sequence[Any]) -> bool:
    return all(callable(a) or np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(left, right, strict=True))


def _all_right(check: Exercise) -> str:
    return f"Right for {', '.join(probe.words for probe in check.probes)}."


def _compared(probe: Probe, value: np.ndarray, wanted: np.ndarray) -> str:
    """The largest deviation, in the reader's number and the wanted order of magnitude."""
    if value.shape != wanted.shape:
        return f"For {probe.words} the result has shape {value.shape}, wanted {wanted.shape}."
    where = np.unravel_index(int(np.argmax(np.abs(np.nan_to_num(value - wanted, nan=np.inf)))), wanted.shape)
    place = f" at {'[' + ', '.join(map(str, where)) + ']'}" if where else ""
    unit = f" {probe.unit}" if probe.unit else ""
    return f"For {probe.words} yours is {value[where]:.4g}{unit}{place}; {_size(value[where], wanted[where], unit)}."


def _shaped(wanted: np.ndarray) -> str:
    """What a result must look like."""
    if wanted.ndim == 0:
        return "Return one number. A list or an array with one number in it is not one."
    sizes = " × ".join(map(str, wanted.shape))
    return f"Return an array of {sizes} numbers, one for each of what was given."


def _size(value: float, wanted: float, unit: str) -> str:
    """How far off a near answer is; of another only the sign and the order of magnitude that are right."""
    if wanted and 0.5 < value / wanted < 2.0:
        return f"that is off by about {abs(100.0 * (value / wanted - 1.0)):.2g} %"
    if wanted == 0.0:
        return f"0{unit} is right"
    sign = "positive" if wanted > 0 else "negative"
    low = 10.0 ** np.floor(np.log10(abs(wanted)))
    return f"the right one is {sign}, in size between {low:.4g} and {10 * low:.4g}{unit}"


def _in_words(error: Exception) -> str:
    """Type, message and line of what went wrong in the reader's own code."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    line = f" in: {frames[0].line}" if frames and frames[0].line else ""
    return f"{type(error).__name__}: {error}{line}."
