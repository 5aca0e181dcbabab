"""Soft modes: the collective directions in which frames of one molecule vary most, found by principal components."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet

RIGID = 1e-4  # Å: frames that differ by less differ by rounding


@dataclass(frozen=True, eq=False)
class SoftModes:
    """The collective directions in which a set of frames of one molecule varies most: its soft modes.

    Attributes
    ----------
    numbers : Tensor [N], int64
        Atomic numbers of the molecule, in the order of all its frames.
    mean : Tensor [N, 3], float64, Å
        Mean of the aligned frames, about its centre.
    modes : Tensor [k, N, 3], float64
        Orthonormal directions without translation or rotation, largest variance first.
    deviations : Tensor [k], float64, Å
        Standard deviation of the frames along each of them.
    """

    numbers: Tensor
    mean: Tensor
    modes: Tensor
    deviations: Tensor

    @classmethod
    def from_graphs(cls, graphs: GraphSet, keep: int = 10, rounds: int = 20) -> SoftModes:
        """Align all frames on their mean (Kabsch, `rounds` times), and keep the first `keep` principal directions.

        Raises
        ------
        ValueError
            The frames are not one molecule without a cell, or do not vary.
        """
        graph = graphs.all()
        numbers, frames = graph.numbers.cpu(), graph.positions.detach().double().cpu()
        n_frames = graph.n_structures
        size, ragged = divmod(len(numbers), n_frames)
        same = not ragged and bool((torch.bincount(graph.structure, minlength=n_frames) == size).all())
        if not same or bool((numbers.view(n_frames, size) != numbers[:size]).any()):
            raise unsuited("its frames do not all have the same atoms in the same order")
        if bool((graph.cell != 0).any()):
            raise unsuited("its frames have a cell")
        frames = frames.view(n_frames, size, 3)
        frames = frames - frames.mean(1, keepdim=True)
        mean = frames[0]
        for _ in range(rounds):
            frames = frames @ _rotations(mean, frames).mT
            mean = frames.mean(0)
        spread = _without_rigid_motion((frames - mean).flatten(1), mean)  # (M, 3N)
        _, values, modes = torch.linalg.svd(spread, full_matrices=False)
        deviations = values / math.sqrt(n_frames)
        kept = min(keep, int((deviations > RIGID).sum()))
        if kept == 0:
            raise unsuited("its frames are one and the same but for translation and rotation")
        return cls(numbers[:size], mean, modes[:kept].view(kept, size, 3), deviations[:kept])

    def draw(self, graph: AtomGraph, epsilon: float | Tensor, generator: Generator | None = None) -> Tensor:
        """A random combination of the modes, each normally distributed with its own deviation. [N, 3], Å.

        It is turned onto every structure of the graph and scaled so that a component has the root
        mean square of `uniform`, ε/√3. A structure in which an atom would move farther than √3·ε is
        scaled down as a whole, which keeps the direction.
        """
        size, structures, device = len(self.numbers), graph.n_structures, graph.positions.device
        if not torch.equal(graph.numbers.cpu(), self.numbers.repeat(structures)):
            raise unsuited("a batch holds other atoms than the frames that the modes were taken from")
        weights = torch.randn(structures, len(self.deviations), generator=generator, dtype=torch.float64)
        weights = weights * self.deviations / self.deviations.square().sum().div(3 * size).sqrt()
        pattern = torch.einsum("sk,kna->sna", weights, self.modes).to(device)
        positions = graph.positions.detach().double().view(structures, size, 3)
        turned: Tensor = pattern @ _rotations(self.mean.to(device), positions)  # (S, N, 3), components of mean square 1
        limit = torch.as_tensor(epsilon, dtype=torch.float64, device=device).expand(len(positions) * size)
        limit = limit.view(structures, size)
        turned = turned * limit.square().mean(1).div(3).sqrt()[:, None, None]
        room = math.sqrt(3) * limit / turned.norm(dim=2).clamp(min=1e-30)
        turned = turned * room.min(1).values.clamp(max=1.0)[:, None, None]
        return turned.reshape(-1, 3).to(graph.positions.dtype)


def _rotations(reference: Tensor, positions: Tensor) -> Tensor:
    """Proper rotations R that best turn a centred reference [N, 3] onto each of [S, N, 3]: reference @ R, [S, 3, 3].

    Kabsch 1976, doi 10.1107/S0567739476001873. The reference is centred, so the positions need not be.
    """
    left, _, right = torch.linalg.svd(torch.einsum("na,snb->sab", reference, positions))
    # A reflection may fit better than any rotation: then the direction of least weight is turned round.
    keep = torch.ones_like(left[:, 0])
    keep[:, 2] = torch.linalg.det(left @ right).sign()
    rotations: Tensor = (left * keep[:, None]) @ right
    return rotations


def _without_rigid_motion(spread: Tensor, mean: Tensor) -> Tensor:
    """Project translations and rotations of `mean` [N, 3] out of deviations [M, 3N]."""
    axes = torch.eye(3, dtype=mean.dtype)
    turns = torch.linalg.cross(axes[:, None].expand(3, *mean.shape), mean.expand(3, *mean.shape))
    shifts = axes[:, None].expand(3, *mean.shape)
    left, values, _ = torch.linalg.svd(torch.cat([shifts, turns]).flatten(1).T, full_matrices=False)
    rigid = left[:, values > 1e-6 * values[0]]  # one rotation less for a linear molecule
    free: Tensor = spread - (spread @ rigid) @ rigid.T
    return free


def unsuited(why: str) -> ValueError:
    """The error for frames that have no soft modes: why, and what to choose instead."""
    return ValueError(f'the direction "covariance" does not fit this data set: {why}; choose "uniform"')
