"""`Strip`: the three knobs of a lesson in one line: how many labels, how far ε, how strong the physics.

Labels and weight stand for other knobs, which they move and follow. Labels are those of energies
and forces together. The weight is that of the term that leads for this kind of potential.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Any

import ipywidgets as W

from piwsl_lab.lab.parts.knobs import STRENGTHS, compact, shown, steps, tooltip
from piwsl_lab.study.setup import Setup

ENERGIES = (0, 5, 10, 20, 50, 100, 200, 500, 1000)
LABELS_HELP = (
    "Training frames whose energy and forces are shown to the models. It acts at the next Reset. Under More the two "
    "can differ."
)
WEIGHT_TITLES = {"pitc": "PITC weight", "gradient": "grad. weight"}
WEIGHT_HELP = {
    "pitc": "How strongly the physics counts beside the labels: weight of Taylor consistency (PITC), 1/eV². Far left "
    "is off. It acts at the next step.",
    "gradient": "How strongly the physics counts beside the labels: weight of gradient consistency, Å²/eV², that the "
    "two heads agree. Far left is off. It acts at the next step.",
}


class Strip(W.Box):
    """Labels, ε and the leading weight.

    Parameters
    ----------
    setup_knobs, physics_knobs : dict of widgets
        Of `Controls`; "energies", "forces", "epsilon", "pitc" and "gradient" are among them.
    head : str
        Where the forces of the last twin come from.

    Attributes
    ----------
    labels, weight : ipywidgets.SelectionSlider
    """

    def __init__(self, setup_knobs: dict[str, W.Widget], physics_knobs: dict[str, W.Widget], head: str) -> None:
        self._parts = setup_knobs["energies"], setup_knobs["forces"]
        self._physics = physics_knobs
        self._following: int | None = None  # the thread that moves these knobs, while it does
        self.leading = ""
        self._few = ENERGIES[1:]  # both zero: there would be nothing to learn
        self.labels = compact(steps("labels", self._few, self._few[0], LABELS_HELP), "44px", "1 1 190px")
        self.weight = compact(steps("", STRENGTHS, 0, "", off=True), "86px", "1 1 225px")
        super().__init__(
            [self.labels, physics_knobs["epsilon"], self.weight],
            layout=W.Layout(display="flex", flex_flow="row wrap", flex="8 1 540px", overflow="hidden"),
        )
        self.lead(head)
        self._follow_labels()
        self.labels.observe(self._set_labels, "value")
        self.weight.observe(self._set_weight, "value")
        for part in self._parts:
            part.observe(lambda _: self._follow_labels(), "value")
        for name in WEIGHT_TITLES:
            physics_knobs[name].observe(lambda change: self._follow_weight(change["owner"]), "value")

    def lead(self, head: str) -> None:
        """Let the weight stand for the term that leads for such potentials: gradient consistency for dual ones."""
        leading = "gradient" if head == "dual" else "pitc"
        if leading == self.leading:
            return
        self.leading = leading
        self.weight.description = WEIGHT_TITLES[leading]
        for name, text in tooltip(W.SelectionSlider, WEIGHT_HELP[leading]).items():
            setattr(self.weight, name, text)
        self._follow_weight(self._physics[leading])

    # -- labels ----------------------------------------------------------------------------------------------------

    def _set_labels(self, change: dict[str, Any]) -> None:
        if self._following == threading.get_ident() or not isinstance(change["new"], int):
            return
        self._following = threading.get_ident()
        try:
            for part in self._parts:
                if all(value != change["new"] for _, value in part.options):  # it keeps its own stops
                    stops = [*part.options, (shown(change["new"]), change["new"])]
                    part.options = sorted(stops, key=lambda stop: stop[1])
                part.value = change["new"]
        finally:
            self._following = None
        self._follow_labels()

    def _follow_labels(self) -> None:
        """Show what both knobs say: one number, or two such as "50 / 0"."""
        if self._following == threading.get_ident():
            return
        energies, forces = (part.value for part in self._parts)
        stops = [(shown(value), value) for value in self._few]
        value: Any = energies
        if energies != forces:
            value = (energies, forces)
        if all(stop != value for _, stop in stops):
            words = shown(value) if energies == forces else f"{energies} / {forces}"
            stops.append((words, value))
            stops.sort(key=lambda stop: max(stop[1]) if isinstance(stop[1], tuple) else stop[1])
        self._put(self.labels, stops, value)

    def mark_pending(self, running: Setup) -> None:
        """Mark the labels where they differ from those of the running setup."""
        differ = [part.value for part in self._parts] != [running.energies, running.forces]
        (self.labels.add_class if differ else self.labels.remove_class)("piwsl-pending")

    # -- weight ----------------------------------------------------------------------------------------------------

    def _set_weight(self, change: dict[str, Any]) -> None:
        if self._following != threading.get_ident():
            self._physics[self.leading].value = change["new"]

    def _follow_weight(self, knob: W.Widget) -> None:
        if knob is self._physics[self.leading]:
            self._put(self.weight, list(knob.options), knob.value)

    def mark_scheduled(self, scheduled: Collection[str]) -> None:
        """Say in the knobs that they follow a schedule until a person moves them."""
        for name, knob in (("epsilon", self._physics["epsilon"]), (self.leading, self.weight)):
            (knob.add_class if name in scheduled else knob.remove_class)("piwsl-scheduled")

    def _put(self, knob: W.Widget, stops: list[tuple[str, Any]], value: Any) -> None:
        self._following = threading.get_ident()
        try:
            with knob.hold_sync():
                if list(knob.options) != stops:
                    knob.options = stops
                knob.value = value
        finally:
            self._following = None
