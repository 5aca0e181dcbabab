"""What the dashboard says in words and tables, as HTML: the headline, the status line, the table of pinned runs."""

from __future__ import annotations

import math
from html import escape
from statistics import median

from piwsl_lab.lab.figures import MEV, twin_colours
from piwsl_lab.lab.session import Session, Twin
from piwsl_lab.objective import Objective

TOO_EARLY = 7  # scores of a twin, before its errors are compared in words
ABOUT_EQUAL = 1.05  # a smaller ratio of two errors is not worth a word
RECENT = 7  # scores
# Inline, because JupyterLab's own rule for <pre> is stronger than a class.
CODE_STYLE = (
    "max-height:320px;overflow:auto;white-space:pre;font-size:12px;line-height:1.35;padding:8px;margin-top:4px;"
    "border:1px solid rgba(128,128,128,.35);border-radius:6px;user-select:all"
)
ACTIVITIES = {
    "training": "Training",
    "stopping": "Stopped",
    "scoring": "Scoring the best weights on all test frames",
    "simulating": "Moving a molecule with each twin, to see whether it holds together",
}


def headline(session: Session) -> str:
    """Who is better, and by how much: the last twin against the first."""
    first, last = session.twins[0], session.twins[-1]
    colours = twin_colours(twin.name for twin in session.twins)
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
        f'<span style="color:{colours[t.name]}">■</span> {escape(t.name)}: energy {_milli(recent(t, "energy_mae"))} '
        f"meV a structure, force {_milli(recent(t, 'force_rmse'))} meV/Å"
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


def _milli(value: float) -> str:
    return "–" if math.isnan(value) else f"{MEV * value:.3g}" if MEV * value < 1000 else f"{MEV * value:.0f}"


def progress_text(session: Session) -> str:
    """Steps, step rate and time left."""
    text = f"step {session.step} of {session.steps}"
    if session.running and session.steps_per_second:
        seconds = round(session.seconds_left)
        left = f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60} s"
        text += f" · {session.steps_per_second:.0f} steps/s · {left} left"
    return text


def status(session: Session, pending: list[str], mistake: str = "") -> str:
    """One line: what is going on, with what physics, or what went wrong; `mistake` is what a button could not do."""
    if mistake or session.error is not None:
        said = mistake or _error("Stopped by an error.", session.error, "Mend it and press Train again.")
        text = said
    else:
        state = ACTIVITIES.get(session.activity)
        if state is None:
            state = "Finished; Reset begins anew" if session.finished else "Stopped" if session.step else "Ready"
        twin = session.twins[-1]
        # While it runs, what the loop uses; at rest, what the next step will use.
        text = f"<b>{state}.</b> {escape(physics((twin.trainer if session.running else twin).objective, twin.name))}"
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


def physics(objective: Objective, name: str) -> str:
    """The physics in force, in words: "PIWSL learns with ε = 0.05 Å, PITC 100, PISC off, order 2"."""
    knobs = knobs_in_words(objective)
    return f"{name} learns with {knobs}." if knobs else f"{name} learns from labels alone: PITC and PISC are off."


def knobs_in_words(objective: Objective) -> str:
    """The knobs of the consistency terms; nothing when both are off."""
    if objective.pitc == 0 and objective.pisc == 0:
        return ""
    pitc, pisc = (f"{weight:g}" if weight else "off" for weight in (objective.pitc, objective.pisc))
    return f"ε = {objective.epsilon:g} Å, PITC {pitc}, PISC {pisc}, order {objective.order}"


def pinned_runs(session: Session) -> str:
    """The pinned runs as a plain HTML table, one row a twin."""
    if not session.pins:
        return ""
    colours = twin_colours(twin.name for twin in session.twins)
    head = "run|data|labels E, F|model|step|tested on|twin|physics|E MAE, meV|F RMSE, meV/Å".split("|")
    rows = ["<tr>" + "".join(f"<th>{title}</th>" for title in head) + "</tr>"]
    for pin in session.pins:
        s = pin["setup"]
        shared = [pin["label"], s.data, f"{s.energies}, {s.forces}", f"{s.model} {s.channels} {s.head}", pin["step"]]
        shared.append(f"{pin['frames']} frames" + (f" of {s.test_part}" if s.test_part else ""))
        for k, (name, (objective, metrics, changed)) in enumerate(pin["twins"].items()):
            mark = f'<span style="color:{colours.get(name, "#000")}">■</span> {escape(name)}'
            knobs = (knobs_in_words(objective) or "labels alone") + (", changed on the way" if changed else "")
            cells = [escape(str(v)) if k == 0 else "" for v in shared] + [mark, knobs]
            cells += [_milli(metrics.energy_mae), _milli(metrics.force_rmse)]
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f'<div style="overflow-x:auto"><table class="piwsl-table">{"".join(rows)}</table></div>'


def code_block(python: str) -> str:
    """A script to look at, with a button that puts it on the clipboard."""
    copy = "navigator.clipboard.writeText(this.parentElement.querySelector('pre').innerText);this.innerText='Copied'"
    return (
        f'<div><button class="jupyter-button" onclick="{copy}">Copy to clipboard</button>'
        f'<pre class="piwsl-code" style="{CODE_STYLE}">{escape(python)}</pre></div>'
    )
