"""Lesson 04: which unit are the forces of a file in? The energies tell."""

from __future__ import annotations

import numpy as np

from piwsl_lab.lab.checks.judge import Exercise, Mistake, Probe


def _pairs(factor: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Energy changes, eV, and work F·δ in the file's unit, of twelve small steps; noise tells the regressions apart."""
    rng = np.random.default_rng(seed)
    work = rng.normal(0.0, 0.2, 12) + 0.1
    return -factor * work * (1.0 + 0.3 * rng.normal(size=12)), work


def factor(energy_changes, work):
    """Number that the file's forces must be multiplied with, so that they are eV/Å: least squares of −ΔE on work."""
    return -(energy_changes @ work) / (work @ work)


UNIT = Exercise(
    key="04.unit_factor",
    points=1,
    reference=factor,
    probes=(
        Probe("forces in eV/Å", _pairs(1.0, 1)),
        Probe("forces in Hartree per Bohr", _pairs(51.4221, 2)),
        Probe("gradients in place of forces", _pairs(-1.0, 3)),
    ),
    mistakes=(
        Mistake("inverse", lambda e, w: 1 / factor(e, w), "This turns eV/Å into the file's unit. Turn it round."),
        Mistake("sign", lambda e, w: -factor(e, w), "Work done by the force lowers the energy: ΔE = −work."),
        Mistake(
            "wrong way round",
            lambda e, w: -(e @ e) / (e @ w),
            "You fitted work against energy. Noise then makes the factor too large: fit energy against work.",
        ),
        Mistake(
            "ratio of means",
            lambda e, w: -np.mean(e) / np.mean(w),
            "A ratio of means lets steps of opposite sign cancel. Least squares lets large steps count more.",
        ),
        Mistake(
            "mean of ratios",
            lambda e, w: -np.mean(e / w),
            "A mean of ratios trusts the smallest steps most, which know the least.",
        ),
        Mistake(
            "ratio of sizes",
            lambda e, w: -np.sqrt(e @ e) / np.sqrt(w @ w),
            "A ratio of sizes forgets whether the two go together: a gradient looks like a force.",
        ),
        Mistake(
            "with intercept",
            lambda e, w: -np.polyfit(w, e, 1)[0],
            "No work means no change of energy: the line goes through zero, and needs no intercept.",
        ),
    ),
    nudge="Draw −ΔE against work: the answer is the slope of the line through zero.",
    formula="factor = −Σ ΔE·W / …",
)
