"""A button that shows the dashboard around it alone, over the whole window, for a projector."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

TOOLTIP = "Show the laboratory alone, over the whole window. Escape goes back."


class AloneButton(anywidget.AnyWidget):
    """Lives in a widget of the class ``piwsl-dashboard``, which it enlarges; ``alone.js`` does the work."""

    _esm = Path(__file__).with_name("alone.js").read_text(encoding="utf-8")
    tooltip_text = traitlets.Unicode(TOOLTIP).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.layout.width, self.layout.flex = "auto", "0 0 auto"

    def __repr__(self) -> str:
        """The same from run to run, so that stored notebooks can be compared."""
        return "AloneButton()"
