"""Figures of a study from its summary.csv, and ``python -m piwsl_lab.lab.evidence FOLDER`` that writes figures.html."""

from __future__ import annotations

import argparse
import csv
import itertools
import math
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.lab.figures import OTHER_COLOURS, TWIN_COLOURS, log_ticks

Row = dict[str, Any]
COLOURS = (*TWIN_COLOURS.values(), *OTHER_COLOURS, "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
DASHES = ("solid", "dash", "dot")
TITLES = {
    "energy_mae": "energy error, MAE",
    "energy_rmse": "energy error, RMSE",
    "force_mae": "force error, MAE",
    "force_rmse": "force error, RMSE",
}
HEADLINES = ("energy_mae", "force_rmse")
WORDS = ("data", "method", "title", "part", "output", "quantity", "unit", "against", "paired", "shown")
PANEL, GAP, TOP, BOTTOM = 360, 130, 130, 60  # px
MOST_COLUMNS = 3
BAR = 24  # px
ORDER_WORDS = {"1": "first order (Taylor)", "2": "second order (trapezoid)", "symmetric": "central difference"}


def read_summary(folder: Path) -> list[Row]:
    """Rows of summary.csv in a results folder, numbers as numbers; nan where there is none.

    Raises
    ------
    ValueError
        There is no summary yet.
    """
    path = folder / "summary.csv"
    if not path.is_file():
        raise ValueError(f"{path} does not exist: make it with `piwsl-lab study report STUDY.toml`")
    with open(path, encoding="utf-8", newline="") as file:
        return [{k: v if k in WORDS else _number(v) for k, v in row.items()} for row in csv.DictReader(file)]


def error_against_labels(rows: Sequence[Row], quantity: str = "energy_mae") -> go.Figure:
    """Error against the number of labels, both logarithmic: one line a method and output, one panel a part.

    Where energies and forces differ in number, the kind that varies more is the axis and the other names the panel. A
    part with one number of labels has no panel.
    """
    rows = [row for row in rows if row["quantity"] == quantity and row["mean"] > 0]
    along = "forces" if _varied(rows, "forces") >= _varied(rows, "energies") else "energies"
    counts: dict[str, set[float]] = {}
    for row in rows:
        counts.setdefault(_panel(row, along), set()).add(row[along])
    panels = [panel for panel in counts if len(counts[panel]) > 1]
    figure = _panels(panels)
    for name, style in _styles(map(_line, rows)).items():
        for k, panel in enumerate(panels):
            line = [row for row in rows if _line(row) == name and _panel(row, along) == panel]
            points = sorted((row[along], row["mean"], row["low"], row["high"], row["seeds"]) for row in line)
            x, mean, low, high, seeds = np.array(points, dtype=float).reshape(-1, 5).T
            bars = {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low}
            figure.add_trace(
                go.Scatter(
                    name=name, legendgroup=name, showlegend=name not in {t.name for t in figure.data}, x=x, y=mean,
                    error_y=bars, customdata=np.stack([low, high, seeds], 1), mode="lines+markers", **style,
                    hovertemplate="%{x} labels: %{y:.3g} [%{customdata[0]:.3g}, %{customdata[1]:.3g}], "
                    "%{customdata[2]} seeds",
                ),
                *_place(k),
            )  # fmt: skip
    shown = sorted(set().union(*(counts[panel] for panel in panels)))
    ticks, words = log_ticks(np.array([row[end] for row in rows for end in ("low", "high")]))
    figure.update_xaxes(type="log", tickvals=shown, ticktext=[f"{n:g}" for n in shown])
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=words, matches="y")
    unit = rows[0]["unit"] if rows else ""
    _finish(figure, f"{TITLES.get(quantity, quantity)}, {unit}", "labelled frames")
    return figure


def ratio_map(rows: Sequence[Row], quantity: str = "energy_mae", weight: str = "pitc") -> go.Figure:
    """Ratio to the rival over ε and the weight of a consistency term, one panel an order; blue is better, 1 is white.

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
    panels = list(dict.fromkeys((r["data"], r["part"], _labels(r), _line(r), _word(r.get("order", ""))) for r in rows))
    titles = [f"{line}<br>{ORDER_WORDS.get(order, order)}<br>{data}, {n} labels, {part}".replace("<br><br>", "<br>")
              for data, part, n, line, order in panels]  # fmt: skip
    figure = _panels(titles)
    reach = max(abs(math.log10(row["ratio"])) for row in rows) or 0.1
    x, y = (sorted({row[name] for row in rows}) for name in ("epsilon", weight))
    for k, panel in enumerate(panels):
        chosen = {
            (r[weight], r["epsilon"]): r
            for r in rows
            if (r["data"], r["part"], _labels(r), _line(r), _word(r.get("order", ""))) == panel
        }
        cells = [[chosen.get((b, a)) for a in x] for b in y]
        figure.add_trace(
            go.Heatmap(
                x=[f"{v:g}" for v in x], y=[f"{v:g}" for v in y], coloraxis="coloraxis", xgap=1, ygap=1,
                z=[[math.log10(c["ratio"]) if c else None for c in line] for line in cells],
                text=[[_cell_text(c) for c in line] for line in cells], texttemplate="%{text}",
                hovertemplate="ε = %{x} Å, weight %{y}: %{text}<extra></extra>",
            ),
            *_place(k),
        )  # fmt: skip
    ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 3, 5, 10) if abs(math.log10(t)) <= reach * 1.01]
    bar = {
        "title": "error ÷ rival's",
        "tickvals": [math.log10(t) for t in ticks],
        "ticktext": [f"{t:g}" for t in ticks],
    }
    # Blue to red through white is told apart with every common colour blindness; the numbers are written as well.
    figure.update_layout(coloraxis={"colorscale": "RdBu_r", "cmin": -reach, "cmax": reach, "colorbar": bar})
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    _finish(figure, f"weight of {weight}", "size of the displacements ε, Å")
    figure.update_layout(title=f"{TITLES.get(quantity, quantity)}: ratio to the rival (* intervals do not overlap)")
    return figure


def ratio_bars(rows: Sequence[Row], quantity: str = "energy_mae") -> go.Figure:
    """Ratios to the rival with their intervals, one line each, on a logarithmic axis; filled where one is shown."""
    # Colours of all methods, the rivals too, so that a method has the same in every figure.
    styles = _styles(_line(row) for row in rows if row["quantity"] == quantity)
    rows = [r for r in rows if r["quantity"] == quantity and r["ratio"] > 0 and math.isfinite(r["ratio"])][::-1]
    figure = go.Figure()
    names = [_row_name(row, rows) for row in rows]
    for line in dict.fromkeys(map(_line, rows[::-1])):
        chosen = [(name, row) for name, row in zip(names, rows, strict=True) if _line(row) == line]
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
    _style(figure, BAR * max(len(names), 3))
    ends = np.array([v for row in rows for v in (row["ratio_low"], row["ratio_high"]) if v > 0])
    ticks, words = log_ticks(ends)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=words)
    remark = "under 1 is better; filled where the intervals of the means are apart"
    figure.update_xaxes(title_text=f"{TITLES.get(quantity, quantity)} ÷ rival's<br>({remark})")
    # A tick for every name, or plotly leaves names out.
    figure.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(names)), dtick=1, automargin=True)
    figure.update_yaxes(range=[-0.7, len(names) - 0.3])
    return figure


def figures(rows: Sequence[Row]) -> list[go.Figure]:
    """All figures that a summary has the numbers for."""
    made = []
    for quantity in HEADLINES:
        found = [row for row in rows if row["quantity"] == quantity and math.isfinite(row["mean"])]
        if not found:
            continue
        if not _axes(found):
            lines = error_against_labels(found, quantity)
            made += [lines] if lines.data else []
        held = [row for row in found if math.isfinite(row["ratio"])]
        weights = [name for name in ("pitc", "pisc", "gradient", "curl") if name in _axes(held)]
        if held and weights and "epsilon" in _axes(held):
            made.append(ratio_map(held, quantity, weights[0]))
        elif held:
            made.append(ratio_bars(found, quantity))
    return made


def page(title: str, made: Iterable[go.Figure]) -> str:
    """One HTML page; plotly itself comes from the net."""
    parts = [
        f'<meta charset="utf-8"><title>{escape(title)}</title><h1 style="font-family:sans-serif">{escape(title)}</h1>'
    ]
    for k, figure in enumerate(made):
        # A fixed id, so that the same numbers give the same file.
        parts.append(figure.to_html(include_plotlyjs="cdn" if k == 0 else False, full_html=False, div_id=f"figure-{k}"))
    return "<!doctype html>\n" + "\n".join(parts) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write figures.html into a results folder."""
    parser = argparse.ArgumentParser(prog="python -m piwsl_lab.lab.evidence", description=__doc__)
    parser.add_argument("folder", type=Path, help="where `piwsl-lab study report` wrote summary.csv")
    folder = parser.parse_args(argv).folder
    try:
        rows = read_summary(folder)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    report = folder / "summary.md"
    title = report.read_text(encoding="utf-8").splitlines()[0].lstrip("# ") if report.is_file() else folder.name
    (folder / "figures.html").write_text(page(title, figures(rows)), encoding="utf-8")
    print(folder / "figures.html")
    return 0


def _number(text: str) -> float | str:
    """A number, nan for nothing, or the word itself: an order is 1, 2 or "symmetric"."""
    try:
        return float(text) if text else math.nan
    except ValueError:
        return text


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _labels(row: Row) -> str:
    """50, or 200/50 for 200 energies and 50 forces."""
    return "/".join(f"{n:g}" for n in dict.fromkeys((row["energies"], row["forces"])))


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


def _axes(rows: Sequence[Row]) -> list[str]:
    """Axes of the grid beyond data and labels that have more than one value."""
    known = {*WORDS, "energies", "forces", "seeds", "mean", "low", "high", "ratio", "ratio_low", "ratio_high"}
    known |= {"core_seconds", "cost"}
    return [n for n in (rows[0] if rows else {}) if n not in known and len({_word(row[n]) for row in rows}) > 1]


def _line(row: Row) -> str:
    """The legend's words: the method, and which output of it."""
    return f"{row['title']} ({row['output']} forces)"


def _row_name(row: Row, rows: Sequence[Row]) -> str:
    others = "".join(f", {name} {_word(row[name])}" for name in _axes(rows))
    return f"{row['data']} → {row['part']}, {_labels(row)} labels{others} · {_line(row)}"


def _styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour, dash and marker of every line: no two alike, and told apart without colour as well."""
    looks = zip(itertools.cycle(COLOURS), itertools.cycle(SYMBOLS), strict=False)
    return {
        name: {
            "line": {"color": colour, "width": 2.5, "dash": DASHES[k // len(COLOURS) % len(DASHES)]},
            "marker": {"symbol": symbol, "size": 9},
        }
        for k, (name, (colour, symbol)) in enumerate(zip(dict.fromkeys(names), looks, strict=False))
    }


def _place(k: int) -> tuple[int, int]:
    return 1 + k // MOST_COLUMNS, 1 + k % MOST_COLUMNS


def _panels(titles: Sequence[str]) -> go.Figure:
    columns = max(1, min(MOST_COLUMNS, len(titles)))
    n_rows = max(1, -(-len(titles) // columns))
    figure = make_subplots(
        n_rows, columns, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=GAP / (PANEL * n_rows)
    )
    figure.update_annotations(font_size=13)
    return figure


def _finish(figure: go.Figure, y_title: str, x_title: str) -> None:
    """Style, and titles of the axes."""
    n_rows = max((_place(k)[0] for k in range(len(figure.layout.annotations))), default=1)
    _style(figure, PANEL * n_rows)
    figure.update_xaxes(title_text=x_title)
    figure.update_yaxes(title_text=y_title, col=1)


def _style(figure: go.Figure, height: float) -> None:
    """The house's look; the legend stands above the titles of the panels."""
    legend = {"orientation": "h", "x": 0, "y": 1 + 0.6 * TOP / height, "yanchor": "bottom"}
    figure.update_layout(
        template="plotly_white", autosize=True, hovermode="closest", font={"size": 13}, legend=legend,
        height=height + TOP + BOTTOM, margin={"l": 78, "r": 16, "t": TOP, "b": BOTTOM},
    )  # fmt: skip
    figure.update_xaxes(showline=True, linecolor="#888", ticks="outside")
    figure.update_yaxes(showline=True, linecolor="#888", ticks="outside")


if __name__ == "__main__":
    sys.exit(main())
