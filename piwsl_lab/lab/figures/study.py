"""Figures of a study: error against labels, maps, ratios; a method has the same style in all of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.lab.figures import log_ticks
from piwsl_lab.lab.figures.study_style import COLOUR, line_of, styles_of
from piwsl_lab.lab.parts.units import PER_THOUSAND
from piwsl_lab.study.report import EFFECTS, bracketed
from piwsl_lab.study.tables import WORDS, Row, label_text

# Words for a quantity, and unit and factor where the screen has others than summary.csv.
TITLES = {
    "energy_mae": "energy error, MAE",
    "energy_rmse": "energy error, RMSE",
    "force_mae": "force error, MAE",
    "force_rmse": "force error, RMSE",
    "loop_work": "work around closed triangles",
    "antisymmetry": "antisymmetric share of ∂F/∂r",
    "drift": "drift of the energy in flight",
    "alive": "flights that stayed in bounds",
}
SCREEN = {"loop_work": ("meV", PER_THOUSAND), "antisymmetry": ("0 if conservative", 1.0),
          "drift": ("meV per atom and ps", PER_THOUSAND), "alive": ("share", 1.0)}  # fmt: skip
WEIGHT_TITLES = {"pitc": "PITC", "pisc": "PISC", "gradient": "gradient consistency", "curl": "the curl penalty"}
MOST_COLOURED = 4.0  # ratio at which the colours of a map end
BEYOND = 4.0  # factor that an axis of ratios goes on from its last dot, at most
PANEL, GAP, TOP, BOTTOM = 360, 130, 130, 60  # px
MOST_COLUMNS = 3
BAR = 24  # px
ORDER_WORDS = {"1": "first order (Taylor)", "2": "second order (trapezoid)", "symmetric": "central difference"}


def error_against_labels(rows: Sequence[Row], quantity: str = "energy_mae") -> go.Figure:
    """Error against the number of labels, both logarithmic: one line per method and output,
    one panel per test part.

    Where energies and forces differ in number, the kind that varies more is the axis and the other names the panel. A
    part with one number of labels has no panel.
    """
    rows = [row for row in rows if row["quantity"] == quantity and row["mean"] > 0]
    along = "forces" if _varied(rows, "forces") >= _varied(rows, "energies") else "energies"
    counts: dict[str, set[float]] = {}
    for row in rows:
        counts.setdefault(_panel(row, along), set()).add(row[along])
    panels = [panel for panel in counts if len(counts[panel]) > 1]
    figure = panel_grid(panels)
    shown = sorted(set().union(*(counts[panel] for panel in panels)))
    # A logarithmic axis has no zero: no label at all stands a little left of the fewest.
    at = {n: n or min([m for m in shown if m], default=1.0) / 2.5 for n in shown}
    for name, style in styles_of(rows).items():
        for k, panel in enumerate(panels):
            line = [row for row in rows if line_of(row) == name and _panel(row, along) == panel]
            line.sort(key=lambda row: row[along])
            labels = [row[along] for row in line]
            mean, low, high = (np.array([row[end] for row in line]) for end in ("mean", "low", "high"))
            found = [bracketed(row["mean"], row["low"], row["high"]) for row in line]
            bars = {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low}
            figure.add_trace(
                go.Scatter(
                    name=name, legendgroup=name, showlegend=name not in {t.name for t in figure.data},
                    x=[at[n] for n in labels], y=mean, error_y=bars,
                    customdata=[[n, text, row["seeds"]] for n, text, row in zip(labels, found, line, strict=True)],
                    hovertemplate="%{customdata[0]} labels: %{customdata[1]}, %{customdata[2]} seeds",
                    mode="lines+markers", **style,
                ),
                *panel_cell(k, len(panels)),
            )  # fmt: skip
    ticks, words = log_ticks(np.array([row[end] for row in rows for end in ("mean", "low", "high")]))
    figure.update_xaxes(type="log", tickvals=list(at.values()), ticktext=[f"{n:g}" for n in at])
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=words, matches="y")
    unit = rows[0]["unit"] if rows else ""
    alike = all(row["energies"] == row["forces"] for row in rows)
    x_title = "labelled frames" if alike else f"frames with {'a force' if along == 'forces' else 'an energy'} label"
    name_axes(figure, f"{TITLES.get(quantity, quantity)}, {unit}", x_title)
    return figure


def ratio_map(rows: Sequence[Row], quantity: str = "energy_mae", weight: str = "pitc") -> go.Figure:
    """Ratio to the rival over ε and the weight of a consistency term, one panel per order; blue is better,
    1 is white.

    Parameters
    ----------
    rows : sequence of dict
        Of a study whose grid has axes `epsilon` and `weight`, and perhaps `order`.
    weight : str
        Axis upwards.

    Raises
    ------
    ValueError
        The study has no such axes.
    """
    rows = [row for row in rows if row["quantity"] == quantity and math.isfinite(row.get("ratio", math.nan))]
    if not rows or not {"epsilon", weight} <= rows[0].keys():
        raise ValueError(
            f"a map needs the axes epsilon and {weight} in [grid], and a method that is held against another"
        )
    panels = list(dict.fromkeys(map(_map_panel, rows)))
    titles = [
        "<br>".join(filter(None, (line, ORDER_WORDS.get(order, order), f"{data}, {n} labels, tested on {part}")))
        for data, part, n, line, order in panels
    ]
    figure = panel_grid(titles)
    x, y = (sorted({row[name] for row in rows}) for name in ("epsilon", weight))
    for k, panel in enumerate(panels):
        chosen = {(row[weight], row["epsilon"]): row for row in rows if _map_panel(row) == panel}
        figure.add_trace(_heatmap(chosen, x, y), *panel_cell(k, len(panels)))
    figure.update_layout(coloraxis=_ratio_colours(rows))
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    name_axes(figure, f"weight of {WEIGHT_TITLES.get(weight, weight)}", "size of the displacements ε, Å")
    figure.update_layout(title=f"{TITLES.get(quantity, quantity)}: ratio to the rival (* its interval leaves out 1)")
    return figure


def _map_panel(row: Row) -> tuple[str, str, str, str, str]:
    """Which panel of a map a row stands in."""
    return row["data"], row["part"], label_text(row), line_of(row), _word(row.get("order", ""))


def _heatmap(rows: Mapping[tuple[float, float], Row], x: Sequence[float], y: Sequence[float]) -> go.Heatmap:
    """One panel of a map: rows by weight and ε, over the values of ε and weight of the whole map."""
    cells = [[rows.get((b, a)) for a in x] for b in y]
    return go.Heatmap(
        x=[f"{v:g}" for v in x], y=[f"{v:g}" for v in y], coloraxis="coloraxis", xgap=1, ygap=1,
        z=[[math.log10(c["ratio"]) if c else None for c in line] for line in cells],
        text=[[_cell_text(c) for c in line] for line in cells], texttemplate="%{text}",
        hovertemplate="ε = %{x} Å, weight %{y}: %{text}<extra></extra>",
    )  # fmt: skip


def _ratio_colours(rows: Sequence[Row]) -> dict[str, Any]:
    """Colours of ratios: blue is better, 1 is white."""
    # One very bad cell must not make all others pale: beyond MOST_COLOURED only the number tells.
    reach = min(max(abs(math.log10(row["ratio"])) for row in rows) or 0.1, math.log10(MOST_COLOURED))
    ticks = ratio_ticks(10**-reach, 10**reach)
    bar = {
        "title": "error ÷<br>rival's",
        "tickvals": [math.log10(t) for t in ticks],
        "ticktext": [f"{t:g}" for t in ticks],
    }
    # Blue to red through white is told apart with every common colour blindness; the numbers are written as well.
    return {"colorscale": "RdBu_r", "cmin": -reach, "cmax": reach, "colorbar": bar}


def ratio_bars(rows: Sequence[Row], quantity: str = "energy_mae") -> go.Figure:
    """Ratios to the rival with their intervals on a logarithmic axis, one row per ratio; a filled dot is a difference
    that is shown."""
    # Colours of all methods, the rivals too, so that a method has the same in every figure.
    styles = styles_of([row for row in rows if row["quantity"] == quantity])
    rows = [r for r in rows if r["quantity"] == quantity and r["ratio"] > 0 and math.isfinite(r["ratio"])][::-1]
    figure = go.Figure()
    names = [_row_name(row, rows) for row in rows]
    for line in dict.fromkeys(map(line_of, rows[::-1])):
        chosen = [(name, row) for name, row in zip(names, rows, strict=True) if line_of(row) == line]
        colour = styles[line]["line"]["color"]
        ratio, low, high = np.array([(r["ratio"], r["ratio_low"], r["ratio_high"]) for _, r in chosen]).T
        symbols = ["circle" if r["shown"] in ("lower", "higher") else "circle-open" for _, r in chosen]
        figure.add_trace(
            go.Scatter(
                name=line, x=ratio, y=[name for name, _ in chosen], mode="markers",
                marker={"color": colour, "size": 10, "symbol": symbols, "line": {"width": 2, "color": colour}},
                error_x={"type": "data", "symmetric": False, "array": high - ratio, "arrayminus": ratio - low},
                customdata=[[r["against"], r["shown"], r["paired"]] for _, r in chosen],
                hovertemplate="%{x:.3f} against %{customdata[0]}: %{customdata[1]} (%{customdata[2]})",
            )
        )  # fmt: skip
    figure.add_vline(x=1, line={"color": "black", "width": 1})
    style_figure(figure, BAR * max(len(names), 3))
    low, high = _reach(rows)
    ticks, margin = ratio_ticks(low, high), 0.02 + 0.04 * math.log10(high / low)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    figure.update_xaxes(range=[math.log10(low) - margin, math.log10(high) + margin])
    remark = "under 1 is better; filled: the interval<br>leaves out 1"
    figure.update_xaxes(title_text=f"{TITLES.get(quantity, quantity)} ÷ rival's<br>({remark})")
    figure.update_layout(showlegend=True, margin={"b": BOTTOM + 40}, height=figure.layout.height + 40)
    # A tick for every name, or plotly leaves names out.
    figure.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(names)), dtick=1, automargin=True)
    figure.update_yaxes(range=[-0.7, len(names) - 0.3])
    return figure


def _reach(rows: Sequence[Row]) -> tuple[float, float]:
    """Ends of an axis of ratios with their intervals."""
    ratios = [row["ratio"] for row in rows]
    # An interval of two seeds may span ten powers of ten: it runs off the axis, or no other could be read.
    low, high = min([1.0, *ratios]) / BEYOND, max([1.0, *ratios]) * BEYOND
    ends = [row[end] for row in rows for end in ("ratio_low", "ratio_high") if math.isfinite(row[end])]
    ends += [1.0, *ratios]
    return max(low, min(ends)), min(high, max(ends))


def ratio_ticks(low: float, high: float, most: int = 9) -> list[float]:
    """Round ratios between two and 1, no more than can be told apart."""
    low, high = min(low, 1.0) / 1.03, max(high, 1.0) * 1.03
    for offered in (
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.5, 2, 3, 5, 10),
        (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 10, 20, 50),
        (0.1, 0.25, 0.5, 1, 2, 4, 10, 20, 50),
        (0.01, 0.1, 1, 10, 100),
    ):
        ticks = [float(t) for t in offered if low <= t <= high]
        if len(ticks) <= most:
            break
    return ticks


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _varied(rows: Sequence[Row], kind: str) -> int:
    """How many numbers of labels of a kind there are where energies and forces differ."""
    return len({row[kind] for row in rows if row["energies"] != row["forces"]})


def _panel(row: Row, along: str) -> str:
    words = f"{row['data']}, tested on {row['part']}"
    if row["energies"] == row["forces"]:
        return words
    fixed = {"forces": "energies", "energies": "forces"}[along]
    return f"{words}<br>{row[fixed]:g} {fixed}, more and more {along}"


def _cell_text(row: Row | None) -> str:
    """Ratio of a cell of a map, with a star where a difference is shown."""
    return f"{row['ratio']:.2f}{'*' if row['shown'] in ('lower', 'higher') else ''}" if row else ""


def axes_of(rows: Sequence[Row]) -> list[str]:
    """Axes of the grid beyond data and labels that have more than one value."""
    known = {*WORDS, "energies", "forces", "seeds", "mean", "low", "high", *EFFECTS, "core_seconds", "cost", COLOUR}
    return [n for n in (rows[0] if rows else {}) if n not in known and len({_word(row[n]) for row in rows}) > 1]


def _row_name(row: Row, rows: Sequence[Row]) -> str:
    """Where a ratio was measured, and of what, as far as rows differ in it."""
    others = "".join(f", {name} {_word(row[name])}" for name in axes_of(rows))
    line = f" · {line_of(row)}" if len({line_of(r) for r in rows}) > 1 else ""
    part = f" → {row['part']}" if row["part"] != row["data"] else ""
    return f"{row['data']}{part}, {label_text(row)} labels{others}{line}"


def row_names(rows: Sequence[Row]) -> list[str]:
    """Names of methods, with their output where outputs differ."""
    return [line_of(row) if len({r["output"] for r in rows}) > 1 else row["title"] for row in rows]


def _columns(n: int) -> int:
    """Panels in a row: four stand two by two."""
    return max(1, min(MOST_COLUMNS, n)) if n != 4 else 2


def panel_cell(k: int, n: int) -> tuple[int, int]:
    """Row and column of panel k of n."""
    return 1 + k // _columns(n), 1 + k % _columns(n)


def panel_grid(titles: Sequence[str]) -> go.Figure:
    """An empty figure with a panel for every title, in rows of at most `MOST_COLUMNS`."""
    columns = _columns(len(titles))
    n_rows = max(1, -(-len(titles) // columns))
    figure = make_subplots(
        n_rows, columns, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=GAP / (PANEL * n_rows)
    )
    figure.update_annotations(font_size=13)
    return figure


def name_axes(figure: go.Figure, y_title: str, x_title: str) -> None:
    """Style, and titles of the axes."""
    n = len(figure.layout.annotations)
    n_rows = panel_cell(n - 1, n)[0] if n else 1
    style_figure(figure, PANEL * n_rows)
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text=y_title, col=1)


def style_figure(figure: go.Figure, height: float) -> None:
    """Give a figure the common style; the legend stands above the titles of the panels."""
    legend = {"orientation": "h", "x": 0, "y": 1 + 0.6 * TOP / height, "yanchor": "bottom"}
    figure.update_layout(
        template="plotly_white", autosize=True, hovermode="closest", font={"size": 13}, legend=legend,
        height=height + TOP + BOTTOM, margin={"l": 78, "r": 16, "t": TOP, "b": BOTTOM},
    )  # fmt: skip
    figure.update_xaxes(showline=True, linecolor="#888", ticks="outside")
    figure.update_yaxes(showline=True, linecolor="#888", ticks="outside")
