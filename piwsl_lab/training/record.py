"""What one step of a training did, and the error of a training that cannot go on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.terms import TERMS
from piwsl_lab.training.best_step import Best
from piwsl_lab.training.errors import Metrics


class TrainingDiverged(ValueError):
    """The loss is no longer a finite number.

    Attributes
    ----------
    part : str
        What `piwsl_lab.training.drive.train_to_end` calls the training.
    potential : Potential or None
        From `train_to_end`, with the weights of the best validation.
    best_step : int
        That those weights are of; 0 where none is known.
    has_best : bool
        Whether there was a best validation. A training kept by an older version has one without its step.
    """

    part: str = ""
    potential: Any = None
    best_step: int = 0
    has_best: bool = False


@dataclass(frozen=True)
class Record:
    """What one step did.

    Attributes
    ----------
    step : int
        1 for the first.
    loss : float
        Weighted sum of the terms.
    terms : dict of float
        Unweighted terms by name, those that were on and had a label; `piwsl_lab.piwsl.terms.TERMS` has their units.
    seconds : float
        Time spent in steps so far, validation not counted.
    metrics : Metrics or None
        Errors on the validation frames, at the steps that validate.
    """

    step: int
    loss: float
    terms: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    metrics: Metrics | None = None


def diverged(
    what: str, value: float, step: int, settings: Mapping[str, Any], objective: Objective, best: Best
) -> TrainingDiverged:
    """The error for a loss or a gradient that is not finite: what may have led to it, and which weights are left."""
    of_step = f"those of step {best.step}" if best.step else "those of an earlier validation"
    left = "none were validated before" if best.weights is None else f"{of_step} are the best"
    weights = ", ".join(f"{name}={objective.weight(name):g}" for name in TERMS if objective.weight(name))
    return TrainingDiverged(
        f"{what} became {value} at step {step}: lower the learning rate ({settings['learning_rate']}) or the weights "
        f"of the objective ({weights}); of the weights of the potential, {left}"
    )
