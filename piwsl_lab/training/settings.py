"""Settings and frames of a training: what they may be, and the learning rate of a step."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from piwsl_lab.data import require_disjoint
from piwsl_lab.names import LEARNING_RATES, RATES

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


# Settings that files of earlier versions do not hold, as they were then.
LATER: dict[str, Any] = {"average": 0.0, "patience": 0}


def rate_of(potential: Any, given: float | None = None) -> float:
    """The learning rate that was given, else the one that a potential begins with, by its head."""
    rates: dict[str, float] = getattr(potential, "rates", RATES)
    return rates.get(getattr(potential, "head", ""), rates["conservative"]) if given is None else given


def learning_rate_at(step: int, settings: dict[str, Any]) -> float:
    """Learning rate of a step, 0 for the first: half a cosine down to 0 at the end of the run, or constant."""
    rate: float = settings["learning_rate"]
    if settings["schedule"] == "cosine":
        rate *= 0.5 * (1 + math.cos(math.pi * step / settings["steps"]))
    return rate


def check_settings(settings: dict[str, Any]) -> None:
    """Raise a ValueError that names the first setting that makes no sense."""
    for name in ("steps", "batch_size", "validate_every"):
        if not isinstance(settings[name], int) or settings[name] < 1:
            raise ValueError(f"{name}={settings[name]} must be a whole number, 1 or larger")
    for name in ("learning_rate", "clip"):
        if not (math.isfinite(settings[name]) and settings[name] > 0):
            raise ValueError(f"{name}={settings[name]} must be a finite number above 0")
    if settings["weight_decay"] < 0:
        raise ValueError(f"weight_decay={settings['weight_decay']} must be 0 or larger")
    if not 0 <= settings["average"] < 1:
        raise ValueError(f"average={settings['average']} must be 0 (no mean of the weights) or larger, and below 1")
    if not isinstance(settings["patience"], int) or settings["patience"] < 0:
        raise ValueError(f"patience={settings['patience']} must be a whole number of validations, 0 for no early end")
    if settings["schedule"] not in LEARNING_RATES:
        raise ValueError(f"schedule={settings['schedule']!r} does not exist; choose one of {', '.join(LEARNING_RATES)}")


def check_frames(train: Dataset, validation: Dataset | None, pool: Dataset | None, patience: int = 0) -> None:
    """Raise a ValueError unless there is a label to train on, no frame is both held out and learned from, and
    `patience` has frames to validate on.
    """
    if len(train) == 0:
        raise ValueError("no frame of the training set has a label: give the budget some energies or forces")
    if patience and validation is None:
        raise ValueError(f"patience={patience} waits for a better validation: give validation frames, or patience=0")
    if validation is not None:
        require_disjoint(train=train, validation=validation)
    if pool is not None:
        require_disjoint(pool=pool, **({} if validation is None else {"validation": validation}))
