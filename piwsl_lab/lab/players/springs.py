"""Lesson 07: what a consistency loss teaches, on two springs that can be solved, and on stored trainings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from piwsl_lab.data import Frame, Oracle
from piwsl_lab.lab.checks.springs import bias as exact_bias
from piwsl_lab.lab.figures.players import TRUTH, YOURS, Line, Panel, Panels
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.parts.knobs import choice, steps
from piwsl_lab.lab.parts.units import mev
from piwsl_lab.lab.players.player import Player, Yours, spread
from piwsl_lab.lab.players.taylor import ORDER_COLOURS, hessian, label, reference_method
from piwsl_lab.study.tables import find_studies, read_table
from piwsl_lab.toys import TwoSprings

EPSILONS = tuple(float(e) for e in np.round(np.geomspace(0.025, 0.4, 17), 3))  # Å; every fourth step doubles it
SPRING_WEIGHTS = (0.0, 1.0, 10.0, 100.0, 1000.0)
ORDER_WORDS = {"first force": 1, "mean of both forces": 2}
PRESSED, DRAWN = 0.2, 10.0  # Å by which the drawn bond is too short; its arrow is so many times longer
BOND = 1.3  # Å at rest, for the picture


def _stop(value: float, stops: Sequence[float]) -> float:
    return min(stops, key=lambda stop: abs(stop - value))


class SpringPlayer(Player):
    """A spring with k = 1 eV/Å² is learned from labels and from advice: what stiffness comes out?

    Parameters
    ----------
    softness : callable, optional
        The learner's k′/k, drawn as it is: `softness(weight, epsilon, labels)`.
    springs : TwoSprings, optional
    weight, epsilon : float, optional
    """

    def __init__(
        self, softness: Callable[..., Any] | None = None, springs: TwoSprings | None = None,
        weight: float = 100.0, epsilon: float = 0.1,
    ) -> None:  # fmt: skip
        self.springs, self.yours = springs or TwoSprings(), Yours(softness)
        knobs = {
            "epsilon": steps("step ε, Å", EPSILONS, _stop(epsilon, EPSILONS), "How far the advice pushes the spring."),
            "weight": steps("weight", SPRING_WEIGHTS, weight, "How strongly the advice counts.", off=True),
            "order": choice(list(ORDER_WORDS), ["E₁ − E₀ + F₀ δ", "E₁ − E₀ + ½ (F₀ + F₁) δ"], "158px"),
        }
        for name in ("epsilon", "weight"):
            spread(knobs[name], "66px", 360)
        panels = [
            Panel("energy, eV", "stretch x, Å", x=(-0.32, 0.32), y=(-0.002, 0.055)),
            Panel("softening k/k′ − 1", "step ε, Å", "xy", (0.022, 0.45), (1e-5, 30.0)),
        ]
        plot = Panels(panels, columns=2)
        molecule = MoleculeView(np.array([6, 6]), self._positions(), height="230px", bare=True, room=0.7)
        legend = (
            f"The bond pressed together by {PRESSED:g} Å, one atom held. Wide and pale: the true force on "
            f"the other atom. Inside it: the learned one. Both {DRAWN:g} times longer."
        )
        super().__init__(knobs, plot, molecule, legend, shares=(17, 7))

    @staticmethod
    def _positions() -> np.ndarray:
        """Positions [2, 3] of the atoms of the pressed bond, Å."""
        return np.array([[0.0, 0.0, 0.0], [BOND - PRESSED, 0.0, 0.0]])

    def stiffness(self, weight: float, epsilon: float, order: int) -> float:
        """k′ of the energy that is learned, eV/Å²."""
        return self.springs.fit_conservative(weight, epsilon, order)

    def show(self) -> str:
        epsilon, weight = self.value("epsilon"), self.value("weight")
        order = ORDER_WORDS[self.value("order")]
        learned = self.stiffness(weight, epsilon, order)
        x = np.linspace(-0.32, 0.32, 81)
        labels = self.springs.positions[::4]
        sizes = np.array(EPSILONS)
        softening = np.array([1 / self.stiffness(weight, size, 1) - 1 for size in EPSILONS])
        lines = [
            Line(0, "truth", x, 0.5 * x**2, TRUTH, "dash"),
            Line(0, "labels", labels, 0.5 * labels**2, TRUTH, "", "circle", size=5),
            Line(0, "learned", x, 0.5 * learned * x**2, ORDER_COLOURS[order], width=3),
            Line(1, "first force", sizes, softening, ORDER_COLOURS[1], marker="circle", size=5),
            Line(1, "now", [epsilon], [1 / learned - 1], ORDER_COLOURS[order], "", "circle-open", size=16),
            *self._own(weight),
        ]
        self.plot.draw(lines)
        true = np.array([[0.0, 0.0, 0.0], [PRESSED * DRAWN, 0.0, 0.0]])
        self.molecule.show(self._positions(), learned * true, true, colour=ORDER_COLOURS[order])
        words = f"learned stiffness k′ = {learned:.4f} eV/Å², true 1 eV/Å²: too soft by {100 * (1 - learned):.2f} %."
        own = self.yours(weight, epsilon, self.springs.stiffness_of_labels)
        return f"{words}{self.yours.said(own, '', '.4f', 'k′/k = ')}"

    def _own(self, weight: float) -> list[Line]:
        if self.yours.function is None:
            return []
        labels = self.springs.stiffness_of_labels
        kept = self.yours.over([(weight, size, labels) for size in EPSILONS])
        with np.errstate(divide="ignore", invalid="ignore"):
            return [Line(1, "yours", EPSILONS, 1 / kept - 1, YOURS, "dash", "diamond", size=6)]


class BiasPlayer(Player):
    """What the first force leaves over in random steps of a molecule, and its mean.

    Parameters
    ----------
    frame : Frame
    bias : callable, optional
        The learner's mean, drawn as it is: `bias(hessian, epsilon)`, eV.
    draws : int, optional
        Random steps.
    oracle : Oracle, optional
        By default GFN2-xTB.

    Attributes
    ----------
    hessian : [3N, 3N] array
        Second derivatives at the frame, eV/Å².
    """

    STEPS = (0.01, 0.02, 0.03, 0.05, 0.08)

    def __init__(
        self, frame: Frame, bias: Callable[..., Any] | None = None, draws: int = 100, oracle: Oracle | None = None
    ) -> None:
        self.frame, self.oracle, self.yours = frame, oracle or reference_method(), Yours(bias)
        self._here = label(self.oracle, frame)
        self.hessian = hessian(self.oracle, frame)
        self._directions = np.random.default_rng(0).uniform(-1, 1, (draws, *frame.positions.shape))
        self._found: dict[float, np.ndarray] = {}
        knob = steps("step ε, Å", self.STEPS, 0.05, "Every component of every step is uniform in [−ε, ε].")
        spread(knob, "66px", 400)
        panels = [
            Panel("left over in each of the steps, meV", "number of the step"),
            Panel("mean of what is left over, meV", "step ε, Å", "xy", (0.008, 0.1), (3.0, 1500.0)),
        ]
        plot = Panels(panels, columns=2, height=330)
        molecule = MoleculeView(frame.numbers, frame.positions, height="230px", bare=True)
        legend = "Arrows: the direction in which each atom is held most stiffly. Longer is stiffer."
        super().__init__({"epsilon": knob}, plot, molecule, legend, shares=(17, 7))

    def left(self, epsilon: float) -> np.ndarray:
        """What each of the random steps leaves over, eV."""
        if epsilon not in self._found:
            labels = [label(self.oracle, self.frame, epsilon * d) for d in self._directions]
            work = np.einsum("nak,ak->n", epsilon * self._directions, self._here.forces)
            self._found[epsilon] = np.array([found.energy for found in labels]) - self._here.energy + work
        return self._found[epsilon]

    def show(self) -> str:
        epsilon = self.value("epsilon")
        left = self.left(epsilon)
        exact = np.array([exact_bias(self.hessian, size) for size in self.STEPS])
        now = exact_bias(self.hessian, epsilon)
        number = np.arange(1, len(left) + 1)
        lines = [
            Line(0, "one step", number, mev(left), ORDER_COLOURS[1], "", "circle", size=6),
            Line(0, "mean", number[[0, -1]], [mev(left.mean())] * 2, ORDER_COLOURS[1], width=3),
            Line(0, "exact mean", number[[0, -1]], [mev(now)] * 2, TRUTH, "dash"),
            Line(1, "exact mean", self.STEPS, mev(exact), TRUTH, "dash"),
            Line(1, "mean", self.STEPS, [mev(self.left(s).mean()) for s in self.STEPS], ORDER_COLOURS[1], "", "circle"),
        ]
        if self.yours.function is not None:
            own = self.yours.over([(self.hessian, size) for size in self.STEPS])
            lines.append(Line(1, "yours", self.STEPS, mev(own), YOURS, "dash", "diamond"))
        self.plot.draw(lines)
        self.molecule.show(self.frame.positions, self._stiffest(), colour=ORDER_COLOURS[2])
        words = (
            f"ε = {epsilon:g} Å: mean of {len(left)} steps {mev(left.mean()):.0f} meV, exact {mev(now):.0f} meV. "
            f"The diagonal of H adds up to {np.trace(self.hessian):.0f} eV/Å²."
        )
        mean = self.yours(self.hessian, epsilon)
        return f"{words}{self.yours.said(None if mean is None else mev(mean), ' meV', '.0f')}"

    def _stiffest(self) -> np.ndarray:
        """Arrows [N, 3] along the direction in which each atom is held most stiffly, away from its neighbours."""
        positions = self.frame.positions
        arrows = np.zeros_like(positions)
        for atom in range(len(positions)):
            block = self.hessian[3 * atom : 3 * atom + 3, 3 * atom : 3 * atom + 3]
            values, vectors = np.linalg.eigh(block)
            away = positions[atom] - positions
            nearest = away[np.argsort(np.linalg.norm(away, axis=1))[1]]
            arrows[atom] = values[-1] * vectors[:, -1] * (1.0 if vectors[:, -1] @ nearest >= 0 else -1.0)
        return 2.5 * arrows / np.linalg.norm(arrows, axis=1).max()


class AdvicePlayer(Player):
    """Stored trainings with advice of both kinds: errors against the step ε, divided by those of labels alone.

    Every point is one training of the study `epsilon-weight` (ethanol, 50 labels, weight 100 / eV²). Lines go through
    the means.

    Parameters
    ----------
    studies : Path, optional
        Folder of the studies; by default that of the installation.
    """

    QUANTITIES: ClassVar[dict[str, str]] = {"energy error": "energy_mae", "force error": "force_rmse"}

    def __init__(self, studies: Path | None = None) -> None:
        folder = studies or find_studies()
        if folder is None:
            raise ValueError("the stored studies are not here: install piwsl-lab from its wheel or its checkout")
        self.rows = read_table(folder / "epsilon-weight" / "results.csv")
        knobs = {
            "quantity": choice(list(self.QUANTITIES), ["Of energies (MAE).", "Of forces (RMSE)."], "110px"),
        }
        title = "error, divided by that of labels alone"
        super().__init__(knobs, Panels([Panel(title, "step ε, Å", "xy", (0.0025, 0.25), (0.27, 2.6))], height=320))

    def ratios(self, order: int, quantity: str) -> dict[float, list[float]]:
        """Error over that of the supervised run of the same seed, by ε; one number for every seed."""
        alone = {row["seed"]: row[quantity] for row in self.rows if row["method"] == "supervised"}
        found: dict[float, list[float]] = {}
        for row in self.rows:
            if row["method"] == "pitc" and row["order"] == order:
                found.setdefault(row["epsilon"], []).append(row[quantity] / alone[row["seed"]])
        return dict(sorted(found.items()))

    def show(self) -> str:
        quantity = self.QUANTITIES[self.value("quantity")]
        lines = [Line(0, "labels alone", [0.0025, 0.25], [1.0, 1.0], "#888888", "dot", width=2)]
        said = []
        for words, order in ORDER_WORDS.items():
            found = self.ratios(order, quantity)
            where, each = zip(*((epsilon, value) for epsilon, values in found.items() for value in values), strict=True)
            means = [float(np.mean(values)) for values in found.values()]
            lines.append(Line(0, words, list(found), means, ORDER_COLOURS[order], width=2.5))
            lines.append(Line(0, words, where, each, ORDER_COLOURS[order], "", "circle", size=6))
            best = min(found, key=lambda epsilon: np.mean(found[epsilon]))
            largest = max(found)
            said.append(
                f"{words}: ×{np.mean(found[best]):.2f} at ε = {best:g} Å, ×{np.mean(found[largest]):.2f} at "
                f"{largest:g} Å ({len(found[best])} seeds)"
            )
        self.plot.draw(lines)
        return f"{self.value('quantity')}, divided by that of labels alone. " + "; ".join(said) + "."
