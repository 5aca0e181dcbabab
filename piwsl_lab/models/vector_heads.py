"""Vectors as answers: PaiNN's gated equivariant blocks, a head for forces made of them, and one that denoises."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.force_heads import Features
from piwsl_lab.models.potential import Potential, initialise
from piwsl_lab.models.radial import Geometry, geometry

TINY = 1e-8  # keeps the norm of a vector feature differentiable at zero


class ForceHead(nn.Module):
    """Two gated equivariant blocks that end in one vector per atom, [N, 3]; figure 3 of PaiNN (arXiv 2102.03150)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = max(channels // 2, 1)
        self.first = GatedBlock(channels, half)
        self.second = GatedBlock(half, 1)

    def forward(self, s: Tensor, v: Tensor) -> Tensor:
        """One vector per atom, [N, 3], from scalars [N, F] and vectors [N, 3, F]."""
        s, v = self.first(s, v)
        forces: Tensor = self.second(nn.functional.silu(s), v)[1]  # (N, 3, 1)
        return forces.squeeze(2)


class GatedBlock(nn.Module):
    """Gated equivariant block: scalars scale the mixed vectors, so that their direction turns with the atoms."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.out = out
        self.norm_mix = nn.Linear(channels, channels, bias=False)
        self.vector_mix = nn.Linear(channels, out, bias=False)
        self.gate = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 2 * out))

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars [N, F] and vectors [N, 3, F] become scalars [N, O] and vectors [N, 3, O]."""
        length = (self.norm_mix(v).square().sum(1) + TINY).sqrt()  # (N, F)
        s, gate = self.gate(torch.cat([s, length], dim=1)).chunk(2, dim=1)
        return s, self.vector_mix(v) * gate.unsqueeze(1)


class Denoising(Potential):
    """A potential that may be built with one more input and output, by `denoise=True`.

    They are for denoising non-equilibrium structures (Liao et al. 2024, arXiv 2403.09549). Forces enter as the first
    vector features. A vector head says how far each atom was moved.
    """

    def add_denoising(self) -> None:
        """Make the input and the head; called once all else is made, so that other weights begin as without them."""
        channels = self.hyperparameters["channels"]
        self.hyperparameters["denoise"] = True
        self.force_embedding = nn.Linear(1, channels, bias=False)
        self.noise_head = ForceHead(channels)
        initialise(self.force_embedding)
        initialise(self.noise_head)

    @abstractmethod
    def features(self, elements: Tensor, edges: Geometry, vectors: Tensor | None = None) -> Features:
        """Features of every atom from its element row [N] and the edges; `vectors` [N, 3, F] are there before them."""

    @abstractmethod
    def scalars_and_vectors(self, features: Features) -> tuple[Tensor, Tensor]:
        """Scalars [N, F] and vectors [N, 3, F] of every atom, of those that `features` gave."""

    def denoised(self, graph: AtomGraph, forces: Tensor) -> Tensor:
        """Displacement that the noise head finds, in units of ε, [N, 3]; `forces` [N, 3], eV/Å, are those at r.

        Raises
        ------
        ValueError
            The model was made without `denoise=True`.
        """
        if "denoise" not in self.hyperparameters:
            return super().denoised(graph, forces)
        edges = geometry(graph, self.cutoff)
        told = self.force_embedding((forces / self.scale).unsqueeze(2))  # (N, 3, F)
        noise: Tensor = self.noise_head(*self.scalars_and_vectors(self.features(self.rows[graph.numbers], edges, told)))
        return noise
