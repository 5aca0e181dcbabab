"""A training step that has begun: what is needed to undo it, or to count it if its weights have already moved."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from piwsl_lab.training.answer import Answer
from piwsl_lab.training.reach import Batches

WITNESSES = 3  # weights whose moments are watched
LENGTH = 64  # numbers of each


class Steps(Protocol):
    """What a step of a training changes: a `Trainer`."""

    done: int
    answer: Answer
    optimiser: torch.optim.Optimizer
    noise: torch.Generator
    batches: Batches
    pool_batches: Batches


@dataclass
class Attempt:
    """One step of a trainer from the moment it draws its batch.

    An error or an interrupt may break a step off anywhere. The optimiser moves all weights of one
    device and one precision in one call. So a step has either not happened, and its random numbers
    go back, or it has, and must be counted. A few moments of the optimiser, which every step
    changes, tell the two apart; weights need no copy.

    Attributes
    ----------
    step : int
        Its number; 1 for the first.
    began : float, s
        By the clock.
    loss, values : float, and dict of float
        What the record will say.
    seconds : float or None
        Time spent in steps when this one is done; None before.
    """

    step: int
    began: float
    loss: float = 0.0
    values: dict[str, float] = field(default_factory=dict)
    seconds: float | None = None
    _drawn: tuple[Tensor, ...] = ()
    _witnesses: list[tuple[Tensor, Tensor | None]] = field(default_factory=list)
    _counters: dict[Tensor, int] = field(default_factory=dict)
    _mean: list[Tensor] | None = None
    _buffers: list[Tensor] | None = None

    @classmethod
    def of(cls, trainer: Steps, began: float) -> Attempt:
        """The next step of a trainer, before it has drawn anything."""
        attempt = cls(trainer.done + 1, began)
        attempt._drawn = trainer.noise.get_state(), *trainer.batches.state(), *trainer.pool_batches.state()
        counters = [moments["step"] for moments in trainer.optimiser.state.values()]
        attempt._counters = {counter: counter._version for counter in counters}
        return attempt

    def watch(self, trainer: Steps) -> None:
        """Remember moments of the largest weights: the next call of the optimiser changes them."""
        weights = [p for group in trainer.optimiser.param_groups for p in group["params"] if p.grad is not None]
        for parameter in heapq.nlargest(WITNESSES, weights, key=Tensor.numel):
            moment = _moment(trainer, parameter)
            self._witnesses.append((parameter, None if moment is None else moment.clone()))

    def has_moved(self, trainer: Steps) -> bool:
        """Whether the optimiser has changed the weights."""
        for parameter, before in self._witnesses:
            moment = _moment(trainer, parameter)
            if moment is not None and bool((moment != (0.0 if before is None else before)).any()):
                return True
        return False

    def undo(self, trainer: Steps) -> None:
        """Put random numbers and counters back; the weights have not moved. May be repeated."""
        noise, generator, queue, pool_generator, pool_queue = self._drawn
        trainer.noise.set_state(noise)
        trainer.batches.restore(generator, queue)
        trainer.pool_batches.restore(pool_generator, pool_queue)
        state = trainer.optimiser.state
        for parameter in list(state):
            counter = state[parameter].get("step")
            if counter is None or counter not in self._counters:  # made in this step
                del state[parameter]
            elif counter._version != self._counters[counter]:  # counted, and then broken off
                counter -= 1
                self._counters[counter] = counter._version

    def move_mean(self, trainer: Steps) -> None:
        """Let the answer follow the learner: the first call finds the mean, later ones put the same one there."""
        if self._mean is None:
            self._mean = trainer.answer.mean_after(self.step)
        trainer.answer.take(self._mean)

    def settle_buffers(self, trainer: Steps) -> None:
        """Remember the buffers of the potentials at the first call, put them back at later ones."""
        present = [buffer for module in trainer.answer.modules for buffer in module.buffers()]
        if self._buffers is None:
            self._buffers = [buffer.clone() for buffer in present]
        for buffer, kept in zip(present, self._buffers, strict=True):
            buffer.copy_(kept)


def _moment(trainer: Steps, parameter: Tensor) -> Tensor | None:
    """The beginning of the running mean of a weight's gradient; None before its first step."""
    moments = trainer.optimiser.state.get(parameter)
    return moments["exp_avg"].flatten()[:LENGTH] if moments and "exp_avg" in moments else None
