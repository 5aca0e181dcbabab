"""The plots of a training: live curves with what was moved on the way, loss terms, parity.

`draw(session)` reads what a session, or a stored run, has written down.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.lab.figures.axes import MOST_POINTS, apply_style, panel_title, smooth, step_end, thin
from piwsl_lab.lab.figures.live import LivePlot
from piwsl_lab.lab.parts.colours import name_colours, twin_colours
from piwsl_lab.lab.parts.units import mev
from piwsl_lab.lab.parts.words import changes_in_words
from piwsl_lab.piwsl.terms import TERMS

MOST_MARKS = 8  # moved knobs that are named in the curves
APART = 0.015  # of the axis: a slider that is drawn over many stops is one move
# A colour is a twin, a dash a term: told apart without seeing colours.
DASHES = ("solid", "dot", "dash", "dashdot", "longdash", "longdashdot", "8px,2px,2px,2px,2px,2px")
ALONE = ("energy", "force")  # terms with a row of their own


class _TwinPlot(LivePlot):
    """A plot with lines of twins, each in the colour of what its twin is now: Reset may make it something else.

    Parameters
    ----------
    figure : go.Figure
        The `meta` of a trace is the name of its twin.
    live : bool, optional
        As for `LivePlot`.
    """

    def _update(self, what: Any) -> None:
        colours = twin_colours(what.twins)
        for trace in self.figure.data:
            colour = colours.get(trace.meta or "")
            part = trace.marker if trace.mode == "markers" else trace.line
            if colour and part.color != colour:
                part.color = colour
        self._fill(what)

    def _fill(self, what: Any) -> None:
        raise NotImplementedError


def _colours(names: Iterable[str] | Mapping[str, str]) -> dict[str, str]:
    return dict(names) if isinstance(names, Mapping) else name_colours(names)


class Curves(_TwinPlot):
    """Energy and force error on the monitored test frames against the training step, one line per twin, and a
    cursor.

    A dotted line stands where a knob of the last twin was moved, with what was moved.

    Parameters
    ----------
    names : names of the twins, or names and colours
    live : bool, optional
        As for `LivePlot`.

    Attributes
    ----------
    remark : str
        Pale words across the curves, such as "stored run".
    """

    def __init__(self, names: Iterable[str] | Mapping[str, str], live: bool | None = None) -> None:
        figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.13)
        for row in (1, 2):
            for name, colour in _colours(names).items():
                line = go.Scatter(
                    name=name, legendgroup=name, showlegend=row == 1, x=[], y=[], meta=name,
                    line={"color": colour, "width": 2.5}, hovertemplate="%{y:.4g}",
                )  # fmt: skip
                figure.add_trace(line, row, 1)
        apply_style(figure)
        figure.update_yaxes(type="log")
        figure.update_xaxes(title_text="training step", row=2)
        self.remark = ""
        self._cursor: int | None = None
        self._tops = figure.layout.yaxis.domain[1], figure.layout.yaxis2.domain[1]
        super().__init__(figure, live)

    def mark(self, step: int | None) -> None:
        """Put the cursor at a training step; None takes it away."""
        if step != self._cursor:
            with self._batch():
                self._cursor = step
                others = [shape for shape in self.figure.layout.shapes if shape.name != "cursor"]
                self.figure.layout.shapes = [*others, *self._cursor_shape()]

    def _cursor_shape(self) -> list[dict[str, Any]]:
        if self._cursor is None:
            return []
        line = {"color": "#000", "width": 1.5}
        return [{"type": "line", "name": "cursor", "xref": "x", "yref": "paper", "x0": self._cursor,
                 "x1": self._cursor, "y0": 0, "y1": 1, "line": line}]  # fmt: skip

    def _fill(self, what: Any) -> None:
        n = len(what.twins)
        for k, twin in enumerate(what.twins):
            points = thin(list(twin.points))
            steps = np.array([step for step, _ in points], dtype=float)
            energy = mev(np.array([metrics.energy_mae for _, metrics in points]))
            force = mev(np.array([metrics.force_rmse for _, metrics in points]))
            mode = "lines+markers" if len(points) < 5 else "lines"  # a line needs two points to be seen
            for trace, values in zip((self.figure.data[k], self.figure.data[n + k]), (energy, force), strict=True):
                trace.update(x=steps, y=values, mode=mode)
        unit = "structure" if what.test_frames[0].pbc.any() else "molecule"
        titles = f"energy error (MAE), meV per {unit}", "force error (RMSE), meV/Å"
        end = step_end(what.step, what.steps)
        self.figure.update_xaxes(range=(0, end))
        lines, words = _moves(what.twins[-1].changes, end)
        self.figure.layout.shapes = [*lines, *self._cursor_shape()]
        titled = [panel_title(text, top) for text, top in zip(titles, self._tops, strict=True)]
        self.figure.layout.annotations = titled + words + self._remark_words()

    def _remark_words(self) -> list[dict[str, Any]]:
        if not self.remark:
            return []
        return [{"text": self.remark, "xref": "paper", "yref": "paper", "x": 0.98, "y": 0.97, "showarrow": False,
                 "font": {"size": 15, "color": "#8A8A8A"}, "xanchor": "right", "yanchor": "top"}]  # fmt: skip


def _moves(changes: Mapping[int, Any], end: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Dotted lines at the steps where knobs were moved, and what was moved, for a step axis that ends at `end`."""
    steps = sorted(changes)
    moves: list[tuple[int, Any, Any]] = []  # step of the last stop, objective before, objective after
    for before, after in itertools.pairwise(steps):
        if moves and after - moves[-1][0] < APART * end:
            moves[-1] = (after, moves[-1][1], changes[after])
        else:
            moves.append((after, changes[before], changes[after]))
    lines: list[dict[str, Any]] = []
    words: list[dict[str, Any]] = []
    named = [(step, said) for step, old, new in moves if (said := changes_in_words(old, new))]
    for step, said in named[-MOST_MARKS:]:
        lines.append({"type": "line", "name": "move", "xref": "x", "yref": "paper", "x0": step, "x1": step, "y0": 0,
                      "y1": 1, "line": {"color": "#888", "width": 1.5, "dash": "dot"}})  # fmt: skip
        left = step > 0.8 * end
        words.append({"name": "move", "text": said, "xref": "x", "yref": "paper", "x": step, "y": 1, "yanchor": "top",
                      "xanchor": "right" if left else "left", "showarrow": False, "font": {"size": 12},
                      "xshift": -3 if left else 3,
                      "yshift": -15 * (len(words) % 3)})  # fmt: skip
    return lines, words


class LossTerms(_TwinPlot):
    """The unweighted loss terms of every twin on the training batches, smoothed, one row per kind of term."""

    HEIGHTS = ((0.76, 1.0), (0.41, 0.65), (0.0, 0.24))  # the lowest has a legend of its own above it

    def __init__(self, names: Iterable[str] | Mapping[str, str], live: bool | None = None) -> None:
        figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
        self._lines: list[tuple[str, str]] = []
        others = [term for term in TERMS.values() if term.name not in ALONE]
        dashes = dict(zip((term.name for term in others), itertools.cycle(DASHES), strict=False))
        titles = [*(f"{name} term, {TERMS[name].unit}" for name in ALONE), "other terms"]
        for row, terms in enumerate([*([TERMS[name]] for name in ALONE), others], start=1):
            for term in terms:
                for name, colour in _colours(names).items():
                    style = {"color": colour, "width": 2, "dash": dashes.get(term.name, "solid")}
                    label = name if row == 1 else f"{name}: {term.title}" + (f", {term.unit}" if row == 3 else "")
                    line = go.Scatter(
                        name=label, showlegend=row == 1, x=[], y=[], mode="lines", line=style, meta=name,
                        hovertemplate="%{y:.3g}",
                    )  # fmt: skip
                    line.legend = "legend2" if row == 3 else "legend"
                    figure.add_trace(line, row, 1)
                    self._lines.append((name, term.name))
            figure.update_yaxes(domain=self.HEIGHTS[row - 1], row=row)
            figure.add_annotation(panel_title(titles[row - 1], self.HEIGHTS[row - 1][1]))
        apply_style(figure)
        second = {"orientation": "h", "x": 1, "xanchor": "right", "y": 0.24, "yanchor": "bottom", "font": {"size": 11}}
        figure.update_layout(legend2=second)
        figure.update_yaxes(type="log")
        figure.update_xaxes(title_text="training step", row=3)
        super().__init__(figure, live)

    def _fill(self, what: Any) -> None:
        twins = {twin.name: twin for twin in what.twins}
        for trace, (name, term) in zip(self.figure.data, self._lines, strict=True):
            x, y = smooth(*term_history(twins[name], term))
            trace.update(x=x, y=y)
            if term not in ALONE and trace.showlegend != bool(len(x)):
                trace.showlegend = bool(len(x))
        self.figure.update_xaxes(range=(0, step_end(what.step, what.steps)))


class Parity(_TwinPlot):
    """Predicted against reference energies and force components of the monitored test frames."""

    def __init__(self, names: Iterable[str] | Mapping[str, str], live: bool | None = None) -> None:
        figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.12)
        for k, title in enumerate(("energy − mean, meV", "force component, eV/Å")):
            figure.add_annotation(panel_title(title, 1.0, left=0.56 * k))
        for column in (1, 2):
            exact = go.Scatter(
                name="exact", showlegend=column == 1, x=[], y=[], mode="lines", line={"color": "#000", "width": 1},
                hoverinfo="skip",
            )  # fmt: skip
            figure.add_trace(exact, 1, column)
            for name, colour in _colours(names).items():
                dots = go.Scatter(
                    name=name, legendgroup=name, showlegend=column == 1, x=[], y=[], mode="markers", meta=name,
                    marker={"color": colour, "size": 7 if column == 1 else 4, "opacity": 0.6},
                    hovertemplate="reference %{x:.4g}, predicted %{y:.4g}",
                )  # fmt: skip
                figure.add_trace(dots, 1, column)
        apply_style(figure)
        figure.update_layout(hovermode="closest", margin={"t": 48}, legend={"y": 1.07})
        figure.update_xaxes(title_text="reference", nticks=5)
        figure.update_yaxes(title_text="predicted", title_standoff=4, col=1)
        super().__init__(figure, live)

    def _fill(self, what: Any) -> None:
        n = 1 + len(what.twins)
        for k, twin in enumerate(what.twins, start=1):
            shot = twin.snapshot
            mean = shot.reference_energy.mean()
            energies = mev(shot.reference_energy - mean), mev(shot.energy - mean)
            components = [np.concatenate(part).ravel() for part in (shot.reference_forces, shot.forces)]
            # Shorter than MOST_POINTS by taking components at a stride that mixes x, y and z.
            forces = tuple(values[:: 1 + 3 * (len(values) // (3 * MOST_POINTS))] for values in components)
            for column, (reference, predicted) in enumerate((energies, forces)):
                self.figure.data[column * n + k].update(x=reference, y=predicted)
                self.figure.data[column * n].update(x=_ends(reference), y=_ends(reference))


def term_history(twin: Any, term: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps at which a loss term was in force, and its values."""
    pairs = [(r.step, r.terms[term]) for r in list(twin.records) if term in r.terms]
    steps, values = np.array(pairs, dtype=float).reshape(-1, 2).T
    return steps, values


def _ends(values: np.ndarray) -> np.ndarray:
    values = values[np.isfinite(values)]
    return np.array([values.min(), values.max()]) if len(values) else np.array([])
