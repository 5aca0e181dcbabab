"""The public face of a lesson: `predict`, `reveal`, `check`, `explain`, `progress`.

What a learner commits is kept in a progress file beside the notebooks. Nothing here ends a notebook with an error, so
*Run All* always arrives; with PIWSL_LAB_STRICT=1 a check that does not pass raises, which is how nbgrader scores.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import ipywidgets as W
from IPython.display import display, update_display

from piwsl_lab.lab.checks import CHECKS, QUESTIONS, Judgement, Progress, Question, judge
from piwsl_lab.lab.checks.judge import BLANK
from piwsl_lab.lab.checks.progress import CHECK, EXPLANATION, PREDICTION
from piwsl_lab.lab.knobs import button
from piwsl_lab.lab.quirks import on_voila

STRICT = "PIWSL_LAB_STRICT"
NO_PREDICTION = "no prediction made"
_STYLE = """<style>
.piwsl-ask {border-left: 4px solid #0072B2; padding: 2px 0 2px 12px; margin: 4px 0;}
.piwsl-ask .widget-html-content, .piwsl-ask p {white-space: normal; line-height: 1.45; font-size: 14px; margin: 0;}
.piwsl-ask .widget-radio-box label, .piwsl-ask label {width: auto; font-size: 14px; line-height: 22px;}
.piwsl-ask .widget-radio-box {height: auto;}
.piwsl-ask table {border-collapse: collapse; font-size: 13px;}
.piwsl-ask td, .piwsl-ask th {padding: 2px 14px 2px 0; text-align: left; border-bottom: 1px solid rgba(128,128,128,.3);}
</style>"""


class CheckFailed(AssertionError):
    """A check did not pass, where PIWSL_LAB_STRICT=1 asks for an error."""


@dataclass(frozen=True)
class Result:
    """What a check gives back: `function` is the learner's where it passed, else one that is right."""

    passed: bool
    function: Callable[..., Any]

    def __repr__(self) -> str:
        return f"Result({'passed' if self.passed else 'not passed'})"


class _Lesson:
    """What the cells of one kernel share: the progress, and reveals that wait for a prediction."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self.waiting: dict[str, Callable[[], None]] = {}

    @property
    def progress(self) -> Progress:
        """Opened at the first use: importing this module touches no file."""
        if self._progress is None:
            self._progress = Progress.here()
        return self._progress

    def said(self, key: str, what: str) -> str:
        return str(self.progress.answers.get(key, {}).get(what) or "")


_lesson = _Lesson()


class _Ask(W.VBox):
    """Something that is asked, in a box with a blue edge."""

    def __init__(self, *parts: W.Widget) -> None:
        super().__init__([W.HTML(_STYLE, layout=W.Layout(display="none")), *parts])
        self.add_class("piwsl-ask")
        self.layout.width, self.layout.max_width, self.layout.overflow = "auto", "900px", "hidden"


class Prediction(_Ask):
    """A question with options. It is committed once; a `reveal` of the same key then shows it beside the measurement.

    Parameters
    ----------
    question : Question
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.choice = W.RadioButtons(
            options=[option.text for option in question.options], value=None, layout=W.Layout(width="100%")
        )
        self.commit = button("Commit", "check", "primary", "A prediction is committed once, before you look.")
        self.words = W.HTML(layout=W.Layout(margin="0 0 0 10px"))
        self.commit.disabled = True
        self.choice.observe(lambda change: setattr(self.commit, "disabled", change["new"] is None), "value")
        self.commit.on_click(lambda _: self._commit())
        super().__init__(
            W.HTML(f"<p><b>Predict.</b> {escape(question.text)}</p>"), self.choice, W.HBox([self.commit, self.words])
        )
        if made := _lesson.said(question.key, PREDICTION):
            self._close(made)

    def __repr__(self) -> str:
        options = "\n".join(f"  ( ) {option.text}" for option in self.question.options)
        made = _lesson.said(self.question.key, PREDICTION)
        said = f"You predicted: {made}" if made else "You have not committed yet."
        return f"Predict. {self.question.text}\n{options}\n{said}"

    def _commit(self) -> None:
        chosen = self.choice.value
        if chosen is None:
            return
        _lesson.progress.note(self.question.key, kind=PREDICTION, prediction=chosen)
        self._close(chosen)
        if tell := _lesson.waiting.get(self.question.key):
            tell()

    def _close(self, made: str) -> None:
        if made in self.choice.options:
            self.choice.value = made
        self.choice.disabled = self.commit.disabled = True
        warning = f" {escape(_lesson.progress.warning)}" if _lesson.progress.warning else ""
        self.words.value = f"You predicted: <b>{escape(made)}</b>.{warning}"


def predict(question: str | Question) -> Prediction:
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
    return Prediction(_question(question))


def reveal(question: str | Question, measured: float | str, words: str = "") -> None:
    """Show a prediction beside what was measured; a prediction that is committed later is put in then.

    Parameters
    ----------
    question : str or Question
        As for `predict`.
    measured : float or str
        A number that lies in the range of one option, or the text of an option.
    words : str, optional
        The measurement with its unit, as it is to be read; by default the number.

    Raises
    ------
    ValueError
        There is no such question, or the measurement is none of its options.
    """
    question = _question(question)
    found = question.measured(measured)
    words = words or (measured if isinstance(measured, str) else f"{measured:.3g}")

    def text() -> str:
        made = _lesson.said(question.key, PREDICTION)
        lines = [f"Predicted: {made or NO_PREDICTION}", f"Measured:  {words}"]
        if found.text not in words:
            lines[-1] += f", that is “{found.text}”"
        if made:
            lines.append(question.named(made).comment)
        return "\n".join(lines)

    handle = f"piwsl-reveal-{question.key}"
    display({"text/plain": text()}, raw=True, display_id=handle)
    _lesson.waiting[question.key] = lambda: update_display({"text/plain": text()}, raw=True, display_id=handle)


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
    before = _lesson.progress.answers.get(judgement.key, {})
    count = int(before.get("attempts") or 0)
    if judgement.outcome == BLANK:
        return count
    source = _source(function)
    mark = hashlib.sha256(source.encode()).hexdigest()[:16]
    seen, mistakes = list(before.get("seen") or ()), list(before.get("mistakes") or ())
    if mark not in seen:
        seen.append(mark)
        count += 1
        mistakes += [judgement.mistake] if judgement.mistake else []
    _lesson.progress.note(
        judgement.key,
        kind=CHECK,
        passed=judgement.passed or bool(before.get("passed")),
        points=CHECKS[judgement.key].points,
        attempts=count,
        outcome=judgement.outcome,
        seen=seen,
        mistakes=mistakes,
        source=source,
    )
    return count


def _source(function: Callable[..., Any]) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):  # a builtin, or made by exec
        code = getattr(function, "__code__", None)
        return code.co_code.hex() if code else repr(type(function))


class Explanation(_Ask):
    """A question that is answered in two sentences, which are kept in the progress file.

    Parameters
    ----------
    key : str
    question : str
    """

    def __init__(self, key: str, question: str) -> None:
        self.key, self.question = key, question
        kept = _lesson.said(key, "text")
        self.text = W.Textarea(
            value=kept, placeholder="Two sentences of your own.", layout=W.Layout(width="98%", height="64px")
        )
        self.keep = button("Keep", "save", "primary", "Write these sentences into your progress file.")
        self.words = W.HTML("Kept." if kept else "", layout=W.Layout(margin="0 0 0 10px"))
        self.keep.on_click(lambda _: self._keep())
        self.text.observe(lambda _: setattr(self.words, "value", ""), "value")
        super().__init__(
            W.HTML(f"<p><b>Explain.</b> {escape(question)}</p>"), self.text, W.HBox([self.keep, self.words])
        )

    def __repr__(self) -> str:
        kept = _lesson.said(self.key, "text")
        return f"Explain. {self.question}\n{f'You wrote: {kept}' if kept else 'Nothing is written yet.'}"

    def _keep(self) -> None:
        text = self.text.value.strip()
        if not text:
            self.words.value = "Write something first."
            return
        _lesson.progress.note(self.key, kind=EXPLANATION, text=text, question=self.question)
        self.words.value = escape(_lesson.progress.warning) or "Kept."


def explain(key: str, question: str) -> Explanation:
    """Ask for two sentences: the last line of a cell shows the box.

    Parameters
    ----------
    key : str
        Under which they are kept, such as "06.why".
    question : str
    """
    return Explanation(key, question)


class Overview(_Ask):
    """All answers so far, and the name that a teacher will read."""

    def __init__(self) -> None:
        self.name = W.Text(value=_lesson.progress.name, placeholder="your name", layout=W.Layout(width="240px"))
        self.keep = button("Keep", "save", "primary", "Write your name into your progress file.")
        self.words = W.HTML(layout=W.Layout(margin="0 0 0 10px"))
        self.table = W.HTML()
        self.keep.on_click(lambda _: self._keep())
        super().__init__(W.HBox([self.name, self.keep, self.words]), self.table)
        self._draw()

    def __repr__(self) -> str:
        rows = _rows(_lesson.progress)
        lines = [f"{key:16} {words}" for key, words in rows]
        return "\n".join(lines) if lines else "Nothing is kept yet."

    def _keep(self) -> None:
        _lesson.progress.call(self.name.value)
        self.words.value = escape(_lesson.progress.warning) or "Kept."
        self._draw()

    def _draw(self) -> None:
        rows = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in _rows(_lesson.progress))
        path = _lesson.progress.path
        where = f"<p>Kept in <code>{escape(str(path))}</code>.</p>" if path and rows else ""
        self.table.value = f"<table>{rows}</table>{where}" if rows else "<p>Nothing is kept yet.</p>"


def progress() -> Overview:
    """Your answers so far, and a box for your name: the last line of a cell shows it."""
    return Overview()


def _rows(kept: Progress) -> list[tuple[str, str]]:
    """Key and words of every answer, in the order of the course."""
    rows = []
    for key, answer in sorted(kept.answers.items()):
        if answer.get("kind") == PREDICTION:
            rows.append((key, f"predicted: {answer.get(PREDICTION, '')}"))
        elif answer.get("kind") == CHECK:
            count = int(answer.get("attempts") or 0)
            passed = "passed" if answer.get("passed") else "not passed yet"
            rows.append((key, f"{passed}, {count} {'answer' if count == 1 else 'answers'} tried"))
        else:
            rows.append((key, "explained"))
    return rows


def _question(question: str | Question) -> Question:
    return question if isinstance(question, Question) else _known(question, QUESTIONS, "question")


def _known(key: str, table: dict[str, Any], what: str) -> Any:
    if key not in table:
        raise ValueError(f"there is no {what} {key!r}: {', '.join(sorted(table))}")
    return table[key]


__all__ = ["CheckFailed", "Result", "check", "explain", "predict", "progress", "reveal"]
