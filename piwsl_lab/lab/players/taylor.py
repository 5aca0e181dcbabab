"""Lesson 06: push a molecule, and see what the work of its forces leaves over. All labels are live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from piwsl_lab.data import DataError, Frame, Oracle
from piwsl_lab.lab.checks.taylor import left_over
from piwsl_lab.lab.figures.players import TRUTH, YOURS, Line, Panel, Panels
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.parts.colours import COLOURS, DIRECT, DIRECT_PITC
from piwsl_lab.lab.parts.knobs import choice, dropdown, steps
from piwsl_lab.lab.parts.units import mev
from piwsl_lab.lab.players.player import Player, Yours, spread

EPSILONS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.15)  # Å
RULES = {"the first force": 1, "the mean of both forces": 2}
FIRST = next(iter(RULES))
DRAWN = 10.0  # times longer than they are: steps of a molecule are shorter than its atoms are wide
ORDER_COLOURS = {1: COLOURS[DIRECT], 2: COLOURS[DIRECT_PITC]}  # of both orders, in 06 and 07
STEP = 0.005  # Å, of the second derivatives


def reference_method() -> Oracle:
    """GFN2-xTB where it is installed, else a crude force field: the law holds for both."""
    try:
        return Oracle("gfn2-xtb")
    except DataError:  # no tblite for this machine, such as Windows with pip
        from ase.calculators.emt import EMT

        return Oracle(EMT())


class EnergyForces(NamedTuple):
    """Energy, eV, and forces [N, 3], eV/Å, of one geometry."""

    energy: float
    forces: np.ndarray


def label(oracle: Oracle, frame: Frame, step: np.ndarray | float = 0.0) -> EnergyForces:
    """EnergyForces of a frame whose atoms were moved by a step [N, 3], Å.

    Raises
    ------
    ValueError
        The oracle gives no energies or no forces.
    """
    found = oracle.label(frame.numbers, frame.positions + step)
    if found.energy is None or found.forces is None:
        raise ValueError(f"{oracle.method} gives no energies or no forces: choose an oracle that gives both")
    return EnergyForces(found.energy, found.forces)


def hessian(oracle: Oracle, frame: Frame, step: float = STEP) -> np.ndarray:
    """Second derivatives [3N, 3N] of the energy, eV/Å², by central differences of 6N force labels."""
    size = frame.positions.size
    rows = np.zeros((size, size))
    for k in range(size):
        push = np.zeros(frame.positions.shape)
        push.flat[k] = step
        there = label(oracle, frame, push).forces
        back = label(oracle, frame, -push).forces
        rows[k] = (back - there).ravel() / (2 * step)
    return 0.5 * (rows + rows.T)


def directions(oracle: Oracle, frame: Frame) -> dict[str, np.ndarray]:
    """Steps [N, 3] by name, each for ε = 1 Å: random ones, modes of the frame, and two that keep its shape.

    All but the random ones have the root mean square of a uniform number in [−1, 1], so that ε means the same size.
    """
    shape = frame.positions.shape
    modes = np.linalg.eigh(hessian(oracle, frame))[1].T
    turn = np.cross([0.0, 0.0, 1.0], frame.positions - frame.positions.mean(axis=0))
    named = {
        "the softest direction": modes[0].reshape(shape),
        "the stiffest direction": modes[-1].reshape(shape),
        "a shift of the whole molecule": np.tile([1.0, 0.5, 0.2], (shape[0], 1)),
        "a turn of the whole molecule": turn,
    }
    size = np.sqrt(frame.positions.size / 3.0)
    return {f"random step {seed + 1}": np.random.default_rng(seed).uniform(-1, 1, shape) for seed in range(3)} | {
        name: size * step / np.linalg.norm(step) for name, step in named.items()
    }


def _mev(energy: float) -> str:
    """An energy in eV as signed meV, without a minus in front of zero."""
    return f"{round(mev(energy), 2) + 0.0:+.2f} meV"


class TaylorPlayer(Player):
    """What is left of an energy change when the work of the forces is taken away, against the size of the step.

    Parameters
    ----------
    frame : Frame
        Where the step begins.
    pitc : callable, optional
        The learner's function, drawn as it is: `pitc(e0, e1, f0, f1, delta, structure)`.
    direction : str, optional
        A name of `directions`.
    rule : str, optional
        "the first force" or "the mean of both forces".
    epsilon : float, optional
        Å; one of `EPSILONS`.
    oracle : Oracle, optional
        By default `reference_method()`.

    Attributes
    ----------
    left : float
        What is left over at the present step, eV.
    """

    def __init__(
        self, frame: Frame, pitc: Callable[..., Any] | None = None, direction: str = "random step 1",
        rule: str = FIRST, epsilon: float = 0.04, oracle: Oracle | None = None,
    ) -> None:  # fmt: skip
        self.frame, self.oracle = frame, oracle or reference_method()
        self.yours = Yours(pitc)
        self.directions = directions(self.oracle, frame)
        self._here = label(self.oracle, frame)
        self._there: dict[tuple[str, float], EnergyForces] = {}
        self.left = np.nan
        knobs = {
            "epsilon": steps("step ε, Å", EPSILONS, epsilon, "How far each atom is pushed, at most."),
            "direction": dropdown("direction", [(name, name) for name in self.directions], direction,
                                  "Which way the atoms are pushed."),
            "rule": choice(list(RULES), ["Force where the step begins.", "Half the sum of the forces at both ends."],
                           "178px", value=rule),
        }  # fmt: skip
        for name in ("epsilon", "direction"):
            spread(knobs[name], "72px", 380)
        plot = Panels([Panel("left over (absolute value), meV", "step ε, Å", "xy", (0.004, 0.19), (0.003, 4000.0))])
        molecule = MoleculeView(frame.numbers, frame.positions, height="330px", bare=True)
        legend = f"Where the step ends. Arrows: the step of every atom, drawn {DRAWN:g} times longer."
        super().__init__(knobs, plot, molecule, legend)

    def label(self, direction: str, epsilon: float) -> EnergyForces:
        """The labels at the end of a step; every step is asked for once."""
        key = direction, epsilon
        if key not in self._there:
            step = epsilon * self.directions[direction]
            self._there[key] = label(self.oracle, self.frame, step)
        return self._there[key]

    def remainder(self, direction: str, epsilon: float, order: int, function: Callable[..., Any] = left_over) -> Any:
        """What `function` says is left over, eV; at order 1 it gets the first force in place of both."""
        there = self.label(direction, epsilon)
        last = self._here.forces if order == 1 else there.forces
        energies = np.array([self._here.energy]), np.array([there.energy])
        atoms = np.zeros(len(self.frame.numbers), dtype=int)
        found = function(*energies, self._here.forces, last, epsilon * self.directions[direction], atoms)
        return None if found is None else float(np.ravel(found)[0])

    def show(self) -> str:
        direction, epsilon, rule = (self.value(name) for name in ("direction", "epsilon", "rule"))
        order = RULES[rule]
        left = np.array([self.remainder(direction, size, order) for size in EPSILONS])
        self.left = self.remainder(direction, epsilon, order)
        lines = []
        for sign, words, marker in ((1, "positive", "circle"), (-1, "negative", "x")):
            some = np.where(sign * left > 0, np.abs(left), np.nan)
            lines.append(Line(0, f"left over, {words}", EPSILONS, mev(some), ORDER_COLOURS[order], "", marker, size=10))
        start = next((k for k in range(len(EPSILONS)) if abs(left[k]) > 1e-6), None)
        if start is not None:
            power = (np.array(EPSILONS) / EPSILONS[start]) ** (order + 1) * mev(abs(left[start]))
            lines.append(Line(0, f"a law ε{'²³'[order - 1]}", EPSILONS, power, TRUTH, "dot", width=1.5))
        lines.append(Line(0, "now", [epsilon], [mev(abs(self.left))], ORDER_COLOURS[order], "", "circle-open", size=18))
        lines += self._own(direction)
        self.plot.draw(lines)
        step = epsilon * self.directions[direction]
        self.molecule.show(self.frame.positions + step, DRAWN * 2.0 * step, colour=COLOURS[DIRECT_PITC])
        change = self.label(direction, epsilon).energy - self._here.energy
        words = (
            f"ΔE = {_mev(change)}, work of {rule} = {_mev(self.left - change)}, "
            f"left over = {_mev(self.left)}. Length of the whole step: {np.linalg.norm(step):.3f} Å."
        )
        own = self.remainder(direction, epsilon, 2, self._first_of) if self.yours.function else None
        return f"{words}{self.yours.said(None if own is None else np.array(mev(own)), ' meV', '+.2f')}"

    def _own(self, direction: str) -> list[Line]:
        """The learner's curve: as it is, right or wrong."""
        if self.yours.function is None:
            return []
        found = [self.remainder(direction, size, 2, self._first_of) for size in EPSILONS]
        own = np.array([np.nan if value is None else value for value in found])
        return [Line(0, "yours", EPSILONS, mev(np.abs(own)), YOURS, "dash", "diamond")]

    def _first_of(self, *arguments: Any) -> np.ndarray | None:
        value = self.yours(*arguments)
        return None if value is None or value.size == 0 else np.ravel(value)
