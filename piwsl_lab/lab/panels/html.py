"""What the dashboard says in words and tables, as HTML: the headline, the status line, the table of pinned runs.

Every name, path and message that comes from a person or a file is escaped. Colours mark words with a square and are no
colour of the words themselves: those stay readable on light and on dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from piwsl_lab.lab.panels.drawing import failed
from piwsl_lab.lab.parts.colours import ON_DARK, twin_colours
from piwsl_lab.lab.parts.words import knobs_in_words, milli, physics
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.lab.sessions.twin import CannotStep, Predictions, Twin
from piwsl_lab.lab.sessions.verdict import BETTER, FEWEST, UNDECIDED, Verdict

RECENT = 7  # scores
COUNTS = {1: "One potential", 2: "Two potentials", 3: "Three potentials", 4: "Four potentials"}
ACTIVITIES = {
    "training": "Training",
    "stopping": "Stopped",
    "scoring": "Scoring the best weights on all test frames",
    "simulating": "Moving a molecule with each twin, to see whether it holds together",
}
STORED = "Stored run, trained earlier on another machine"


# -- the verdict -------------------------------------------------------------------------------------------------------


def headline(session: Any, verdicts: Sequence[tuple[str, Verdict, Verdict]], stored: bool = False) -> str:
    """Who is better, and by how much: the last twin against the others.

    Parameters
    ----------
    session : Session, or a stored run with the same attributes
    verdicts : sequence of (name of the other twin, verdict on the energy, verdict on the forces)
    stored : bool
        Say that this is a stored run.
    """
    text = _who_is_better(session, verdicts)
    mark = '<span class="piwsl-stored">stored run</span> ' if stored else ""
    return _line(_kind("piwsl-headline", session), mark + text)


def _who_is_better(session: Any, verdicts: Sequence[tuple[str, Verdict, Verdict]]) -> str:
    last = session.twins[-1]
    if session.step == 0:
        count = COUNTS.get(len(session.twins), f"{len(session.twins)} potentials")
        same = ", the same frames, the same start" if verdicts else ""
        return f"{count}{same}. Press <b>Train</b>."
    if not verdicts:
        over = "its best weights are scored" if last.final else "there is no other potential to compare with"
        return f"{name_of(last, session)} alone: {over}."
    if not last.final and all(max(e.scores, f.scores) < FEWEST for _, e, f in verdicts):
        return "They have just begun: not decided yet."
    sentences = []
    for name, energy, force in verdicts:
        many = len(verdicts) > 1  # fewer words for each
        against = f"against {escape(name)}: " if many else ""
        both = energy.state == force.state == UNDECIDED and energy.ratio > 0 and force.ratio > 0
        if both and not last.final:
            sentences.append(f"{against}energy and force {'' if many else 'error '}not decided yet")
        else:
            final = bool(last.final)
            said = f"{verdict_in_words('energy', energy, final)}, {verdict_in_words('force', force, final)}"
            sentences.append(against + (said.replace(" error", "") if many else said))
    return f"With {name_of(last, session)}: " + "; ".join(sentences)


def verdict_in_words(what: str, verdict: Verdict, final: bool = False) -> str:
    """A verdict in words: "energy error 3.1× lower".

    Parameters
    ----------
    what : "energy" or "force"
    verdict : Verdict
    final : bool
        All test frames were scored, and no more will come.
    """
    if not verdict.ratio > 0:  # nan
        return f"no {what} labels to compare with"
    if verdict.state == UNDECIDED:
        return f"{what} error {'about the same' if final else 'not decided yet'}"
    word, factor = ("lower", verdict.ratio) if verdict.state == BETTER else ("higher", 1 / verdict.ratio)
    number = f"{factor:.0f}" if factor >= 9.95 else f"{factor:.1f}" if factor >= 1.15 else f"{factor:.2f}"
    return f"{what} error <b>{number}× {word}</b>"


def errors_line(session: Any, verdicts: Sequence[tuple[str, Verdict, Verdict]]) -> str:
    """The errors of every twin, and the frames and scores they rest on."""
    per = "structure" if session.test_frames[0].pbc.any() else "molecule"
    errors = " &nbsp; ".join(
        f"{name_of(t, session)}: energy {milli(recent(t, 'energy_mae'))} meV per {per}, "
        f"force {milli(recent(t, 'force_rmse'))} meV/Å"
        for t in session.twins
    )
    return _line(_kind("piwsl-numbers", session), f"{errors} &nbsp; ({_basis(session, verdicts)})")


def _kind(kind: str, session: Any) -> str:
    """Three and more twins need two lines, of smaller letters."""
    return f"{kind} piwsl-many" if len(session.twins) > 2 else kind


def _basis(session: Any, verdicts: Sequence[tuple[str, Verdict, Verdict]]) -> str:
    if session.twins[-1].final:
        return f"all {len(session.task.test)} test frames"
    frames = f"{len(session.test_frames)} test frames"
    scores = max((max(e.scores, f.scores) for _, e, f in verdicts), default=0)
    return f"{frames}, last {scores} scores" if scores >= FEWEST else frames


def name_of(twin: Any, session: Any) -> str:
    """The name of a twin behind a square of its colour."""
    return f"{swatch(twin_colours(session.twins)[twin.name])} <b>{escape(twin.name)}</b>"


def swatch(colour: str) -> str:
    """A square of a colour, lighter on a dark page."""
    return f'<span class="piwsl-mark" style="--light:{colour};--dark:{ON_DARK.get(colour, colour)}">■</span>'


def recent(twin: Any, metric: str) -> float:
    """A score of a twin, eV or eV/Å: the final one, or the median of the last few, which jumps less."""
    scores = [twin.final] if twin.final else [metrics for _, metrics in twin.points[-RECENT:]]
    return median(getattr(metrics, metric) for metrics in scores)


def _line(kind: str, html: str) -> str:
    """One line of reserved height; what does not fit is in its tooltip."""
    return f'<div class="{kind} piwsl-line" title="{_plain(html)}">{html}</div>'


def _plain(html: str) -> str:
    """The words of a piece of HTML for a tooltip; what was escaped stays so."""
    words, inside = [], False
    for letter in html.replace("&nbsp;", " "):
        inside = letter == "<" or (inside and letter != ">")
        if not inside and letter != ">":
            words.append(letter)
    return "".join(words).replace('"', "&quot;")


def progress_text(session: Any) -> str:
    """Steps, step rate and time left."""
    text = f"step {session.step} of {session.steps}"
    if session.running and session.steps_per_second:
        seconds = round(session.seconds_left)
        left = f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60} s"
        text += f" · {session.steps_per_second:.0f}/s · {left} left"
    return _line("piwsl-progress", text)


def moment(twin: Twin, past: Predictions | None) -> str:
    """Of which weights the forces are that are shown; while they are the present ones the words stay the same."""
    if past is not None:
        text = f"forces of {escape(twin.name)} at <b>step {past.step}</b> of {len(twin.records)}"
    else:
        text = f"forces of {escape(twin.name)} <b>now</b>" + (": those of the best weights" if twin.final else "")
    return _line("piwsl-moment", text)


# -- the status line ---------------------------------------------------------------------------------------------------


def status(session: Session, pending: list[str], mistake: str = "", stored: bool = False) -> str:
    """Two lines: what is going on, with what physics, or what went wrong; and what waits for Reset.

    Parameters
    ----------
    session : Session
    pending : list of str
        Settings that wait for Reset.
    mistake : str
        HTML that says what a button could not do.
    stored : bool
        Say that curves, molecule and verdict are those of a stored run.
    """
    obstacle = "" if session.running else next((twin.obstacle for twin in session.twins if twin.obstacle), "")
    notice = session.notice
    if mistake:
        text = mistake
    elif obstacle:
        what = "Training is paused, nothing is lost." if session.step else "Training cannot begin yet."
        text = f'<b class="piwsl-error">{what}</b> {escape(obstacle)}'
    elif session.error is not None and not isinstance(session.error, CannotStep):  # an obstacle that is gone is past
        text = failed("Training stopped", session.error, "Mend it and press Train again.")
    else:
        state = ACTIVITIES.get(session.activity)
        if state is None:
            state = "Finished; Reset begins anew" if session.finished else "Stopped" if session.step else "Ready"
        twin = session.twins[-1]
        # While it runs, what the loop uses; at rest, what the next step will use.
        now = twin.trainer.current if session.running else twin.now
        schedules = (twin.used if session.running else twin.objective).schedules
        early = [f"{one.early_end} " for one in session.twins if one.early_end]
        text = f"<b>{state}.</b> {escape(''.join(early) + physics(now, twin.name, schedules) + _heads(session))}"
        if notice:
            text = f'<b class="piwsl-warn">{escape(notice)}</b> {text}'
    if words := session.doubts:
        text += f' <span class="piwsl-warn">{escape(words)} dataset.check() says more.</span>'
    if stored:
        text = f'<span class="piwsl-warn">{STORED}, until you press Train.</span> {text}'
    if pending:
        waiting = f"● Waiting for Reset: {escape('; '.join(pending))}"
        text = f'<span class="piwsl-warn">{waiting}</span> · {text}'
    return f'<div class="piwsl-status" title="{_plain(text)}">{text}</div>'


def saved(folder: Path) -> str:
    """Where a session was saved, how large it is, and the line that brings it back."""
    folder = folder.resolve()
    files = [path for path in folder.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
    line = escape(f"session = Session.load({str(folder)!r})")
    return (
        f'<div class="piwsl-saved">Saved in <b>{escape(str(folder))}</b>: {size:.1f} MB in {count}. '
        f"It comes back, here or on another machine, with <code>{line}</code></div>"
    )


def _heads(session: Session) -> str:
    """What a dual potential is, where there is one."""
    heads = {twin.name: twin.setup.head for twin in session.twins}
    if "dual" not in heads.values():
        return ""
    others = " and ".join(name for name, head in heads.items() if head == "conservative")
    return " All errors are those of F = −dE/dr" + (f", the only forces of {others}." if others else ".")


# -- tables ------------------------------------------------------------------------------------------------------------


def pinned_runs(session: Session) -> str:
    """The pinned runs as a plain HTML table, one row for each twin; the numbers stand next to the name."""
    if not session.pins:
        return ""
    colours = twin_colours(session.twins)
    head = "run|twin|E MAE, meV|F RMSE, meV/Å|physics|data|labels E, F|model|step|tested on".split("|")
    rows = ["<tr>" + "".join(f"<th>{title}</th>" for title in head) + "</tr>"]
    for pin in session.pins:
        s = pin["setup"]
        frames = f"{pin['frames']} frames" + (f" of {s.test_part}" if s.test_part else "")
        seen = ""
        for k, (name, (objective, metrics, changed)) in enumerate(pin["twins"].items()):
            last = objective.at(max(pin["step"] - 1, 0))
            knobs = knobs_in_words(last, objective.schedules) or "labels alone"
            knobs += ", changed on the way" if changed else ""
            model = f"{s.model} {s.filled().channels} {pin['heads'][name]}"
            shared = (s.data, f"{s.energies}, {s.forces}", model, pin["step"], frames)
            mark = f"{swatch(colours.get(name, '#7F7F7F'))} {escape(name)}"
            cells = [escape(str(pin["label"])) if k == 0 else "", mark]
            cells += [milli(metrics.energy_mae), milli(metrics.force_rmse), escape(knobs)]
            cells += [escape(str(v)) if k == 0 or (v is model and v != seen) else "" for v in shared]
            seen = model
            kinds = ["", "", "piwsl-number", "piwsl-number", "piwsl-physics", *[""] * len(shared)]
            row = (f'<td class="{c}">{v}</td>' for c, v in zip(kinds, cells, strict=True))
            rows.append(f"<tr>{''.join(row)}</tr>")
    return f'<div class="piwsl-scroll"><table class="piwsl-table">{"".join(rows)}</table></div>'


def code_block(python: str) -> str:
    """A script to look at, with a button that puts it on the clipboard."""
    copy = "navigator.clipboard.writeText(this.parentElement.querySelector('pre').innerText);this.innerText='Copied'"
    return (
        f'<div class="piwsl-scroll-outside"><button class="jupyter-button" onclick="{copy}">Copy to clipboard</button>'
        f'<pre class="piwsl-code" style="{CODE_STYLE}">{escape(python)}</pre></div>'
    )


# Inline, because JupyterLab's own rule for <pre> is stronger than a class.
CODE_STYLE = (
    "max-height:320px;max-width:100%;box-sizing:border-box;overflow:auto;white-space:pre;font-size:12px;"
    "line-height:1.35;padding:8px;margin-top:4px;border:1px solid rgba(128,128,128,.35);border-radius:6px;"
    "color:inherit;user-select:all"
)
