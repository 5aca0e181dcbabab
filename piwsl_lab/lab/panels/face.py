"""`Face`: the widgets of a `Dashboard` and where they stand. What they do is wired up by the dashboard.

At the top are one line of knobs and buttons, the verdict, numbers and the status. Below are folds,
closed at first, tabs, curves and molecule. At the end is what grows as it is used, a table of
pinned runs and code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as W

from piwsl_lab.lab.figures import LivePlot, live_widgets_work
from piwsl_lab.lab.panels.close_up import CloseUp
from piwsl_lab.lab.panels.controls import Controls
from piwsl_lab.lab.panels.fly_tab import FlyTab
from piwsl_lab.lab.parts.alone import AloneButton
from piwsl_lab.lab.parts.knobs import button, choice, tooltip
from piwsl_lab.lab.parts.styles import CSS
from piwsl_lab.lab.sessions.training import Session

FLY = "Fly"
TAB_HELPS = {
    "Errors": "Errors on test frames against the training step, one line for each potential.",
    "Loss terms": "What each potential is trained for: the terms of its loss, without their weights.",
    "Parity": "Predicted against reference energies and forces, one point for each frame or component.",
    FLY: "Let the potentials move a molecule, side by side.",
}
FOLDS = {
    "More": "Data, architecture and training; code and saving.",
    "Expert": "All weights, forms of the losses, rivals to compare with.",
}
LINE = {"display": "flex", "flex_flow": "row wrap", "width": "100%", "overflow": "hidden"}


class Face:
    """All widgets of a dashboard.

    Parameters
    ----------
    session : Session
        The knobs of the physics act on its last twin.
    plots : mapping of tab → LivePlot
    right : CloseUp
        The molecule.
    """

    def __init__(self, session: Session, plots: Mapping[str, LivePlot], right: CloseUp) -> None:
        self.plots, self.right = plots, right
        self.train = button("Train", "play", "success", "Begin, or go on where it stopped.")
        self.stop = button("Stop", "stop", "danger", "Stop after this step.")
        self.reset = button("Reset", "refresh", "", "New weights from the seed, with the settings of the knobs.")
        self.pin = button("Pin this run", "thumb-tack", "", "Keep settings and errors as a row of the table below.")
        self.copy = button("Copy as code", "code", "", "The Python that repeats this run without widgets.")
        self.save = button("Save session", "download", "", "Weights, curves, pins and settings into a new folder.")
        last = session.twins[-1]
        self.controls = Controls(session.setup, last.objective, last.name, [W.HBox([self.copy, self.save])])
        self.controls.strip.lead(last.setup.head)
        self.folds = {name: _fold_button(name, words) for name, words in FOLDS.items()}
        self.bar = W.IntProgress(min=0, max=1, layout=W.Layout(width="auto", height="14px", margin="2px 2px 0"))
        self.progress, self.headline, self.numbers, self.status = (_words() for _ in range(4))
        self.saved, self.pins, self.code = _words(), _words(), _words()
        self.tabs = choice([*plots, FLY], [TAB_HELPS[name] for name in (*plots, FLY)], "92px")
        self.meter = W.VBox(
            [self.bar, self.progress], layout=W.Layout(flex="1 1 170px", min_width="120px", overflow="hidden")
        )
        self.above = W.VBox(layout=W.Layout(width="100%", overflow="hidden"))  # of the tabs
        # Flying needs the height: of all that only this stays, beside the tabs.
        self.alone = [AloneButton(), AloneButton()] if live_widgets_work() else []
        self.beside_tabs = W.Box(
            [self.train, self.stop, self.meter, *self.alone[1:]], layout=W.Layout(flex="1 1 300px", margin="0 0 0 16px")
        )
        self.fly_tab = FlyTab()
        for plot in plots.values():
            plot.widget.layout.height = "var(--piwsl-stage, 400px)"
        left = W.Layout(flex="14 1 380px", min_width="320px", overflow="hidden")
        self.stage = W.Box([W.VBox([p.widget for p in plots.values()], layout=left), right], layout=W.Layout(**LINE))

    def rows(self) -> list[W.Widget]:
        """The dashboard from the top to the bottom."""
        buttons = W.Box(
            [self.train, self.stop, self.reset, self.meter], layout=W.Layout(display="flex", flex="3 1 440px")
        )
        self.headline.layout.flex, self.headline.layout.min_width = "1 1 500px", "0"
        openers = [self.pin, *self.folds.values(), *self.alone[:1]]
        openers = W.Box(openers, layout=W.Layout(display="flex", flex="0 0 auto", align_items="center"))
        self.above.children = (
            W.Box([self.controls.strip, buttons], layout=W.Layout(**LINE, align_items="center")),
            W.Box([self.headline, openers], layout=W.Layout(**LINE, align_items="center")),
            self.numbers,
        )
        for alone in self.alone:
            alone.explain([self.controls.more_box, self.controls.expert_box, self.right.chooser])
        tabs = [self.tabs, self.right.chooser, self.beside_tabs]
        return [
            W.HTML(CSS, layout=W.Layout(display="none")),
            self.above,
            self.status,
            self.controls.more_box,
            self.controls.expert_box,
            W.Box(tabs, layout=W.Layout(**LINE, justify_content="space-between")),
            self.stage,
            self.fly_tab,
            self.saved,
            self.pins,
            self.code,
        ]

    def unfold(self, name: str = "") -> None:
        """Open one fold, or none: curves and molecule stay on the screen beside it."""
        boxes = dict(zip(FOLDS, (self.controls.more_box, self.controls.expert_box), strict=True))
        for other, box in boxes.items():
            opened = other == name
            box.layout.display = "flex" if opened else "none"  # what is not displayed takes no keyboard focus
            self.folds[other].icon = "chevron-up" if opened else "chevron-down"
            self.folds[other].value = opened

    def show(self, tab: str) -> None:
        """One plot and the molecule, or the flight deck, which takes the place of knobs and verdict too."""
        flying = tab == FLY
        if flying:
            self.unfold()
        for part in (self.above, self.stage, self.right.chooser):
            part.layout.display = "none" if flying else "flex"
        for part in (self.fly_tab, self.beside_tabs):
            part.layout.display = "flex" if flying else "none"
        for name, plot in self.plots.items():
            plot.widget.layout.display = "" if name == tab else "none"


def _words() -> W.HTML:
    return W.HTML(layout=W.Layout(margin="0 2px"))


def _fold_button(name: str, help_text: str) -> W.ToggleButton:
    words: dict[str, Any] = tooltip(W.ToggleButton, help_text)
    layout = W.Layout(width="auto", flex="0 0 auto")
    return W.ToggleButton(description=name, icon="chevron-down", layout=layout, **words)
