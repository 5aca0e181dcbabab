"""The curves of a flight: temperature, energy, the worst bond, and a length or an angle that the reader measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from ase.data import chemical_symbols
from ase.geometry import find_mic
from plotly.subplots import make_subplots

from piwsl_lab.lab.figures.axes import apply_style
from piwsl_lab.lab.figures.live import LivePlot
from piwsl_lab.lab.molecule.scene import BROKEN_COLOUR
from piwsl_lab.lab.parts.units import mev, ps
from piwsl_lab.lab.sessions.md import Track

MOST_POINTS = 400  # of a curve: a panel is not much wider
BROKEN = 0.5  # Å: the tolerance of `piwsl_lab.analysis.alive_ps`
FAR = 2.0  # Å: farther off is off the plot
KINDS = {2: "distance", 3: "angle", 4: "dihedral angle"}
PANELS = ((1, 1), (1, 2), (2, 1), (2, 2))  # row and column of every panel
TITLES = (
    "<b>temperature</b>, K",
    "<b>energy change</b>, meV per atom",
    "<b>worst bond</b>, Å off its usual length; red: broken",
)
NOTHING_MEASURED = "<b>measured</b>: click 2 to 4 atoms of a molecule"
HEIGHT = "var(--piwsl-deck-plots, 260px)"


def measured(track: Track, replica: int, states: Sequence[int], atoms: Sequence[int]) -> np.ndarray:
    """Distance (Å) of two atoms, or angle or dihedral angle (°) of three or four, in states of a track: [len(states)].

    In a periodic cell the nearest images count. A dihedral angle begins between -180° and 180° and goes on from there,
    so that a full turn is no jump.
    """
    points = np.array([track.positions[k][replica] for k in states])[:, list(atoms)].astype(float)  # (T, m, 3)
    steps = np.diff(points, axis=1)  # (T, m - 1, 3)
    if np.any(track.frame.pbc):
        steps = find_mic(steps.reshape(-1, 3), track.frame.cell, track.frame.pbc)[0].reshape(steps.shape)
    if len(atoms) == 2:
        return np.linalg.norm(steps[:, 0], axis=1)
    if len(atoms) == 3:
        return _angle(-steps[:, 0], steps[:, 1])
    first, second = np.cross(steps[:, 0], steps[:, 1]), np.cross(steps[:, 1], steps[:, 2])
    side = np.einsum("tx,tx->t", steps[:, 0], second)
    return np.unwrap(np.where(side < 0, -1.0, 1.0) * _angle(first, second), period=360.0)


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles between vectors [T, 3], °; 0 where one of them has no length."""
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b), axis=1), np.einsum("tx,tx->t", a, b)))


class FlightPlots(LivePlot):
    """One replica against time in four panels, with one cursor through all of them.

    The panels show temperature, change of the conserved energy, the worst bond, and what the reader measures.

    Parameters
    ----------
    colours : mapping of name → "#rrggbb"
        The pilots in their order. There is no legend: the panel around the plot names the colours.
    live : bool, optional
        As for `LivePlot`.
    """

    def __init__(self, colours: Mapping[str, str], live: bool | None = None) -> None:
        figure = make_subplots(
            rows=2, cols=2, shared_xaxes="all", vertical_spacing=0.17, horizontal_spacing=0.06,
            subplot_titles=[*TITLES, NOTHING_MEASURED],
        )  # fmt: skip
        for row, column in PANELS:
            for name, colour in colours.items():
                line = {"color": colour, "width": 2}
                curve = go.Scatter(name=name, legendgroup=name, showlegend=False, x=[], y=[], mode="lines", line=line)
                figure.add_trace(curve, row, column)
        apply_style(figure)
        figure.update_layout(margin={"l": 56, "r": 10, "t": 20, "b": 40}, font={"size": 12}, showlegend=False)
        for k, title in enumerate(figure.layout.annotations):
            domain = figure.layout["xaxis" if k == 0 else f"xaxis{k + 1}"].domain
            title.update(x=domain[0], xanchor="left", yanchor="bottom", font={"size": 12})
        figure.add_hline(BROKEN, row=2, col=1, line={"color": BROKEN_COLOUR, "dash": "dash", "width": 1}, layer="below")
        for k in range(1, 5):
            axis = "" if k == 1 else str(k)
            line = {"type": "line", "xref": f"x{axis}", "yref": f"y{axis} domain", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
            figure.add_shape(line | {"line": {"color": "#000", "width": 2}, "name": "cursor"})
        for (row, column), kind in zip(PANELS, ("tozero", "normal", "tozero", "normal"), strict=True):
            figure.update_yaxes(rangemode=kind, nticks=5, exponentformat="power", minexponent=4, row=row, col=column)
        # A molecule that has flown apart must not hide where the others stand, nor a grid line the limit.
        figure.update_yaxes(
            showgrid=False, autorangeoptions={"clipmax": FAR, "include": [0.0, 1.2 * BROKEN]}, row=2, col=1
        )
        figure.update_xaxes(rangemode="nonnegative")
        figure.update_xaxes(showticklabels=True, nticks=9, row=2)
        figure.update_xaxes(title={"text": "time, ps", "standoff": 2}, row=2)
        self.names = list(colours)
        self.atoms: tuple[int, ...] = ()
        self._cursor, self._lines = 0.0, list(figure.select_shapes({"name": "cursor"}))
        super().__init__(figure, live)
        self.widget.layout.height = HEIGHT
        # The cursor can be dragged; the limit of a broken bond lies below the curves, where the mouse does not reach.
        self.config["edits"] = {"shapePosition": True}

    def on_pick(self, callback: Callable[[float], Any]) -> None:
        """Call back with the time (ps) of a point that was clicked, or of the cursor that was dragged there."""
        super().on_pick(callback)
        self.on_drag(lambda name, x: self._dragged(x, callback) if name == "cursor" else None)

    def _dragged(self, x: float, callback: Callable[[float], Any]) -> None:
        """The page shows the cursor somewhere else: it snaps to the nearest state, also where that is the old one."""
        before = self._cursor
        callback(x)
        if self._cursor == before and self._live:
            self.state.revision += 1  # draw again what is unchanged here

    def measure(self, atoms: Sequence[int], numbers: np.ndarray) -> None:
        """What the last panel shows: two, three or four atoms of a molecule with these atomic numbers; none at all."""
        self.atoms = tuple(atoms)
        words = "–".join(f"{chemical_symbols[numbers[atom]]}{atom}" for atom in atoms)
        title = f"<b>{KINDS[len(atoms)]}</b> {words}, {'Å' if len(atoms) == 2 else '°'}" if atoms else NOTHING_MEASURED
        with self._batch():
            self.figure.layout.annotations[3].text = title

    def show(self, tracks: Mapping[str, Track], replica: int, cursor: float) -> None:
        """Draw one replica of every track, and the cursor at a time (fs)."""
        with self._batch():
            for k, name in enumerate(self.names):
                track = tracks[name]
                length = len(track.time)
                spread = np.unique(np.linspace(0, length - 1, min(length, MOST_POINTS)).round().astype(int))
                # From its loss on a replica stands still: there is nothing to draw.
                chosen = [int(i) for i in spread if track.alive[i][replica] or i == 0]
                x = ps(np.array([track.time[i] for i in chosen]))
                curves: tuple[Sequence[float] | np.ndarray, ...] = (
                    [track.temperature[i][replica] for i in chosen],
                    [mev(track.change[i][replica]) / len(track.frame) for i in chosen],
                    [track.stretch[i][replica] for i in chosen],
                    measured(track, replica, chosen, self.atoms) if self.atoms else [],
                )
                # A line needs two points to be seen.
                mode = "lines" if len(chosen) > 1 else "markers"
                for panel, y in enumerate(curves):
                    curve = self.figure.data[panel * len(self.names) + k]
                    curve.x, curve.y = x[: len(y)], np.array(y, dtype=float)
                    if curve.mode != mode:
                        curve.mode = mode
            self._move(cursor)

    def move(self, cursor: float) -> None:
        """Put the cursor at a time (fs)."""
        with self._batch():
            self._move(cursor)

    def _move(self, cursor: float) -> None:
        self._cursor = ps(cursor)
        for line in self._lines:
            line.x0 = line.x1 = self._cursor
