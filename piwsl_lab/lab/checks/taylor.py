"""Lesson 06: a small step changes the energy by the work of the forces (PITC, arXiv 2408.05215, with both forces)."""

from __future__ import annotations

import numpy as np

from piwsl_lab.lab.checks.judge import Exercise, Mistake, Probe

KCAL = 23.060548  # kcal/mol in one eV


def left_over(e0, e1, f0, f1, delta, structure):
    """Residuals [S], eV: E₁ − E₀ + ½ Σ (F₀ + F₁)·δ over the atoms of each structure."""
    return e1 - e0 + 0.5 * _work(f0 + f1, delta, structure, len(e0))


def _work(forces, delta, structure, count):
    return np.bincount(structure, weights=np.sum(forces * delta, axis=1), minlength=count)


def _first(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + _work(f0, delta, structure, len(e0))


def _end(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + _work(f1, delta, structure, len(e0))


def _batch(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + 0.5 * np.sum((f0 + f1) * delta)


def _mean(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + 0.5 * _work(f0 + f1, delta, structure, len(e0)) / np.bincount(structure)


def _by_atom(*arguments):
    return left_over(*arguments) / np.bincount(arguments[-1])


def _sign(e0, e1, f0, f1, delta, structure):
    return e1 - e0 - 0.5 * _work(f0 + f1, delta, structure, len(e0))


def _both(e0, e1, f0, f1, delta, structure):
    return e1 - e0 + _work(f0 + f1, delta, structure, len(e0))


def _kcal(e0, e1, f0, f1, delta, structure):
    return KCAL * (e1 - e0) + 0.5 * _work(f0 + f1, delta, structure, len(e0))


def _sizes(e0, e1, f0, f1, delta, structure):
    lengths = np.linalg.norm(f0 + f1, axis=1) * np.linalg.norm(delta, axis=1)
    return e1 - e0 + 0.5 * np.bincount(structure, weights=lengths, minlength=len(e0))


def _probe(seed: int, turned: float) -> tuple[np.ndarray, ...]:
    """Three structures of three, one and five atoms; `turned` = −1 takes the same steps backwards."""
    rng = np.random.default_rng(seed)
    structure = np.repeat([0, 1, 2], [3, 1, 5])
    f0, f1, delta = rng.normal(size=(9, 3)), rng.normal(size=(9, 3)), turned * rng.uniform(-0.5, 0.5, (9, 3))
    e0 = np.array([-1.3, 0.4, 2.1])
    return e0, e0 + turned * np.array([0.9, -0.7, 0.5]), f0, f1, delta, structure


PITC = Exercise(
    key="06.pitc",
    points=2,
    reference=left_over,
    probes=(
        Probe("three structures", _probe(1, 1.0), "eV"),
        Probe("the same steps backwards", _probe(1, -1.0), "eV"),
        Probe("other forces", _probe(2, 1.0), "eV"),
    ),
    mistakes=(
        Mistake("sign", _sign, "Going along the force lowers the energy. Mind the sign of the work."),
        Mistake("half", _both, "You added both forces; the trapezoid takes their mean."),
        Mistake("first order", _first, "You use the force at the start only. The trapezoid takes the mean of both."),
        Mistake("end force", _end, "You use the force at the end only. The trapezoid takes the mean of both."),
        Mistake(
            "batch",
            _batch,
            "You added the work of all structures. Each structure has its own: add by `structure`.",
        ),
        Mistake(
            "mean over atoms", _mean, "You took the mean of the work over atoms. Work adds up: take the sum over atoms."
        ),
        Mistake(
            "absolute",
            lambda *a: np.abs(left_over(*a)),
            "The sign is lost. A remainder may be negative: keep it.",
        ),
        Mistake(
            "squared",
            lambda *a: left_over(*a) ** 2,
            "The square belongs to the loss. Here the remainder is asked.",
        ),
        Mistake("backwards", lambda *a: -left_over(*a), "You went from the end to the start: E₀ − E₁. Turn it round."),
        Mistake("kcal", _kcal, "Energies and work have different units here. Both are eV: no factor is needed."),
        Mistake("by atom", _by_atom, "You divided by the number of atoms. The remainder is that of a whole structure."),
        Mistake("lengths", _sizes, "You multiplied lengths. Work is a scalar product: direction counts."),
    ),
    nudge="First one number per atom: the mean of both forces times δ, summed over x, y, z. Then np.bincount.",
    formula="residual = E₁ − E₀ + … · Σ (F₀ + F₁) · δ",
)
