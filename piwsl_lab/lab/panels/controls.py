"""The controls of the dashboard: every knob of `Setup` and `Objective` as a widget that says what it is.

Data, model and training knobs wait for Reset; `Controls.pending` names those that differ from what
is running. Physics knobs write plain numbers into the objective of a twin, which the loop reads at
its next step. A knob whose number follows a schedule shows the number in force instead, until a
person moves it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as W

from piwsl_lab import names
from piwsl_lab.data import datasets
from piwsl_lab.lab.panels.strip import ENERGIES, Strip
from piwsl_lab.lab.parts.knobs import (
    HELD_OUT,
    checkbox,
    compact,
    dropdown,
    fold,
    mark,
    put,
    shown,
    steps,
    titled,
    tooltip,
    weight,
)
from piwsl_lab.models import MODELS
from piwsl_lab.names import CENTRES, DIRECTIONS, GRADIENT_TEACHERS, HEADS, ORDERS, PISC_FORMS, WEIGHTS
from piwsl_lab.piwsl.objective import Objective, suited
from piwsl_lab.piwsl.terms import TERMS
from piwsl_lab.study.setup import Setup

EPSILONS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2)
EPSILON_TITLES = {False: "ε, Å", True: "ε ÷ r"}
EPSILON_HELP = {
    False: "Perturbation: how far the consistency terms displace atoms, in Å. It acts at the next step.",
    True: "Perturbation: how far the consistency terms displace atoms, as a fraction of each atom's shortest bond r. "
    "It acts at the next step.",
}


class Controls:
    """Widgets for the knobs of a session.

    Parameters
    ----------
    setup : Setup
    objective : Objective
        That of the twin which the physics knobs act on.
    name : str
        Of that twin.
    beside : sequence of widgets
        What else stands among the knobs of data, model and training.

    Attributes
    ----------
    setup_knobs, physics_knobs : dict of widgets
        By the fields of `Setup` and `Objective` that they stand for.
    strip : Strip
        The three knobs that are always in sight: labels, ε, and the leading weight.
    more_box, expert_box : ipywidgets.Box
        The other knobs, folded away at first.
    """

    def __init__(self, setup: Setup, objective: Objective, name: str, beside: Sequence[W.Widget] = ()) -> None:
        self.setup_knobs = _setup_knobs(setup)
        self.physics_knobs = {"epsilon": compact(_epsilon(objective), "48px", "1 1 190px")} | _expert_knobs(objective)
        self.marks = {field: mark() for field in (*WEIGHTS, "order") if field in self.physics_knobs}
        self._stops = {field: getattr(knob, "options", ()) for field, knob in self.physics_knobs.items()}
        self._shown = {field: knob.value for field, knob in self.physics_knobs.items()}
        self._showing: int | None = None  # the thread that puts knobs where the training is
        self.setup_knobs["data"].observe(self._offer_test_parts, "value")
        self._rate = MODELS[setup.model].rates[setup.head]
        for name in ("model", "head"):
            self.setup_knobs[name].observe(self._follow_potential, "value")
        self.physics_knobs["relative"].observe(lambda change: self._name_epsilon(change["new"]), "value")
        self._name_epsilon(objective.relative)
        self.strip = Strip(self.setup_knobs, self.physics_knobs, setup.head)
        title = "Data, model and training: they act at the next Reset"
        self.more_box = fold(title, [*self.setup_knobs.values(), *beside])
        expert = [self._marked(field) for field in self.physics_knobs if field != "epsilon"]
        self.expert_box = fold(f"What {name} must agree with: it acts at the next step, while it trains", expert)

    def _marked(self, name: str) -> W.Widget:
        """A physics knob and, below it, the words for when it follows a schedule."""
        if name not in self.marks:
            return self.physics_knobs[name]
        return W.VBox([self.physics_knobs[name], self.marks[name]], layout=W.Layout(overflow="hidden"))

    def setup(self, running: Setup) -> Setup:
        """The setup that the knobs ask for; what has no knob stays as it is in the running one."""
        wanted = replace(running, **{name: self._wanted(name) for name in self.setup_knobs})
        own = replace(wanted, channels=None, learning_rate=None).filled()  # numbers of the model and its head
        channels = None if wanted.channels == own.channels else wanted.channels
        rate = None if wanted.learning_rate == own.learning_rate else wanted.learning_rate
        return replace(wanted, channels=channels, learning_rate=rate)

    def _wanted(self, name: str) -> Any:
        value = self.setup_knobs[name].value
        return None if value == HELD_OUT else value

    def mark_pending(self, running: Setup, objective: Objective) -> list[str]:
        """Mark the knobs that differ from the running setup; returns sentences such as "energy labels 50 → 200".

        A head that Reset will give other weights of the objective says so.
        """
        sentences = []
        for name, knob in self.setup_knobs.items():
            now, wanted = getattr(running.filled(), name), self._wanted(name)
            if wanted != now:
                knob.add_class("piwsl-pending")
                sentences.append(f"{knob.description} {shown(now)} → {shown(wanted)}")
                if name == "head" and (weights := suggested(objective, now, wanted)):
                    words = (
                        f"{TERMS[term].short} {shown(weight) if weight else 'off'}" for term, weight in weights.items()
                    )
                    sentences[-1] += f" (sets {', '.join(words)})"
            else:
                knob.remove_class("piwsl-pending")
        self.strip.mark_pending(running)
        return sentences

    def on_setup(self, callback: Callable[[], None]) -> None:
        """Call back when a data, model or training knob moves."""
        for knob in self.setup_knobs.values():
            knob.observe(lambda _: callback(), "value")

    def on_physics(self, callback: Callable[[str, Any], None]) -> None:
        """Call back with the field and its value when a person moves a physics knob."""

        def moved(change: dict[str, Any], name: str) -> None:
            if self._showing != threading.get_ident():
                callback(name, change["new"])

        for name, knob in self.physics_knobs.items():
            knob.observe(lambda change, name=name: moved(change, name), "value")

    def show(self, values: Mapping[str, Any], scheduled: Collection[str]) -> None:
        """Put physics knobs where the training is, without a call back, and say which of them follow a schedule."""
        for name, words in self.marks.items():
            words.layout.display = "block" if name in scheduled else "none"
        self.strip.mark_scheduled(scheduled)
        self._showing = threading.get_ident()
        try:
            for name, value in values.items():
                if value != self._shown[name]:  # else it would be pulled back while somebody moves it
                    put(self.physics_knobs[name], self._stops[name], value)
                    self._shown[name] = value
        finally:
            self._showing = None

    def _offer_test_parts(self, change: dict[str, Any]) -> None:
        self.setup_knobs["test_part"].options = _test_options(change["new"], None)

    def _follow_potential(self, _change: dict[str, Any]) -> None:
        """Give the learning rate of the new model and head where that of the old ones stands."""
        model, head = (self.setup_knobs[name].value for name in ("model", "head"))
        knob, old, self._rate = self.setup_knobs["learning_rate"], self._rate, MODELS[model].rates[head]
        if knob.value == old:
            knob.value = self._rate

    def _name_epsilon(self, relative: bool) -> None:
        """Say the unit of ε: Å, or a fraction of a bond."""
        knob = self.physics_knobs["epsilon"]
        knob.description = EPSILON_TITLES[relative]
        for name, text in tooltip(W.SelectionSlider, EPSILON_HELP[relative]).items():
            setattr(knob, name, text)


def _models() -> dict[str, str]:
    """Every model that can be built, by its title; one that has none goes by its name."""
    return {name: names.MODELS.get(name, name) for name in MODELS}


def _setup_knobs(setup: Setup) -> dict[str, W.Widget]:
    rates = [rate for model in MODELS.values() for rate in model.rates.values()]
    return {
        "data": dropdown("data set", _data_options(setup.data), setup.data, "Frames to learn and to test on."),
        "energies": steps(
            "energy labels", ENERGIES, setup.energies, "Training frames whose energy is shown to the models."
        ),
        "forces": steps(
            "force labels", ENERGIES, setup.forces, "Training frames whose forces are shown to the models."
        ),
        "test_part": dropdown(
            "tested on", _test_options(setup.data, setup.test_part), setup.test_part or HELD_OUT,
            "Frames for all errors shown: never used in training, or another part such as a higher temperature.",
        ),
        "model": dropdown("architecture", titled(_models()), setup.model, "The neural network."),
        "head": dropdown(
            "forces from", titled(HEADS), setup.head,
            "Direct: a second output, fast. Conservative: minus the gradient of the energy. Dual: one network with "
            "both, taught by gradient consistency to agree; it answers with −dE/dr, and its rival is conservative.",
        ),
        "channels": steps(
            "size, channels", (16, 32, 64, 128), setup.size()["channels"], "Width of an atom's features."
        ),
        "learning_rate": steps(
            "learning rate", {1e-4, 3e-4, 1e-3, 3e-3, 1e-2, *rates}, setup.rate(),
            "Of AdamW, at the first step. It follows architecture and head until you move it.",
        ),
        "batch_size": steps("batch, frames", (1, 2, 4, 8, 16, 32), setup.batch_size, "Frames in one step."),
        "steps": steps("steps", (200, 500, 1000, 2000, 3000, 6000, 10000), setup.steps, "Length of the run."),
    }  # fmt: skip


def _epsilon(objective: Objective) -> W.SelectionSlider:
    return steps(EPSILON_TITLES[False], EPSILONS, objective.epsilon, EPSILON_HELP[False])


def _expert_knobs(objective: Objective) -> dict[str, W.Widget]:
    """All other knobs of the physics."""
    return _weights(objective) | _forms(objective)


def _weights(objective: Objective) -> dict[str, W.Widget]:
    """How strongly every term counts."""
    return {
        "pitc": weight(
            "PITC weight", objective.pitc,
            "Taylor consistency: a displaced energy must agree with the work of the predicted forces. "
            f"Weight in {TERMS['pitc'].weight_unit}.",
        ),
        "pisc": weight(
            "PISC weight", objective.pisc,
            "Spatial consistency: the energy of a point must not depend on the path to it. "
            f"Weight in {TERMS['pisc'].weight_unit}.",
        ),
        "gradient": weight(
            "gradient weight", objective.gradient,
            "Gradient consistency: at displaced positions the two heads, direct forces and −dE/dr, must agree. For "
            f"forces from dual, or direct. Weight in {TERMS['gradient'].weight_unit}.",
        ),
        "weak": weight(
            "weak labels", objective.weak,
            "Weight of the labels' own Taylor expansion at displaced positions (Cooper et al. 2020), "
            f"in {TERMS['weak'].weight_unit}.",
        ),
        "noisy": weight(
            "noisy copies", objective.noisy,
            "How much displaced frames with unchanged labels count (NoisyNodes); the labels are a little wrong there, "
            "so take a small ε, 0.01 Å.",
        ),
        "curl": weight(
            "curl", objective.curl,
            f"Weight of what keeps direct forces from being a gradient, in {TERMS['curl'].weight_unit}; −dE/dr has no "
            "curl, and learns nothing from it.",
        ),
    }  # fmt: skip


def _forms(objective: Objective) -> dict[str, W.Widget]:
    """Which atoms are displaced how, and what is compared there."""
    return {
        "order": dropdown(
            "order of PITC", titled(ORDERS), objective.order,
            "2 also uses the forces at the displaced end: right to O(ε³) instead of O(ε²). Symmetric: the "
            "energies on both sides, as exact as 2.",
        ),
        "direction": dropdown(
            "displacement", titled(DIRECTIONS), objective.direction,
            "Where atoms are pushed. In a cube: every component in [−ε, ε]. Fixed length: ε for every atom. Soft "
            "modes: as the training frames differ. Worst: along the error of the forces.",
        ),
        "centres": dropdown(
            "consistency asked at", titled(CENTRES), objective.centres,
            "Which frames are displaced: those with labels, or those of the training part that no label was paid for.",
        ),
        "pisc_form": dropdown(
            "PISC compares", titled(PISC_FORMS), objective.pisc_form,
            "Which sides of the triangle of two displacements must agree; the paper takes one point, two paths.",
        ),
        "teacher": dropdown(
            "gradient teaches", titled(GRADIENT_TEACHERS), objective.teacher,
            "Which kind of forces learns from gradient consistency while the other stays as it is; or both move.",
        ),
        "relative": checkbox(
            "ε counts in shortest bonds", objective.relative,
            "Every atom then moves by ε times its own shortest bond: far where bonds are long.",
        ),
        "remove_drift": checkbox(
            "no drift: the centre stays", objective.remove_drift,
            "Take the mean displacement away: an energy does not change when everything moves together.",
        ),
    }  # fmt: skip


def suggested(objective: Objective, head: str, wanted: str) -> dict[str, float]:
    """Weights to set when the head changes: those suited to the new one, if the objective has those of the old one."""
    now, then = suited(head), suited(wanted)
    chosen = objective.pisc > 0 or objective.schedules or any(getattr(objective, n) != v for n, v in now.items())
    return {} if now == then or chosen else then


def _data_options(current: str) -> list[tuple[str, str]]:
    options = [
        (e.name if e.embedded else f"{e.name} (download, {max(e.size_mb, 0.1):.1f} MB)", e.name) for e in datasets()
    ]
    return options if current in [name for _, name in options] else [*options, (current, current)]


def _test_options(data: str, current: str | None) -> list[tuple[str, str]]:
    """Held-out frames, or any other part of the same data set."""
    name, _, part = data.partition(":")
    options = [(HELD_OUT, HELD_OUT)]
    for entry in datasets():
        if entry.name == name:
            options += [(other, f"{name}:{other}") for other in entry.parts if other != (part or entry.default)]
    if current is None or current in [value for _, value in options]:
        return options
    return [*options, (current, current)]
