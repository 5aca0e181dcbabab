"""One molecule on the screen: moving atoms, force arrows, colours by force error, a short movie.

nglview supplies the widget and WebGL. What is drawn is one small state (a dict made by `scene`), sent as one
message and drawn by ``viewer.js`` beside this file. The state is sent again whenever a front end appears, so a view
may be created, updated or reloaded in any order; without a front end nothing is sent at all.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import threading
import time
import types
from collections.abc import Callable
from pathlib import Path

import ipywidgets as widgets
import numpy as np
from jupyter_core.paths import jupyter_path

from piwsl_lab.lab import scene

FRONT_END = "nglview-js-widgets"
SECONDS_BETWEEN_DRAWS = 0.05
PREDICTED = "predicted force"
_JAVASCRIPT = Path(__file__).with_name("viewer.js").read_text(encoding="utf-8")


def _installed_front_end() -> str | None:
    """Version of nglview's JupyterLab extension on this machine; None where there is none (Colab)."""
    for folder in [
        *jupyter_path("labextensions"),
        str(Path(sys.prefix, "share", "jupyter", "labextensions")),
    ]:
        package = Path(folder, FRONT_END, "package.json")
        if package.is_file():
            return str(json.loads(package.read_text(encoding="utf-8"))["version"])
    return None


def _requested_front_end() -> str | None:
    """Version nglview will ask the page for, read without importing nglview."""
    spec = importlib.util.find_spec("nglview")
    if spec is None or spec.origin is None:
        raise ImportError("the molecule viewer needs nglview: pip install 'piwsl-lab[lab]'")
    source = Path(spec.origin).with_name("_frontend.py")
    if not source.is_file():
        return None
    found = re.search(r"""__frontend_version__\s*=\s*['"]([^'"]+)""", source.read_text(encoding="utf-8"))
    return found.group(1) if found else None


def _mismatch() -> str | None:
    """Return the version nglview should have asked for, or None where it asks for the right one.

    nglview 4.0.1 asks for front end 4.0 but ships 3.1.5: JupyterLab then shows an error instead of a molecule.
    """
    installed = _installed_front_end()
    return None if installed in (None, _requested_front_end()) else installed


_VERSION = _mismatch()
if _VERSION is not None and "nglview" not in sys.modules:
    # nglview opens a widget (its colour registry) while it is imported: the version is put right before that.
    _stand_in = types.ModuleType("nglview._frontend")
    _stand_in.__frontend_version__ = _VERSION  # type: ignore[attr-defined]
    sys.modules["nglview._frontend"] = _stand_in

import nglview  # noqa: E402


class MoleculeView(widgets.VBox):
    """A molecule or a periodic frame, live.

    Parameters
    ----------
    numbers : [N] atomic numbers.
    positions : [N, 3] Å.
    cell : [3, 3] Å, rows are the lattice vectors; None or zeros: no box.
    pbc : [3] bool; the box is drawn where any is true (all, if a cell comes without pbc).
    height : CSS height of the picture.

    Raises
    ------
    ValueError
        If an array does not have one row for every atom, or a position is not finite.
    """

    def __init__(self, numbers, positions, cell=None, pbc=None, height: str = "420px") -> None:
        self._guard = threading.RLock()
        self._timer: threading.Timer | None = None
        self._sent_at = -np.inf
        self._movie: np.ndarray | None = None
        self._picked: list[Callable[[int], object]] = []
        version = {} if _VERSION is None else {"_model_module_version": _VERSION, "_view_module_version": _VERSION}
        self.ngl = nglview.NGLWidget(**version)
        self.ngl._view_width, self.ngl._view_height = "100%", height
        self.ngl.layout.width = "100%"
        self.ngl.on_msg(self._on_message)
        self._make_controls()
        self.set_molecule(numbers, positions, cell, pbc)
        super().__init__([self.ngl, self._switches, self._movie_row, self._legend])
        self.layout.width = "100%"

    def __repr__(self) -> str:
        return f"MoleculeView({scene.formula(self.numbers)}, {len(self.numbers)} atoms)"

    def set_molecule(self, numbers, positions, cell=None, pbc=None) -> None:
        """Show another molecule in the same view; arguments as at construction."""
        numbers = np.asarray(numbers, dtype=np.int64)
        positions = _rows(positions, len(numbers), "positions", finite=True)
        cell = np.zeros((3, 3)) if cell is None else np.asarray(cell, dtype=np.float64)
        periodic = bool(cell.any()) and (pbc is None or bool(np.any(pbc)))
        with self._guard:
            self.clear_trajectory()
            self.numbers, self._radii = numbers, scene.ball_radii(numbers)
            # Fresh for every molecule: the page ignores a state that belongs to another one.
            self._identity = getattr(self, "_identity", 0) + 1
            self._molecule = {"id": self._identity} | scene.molecule(numbers, positions, cell, periodic)
            self._positions, self._forces, self._reference, self._error = positions, None, None, None
            self._energy, self._broken, self._what = None, None, PREDICTED
            self._colour = scene.PREDICTED_COLOUR
            self._describe()
            self._run(f"this.piwsl && this.piwsl.load({json.dumps(self._molecule)});")
            self._push()

    def show(
        self, positions, forces=None, reference_forces=None, atom_error=None, colour=None, *,
        atom_energy=None, broken=None, what=PREDICTED,
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
        positions = _rows(positions, count, "positions", finite=True)
        forces = None if forces is None else _rows(forces, count, "forces")
        reference = None if reference_forces is None else _rows(reference_forces, count, "reference_forces")
        if atom_error is None and forces is not None and reference is not None:
            atom_error = np.linalg.norm(forces - reference, axis=1)
        error = None if atom_error is None else np.asarray(atom_error, dtype=np.float64)
        energy = None if atom_energy is None else np.asarray(atom_energy, dtype=np.float64)
        for name, values, unit in (("atom_error", error, "length in eV/Å"), ("atom_energy", energy, "energy in eV")):
            if values is not None and values.shape != (count,):
                raise ValueError(f"{name} has shape {values.shape}, expected ({count},): one {unit} per atom")
        with self._guard:
            self.clear_trajectory()
            self._positions, self._forces, self._reference, self._error = positions, forces, reference, error
            self._energy, self._broken, self._what = energy, broken, what
            self._colour = colour or self._colour
            self._describe()
            self._push()

    def show_trajectory(self, frames, label: str = "trajectory") -> None:
        """Offer a movie of frames [T, N, 3] (Å) with play, loop and a slider; arrows rest meanwhile."""
        frames = np.asarray(frames, dtype=np.float64)
        if frames.ndim != 3 or frames.shape[1:] != (len(self.numbers), 3) or not len(frames):
            raise ValueError(f"frames have shape {frames.shape}, expected (T, {len(self.numbers)}, 3) with T ≥ 1")
        broken = ~np.isfinite(frames).all(axis=(1, 2))
        if broken.any():
            first = int(np.argmax(broken))
            raise ValueError(f"frame {first} of the trajectory is not finite: show frames[:{first}] only")
        with self._guard:
            self._stop_playing()
            self._movie = None  # the slider must not draw while its bounds move
            self._slider.max = self._play.max = len(frames) - 1
            self._slider.value = self._play.value = 0
            self._movie = frames
            self._movie_label.value = label
            self._movie_row.layout.display = ""
            self._describe()
            self._push()

    def clear_trajectory(self) -> None:
        """Stop and hide the movie; the geometry of the last `show` returns."""
        with self._guard:
            if self._movie is None:
                return
            self._stop_playing()
            self._movie = None
            self._movie_row.layout.display = "none"
            self._describe()
            self._push()

    def relayout(self) -> None:
        """Take the present size of the page and centre the molecule: call it when a hidden tab has opened."""
        self._run("this.piwsl && this.piwsl.fit();")

    # The controls

    def _make_controls(self) -> None:
        def switch(text: str) -> widgets.Checkbox:
            box = widgets.Checkbox(value=True, description=text, indent=False)
            box.layout.width = "auto"
            box.observe(lambda _: self._push(), names="value")
            return box

        self.show_predicted = switch("predicted force")
        self.show_reference = switch("reference force")
        self.colour_by_error = switch("colour by force error")
        self.colour_by_energy = switch("colour by energy of the atom")
        switches = [self.show_predicted, self.show_reference, self.colour_by_error, self.colour_by_energy]
        self._switches = widgets.HBox(switches)
        self._switches.layout.flex_flow = "row wrap"
        self._legend = widgets.HTML()
        self._play = widgets.Play(interval=80)
        repeat = "repeat" if self._play.has_trait("repeat") else "_repeat"  # ipywidgets 8 and 7
        setattr(self._play, repeat, True)
        self._slider = widgets.IntSlider(description="frame", min=0)
        self._slider.observe(lambda _: self._push(), names="value")
        widgets.jslink((self._play, "value"), (self._slider, "value"))
        self._movie_label = widgets.Label()
        self._movie_row = widgets.HBox([self._movie_label, self._play, self._slider])
        self._movie_row.layout.flex_flow = "row wrap"
        self._movie_row.layout.display = "none"

    def _describe(self) -> None:
        """Offer switches and legend for what there is to see only."""
        still = self._movie is None
        there = {
            self.show_predicted: still and self._forces is not None,
            self.show_reference: still and self._reference is not None,
            self.colour_by_error: still and self._error is not None,
            self.colour_by_energy: still and self._error is None and self._energy is not None,
        }
        self.show_predicted.description = self._what
        for box, shown in there.items():
            box.layout.display = "" if shown else "none"
        predicted, reference, error, energy = there.values()
        broken = still and self._broken is not None and bool(np.any(self._broken[1]))
        colour = self._colour if predicted else None
        self._legend.value = scene.legend(colour, reference, error, energy, broken, self._what)

    def _stop_playing(self) -> None:
        setattr(self._play, "playing" if self._play.has_trait("playing") else "_playing", False)

    # The wire

    def _state(self) -> dict:
        """Everything that changes live, as plain numbers (JSON knows no nan)."""
        state: dict = {
            "molecule": self._identity,
            "predicted": None,
            "reference": None,
            "broken": None,
            "colours": self._molecule["elements"],
        }
        if self._movie is not None:
            state["positions"] = scene.flat(self._movie[min(self._slider.value, len(self._movie) - 1)])
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
        if self._broken is not None:
            state["broken"] = scene.rods(self._positions, *self._broken, scene.BROKEN_COLOUR)
        return state

    def _arrows(self, forces: np.ndarray, colour: str, radius: float, opacity: float) -> dict:
        return scene.arrows(self._positions, forces, self._radii, colour, radius, opacity)

    def _push(self) -> None:
        """Send the state now, or a moment later if one was just sent: the last state always arrives."""
        with self._guard:
            if not self.ngl.loaded or self._timer is not None:
                return
            wait = self._sent_at + SECONDS_BETWEEN_DRAWS - time.monotonic()
            if wait <= 0:
                self._send_state()
                return
            self._timer = threading.Timer(wait, self._send_state)
            self._timer.daemon = True
            self._timer.start()

    def _send_state(self) -> None:
        with self._guard:
            self._timer = None
            self._sent_at = time.monotonic()
            self._run(f"this.piwsl && this.piwsl.draw({json.dumps(self._state())});")

    def _run(self, javascript: str) -> None:
        # Not through nglview's own queue: it archives every call for ever and waits up to 0.1 s.
        if self.ngl.loaded:
            self.ngl.send(
                {
                    "type": "call_method",
                    "target": "Widget",
                    "methodName": "executeCode",
                    "args": [javascript],
                    "kwargs": {},
                }
            )

    def on_pick(self, callback: Callable[[int], object]) -> None:
        """Call back with the index of an atom that was clicked."""
        self._picked.append(callback)

    def _on_message(self, _widget, content: dict, _buffers) -> None:
        """Bring a front end that has just appeared (first display, second view, reloaded page) up to date; picks."""
        if content.get("type") == "piwsl_picked":
            for callback in self._picked:
                callback(int(content["atom"]))
        if content.get("type") == "request_loaded":
            with self._guard:
                self._run(_JAVASCRIPT)
                self._run(f"this.piwsl.load({json.dumps(self._molecule)});")
                self._send_state()


def _rows(values, count: int, name: str, finite: bool = False) -> np.ndarray:
    """Return a float64 copy of shape [count, 3], or say which argument is wrong."""
    array = np.array(values, dtype=np.float64)
    if array.shape != (count, 3):
        raise ValueError(
            f"{name} have shape {array.shape}, but the molecule shown has {count} atoms: pass ({count}, 3)"
        )
    if finite and not np.isfinite(array).all():
        atom = int(np.argmin(np.isfinite(array).all(axis=1)))
        raise ValueError(f"{name} of atom {atom} are not finite: stop the run that made them, they cannot be drawn")
    return array
