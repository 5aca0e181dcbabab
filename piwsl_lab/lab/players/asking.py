"""What a lesson asks, as widgets: a prediction, an explanation, the overview of all answers.

They share a `Lesson`; `piwsl_lab.lab.lesson` is the face that notebooks import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets as W

from piwsl_lab.lab.checks import Option, ProgressFile, Question
from piwsl_lab.lab.checks.progress import CHECK, EXPLANATION, PREDICTION, counted
from piwsl_lab.lab.parts.knobs import button
from piwsl_lab.lab.quirks import whole_words

NO_PREDICTION = "no prediction made"
RIGHT = "Right"  # begins the comment of the option that is expected
_STYLE = """<style>
.piwsl-ask {border-left: 4px solid #0072B2; padding: 2px 0 2px 12px; margin: 4px 0;}
.piwsl-ask .widget-html-content, .piwsl-ask p {white-space: normal; line-height: 1.45; font-size: 14px; margin: 0;}
.piwsl-ask .widget-radio-box label, .piwsl-ask label {width: auto; font-size: 14px; line-height: 22px;}
.piwsl-ask .widget-radio-box {height: auto;}
.piwsl-ask table {border-collapse: collapse; font-size: 13px;}
.piwsl-ask td, .piwsl-ask th {padding: 2px 14px 2px 0; text-align: left; border-bottom: 1px solid rgba(128,128,128,.3);}
</style>"""


class Lesson:
    """What the cells of one kernel share: the progress, and reveals that wait for a prediction."""

    def __init__(self) -> None:
        self._progress: ProgressFile | None = None
        self._told = ""
        self.waiting: dict[str, Callable[[], None]] = {}

    @property
    def progress(self) -> ProgressFile:
        """Opened at the first use: importing this module touches no file."""
        if self._progress is None:
            self._progress = ProgressFile.here()
        return self._progress

    def said(self, key: str, what: str) -> str:
        """A text of an answer, or "" where there is none."""
        text = self.progress.answer(key).get(what)
        return text if isinstance(text, str) else ""

    def news(self) -> str:
        """Why the file does not have the last answer, once for every reason; else ""."""
        warning, before = self.progress.warning, self._told
        self._told = warning
        return warning if warning != before else ""


class _Ask(W.VBox):
    """Something that is asked, in a box with a blue edge."""

    def __init__(self, *parts: W.Widget) -> None:
        super().__init__([W.HTML(_STYLE, layout=W.Layout(display="none")), *parts])
        self.add_class("piwsl-ask")
        self.layout.width, self.layout.max_width, self.layout.overflow = "auto", "900px", "hidden"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return whole_words(self, super()._repr_mimebundle_(**options))


class PredictionBox(_Ask):
    """A question with options. It is committed once; a `reveal` of the same key then shows it beside the measurement.

    Parameters
    ----------
    lesson : Lesson
    question : Question
    """

    def __init__(self, lesson: Lesson, question: Question) -> None:
        self._lesson, self.question = lesson, question
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
        if made := lesson.said(question.key, PREDICTION):
            self._close(made)

    def __repr__(self) -> str:
        options = "\n".join(f"  ( ) {option.text}" for option in self.question.options)
        made = self._lesson.said(self.question.key, PREDICTION)
        said = f"You predicted: {made}" if made else "You have not committed yet."
        return f"Predict. {self.question.text}\n{options}\n{said}"

    def _commit(self) -> None:
        chosen = self.choice.value
        if chosen is None:
            return
        # Perhaps it was committed in another notebook since: the first one counts.
        made = self._lesson.said(self.question.key, PREDICTION)
        if not made:
            self._lesson.progress.note(self.question.key, kind=PREDICTION, prediction=chosen)
        self._close(made or chosen)
        if tell := self._lesson.waiting.get(self.question.key):
            tell()

    def _close(self, made: str) -> None:
        if made in self.choice.options:
            self.choice.value = made
        self.choice.disabled = self.commit.disabled = True
        warning = self._lesson.progress.warning
        self.words.value = f"You predicted: <b>{escape(made)}</b>. {escape(warning)}".strip()


class Reveal(_Ask):
    """A prediction beside what was measured. On the screen it waits until the prediction is committed.

    Its words, which a page without widgets shows, hold everything at once.

    Parameters
    ----------
    lesson : Lesson
    question : Question
    found : Option
        The option that the measurement is.
    measured : sequence of str
        The measurement in lines, with units.
    """

    def __init__(self, lesson: Lesson, question: Question, found: Option, measured: Sequence[str]) -> None:
        self._lesson, self.question, self.found = lesson, question, found
        self._measured = list(measured)
        self.words = W.HTML(layout=W.Layout(width="100%"))
        self.anyway = button("Show it anyway", "eye", "", "A prediction that turns out wrong teaches more than none.")
        self.anyway.layout.align_self = "flex-start"
        self.anyway.on_click(lambda _: self._show())
        super().__init__(self.words, self.anyway)
        self.told()

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def told(self) -> None:
        """Show what is known now: everything once a prediction is made."""
        if self._lesson.said(self.question.key, PREDICTION):
            self._show()
        else:
            self.words.value = "<p>Measured. <b>Commit your prediction above</b>, and it appears here.</p>"

    def _show(self) -> None:
        lines = "\n".join(self._lines())
        self.words.value = f'<pre style="white-space:pre-wrap;margin:0;font-size:13px">{escape(lines)}</pre>'
        self.anyway.layout.display = "none"

    def _lines(self) -> list[str]:
        made = self._lesson.said(self.question.key, PREDICTION)
        lines = [f"Predicted: {made or NO_PREDICTION}"]
        lines += [f"{'Measured: ' if not k else '          '} {line}" for k, line in enumerate(self._measured)]
        options = self.question.options
        if [option for option in options if _mentions("\n".join(self._measured), option.text)] != [self.found]:
            lines[-1] += f", that is “{self.found.text}”"
        # An older version may have asked it in other words: then there is nothing to say of it.
        for option in options:
            if option.text == made:
                praised = option.comment.startswith(RIGHT) and option is not self.found
                lines.append("This time the measurement says otherwise." if praised else option.comment)
        return lines


def _mentions(words: str, option: str) -> bool:
    """Whether words say an option, as words of their own: 4.01 says "4", and 3.84 does not."""
    return re.search(rf"(?<![\w.]){re.escape(option)}(?!\w)", words) is not None


class Explanation(_Ask):
    """A question that is answered in two sentences, which are kept in the progress file.

    Parameters
    ----------
    lesson : Lesson
    key : str
    question : str
    """

    def __init__(self, lesson: Lesson, key: str, question: str) -> None:
        self._lesson, self.key, self.question = lesson, key, question
        kept = lesson.said(key, "text")
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
        kept = self._lesson.said(self.key, "text")
        return f"Explain. {self.question}\n{f'You wrote: {kept}' if kept else 'Nothing is written yet.'}"

    def _keep(self) -> None:
        text = self.text.value.strip()
        if not text:
            self.words.value = "Write something first."
            return
        self._lesson.progress.note(self.key, kind=EXPLANATION, text=text, question=self.question)
        self.words.value = escape(self._lesson.progress.warning) or "Kept."


class Overview(_Ask):
    """All answers so far, and the name that a teacher will read.

    Parameters
    ----------
    lesson : Lesson
    """

    def __init__(self, lesson: Lesson) -> None:
        self._lesson = lesson
        lesson.progress.refresh()
        self.name = W.Text(value=lesson.progress.name, placeholder="your name", layout=W.Layout(width="240px"))
        self.keep = button("Keep", "save", "primary", "Write your name into your progress file.")
        self.words = W.HTML(layout=W.Layout(margin="0 0 0 10px"))
        self.table = W.HTML()
        self.keep.on_click(lambda _: self._keep())
        super().__init__(W.HBox([self.name, self.keep, self.words]), self.table)
        self._draw()

    def __repr__(self) -> str:
        lines = [f"{key:16} {words}" for key, words in rows(self._lesson.progress)]
        return "\n".join(lines) if lines else "Nothing is kept yet."

    def _keep(self) -> None:
        self._lesson.progress.call(self.name.value)
        self.words.value = escape(self._lesson.progress.warning) or "Kept."
        self._draw()

    def _draw(self) -> None:
        progress = self._lesson.progress
        found = rows(progress)
        table = "".join(f"<tr><td>{escape(key)}</td><td>{escape(words)}</td></tr>" for key, words in found)
        where = f"<p>Kept in <code>{escape(str(progress.path))}</code>.</p>" if progress.path and found else ""
        if progress.warning:
            where = f"<p>{escape(progress.warning)}</p>"
        self.table.value = (f"<table>{table}</table>" if found else "<p>Nothing is kept yet.</p>") + where


def rows(kept: ProgressFile) -> list[tuple[str, str]]:
    """Key and words of every answer, in the order of the course."""
    kept.refresh()
    found = []
    for key, answer in sorted(kept.answers.items()):
        if answer.get("kind") == PREDICTION:
            found.append((key, f"predicted: {answer.get(PREDICTION, '')}"))
        elif answer.get("kind") == CHECK:
            number = counted(answer.get("attempts"))
            passed = "passed" if answer.get("passed") is True else "not passed yet"
            found.append((key, f"{passed}, {number} {'answer' if number == 1 else 'answers'} tried"))
        elif answer.get("kind") == EXPLANATION:
            found.append((key, "explained"))
    return found
