"""The frames of a training: the order they come in, and neighbour lists that cover how far displacements reach."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from piwsl_lab.atoms.graph_set import DEFAULT_SKIN, GraphSet
from piwsl_lab.models.interface import as_graphs
from piwsl_lab.piwsl.displacements import LONGEST_BOND, longest, per_atom_epsilon, shortest_bonds
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.soft_modes import SoftModes

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

BOND_FRACTION = 0.3  # the paper keeps ε under 30 % of a bond


class Reach:
    """The graphs that a training asks at, kept wide enough for its ε.

    Parameters
    ----------
    potential : Potential, or any torch module with the same call and a `cutoff` (Å)
    train : Dataset
    pool : Dataset or None
        Frames without labels.

    Attributes
    ----------
    graphs : GraphSet
        Of the training frames.
    """

    def __init__(self, potential: Any, train: Dataset, pool: Dataset | None) -> None:
        self._potential = potential
        self._train = train
        self._frames_of_pool = pool
        self.graphs = as_graphs(potential, train, DEFAULT_SKIN)
        self._pool: GraphSet | None = None  # built when first asked for: hundreds of frames
        self._epsilon_seen: tuple[str, float, bool] | None = None
        self._warned = False
        self._bonds: tuple[float, float] | None = None
        self._soft_modes: SoftModes | None = None

    def pool(self) -> GraphSet | None:
        """Graphs of the pool with the skin of the training frames; None without a pool."""
        if self._pool is None and self._frames_of_pool is not None:
            skin = self.graphs.radius - self._potential.cutoff
            self._pool = as_graphs(self._potential, self._frames_of_pool, skin)
        return self._pool

    def modes(self, objective: Objective) -> SoftModes | None:
        """The soft directions of the training frames, found once, if the objective displaces along them."""
        if objective.direction != "covariance" or not objective.displaces:
            return None
        if self._soft_modes is None:
            self._soft_modes = SoftModes.from_graphs(self.graphs)
        return self._soft_modes

    def follow(self, objective: Objective) -> None:
        """Where ε has changed: warn if it is large against a bond, and widen the neighbour lists if they must be."""
        seen = (objective.direction, objective.epsilon, objective.relative)
        if not objective.displaces or seen == self._epsilon_seen:
            return
        if self._bonds is None:
            self._bonds = bond_range(self.graphs)
        shortest, farthest = self._bonds
        limit = BOND_FRACTION * (1.0 if objective.relative else shortest)
        if objective.epsilon <= limit:
            self._warned = False
        elif not self._warned:
            self._warned = True  # a schedule would say it at every step
            warnings.warn(_too_large(objective, shortest, limit), stacklevel=4)
        # A frame of the pool may have a bond that is a little longer than any of the training set.
        length = objective.epsilon * (min(1.2 * farthest, LONGEST_BOND) if objective.relative else 1.0)
        skin = 2 * longest(objective.direction, length)
        if self.graphs.radius < self._potential.cutoff + skin:
            self._widen(skin)
        self._epsilon_seen = seen  # last: what is broken off here is done again

    def cover(self, radius: float) -> None:
        """Let the neighbour lists reach at least so far, Å: a training that goes on sees the graphs it saw before."""
        if self.graphs.radius < radius:
            self._widen(radius - self._potential.cutoff)

    def _widen(self, skin: float) -> None:
        self._pool = None  # first, so that it is never the shorter one
        self.graphs = as_graphs(self._potential, self._train, skin)


class Batches:
    """An endless stream of batches: every frame once before any frame twice, in an order only the seed decides."""

    def __init__(self, n_frames: int, batch_size: int, seed: int) -> None:
        self.n_frames, self.batch_size = n_frames, min(batch_size, n_frames)
        self.generator = torch.Generator().manual_seed(seed)
        self.queue = torch.zeros(0, dtype=torch.long)

    def next(self) -> Tensor:
        """Indices of the next batch, [B], int64."""
        while len(self.queue) < self.batch_size:
            self.queue = torch.cat([self.queue, torch.randperm(self.n_frames, generator=self.generator)])
        batch, self.queue = self.queue[: self.batch_size], self.queue[self.batch_size :]
        return batch

    def state(self) -> tuple[Tensor, Tensor]:
        """State of the generator, uint8 [B], and indices of the frames still to come, int64 [Q], for `restore`."""
        return self.generator.get_state(), self.queue

    def restore(self, generator: Tensor, queue: Tensor) -> None:
        """Go on from what `state` gave: a state of the generator, uint8 [B], and indices, int64 [Q].

        Raises
        ------
        ValueError
            The queue holds no numbers of frames.
        """
        if queue.dtype != torch.long or queue.ndim != 1 or bool(((queue < 0) | (queue >= self.n_frames)).any()):
            raise ValueError("the frames still to come are not those of this set")
        self.generator.set_state(generator)
        self.queue = queue


def bond_range(graphs: GraphSet) -> tuple[float, float]:
    """The shortest and the longest bond of a set of graphs, Å, as a relative ε counts them; inf and 3 without any."""
    graph = graphs.all()
    return float(shortest_bonds(graph).min()), float(per_atom_epsilon(graph, 1.0).max())


def _too_large(objective: Objective, shortest: float, limit: float) -> str:
    if objective.relative:
        return (
            f"epsilon={objective.epsilon} is more than 30 % of every bond: the displaced structures are no longer "
            f"chemistry; use at most {BOND_FRACTION}"
        )
    return (
        f"epsilon={objective.epsilon} Å is more than 30 % of the shortest distance between two atoms of the training "
        f"set ({shortest:.3f} Å): the displaced structures are no longer chemistry; use at most {limit:.2f} Å"
    )
