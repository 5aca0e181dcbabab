"""Which step of a training is the best: the score of a validation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.errors import Metrics


@dataclass(frozen=True)
class Best:
    """The best validation so far.

    Attributes
    ----------
    step : int
        0 where none is known.
    metrics : Metrics or None
    weights : dict of Tensor or None
        Of the potential at that step.
    """

    step: int = 0
    metrics: Metrics | None = None
    weights: dict[str, Tensor] | None = None


def is_better(
    metrics: Metrics, best: Metrics | None, objective: Objective, validation: AtomGraph, training: AtomGraph
) -> bool:
    """Whether a validation leaves less variance unexplained than the best so far; labels are those of the graphs."""
    spread = label_variances(training, objective.per_atom)
    score = unexplained_variance(metrics, objective, validation, spread)
    return score < (math.inf if best is None else unexplained_variance(best, objective, validation, spread))


def unexplained_variance(
    metrics: Metrics, objective: Objective, labels: AtomGraph, variances: tuple[float, float]
) -> float:
    """Unexplained variance of the validation energies plus that of the forces; infinite where it tells nothing.

    Each squared error is divided by the variance of the training labels of its kind
    (`label_variances`). Neither kind then decides alone, whatever the weights and units. A kind
    without a weight or without a label does not count. With no kind left, or an error that is not
    finite, no step is better than another.
    """
    energy = metrics.energy_rmse_per_atom if objective.per_atom else metrics.energy_rmse
    counted = [
        error**2 / variance
        for weight, error, variance, has in (
            (objective.energy, energy, variances[0], labels.has_energy),
            (objective.force, metrics.force_rmse, variances[1], labels.has_forces),
        )
        if weight > 0 and bool(has.any())
    ]
    score = sum(counted) if counted else math.inf
    return score if math.isfinite(score) else math.inf


def label_variances(graph: AtomGraph, per_atom: bool) -> tuple[float, float]:
    """Variance of the energies of a training set (eV², per atom if asked for) and of a force component ((eV/Å)²)."""
    energy = graph.energy / graph.atoms_per_structure() if per_atom else graph.energy
    energy, forces = energy[graph.has_energy].double(), graph.forces[graph.has_forces[graph.structure]].double()
    # One label, or equal ones, have no variance: squared errors then count as they are.
    spread = float(energy.var()) if len(energy) > 1 else 0.0
    force = float(forces.square().mean()) if len(forces) else 0.0
    return spread or 1.0, force or 1.0
