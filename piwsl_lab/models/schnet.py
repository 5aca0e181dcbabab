"""SchNet: continuous-filter convolutions over invariant features (Schütt et al. 2018, arXiv 1712.06113)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from torch import Tensor, nn

from piwsl_lab.models.force_heads import Features
from piwsl_lab.models.potential import Potential, initialise
from piwsl_lab.models.radial import Geometry


class ShiftedSoftplus(nn.Module):
    """ln(½eˣ + ½): smooth everywhere and 0 at 0; section II.C of the paper."""

    def forward(self, x: Tensor) -> Tensor:
        """The function of every element; the shape stays, [N, F] → [N, F]."""
        return nn.functional.softplus(x) - math.log(2.0)


class SchNet(Potential):
    """SchNet; parameters as in `Potential`.

    Its features are invariant, so a direct force is built from edges, F_i = Σ_j f(h_i, h_j, r_ij)
    r̂_ij. It turns with the molecule. (The published SchNet has conservative forces only.)
    """

    standard: ClassVar[dict[str, Any]] = {"channels": 64, "layers": 3, "radial": 20, "cutoff": 5.0, "basis": "gaussian"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels, radial = self.hyperparameters["channels"], self.hyperparameters["radial"]
        self.embedding = nn.Embedding(len(self.elements), channels)
        self.interactions = nn.ModuleList(Interaction(channels, radial) for _ in range(self.hyperparameters["layers"]))
        half = max(channels // 2, 1)
        self.energy_head = nn.Sequential(nn.Linear(channels, half), ShiftedSoftplus(), nn.Linear(half, 1))
        initialise(self)
        if self.has_direct_head:
            self.force_head = EdgeForce(channels, radial)
            initialise(self.force_head)

    def features(self, elements: Tensor, edges: Geometry) -> Features:
        """Features [N, F] of every atom, from its element row [N], and the basis [E, K] of every edge."""
        h = self.embedding(elements)  # (N, F)
        basis = self.basis(edges.distance)  # (E, K)
        for interaction in self.interactions:
            h = h + interaction(h, basis, edges)
        return h, basis

    def atom_energies(self, features: Features) -> Tensor:
        """Energy of every atom, [N], in units of `scale`."""
        energies: Tensor = self.energy_head(features[0])  # (N, 1)
        return energies.squeeze(1)

    def atom_forces(self, features: Features, edges: Geometry) -> Tensor:
        """Direct force on every atom, [N, 3], in units of `scale` per Å."""
        forces: Tensor = self.force_head(*features, edges)
        return forces


class Interaction(nn.Module):
    """Δh_i = g(Σ_j in(h_j) ∘ W(r_ij)); figure 2 of the paper."""

    def __init__(self, channels: int, radial: int) -> None:
        super().__init__()
        self.filter = nn.Sequential(nn.Linear(radial, channels), ShiftedSoftplus(), nn.Linear(channels, channels))
        self.inward = nn.Linear(channels, channels, bias=False)
        self.outward = nn.Sequential(nn.Linear(channels, channels), ShiftedSoftplus(), nn.Linear(channels, channels))

    def forward(self, h: Tensor, basis: Tensor, edges: Geometry) -> Tensor:
        """Change of the features, [N, F], from the features [N, F] and the basis [E, K]."""
        filters = self.filter(basis) * edges.envelope  # (E, F)
        messages = self.inward(h).index_select(0, edges.neighbour) * filters
        update: Tensor = self.outward(h.new_zeros(h.shape).index_add(0, edges.centre, messages))
        return update


class EdgeForce(nn.Module):
    """F_i = Σ_j f(h_i, h_j, r_ij) r̂_ij, [N, 3]."""

    def __init__(self, channels: int, radial: int) -> None:
        super().__init__()
        self.centre = nn.Linear(channels, channels)
        self.neighbour = nn.Linear(channels, channels, bias=False)
        self.distance = nn.Linear(radial, channels, bias=False)
        self.strength = nn.Sequential(
            ShiftedSoftplus(), nn.Linear(channels, channels), ShiftedSoftplus(), nn.Linear(channels, 1)
        )

    def forward(self, h: Tensor, basis: Tensor, edges: Geometry) -> Tensor:
        """Force on every atom, [N, 3], in model units, from features [N, F] and the basis [E, K]."""
        x = self.centre(h).index_select(0, edges.centre) + self.neighbour(h).index_select(0, edges.neighbour)
        strength = self.strength(x + self.distance(basis)) * edges.envelope  # (E, 1)
        return h.new_zeros(h.shape[0], 3).index_add(0, edges.centre, strength * edges.unit)
