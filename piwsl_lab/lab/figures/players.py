"""`Panels`: a few small plots beside or below each other, drawn anew whenever a knob of a lesson moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.lab.figures.axes import apply_style, log_ticks, panel_title
from piwsl_lab.lab.figures.live import LivePlot
from piwsl_lab.lab.parts.colours import COLOURS, OTHERS, REFERENCE

TRUTH = COLOURS[REFERENCE]
YOURS = OTHERS[0]  # what the learner wrote, in every lesson


@dataclass(frozen=True)
class Panel:
    """One plot.

    Parameters
    ----------
    title : str
        What is drawn upwards, with its unit.
    across : str
        What is drawn to the right, with its unit.
    log : str
        "", "x", "y" or "xy": the axes that are logarithmic.
    x, y : pair of float, optional
        Ends of the axes.
    """

    title: str
    across: str = ""
    log: str = ""
    x: tuple[float, float] | None = None
    y: tuple[float, float] | None = None


@dataclass(frozen=True)
class Line:
    """Points of one thing in one panel.

    Parameters
    ----------
    panel : int
    name : str
        In the legend; "" for none.
    x, y : sequence of float
        On a logarithmic axis what is not positive is left out.
    colour : str
    dash : str, optional
        Of plotly; "" draws points only.
    marker : str, optional
        Symbol of plotly; "" draws a line only.
    width : float, optional
    size : float, optional
        Of markers, px.
    """

    panel: int
    name: str
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    colour: str = TRUTH
    dash: str = "solid"
    marker: str = ""
    width: float = 2.5
    size: float = 8.0


class Panels(LivePlot):
    """Plots in a grid.

    Parameters
    ----------
    panels : sequence of Panel
    columns : int, optional
        How many stand beside each other.
    height : int, optional
        px.
    live : bool, optional
        As for `LivePlot`.
    """

    def __init__(self, panels: Sequence[Panel], columns: int = 1, height: int = 380, live: bool | None = None) -> None:
        self.panels = list(panels)
        rows = -(-len(panels) // columns)
        # Room for a title above and the words of an axis below, in px.
        figure = make_subplots(
            rows=rows, cols=columns, vertical_spacing=0.0 if rows == 1 else 74 / max(height - 80, 150),
            horizontal_spacing=0.0 if columns == 1 else 0.09,
        )  # fmt: skip
        apply_style(figure)
        figure.update_layout(hovermode="closest", margin={"l": 62, "r": 16, "t": 46, "b": 48})
        figure.update_layout(legend={"x": 1, "xanchor": "right", "y": 0.995, "yanchor": "top", "yref": "container"})
        for k, panel in enumerate(panels):
            row, column = divmod(k, columns)
            kind = {"x": "log" if "x" in panel.log else "linear", "y": "log" if "y" in panel.log else "linear"}
            figure.update_xaxes(
                title_text=panel.across, type=kind["x"], range=_range(panel.x, kind["x"]), row=row + 1, col=column + 1
            )
            figure.update_yaxes(type=kind["y"], range=_range(panel.y, kind["y"]), row=row + 1, col=column + 1)
            x_axis, y_axis = self._axes(figure, k)
            figure.add_annotation(panel_title(panel.title, y_axis.domain[1], x_axis.domain[0]))
        super().__init__(figure, live)
        self.widget.layout.height = f"{height}px"

    @staticmethod
    def _axes(figure: go.Figure, k: int) -> tuple[Any, Any]:
        number = "" if k == 0 else str(k + 1)
        return figure.layout[f"xaxis{number}"], figure.layout[f"yaxis{number}"]

    def _update(self, lines: Sequence[Line]) -> None:
        self.figure.data = ()
        named: set[str] = set()
        traces = []
        for line in lines:
            first = bool(line.name) and line.name not in named
            named.add(line.name)
            traces.append(self._trace(line, first))
        self.figure.add_traces(traces)
        for k, panel in enumerate(self.panels):
            self._ticks(k, panel, [line for line in lines if line.panel == k])

    def _trace(self, line: Line, in_legend: bool) -> go.Scatter:
        x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
        log = self.panels[line.panel].log
        shown = np.isfinite(x) & np.isfinite(y) & (("x" not in log) | (x > 0)) & (("y" not in log) | (y > 0))
        x, y = (np.where(shown, values, np.nan) for values in (x, y)) if line.dash else (x[shown], y[shown])
        mode = "+".join(name for name, on in (("lines", line.dash), ("markers", line.marker)) if on)
        number = "" if line.panel == 0 else str(line.panel + 1)
        return go.Scatter(
            name=line.name, legendgroup=line.name or None, showlegend=in_legend, x=x, y=y, mode=mode,
            xaxis=f"x{number}", yaxis=f"y{number}",
            line={"color": line.colour, "width": line.width, "dash": line.dash or "solid"},
            marker={"color": line.colour, "size": line.size, "symbol": line.marker or "circle"},
            hovertemplate="%{x:.4g}, %{y:.4g}",
        )  # fmt: skip

    def _ticks(self, k: int, panel: Panel, lines: Sequence[Line]) -> None:
        """Round numbers on logarithmic axes."""
        for letter, axis in zip("xy", self._axes(self.figure, k), strict=True):
            if letter not in panel.log:
                continue
            ends = panel.x if letter == "x" else panel.y
            values = [np.asarray(getattr(line, letter), dtype=float) for line in lines]
            ticks, words = log_ticks(np.asarray(ends) if ends else np.concatenate([*values, np.empty(0)]))
            axis.update(tickvals=ticks, ticktext=words)


def _range(ends: tuple[float, float] | None, kind: str) -> list[float] | None:
    if ends is None:
        return None
    return [float(np.log10(end)) for end in ends] if kind == "log" else list(ends)
