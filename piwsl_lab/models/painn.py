"""PaiNN: equivariant message passing with scalars and vectors (Schütt, Unke, Gastegger 2021, arXiv 2102.03150)."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from piwsl_lab.models.force_heads import Features
from piwsl_lab.models.potential import initialise
from piwsl_lab.models.radial import Geometry
from piwsl_lab.models.vector_heads import TINY, Denoising, ForceHead


class PaiNN(Denoising):
    """Polarizable atom interaction network; parameters as in `Potential`, and `denoise` as in `Denoising`.

    The message is figure 2b of the paper (equations 7 and 8), the update figure 2c (equations 9 and
    10). The direct force head is the gated equivariant block of figure 3.
    """

    standard: ClassVar[dict[str, Any]] = {"channels": 64, "layers": 3, "radial": 20, "cutoff": 5.0, "basis": "bessel"}

    def __init__(self, *args: Any, denoise: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels, layers = self.hyperparameters["channels"], self.hyperparameters["layers"]
        self.embedding = nn.Embedding(len(self.elements), channels)
        messages = [Message(channels, has_vectors=layer > 0) for layer in range(layers)]
        self.messages = nn.ModuleList(messages)
        self.widths = [message.width for message in messages]
        # One matrix makes the filters of all layers at once. Its last column is their bias: the envelope multiplies the
        # few basis functions instead of the many filters.
        self.filters = nn.Linear(self.hyperparameters["radial"] + 1, sum(self.widths), bias=False)
        self.updates = nn.ModuleList(Update(channels) for _ in range(layers))
        self.energy_head = nn.Sequential(
            nn.Linear(channels, channels // 2 or 1), nn.SiLU(), nn.Linear(channels // 2 or 1, 1)
        )
        initialise(self)
        nn.init.zeros_(self.filters.weight[:, -1])
        if self.has_direct_head:
            self.force_head = ForceHead(channels)
            initialise(self.force_head)
        if denoise:
            self.add_denoising()

    def features(self, elements: Tensor, edges: Geometry, vectors: Tensor | None = None) -> Features:
        """Scalars [N, F] and vectors [N, 3, F] of every atom, from its element row [N] and the edges.

        `vectors` [N, 3, F], if given, are the vectors that the first message starts from.
        """
        s: Tensor = self.embedding(elements)  # (N, F)
        v = vectors  # (N, 3, F) from the first message on
        basis = torch.cat([self.basis(edges.distance), torch.ones_like(edges.distance)], dim=1) * edges.envelope
        filters = self.filters(basis).split(self.widths, dim=1)
        for message, update, w in zip(self.messages, self.updates, filters, strict=True):
            s, v = update(*message(s, v, w, edges))
        assert v is not None  # a model has at least one layer
        return s, v

    def scalars_and_vectors(self, features: Features) -> tuple[Tensor, Tensor]:
        """Scalars [N, F] and vectors [N, 3, F] of every atom."""
        return features[0], features[1]

    def atom_energies(self, features: Features) -> Tensor:
        """Energy of every atom, [N], in units of `scale`, from its scalars."""
        energies: Tensor = self.energy_head(features[0])  # (N, 1)
        return energies.squeeze(1)

    def atom_forces(self, features: Features, edges: Geometry) -> Tensor:
        """Direct force on every atom, [N, 3], in units of `scale` per Å."""
        forces: Tensor = self.force_head(*features)
        return forces


class Message(nn.Module):
    """Δs_i = Σ_j φ_s(s_j)∘W_s and Δv_i = Σ_j [v_j∘φ_vv(s_j)∘W_vv + r̂_ij φ_vs(s_j)∘W_vs]; equations 7 and 8.

    The first message of a model meets no vectors yet, so it has no W_vv.
    """

    def __init__(self, channels: int, has_vectors: bool) -> None:
        super().__init__()
        self.width = (3 if has_vectors else 2) * channels
        self.context = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, self.width))

    def forward(self, s: Tensor, v: Tensor | None, filters: Tensor, edges: Geometry) -> tuple[Tensor, Tensor]:
        """Scalars [N, F] and vectors [N, 3, F] with the messages of all neighbours added.

        `filters` [E, 2F] (the first message) or [E, 3F] already contain the envelope.
        """
        n_atoms, channels = s.shape
        x = self.context(s).index_select(0, edges.neighbour) * filters  # (E, 2F or 3F)
        to_s, along_r, *along_v = (part.contiguous() for part in x.split(channels, dim=1))
        dv = edges.unit.unsqueeze(2) * along_r.unsqueeze(1)  # (E, 3, F)
        if along_v and v is not None:
            dv = torch.addcmul(dv, v.index_select(0, edges.neighbour), along_v[0].unsqueeze(1))
        s = s.index_add(0, edges.centre, to_s)
        v = (s.new_zeros(n_atoms, 3, channels) if v is None else v).index_add(0, edges.centre, dv)
        return s, v


class Update(nn.Module):
    """Mixes scalars and vectors of one atom through ‖Vv‖ and ⟨Uv, Vv⟩; equations 9 and 10."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Linear(channels, 2 * channels, bias=False)
        self.gate = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 3 * channels))

    def forward(self, s: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars [N, F] and vectors [N, 3, F] after the update, from those before it."""
        left, right = self.mix(v).chunk(2, dim=2)  # Uv, Vv: (N, 3, F)
        length = (right.square().sum(1) + TINY).sqrt()  # (N, F)
        gate_v, gate_sv, gate_s = self.gate(torch.cat([s, length], dim=1)).chunk(3, dim=1)
        s = s + gate_s + gate_sv * (left * right).sum(1)
        return s, v + left * gate_v.unsqueeze(1)
