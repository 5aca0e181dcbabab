"""Which step of a training is the best, and which the last: what validations say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Ending(NamedTuple):
    """The last step of a training.

    Attributes
    ----------
    step, longest : int
        Its number, and that of the longest training.
    best : int
        The best step.
    in_vain : int
        Validations without a better one, after which it ended; 0 where it took all of its steps.
    """

    step: int
    longest: int
    best: int
    in_vain: int


def ending_of(done: int, best: Best, settings: Mapping[str, Any]) -> Ending | None:
    """Why a training takes no further step after those it has `done`; None while it goes on.

    Validations come every so many steps. So the number of the best step says how many came after it in vain. A training
    whose validations tell nothing ends with its last step only.
    """
    steps, every, patience = (settings[name] for name in ("steps", "validate_every", "patience"))
    if done >= steps:
        return Ending(done, steps, best.step, 0)
    in_vain = done // every - best.step // every
    if patience and best.metrics is not None and in_vain >= patience:
        return Ending(done, steps, best.step, in_vain)
    return None


def ending_in_words(ending: Ending) -> str:
    """The end of a training in a sentence without its subject: "ended at step 300 of 3000: …"."""
    if not ending.in_vain:
        return f"ended at its last step, {ending.step}"
    than = f"than at step {ending.best}" if ending.best else "than at its beginning"
    times = "validation was" if ending.in_vain == 1 else "validations were"
    return f"ended at step {ending.step} of {ending.longest}: {ending.in_vain} {times} no better {than}"


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
