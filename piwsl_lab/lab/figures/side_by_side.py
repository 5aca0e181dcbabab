"""All methods of a study side by side, trained on the same labels: as dots with intervals, and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.lab.figures.axes import log_ticks
from piwsl_lab.lab.figures.live import LivePlot
from piwsl_lab.lab.figures.study import BAR, BOTTOM, SCREEN, TITLES, TOP, row_names, style_figure
from piwsl_lab.lab.figures.study_style import line_of, styles_of
from piwsl_lab.study.report import bracketed, effect_words
from piwsl_lab.study.tables import Row


def side_by_side(rows: Sequence[Row], quantities: Sequence[str]) -> go.Figure:
    """All methods trained on the same labels: mean and interval, one row per method, one panel per quantity.

    `rows` are of one data set and one number of labels.
    """
    quantities = [q for q in quantities if any(row["quantity"] == q for row in rows)]
    figure = make_subplots(
        1, max(1, len(quantities)), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[TITLES.get(q, q) for q in quantities],
    )  # fmt: skip
    for k, quantity in enumerate(quantities, start=1):
        chosen = [row for row in rows if row["quantity"] == quantity and math.isfinite(row["mean"])]
        figure.add_trace(go.Scatter(**_dots(chosen)), 1, k)
        # What is zero for the exact answer may differ by powers of ten.
        factor, means = SCREEN.get(quantity, ("", 1.0))[1], [row["mean"] for row in chosen]
        if min(means) > 0 and max(means) > 10 * min(means):
            ends = factor * np.array([row[end] for row in chosen for end in ("mean", "low", "high")])
            ticks, words = log_ticks(ends, most=5)
            figure.update_xaxes(type="log", tickvals=ticks, ticktext=words, col=k)
        else:
            figure.update_xaxes(rangemode="tozero", col=k)
        figure.update_xaxes(title_text=_unit(chosen), col=k)
    names = list(dict.fromkeys(row_names(rows)))[::-1]
    style_figure(figure, 1.3 * BAR * max(len(names), 3))
    figure.update_annotations(font_size=13)
    figure.update_layout(showlegend=False, margin={"t": 40})
    figure.update_layout(height=figure.layout.height - TOP + 40)
    figure.update_yaxes(categoryorder="array", categoryarray=names, dtick=1, automargin=True)
    return figure


class SideBySide(LivePlot):
    """All methods trained on the same labels, in one quantity."""

    def __init__(self, live: bool | None = None) -> None:
        figure = go.Figure(go.Scatter(x=[], y=[], mode="markers"))
        style_figure(figure, BAR)
        figure.update_layout(margin={"t": 20}, showlegend=False)
        figure.update_xaxes(rangemode="tozero")
        figure.update_yaxes(dtick=1, automargin=True)
        super().__init__(figure, live)

    def _update(self, rows: Sequence[Row]) -> None:
        self.figure.data[0].update(_dots(rows))
        names = row_names(rows)[::-1]
        self.figure.update_layout(height=1.3 * BAR * max(len(names), 3) + 20 + BOTTOM)
        self.figure.update_yaxes(categoryorder="array", categoryarray=names, range=[-0.6, len(names) - 0.4])
        title = TITLES.get(rows[0]["quantity"], rows[0]["quantity"])
        self.figure.update_xaxes(title_text=f"{title}, {_unit(rows)}")


def _dots(rows: Sequence[Row]) -> dict[str, Any]:
    """Means with intervals as a horizontal trace, every method in its own style."""
    styles = styles_of(rows)
    factor = SCREEN.get(rows[0]["quantity"], ("", 1.0))[1]
    mean, low, high = (factor * np.array([row[name] for row in rows]) for name in ("mean", "low", "high"))
    chosen = [styles[line_of(row)] for row in rows]
    return {
        "x": mean, "y": row_names(rows), "mode": "markers", "showlegend": False,
        "error_x": {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low,
                    "color": "#555", "thickness": 1.5},
        "marker": {"color": [style["line"]["color"] for style in chosen], "size": 11,
                   "symbol": [style["marker"]["symbol"] for style in chosen]},
        "customdata": [[row["seeds"]] for row in rows],
        "hovertemplate": "%{y}: %{x:.3g}, %{customdata[0]} seeds<extra></extra>",
    }  # fmt: skip


def _unit(rows: Sequence[Row]) -> str:
    row = rows[0]
    return SCREEN.get(row["quantity"], (row["unit"], 1.0))[0]


def methods_table(rows: Sequence[Row]) -> str:
    """A table of means, intervals, ratios and cost."""
    head = ("method", "seeds", f"mean [95 % interval], {_unit(rows)}", "ratio", "to rival", "shown", "core s", "cost")
    cells: list[Sequence[str]] = [head]
    for name, row in zip(row_names(rows), rows, strict=True):
        factor = SCREEN.get(row["quantity"], ("", 1.0))[1]
        line = [name, f"{row['seeds']:g}", bracketed(*(factor * row[end] for end in ("mean", "low", "high")))]
        line += [effect_words(row, factor) or "–", row["against"] or "–", row["shown"] or "–"]
        cells.append([*line, f"{row['core_seconds']:.3g}", f"×{row['cost']:.2f}" if row["against"] else "–"])
    lines = []
    for k, entries in enumerate(cells):
        tag = "td" if k else "th"
        begin, end = f"<{tag} style='text-align:left;padding:2px 10px;white-space:nowrap'>", f"</{tag}>"
        lines.append("".join(f"{begin}{escape(entry)}{end}" for entry in entries))
    return f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table>"
