"""Functions of a distance: the cutoff envelope and the radial bases, all safe at r = 0.

A basis has no envelope of its own: a model multiplies with it what it makes of the basis.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.names import BASES

TINY = 1e-12  # Å²: keeps the square root differentiable where two positions coincide
REACH = 5.0  # αr_c of the exponential basis: exp(−αr) falls from 1 to exp(−5)


class Geometry(NamedTuple):
    """Edges as models see them: distance [E, 1] (Å), unit vector [E, 3], centre, neighbour [E], envelope [E, 1]."""

    distance: Tensor
    unit: Tensor
    centre: Tensor
    neighbour: Tensor
    envelope: Tensor


def geometry(graph: AtomGraph, cutoff: float) -> Geometry:
    """Distances, directions and cutoff envelope of every edge of a graph."""
    vectors = graph.vectors()  # (E, 3)
    distance = (vectors.square().sum(1, keepdim=True) + TINY).sqrt()  # (E, 1)
    centre, neighbour = graph.edge_index
    return Geometry(distance, vectors / distance, centre, neighbour, envelope(distance, cutoff))


def envelope(distance: Tensor, cutoff: float) -> Tensor:
    """Polynomial that falls from 1 to 0 at the cutoff with two vanishing derivatives, and stays 0 beyond.

    Distances [E, 1] and the cutoff are in Å; the answer, [E, 1], has no unit. Equation 8 of
    Gasteiger et al. 2020 (arXiv 2003.03123), p = 6. The second derivative must vanish too. Training
    differentiates forces, so a kink in the force would become a jump in the gradient.
    """
    x = (distance / cutoff).clamp(max=1.0)
    return 1.0 - x.pow(6) * (28.0 - 48.0 * x + 21.0 * x.square())


class BesselBasis(nn.Module):
    """sin(nπr/r_c)/r for n = 1 … K: equation 7 of Gasteiger et al. 2020, as PaiNN uses it. [E, 1] → [E, K]."""

    frequency: Tensor

    def __init__(self, n_basis: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.register_buffer("frequency", torch.arange(1, n_basis + 1) * math.pi / cutoff)

    def forward(self, distance: Tensor) -> Tensor:
        """Values of the basis, [E, K], 1/Å, from distances [E, 1], Å."""
        return torch.sin(distance * self.frequency) / distance


class GaussianBasis(nn.Module):
    """exp(−γ(r − μ_k)²) on an even grid of centres μ_k from 0 to the cutoff, as SchNet uses it. [E, 1] → [E, K]."""

    centres: Tensor

    def __init__(self, n_basis: int, cutoff: float) -> None:
        super().__init__()
        self.register_buffer("centres", torch.linspace(0.0, cutoff, n_basis))
        self.gamma = 0.5 * (max(n_basis - 1, 1) / cutoff) ** 2  # one standard deviation = the spacing of the centres

    def forward(self, distance: Tensor) -> Tensor:
        """Values of the basis, [E, K], from distances [E, 1], Å."""
        return torch.exp(-self.gamma * (distance - self.centres).square())


class ExponentialBasis(nn.Module):
    """exp(−β(exp(−αr) − μ_k)²): PhysNet's g_k (Unke and Meuwly 2019, arXiv 1902.08408). [E, 1] → [E, K].

    α = 5/r_c, the centres μ_k lie evenly from exp(−5) to 1, and β = (2/K (1 − exp(−5)))⁻². Functions are narrow at
    short and wide at long distances. Centres and widths stay as they are, as in TensorNet; PhysNet trains them.
    """

    centres: Tensor

    def __init__(self, n_basis: int, cutoff: float) -> None:
        super().__init__()
        last = math.exp(-REACH)  # exp(−αr) at the cutoff
        self.register_buffer("centres", torch.linspace(last, 1.0, n_basis))
        self.alpha, self.beta = REACH / cutoff, (2.0 / n_basis * (1.0 - last)) ** -2

    def forward(self, distance: Tensor) -> Tensor:
        """Values of the basis, [E, K], from distances [E, 1], Å."""
        return torch.exp(-self.beta * (torch.exp(-self.alpha * distance) - self.centres).square())


KINDS: dict[str, type[nn.Module]] = {"bessel": BesselBasis, "gaussian": GaussianBasis, "exponential": ExponentialBasis}


def radial_basis(name: str, n_basis: int, cutoff: float) -> nn.Module:
    """The basis of a name of `BASES`, with `n_basis` functions up to the cutoff, Å: a module, [E, 1] → [E, K].

    Raises
    ------
    ValueError
        There is no basis of that name.
    """
    if name not in BASES:
        raise ValueError(f"basis {name!r} does not exist; choose one of {', '.join(BASES)}")
    return KINDS[name](n_basis, cutoff)
