"""Lesson 07: what a consistency loss teaches besides, and how soft it makes a spring."""

from __future__ import annotations

import numpy as np

from piwsl_lab.lab.checks.judge import Exercise, Mistake, Probe


def bias(hessian, epsilon):
    """Mean remainder of first order, eV: ε² tr H / 6 for displacements that are uniform in a cube of half-width ε."""
    return epsilon**2 * np.trace(hessian) / 6.0


_SOFT = np.array([[3.0, 1.0, 0.2], [1.0, -1.5, 0.4], [0.2, 0.4, 2.5]])
_SADDLE = np.array([[-4.0, 0.5], [0.5, 1.0]])

BIAS = Exercise(
    key="07.bias",
    points=1,
    reference=bias,
    probes=(
        Probe("a soft molecule, ε = 0.05 Å", (_SOFT, 0.05), "eV"),
        Probe("the same, ε = 0.2 Å", (_SOFT, 0.2), "eV"),
        Probe("a saddle, ε = 0.1 Å", (_SADDLE, 0.1), "eV"),
    ),
    mistakes=(
        Mistake(
            "no variance",
            lambda h, e: e**2 * np.trace(h) / 2,
            "⟨δ²⟩ is not ε²: a number that is uniform in [−ε, ε] has a smaller mean square.",
        ),
        Mistake(
            "no half",
            lambda h, e: e**2 * np.trace(h) / 3,
            "The variance is right. The Taylor term of second order has a ½ as well.",
        ),
        Mistake(
            "determinant",
            lambda h, e: e**2 * np.linalg.det(h) / 6,
            "This is the determinant. Only the diagonal survives the mean: its sum is the trace.",
        ),
        Mistake(
            "all entries",
            lambda h, e: e**2 * np.sum(h) / 6,
            "Different components of δ are independent: entries off the diagonal average to zero.",
        ),
        Mistake("linear", lambda h, e: e * np.trace(h) / 6, "The term has second order: double ε makes it fourfold."),
        Mistake(
            "mean of the diagonal",
            lambda h, e: e**2 * np.trace(h) / len(h) / 6,
            "Every coordinate adds its own share: take the sum of the diagonal, not its mean.",
        ),
        Mistake("sign", lambda h, e: -bias(h, e), "Along a valley the energy lies above its tangent: mind the sign."),
    ),
    nudge="Take H = 6 (one number): what is the mean of ½·6·δ² for δ uniform in [−ε, ε]?",
    formula="bias = ε² · tr H / …",
)


def softness(weight, epsilon, labels):
    """k′/k of a conservative spring that is taught first-order PITC: 1 / (1 + w ε⁴ / 20 L)."""
    return 1.0 / (1.0 + weight * epsilon**4 / (20.0 * labels))


SOFTNESS = Exercise(
    key="07.softness",
    points=1,
    reference=softness,
    probes=(
        Probe("weight 100, ε = 0.1 Å", (100.0, 0.1, 0.0141)),
        Probe("weight 100, ε = 0.2 Å", (100.0, 0.2, 0.0141)),
        Probe("weight 30, ε = 0.25 Å, fewer labels", (30.0, 0.25, 0.004)),
    ),
    mistakes=(
        Mistake(
            "ε²",
            lambda w, e, n: 1 / (1 + w * e**2 / (20 * n)),
            "The loss is the square of a remainder that grows as ε²: which power has the square?",
        ),
        Mistake(
            "5",
            lambda w, e, n: 1 / (1 + w * e**4 / (5 * n)),
            "⟨δ⁴⟩ = ε⁴/5 is right. The ½ of the remainder is squared as well.",
        ),
        Mistake(
            "4",
            lambda w, e, n: 1 / (1 + w * e**4 / (4 * n)),
            "The ½ is squared, well. But ⟨δ⁴⟩ is not ε⁴ when δ is uniform in [−ε, ε].",
        ),
        Mistake(
            "stiffer",
            lambda w, e, n: 1 + w * e**4 / (20 * n),
            "This is k/k′. A softer spring makes the remainder smaller: k′ is below k.",
        ),
        Mistake(
            "lost part",
            lambda w, e, n: 1 - softness(w, e, n),
            "This is the part of k that is lost. What is left is asked.",
        ),
        Mistake(
            "linear",
            lambda w, e, n: 1 - w * e**4 / (20 * n),
            "This is the beginning of a series. It is wrong where the softening is strong.",
        ),
        Mistake(
            "no labels",
            lambda w, e, n: 1 / (1 + w * e**4 / 20),
            "The number L is missing: the stronger labels hold the spring, the less advice softens it.",
        ),
    ),
    nudge="Minimise ½ L (k′ − 1)² + ½ w k′² ε⁴/20 by hand: set its slope to zero.",
    formula="k′/k = 1 / (1 + w · ε⁴ / (… · L))",
)
