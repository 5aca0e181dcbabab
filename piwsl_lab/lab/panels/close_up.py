"""`CloseUp`: one twin's forces on a test frame, now or at an earlier step of its training, or its short trajectory.

One cursor for the slider below the molecule and the marker in the curves: a training step, or None, which is now.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as W
import numpy as np

from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.panels import html
from piwsl_lab.lab.panels.drawing import OwnMoves
from piwsl_lab.lab.parts.colours import twin_colours
from piwsl_lab.lab.parts.knobs import choice, compact, dropdown, tooltip
from piwsl_lab.lab.quirks import set_slider
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.lab.sessions.twin import Predictions, Twin, nearest

STOPS = 100  # of the slider, before there is a history to count
FORCES, TRAJECTORY = "forces", "trajectory"
TWIN_HELP = "Whose forces, or whose trajectory, is shown."


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
    chooser : ipywidgets.Box
        Which twin, and forces or trajectory: it stands in one line with the tabs of the curves.
    """

    def __init__(self, session: Session, lock: threading.RLock, mark: Callable[[int | None], None]) -> None:
        self.session, self._lock, self._mark = session, lock, mark
        self.cursor: int | None = None
        self._moves = OwnMoves(lock)
        self._movie: Any = None  # the trajectory on the screen
        frame = session.test_frames[0]
        # Below the picture stand switches and legend of the molecule, the sliders, and words.
        height = "calc(var(--piwsl-stage, 400px) - var(--piwsl-below, 128px))"
        self.molecule = MoleculeView(frame.numbers, frame.positions, frame.cell, frame.pbc, height=height)
        self.molecule.mark_legend("piwsl-below")
        self._make_chooser([twin.name for twin in session.twins])
        self.frame_choice = compact(W.IntSlider(
            value=0, min=0, max=len(session.test_frames) - 1, description="test frame", layout=W.Layout(),
            **tooltip(W.IntSlider, "Which of the test frames that are scored while it trains is shown."),
        ), "72px", "1 1 180px")  # fmt: skip
        self.step_choice = compact(W.IntSlider(
            value=STOPS, min=0, max=STOPS, description="training step", readout=False, layout=W.Layout(),
            **tooltip(W.IntSlider, "Forces as they were at an earlier step; the right end is now. Or click a curve."),
        ), "84px", "1 1 180px")  # fmt: skip
        self.words = W.HTML(layout=W.Layout(height="18px", margin="0 2px", overflow="hidden"))
        self.words.add_class("piwsl-below")
        line = W.Layout(display="flex", flex_flow="row wrap", width="100%", overflow="hidden")
        sliders = W.Box([self.frame_choice, self.step_choice], layout=line)
        sliders.add_class("piwsl-sliders")
        super().__init__(
            [self.molecule, sliders, self.words],
            layout=W.Layout(flex="13 1 360px", min_width="320px", overflow="hidden"),
        )
        for chosen in (self.twin_choice, self.frame_choice):
            chosen.observe(lambda _: self.draw(), "value")
        self.show_choice.observe(lambda _: self._show(), "value")
        self.step_choice.observe(lambda change: self._slide(change["new"]), "value")

    def _make_chooser(self, names: list[str]) -> None:
        if len(names) <= 2:
            width = f"{max(90, 8 * max(map(len, names)) + 20)}px"
            self.twin_choice = choice(names, [TWIN_HELP] * len(names), width, value=names[-1])
        else:
            self.twin_choice = dropdown("shown", [(name, name) for name in names], names[-1], TWIN_HELP)
            compact(self.twin_choice, "46px", "0 1 210px")
        helps = [
            "Force arrows on one test frame, now or at an earlier step.",
            "A molecule moved for 200 fs with the forces of this twin; there when training stops.",
        ]
        self.show_choice = choice([FORCES, TRAJECTORY], helps, "90px", disabled=True)
        self.show_choice.layout.flex, self.show_choice.layout.min_width = "0 0 auto", "196px"
        self.chooser = W.Box([self.twin_choice, self.show_choice], layout=W.Layout(display="flex", overflow="hidden"))

    def look_at(self, session: Any) -> None:
        """Show another session of the same twins: a stored run, or the live one again."""
        with self._lock:
            if session is not self.session:
                self.session, self.cursor = session, None

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

    def leave_trajectory(self) -> None:
        """Training began: back to the forces."""
        with self._lock:
            self.show_choice.index = 0

    def _show(self) -> None:
        with self._lock:
            if self.show_choice.index == 1:
                self.cursor = None  # they are flown with the present weights
            self.draw()
            if self._movie is not None:
                self.molecule.play()

    def _slide(self, stop: int) -> None:
        """A person moved the slider. It may have more or fewer stops than there are snapshots by now."""
        with self._lock:
            if not self._moves.by_hand:
                return
            history, last = self._twin.history, self.step_choice.max
            k = min(round(stop / last * len(history)), len(history) - 1)
            self.cursor = None if stop == last else history[k].step
            self.draw()

    @property
    def _twin(self) -> Twin:
        return next(twin for twin in self.session.twins if twin.name == self.twin_choice.value)

    def draw(self) -> None:
        """Push the present state to the screen."""
        with self._lock:
            twin = self._twin
            history = twin.history
            if self.cursor is not None and self.cursor > len(twin.records):
                self.cursor = None  # a cell began the session anew
            k = None if self.cursor is None else nearest(history, self.cursor)
            past = None if k is None else history[k]
            moving = twin.trajectory is not None and self.show_choice.index == 1
            self.show_choice.disabled = twin.trajectory is None
            self.show_choice.layout.visibility = "hidden" if twin.trajectory is None else "visible"  # keeps its place
            self.frame_choice.disabled = moving
            self.step_choice.disabled = moving or len(history) < 2
            self._place(k, len(history))
            self._mark(None if past is None else past.step)
            (self.add_class if moving else self.remove_class)("piwsl-moving")
            self.words.value = "" if moving else html.moment(twin, past)
            if moving:
                self._draw_trajectory(twin)
            else:
                self._draw_forces(twin, past or twin.snapshot)

    def _place(self, k: int | None, length: int) -> None:
        """Put the slider at a snapshot, or at its right end; nothing is sent while it follows training there."""
        moves = length > 1 and not (k is None and self.session.busy)
        last = length if moves else self.step_choice.max
        with self._moves.own():
            set_slider(self.step_choice, last, last if k is None else k)

    def _draw_trajectory(self, twin: Twin) -> None:
        movie = twin.trajectory
        if movie is not None and movie is not self._movie:
            self._movie = movie
            self.molecule.show_trajectory(movie.positions, f"{twin.name}: {movie.label}")

    def _draw_forces(self, twin: Twin, shot: Predictions | None) -> None:
        if shot is None:
            return
        if self._movie is not None:
            self._movie = None
            self.molecule.clear_trajectory()
        k = self.frame_choice.value
        frame = self.session.test_frames[k]
        if not np.array_equal(frame.numbers, self.molecule.numbers):
            self.molecule.set_molecule(frame.numbers, frame.positions, frame.cell, frame.pbc)
        error = np.linalg.norm(shot.forces[k] - shot.reference_forces[k], axis=1)  # (N,) eV/Å
        colour = twin_colours(self.session.twins)[twin.name]
        self.molecule.show(frame.positions, shot.forces[k], shot.reference_forces[k], error, colour)
