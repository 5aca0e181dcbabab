"""What a training answers with: the weights that its optimiser moves, or their running mean.

A step of the optimiser follows one batch, so weights wander around what all batches agree on. Their mean over the last
steps lies nearer to it (Polyak and Juditsky 1992; for potentials NequIP, Batzner et al. 2022, arXiv 2101.03164).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.named_tensors import require_like

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

SHIFT_FRAMES = 128  # training frames that the shift of the energies is fitted on: their mean error is known well enough


class Answer:
    """The potential that is validated, kept and given back, and the one that learns.

    Parameters
    ----------
    potential : Potential, or any torch module
        On its device, with its reference energies.
    average : float
        Share of the mean that a step leaves, see `share_kept`. With 0 one potential is both.

    Attributes
    ----------
    potential : as given
        With `average` its weights are the running mean of those of the learner.
    learner : the same kind
        What terms are computed with, and what the optimiser moves.

    Raises
    ------
    ValueError
        A mean is asked for, and the potential cannot be copied.
    """

    def __init__(self, potential: Any, average: float) -> None:
        self.potential, self.average = potential, average
        self.learner = _copied(potential) if average > 0 else potential
        self._numbers = tuple(_Numbers(module) for module in self.modules)

    @property
    def is_mean(self) -> bool:
        """Whether it is another potential than the learner."""
        return self.learner is not self.potential

    @property
    def modules(self) -> tuple[Any, ...]:
        """The learner, and the potential where it is another."""
        return (self.learner, self.potential) if self.is_mean else (self.potential,)

    @torch.no_grad()
    def mean_after(self, step: int) -> list[Tensor]:
        """The mean when the learner has made so many steps; `take` puts it into the potential.

        One tensor for every parameter and every buffer of the potential, each with its shape, e.g. [F, F]; none
        where the learner is the answer.
        """
        if not self.is_mean:
            return []
        share = 1 - share_kept(step, self.average)
        learner, mean = self._numbers
        moved = list(torch._foreach_lerp(mean.trained, learner.trained, share)) if mean.trained else []
        return moved + [_between(*pair, share) for pair in zip(mean.others(), learner.others(), strict=True)]

    @torch.no_grad()
    def take(self, mean: Sequence[Tensor]) -> None:
        """Put what `mean_after` found into the potential, e.g. weights [F, F]. May be repeated."""
        if mean:
            mine = self._numbers[-1]
            torch._foreach_copy_(mine.trained + mine.others(), list(mean))

    def fit_shift(self, graphs: GraphSet, objective: Objective) -> None:
        """Take the constant error out of the energies, with labels that training reads anyway.

        The learner's constant is another than that of the mean, so each has its own fit.
        """
        has_energy = graphs.graph.has_energy
        if objective.energy > 0 and hasattr(self.potential, "fit_shift") and bool(has_energy.any()):
            chunks = list(graphs.chunks(has_energy.nonzero()[:SHIFT_FRAMES, 0], SHIFT_FRAMES))
            for module in self.modules:
                module.fit_shift((graphs.batch(chunk) for chunk in chunks), objective.per_atom)

    def state(self) -> dict[str, Tensor]:
        """The learner's weights by name, e.g. [F, F], where the potential does not hold them."""
        return dict(self.learner.state_dict()) if self.is_mean else {}

    def load(self, tensors: Mapping[str, Tensor], finished: bool) -> None:
        """Bring the learner to what `state` gave, e.g. weights [F, F]; the potential has its own already.

        Raises
        ------
        ValueError
            They are of another potential, or missing before the training has `finished`.
        """
        if not self.is_mean:
            return
        present = self.potential.state_dict()
        if not tensors and not finished:
            raise ValueError(
                "the weights that learn (learner.…) are missing, and the mean alone cannot go on: begin anew, or use "
                "the file as a potential"
            )
        require_like(present, tensors or present, "learner")
        self.learner.load_state_dict(tensors or present)
        reference = getattr(self.potential, "reference", None)
        if getattr(self.learner, "reference", None) != reference:
            self.learner.reference = reference


class _Numbers:
    """The tensors of a module, found once: a walk through its parts at every step takes longer than the mean itself."""

    def __init__(self, module: Any) -> None:
        weights = list(module.parameters())
        self.trained: list[Tensor] = [weight for weight in weights if weight.requires_grad]
        self._frozen: list[Tensor] = [weight for weight in weights if not weight.requires_grad]
        self._owners = [part for part in module.modules() if part._buffers]

    def others(self) -> list[Tensor]:
        """Weights that were not trained when it began, and buffers, of which a module may make new ones."""
        buffers = [buffer for part in self._owners for buffer in part._buffers.values() if buffer is not None]
        return self._frozen + buffers


def share_kept(step: int, average: float) -> float:
    """Share of the mean that stays at a step, 1 for the first: min(average, (1 + n) / (10 + n)) at step n.

    The first weights know nothing, and a constant share would keep them in the mean for long. The growing one is that
    of TensorFlow's `ExponentialMovingAverage(num_updates)`: early on, the mean is over the last tenth of the steps.
    """
    return min(average, (1 + step) / (10 + step))


def calibrated(potential: Any, train: Dataset) -> Any:
    """The same potential, with the energies of the elements in the training set where it has none."""
    if getattr(potential, "reference", None) is None:
        if hasattr(potential, "calibrate"):
            potential.calibrate(train)
        else:
            potential.reference = train.reference_energies()
    return potential


def _copied(potential: Any) -> Any:
    try:
        return copy.deepcopy(potential)
    except Exception as error:  # a module of another library may hold anything
        raise ValueError(
            f"a mean of the weights needs a copy of the potential, and this {type(potential).__name__} cannot be "
            f"copied ({type(error).__name__}: {error}): use average=0"
        ) from error


def _between(mean: Tensor, present: Tensor, share: float) -> Tensor:
    """Another number on its way to that of the learner; what is no number of a kind with fractions is taken over."""
    if not mean.is_floating_point():
        return present.clone()
    return torch.where(mean == present, mean, mean.lerp(present, share))  # infinities of a mask stay
