"""The controls of the dashboard: every knob of `Setup` and `Objective` as a widget that says what it is.

Data, model and training knobs wait for Reset; `Controls.pending` names those that differ from what is running. Physics
knobs write plain numbers into the objective of a twin, which the loop reads at its next step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets as W

from piwsl_lab.data import datasets
from piwsl_lab.displacements import DIRECTIONS
from piwsl_lab.losses import Objective
from piwsl_lab.models import HEADS, MODELS
from piwsl_lab.study import Setup

ENERGIES = (0, 5, 10, 20, 50, 100, 200, 500, 1000)
WEIGHTS = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
EPSILONS = (0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15, 0.2)
HELD_OUT = "held-out frames"  # stands for None, which a Dropdown takes for "nothing chosen"
MODEL_TITLES = {"painn": "PaiNN", "schnet": "SchNet"}
HEAD_TITLES = {"direct": "direct: F is an output", "conservative": "conservative: F = −dE/dr"}
DIRECTION_TITLES = {"uniform": "uniform in a cube", "fixed_length": "fixed length"}

CSS = """<style>
.piwsl-pending .widget-label, .piwsl-pending .jupyter-widgets.widget-label {font-weight: 700; color: #B45F06;}
.piwsl-pending .widget-label::before {content: "● ";}
.piwsl-group {border: 1px solid rgba(128,128,128,.35); border-radius: 6px; padding: 2px 8px 6px;}
.piwsl-group b {font-size: 13px;}
.piwsl-table {border-collapse: collapse; font-size: 12px; line-height: 1.5;}
.piwsl-table td, .piwsl-table th {padding: 2px 8px; text-align: left; white-space: nowrap;
  border-bottom: 1px solid rgba(128,128,128,.3);}
</style>"""


class Controls:
    """Widgets for the knobs of a session.

    Parameters
    ----------
    setup : Setup
    objective : Objective
        That of the twin which the physics knobs act on.
    physics_title : str
        Heading of the physics group.
    """

    def __init__(self, setup: Setup, objective: Objective, physics_title: str = "Physics") -> None:
        self.setup_knobs = {
            "data": _dropdown("data set", _data_options(setup.data), setup.data, "Frames to learn and to test on."),
            "energies": _steps(
                "energy labels", ENERGIES, setup.energies, "Training frames whose energy is shown to the models."
            ),
            "forces": _steps(
                "force labels", ENERGIES, setup.forces, "Training frames whose forces are shown to the models."
            ),
            "test_part": _dropdown(
                "tested on", _test_options(setup.data, setup.test_part), setup.test_part or HELD_OUT,
                "Frames for all errors shown: never used in training, or another part such as a higher temperature.",
            ),
            "model": _dropdown("architecture", _titled(MODELS, MODEL_TITLES), setup.model, "The neural network."),
            "head": _dropdown(
                "forces from", _titled(HEADS, HEAD_TITLES), setup.head,
                "Direct: a second output, fast. Conservative: minus the gradient of the energy.",
            ),
            "channels": _steps("size, channels", (16, 32, 64, 128), setup.channels, "Width of an atom's features."),
            "learning_rate": _steps(
                "learning rate", (1e-4, 3e-4, 1e-3, 3e-3), setup.learning_rate, "Of AdamW, at the first step."
            ),
            "batch_size": _steps("batch, frames", (1, 2, 4, 8, 16, 32), setup.batch_size, "Frames in one step."),
            "steps": _steps("steps", (200, 500, 1000, 2000, 3000, 6000, 10000), setup.steps, "Length of the run."),
        }  # fmt: skip
        self.physics_knobs = {
            "epsilon": _steps(
                "perturbation ε, Å", EPSILONS, objective.epsilon, "How far the consistency terms displace atoms."
            ),
            "pitc": _steps(
                "PITC weight, eV⁻²", WEIGHTS, objective.pitc,
                "Taylor consistency: a displaced energy must agree with the work of the predicted forces.", off=True,
            ),
            "pisc": _steps(
                "PISC weight, eV⁻²", WEIGHTS, objective.pisc,
                "Spatial consistency: the energy of a point must not depend on the path to it.", off=True,
            ),
            "order": _dropdown(
                "order", [("2: trapezoid rule", 2), ("1: Taylor, as in the paper", 1)], objective.order,
                "The second order also uses the forces at the displaced end: right to O(ε³) instead of O(ε²).",
            ),
            "direction": _dropdown(
                "displacement", _titled(DIRECTIONS, DIRECTION_TITLES), objective.direction,
                "Every component in [−ε, ε], or a random direction of length ε for every atom.",
            ),
        }  # fmt: skip
        self.setup_knobs["data"].observe(self._offer_test_parts, "value")
        self.widget = W.Box(
            [
                _group("Data", [self.setup_knobs[k] for k in ("data", "energies", "forces", "test_part")]),
                _group(
                    "Model and training",
                    [
                        self.setup_knobs[k]
                        for k in ("model", "head", "channels", "learning_rate", "batch_size", "steps")
                    ],
                ),
                _group(physics_title, list(self.physics_knobs.values())),
            ],
            layout=W.Layout(display="flex", flex_flow="row wrap", width="100%", overflow="hidden"),
        )

    def setup(self, running: Setup) -> Setup:
        """The setup that the knobs ask for; what has no knob stays as it is in the running one."""
        return replace(running, **{name: self._wanted(name) for name in self.setup_knobs})

    def _wanted(self, name: str) -> Any:
        value = self.setup_knobs[name].value
        return None if value == HELD_OUT else value

    def mark_pending(self, running: Setup) -> list[str]:
        """Mark the knobs that differ from the running setup; returns sentences such as "energy labels 50 → 200"."""
        sentences = []
        for name, knob in self.setup_knobs.items():
            now, wanted = getattr(running, name), self._wanted(name)
            if wanted != now:
                knob.add_class("piwsl-pending")
                sentences.append(f"{knob.description} {_shown(now)} → {_shown(wanted)}")
            else:
                knob.remove_class("piwsl-pending")
        return sentences

    def on_setup(self, callback: Callable[[], None]) -> None:
        """Call back when a data, model or training knob moves."""
        for knob in self.setup_knobs.values():
            knob.observe(lambda _: callback(), "value")

    def on_physics(self, callback: Callable[[str, Any], None]) -> None:
        """Call back with the field and its value when a physics knob moves."""
        for name, knob in self.physics_knobs.items():
            knob.observe(lambda change, name=name: callback(name, change["new"]), "value")

    def _offer_test_parts(self, change: dict[str, Any]) -> None:
        self.setup_knobs["test_part"].options = _test_options(change["new"], None)


def tooltip(widget_class: type[W.Widget], text: str) -> dict[str, str]:
    """The keyword for a tooltip: it has another name in ipywidgets 7 (Google Colab)."""
    return {"tooltip" if widget_class.class_traits().get("tooltip") else "description_tooltip": text}


def _steps(title: str, values: Sequence[float], value: float, help_text: str, off: bool = False) -> W.SelectionSlider:
    """A slider over round values, a logarithmic scale to the hand; `value` is added where it is not among them."""
    options = [("off" if off and v == 0 else _shown(v), v) for v in sorted({*values, value})]
    return W.SelectionSlider(
        options=options, value=value, description=title, continuous_update=True, **_knob(W.SelectionSlider, help_text)
    )


def _dropdown(title: str, options: Sequence[tuple[str, Any]], value: Any, help_text: str) -> W.Dropdown:
    return W.Dropdown(options=options, value=value, description=title, **_knob(W.Dropdown, help_text))


def _knob(widget_class: type[W.Widget], help_text: str) -> dict[str, Any]:
    return {
        "style": {"description_width": "122px"},
        "layout": W.Layout(width="98%"),
        **tooltip(widget_class, help_text),
    }


def _group(title: str, knobs: list[W.Widget]) -> W.VBox:
    box = W.VBox(
        [W.HTML(f"<b>{title}</b>"), *knobs], layout=W.Layout(flex="1 1 300px", margin="2px", min_width="290px")
    )
    box.add_class("piwsl-group")
    return box


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
    known = current is None or current in [value for _, value in options]
    return options if known else [*options, (current, current)]


def _titled(names: Sequence[str], titles: dict[str, str]) -> list[tuple[str, str]]:
    return [(titles.get(name, name), name) for name in names]


def _shown(value: Any) -> str:
    if value is None:
        return HELD_OUT
    return f"{value:g}" if isinstance(value, float) else str(value)
