"""Lesson 01: a bond, its energy, its force, and slopes from two points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as W
import numpy as np

from piwsl_lab.lab.checks.landscapes import central
from piwsl_lab.lab.figures.players import TRUTH, YOURS, Line, Panel, Panels
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.parts.colours import COLOURS, DIRECT, DIRECT_PITC
from piwsl_lab.lab.players.player import Player, Yours, spread
from piwsl_lab.toys import Morse

R_RANGE = (0.45, 2.6)  # Å
DRAWN = 0.2  # of the usual length of a force: the bond is short and its forces are large
BLUE, ORANGE = COLOURS[DIRECT_PITC], COLOURS[DIRECT]


def _slider(name: str, low: float, high: float, step: float, value: float, words: str) -> W.FloatSlider:
    slider = W.FloatSlider(min=low, max=high, step=step, value=value, description=name, readout_format=".2f")
    spread(slider, words, 420)
    return slider


class BondPlayer(Player):
    """A hydrogen molecule that is stretched: the height of its energy, and the slope that is its force.

    Parameters
    ----------
    force : callable, optional
        The learner's force, eV/Å, of a length in Å, drawn as it is. Depth and width then have no knobs.
    r : float, optional
        Length of the bond at first, Å.

    Attributes
    ----------
    bond : Morse
    """

    def __init__(self, force: Callable[..., Any] | None = None, r: float = 1.0) -> None:
        self.yours, self.bond = Yours(force), Morse()
        knobs = {"r": _slider("length r, Å", *R_RANGE, 0.01, r, "80px")}
        if force is None:
            knobs["depth"] = _slider("depth D, eV", 1.0, 6.0, 0.25, self.bond.depth, "80px")
            knobs["width"] = _slider("steepness a, 1/Å", 1.0, 3.0, 0.02, self.bond.width, "112px")
        panels = [
            Panel("energy E(r), eV", "length r, Å", x=R_RANGE, y=(-0.6, 7.0)),
            Panel("force F(r), eV/Å; below zero it pulls", "length r, Å", x=R_RANGE, y=(-8.0, 8.0)),
        ]
        # The camera takes in the longest bond.
        molecule = MoleculeView(np.array([1, 1]), np.array([[0, 0, 0], [R_RANGE[1], 0, 0]]), height="230px", bare=True)
        legend = "Two hydrogen atoms, one of them held. Arrow: the force on the other one, 0.1 Å long for 1 eV/Å."
        super().__init__(knobs, Panels(panels, columns=2, height=330), molecule, legend, shares=(17, 7))

    def show(self) -> str:
        r = self.value("r")
        if "depth" in self.knobs:
            self.bond = Morse(self.value("depth"), self.value("width"))
        bond, lengths = self.bond, np.linspace(*R_RANGE, 200)
        energy, force = float(bond.energy(r)), float(bond.force(r))
        near = np.array([r - 0.25, r + 0.25])
        where, strongest = bond.strongest_pull
        lines = [
            Line(0, "energy", lengths, bond.energy(lengths), TRUTH),
            Line(0, "slope here", near, energy - force * (near - r), ORANGE, width=4),
            Line(0, "", [r], [energy], ORANGE, "", "circle", size=11),
            Line(1, "force", lengths, bond.force(lengths), BLUE, "solid" if self.yours.function is None else "dash"),
            Line(1, "", [r], [force], ORANGE, "", "circle", size=11),
            Line(1, "strongest pull", [where], [strongest], BLUE, "", "star", size=12),
        ]
        if self.yours.function is not None:
            own = self.yours.over([(float(length),) for length in lengths])
            lines.append(Line(1, "yours", lengths, own, YOURS, width=3))
        self.plot.draw(lines)
        positions = np.array([[0.0, 0.0, 0.0], [r, 0.0, 0.0]])
        self.molecule.show(positions, np.array([[0.0, 0.0, 0.0], [DRAWN * force, 0.0, 0.0]]), colour=ORANGE)
        kind = "pushes apart" if force > 0.005 else "pulls together" if force < -0.005 else "rests"
        words = f"r = {r:.2f} Å: E = {energy:.3f} eV, slope {-force:+.3f} eV/Å, force {force:+.3f} eV/Å: it {kind}."
        return f"{words}{self.yours.said(self.yours(r), ' eV/Å', '+.3f')}"


class SlopePlayer(Player):
    """The slope of a bond's energy from two points, and its error against their distance.

    Parameters
    ----------
    slope : callable, optional
        The learner's rule, drawn as it is: `slope(energy, r, h)`.
    """

    EXPONENTS = np.round(np.arange(-11.0, -0.49, 0.5), 1)

    def __init__(self, slope: Callable[..., Any] | None = None) -> None:
        self.yours, self.bond = Yours(slope), Morse()
        exponent = W.FloatSlider(
            min=-11.0, max=-0.5, step=0.5, value=-1.0, description="log₁₀ of h", readout_format=".1f"
        )
        spread(exponent, "76px", 420)
        knobs = {"exponent": exponent, "r": _slider("length r, Å", 0.5, 2.0, 0.01, 1.0, "80px")}
        panels = [
            Panel("energy E(r), eV", "length r, Å", x=(0.45, 2.3), y=(-0.4, 6.0)),
            Panel("error of the slope, eV/Å", "step h, Å", "xy", (5e-12, 0.5), (1e-11, 30.0)),
        ]
        super().__init__(knobs, Panels(panels, columns=2, height=340))

    def errors(self, rule: Callable[..., Any], r: float) -> np.ndarray:
        """Absolute errors of a rule for every step size, eV/Å."""
        return np.array([abs(float(rule(self.bond.energy, r, 10.0**e)) + self.bond.force(r)) for e in self.EXPONENTS])

    def show(self) -> str:
        r, h = self.value("r"), 10.0 ** self.value("exponent")
        bond, lengths = self.bond, np.linspace(0.45, 2.3, 200)
        ends = np.array([r - h, r + h])
        slope = float(central(bond.energy, r, h))
        wide = np.array([r - max(h, 0.2), r + max(h, 0.2)])
        middle = 0.5 * float(np.sum(bond.energy(ends)))
        sizes = 10.0**self.EXPONENTS
        lines = [
            Line(0, "energy", lengths, bond.energy(lengths), TRUTH),
            Line(0, "through two points", wide, middle + slope * (wide - r), BLUE, width=3),
            Line(0, "", ends, bond.energy(ends), BLUE, "", "circle", size=10),
            Line(1, "one side", sizes, self.errors(_forward, r), ORANGE, marker="circle", size=5),
            Line(1, "both sides", sizes, self.errors(central, r), BLUE, marker="circle", size=5),
            Line(1, "now", [h], [abs(slope + bond.force(r))], BLUE, "", "circle-open", size=16),
        ]
        if self.yours.function is not None:
            own = self.yours.over([(bond.energy, r, size) for size in sizes])
            lines.append(Line(1, "yours", sizes, np.abs(own + bond.force(r)), YOURS, "dash", "diamond", size=7))
        self.plot.draw(lines)
        words = (
            f"h = {h:.1e} Å: slope from both sides {slope:.6f} eV/Å, exact {-bond.force(r):.6f} eV/Å, "
            f"error {abs(slope + bond.force(r)):.1e} eV/Å."
        )
        return f"{words}{self.yours.said(self.yours(bond.energy, r, h), ' eV/Å', '.6f')}"


def _forward(energy: Callable[[float], Any], r: float, h: float) -> Any:
    return (energy(r + h) - energy(r)) / h
