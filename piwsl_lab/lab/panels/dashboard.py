"""`Dashboard`: a session with buttons, sliders, live curves and a molecule, on one screen of a projector.

The session trains on its own thread. While it is busy, one drawing thread pushes what has changed: plots up to ten
times a second, numbers and the molecule less often. When the session rests, that thread ends. A slider sets a field of
the trainer's objective, which the next step reads. Making a dashboard starts no training and moves no knob.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as W

from piwsl_lab.lab.figures import Curves, LivePlot, LossTerms, Parity, live_widgets_work
from piwsl_lab.lab.panels import html
from piwsl_lab.lab.panels.close_up import CloseUp
from piwsl_lab.lab.panels.controls import suggested
from piwsl_lab.lab.panels.drawing import Drawing, Pace, button_failed, drawing_failed, failed, guarded
from piwsl_lab.lab.panels.face import FLY, Face
from piwsl_lab.lab.panels.md import FlightDeck
from piwsl_lab.lab.panels.stored_run import StoredRun
from piwsl_lab.lab.parts.closing import close_all
from piwsl_lab.lab.parts.colours import twin_colours
from piwsl_lab.lab.sessions.script import script
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.lab.sessions.verdict import Verdicts
from piwsl_lab.study.setup import Setup

PERIOD = 0.1  # s between two drawings; a page that is slower than that leaves some out
NUMBERS_PERIOD = 0.4  # s, for numbers in words: every change of the page is a picture that the browser composes anew
SLOW_PERIOD = 1.0  # s, for the molecule and the parity plot, and for plots that are redrawn as a whole
LESSON = Setup(channels=32, steps=600)  # small enough to see something within half a minute
TABS = ("Errors", "Loss terms", "Parity")


class Dashboard(W.VBox):
    """A panel to train the twins of a session and to watch them.

    Another dashboard of the same session takes the place of this one, and training goes on. A dashboard of another
    session ends this one and stops its training, which no page would show any more. Before the first step a stored
    run with the same settings plays, where there is one; *Train* ends it.

    Parameters
    ----------
    session : Session, optional
        A new one with the settings of a lesson by default. `session.run(n)` from a cell is drawn as well.
    """

    session: Session
    _shown: ClassVar[weakref.WeakSet[Dashboard]] = weakref.WeakSet()
    _made = False  # ipywidgets closes what an error left half made

    def __init__(self, session: Session | None = None) -> None:
        for other in list(Dashboard._shown):
            if other.session is not session:  # its loop would go on, unseen
                other.session.stop()
            other.close()
        self.session = session or Session(LESSON)
        self.drawing, self._pace = Drawing("piwsl-drawing", self._draw_once), Pace()
        self._mistake = ""
        self._verdicts = Verdicts()
        self._stored = StoredRun(self.session)
        colours = twin_colours(self.session.twins)
        self._curves = Curves(colours)
        self._plots: dict[str, LivePlot] = {
            "Errors": self._curves,
            "Loss terms": LossTerms(colours),
            "Parity": Parity(colours),
        }
        self.right = CloseUp(self.session, self.drawing.lock, self._curves.mark)
        self.frame_choice = self.right.frame_choice  # a flight starts there too
        self._take(Face(self.session, self._plots, self.right))
        super().__init__(self.face.rows(), layout=W.Layout(width="100%", overflow="hidden"))
        self.add_class("piwsl-dashboard")
        self._made = True
        self._connect()
        self._show_tab(TABS[0])
        self.refresh(everything=True)
        Dashboard._shown.add(self)
        if self.session.busy:
            self._draw_while_busy()
        elif self._stored.replay is not None:
            self.right.look_at(self._stored.replay)
            self._curves.remark = "stored run"
            self.drawing.start()

    def __repr__(self) -> str:
        if self.drawing.ended:
            return "Dashboard(closed)"
        return f"Dashboard({' and '.join(t.name for t in self.session.twins)}, data {self.session.setup.data})"

    # -- making ----------------------------------------------------------------------------------------------------

    def _take(self, face: Face) -> None:
        self.face, self.controls, self.tabs, self.fly_tab = face, face.controls, face.tabs, face.fly_tab
        self.train, self.stop, self.reset = face.train, face.stop, face.reset
        self.pin, self.copy, self.save = face.pin, face.copy, face.save
        self.more, self.expert = face.folds.values()
        self.bar, self.progress, self.headline, self.numbers = face.bar, face.progress, face.headline, face.numbers
        self.status, self.saved, self.pins, self.code = face.status, face.saved, face.pins, face.code

    def _connect(self) -> None:
        self.train.on_click(lambda _: self._press("Train", self.session.start))
        self.stop.on_click(lambda _: self._press("Stop", self.session.stop))
        self.reset.on_click(lambda _: self._press("Reset", self._reset))
        self.pin.on_click(lambda _: self._press("Pin this run", self.session.pin))
        self.copy.on_click(lambda _: self._press("Copy as code", self._toggle_code))
        self.save.on_click(lambda _: self._press("Save session", self._save))
        for name, toggle in self.face.folds.items():
            toggle.observe(lambda change, name=name: self._fold(name, change["new"]), "value")
        self.controls.on_physics(self._set_physics)
        self.controls.on_setup(self.refresh)
        self.tabs.observe(self._tab_chosen, "value")
        self._curves.on_pick(self.right.go_to)
        self.session.listeners.append(self._draw_while_busy)
        for alone in self.face.alone:
            alone.on_msg(lambda _widget, content, _buffers: self._shown_by(content))
        self.face.unfold()

    # -- closing ---------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take the dashboard from the screen and from the kernel's memory. The session goes on as it was."""
        if not self._made or self.drawing.ended:
            return
        self.drawing.end()
        Dashboard._shown.discard(self)
        if self._draw_while_busy in self.session.listeners:
            self.session.listeners.remove(self._draw_while_busy)
        with self.drawing.lock:
            self.fly_tab.close_deck()
            for plot in self._plots.values():
                plot.close()
            children = self.children
            super().close()
            close_all(self.layout, *children, *(plot.widget for plot in self._plots.values()))

    # -- what buttons and sliders do -------------------------------------------------------------------------------

    def _press(self, name: str, action: Callable[[], object]) -> None:
        """Do what a button says; a mistake is shown in the status line instead of vanishing in a log."""
        self._guarded(action, lambda error: button_failed(name, error))

    def _guarded(self, action: Callable[[], object], sorry: Callable[[Exception], str]) -> None:
        if not self.drawing.ended:
            self._mistake = guarded(action, sorry)
            self._redraw(everything=True)

    def _reset(self) -> None:
        wanted = self.controls.setup(self.session.setup)
        weights = suggested(self.session.twins[-1].objective, self.session.setup.head, wanted.head)
        self.status.value = '<div class="piwsl-status"><b>Preparing data and models …</b></div>'
        self.fly_tab.close_deck()
        self._end_replay()
        self.session.reset(wanted)
        for name, weight in weights.items():
            self.session.set_objective(name, weight)
        self.controls.strip.lead(self.session.twins[-1].setup.head)
        self.right.reset()
        self._show_tab(self.tabs.value)

    def _set_physics(self, field: str, value: Any) -> None:
        self.session.set_objective(field, value)
        self.refresh()

    def _save(self) -> None:
        folder = Path(time.strftime("piwsl-session-%Y%m%d-%H%M%S"))
        self.session.save(folder)
        self.saved.value = html.saved(folder)

    def _toggle_code(self) -> None:
        self.code.value = "" if self.code.value else html.code_block(script(self.session))

    def _fold(self, name: str, opened: bool) -> None:
        if opened or not any(toggle.value for toggle in self.face.folds.values()):
            self.face.unfold(name if opened else "")
            (self.add_class if opened else self.remove_class)("piwsl-folded-out")

    def _tab_chosen(self, change: dict[str, Any]) -> None:
        name = change["new"]
        self._guarded(lambda: self._show_tab(name), lambda error: failed(f"{name} could not be opened", error))

    def _show_tab(self, name: str) -> None:
        with self.drawing.lock:
            if name == FLY:
                self._open_deck()
            else:
                self._plots[name].draw(self.shown)
            self.face.show(name)

    def _open_deck(self) -> None:
        if self.deck is None:
            self.fly_tab.open_deck(self.session, self.frame_choice.value)
            for alone in self.face.alone:
                alone.explain([self.fly_tab])

    # -- drawing ---------------------------------------------------------------------------------------------------

    @property
    def shown(self) -> Any:
        """What curves, molecule and verdict show: the session, or a stored run until the session begins."""
        return self._stored.replay or self.session

    @property
    def deck(self) -> FlightDeck | None:
        """What flies in the tab *Fly*, once it was opened."""
        return self.fly_tab.deck

    def _draw_while_busy(self) -> None:
        """Draw the session from now on; called when it begins to run."""
        with self.drawing.lock:
            self._end_replay()
            self.right.leave_trajectory()
            self.drawing.start()

    def _end_replay(self) -> None:
        self._stored.end()
        self.right.look_at(self.session)
        self._curves.remark = ""

    def _shown_by(self, content: dict[str, Any]) -> None:
        """A page shows the dashboard; the first one that comes late gets the whole stored run."""
        if content.get("type") == "shown":
            with self.drawing.lock:
                if self._stored.seen():
                    self._verdicts = Verdicts()
                    self.drawing.start()

    def _draw_once(self) -> float | None:
        """Draw; the last drawing, of a session that rests or a stored run that has ended, holds everything."""
        self._stored.advance()
        rests = not self.shown.busy
        drawn = self._redraw(everything=rests)
        if rests:
            return None
        return PERIOD if drawn else SLOW_PERIOD

    def _redraw(self, everything: bool) -> bool:
        """Refresh; where that fails, training goes on unseen, so it is said."""
        try:
            self.refresh(everything)
        except Exception as error:
            self._mistake = drawing_failed(error)
            self._draw_words()
            return False
        return True

    def refresh(self, everything: bool = False) -> None:
        """Push what has changed to the screen; `everything` also what is drawn once a second only."""
        with self.drawing.lock:
            if self.drawing.ended:
                return
            self._draw_words()
            numbers_due = self._pace.due("numbers", NUMBERS_PERIOD) or everything
            self._draw_knobs(numbers_due)
            if numbers_due:
                self._draw_numbers()
            tab = self.tabs.value
            if tab == FLY:
                return  # the deck draws itself
            if self._pace.due("plot", PERIOD if live_widgets_work() and tab != "Parity" else SLOW_PERIOD) or everything:
                self._plots[tab].draw(self.shown)
            if self._pace.due("molecule", SLOW_PERIOD) or everything:
                self.right.draw()

    def _draw_words(self) -> None:
        session = self.session
        pending = self.controls.mark_pending(session.setup, session.twins[-1].objective)
        self.train.disabled = session.running or session.finished
        self.stop.disabled = not session.running
        self.reset.button_style = "warning" if pending else ""
        # Traitlets send a text only if it is another one.
        self.status.value = html.status(session, pending, self._mistake, self._stored.replay is not None)
        self.pins.value = html.pinned_runs(session)
        quiet = self.tabs.value == FLY and not self._mistake  # a deck has words of its own, and needs the height
        self.status.layout.display = "none" if quiet else ""

    def _draw_knobs(self, scheduled_too: bool) -> None:
        """Put the physics knobs where the last twin is: code or a schedule may have moved its objective."""
        twin = self.session.twins[-1]
        scheduled = twin.objective.schedules
        values = {
            name: _rounded(twin.in_force(name)) if name in scheduled else getattr(twin.objective, name)
            for name in self.controls.physics_knobs
            if scheduled_too or name not in scheduled
        }
        self.controls.show(values, scheduled)

    def _draw_numbers(self) -> None:
        shown = self.shown
        self.bar.max, self.bar.value = shown.steps, shown.step
        self.progress.value = html.progress_text(shown)
        verdicts = self._verdicts.of(shown)
        self.headline.value = html.headline(shown, verdicts, stored=self._stored.replay is not None)
        self.numbers.value = html.errors_line(shown, verdicts)


def _rounded(value: Any) -> Any:
    """A number that follows a schedule, as precise as a slider can show it."""
    return float(f"{value:.3g}") if isinstance(value, float) else value
