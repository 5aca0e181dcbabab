"""One molecule on the screen: moving atoms, force arrows, colours by force error, a short movie.

A `MoleculeView` keeps what is to be seen and offers the switches. Its `Picture` puts it on the screen, and `scene`
makes the numbers of it.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable, Mapping
from typing import Any

import ipywidgets as W
import numpy as np
from ase.data import chemical_symbols
from numpy.typing import ArrayLike

from piwsl_lab.lab import quirks
from piwsl_lab.lab.molecule import scene
from piwsl_lab.lab.molecule.picture import Picture
from piwsl_lab.lab.molecule.switches import (
    PREDICTED,
    MoviePlayer,
    Switch,
    Unseen,
    legend_below,
    switches,
    unseen_switches,
)

if importlib.util.find_spec("nglview") is None:
    raise ImportError("the molecule viewer needs nglview: pip install 'piwsl-lab[lab]'")
quirks.mend_nglview()  # for notebooks that import nglview later
quirks.mend_kernel()


class MoleculeView(W.VBox):
    """A molecule or a periodic frame, live.

    Parameters
    ----------
    numbers : [N] atomic numbers.
    positions : [N, 3] Å.
    cell : [3, 3] Å, rows are the lattice vectors; None or zeros: no box.
    pbc : [3] bool; the box is drawn where any is true (all, if a cell comes without pbc).
    height : CSS height of the picture.
    bare : bool
        The picture alone: no switches on the page, no words, no movie. Every widget is one more thing that a page has
        to ask the kernel for after F5.
    room : float, Å
        Air around the molecule, for arrows that are longer than usual or a bond that will be stretched.

    Raises
    ------
    ValueError
        If an array does not have one row for every atom, or an atomic number is of no element.

    Notes
    -----
    An atom whose position is not finite stays where it was last, in grey, and the words below say so.
    """

    def __init__(
        self, numbers: ArrayLike, positions: ArrayLike, cell: ArrayLike | None = None, pbc: ArrayLike | None = None,
        height: str = "420px", *, bare: bool = False, room: float = 0.0,
    ) -> None:  # fmt: skip
        self._owned: list[W.Widget] = []  # to be closed with the view
        self._guard = threading.RLock()
        self._identity, self._room = 0, room
        self._movie: np.ndarray | None = None
        self._forces: np.ndarray | None = None
        self._reference: np.ndarray | None = None
        self._error: np.ndarray | None = None
        self._energy: np.ndarray | None = None
        self._broken: tuple[np.ndarray, np.ndarray] | None = None
        self._picked: list[Callable[[int], object]] = []
        self.picture = Picture(self._state, self._guard, height)
        self.picture.on_msg(self._on_message)
        self._owned.append(self.picture)
        self._make_controls(bare)
        self.set_molecule(numbers, positions, cell, pbc)
        super().__init__([self.picture, *self._rows])
        self.layout.width = "100%"

    def __repr__(self) -> str:
        return (
            f"MoleculeView({scene.formula(self.numbers)}, {len(self.numbers)} atoms)"
            if len(self.numbers)
            else "MoleculeView(no atoms)"
        )

    def set_molecule(
        self, numbers: ArrayLike, positions: ArrayLike, cell: ArrayLike | None = None, pbc: ArrayLike | None = None
    ) -> None:
        """Show another molecule in the same view; arguments as at construction."""
        numbers = np.asarray(numbers, dtype=np.int64)
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(chemical_symbols):
            raise ValueError(f"numbers hold {numbers.min()} to {numbers.max()}; atomic numbers are 1 to 118")
        positions = _rows(positions, len(numbers), "positions")
        sound = positions[~scene.drawable(positions, positions)[1]]
        positions, lost = scene.drawable(positions, sound[0] if len(sound) else np.zeros(3))
        cell = np.zeros((3, 3)) if cell is None else np.asarray(cell, dtype=np.float64)
        periodic = bool(cell.any() and np.abs(cell).max() <= scene.FARTHEST) and (pbc is None or bool(np.any(pbc)))
        with self._guard:
            self._end_movie()
            self.numbers, self._radii, self._lost = numbers, scene.ball_radii(numbers), lost
            self.picture.layout.display = "" if len(numbers) else "none"
            # Fresh for every molecule: the page draws no state that belongs to another one.
            self._identity += 1
            self._molecule = {"id": self._identity} | scene.molecule(numbers, positions, cell, periodic)
            self._molecule["reach"] += self._room
            self._positions, self._what = positions, PREDICTED
            self._forces = self._reference = self._error = self._energy = self._broken = None
            self._colour = scene.PREDICTED_COLOUR
            self._describe()
            self.picture.write(molecule=self._molecule)

    def show(
        self, positions: ArrayLike, forces: ArrayLike | None = None, reference_forces: ArrayLike | None = None,
        atom_error: ArrayLike | None = None, colour: str | None = None, *, atom_energy: ArrayLike | None = None,
        broken: tuple[np.ndarray, np.ndarray] | None = None, what: str = PREDICTED,
    ) -> None:  # fmt: skip
        """Draw this geometry now, from any thread and as often as you like: at most 20 a second are sent.

        Parameters
        ----------
        positions : [N, 3] Å.
        forces, reference_forces : [N, 3] eV/Å or None, predicted and reference.
        atom_error : [N] eV/Å or None: the length of the difference of the two forces, where both are given.
        colour : "#rrggbb" of the predicted arrows, kept until the next colour.
        atom_energy : [N] eV or None: change of the energy of every atom, for the colours; an error goes first.
        broken : ([B, 2] pairs of atoms, [B] bool) or None: bonds, and which of them are marked as broken.
        what : words for the arrows of `forces`, where they are not the predicted force.
        """
        count = len(self.numbers)
        positions = _rows(positions, count, "positions")
        forces = None if forces is None else _rows(forces, count, "forces")
        reference = None if reference_forces is None else _rows(reference_forces, count, "reference_forces")
        if atom_error is None and forces is not None and reference is not None:
            with np.errstate(over="ignore", invalid="ignore"):  # of a diverged prediction: the atom is grey
                atom_error = np.linalg.norm(forces - reference, axis=1)
        error = None if atom_error is None else np.asarray(atom_error, dtype=np.float64)
        energy = None if atom_energy is None else np.asarray(atom_energy, dtype=np.float64)
        for name, values, unit in (("atom_error", error, "length in eV/Å"), ("atom_energy", energy, "energy in eV")):
            if values is not None and values.shape != (count,):
                raise ValueError(f"{name} has shape {values.shape}, expected ({count},): one {unit} per atom")
        with self._guard:
            self._end_movie()
            self._positions, self._lost = scene.drawable(positions, self._positions)
            self._forces, self._reference, self._error = forces, reference, error
            self._energy, self._broken, self._what = energy, broken, what
            self._colour = colour or self._colour
            self._describe()
            self.picture.push()

    def show_trajectory(self, frames: ArrayLike, label: str = "trajectory") -> None:
        """Offer a movie of frames [T, N, 3] (Å) with play, loop and a slider; arrows rest meanwhile."""
        player = self.player
        if player is None:
            raise ValueError("a bare view has no movie: make it without bare=True")
        frames = np.asarray(frames, dtype=np.float64)
        if frames.ndim != 3 or frames.shape[1:] != (len(self.numbers), 3) or not len(frames):
            raise ValueError(f"frames have shape {frames.shape}, expected (T, {len(self.numbers)}, 3) with T ≥ 1")
        broken = ~np.isfinite(frames).all(axis=(1, 2))
        if broken.any():
            first = int(np.argmax(broken))
            raise ValueError(f"frame {first} of the trajectory is not finite: show frames[:{first}] only")
        with self._guard:
            player.offer(len(frames), label)
            self._movie = frames
            self._describe()
            movie = frames.astype("<f4").tobytes()
            self.picture.write(movie=movie, movie_id=self.picture.movie_id + 1, frame=0)

    def clear_trajectory(self) -> None:
        """Stop and hide the movie; the geometry of the last `show` returns."""
        with self._guard:
            if self._movie is not None:
                self._end_movie()
                self._describe()
                self.picture.push()

    def mark_legend(self, name: str) -> None:
        """Give the legend a class of a style sheet; a bare view has none on the page."""
        if isinstance(self.legend, W.HTML):
            self.legend.add_class(name)

    def play(self) -> None:
        """Let the movie run; nothing happens without one."""
        if self._movie is not None and self.player is not None:
            self.player.run(True)

    def on_pick(self, callback: Callable[[int], object]) -> None:
        """Call back with the index of an atom that was clicked."""
        self._picked.append(callback)

    def close(self) -> None:
        """Take the view from the screen and everything it is made of from the kernel; a second call does nothing."""
        with self._guard:
            self._picked.clear()
            for widget in self._owned:
                for part in (getattr(widget, "style", None), getattr(widget, "layout", None), widget):
                    if isinstance(part, W.Widget):  # ipywidgets leaves layout and style open
                        part.close()
            self.layout.close()
            super().close()

    # The controls

    def _make_controls(self, bare: bool) -> None:
        boxes: Mapping[str, Switch]
        self.player: MoviePlayer | None = None
        self._rows: list[W.Widget] = []
        if bare:
            boxes, self.legend = unseen_switches(self._switched), Unseen("")
        else:
            boxes = checkboxes = switches(self._switched)
            self.legend, self.player = legend_below(), MoviePlayer(self.picture)
            row = W.HBox(list(checkboxes.values()))
            row.layout.flex_flow, row.layout.overflow = "row wrap", "hidden"
            self._rows = [row, self.player, self.legend]
            self._owned += [*self.player.links, *checkboxes.values(), *self.player.children, *self._rows]
        self.atom_labels, self.show_predicted = boxes["atom_labels"], boxes["show_predicted"]
        self.show_reference = boxes["show_reference"]
        self.colour_by_error, self.colour_by_energy = boxes["colour_by_error"], boxes["colour_by_energy"]

    def _describe(self) -> None:
        """Offer switches and legend for what there is to see only."""
        still = self._movie is None
        there: dict[Switch, bool] = {
            self.show_predicted: still and self._forces is not None,
            self.show_reference: still and self._reference is not None,
            self.colour_by_error: still and self._error is not None,
            self.colour_by_energy: still and self._error is None and self._energy is not None,
        }
        self.show_predicted.description = self._what
        for box, shown in there.items():
            box.layout.display = "" if shown else "none"
        predicted, reference, error, energy = (shown and box.value for box, shown in there.items())
        broken = still and self._broken is not None and bool(np.any(self._broken[1]))
        colour = self._colour if predicted else None
        gone = scene.gone(self.numbers, self._lost) if still else ""
        self.legend.value = scene.legend(colour, reference, error, energy, broken, self._what, gone)

    def _switched(self) -> None:
        with self._guard:
            self._describe()
            self.picture.push()

    def _end_movie(self) -> None:
        """Back to the last geometry; nothing is sent."""
        if self._movie is not None and self.player is not None:
            self.player.hide()
            self._movie = None

    # The state

    def _state(self) -> dict[str, Any]:
        """Everything that moves, as plain numbers (JSON knows no nan)."""
        state: dict[str, Any] = {
            "molecule": self._identity,
            "movie": None,
            "labels": self.atom_labels.value,
            "predicted": None,
            "reference": None,
            "broken": None,
            "colours": self._molecule["elements"],
        }
        if self._movie is not None and self.player is not None:
            state["movie"] = self.picture.movie_id
            state["positions"] = scene.flat(self._movie[min(self.player.slider.value, len(self._movie) - 1)])
            return state
        state["positions"] = scene.flat(self._positions)
        if self._forces is not None and self.show_predicted.value:
            state["predicted"] = self._arrows(self._forces, self._colour, radius=0.05, opacity=1.0)
        if self._reference is not None and self.show_reference.value:
            # A wide, pale sleeve: where the prediction is right, its arrow fits into it.
            state["reference"] = self._arrows(self._reference, scene.REFERENCE_COLOUR, radius=0.1, opacity=0.35)
        if self._error is not None and self.colour_by_error.value:
            state["colours"] = scene.error_colours(self._error)
        elif self._error is None and self._energy is not None and self.colour_by_energy.value:
            state["colours"] = scene.energy_colours(self._energy)
        if self._lost.any():
            grey = scene.hex_number(scene.NO_VALUE)
            state["colours"] = [grey if lost else c for c, lost in zip(state["colours"], self._lost, strict=True)]
        if self._broken is not None:
            state["broken"] = scene.rods(self._positions, *self._broken, scene.BROKEN_COLOUR)
        return state

    def _arrows(self, forces: np.ndarray, colour: str, radius: float, opacity: float) -> dict[str, Any]:
        return scene.arrows(self._positions, forces, self._radii, colour, radius, opacity)

    def _on_message(self, _widget: W.Widget, content: dict[str, Any], _buffers: Any) -> None:
        if content.get("type") == "picked":
            for callback in self._picked:
                callback(int(content["atom"]))


def _rows(values: ArrayLike, count: int, name: str) -> np.ndarray:
    """Return a float64 copy of shape [count, 3], or say which argument is wrong."""
    array = np.array(values, dtype=np.float64)
    if array.shape != (count, 3):
        raise ValueError(
            f"{name} have shape {array.shape}, but the molecule shown has {count} atoms: pass ({count}, 3)"
        )
    return array
