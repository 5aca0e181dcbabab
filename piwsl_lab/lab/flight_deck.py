"""`FlightDeck`: twins that fly side by side, three curves and one cursor for all of them.

While it flies the views follow; a click into a plot, the slider or *play* move the cursor, and every view shows that
moment.
"""

from __future__ import annotations

import threading
import time
from html import escape
from typing import Any

import ipywidgets as W
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from piwsl_lab.lab import report
from piwsl_lab.lab.figures import MEV, LivePlot, apply_style, twin_colours
from piwsl_lab.lab.flying import FlightSession, Track
from piwsl_lab.lab.knobs import dropdown, steps
from piwsl_lab.lab.viewer import MoleculeView

PERIOD = 0.2  # s between two drawings
TEMPERATURES = (50, 100, 200, 300, 400, 500, 700, 1000)
TIME_STEPS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
ENSEMBLE_TITLES = {"nve": "constant energy (NVE)", "nvt": "heat bath (NVT)"}
MOST_POINTS = 600  # of a curve
BROKEN = 0.5  # Å: the tolerance of `piwsl_lab.dynamics.alive_ps`


class FlightPlots(LivePlot):
    """Temperature, change of the conserved energy and the worst bond of one replica against time, and the cursor."""

    def __init__(self, names: list[str], live: bool | None = None) -> None:
        figure = make_subplots(rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.05)
        for row in (1, 2, 3):
            for name, colour in twin_colours(names).items():
                line = {"color": colour, "width": 2}
                figure.add_trace(
                    go.Scatter(name=name, legendgroup=name, showlegend=row == 1, x=[], y=[], line=line), row, 1
                )
        apply_style(figure)
        figure.add_hline(BROKEN, row=3, col=1, line={"color": "#888", "dash": "dot", "width": 1})
        cursor = {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1}
        figure.add_shape(cursor | {"line": {"color": "#000", "width": 1.5}, "name": "cursor"})
        titles = ("temperature<br>K", "energy change<br>meV/atom", "worst bond<br>off by Å")
        for row, title in enumerate(titles, 1):
            figure.update_yaxes(title_text=title, rangemode="tozero", row=row)
        figure.update_xaxes(title_text="time, ps", row=3)
        self.names = names
        super().__init__(figure, live)

    def on_pick(self, callback: Any) -> None:
        """Call back with the time (ps) of a point that was clicked."""
        if self._live:
            for trace in self.figure.data:
                trace.on_click(lambda _trace, points, _state: points.xs and callback(float(points.xs[0])))

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
                )
                for row, y in enumerate(curves):
                    self.figure.data[row * len(self.names) + k].update(x=x, y=np.array(y))
            self._move(cursor)

    def move(self, cursor: float) -> None:
        """Put the cursor at a time (fs)."""
        with self._batch():
            self._move(cursor)

    def _move(self, cursor: float) -> None:
        (line,) = self.figure.select_shapes({"name": "cursor"})
        line.update(x0=cursor / 1000.0, x1=cursor / 1000.0)


class FlightDeck(W.VBox):
    """A panel to fly the twins of a `FlightSession` and to look at any moment of it.

    Parameters
    ----------
    session : FlightSession
    """

    def __init__(self, session: FlightSession) -> None:
        self.session = session
        self._lock = threading.RLock()
        self._drawer: threading.Thread | None = None
        self._mistake, self._following = "", False
        self.names = list(session.simulations)
        self.plots = FlightPlots(self.names)
        self._make_controls()
        frame = session.frame
        self.views = {
            n: MoleculeView(frame.numbers, frame.positions, frame.cell, frame.pbc, "240px") for n in self.names
        }
        self.captions = {name: W.HTML() for name in self.names}
        super().__init__(self._rows(), layout=W.Layout(width="100%", overflow="hidden"))
        self._connect()
        self.draw()

    def __repr__(self) -> str:
        return f"FlightDeck({' and '.join(self.names)})"

    def _make_controls(self) -> None:
        settings = self.session.settings
        self.start = W.Button(description="Fly", icon="play", button_style="success", layout=W.Layout(width="auto"))
        self.stop = W.Button(description="Pause", icon="pause", button_style="danger", layout=W.Layout(width="auto"))
        self.reset = W.Button(description="Start anew", icon="refresh", layout=W.Layout(width="auto"))
        self.temperature = steps(
            "temperature, K", TEMPERATURES, settings["temperature"],
            "Acts while it flies: a bath takes it over; at constant energy the velocities are scaled to it.",
        )  # fmt: skip
        self.time_step = steps(
            "time step, fs", TIME_STEPS, settings["time_step"], "Acts while it flies; hydrogen wants 0.5 fs."
        )
        titles = [(title, name) for name, title in ENSEMBLE_TITLES.items()]
        self.ensemble = dropdown("ensemble", titles, settings["ensemble"], "Acts when you start anew.")
        self.replicas = W.BoundedIntText(value=settings["replicas"], min=1, max=64, description="replicas")
        self.replica = W.Dropdown(options=self._replica_options(), value=0, description="shown")
        for knob in (self.replicas, self.replica):
            knob.style, knob.layout = {"description_width": "122px"}, W.Layout(width="98%")
        self.cursor = W.IntSlider(min=0, max=0, description="moment", readout=False, layout=W.Layout(flex="1 1 200px"))
        self.play = W.Play(interval=60, min=0, max=0)
        W.jslink((self.play, "value"), (self.cursor, "value"))
        self.follow = W.Checkbox(value=True, description="follow the flight", indent=False)
        self.follow.layout.width = "auto"
        self.moment, self.status = W.HTML(), W.HTML()

    def _replica_options(self) -> list[tuple[str, int]]:
        return [(f"replica {k}", k) for k in range(self.session.settings["replicas"])]

    def _rows(self) -> list[W.Widget]:
        wrap = {"display": "flex", "flex_flow": "row wrap", "width": "100%", "overflow": "hidden"}
        left = W.VBox([self.temperature, self.time_step], layout=W.Layout(flex="1 1 300px", min_width="290px"))
        right = W.VBox(
            [self.ensemble, self.replicas, self.replica], layout=W.Layout(flex="1 1 300px", min_width="290px")
        )
        views = [
            W.VBox([self.captions[n], self.views[n]], layout=W.Layout(flex="1 1 260px", min_width="250px"))
            for n in self.names
        ]
        return [
            W.HTML(report.CSS),
            W.Box([left, right], layout=W.Layout(**wrap)),
            W.Box([self.start, self.stop, self.reset, self.status], layout=W.Layout(**wrap, align_items="center")),
            W.Box(views, layout=W.Layout(**wrap)),
            W.Box([self.play, self.cursor, self.moment, self.follow], layout=W.Layout(**wrap, align_items="center")),
            self.plots.widget,
        ]

    def _connect(self) -> None:
        self.start.on_click(lambda _: self._guarded("Fly", self._fly))
        self.stop.on_click(lambda _: self._guarded("Pause", self.session.stop))
        self.reset.on_click(lambda _: self._guarded("Start anew", self._start_anew))
        self._act(self.temperature, "temperature", self.session.set_temperature)
        self._act(self.time_step, "time step", self.session.set_time_step)
        self.replica.observe(lambda _: self.draw(), "value")
        self.cursor.observe(lambda _: self._cursor_moved(), "value")
        self.follow.observe(lambda _: self.draw(), "value")
        self.plots.on_pick(self.go_to)
        self.session.listeners.append(self._draw_while_flying)

    def _act(self, knob: W.Widget, name: str, setter: Any) -> None:
        """Let a knob act on the running flight."""
        knob.observe(lambda change: self._guarded(name, lambda: setter(change["new"])), "value")

    def _fly(self) -> None:
        self.follow.value = True
        self.session.start()

    def _start_anew(self) -> None:
        options = {"ensemble": self.ensemble.value, "replicas": self.replicas.value}
        self.session.reset(temperature=self.temperature.value, time_step=self.time_step.value, **options)
        if len(self.replica.options) != self.session.settings["replicas"]:
            self.replica.options, self.replica.value = self._replica_options(), 0

    def _guarded(self, name: str, action: Any) -> None:
        """Do something; a mistake is shown instead of vanishing in a log."""
        self._mistake = ""
        try:
            action()
        except Exception as error:
            self._mistake = report.button_failed(name, error)
        self.draw()

    # -- one cursor ------------------------------------------------------------------------------------------------

    def go_to(self, picoseconds: float) -> None:
        """Move every view and the marker to a time; the flight goes on unseen."""
        self.cursor.value = self._longest().at(1000.0 * picoseconds)

    def _cursor_moved(self) -> None:
        """By a hand, a click or *play*, unless it is this panel that follows the flight."""
        if not self._following:
            self.follow.value = False
            self._show_moment()

    def _longest(self) -> Track:
        return max(self.session.tracks.values(), key=lambda track: len(track.time))

    def _show_moment(self) -> None:
        with self._lock:
            track = self._longest()
            moment = track.time[min(self.cursor.value, len(track.time) - 1)]
            self.plots.move(moment)
            self._draw_views(moment)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Push the present state to the screen."""
        with self._lock:
            last = len(self._longest().time) - 1
            self.cursor.max = self.play.max = last
            if self.follow.value:
                self._following = True
                self.cursor.value = last
                self._following = False
            moment = self._longest().time[min(self.cursor.value, last)]
            self.plots.show(self.session.tracks, self.replica.value, moment)
            self._draw_views(moment)
            self._draw_words()

    def _draw_views(self, moment: float) -> None:
        s, colours = self.replica.value, twin_colours(self.names)
        for name, view in self.views.items():
            track = self.session.tracks[name]
            k = track.at(moment)
            if not np.array_equal(view.numbers, track.frame.numbers):
                view.set_molecule(track.frame.numbers, track.frame.positions, track.frame.cell, track.frame.pbc)
            view.show(track.positions[k][s], track.forces[k][s], colour=colours[name])
            words = f"{track.temperature[k][s]:.0f} K, worst bond off by {track.stretch[k][s]:.2f} Å"
            if not track.alive[k][s]:
                words = f"<b>lost</b>: {escape(self.session.simulations[name].losses[s].reason)}"
            self.captions[name].value = f'<span style="color:{colours[name]}">■</span> <b>{escape(name)}</b> {words}'
        self.moment.value = f"{moment / 1000.0:.3f} ps"

    def _draw_words(self) -> None:
        session = self.session
        self.start.disabled, self.stop.disabled = session.running or session.finished, not session.running
        words = "Flying." if session.running else "All replicas are lost." if session.finished else "Paused."
        if session.error is not None:
            words = f"The flight stopped: {escape(str(session.error))}"
        self.status.value = f'<div class="piwsl-status">{self._mistake or words}</div>'

    def _draw_while_flying(self) -> None:
        with self._lock:
            if self._drawer is None:
                self._drawer = threading.Thread(target=self._draw_loop, name="piwsl-flight-drawing", daemon=True)
                self._drawer.start()

    def _draw_loop(self) -> None:
        flying = True
        while flying:
            with self._lock:
                flying = self.session.running
                try:
                    self.draw()
                except Exception as error:
                    self._mistake = report.drawing_failed(error)
                    self._draw_words()
                if not flying:
                    self._drawer = None
            time.sleep(PERIOD if flying else 0)
