"""`CloseUp`: one twin's forces on a test frame, now or at an earlier step of its training, or its short trajectory.

One cursor for the slider below the molecule and the marker in the curves: a training step, or None, which is now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as W
import numpy as np

from piwsl_lab.lab import report
from piwsl_lab.lab.figures import twin_colours
from piwsl_lab.lab.knobs import tooltip
from piwsl_lab.lab.session import Session, Twin
from piwsl_lab.lab.twin import Snapshot, nearest
from piwsl_lab.lab.viewer import MoleculeView

STOPS = 100  # of the slider, before there is a history to count
WORDS_WIDTH = {"description_width": "95px"}


class CloseUp(W.VBox):
    """The molecule beside the plots of a `Dashboard`, and what chooses its forces.

    Parameters
    ----------
    session : Session
    lock : threading.RLock
        Held while something is drawn: callbacks may come on another thread than the drawing.
    mark : function of an int or None
        Told the training step whose forces are shown, or None for the present ones.

    Attributes
    ----------
    cursor : int or None
        The training step that was asked for; the nearest one that the twin remembers is shown. None follows training.
    """

    def __init__(self, session: Session, lock: threading.RLock, mark: Callable[[int | None], None]) -> None:
        self.session, self._lock, self._mark = session, lock, mark
        self.cursor: int | None = None
        self._placing = False
        self._movie: Any = None  # the trajectory on the screen
        names = [twin.name for twin in session.twins]
        frame = session.test_frames[0]
        self.molecule = MoleculeView(frame.numbers, frame.positions, frame.cell, frame.pbc, height="330px")
        self.twin_choice = W.ToggleButtons(options=names, value=names[-1], style={"button_width": "105px"})
        self.show_choice = W.ToggleButtons(
            options=["forces on a test frame", "short trajectory"], style={"button_width": "165px"}, disabled=True
        )
        self.frame_choice = W.IntSlider(
            value=0, min=0, max=len(session.test_frames) - 1, description="test frame", style=WORDS_WIDTH,
            layout=W.Layout(width="98%"), **tooltip(W.IntSlider, "Which of the monitored test frames is shown."),
        )  # fmt: skip
        self.step_choice = W.IntSlider(
            value=STOPS, min=0, max=STOPS, description="training step", readout=False, style=WORDS_WIDTH,
            layout=W.Layout(width="98%"),
            **tooltip(W.IntSlider, "Forces as they were at an earlier step; the right end is now. Or click a curve."),
        )  # fmt: skip
        self.words = W.HTML()
        wrap = {"display": "flex", "flex_flow": "row wrap", "width": "100%", "overflow": "hidden"}
        chooser = W.Box([self.twin_choice, self.show_choice], layout=W.Layout(**wrap))
        super().__init__(
            [chooser, self.frame_choice, self.molecule, self.step_choice, self.words],
            layout=W.Layout(flex="2 1 330px", min_width="320px", overflow="hidden"),
        )
        for choice in (self.twin_choice, self.frame_choice):
            choice.observe(lambda _: self.draw(), "value")
        self.show_choice.observe(lambda _: self._show(), "value")
        self.step_choice.observe(lambda change: self._slide(change["new"]), "value")

    def reset(self) -> None:
        """The session began anew: show the first frame, now."""
        with self._lock:
            self.cursor = None
            self.frame_choice.max, self.frame_choice.value = len(self.session.test_frames) - 1, 0
            self.show_choice.index = 0

    def go_to(self, step: float) -> None:
        """Show the forces as they were at a training step."""
        with self._lock:
            self.cursor, self.show_choice.index = round(step), 0
            self.draw()

    def offer_trajectories(self, at_rest: bool) -> None:
        """Show the short trajectories when they are there, unless a hand looks at the past; training ends them."""
        there = all(twin.trajectory for twin in self.session.twins)
        self.show_choice.index = int(at_rest and there and self.cursor is None)

    def _show(self) -> None:
        with self._lock:
            if self.show_choice.index == 1:
                self.cursor = None  # they are flown with the present weights
            self.draw()

    def _slide(self, stop: int) -> None:
        """Moved by a hand. The slider may have more or fewer stops than there are snapshots by now."""
        with self._lock:
            if self._placing:
                return
            history, last = self._twin.history, self.step_choice.max
            k = min(round(stop / last * len(history)), len(history) - 1)
            self.cursor = None if stop == last else history[k].step
            self.draw()

    @property
    def _twin(self) -> Twin:
        return self.session.twin(self.twin_choice.value)

    def draw(self) -> None:
        """Push the present state to the screen."""
        with self._lock:
            twin, history = self._twin, self._twin.history
            if self.cursor is not None and self.cursor > len(twin.records):
                self.cursor = None  # a cell began the session anew
            k = None if self.cursor is None else nearest(history, self.cursor)
            past = None if k is None else history[k]
            moving = twin.trajectory is not None and self.show_choice.index == 1
            self.show_choice.disabled = twin.trajectory is None
            self.frame_choice.disabled = moving
            self.step_choice.disabled = moving or len(history) < 2
            self._place(k, len(history))
            self._mark(None if past is None else past.step)
            self.words.value = "" if moving else report.moment(twin, past)
            if moving:
                self._draw_trajectory(twin)
            else:
                self._draw_forces(twin, past or twin.snapshot)

    def _place(self, k: int | None, length: int) -> None:
        """Put the slider at a snapshot, or at its right end; nothing is sent while it follows training there."""
        self._placing = True
        with self.step_choice.hold_sync():
            if length > 1 and not (k is None and self.session.busy):
                self.step_choice.max = length
            self.step_choice.value = self.step_choice.max if k is None else k
        self._placing = False

    def _draw_trajectory(self, twin: Twin) -> None:
        if self._movie is not twin.trajectory:
            self._movie = twin.trajectory
            self.molecule.show_trajectory(twin.trajectory.positions, f"{twin.name}: {twin.trajectory.label}")

    def _draw_forces(self, twin: Twin, shot: Snapshot) -> None:
        if self._movie is not None:
            self._movie = None
            self.molecule.clear_trajectory()
        k = self.frame_choice.value
        frame = self.session.test_frames[k]
        if not np.array_equal(frame.numbers, self.molecule.numbers):
            self.molecule.set_molecule(frame.numbers, frame.positions, frame.cell, frame.pbc)
        error = np.linalg.norm(shot.forces[k] - shot.reference_forces[k], axis=1)  # (N,) eV/Å
        colour = twin_colours(t.name for t in self.session.twins)[twin.name]
        self.molecule.show(frame.positions, shot.forces[k], shot.reference_forces[k], error, colour)
