"""The plots of the front room: live curves, loss terms, parity. eV becomes meV here and nowhere else.

Every picture is a `LivePlot`: `draw(session)` reads what the session has written down and pushes it in one batch. Where
a plotly FigureWidget cannot work (Google Colab), the same figure is drawn anew into an Output widget.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import ipywidgets as W
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.lab.session import Session, Twin

MEV = 1000.0  # meV per eV
MOST_POINTS = 1000  # per curve: more costs the browser time and shows nothing new
HEIGHT = 470  # px

# Okabe and Ito's palette, told apart with every common colour blindness; black is kept for references.
TWIN_COLOURS = {"supervised": "#D55E00", "PIWSL": "#0072B2"}
OTHER_COLOURS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# A colour is a twin, a dash a term: told apart without seeing colours.
TERMS = {
    "pitc": ("Taylor consistency (PITC)", "eV²", "solid"),
    "pisc": ("spatial consistency (PISC)", "eV²", "dot"),
    "gradient": ("gradient consistency", "(eV/Å)²", "dash"),
    "curl": ("curl", "(eV/Å²)²", "dashdot"),
    "weak": ("weak labels", "eV²", "longdash"),
    "noisy": ("noisy copies", "weighted", "longdashdot"),
    "denoise": ("denoising", "ε²", "8px,2px,2px,2px,2px,2px"),
}


def twin_colours(names: Iterable[str]) -> dict[str, str]:
    """The colour of every twin: the same in all plots, tables and headlines."""
    others = iter(OTHER_COLOURS)
    return {name: TWIN_COLOURS.get(name) or next(others, "#000000") for name in names}


def live_widgets_work() -> bool:
    """Whether a FigureWidget will be drawn: not on Colab, whose widget manager does not know plotly's."""
    return "google.colab" not in sys.modules


def without_answers(bundle: str) -> str:
    """Plotly's widget without the answers of its views: the defaults that plotly.js filled in, which nobody here reads.

    After every drawing each view would send all of them to Python, twice, and the kernel would be busy with them.
    """
    end = bundle.rfind(" as FigureView")
    if end < 0:  # a plotly that is made otherwise: slower, and as right
        return bundle
    view = re.search(r"[\w$]+$", bundle[max(0, end - 50) : end])[0]
    return f"{bundle}\n{view}.prototype._sendTraceDeltas = {view}.prototype._sendLayoutDelta = () => {{}};\n"


class _LiveFigure(go.FigureWidget):
    """A FigureWidget whose repr does not change from run to run, so that stored notebooks can be compared."""

    if hasattr(go.FigureWidget, "_esm"):
        _esm = without_answers(str(go.FigureWidget._esm))

    def __repr__(self) -> str:
        return "LivePlot()"


class LivePlot:
    """A plotly figure that can be updated while it is on the screen.

    Attributes
    ----------
    figure : go.Figure or go.FigureWidget
    widget : ipywidgets.DOMWidget
        What to put into a layout.
    """

    def __init__(self, figure: go.Figure, live: bool | None = None) -> None:
        self._live = live_widgets_work() if live is None else live
        self.figure = _LiveFigure(figure) if self._live else figure
        if self._live:
            self.figure._config = self.figure._config | {"responsive": True}  # it learns of a new width of the page
        self.widget = self.figure if self._live else W.Output()

    def draw(self, session: Session) -> None:
        """Show the present state of a session."""
        with self._batch():
            self._update(session)

    def _update(self, session: Session) -> None:
        raise NotImplementedError

    @contextmanager
    def _batch(self) -> Iterator[None]:
        """Everything assigned inside reaches the browser as one message."""
        if self._live:
            with self.figure.batch_update():
                yield
        else:
            yield
            html = self.figure.to_html(include_plotlyjs="cdn", full_html=False, default_height=f"{HEIGHT}px")
            data = {"text/html": html, "text/plain": "LivePlot()"}
            self.widget.outputs = ({"output_type": "display_data", "data": data, "metadata": {}},)


class Curves(LivePlot):
    """Energy and force error on the monitored test frames against the training step, one line a twin; and a cursor."""

    def __init__(self, names: Sequence[str], live: bool | None = None) -> None:
        figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.06)
        for row in (1, 2):
            for name, colour in twin_colours(names).items():
                line = go.Scatter(
                    name=name, legendgroup=name, showlegend=row == 1, x=[], y=[], line={"color": colour, "width": 2.5}
                )
                figure.add_trace(line, row, 1)
        apply_style(figure)
        figure.update_yaxes(type="log")
        figure.update_yaxes(title_text="energy error, MAE<br>meV a structure", row=1)
        figure.update_yaxes(title_text="force error, RMSE<br>meV/Å", row=2)
        figure.update_xaxes(title_text="training step", row=2)
        cursor = {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "visible": False}
        figure.add_shape(cursor | {"line": {"color": "#000", "width": 1.5}, "name": "cursor"})
        self._cursor: int | None = None
        self._shown: dict[str, tuple[int, int, int]] = {}
        super().__init__(figure, live)

    def on_pick(self, callback: Callable[[float], None]) -> None:
        """Call back with the training step of a point that was clicked."""
        if self._live:
            for trace in self.figure.data:
                trace.on_click(lambda _trace, points, _state: points.xs and callback(float(points.xs[0])))

    def mark(self, step: int | None) -> None:
        """Put the cursor at a training step; None takes it away."""
        if step == self._cursor:
            return
        self._cursor = step
        with self._batch():
            (line,) = self.figure.select_shapes({"name": "cursor"})
            line.update(x0=step or 0, x1=step or 0, visible=step is not None)

    def _update(self, session: Session) -> None:
        n = len(session.twins)
        for k, twin in enumerate(session.twins):
            shown = (len(twin.points), twin.points[-1][0], id(twin.records))
            if self._shown.get(twin.name) == shown:
                continue  # every call of plotly takes time from the training
            self._shown[twin.name] = shown
            points = thin(twin.points)
            steps = np.array([step for step, _ in points])
            energy = MEV * np.array([metrics.energy_mae for _, metrics in points])
            force = MEV * np.array([metrics.force_rmse for _, metrics in points])
            mode = "lines+markers" if len(points) < 5 else "lines"  # a line needs two points to be seen
            for trace, values in zip((self.figure.data[k], self.figure.data[n + k]), (energy, force), strict=True):
                trace.x, trace.y = steps, values
                if trace.mode != mode:
                    trace.mode = mode
        _set_axes(self.figure, session)


class LossTerms(LivePlot):
    """The unweighted loss terms of every twin on the training batches, smoothed, one row a kind."""

    ROWS = (("energy",), ("force",), tuple(TERMS))
    UNITS = ("energy<br>term, eV²", "force<br>term, (eV/Å)²", "other terms")
    HEIGHTS = ((0.72, 1.0), (0.40, 0.68), (0.0, 0.28))  # the lowest has a legend of its own above it

    def __init__(self, names: Sequence[str], live: bool | None = None) -> None:
        figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
        self._lines: list[tuple[str, str]] = []
        for row, terms in enumerate(self.ROWS, start=1):
            for term in terms:
                for name, colour in twin_colours(names).items():
                    title, unit, dash = TERMS.get(term, (term, "", "solid"))
                    style = {"color": colour, "width": 2, "dash": dash}
                    label = name if row == 1 else f"{name}: {title}" + (f", {unit}" if unit else "")
                    line = go.Scatter(name=label, showlegend=row == 1, x=[], y=[], mode="lines", line=style)
                    line.legend = "legend2" if row == 3 else "legend"
                    figure.add_trace(line, row, 1)
                    self._lines.append((name, term))
            figure.update_yaxes(title_text=self.UNITS[row - 1], domain=self.HEIGHTS[row - 1], row=row)
        apply_style(figure)
        second = {"orientation": "h", "x": 0, "y": 0.28, "yanchor": "bottom", "font": {"size": 11}}
        figure.update_layout(legend2=second)
        figure.update_yaxes(type="log")
        figure.update_xaxes(title_text="training step", row=3)
        super().__init__(figure, live)

    def _update(self, session: Session) -> None:
        for trace, (name, term) in zip(self.figure.data, self._lines, strict=True):
            x, y = smooth(*term_history(session.twin(name), term))
            if not len(x) and term not in TERMS:  # plotly leaves a plot without any point as it was before Reset
                x = y = np.array([np.nan])
            trace.x, trace.y = x, y
            if term in TERMS and trace.showlegend != bool(len(x)):
                trace.showlegend = bool(len(x))
        _set_axes(self.figure, session)


class Parity(LivePlot):
    """Predicted against reference energies and force components of the monitored test frames."""

    def __init__(self, names: Sequence[str], live: bool | None = None) -> None:
        figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.15)
        for column in (1, 2):
            exact = go.Scatter(
                name="exact", showlegend=column == 1, x=[], y=[], mode="lines", line={"color": "black", "width": 1}
            )
            figure.add_trace(exact, 1, column)
            for name, colour in twin_colours(names).items():
                dots = go.Scatter(
                    name=name, legendgroup=name, showlegend=column == 1, x=[], y=[], mode="markers",
                    marker={"color": colour, "size": 7 if column == 1 else 4, "opacity": 0.6},
                )  # fmt: skip
                figure.add_trace(dots, 1, column)
        apply_style(figure)
        figure.update_layout(hovermode="closest")
        for column, what in ((1, "energy − mean (meV)"), (2, "force component (eV/Å)")):
            figure.update_xaxes(title_text=f"reference {what}", col=column)
            figure.update_yaxes(title_text=f"predicted {what}", title_standoff=4, col=column)
        super().__init__(figure, live)

    def _update(self, session: Session) -> None:
        n = 1 + len(session.twins)
        for k, twin in enumerate(session.twins, start=1):
            shot = twin.snapshot
            mean = shot.reference_energy.mean()
            energies = MEV * (shot.reference_energy - mean), MEV * (shot.energy - mean)
            forces = (np.concatenate(part).ravel() for part in (shot.reference_forces, shot.forces))
            # Shorter than MOST_POINTS by taking components at a stride that mixes x, y and z.
            forces = tuple(values[:: 1 + 3 * (len(values) // (3 * MOST_POINTS))] for values in forces)
            for column, (reference, predicted) in enumerate((energies, forces)):
                self.figure.data[column * n + k].update(x=reference, y=predicted)
                self.figure.data[column * n].update(x=_ends(reference), y=_ends(reference))


def term_history(twin: Twin, term: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps at which a loss term was in force, and its values."""
    pairs = [(r.step, r.terms[term]) for r in list(twin.records) if term in r.terms]
    steps, values = np.array(pairs, dtype=float).reshape(-1, 2).T
    return steps, values


def smooth(x: np.ndarray, y: np.ndarray, limit: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Means over blocks of equal length, at most `limit` of them: batches are noisy, and the eye wants the trend."""
    block = -(-len(x) // limit) if len(x) else 1
    starts = np.arange(0, len(x), block)
    if block == 1:
        return x, y
    counts = np.diff(np.append(starts, len(x)))
    return np.add.reduceat(x, starts) / counts, np.add.reduceat(y, starts) / counts


def thin(points: Sequence, limit: int = MOST_POINTS) -> list:
    """At most `limit` of the points at even distances, the last one always among them."""
    stride = -(-len(points) // limit) or 1
    return list(points)[::-1][::stride][::-1]


def _ends(values: np.ndarray) -> np.ndarray:
    return np.array([values.min(), values.max()])


def _set_axes(figure: go.Figure, session: Session) -> None:
    """Round ticks, and a step axis that ends at a half, a quarter, an eighth … of the run, so that it seldom moves."""
    end = max(session.steps, 1)
    while end / 2 >= max(session.step, 10):
        end /= 2
    if figure.layout.xaxis.range != (0, end):
        figure.update_xaxes(range=(0, end))
    for axis in figure.select_yaxes():
        shown = [t.y for t in figure.data if (t.yaxis or "y") == axis.plotly_name.replace("axis", "") and len(t.y)]
        ticks, words = log_ticks(np.concatenate(shown)) if shown else ([], [])
        if tuple(ticks) != axis.tickvals:
            axis.tickvals, axis.ticktext = ticks, words


def log_ticks(values: np.ndarray, most: int = 7) -> tuple[list[float], list[str]]:
    """Round numbers for a logarithmic axis, no more than can be told apart, and how they are written."""
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) == 0:
        return [], []
    # plotly shows a decade to each side of a single value.
    margin = 1.0 if values.max() < 1.01 * values.min() else 0.1
    low, high = np.log10(values.min()) - margin, np.log10(values.max()) + margin
    for leading, step in (
        ((1, 1.5, 2, 3, 4, 5, 6, 8), 1),
        ((1, 2, 5), 1),
        ((1, 3), 1),
        ((1,), 1),
        ((1,), 2),
        ((1,), 3),
    ):
        decades = range(-12, 13, step)
        ticks = [m * 10.0**k for k in decades for m in leading if low <= np.log10(m) + k <= high]
        if len(ticks) <= most:
            break
    if margin < 1.0 and sum(values.min() <= tick <= values.max() for tick in ticks) < 2:
        ticks = even_ticks(values.min(), values.max())  # so narrow a range that it looks linear
    return ticks, [f"{t:g}" for t in ticks]


def even_ticks(low: float, high: float) -> list[float]:
    """Two to six round numbers at even distances between two different ones."""
    least = (high - low) / 5
    decade = 10.0 ** np.floor(np.log10(least))
    step = next(m * decade for m in (1, 2, 5, 10) if m * decade >= least)
    return [float(k * step) for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def apply_style(figure: go.Figure) -> None:
    figure.update_layout(
        template="plotly_white", height=HEIGHT, autosize=True, hovermode="x unified",
        margin={"l": 78, "r": 16, "t": 34, "b": 46}, font={"size": 13}, uirevision="keep the reader's zoom",
        legend={"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
    )  # fmt: skip
    figure.update_xaxes(showline=True, linecolor="#888", ticks="outside")
    figure.update_yaxes(showline=True, linecolor="#888", ticks="outside")
