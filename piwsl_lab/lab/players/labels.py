"""Lesson 04: what each kind of label teaches, and which unit the forces of a file are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from piwsl_lab.data import Frame, Oracle
from piwsl_lab.lab.checks.units import factor
from piwsl_lab.lab.figures.players import TRUTH, YOURS, Line, Panel, Panels
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.panels.drawing import Drawing
from piwsl_lab.lab.parts.colours import COLOURS, CONSERVATIVE, DUAL, OTHERS
from piwsl_lab.lab.parts.knobs import button, choice, dropdown, steps
from piwsl_lab.lab.parts.units import mev
from piwsl_lab.lab.players.player import Player, Yours, spread
from piwsl_lab.lab.players.taylor import EnergyForces, label, reference_method
from piwsl_lab.lab.sessions.training import Session

# All three are conservative potentials; none has the colour that stands for the learner.
COLOURS_HERE = (OTHERS[3], COLOURS[DUAL], COLOURS[CONSERVATIVE])
PERIOD = 0.4  # s between two drawings while it trains
ENERGY_WEIGHTS = (0.0, 0.1, 1.0, 10.0, 100.0)  # 1/eV²
FORCE_WEIGHTS = (0.0, 1.0, 10.0, 100.0, 1000.0)  # Å²/eV²
# What one unit of a file is in eV/Å. CODATA 2018: Hartree 27.211386 eV, Bohr 0.52917721 Å, kcal/mol 0.043364104 eV.
UNITS = {"eV/Å": 1.0, "Hartree per Bohr": 27.211386 / 0.52917721, "kcal/mol per Å": 0.043364104, "gradients": -1.0}
SEED = 4  # of the steps that are drawn
RULES = {"the mean of both forces": True, "the first force": False}


def parts_of_error(energies: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Offset and spread of energies against labels, in their unit: the mean error, and its standard deviation."""
    error = np.asarray(energies, dtype=float) - np.asarray(labels, dtype=float)
    return float(error.mean()), float(error.std())


class LabelPlayer(Player):
    """Potentials of one session that learn from different labels: constant and rest of the energy error, force error.

    Parameters
    ----------
    session : Session
        The knobs are the weights of its last twin. *Train* begins all of them anew.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.drawing = Drawing("piwsl-lesson-drawing", self._draw_once)
        self._sorry = ""
        self.colours = dict(zip((twin.name for twin in session.twins), COLOURS_HERE, strict=False))
        names = [twin.name for twin in session.twins]
        last = session.twins[-1]
        knobs = {
            "energy": steps(
                "energy weight", ENERGY_WEIGHTS, last.objective.energy, "How much energies count.", off=True
            ),
            "force": steps("force weight", FORCE_WEIGHTS, last.objective.force, "How much forces count.", off=True),
            "twin": choice(names, ["Whose forces the arrows are."] * len(names), "118px", value=names[0]),
        }
        for name in ("energy", "force"):
            spread(knobs[name], "106px", 310)
        self.train = button("Train", "play", "success", "Begin anew with these weights of the last potential.")
        panels = [
            Panel("constant error, meV", "training step", "y", y=(0.5, 20000.0)),
            Panel("rest of the error, meV", "training step", "y", y=(15.0, 1500.0)),
            Panel("force error, meV/Å", "training step", "y", y=(100.0, 2000.0)),
        ]
        frame = session.test_frames[0]
        molecule = MoleculeView(frame.numbers, frame.positions, height="250px", bare=True, room=0.5)
        legend = (
            "A frame that none has seen. Wide and pale: the true forces. Coloured: those of the potential chosen above."
        )
        super().__init__(knobs, Panels(panels, columns=3), molecule, legend, shares=(18, 7))
        row = self.children[1]
        row.children = (*row.children, self.train)
        self.train.on_click(lambda _: self._train())
        for field in ("energy", "force"):
            self.knobs[field].observe(lambda change, field=field: self._weigh(field, change["new"]), "value")
        session.listeners.append(self.drawing.start)

    def _weigh(self, field: str, value: float) -> None:
        """The loop reads it at its next step."""
        self.session.set_objective(field, value)

    def _train(self) -> None:
        try:
            if not any(self.value(name) for name in ("energy", "force")):
                raise ValueError("both weights are off: nothing would be learned")
            self._sorry = ""
            self.session.reset()
            self.session.start()
        except ValueError as error:
            self._sorry = f" {error}"
            self.draw()

    def _draw_once(self) -> float | None:
        rests = not self.session.busy
        self.draw()
        return None if rests else PERIOD

    def show(self) -> str:
        colours = self.colours
        lines, said = [], []
        for twin in self.session.twins:
            shots = list(twin.history)
            where = np.array([shot.step for shot in shots])
            parts = np.array([parts_of_error(shot.energy, shots[0].reference_energy) for shot in shots]).reshape(-1, 2)
            forces = np.array([(step, metrics.force_rmse) for step, metrics in list(twin.points)]).reshape(-1, 2)
            marker = "circle" if len(shots) < 5 else ""
            lines += [
                Line(0, twin.name, where, mev(np.abs(parts[:, 0])), colours[twin.name], marker=marker),
                Line(1, twin.name, where, mev(parts[:, 1]), colours[twin.name], marker=marker),
                Line(2, twin.name, forces[:, 0], mev(forces[:, 1]), colours[twin.name], marker=marker),
            ]
            if len(parts):
                said.append(f"{twin.name} {mev(parts[-1, 0]):+.0f} and {mev(parts[-1, 1]):.0f} meV")
        self.plot.draw(lines)
        chosen = self.session.twin(self.value("twin"))
        shot, frame = chosen.snapshot, self.session.test_frames[0]
        if shot is not None:
            self.molecule.show(frame.positions, shot.forces[0], shot.reference_forces[0], colour=colours[chosen.name])
        state = f"Step {self.session.step} of {self.session.steps}."
        error = f" {self.session.error}" if self.session.error else ""
        return f"{state} Energy error, constant and rest: {'; '.join(said)}.{error}{self._sorry}"

    def __repr__(self) -> str:
        """Without numbers: they depend on how far it has trained."""
        return f"LabelPlayer: {', '.join(twin.name for twin in self.session.twins)}; press Train."

    def close(self) -> None:
        """Stop watching the session, and take the player from the screen."""
        if self.drawing.start in self.session.listeners:
            self.session.listeners.remove(self.drawing.start)
        self.session.stop()
        self.drawing.end()
        super().close()


class UnitPlayer(Player):
    """Energy changes of small steps against the work of forces whose unit is not known. All labels are live.

    Parameters
    ----------
    frame : Frame
    unit_factor : callable, optional
        The learner's factor, drawn as it is: `unit_factor(energy_changes, work)`.
    pairs : int, optional
        How many steps.
    oracle : Oracle, optional
        By default GFN2-xTB.
    """

    SIZES = (0.005, 0.01, 0.02, 0.05, 0.1)

    def __init__(
        self, frame: Frame, unit_factor: Callable[..., Any] | None = None, pairs: int = 20, oracle: Oracle | None = None
    ) -> None:
        self.frame, self.oracle, self.yours = frame, oracle or reference_method(), Yours(unit_factor)
        self._here = label(self.oracle, frame)
        self._directions = np.random.default_rng(SEED).uniform(-1, 1, (pairs, *frame.positions.shape))
        self._there: dict[tuple[float, int], list[EnergyForces]] = {}
        knobs = {
            "unit": dropdown("the file has", [(name, name) for name in UNITS], "eV/Å", "What the file really holds."),
            "size": steps("step, Å", self.SIZES, 0.01, "Every component of every step is uniform up to this."),
            "rule": choice(list(RULES), ["Half of the forces at both ends.", "The force at the start."], "178px"),
        }
        for name, width in (("unit", "82px"), ("size", "56px")):
            spread(knobs[name], width, 320)
        panel = Panel("minus the change of energy −ΔE, eV", "work of the forces, in the file's unit times Å")
        super().__init__(knobs, Panels([panel], height=340))

    def pairs(
        self, unit: str, size: float = 0.01, both: bool = True, seed: int = SEED
    ) -> tuple[np.ndarray, np.ndarray]:
        """Energy changes [P], eV, and work [P] of the forces in the file's unit times Å, of P random steps."""
        directions = self._directions
        if seed != SEED:
            directions = np.random.default_rng(seed).uniform(-1, 1, directions.shape)
        if (size, seed) not in self._there:
            self._there[size, seed] = [label(self.oracle, self.frame, size * step) for step in directions]
        there = self._there[size, seed]
        changes = np.array([found.energy for found in there]) - self._here.energy
        forces = np.array([0.5 * (self._here.forces + f.forces) if both else self._here.forces for f in there])
        return changes, np.einsum("pak,pak->p", size * directions, forces) / UNITS[unit]

    def show(self) -> str:
        unit, size, both = self.value("unit"), self.value("size"), RULES[self.value("rule")]
        changes, work = self.pairs(unit, size, both)
        ends = np.array([work.min(), work.max()]) * 1.1
        found = float(factor(changes, work))
        lines = [
            Line(0, "one step each", work, -changes, TRUTH, "", "circle"),
            Line(0, "if it were eV/Å", ends, ends, "#888888", "dot", width=1.5),
        ]
        own = self.yours(changes, work)
        if own is not None and np.size(own) == 1:
            lines.append(Line(0, "yours", ends, float(np.ravel(own)[0]) * ends, YOURS, width=3))
        self.plot.draw(lines)
        words = (
            f"{len(work)} steps of up to {size:g} Å: the slope through zero is {found:.5g} (exact {UNITS[unit]:.6g})."
        )
        return f"{words}{self.yours.said(own, '', '.5g')}"
