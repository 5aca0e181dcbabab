"""Figures of a study from its summary.csv, and ``python -m piwsl_lab.lab.evidence FOLDER`` that writes figures.html.

`StudyFilter` shows one place of a study at a time; `duels` and `tally` say in words what the tables show.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from statistics import fmean
from typing import Any

import ipywidgets as W
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.data import test_part
from piwsl_lab.grid import statistics
from piwsl_lab.lab.figures import OTHER_COLOURS, TWIN_COLOURS, LivePlot, log_ticks

Row = dict[str, Any]
COLOURS = (*TWIN_COLOURS.values(), *OTHER_COLOURS, "#000000")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
DASHES = ("solid", "dash", "dot")
SUPERVISED, PIWSL, GREEN, PURPLE, ORANGE, SKY, BLACK = COLOURS
# Colour, symbol and dash of a method in every figure. A family has a colour; what is held against it for the same time
# of computing is dashed. No two are alike without colour, where one study has both.
LOOKS = {
    "supervised": (SUPERVISED, "circle", "solid"),
    "supervised-same-time": (SUPERVISED, "circle-open", "dash"),
    "supervised-energy": (SUPERVISED, "square-open", "dot"),
    "pitc": (PIWSL, "square", "solid"),
    "paper": (ORANGE, "pentagon", "solid"),
    "pisc": (PIWSL, "diamond-wide", "dash"),
    "gradient": (GREEN, "star", "dash"),
    "curl": (PURPLE, "triangle-up", "solid"),
    "noisy": (BLACK, "x", "solid"),
    "weak": (SKY, "triangle-down", "dot"),
    "denoise": (BLACK, "cross", "dot"),
    "conservative": (ORANGE, "diamond", "solid"),
    "conservative-same-time": (ORANGE, "diamond-open", "dash"),
    "conservative-pitc": (SKY, "triangle-up", "solid"),
    "conservative-ensemble": (BLACK, "x", "dot"),
    "dual": (GREEN, "star", "solid"),
    "dual-pool": (PIWSL, "hexagon", "dash"),
    "dual-untied": (PURPLE, "cross", "dot"),
}
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
SCREEN = {"loop_work": ("meV", 1000.0), "antisymmetry": ("0 if conservative", 1.0),
          "drift": ("meV per atom and ps", 1000.0), "alive": ("share", 1.0)}  # fmt: skip
WEIGHTS = {"pitc": "PITC", "pisc": "PISC", "gradient": "gradient consistency", "curl": "the curl penalty"}
MOST_COLOURED = 4.0  # ratio at which the colours of a map end
KNOWN_STUDY = "sparse-labels.toml"  # tells the studies of this laboratory from another folder of that name
HEADLINES = ("energy_mae", "force_rmse")
WORDS = ("data", "method", "title", "part", "output", "quantity", "unit", "against", "paired", "shown")
PANEL, GAP, TOP, BOTTOM = 360, 130, 130, 60  # px
MOST_COLUMNS = 3
BAR = 24  # px
VERDICTS = (statistics.LOWER, statistics.HIGHER, statistics.NOTHING, statistics.TOO_FEW)
ORDER_WORDS = {"1": "first order (Taylor)", "2": "second order (trapezoid)", "symmetric": "central difference"}


def read_summary(folder: Path) -> list[Row]:
    """Rows of summary.csv in a results folder, numbers as numbers; nan where there is none.

    Raises
    ------
    ValueError
        There is no summary yet.
    """
    return read_table(folder / "summary.csv")


def read_table(path: Path) -> list[Row]:
    """Rows of one CSV file of a report, numbers as numbers; nan where there is none."""
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
    shown = sorted(set().union(*(counts[panel] for panel in panels)))
    # A logarithmic axis has no zero: no label at all stands a little left of the fewest.
    at = {n: n or min([m for m in shown if m], default=1.0) / 2.5 for n in shown}
    for name, style in _styles(rows).items():
        for k, panel in enumerate(panels):
            line = [row for row in rows if _line(row) == name and _panel(row, along) == panel]
            points = sorted((row[along], row["mean"], row["low"], row["high"], row["seeds"]) for row in line)
            labels, mean, low, high, seeds = np.array(points, dtype=float).reshape(-1, 5).T
            bars = {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low}
            figure.add_trace(
                go.Scatter(
                    name=name, legendgroup=name, showlegend=name not in {t.name for t in figure.data},
                    x=[at[n] for n in labels], y=mean, error_y=bars,
                    customdata=np.stack([low, high, seeds, labels], 1), mode="lines+markers", **style,
                    hovertemplate="%{customdata[3]} labels: %{y:.3g} [%{customdata[0]:.3g}, %{customdata[1]:.3g}], "
                    "%{customdata[2]} seeds",
                ),
                *_place(k, len(panels)),
            )  # fmt: skip
    ticks, words = log_ticks(np.array([row[end] for row in rows for end in ("low", "high")]))
    figure.update_xaxes(type="log", tickvals=list(at.values()), ticktext=[f"{n:g}" for n in at])
    figure.update_yaxes(type="log", tickvals=ticks, ticktext=words, matches="y")
    unit = rows[0]["unit"] if rows else ""
    alike = all(row["energies"] == row["forces"] for row in rows)
    x_title = "labelled frames" if alike else f"frames with {'a force' if along == 'forces' else 'an energy'} label"
    _finish(figure, f"{TITLES.get(quantity, quantity)}, {unit}", x_title)
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
    titles = [
        "<br>".join(filter(None, (line, ORDER_WORDS.get(order, order), f"{data}, {n} labels, tested on {part}")))
        for data, part, n, line, order in panels
    ]
    figure = _panels(titles)
    # One ruinous cell must not make all others pale: beyond MOST_COLOURED the number says it.
    reach = min(max(abs(math.log10(row["ratio"])) for row in rows) or 0.1, math.log10(MOST_COLOURED))
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
            *_place(k, len(panels)),
        )  # fmt: skip
    ticks = ratio_ticks(10**-reach, 10**reach)
    bar = {
        "title": "error ÷<br>rival's",
        "tickvals": [math.log10(t) for t in ticks],
        "ticktext": [f"{t:g}" for t in ticks],
    }
    # Blue to red through white is told apart with every common colour blindness; the numbers are written as well.
    figure.update_layout(coloraxis={"colorscale": "RdBu_r", "cmin": -reach, "cmax": reach, "colorbar": bar})
    figure.update_xaxes(type="category")
    figure.update_yaxes(type="category")
    _finish(figure, f"weight of {WEIGHTS.get(weight, weight)}", "size of the displacements ε, Å")
    figure.update_layout(title=f"{TITLES.get(quantity, quantity)}: ratio to the rival (* intervals do not overlap)")
    return figure


def ratio_bars(rows: Sequence[Row], quantity: str = "energy_mae") -> go.Figure:
    """Ratios to the rival with their intervals, one line each, on a logarithmic axis; filled where one is shown."""
    # Colours of all methods, the rivals too, so that a method has the same in every figure.
    styles = _styles([row for row in rows if row["quantity"] == quantity])
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
    low, high = min([1.0, *ends]), max([1.0, *ends])
    ticks, margin = ratio_ticks(low, high), 0.02 + 0.04 * math.log10(high / low)
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{t:g}" for t in ticks])
    figure.update_xaxes(range=[math.log10(low) - margin, math.log10(high) + margin])
    remark = "under 1 is better; filled: the intervals<br>of the two means are apart"
    figure.update_xaxes(title_text=f"{TITLES.get(quantity, quantity)} ÷ rival's<br>({remark})")
    figure.update_layout(showlegend=True, margin={"b": BOTTOM + 40}, height=figure.layout.height + 40)
    # A tick for every name, or plotly leaves names out.
    figure.update_yaxes(categoryorder="array", categoryarray=list(dict.fromkeys(names)), dtick=1, automargin=True)
    figure.update_yaxes(range=[-0.7, len(names) - 0.3])
    return figure


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


def find_studies(package: Path | None = None) -> Path | None:
    """Folder of the laboratory's studies: beside or above the working directory, in a checkout, in a wheel; or None."""
    package = package or Path(__file__).resolve().parent.parent
    here = Path.cwd()
    for folder in (here / "studies", here.parent / "studies", package.parent / "studies", package / "studies"):
        if (folder / KNOWN_STUDY).is_file():
            return folder
    return None


def own_test(rows: Iterable[Row]) -> list[Row]:
    """Rows scored where their training data is meant to be tested: no other temperature, path or scan."""
    return [row for row in rows if row["part"] == (test_part(row["data"]) or row["data"])]


def duels(folder: Path, method: str, rival: str, quantity: str, output: str, elsewhere: bool = False) -> list[Row]:
    """Rows of duels.csv in which a method is held against one of its rivals, by the name of each.

    Parameters
    ----------
    folder : Path
        Results of a study.
    output : str
        "conservative" or "direct", of the method.
    elsewhere : bool
        On the parts that are not the data's own test part, instead of on that.

    Raises
    ------
    ValueError
        There is no report yet.
    """
    titles = {row["method"]: row["title"] for row in read_summary(folder)}
    # The report adds the output of a rival that has another one.
    names = [f"{titles.get(rival)}{end}" for end in ("", " (direct)", " (conservative)")]
    rows = [
        row
        for row in read_table(folder / "duels.csv")
        if (row["method"], row["quantity"], row["output"]) == (method, quantity, output) and row["against"] in names
    ]
    own = {id(row) for row in own_test(rows)}
    return [row for row in rows if (id(row) in own) != elsewhere and math.isfinite(row["ratio"])]


def place(row: Row) -> str:
    """Where a row of a table was measured: "ethanol, 50 labels"."""
    return f"{row['data'] if own_test([row]) else row['part']}, {_labels(row)} labels"


def tally(rows: Sequence[Row]) -> str:
    """In words: at how many places lower or higher, the ratios at both ends, and what it cost."""
    if not rows:
        return "nothing to compare yet"
    counts = {word: sum(row["shown"] == word for row in rows) for word in VERDICTS}
    parts = [f"lower at {counts['lower']} of {len(rows)} {'place' if len(rows) == 1 else 'places'}"]
    parts += [f"{word} at {n}" for word, n in counts.items() if n and word != "lower"]
    ends = [pick(rows, key=lambda row: row["ratio"]) for pick in (min, max)]
    words = " to ".join(dict.fromkeys(f"×{row['ratio']:.2f} ({place(row)})" for row in ends))
    return f"{', '.join(parts)}; error {words}; core time ×{fmean(row['cost'] for row in rows):.2f}"


def side_by_side(rows: Sequence[Row], quantities: Sequence[str]) -> go.Figure:
    """All methods at one place of a study: mean and interval, one row a method, one panel a quantity."""
    quantities = [q for q in quantities if any(row["quantity"] == q for row in rows)]
    figure = make_subplots(
        1, max(1, len(quantities)), shared_yaxes=True, horizontal_spacing=0.03,
        subplot_titles=[TITLES.get(q, q) for q in quantities],
    )  # fmt: skip
    for k, quantity in enumerate(quantities, start=1):
        chosen = [row for row in rows if row["quantity"] == quantity and math.isfinite(row["mean"])]
        figure.add_trace(go.Scatter(**_dots(chosen)), 1, k)
        # What is zero for the exact answer may differ by powers of ten.
        ends = np.array([SCREEN.get(quantity, ("", 1.0))[1] * row[end] for row in chosen for end in ("low", "high")])
        if ends.min() > 0 and ends.max() > 10 * ends.min():
            ticks, words = log_ticks(ends, most=5)
            figure.update_xaxes(type="log", tickvals=ticks, ticktext=words, col=k)
        else:
            figure.update_xaxes(rangemode="tozero", col=k)
        figure.update_xaxes(title_text=_unit(chosen), col=k)
    names = list(dict.fromkeys(_names(rows)))[::-1]
    _style(figure, 1.3 * BAR * max(len(names), 3))
    figure.update_annotations(font_size=13)
    figure.update_layout(showlegend=False, margin={"t": 40})
    figure.update_layout(height=figure.layout.height - TOP + 40)
    figure.update_yaxes(categoryorder="array", categoryarray=names, dtick=1, automargin=True)
    return figure


class _Place(LivePlot):
    """All methods at one place of a study, in one quantity."""

    def __init__(self, live: bool | None = None) -> None:
        figure = go.Figure(go.Scatter(x=[], y=[], mode="markers"))
        _style(figure, BAR)
        figure.update_layout(margin={"t": 20}, showlegend=False)
        figure.update_xaxes(rangemode="tozero")
        figure.update_yaxes(dtick=1, automargin=True)
        super().__init__(figure, live)

    def _update(self, rows: Sequence[Row]) -> None:
        self.figure.data[0].update(_dots(rows))
        names = _names(rows)[::-1]
        self.figure.update_layout(height=1.3 * BAR * max(len(names), 3) + 20 + BOTTOM)
        self.figure.update_yaxes(categoryorder="array", categoryarray=names, range=[-0.6, len(names) - 0.4])
        title = TITLES.get(rows[0]["quantity"], rows[0]["quantity"])
        self.figure.update_xaxes(title_text=f"{title}, {_unit(rows)}")


class StudyFilter(W.VBox):
    """Choose a study, data, labels and a quantity: a figure and a table of all methods there follow.

    Parameters
    ----------
    studies : mapping
        Rows of `read_summary` by the name of the study; one with axes beyond data and labels is left out.
    """

    CHOICES = ("study", "trained → tested on", "labels", "quantity")

    def __init__(self, studies: Mapping[str, Sequence[Row]], live: bool | None = None) -> None:
        self._studies = {name: list(rows) for name, rows in studies.items() if rows and not _axes(rows)}
        style, layout = {"description_width": "130px"}, W.Layout(width="400px")
        self.choices = [W.Dropdown(description=words, style=style, layout=layout) for words in self.CHOICES]
        self.plot, self.table, self._filling = _Place(live), W.HTML(), False
        rows = [W.HBox(self.choices[:2], layout=W.Layout(flex_flow="row wrap"))]
        rows += [W.HBox(self.choices[2:], layout=W.Layout(flex_flow="row wrap")), self.plot.widget, self.table]
        super().__init__(rows, layout=W.Layout(width="100%"))
        for k, choice in enumerate(self.choices):
            choice.observe(lambda _, k=k: self._filling or self._fill(k + 1), "value")
        if self._studies:
            self._fill(0)
        else:
            self.children = [W.HTML("No study has results here yet.")]

    def __repr__(self) -> str:
        return f"StudyFilter({', '.join(self._studies)})"

    def rows(self, depth: int = 4) -> list[Row]:
        """Rows that the first `depth` choices leave."""
        study, *others = [choice.value for choice in self.choices]
        chosen = self._studies[study] if depth else []
        for key, value in zip((_where, _labels, _what), others[: max(depth - 1, 0)], strict=False):
            chosen = [row for row in chosen if key(row) == value]
        return chosen

    def _fill(self, first: int) -> None:
        """Offer what there is from a choice on, keep what was chosen where it is still there, and draw."""
        self._filling = True
        for k, key in list(enumerate((None, _where, _labels, _what)))[first:]:
            rows = self.rows(k)
            offered = list(self._studies) if key is None else list(dict.fromkeys(map(key, [*own_test(rows), *rows])))
            kept = self.choices[k].value
            self.choices[k].options = offered
            self.choices[k].value = kept if kept in offered else offered[0]
        self._filling = False
        rows = self.rows()
        self.plot.draw(rows)
        self.table.value = _html(rows)


def _html(rows: Sequence[Row]) -> str:
    """A table of means, intervals, ratios and cost."""
    head = ("method", "seeds", f"mean [95 % interval], {_unit(rows)}", "ratio", "to rival", "shown", "core s", "cost")
    cells = [head]
    for name, row in zip(_names(rows), rows, strict=True):
        factor = SCREEN.get(row["quantity"], ("", 1.0))[1]
        mean, low, high = (f"{factor * row[name]:.3g}" for name in ("mean", "low", "high"))
        line = [name, f"{row['seeds']:g}", f"{mean} [{low}, {high}]"]
        held = math.isfinite(row["ratio"])
        line += [f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]" if held else "–"]
        line += [row["against"] or "–", row["shown"] or "–", f"{row['core_seconds']:.3g}"]
        cells.append([*line, f"×{row['cost']:.2f}" if held else "–"])
    lines = []
    for k, line in enumerate(cells):
        tag = "td" if k else "th"
        lines.append(
            "".join(
                f"<{tag} style='text-align:left;padding:2px 10px;white-space:nowrap'>{escape(c)}</{tag}>" for c in line
            )
        )
    return f"<table><tr>{'</tr><tr>'.join(lines)}</tr></table>"


def _dots(rows: Sequence[Row]) -> dict[str, Any]:
    """Means with intervals as a horizontal trace, every method with its own look."""
    styles = _styles(rows)
    factor = SCREEN.get(rows[0]["quantity"], ("", 1.0))[1]
    mean, low, high = (factor * np.array([row[name] for row in rows]) for name in ("mean", "low", "high"))
    looks = [styles[_line(row)] for row in rows]
    return {
        "x": mean, "y": _names(rows), "mode": "markers", "showlegend": False,
        "error_x": {"type": "data", "symmetric": False, "array": high - mean, "arrayminus": mean - low,
                    "color": "#555", "thickness": 1.5},
        "marker": {"color": [look["line"]["color"] for look in looks], "size": 11,
                   "symbol": [look["marker"]["symbol"] for look in looks]},
        "customdata": [[row["seeds"]] for row in rows],
        "hovertemplate": "%{y}: %{x:.3g}, %{customdata[0]} seeds<extra></extra>",
    }  # fmt: skip


def _unit(rows: Sequence[Row]) -> str:
    row = rows[0]
    return SCREEN.get(row["quantity"], (row["unit"], 1.0))[0]


def _where(row: Row) -> str:
    return f"{row['data']} → {row['part']}"


def _what(row: Row) -> str:
    return TITLES.get(row["quantity"], row["quantity"])


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
    """The legend's words: the method, and which output of it where its title does not begin with that."""
    return row["title"] if row["title"].startswith(row["output"]) else f"{row['title']} ({row['output']} forces)"


def _row_name(row: Row, rows: Sequence[Row]) -> str:
    """Where a ratio was measured, and of what, as far as rows differ in it."""
    others = "".join(f", {name} {_word(row[name])}" for name in _axes(rows))
    line = f" · {_line(row)}" if len({_line(r) for r in rows}) > 1 else ""
    part = f" → {row['part']}" if row["part"] != row["data"] else ""
    return f"{row['data']}{part}, {_labels(row)} labels{others}{line}"


def _names(rows: Sequence[Row]) -> list[str]:
    """Names of methods, with their output where outputs differ."""
    return [_line(row) if len({r["output"] for r in rows}) > 1 else row["title"] for row in rows]


def _styles(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Colour, dash and marker of every line: a known method has its own, and no two are alike."""
    # A second output of a method has its colour, dots and an open symbol.
    lines: dict[str, tuple[str, int]] = {}
    for row in rows:
        lines.setdefault(_line(row), (row["method"], sum(m == row["method"] for m, _ in lines.values())))
    taken = {LOOKS[method][0] for method, _ in lines.values() if method in LOOKS}
    free = [c for c in COLOURS if c not in taken] or list(COLOURS)
    strangers = dict.fromkeys(method for method, _ in lines.values() if method not in LOOKS)
    spare = {
        method: (free[k % len(free)], SYMBOLS[k % len(SYMBOLS)], DASHES[k // len(free) % len(DASHES)])
        for k, method in enumerate(strangers)
    }
    styles = {}
    for name, (method, again) in lines.items():
        colour, symbol, dash = LOOKS.get(method) or spare[method]
        if again:
            symbol, dash = f"{symbol.removesuffix('-open')}-open", "dot"
        styles[name] = {
            "line": {"color": colour, "width": 2.5, "dash": dash}, "marker": {"symbol": symbol, "size": 9}
        }  # fmt: skip
    return styles


def _columns(n: int) -> int:
    """Panels in a row: four stand two by two."""
    return max(1, min(MOST_COLUMNS, n)) if n != 4 else 2


def _place(k: int, n: int) -> tuple[int, int]:
    """Row and column of panel k of n."""
    return 1 + k // _columns(n), 1 + k % _columns(n)


def _panels(titles: Sequence[str]) -> go.Figure:
    columns = _columns(len(titles))
    n_rows = max(1, -(-len(titles) // columns))
    figure = make_subplots(
        n_rows, columns, subplot_titles=titles, horizontal_spacing=0.09, vertical_spacing=GAP / (PANEL * n_rows)
    )
    figure.update_annotations(font_size=13)
    return figure


def _finish(figure: go.Figure, y_title: str, x_title: str) -> None:
    """Style, and titles of the axes."""
    n = len(figure.layout.annotations)
    n_rows = _place(n - 1, n)[0] if n else 1
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
