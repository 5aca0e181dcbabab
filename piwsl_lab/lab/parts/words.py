"""An objective in words: knobs, curves and sentences use the same ones."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from piwsl_lab.lab.parts.units import mev
from piwsl_lab.names import CENTRES, DIRECTIONS
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.terms import TERMS

TEACHER_WORDS = {"both": "both heads", "direct": "the direct forces", "conservative": "−dE/dr"}
SCHEDULED = "on a schedule"


def physics(objective: Objective, name: str, scheduled: Collection[str] = ()) -> str:
    """The physics in force, in words: "PIWSL learns with ε = 0.05 Å, PITC 100, PISC off, order 2"."""
    knobs = knobs_in_words(objective, scheduled)
    return f"{name} learns with {knobs}." if knobs else f"{name} learns from labels alone: every other weight is off."


def knobs_in_words(objective: Objective, scheduled: Collection[str] = ()) -> str:
    """The knobs of all terms beside the labels', those on a schedule at their present value; nothing if all are off."""
    o, words = objective, []

    def say(name: str, text: str) -> None:
        words.append(f"{text} ({SCHEDULED})" if name in scheduled else text)

    for name in ("energy", "force"):  # no knob, but a schedule may move them
        if name in scheduled:
            say(name, f"{TERMS[name].short} {rounded(o.weight(name))}")
    if not o.displaces and not scheduled:
        return ""
    say("epsilon", f"ε = {rounded(o.epsilon)} {'of each shortest bond' if o.relative else 'Å'}")
    path = o.pitc > 0 or o.pisc > 0
    for name, term in list(TERMS.items())[2:]:
        weight = o.weight(name)
        if weight > 0 or name in scheduled or (path and name in ("pitc", "pisc")):
            say(name, f"{term.short} {_weight(weight)}")
    if path:
        say("order", f"order {o.order}")
    if o.pisc > 0 and o.pisc_form != "same_point":
        words.append(f"PISC form {o.pisc_form.replace('_', ' ')}")
    if o.gradient > 0 and o.teacher != "both":
        words.append(f"taught by {TEACHER_WORDS[o.teacher]}")
    if o.direction != "uniform":
        words.append(DIRECTIONS[o.direction])
    if o.remove_drift:
        words.append("no drift")
    if o.centres == "pool" and o.is_consistent:
        words.append("at " + CENTRES["pool"])
    return ", ".join(words)


def changes_in_words(before: Objective, after: Objective) -> str:
    """What was moved between two objectives: "ε 0.05 → 0.2 Å, PITC 100 → off"; empty where nothing was.

    A field that a schedule moves is "on a schedule", at whatever value.
    """
    changes = []
    for name in ("epsilon", *TERMS, "order", "pisc_form", "teacher", "direction", "relative", "remove_drift",
                 "centres", "per_atom"):  # fmt: skip
        old, new = _said(before, name), _said(after, name)
        same_schedule = before.schedules.get(name) == after.schedules.get(name)
        if old == new and (old != SCHEDULED or same_schedule):
            continue
        if old == new:
            changes.append(f"{_title(name)} on another schedule")
            continue
        unit = " Å" if name == "epsilon" and not after.relative else ""
        unit = unit if new != SCHEDULED else ""
        changes.append(f"{_title(name)} {old} → {new}{unit}")
    return ", ".join(changes)


def _title(name: str) -> str:
    titles = {"epsilon": "ε", "pisc_form": "PISC form", "teacher": "taught by", "direction": "displacement"}
    titles |= {"relative": "ε counts", "remove_drift": "drift", "centres": "consistency asked at"}
    titles |= {"per_atom": "residuals"} | {term.name: term.short for term in TERMS.values()}
    return titles.get(name, name)


def _said(objective: Objective, name: str) -> str:
    """The value of a field in words."""
    if name in objective.schedules:
        return SCHEDULED
    if name in TERMS:
        return _weight(objective.weight(name))
    value = getattr(objective, name)
    words: dict[str, dict[Any, str]] = {
        "direction": DIRECTIONS,
        "centres": CENTRES,
        "teacher": TEACHER_WORDS,
        "relative": {False: "Å", True: "shortest bonds"},
        "remove_drift": {False: "kept", True: "taken away"},
        "per_atom": {False: "per frame", True: "per atom"},
    }
    if name in words:
        return words[name].get(value, str(value))
    return rounded(value) if isinstance(value, float) else str(value).replace("_", " ")


def _weight(value: float) -> str:
    return rounded(value) if value else "off"


def rounded(value: float) -> str:
    """A number as precise as a slider shows it; never as "1e+03"."""
    return f"{value:.3g}" if abs(value) < 999.5 else f"{value:.0f}"


def milli(value: float) -> str:
    """An error of eV in meV, or of eV/Å in meV/Å, without its unit; a dash where there is none."""
    return "–" if math.isnan(value) else rounded(mev(value))
