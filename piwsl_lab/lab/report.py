"""What the dashboard says in words and tables, as HTML: the headline, the status line, the table of pinned runs.

The words for what an objective asks are here as well, so that knobs and sentences use the same.
"""

from __future__ import annotations

from html import escape
from statistics import median

from piwsl_lab.lab.colours import name_colours
from piwsl_lab.lab.session import Session, Twin
from piwsl_lab.lab.twin import CannotStep, Snapshot
from piwsl_lab.lab.words import (  # noqa: F401  (also read from here)
    CENTRE_TITLES,
    DIRECTION_TITLES,
    TERM_WORDS,
    changes_in_words,
    knobs_in_words,
    milli,
    physics,
)

TOO_EARLY = 7  # scores of a twin, before its errors are compared in words
ABOUT_EQUAL = 1.05  # a smaller ratio of two errors is not worth a word
RECENT = 7  # scores
# Inline, because JupyterLab's own rule for <pre> is stronger than a class.
CODE_STYLE = (
    "max-height:320px;overflow:auto;white-space:pre;font-size:12px;line-height:1.35;padding:8px;margin-top:4px;"
    "border:1px solid rgba(128,128,128,.35);border-radius:6px;user-select:all"
)
CSS = """<style>
.piwsl-pending .widget-label, .piwsl-pending .jupyter-widgets.widget-label {font-weight: 700; color: #B45F06;}
.piwsl-pending .widget-label::before {content: "● ";}
.piwsl-group {border: 1px solid rgba(128,128,128,.35); border-radius: 6px; padding: 2px 8px 6px;}
.piwsl-group b {font-size: 13px;}
.piwsl-schedule, .piwsl-schedule .widget-html-content {height: 14px; line-height: 14px; color: #B45F06;
  font-size: 11px; text-align: right;}
.piwsl-table {border-collapse: collapse; font-size: 12px; line-height: 1.5;}
.piwsl-table td, .piwsl-table th {padding: 2px 8px; text-align: left; white-space: nowrap;
  border-bottom: 1px solid rgba(128,128,128,.3);}
</style>"""
ACTIVITIES = {
    "training": "Training",
    "stopping": "Stopped",
    "scoring": "Scoring the best weights on all test frames",
    "simulating": "Moving a molecule with each twin, to see whether it holds together",
}


def headline(session: Session) -> str:
    """Who is better, and by how much: the last twin against the first."""
    first, last = session.twins[0], session.twins[-1]
    colours = name_colours(twin.name for twin in session.twins)
    if session.step == 0:
        text = "Two potentials, the same frames, the same start. Press <b>Train</b>."
    elif not last.final and min(len(first.points), len(last.points)) < TOO_EARLY:
        text = "Both have just begun: too early to say who is better."
    else:
        who = f'<b style="color:{colours[last.name]}">{escape(last.name)}</b>'
        text = f"With {who}: " + ", ".join(
            comparison(what, recent(first, name), recent(last, name))
            for what, name in (("energy error", "energy_mae"), ("force error", "force_rmse"))
        )
    numbers = " &nbsp; ".join(
        f'<span style="color:{colours[t.name]}">■</span> {escape(t.name)}: energy {milli(recent(t, "energy_mae"))} '
        f"meV a structure, force {milli(recent(t, 'force_rmse'))} meV/Å"
        for t in session.twins
    )
    scored = f"all {len(session.task.test)} test frames" if last.final else f"{len(session.test_frames)} test frames"
    return (
        f'<div style="line-height:1.5"><span class="piwsl-headline" style="font-size:19px">{text}</span><br>'
        f'<span style="font-size:13px">{numbers} &nbsp; (on {scored})</span></div>'
    )


def comparison(what: str, before: float, after: float) -> str:
    """Two errors in words: "energy error 3.1× lower"."""
    if not (before > 0 and after > 0):  # nan where there is no label, 0 for a perfect model
        return f"{what}: no labels to compare with"
    ratio = before / after
    if 1 / ABOUT_EQUAL < ratio < ABOUT_EQUAL:
        return f"{what} about the same"
    word, factor = ("lower", ratio) if ratio > 1 else ("higher", 1 / ratio)
    return f"{what} <b>{factor:.2g}× {word}</b>" if factor < 99.5 else f"{what} <b>{factor:.0f}× {word}</b>"


def recent(twin: Twin, metric: str) -> float:
    """A score of a twin, eV or eV/Å: the final one, or the median of the last few, which jumps less."""
    scores = [twin.final] if twin.final else [metrics for _, metrics in twin.points[-RECENT:]]
    return median(getattr(metrics, metric) for metrics in scores)


def progress_text(session: Session) -> str:
    """Steps, step rate and time left."""
    text = f"step {session.step} of {session.steps}"
    if session.running and session.steps_per_second:
        seconds = round(session.seconds_left)
        left = f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60} s"
        text += f" · {session.steps_per_second:.0f} steps/s · {left} left"
    return text


def moment(twin: Twin, past: Snapshot | None) -> str:
    """Of which weights the forces are that are shown; while they are the present ones the words stay the same."""
    if past is not None:
        return f"forces of {escape(twin.name)} at <b>step {past.step}</b> of {len(twin.records)}"
    return f"forces of {escape(twin.name)} <b>now</b>" + (": those of the best weights" if twin.final else "")


def status(session: Session, pending: list[str], mistake: str = "") -> str:
    """One line: what is going on, with what physics, or what went wrong; `mistake` is what a button could not do."""
    obstacle = "" if session.running else next((twin.obstacle for twin in session.twins if twin.obstacle), "")
    if mistake:
        text = mistake
    elif obstacle:
        what = "Training is paused, nothing is lost." if session.step else "Training cannot begin yet."
        text = f'<b style="color:#B00020">{what}</b> {escape(obstacle)}'
    elif session.error is not None and not isinstance(session.error, CannotStep):  # an obstacle that is gone is past
        text = _error("Stopped by an error.", session.error, "Mend it and press Train again.")
    else:
        state = ACTIVITIES.get(session.activity)
        if state is None:
            state = "Finished; Reset begins anew" if session.finished else "Stopped" if session.step else "Ready"
        twin = session.twins[-1]
        # While it runs, what the loop uses; at rest, what the next step will use.
        now = twin.trainer.current if session.running else twin.now
        schedules = (twin.trainer if session.running else twin).objective.schedules
        text = f"<b>{state}.</b> {escape(physics(now, twin.name, schedules) + _heads(session))}"
    if pending:
        text += f'<br><span style="color:#B45F06">● Waiting for Reset: {escape("; ".join(pending))}</span>'
    return f'<div class="piwsl-status" style="line-height:1.4">{text}</div>'


def _error(what: str, error: Exception, remedy: str) -> str:
    message = escape(f"{type(error).__name__}: {error}")
    return f'<b style="color:#B00020">{what}</b> {message} <i>{remedy}</i>'


def button_failed(name: str, error: Exception) -> str:
    """What the status line says when a button could not do its work."""
    return _error(f"{name} was not possible; nothing has changed.", error, f"Mend it and press {name} again.")


def drawing_failed(error: Exception) -> str:
    """What the status line says while training goes on that cannot be drawn."""
    return _error("Drawing failed; training goes on.", error, "It is tried again every second.")


def _heads(session: Session) -> str:
    """What a dual potential is, where there is one."""
    heads = {twin.name: twin.setup.head for twin in session.twins}
    if "dual" not in heads.values():
        return ""
    others = " and ".join(name for name, head in heads.items() if head == "conservative")
    return " All errors are those of F = −dE/dr" + (f", the only forces of {others}." if others else ".")


def pinned_runs(session: Session) -> str:
    """The pinned runs as a plain HTML table, one row a twin."""
    if not session.pins:
        return ""
    colours = name_colours(twin.name for twin in session.twins)
    head = "run|data|labels E, F|model|step|tested on|twin|physics|E MAE, meV|F RMSE, meV/Å".split("|")
    rows = ["<tr>" + "".join(f"<th>{title}</th>" for title in head) + "</tr>"]
    for pin in session.pins:
        s = pin["setup"]
        frames = f"{pin['frames']} frames" + (f" of {s.test_part}" if s.test_part else "")
        seen = ""
        for k, (name, (objective, metrics, changed)) in enumerate(pin["twins"].items()):
            mark = f'<span style="color:{colours.get(name, "#000")}">■</span> {escape(name)}'
            last = objective.at(max(pin["step"] - 1, 0))
            knobs = knobs_in_words(last, objective.schedules) or "labels alone"
            knobs += ", changed on the way" if changed else ""
            model = f"{s.model} {s.channels} {pin['heads'][name]}"
            shared = [pin["label"], s.data, f"{s.energies}, {s.forces}", model, pin["step"], frames]
            cells = [escape(str(v)) if k == 0 or (v is model and v != seen) else "" for v in shared] + [mark, knobs]
            seen = model
            cells += [milli(metrics.energy_mae), milli(metrics.force_rmse)]
            # Physics may take many words: they wrap, so that the errors stay in sight.
            wraps = [' style="white-space:normal;min-width:220px"' if cell is knobs else "" for cell in cells]
            rows.append("<tr>" + "".join(f"<td{w}>{c}</td>" for w, c in zip(wraps, cells, strict=True)) + "</tr>")
    return f'<div style="overflow-x:auto"><table class="piwsl-table">{"".join(rows)}</table></div>'


def code_block(python: str) -> str:
    """A script to look at, with a button that puts it on the clipboard."""
    copy = "navigator.clipboard.writeText(this.parentElement.querySelector('pre').innerText);this.innerText='Copied'"
    return (
        f'<div><button class="jupyter-button" onclick="{copy}">Copy to clipboard</button>'
        f'<pre class="piwsl-code" style="{CODE_STYLE}">{escape(python)}</pre></div>'
    )
