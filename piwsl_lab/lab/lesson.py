"""The public face of a lesson: `predict`, `reveal`, `check`, `explain`, `progress`.

What a learner commits is kept in a progress file beside the notebooks. Nothing here ends a notebook
with an error, so *Run All* always arrives. With PIWSL_LAB_STRICT=1 a check that does not pass
raises, which is how nbgrader scores.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from IPython.display import display

from piwsl_lab.lab.checks import CHECKS, QUESTIONS, Judgement, Question, judge
from piwsl_lab.lab.checks.judge import BLANK
from piwsl_lab.lab.checks.progress import CHECK, counted, texts
from piwsl_lab.lab.players.asking import Explanation, Lesson, Overview, PredictionBox, Reveal
from piwsl_lab.lab.quirks import on_voila

STRICT = "PIWSL_LAB_STRICT"
# Shared by all cells of this kernel; tests put a new one here, which is what a new kernel would have.
_Lesson = Lesson
_lesson = _Lesson()


class CheckFailed(AssertionError):
    """A check did not pass, where PIWSL_LAB_STRICT=1 asks for an error."""


@dataclass(frozen=True)
class Result:
    """What a check gives back: `function` is the learner's where it passed, else one that is right."""

    passed: bool
    function: Callable[..., Any]

    def __repr__(self) -> str:
        return f"Result({'passed' if self.passed else 'not passed'})"


def predict(question: str | Question) -> PredictionBox:
    """Ask for a prediction: the last line of a cell shows it.

    Parameters
    ----------
    question : str or Question
        The key of one of `piwsl_lab.lab.checks.QUESTIONS`, such as "06.double", or a question of your own.

    Raises
    ------
    ValueError
        There is no question with this key.
    """
    return PredictionBox(_lesson, _question(question))


def reveal(question: str | Question, measured: float | str, words: str | Sequence[str] = "") -> None:
    """Show a prediction beside what was measured, once the prediction is committed.

    Parameters
    ----------
    question : str or Question
        As for `predict`.
    measured : float or str
        A number that lies in the range of one option, or the text of an option.
    words : str or sequence of str, optional
        The measurement with its unit, as it is to be read, in one or more lines; by default the number.

    Raises
    ------
    ValueError
        There is no such question, or the measurement is none of its options.
    """
    question = _question(question)
    found = question.measured(measured)
    words = words or (measured if isinstance(measured, str) else f"{measured:.3g}")
    shown = Reveal(_lesson, question, found, [words] if isinstance(words, str) else words)
    _lesson.waiting[question.key] = shown.told
    display(shown)


def check(key: str, function: Callable[..., Any]) -> Result:
    """Judge a learner's function, say what came of it, and go on with one that is right.

    The first wrong answer is told what failed, the second the mistake, the third a formula with a gap. The same answer
    given again counts once.

    Parameters
    ----------
    key : str
        One of `piwsl_lab.lab.checks.CHECKS`, such as "06.pitc".
    function : callable

    Raises
    ------
    ValueError
        There is no such check.
    CheckFailed
        It did not pass and PIWSL_LAB_STRICT=1.
    """
    wanted = _known(key, CHECKS, "check")
    judgement = judge(wanted, function)
    attempts = _attempts(judgement, function)
    print(judgement.words(attempts))
    if news := _lesson.news():
        print(news)
    if judgement.passed:
        return Result(True, function)
    if os.environ.get(STRICT) == "1":
        raise CheckFailed(judgement.words(attempts))
    if on_voila():
        print("To write code, open this notebook in JupyterLab: this page only shows it.")
    print("The cells below go on with a function that is right.")
    return Result(False, wanted.reference)


def _attempts(judgement: Judgement, function: Callable[..., Any]) -> int:
    """How many different answers were given, this one included; notes it. A blank is no answer."""
    before = _lesson.progress.answer(judgement.key)
    attempts = counted(before.get("attempts"))
    if judgement.outcome == BLANK:
        return attempts
    source = _source(function)
    mark = hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()[:16]
    seen, mistakes = texts(before.get("seen")), texts(before.get("mistakes"))
    if mark not in seen:
        seen.append(mark)
        attempts += 1
        mistakes += [judgement.mistake] if judgement.mistake else []
    _lesson.progress.note(
        judgement.key,
        kind=CHECK,
        passed=judgement.passed or before.get("passed") is True,
        points=CHECKS[judgement.key].points,
        attempts=attempts,
        outcome=judgement.outcome,
        seen=seen,
        mistakes=mistakes,
        source=source,
    )
    return attempts


def _source(function: Callable[..., Any]) -> str:
    """What tells one answer from another: its text, or its code where there is no text."""
    try:
        return textwrap.dedent(inspect.getsource(function))
    except Exception:  # a builtin, made by exec, or lines that the parser cannot part: there are many ways
        code = getattr(function, "__code__", None)
        if code is None:
            return repr(type(function))
        # Numbers stand among the constants; a function inside has an address in its words, so it is left out.
        constants = [value for value in code.co_consts if not hasattr(value, "co_code")]
        return f"{code.co_code.hex()} {constants} {code.co_names}"


def explain(key: str, question: str) -> Explanation:
    """Ask for two sentences: the last line of a cell shows the box.

    Parameters
    ----------
    key : str
        Under which they are kept, such as "06.why".
    question : str
    """
    return Explanation(_lesson, key, question)


def progress() -> Overview:
    """Your answers so far, and a box for your name: the last line of a cell shows it."""
    return Overview(_lesson)


def _question(question: str | Question) -> Question:
    return question if isinstance(question, Question) else _known(question, QUESTIONS, "question")


def _known(key: str, table: dict[str, Any], what: str) -> Any:
    if key not in table:
        raise ValueError(f"there is no {what} {key!r}: {', '.join(sorted(table))}")
    return table[key]


__all__ = ["CheckFailed", "Result", "check", "explain", "predict", "progress", "reveal"]
