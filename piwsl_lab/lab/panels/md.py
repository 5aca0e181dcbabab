"""`FlightDeck`: pilots that fly side by side, four curves and one cursor for all of them.

While it flies the views follow; a click into a plot, a cursor that is dragged, the slider or *play* move it, and every
view shows that moment.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, ClassVar

import ipywidgets as W
import numpy as np

from piwsl_lab.lab.figures.md import KINDS, FlightPlots
from piwsl_lab.lab.figures.movie import save_flight
from piwsl_lab.lab.panels import html as report
from piwsl_lab.lab.panels.md_controls import (
    CSS,
    ENSEMBLE_TITLES,
    TEMPERATURES,
    TIME_STEPS,
    FlightControls,
    line,
    replica_options,
)
from piwsl_lab.lab.panels.md_pictures import FlightPictures
from piwsl_lab.lab.parts.closing import close_all
from piwsl_lab.lab.parts.colours import REFERENCE, name_colours
from piwsl_lab.lab.parts.knobs import put, shown
from piwsl_lab.lab.sessions import md_views as looks
from piwsl_lab.lab.sessions.md import FlightSession, Track
from piwsl_lab.md.forces import OracleForces

PERIOD = 0.2  # s between two drawings


class FlightDeck(W.VBox):
    """A panel to fly the pilots of a `FlightSession` and to look at any moment of it.

    A session is shown by one deck at a time: a new one takes its place, and the flight goes on.

    Parameters
    ----------
    session : FlightSession
    colours : mapping of name → "#rrggbb", optional
        By default the kind of a potential decides, as everywhere in the laboratory.
    """

    _shown: ClassVar[weakref.WeakSet[FlightDeck]] = weakref.WeakSet()
    _closed = True  # until it has been made

    def __init__(self, session: FlightSession, colours: Mapping[str, str] | None = None) -> None:
        for other in list(FlightDeck._shown):
            if other.session is session:
                other.retire()
        self.session = session
        self._lock, self._end = threading.RLock(), threading.Event()
        self._drawer: threading.Thread | None = None
        self._mistake, self._trouble, self._said, self._placing = "", "", "", False
        self._moment = 0.0  # fs: where the cursor is
        self._numbers: np.ndarray | None = None
        self.names = list(session.simulations)
        self.colours = name_colours(self.names, _heads(session)) | dict(colours or {})
        self.plots = FlightPlots({name: self.colours[name] for name in self.names})
        self._take(FlightControls(session.settings))
        self.pictures = FlightPictures(session, self.colours)
        self.views, self.captions, self.looks = self.pictures.views, self.pictures.captions, self.pictures.looks
        super().__init__(self._rows(), layout=W.Layout(width="100%", overflow="hidden"))
        self.add_class("piwsl-deck")
        self._closed = False
        self._connect()
        self.draw()
        FlightDeck._shown.add(self)
        if session.running:
            self._draw_while_flying()

    def __repr__(self) -> str:
        return f"FlightDeck({' and '.join(self.names)})"

    def _take(self, controls: FlightControls) -> None:
        c = self.controls = controls
        self.start, self.stop, self.reset, self.save, self.more = c.start, c.stop, c.reset, c.save, c.more
        self.temperature, self.time_step, self.replica = c.temperature, c.time_step, c.replica
        self.ensemble, self.replicas, self.look, self.measure = c.ensemble, c.replicas, c.look, c.measure
        self.play, self.cursor, self.follow, self.moment, self.status = c.play, c.cursor, c.follow, c.moment, c.status

    def _rows(self) -> list[W.Widget]:
        style = W.HTML(CSS, layout=W.Layout(display="none"))
        c, pictures = self.controls, self.pictures
        return [style, c.strip, c.extra, c.status, pictures.grid, pictures.switch_row, c.time, self.plots.widget]

    def _connect(self) -> None:
        self.start.on_click(lambda _: self._press("Fly", self._fly))
        self.stop.on_click(lambda _: self._press("Pause", self.session.stop))
        self.reset.on_click(lambda _: self._press("Start anew", self._start_anew))
        self.save.on_click(lambda _: self._press("Save", self._save))
        self._turn(self.temperature, "The temperature stays as it was", lambda t: self.session.set_temperature(t))
        self._turn(self.time_step, "The time step stays as it was", lambda t: self.session.set_time_step(t))
        self._turn(self.measure, "This cannot be measured", self._measure)
        self._turn(self.look, "Predicted forces are shown instead", self._look)
        for knob in (self.replica, self.ensemble, self.replicas):
            self._turn(knob, "This was not possible", lambda _: None)
        for name, switch in self.pictures.switches.items():
            self._turn(switch, "This was not possible", lambda on, name=name: self.pictures.switch(name, on))
        self.pictures.on_pick(self._pick)
        self.more.observe(lambda change: self._open(change["new"]), "value")
        # Not by `jslink`: with two windows open each would set the other back to what it saw a moment ago.
        self.play.observe(lambda change: self._cursor_moved(change["new"]), "value")
        self.cursor.observe(lambda change: self._cursor_moved(change["new"]), "value")
        self.follow.observe(lambda _: self._by_hand and self.draw(), "value")
        self.plots.on_pick(self.go_to)
        self.session.listeners.append(self._draw_while_flying)

    def _turn(self, knob: W.Widget, sorry: str, setter: Callable[[Any], Any]) -> None:
        """Let a knob act, unless it is this deck that moved it."""

        def turned(change: dict[str, Any]) -> None:
            if self._by_hand:
                self._guarded(lambda: setter(change["new"]), lambda error: report.failed(sorry, error))

        knob.observe(turned, "value")

    @property
    def _by_hand(self) -> bool:
        """Whether it was not this deck that moved a knob just now; waits for a drawing that is under way."""
        with self._lock:
            return not (self._placing or self._closed)

    def _press(self, name: str, action: Callable[[], Any]) -> None:
        self._guarded(action, lambda error: report.button_failed(name, error))

    def _guarded(self, action: Callable[[], Any], sorry: Callable[[Exception], str]) -> None:
        """Do something and draw; a mistake is shown instead of vanishing in a log."""
        if self._closed:
            return
        self._mistake = self._said = ""
        try:
            action()
            self.draw()
        except Exception as error:
            self._mistake = sorry(error)
            self._draw_words()

    # -- what buttons and knobs do ---------------------------------------------------------------------------------

    def _open(self, opened: bool) -> None:
        """The folded knobs; the curves make room for them."""
        self.controls.extra.layout.display = "" if opened else "none"
        (self.add_class if opened else self.remove_class)("piwsl-more")

    def _fly(self) -> None:
        self.follow.value = True
        self.session.start()

    def _start_anew(self) -> None:
        options = {"ensemble": self.ensemble.value, "replicas": self.replicas.value}
        self.session.reset(temperature=self.temperature.value, time_step=self.time_step.value, **options)
        self.follow.value = True

    def _save(self) -> None:
        paths = save_flight(self.session, None, self._replica, self.plots.figure, self.colours)
        size = sum(path.stat().st_size for path in paths) / 1e6
        self._said = (
            f"Saved {len(paths)} files ({size:.1f} MB) in {paths[0].parent}; open {paths[-1].name} in a browser."
        )

    def _measure(self, text: str) -> None:
        """Two, three or four atoms as numbers; nothing for an empty text, one atom waits for a second."""
        words = _words(text)
        count = len(self.session.frame)
        known = all(word.isascii() and word.isdigit() and int(word) < count for word in words)
        if not known or len({int(word) for word in words}) < len(words) or len(words) > 4:
            raise ValueError(f"“{text}”: type two to four different atoms, numbers from 0 to {count - 1}, such as 0 1.")
        atoms = [int(word) for word in words] if len(words) in KINDS else []
        self.plots.measure(atoms, self.session.frame.numbers)
        if len(words) == 1:
            self._said = f"Atom {words[0]}: click or type one to three more."

    def _pick(self, atom: int) -> None:
        """An atom was clicked: it joins those that are measured, or leaves them; a fifth begins anew."""
        words = _words(self.measure.value)
        word = str(atom)
        words = [w for w in words if w != word] if word in words else [*words, word] if len(words) < 4 else [word]
        self.measure.value = " ".join(words)

    def _look(self, look: str) -> None:
        if look in looks.NEED_REFERENCE and not self.looks.has_reference:
            self._placed(lambda: setattr(self.look, "value", looks.FORCES))
            self.draw()
            raise ValueError(looks.NO_REFERENCE)

    # -- one cursor ------------------------------------------------------------------------------------------------

    @property
    def _replica(self) -> int:
        """The replica shown, one that there is."""
        return min(self.replica.value or 0, self.session.settings["replicas"] - 1)

    def go_to(self, picoseconds: float) -> None:
        """Move every view and the marker to a time; the flight goes on unseen."""
        if self._by_hand:
            self._move_to(_longest(self.session.tracks).at(1000.0 * picoseconds))

    def _cursor_moved(self, k: int) -> None:
        """By a hand or *play*, unless it is this deck that follows the flight."""
        if self._by_hand:
            self._move_to(k)

    def _move_to(self, k: int) -> None:
        with self._lock:
            tracks = dict(self.session.tracks)
            track = _longest(tracks)
            last = len(track.time) - 1
            self._moment = track.time[min(k, last)]
            self._placed(lambda: setattr(self.follow, "value", False))
            self._place(min(k, last), last)
            self.plots.move(self._moment)
            self._draw_pictures(tracks)

    def _place(self, k: int, last: int) -> None:
        # In two messages: a slider in the page that learns of both at once answers with its old value.
        for knob in (self.cursor, self.play):
            self._placed(lambda knob=knob: setattr(knob, "max", last))
            self._placed(lambda knob=knob: setattr(knob, "value", k))

    def _placed(self, action: Callable[[], Any]) -> None:
        """Move a knob without its acting."""
        with self._lock:
            before, self._placing = self._placing, True
            try:
                action()
            finally:
                self._placing = before

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Push the present state to the screen."""
        with self._lock:
            if self._closed:
                return
            self._draw_knobs()
            tracks = dict(self.session.tracks)
            track = _longest(tracks)
            last = len(track.time) - 1
            k = last if self.follow.value else min(track.at(self._moment), last)
            self._moment = track.time[k]
            self._place(k, last)
            self.plots.show(tracks, self._replica, self._moment)
            self._draw_pictures(tracks)
            self._draw_words()

    def _draw_knobs(self) -> None:
        """Put the knobs where the session is: a cell may have changed it, or begun anew with another molecule."""
        settings, numbers = self.session.settings, self.session.frame.numbers
        if len(self.replica.options) != settings["replicas"]:
            self._placed(lambda: setattr(self.replica, "options", replica_options(settings["replicas"])))
            self._placed(lambda: setattr(self.replicas, "value", settings["replicas"]))
        for knob, name, stops in (
            (self.temperature, "temperature", TEMPERATURES),
            (self.time_step, "time_step", TIME_STEPS),
        ):
            if knob.value != settings[name]:
                stops = [(shown(stop), stop) for stop in stops]
                self._placed(lambda knob=knob, name=name, stops=stops: put(knob, stops, settings[name]))
        if self._numbers is None or not np.array_equal(numbers, self._numbers):
            self._numbers = numbers
            first = _longest(self.session.tracks).bonds.pairs[:1].ravel()
            self._placed(lambda: setattr(self.measure, "value", " ".join(map(str, first))))
            self.plots.measure([int(atom) for atom in first], numbers)

    def _draw_pictures(self, tracks: Mapping[str, Track]) -> None:
        self.pictures.draw(tracks, self._moment, self._replica, self.look.value)
        self.moment.value = line(f"{self._moment / 1000.0:.3f} ps")

    def _draw_words(self) -> None:
        session = self.session
        self.start.disabled, self.stop.disabled = session.running or session.finished, not session.running
        if self._mistake or self._trouble:
            words = self._mistake or self._trouble
        elif session.error is not None:
            words = report.failed("The flight stopped", session.error, "Press Start anew.")
        else:
            notice = getattr(session, "notice", "") or ""
            held = f"{session.held[0].upper()}{session.held[1:]}." if session.held else ""
            parts = (notice, self._state(), held, self._pending(), self._said)
            words = escape(" ".join(part for part in parts if part))
        self.status.value = line(words, "piwsl-status")

    def _state(self) -> str:
        session = self.session
        if session.running:
            return "Flying."
        if all(simulation.finished for simulation in session.simulations.values()):
            return "All replicas are lost. Press Start anew."
        if session.finished:
            return "The longest flight has been made. Press Start anew."
        return "Paused." if session.time > 0 else "Ready: press Fly."

    def _pending(self) -> str:
        """Knobs that wait for Start anew."""
        settings, waiting = self.session.settings, []
        if self.ensemble.value != settings["ensemble"]:
            waiting.append(ENSEMBLE_TITLES[self.ensemble.value])
        if self.replicas.value != settings["replicas"]:
            waiting.append(f"{self.replicas.value} replicas")
        return f"Waiting for Start anew: {', '.join(waiting)}." if waiting else ""

    def _draw_while_flying(self) -> None:
        with self._lock:
            if self._drawer is None and not self._closed:
                self._drawer = threading.Thread(target=self._draw_loop, name="piwsl-flight-drawing", daemon=True)
                self._drawer.start()

    def _draw_loop(self) -> None:
        """Draw until the flight rests; a drawing that fails is said and tried again."""
        try:
            began = time.monotonic()
            while self._draw_once():
                # Most of the time is the flight's, also where a drawing takes long.
                self._end.wait(max(PERIOD, 4.0 * (time.monotonic() - began)))
                began = time.monotonic()
        finally:
            with self._lock:
                if self._drawer is threading.current_thread():
                    self._drawer = None

    def _draw_once(self) -> bool:
        """Draw, and say whether to go on; a flight that starts meanwhile finds no thread or one that draws it."""
        with self._lock:
            flying = not self._closed and self.session.running
            if not self._closed:
                try:
                    self._trouble = ""
                    self.draw()
                except Exception as error:
                    self._trouble = report.failed("Drawing failed, the flight goes on", error)
                    self._draw_words()
            if not flying:
                self._drawer = None
            return flying

    # -- the end ---------------------------------------------------------------------------------------------------

    def retire(self) -> None:
        """Leave the session to a newer deck; one sentence stays on the screen."""
        contents = self._let_go()
        if contents:
            self.children = (W.HTML("This flight is shown by a newer deck: run its cell to see it."),)
            close_all(*contents)

    def close(self) -> None:
        """Stop the flight, end what draws it, and take every widget of it from page and kernel; twice is no mistake."""
        if not self._closed:
            self.session.stop()
            close_all(*self._let_go())
        if self.comm is not None:
            close_all(*self.children, self.layout)
        super().close()

    def _let_go(self) -> list[W.Widget]:
        """End the drawing thread, forget the session, close plots and views; returns what is left to close."""
        with self._lock:
            if self._closed:
                return []
            self._closed = True
        self._end.set()
        FlightDeck._shown.discard(self)
        drawer = self._drawer
        if drawer is not None and drawer is not threading.current_thread():
            drawer.join()
        self.session.listeners.remove(self._draw_while_flying)
        contents = list(self.children)
        self.pictures.close()
        self.plots.close()
        # A cell may hold this deck for ever; it shall not hold the flight.
        self.session = self.looks = None
        return contents


def _longest(tracks: Mapping[str, Track]) -> Track:
    return max(tracks.values(), key=lambda track: len(track.time))


def _words(atoms: str) -> list[str]:
    return atoms.replace(",", " ").replace("-", " ").split()


def _heads(session: FlightSession) -> dict[str, str]:
    """Where the forces of every pilot come from: this decides its colour, unless its name does."""
    fields = {name: simulation.field for name, simulation in session.simulations.items()}
    return {
        name: REFERENCE if isinstance(field, OracleForces) else getattr(field.potential, "head", "")
        for name, field in fields.items()
    }
