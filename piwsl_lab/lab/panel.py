"""`Dashboard`: a session with buttons, sliders, live curves and a molecule.

The session trains on its own thread. While it is busy, one drawing thread looks at it six times a second and pushes
what has changed; when it rests, that thread is gone. Sliders write plain numbers, the loop reads them.
"""

from __future__ import annotations

import copy
import threading
import time
import weakref
from typing import Any, ClassVar

import ipywidgets as W
import numpy as np

from piwsl_lab.data import Oracle
from piwsl_lab.data.oracle import METHODS
from piwsl_lab.lab import report
from piwsl_lab.lab.close_up import CloseUp
from piwsl_lab.lab.code import script
from piwsl_lab.lab.controls import Controls, suggested
from piwsl_lab.lab.figures import Curves, LossTerms, Parity, live_widgets_work
from piwsl_lab.lab.flight_deck import FlightDeck
from piwsl_lab.lab.flying import FlightSession
from piwsl_lab.lab.session import Session

PERIOD = 0.2  # s between two drawings: one keeps a browser without a graphics card busy for about 0.1 s
NUMBERS_PERIOD = 0.4  # s, for numbers in words: every change of the page is a picture that the browser composes anew
SLOW_PERIOD = 1.0  # s, for the molecule and the parity plot, and for plots that are redrawn as a whole
TABS = ("Errors", "Loss terms", "Parity")
FLY = "Fly"


class Dashboard(W.VBox):
    """A panel to train the twins of a session and to watch them.

    Parameters
    ----------
    session : Session, optional
        A new one by default. `session.run(n)` from a cell is drawn as well.
    """

    _shown: ClassVar[weakref.WeakSet[Dashboard]] = weakref.WeakSet()

    def __init__(self, session: Session | None = None) -> None:
        for other in Dashboard._shown:  # a cell that runs again would leave its old loop behind, unseen
            other.session.stop()
            other.close_deck()
        self.session = session or Session()
        self.deck: FlightDeck | None = None  # made when its tab is first opened
        self._lock = threading.RLock()  # callbacks may come on another thread than the drawing
        self._drawer: threading.Thread | None = None
        self._drawn: dict[str, Any] = {}
        self._mistake = ""
        names = [twin.name for twin in self.session.twins]
        self._plots = dict(zip(TABS, (Curves(names), LossTerms(names), Parity(names)), strict=True))
        last = self.session.twins[-1]
        self.controls = Controls(self.session.setup, last.objective, f"Physics of {last.name} (acts while it trains)")
        self._make_action_bar()
        self._make_views()
        super().__init__([*self._rows()], layout=W.Layout(width="100%", overflow="hidden"))
        self._connect()
        self._show_tab(TABS[0])
        self.refresh(everything=True)
        Dashboard._shown.add(self)
        if self.session.busy:
            self._draw_while_busy()

    def __repr__(self) -> str:
        return f"Dashboard({' and '.join(t.name for t in self.session.twins)}, data {self.session.setup.data})"

    # -- making ----------------------------------------------------------------------------------------------------

    def _make_action_bar(self) -> None:
        self.train = _button("Train", "play", "success", "Begin, or go on where it stopped.")
        self.stop = _button("Stop", "stop", "danger", "Stop after this step.")
        self.reset = _button("Reset", "refresh", "", "New weights from the seed, with the settings above.")
        self.pin = _button("Pin this run", "thumb-tack", "", "Keep settings and errors as a row of the table below.")
        self.copy = _button("Copy as code", "code", "", "The Python that repeats this run without widgets.")
        self.bar = W.IntProgress(min=0, max=1, layout=W.Layout(flex="1 1 160px", min_width="120px"))
        self.progress, self.status, self.headline = W.HTML(), W.HTML(), W.HTML()

    def _make_views(self) -> None:
        self.tabs = W.ToggleButtons(options=(*TABS, FLY), style={"button_width": "100px"})
        self.hangar = W.VBox(layout=W.Layout(width="100%", overflow="hidden"))
        self.pages = {name: W.VBox([plot.widget], layout=W.Layout(width="100%")) for name, plot in self._plots.items()}
        self.right = CloseUp(self.session, self._lock, self._plots["Errors"].mark)
        self.frame_choice = self.right.frame_choice  # a flight starts there too
        self.pins, self.code = W.HTML(), W.HTML()

    def _rows(self) -> list[W.Widget]:
        wrap = {"display": "flex", "flex_flow": "row wrap", "width": "100%", "overflow": "hidden"}
        buttons = [self.train, self.stop, self.reset, self.bar, self.progress, self.pin, self.copy]
        left = W.VBox(
            [self.tabs, *self.pages.values()], layout=W.Layout(flex="3 1 460px", min_width="400px", overflow="hidden")
        )
        return [
            W.HTML(report.CSS),
            self.controls.widget,
            W.Box(buttons, layout=W.Layout(**wrap, align_items="center")),
            self.status,
            self.headline,
            W.Box([left, self.right], layout=W.Layout(**wrap)),
            self.hangar,
            self.pins,
            self.code,
        ]

    def _connect(self) -> None:
        self.train.on_click(lambda _: self._guarded("Train", self.session.start))
        self.stop.on_click(lambda _: self._guarded("Stop", self.session.stop))
        self.reset.on_click(lambda _: self._guarded("Reset", self._reset))
        self.pin.on_click(lambda _: self._guarded("Pin", self.session.pin))
        self.copy.on_click(lambda _: self._guarded("Copy as code", self._toggle_code))
        self.controls.on_physics(self._set_physics)
        self.controls.on_setup(self.refresh)
        self.tabs.observe(lambda change: self._guarded("tab", lambda: self._show_tab(change["new"])), "value")
        self._plots["Errors"].on_pick(self.right.go_to)
        self.session.listeners.append(self._draw_while_busy)

    # -- what buttons and sliders do -------------------------------------------------------------------------------

    def _guarded(self, name: str, action: Any) -> None:
        """Do something; a mistake is shown in the status line instead of vanishing in a log."""
        self._mistake = ""
        try:
            action()
        except Exception as error:
            self._mistake = report.button_failed(name, error)
        self._redraw(everything=True)

    def _reset(self) -> None:
        wanted = self.controls.setup(self.session.setup)
        weights = suggested(self.session.twins[-1].objective, self.session.setup.head, wanted.head)
        self.status.value = '<div class="piwsl-status"><b>Preparing data and models …</b></div>'
        self.close_deck()
        self.session.reset(wanted)
        for name, weight in weights.items():
            setattr(self.session.twins[-1].objective, name, weight)
        self.right.reset()
        self._show_tab(self.tabs.value)

    def _set_physics(self, field: str, value: Any) -> None:
        """Write a knob into the objective that the loop reads at its next step."""
        objective = self.session.twins[-1].objective
        setattr(objective, field, value)  # first: the loop must never see the number from before the schedule
        objective.override(field, value)
        self.refresh()

    def _show_tab(self, name: str) -> None:
        with self._lock:
            if name == FLY and self.deck is None:
                self._open_deck()
            elif name != FLY:
                self._plots[name].draw(self.session)
            self.right.layout.display = "none" if name == FLY else ""
            self.hangar.layout.display = "" if name == FLY else "none"
            for other, page in self.pages.items():
                # Not display="none", and no W.Tab: a plot that is made there never learns its width.
                page.layout.visibility = "visible" if other == name else "hidden"
                page.layout.height = "auto" if other == name else "0px"
                page.layout.overflow = "visible" if other == name else "hidden"

    # -- flying ----------------------------------------------------------------------------------------------------

    def _open_deck(self) -> None:
        """Twins, and the oracle where it made the labels, at the test frame that is chosen."""
        frame = self.session.test_frames[self.frame_choice.value]
        flight = FlightSession(self._pilots, frame, reference=list(self.session.task.test))
        self.deck = FlightDeck(flight)
        self.hangar.children = (self.deck,)

    def close_deck(self) -> None:
        """Stop the flight and take it from the screen; its tab makes a new one."""
        if self.deck is not None:
            self.deck.session.stop()
            self.deck, self.hangar.children = None, ()

    def _pilots(self) -> dict[str, Any]:
        """Copies of the potentials as they are now: training may go on while they fly."""
        with self.session.lock:
            pilots = {t.name: copy.deepcopy(t.potential).eval().requires_grad_(False) for t in self.session.twins}
        method = self.session.task.test.metadata.method
        if method in METHODS.values():
            pilots[method] = Oracle(method)
        return pilots

    def _toggle_code(self) -> None:
        self.code.value = "" if self.code.value else report.code_block(script(self.session))

    # -- drawing ---------------------------------------------------------------------------------------------------

    def _draw_while_busy(self) -> None:
        """Start the drawing thread, unless it is there; called when the session begins to run."""
        with self._lock:
            if self._drawer is None:
                self._drawer = threading.Thread(target=self._draw_loop, name="piwsl-drawing", daemon=True)
                self._drawer.start()

    def _draw_loop(self) -> None:
        """Draw until the session rests; the next run starts a new thread."""
        last = False
        while not last:
            with self._lock:
                last = not self.session.busy
                self.right.offer_trajectories(last)
                drawn = self._redraw(everything=last)
                if last:
                    self._drawer = None
            time.sleep(0 if last else PERIOD if drawn else SLOW_PERIOD)

    def _redraw(self, everything: bool) -> bool:
        """Refresh; where that fails, training goes on unseen, so it is said."""
        try:
            self.refresh(everything)
        except Exception as error:
            self._mistake = report.drawing_failed(error)
            self._draw_words()
            return False
        return True

    def refresh(self, everything: bool = False) -> None:
        """Push what has changed to the screen; `everything` also what is drawn once a second only."""
        with self._lock:
            self._draw_words()
            numbers_due = self._due("numbers", NUMBERS_PERIOD) or everything
            self._draw_knobs(numbers_due)
            if numbers_due:
                self._draw_numbers()
            tab = self.tabs.value
            if tab == FLY:
                return  # the deck draws itself
            if self._due("plot", PERIOD if live_widgets_work() and tab != "Parity" else SLOW_PERIOD) or everything:
                self._plots[tab].draw(self.session)
            if self._due("molecule", SLOW_PERIOD) or everything:
                self.right.draw()

    def _due(self, what: str, period: float) -> bool:
        """Whether `what` has not been drawn for a period, give or take a moment of the clock."""
        now = time.monotonic()
        if now - self._drawn.get(what, -np.inf) < 0.9 * period:
            return False
        self._drawn[what] = now
        return True

    def _draw_words(self) -> None:
        session = self.session
        pending = self.controls.mark_pending(session.setup, session.twins[-1].objective)
        self.train.disabled = session.running or session.finished
        self.stop.disabled = not session.running
        self.reset.button_style = "warning" if pending else ""
        # Traitlets send a text only if it is another one.
        self.status.value = report.status(session, pending, self._mistake)
        self.pins.value = report.pinned_runs(session)

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
        self.bar.max, self.bar.value = self.session.steps, self.session.step
        self.progress.value = report.progress_text(self.session)
        self.headline.value = report.headline(self.session)


def _rounded(value: Any) -> Any:
    """A number that follows a schedule, as precise as a slider can show it."""
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _button(text: str, icon: str, style: str, help_text: str) -> W.Button:
    return W.Button(description=text, icon=icon, button_style=style, tooltip=help_text, layout=W.Layout(width="auto"))
