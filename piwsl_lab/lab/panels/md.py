"""`FlightDeck`: pilots that fly side by side, four curves and one cursor for all of them.

While it flies the views follow. A click into a plot, a cursor that is dragged, the slider or *play*
move it, and every view shows that moment.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from typing import Any, ClassVar

import ipywidgets as W
import numpy as np

from piwsl_lab.lab.figures.md import KINDS, FlightPlots
from piwsl_lab.lab.figures.movie import save_flight
from piwsl_lab.lab.panels.drawing import Drawing, OwnMoves, button_failed, failed, guarded
from piwsl_lab.lab.panels.md_controls import CSS, FlightControls, line
from piwsl_lab.lab.panels.md_pictures import FlightPictures, pilot_colours
from piwsl_lab.lab.panels.md_words import atoms_in, flight_state, held_atoms, saved_files, with_atom
from piwsl_lab.lab.parts.closing import close_all
from piwsl_lab.lab.parts.units import fs, ps
from piwsl_lab.lab.quirks import set_slider
from piwsl_lab.lab.sessions import md_views
from piwsl_lab.lab.sessions.md import FlightSession, Track

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

    session: FlightSession
    _shown: ClassVar[weakref.WeakSet[FlightDeck]] = weakref.WeakSet()
    _closed = True  # until it has been made

    def __init__(self, session: FlightSession, colours: Mapping[str, str] | None = None) -> None:
        for other in list(FlightDeck._shown):
            if other.session is session:
                other.retire()
        self.session = session
        self.drawing = Drawing("piwsl-flight-drawing", self._draw_once)
        self._moves = OwnMoves(self.drawing.lock)
        self._mistake, self._trouble, self._said = "", "", ""
        self._moment = 0.0  # fs: where the cursor is
        self._numbers: np.ndarray | None = None
        self.names = list(session.simulations)
        self.colours = pilot_colours(session) | dict(colours or {})
        self.plots = FlightPlots({name: self.colours[name] for name in self.names})
        self._take(FlightControls(session.settings))
        self.pictures = FlightPictures(session, self.colours)
        self.views, self.captions, self.contents = self.pictures.views, self.pictures.captions, self.pictures.contents
        super().__init__(self._rows(), layout=W.Layout(width="100%", overflow="hidden"))
        self.add_class("piwsl-deck")
        self._closed = False
        self._connect()
        self.draw()
        FlightDeck._shown.add(self)
        if session.running:
            self.drawing.start()

    def __repr__(self) -> str:
        return f"FlightDeck({' and '.join(self.names)})"

    def _take(self, controls: FlightControls) -> None:
        c = self.controls = controls
        self.start, self.stop, self.reset, self.save, self.more = c.start, c.stop, c.reset, c.save, c.more
        self.temperature, self.time_step, self.replica = c.temperature, c.time_step, c.replica
        self.ensemble, self.replicas, self.quantity, self.measure = c.ensemble, c.replicas, c.quantity, c.measure
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
        self._turn(self.temperature, "The temperature stays as it was", self.session.set_temperature)
        self._turn(self.time_step, "The time step stays as it was", self.session.set_time_step)
        self._turn(self.measure, "This cannot be measured", self._measure)
        self._turn(self.quantity, "Predicted forces are shown instead", self._choose_quantity)
        for knob in (self.replica, self.ensemble, self.replicas):
            self._turn(knob, "This was not possible", lambda _: None)
        for name, switch in self.pictures.switches.items():
            self._turn(switch, "This was not possible", partial(self.pictures.switch, name))
        self.pictures.on_pick(self._pick)
        self.more.observe(lambda change: self._open(change["new"]), "value")
        # Not by `jslink`: with two windows open each would set the other back to what it saw a moment ago.
        self.play.observe(lambda change: self._cursor_moved(change["new"]), "value")
        self.cursor.observe(lambda change: self._cursor_moved(change["new"]), "value")
        self.follow.observe(lambda _: self._follow(), "value")
        self.plots.on_pick(self.go_to)
        self.session.listeners.append(self.drawing.start)

    def _turn(self, knob: W.Widget, sorry: str, setter: Callable[[Any], Any]) -> None:
        """Let a knob act, unless it is this deck that moved it."""

        def turned(change: dict[str, Any]) -> None:
            if self._by_hand:
                self._guarded(lambda: setter(change["new"]), lambda error: failed(sorry, error))

        knob.observe(turned, "value")

    @property
    def _by_hand(self) -> bool:
        """Whether it was not this deck that moved a knob just now; waits for a drawing that is under way."""
        return self._moves.by_hand and not self._closed

    def _press(self, name: str, action: Callable[[], Any]) -> None:
        self._guarded(action, lambda error: button_failed(name, error))

    def _guarded(self, action: Callable[[], object], sorry: Callable[[Exception], str]) -> None:
        """Do something and draw; a mistake is shown in the status line."""
        if self._closed:
            return
        self._mistake = self._said = ""

        def act_and_draw() -> None:
            action()
            self.draw()

        if words := guarded(act_and_draw, sorry):
            self._mistake = words
            self._draw_words()

    # -- what buttons and knobs do ---------------------------------------------------------------------------------

    def _open(self, opened: bool) -> None:
        """The folded knobs; the curves make room for them."""
        self.controls.extra.layout.display = "" if opened else "none"
        (self.add_class if opened else self.remove_class)("piwsl-more")

    def _fly(self) -> None:
        self.follow.value = True
        self.session.start()

    def _follow(self) -> None:
        if self._by_hand:
            self.draw()

    def _start_anew(self) -> None:
        options = {"ensemble": self.ensemble.value, "replicas": self.replicas.value}
        self.session.reset(temperature=self.temperature.value, time_step=self.time_step.value, **options)
        self.follow.value = True

    def _save(self) -> None:
        self._said = saved_files(save_flight(self.session, None, self._replica, self.plots.figure, self.colours))

    def _measure(self, text: str) -> None:
        """Two, three or four atoms as numbers; nothing for an empty text, one atom waits for a second."""
        atoms = atoms_in(text, len(self.session.frame))
        self.plots.measure(atoms if len(atoms) in KINDS else [], self.session.frame.numbers)
        if len(atoms) == 1:
            self._said = f"Atom {atoms[0]}: click or type one to three more."

    def _pick(self, atom: int) -> None:
        """An atom was clicked."""
        self.measure.value = with_atom(self.measure.value, atom)

    def _choose_quantity(self, quantity: str) -> None:
        if quantity in md_views.NEED_REFERENCE and not self.contents.has_reference:
            with self._moves.own():
                self.quantity.value = md_views.FORCES
            self.draw()
            raise ValueError(md_views.NO_REFERENCE)

    # -- one cursor ------------------------------------------------------------------------------------------------

    @property
    def _replica(self) -> int:
        """The replica shown, one that there is."""
        return min(self.replica.value or 0, self.session.settings["replicas"] - 1)

    def go_to(self, picoseconds: float) -> None:
        """Move every view and the marker to a time; the flight goes on unseen."""
        if self._by_hand:
            self._move_to(_longest(self.session.tracks).at(fs(picoseconds)))

    def _cursor_moved(self, k: int) -> None:
        """A person or *play* moved the time, unless it is this deck that follows the flight."""
        if self._by_hand:
            self._move_to(k)

    def _move_to(self, k: int) -> None:
        with self.drawing.lock:
            tracks = dict(self.session.tracks)
            track = _longest(tracks)
            last = len(track.time) - 1
            self._moment = track.time[min(k, last)]
            with self._moves.own():
                self.follow.value = False
            self._place(min(k, last), last)
            self.plots.move(self._moment)
            self._draw_pictures(tracks)

    def _place(self, k: int, last: int) -> None:
        with self._moves.own():
            for knob in (self.cursor, self.play):
                set_slider(knob, last, k)

    # -- drawing ---------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Push the present state to the screen."""
        with self.drawing.lock:
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
        numbers = self.session.frame.numbers
        with self._moves.own():
            self.controls.show(self.session.settings)
        if self._numbers is None or not np.array_equal(numbers, self._numbers):
            self._numbers = numbers
            first = [int(atom) for atom in _longest(self.session.tracks).bonds.pairs[:1].ravel()]
            with self._moves.own():
                self.measure.value = " ".join(map(str, first))
            self.plots.measure(first, numbers)

    def _draw_pictures(self, tracks: Mapping[str, Track]) -> None:
        self.pictures.draw(tracks, self._moment, self._replica, self.quantity.value)
        self.moment.value = line(f"{ps(self._moment):.3f} ps")

    def _draw_words(self) -> None:
        session = self.session
        self.start.disabled, self.stop.disabled = session.running or session.finished, not session.running
        if self._mistake or self._trouble:
            words = self._mistake or self._trouble
        elif session.error is not None:
            words = failed("The flight stopped", session.error, "Press Start anew.")
        else:
            notice = session.notice
            parts = (
                notice,
                flight_state(session),
                held_atoms(session),
                self.controls.pending(session.settings),
                self._said,
            )
            words = escape(" ".join(part for part in parts if part))
        self.status.value = line(words, "piwsl-status")

    def _draw_once(self) -> float | None:
        """Draw; a drawing that fails is said and tried again while the flight goes on."""
        began, flying = time.monotonic(), self.session.running
        self._trouble = ""
        if words := guarded(self.draw, lambda error: failed("Drawing failed, the flight goes on", error)):
            self._trouble = words
            self._draw_words()
        # Most of the time is the flight's, also where a drawing takes long.
        return max(PERIOD, 4.0 * (time.monotonic() - began)) if flying else None

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
        with self.drawing.lock:
            if self._closed:
                return []
            self._closed = True
        self.drawing.end()
        FlightDeck._shown.discard(self)
        self.session.listeners.remove(self.drawing.start)
        contents = list(self.children)
        self.pictures.close()
        self.plots.close()
        # A cell may keep this deck for ever; the flight must not stay in memory with it.
        del self.session, self.contents
        return contents


def _longest(tracks: Mapping[str, Track]) -> Track:
    return max(tracks.values(), key=lambda track: len(track.time))
