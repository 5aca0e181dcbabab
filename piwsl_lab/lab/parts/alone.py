"""A button that shows the dashboard around it alone, over the whole window, for a projector."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import anywidget
import ipywidgets as W
import traitlets

from piwsl_lab.lab.quirks import tooltip_name

TOOLTIP = "Show the laboratory alone, over the whole window. Escape goes back."


class AloneButton(anywidget.AnyWidget):
    """Lives in a widget of the class ``piwsl-dashboard``, which it enlarges; ``alone.js`` does the work.

    It also lets the tooltip of a knob appear over all of it. By itself ipywidgets shows those of
    sliders over their words only, and those of drop-downs nowhere.
    """

    _esm = Path(__file__).with_name("alone.js").read_text(encoding="utf-8")
    tooltip_text = traitlets.Unicode(TOOLTIP).tag(sync=True)
    tooltips = traitlets.Dict().tag(sync=True)  # words of a drop-down → help

    def __init__(self) -> None:
        super().__init__()
        self.layout.width, self.layout.flex = "auto", "0 0 auto"

    def explain(self, widgets: Iterable[W.Widget]) -> None:
        """Take the tooltips of these widgets, and of all inside them."""
        found, waiting = {}, list(widgets)
        while waiting:
            widget = waiting.pop()
            waiting += getattr(widget, "children", ())
            if isinstance(widget, W.Dropdown):
                found[widget.description] = getattr(widget, tooltip_name(widget)) or ""
        self.tooltips = self.tooltips | found

    def __repr__(self) -> str:
        """The same from run to run, so that stored notebooks can be compared."""
        return "AloneButton()"
