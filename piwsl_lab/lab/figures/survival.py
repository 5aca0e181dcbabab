"""The figure of a study's flights: how many replicas are alive, against time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from piwsl_lab.analysis.survival import Survival, fraction_alive
from piwsl_lab.lab.figures.study import name_axes, panel_cell, panel_grid
from piwsl_lab.lab.figures.study_style import line_of, styles_of
from piwsl_lab.study.tables import Row, label_text

TIMES = 201  # points of a curve
MARKS = 9  # symbols along a curve: lines are told apart without colours too


def survival(rows: Sequence[Row]) -> go.Figure:
    """Share of replicas alive with its 95 % Wilson interval: one panel per data set and
    temperature, one line per method.

    `rows` are those of flights.csv. Replicas of all seeds are taken together.
    """
    titles = list(dict.fromkeys(_panel(row) for row in rows))
    figure = panel_grid(titles)
    for name, style in styles_of(rows).items():
        for k, title in enumerate(titles):
            mine = [row for row in rows if line_of(row) == name and _panel(row) == title]
            if not mine:
                continue
            times = np.linspace(0.0, mine[0]["length_ps"], TIMES)
            share, low, high = fraction_alive([Survival(r["alive_ps"], r["reason"]) for r in mine], times).T
            where, line = panel_cell(k, len(titles)), style["line"]
            red, green, blue = (int(line["color"][i : i + 2], 16) for i in (1, 3, 5))
            band = go.Scatter(
                x=np.concatenate([times, times[::-1]]), y=np.concatenate([low, high[::-1]]), fill="toself",
                fillcolor=f"rgba({red},{green},{blue},0.12)", line={"width": 0}, mode="lines", hoverinfo="skip",
                legendgroup=name, showlegend=False,
            )  # fmt: skip
            figure.add_trace(band, *where)
            words = f"{name}: %{{y:.2f}} of {len(mine)} replicas, {len({r['seed'] for r in mine})} seeds<extra></extra>"
            shown = name not in {trace.name for trace in figure.data}
            curve = go.Scatter(
                x=times, y=share, mode="lines+markers", line=line | {"shape": "hv"}, name=name, legendgroup=name,
                marker=style["marker"] | {"maxdisplayed": MARKS}, showlegend=shown, hovertemplate=words,
            )  # fmt: skip
            figure.add_trace(curve, *where)
    figure.update_yaxes(range=(-0.03, 1.03))
    name_axes(figure, "share of replicas alive", "time, ps")
    return figure


def _panel(row: Row) -> str:
    return f"{row['data']}, {row['temperature']:g} K, {label_text(row)} labels"
