"""All plots of the laboratory; plotly is imported in this room only."""

from piwsl_lab.lab.figures.axes import apply_style, even_ticks, log_ticks, panel_title, smooth, step_end, thin
from piwsl_lab.lab.figures.live import HEIGHT, LivePlot
from piwsl_lab.lab.figures.training import Curves, LossTerms, Parity
from piwsl_lab.lab.quirks import live_widgets_work

__all__ = [
    "HEIGHT",
    "Curves",
    "LivePlot",
    "LossTerms",
    "Parity",
    "apply_style",
    "even_ticks",
    "live_widgets_work",
    "log_ticks",
    "panel_title",
    "smooth",
    "step_end",
    "thin",
]
