"""Lesson 01: a force is minus a slope."""

from __future__ import annotations

import numpy as np

from piwsl_lab.lab.checks.judge import Exercise, Mistake, Probe
from piwsl_lab.toys import Morse

BOND = Morse()
_A, _D, _REST = BOND.width, BOND.depth, BOND.rest
STEP = 0.002  # Å, for slopes


def _x(r):
    return np.exp(-_A * (np.asarray(r, dtype=float) - _REST))


FORCE = Exercise(
    key="01.force",
    points=1,
    reference=BOND.force,
    probes=(
        Probe("a compressed bond, 0.6 Å", (0.6,), "eV/Å"),
        Probe("a stretched bond, 1 Å", (1.0,), "eV/Å"),
        Probe("three lengths at once", (np.array([0.65, 0.9, 1.6]),), "eV/Å"),
    ),
    mistakes=(
        Mistake(
            "gradient", lambda r: -BOND.force(r), "This is the slope dE/dr. A force points downhill: mind the sign."
        ),
        Mistake("no factor 2", lambda r: BOND.force(r) / 2, "The square gives a factor when it is differentiated."),
        Mistake("no width", lambda r: BOND.force(r) / _A, "The exponent has a factor: the chain rule brings it out."),
        Mistake(
            "spring",
            lambda r: -2 * _A**2 * _D * (np.asarray(r, dtype=float) - _REST),
            "This is the spring that touches the curve at rest. It is right there and nowhere else.",
        ),
        Mistake("energy", BOND.energy, "This is the energy. The force is minus its slope."),
        Mistake(
            "no x outside",
            lambda r: -2 * _A * _D * (1 - _x(r)),
            "Differentiating 1 − x leaves another x: the outer and the inner derivative are both needed.",
        ),
    ),
    nudge="Compare with minus the slope of E, drawn dashed. Is the ratio the same everywhere?",
    formula="F(r) = −2 · … · D · x · (1 − x), with x = exp(−a (r − rₑ))",
)


def central(energy, r, h):
    """Slope of `energy` at r from two places at distance h on both sides."""
    return (energy(r + h) - energy(r - h)) / (2 * h)


def _parabola(r):
    return 3.0 * (r - 0.5) ** 2 - 1.0


SLOPE = Exercise(
    key="01.slope",
    points=1,
    reference=central,
    probes=(
        Probe("the bond at 1 Å", (BOND.energy, 1.0, STEP), "eV/Å"),
        Probe("the bond at 0.65 Å", (BOND.energy, 0.65, STEP), "eV/Å"),
        Probe("a parabola at 0.4 Å", (_parabola, 0.4, STEP), "eV/Å"),
    ),
    mistakes=(
        Mistake(
            "one-sided",
            lambda energy, r, h: (energy(r + h) - energy(r)) / h,
            "You look to one side only. Step to both sides: the errors of the two then cancel.",
        ),
        Mistake(
            "one-sided backward",
            lambda energy, r, h: (energy(r) - energy(r - h)) / h,
            "You look to one side only. Step to both sides: the errors of the two then cancel.",
        ),
        Mistake(
            "distance h",
            lambda energy, r, h: 2 * central(energy, r, h),
            "How far are the two places apart? Divide by that.",
        ),
        Mistake(
            "half of h",
            lambda energy, r, h: central(energy, r, h) / 2,
            "The two places are 2h apart, not 4h.",
        ),
        Mistake(
            "force",
            lambda energy, r, h: -central(energy, r, h),
            "This is the force, minus the slope. Here the slope itself is asked for.",
        ),
        Mistake(
            "not divided",
            lambda energy, r, h: energy(r + h) - energy(r - h),
            "This is a difference of energies. A slope is a difference per length.",
        ),
    ),
    nudge="Try the parabola E = 3 (r − 0.5)² − 1 by hand: at 0.4 Å its slope is −0.6 eV/Å.",
    formula="slope = (E(r + h) − E(r − h)) / (…)",
    rtol=3e-4,  # finer rules are right too (they differ by 5e-5); one-sided ones are wrong by 1e-3
)
