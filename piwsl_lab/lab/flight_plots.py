"""The curves of a flight: temperature, energy, the worst bond, and a length or an angle that the reader measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ase import Atoms
from plotly.subplots import make_subplots

from piwsl_lab.lab.figures import MEV, LivePlot, apply_style, twin_colours
from piwsl_lab.lab.flying import Track

MOST_POINTS = 600  # of a curve
BROKEN = 0.5  # Å: the tolerance of `piwsl_lab.dynamics.alive_ps`
KINDS = {2: "distance", 3: "angle", 4: "dihedral angle"}


def measured(track: Track, replica: int, states: Sequence[int], atoms: Sequence[int]) -> np.ndarray:
    """Distance (Å) of two atoms, or angle or dihedral angle (°) of three or four, in states of a track: [len(states)].

    In a periodic cell the nearest images count.
    """
    frame = track.frame
    images = [Atoms(frame.numbers, track.positions[k][replica], cell=frame.cell, pbc=frame.pbc) for k in states]
    name = {2: "get_distance", 3: "get_angle", 4: "get_dihedral"}[len(atoms)]
    return np.array([getattr(image, name)(*atoms, mic=bool(frame.pbc.any())) for image in images])


class FlightPlots(LivePlot):
    """One replica against time, and the cursor.

    Four rows: temperature, change of the conserved energy, the worst bond, and what the reader measures.
    """

    def __init__(self, names: list[str], live: bool | None = None) -> None:
        figure = make_subplots(rows=4, cols=1, shared_xaxes=True, vertical_spacing=0.04)
        for row in (1, 2, 3, 4):
            for name, colour in twin_colours(names).items():
                line = {"color": colour, "width": 2}
                figure.add_trace(
                    go.Scatter(name=name, legendgroup=name, showlegend=row == 1, x=[], y=[], line=line), row, 1
                )
        apply_style(figure)
        figure.add_hline(BROKEN, row=3, col=1, line={"color": "#888", "dash": "dot", "width": 1}, layer="below")
        cursor = {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
        figure.add_shape(cursor | {"line": {"color": "#000", "width": 2}, "name": "cursor"})
        titles = ("temperature<br>K", "energy change<br>meV/atom", "worst bond<br>off by Å", "")
        for row, title in enumerate(titles, 1):
            figure.update_yaxes(title_text=title, rangemode="tozero" if title else "normal", row=row)
        figure.update_yaxes(title_standoff=4)
        figure.update_xaxes(title_text="time, ps", row=4)
        figure.update_layout(height=560)
        self.names, self.atoms = names, ()
        super().__init__(figure, live)
        if self._live:  # a hand can drag the cursor; what lies below the curves is out of its reach
            self.figure._config = self.figure._config | {"edits": {"shapePosition": True}}

    def on_pick(self, callback: Callable[[float], Any]) -> None:
        """Call back with the time (ps) of a point that was clicked, or of the cursor that was dragged there."""
        if self._live:
            for trace in self.figure.data:
                trace.on_click(lambda _trace, points, _state: points.xs and callback(float(points.xs[0])))
            self.figure.layout.on_change(lambda *_: self._dragged(callback), "shapes")

    def _dragged(self, callback: Callable[[float], Any]) -> None:
        """The cursor is somewhere else, and it was not put there by `_move`."""
        (line,) = self.figure.select_shapes({"name": "cursor"})
        if line.x0 != self._cursor:
            callback(float(line.x0))

    def measure(self, atoms: Sequence[int]) -> None:
        """What the last row shows: two, three or four atoms; none for nothing."""
        self.atoms = tuple(atoms)
        title = (
            f"{KINDS[len(atoms)]}<br>{'-'.join(map(str, atoms))}, {'Å' if len(atoms) == 2 else '°'}" if atoms else ""
        )
        with self._batch():
            self.figure.update_yaxes(title_text=title, row=4)

    def show(self, tracks: dict[str, Track], replica: int, cursor: float) -> None:
        """Draw one replica of every track, and the cursor at a time (fs)."""
        with self._batch():
            for k, name in enumerate(self.names):
                track = tracks[name]
                length = len(track.time)
                chosen = np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int))
                # From its loss on a replica stands still: there is nothing to draw.
                chosen = [i for i in chosen if track.alive[i][replica] or i == 0]
                x = np.array([track.time[i] for i in chosen]) / 1000.0
                curves = (
                    [track.temperature[i][replica] for i in chosen],
                    [MEV * track.change[i][replica] / len(track.frame) for i in chosen],
                    [track.stretch[i][replica] for i in chosen],
                    measured(track, replica, chosen, self.atoms) if self.atoms else [],
                )
                for row, y in enumerate(curves):
                    self.figure.data[row * len(self.names) + k].update(x=x[: len(y)], y=np.array(y))
            self._move(cursor)

    def move(self, cursor: float) -> None:
        """Put the cursor at a time (fs)."""
        with self._batch():
            self._move(cursor)

    def _move(self, cursor: float) -> None:
        self._cursor = cursor / 1000.0
        (line,) = self.figure.select_shapes({"name": "cursor"})
        line.update(x0=self._cursor, x1=self._cursor, y0=0, y1=1)  # a hand may have moved it up as well
