"""What takes a trainer to its last step: `fit`, and `train_to_end`, which keeps what is done on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.kept import Kept
from piwsl_lab.training.record import Record, TrainingDiverged
from piwsl_lab.training.trainer import Trainer

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


def fit(potential: Any, train: Dataset, objective: Objective, **options: Any) -> Iterator[Record]:
    """Train a potential: yields one `Record` per step, and leaves the best weights in the potential at the end.

    Parameters
    ----------
    potential, train, objective, **options
        As for `Trainer`.

    Raises
    ------
    ValueError
        As for `Trainer`, and as for `piwsl_lab.piwsl.terms.terms_of` at a step.
    TrainingDiverged
        The loss or its gradient is not finite; the potential has the weights of the best validation.

    Examples
    --------
    >>> import piwsl_lab as lab
    >>> train, validation, test = lab.load("ethanol").split(train=20, val=5, test=5, seed=0)
    >>> for record in fit(lab.PaiNN(channels=8), train, lab.Objective(pitc=100.0), steps=2, device="cpu"):
    ...     print(record.step, sorted(record.terms))
    1 ['energy', 'force', 'pitc']
    2 ['energy', 'force', 'pitc']
    """
    trainer = Trainer(potential, train, objective, **options)
    try:
        while not trainer.finished:
            yield trainer.step()
    except TrainingDiverged:
        trainer.restore_best()
        raise
    trainer.restore_best()


def train_to_end(
    trainer: Trainer, kept: Kept, part: str = "", on_step: Callable[[Record], None] | None = None
) -> Trainer:
    """Take a fresh training to its last step and its best weights; it begins with what is kept of it.

    Parameters
    ----------
    trainer : Trainer
        It is returned.
    kept : Kept
    part : str
        What `kept` calls this training.
    on_step : callable, optional
        Called with the record of every step.

    Raises
    ------
    TrainingDiverged
        The training is kept, and its potential has the weights of the best validation.
    KeyboardInterrupt
        The training is kept as it was.
    """
    kept.go_on(part, trainer)
    try:
        while not trainer.finished:
            record = trainer.step()
            kept.step(part, trainer)
            if on_step is not None:
                on_step(record)
    except TrainingDiverged as error:
        kept.keep(part, trainer)
        trainer.restore_best()
        error.part, error.potential, error.best_step = part, trainer.potential, trainer.best.step
        error.has_best = trainer.best.weights is not None
        raise
    except KeyboardInterrupt:
        kept.keep(part, trainer)
        raise
    trainer.restore_best()
    return trainer
