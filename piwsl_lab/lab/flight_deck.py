"""`FlightDeck`: twins that fly side by side, four curves and one cursor for all of them.

While it flies the views follow; a click into a plot, a cursor that is dragged, the slider or *play* move it, and every
view shows that moment.
"""

from __future__ import annotations

import threading
import time
from html import escape
from typing import Any

import ipywidgets as W
import numpy as np
from ase.geometry import wrap_positions

from piwsl_lab.dynamics.stability import bond_lengths
from piwsl_lab.lab import looks, report
from piwsl_lab.lab.export import save_flight
from piwsl_lab.lab.figures import twin_colours
from piwsl_lab.lab.flight_plots import BROKEN, KINDS, FlightPlots
from piwsl_lab.lab.flying import FlightSession, Track
from piwsl_lab.lab.knobs import dropdown, steps
from piwsl_lab.lab.viewer import MoleculeView

PERIOD = 0.2  # s between two drawings
TEMPERATURES = (50, 100, 200, 300, 400, 500, 700, 1000)
TIME_STEPS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
ENSEMBLE_TITLES = {"nve": "constant energy (NVE)", "nvt": "heat bath (NVT)"}


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
        self._mistake, self._following, self._said = "", False, ""
        self.looks = looks.Looks(session)
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
        self.measure.value = " ".join(str(atom) for atom in self._longest().bonds.pairs[:1].ravel())
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
        titles = [(title, look) for look, title in looks.TITLES.items()]
        self.look = dropdown("show", titles, looks.FORCES, "Reference forces are asked of the oracle that flies along.")
        self.measure = W.Text(description="measure atoms", placeholder="click 2 to 4 atoms, or type 0 2")
        self.measure.continuous_update = False
        for knob in (self.replicas, self.replica, self.measure):
            knob.style, knob.layout = {"description_width": "122px"}, W.Layout(width="98%")
        self.save = W.Button(description="Save", icon="download", layout=W.Layout(width="auto"))
        self.save.tooltip = "The replica shown, as extxyz, as movies and curves for a browser, in a new folder."
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
        columns = [
            W.VBox(knobs, layout=W.Layout(flex="1 1 300px", min_width="290px"))
            for knobs in (
                [self.temperature, self.time_step],
                [self.ensemble, self.replicas],
                [self.replica, self.look, self.measure],
            )
        ]
        buttons = [self.start, self.stop, self.reset, self.save, self.status]
        views = [
            W.VBox([self.captions[n], self.views[n]], layout=W.Layout(flex="1 1 260px", min_width="250px"))
            for n in self.names
        ]
        return [
            W.HTML(report.CSS),
            W.Box(columns, layout=W.Layout(**wrap)),
            W.Box(buttons, layout=W.Layout(**wrap, align_items="center")),
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
        self.save.on_click(lambda _: self._guarded("Save", self._save))
        self._act(self.measure, "measure atoms", self._measure)
        for view in self.views.values():
            view.on_pick(self._pick)
        for choice in (self.replica, self.look):
            choice.observe(lambda _: self._guarded("show", lambda: None), "value")
        self.cursor.observe(lambda _: self._cursor_moved(), "value")
        self.follow.observe(lambda _: self.draw(), "value")
        self.plots.on_pick(self.go_to)
        self.session.listeners.append(self._draw_while_flying)

    def _act(self, knob: W.Widget, name: str, setter: Any) -> None:
        """Let a knob act on the running flight."""
        knob.observe(lambda change: self._guarded(name, lambda: setter(change["new"])), "value")

    @property
    def _wrap(self) -> np.ndarray:
        """What brings the first positions into their cell, [n, 3], Å; atoms that leave it later keep their bonds."""
        frame = self.session.frame
        if not frame.pbc.any():
            return np.zeros_like(frame.positions)
        return wrap_positions(frame.positions, frame.cell, frame.pbc) - frame.positions

    def _fly(self) -> None:
        self.follow.value = True
        self.session.start()

    def _start_anew(self) -> None:
        options = {"ensemble": self.ensemble.value, "replicas": self.replicas.value}
        self.session.reset(temperature=self.temperature.value, time_step=self.time_step.value, **options)
        if len(self.replica.options) != self.session.settings["replicas"]:
            self.replica.options, self.replica.value = self._replica_options(), 0

    def _save(self) -> None:
        folder = time.strftime("flight-%Y%m%d-%H%M%S")
        paths = save_flight(self.session, folder, self.replica.value, self.plots.figure)
        self._said = f"Saved {len(paths)} files in {folder}."

    def _measure(self, text: str) -> None:
        """Two, three or four atoms as numbers; nothing for an empty text or a single atom."""
        words = text.replace(",", " ").replace("-", " ").split()
        count = len(self.session.frame)
        if (
            not all(word.isdigit() and int(word) < count for word in words)
            or len({*words}) < len(words)
            or len(words) > 4
        ):
            raise ValueError(f"{text!r}: give two to four different atoms, numbers from 0 to {count - 1}")
        self.plots.measure([int(word) for word in words] if len(words) in KINDS else [])

    def _pick(self, atom: int) -> None:
        """An atom was clicked: it joins those that are measured, or leaves them; a fifth begins anew."""
        words = self.measure.value.replace(",", " ").replace("-", " ").split()
        word = str(atom)
        words = [w for w in words if w != word] if word in words else [*words, word] if len(words) < 4 else [word]
        self.measure.value = " ".join(words)

    def _guarded(self, name: str, action: Any) -> None:
        """Do something and draw; a mistake is shown instead of vanishing in a log."""
        self._mistake = self._said = ""
        try:
            action()
            self.draw()
        except Exception as error:
            self._mistake = report.button_failed(name, error)
            self._draw_words()

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
            drawn = self.looks.of(name, k, s, self.look.value)
            length = bond_lengths(track.positions[k][s : s + 1], track.bonds.pairs, track.frame)[0]
            broken = track.bonds.pairs, np.abs(length - track.bonds.length) > BROKEN
            view.show(track.positions[k][s] + self._wrap, colour=colours[name], broken=broken, **drawn)
            words = f"{track.temperature[k][s]:.0f} K, worst bond off by {track.stretch[k][s]:.2f} Å"
            if not track.alive[k][s]:
                words = f"<b>lost</b>: {escape(self.session.simulations[name].losses[s].reason)}"
            self.captions[name].value = f'<span style="color:{colours[name]}">■</span> <b>{escape(name)}</b> {words}'
        self.moment.value = f"{moment / 1000.0:.3f} ps"

    def _draw_words(self) -> None:
        session = self.session
        self.start.disabled, self.stop.disabled = session.running or session.finished, not session.running
        words = "Flying." if session.running else "All replicas are lost." if session.finished else "Paused."
        words = f"{words} {escape(self._said)}"
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
