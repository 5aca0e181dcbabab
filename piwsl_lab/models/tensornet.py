"""TensorNet: message passing with Cartesian tensors of rank 2 (Simeon and De Fabritiis 2023, arXiv 2306.06482).

Every channel of an atom holds a 3 × 3 matrix X = I + A + S. Norms, weights and filters act on each
of its irreducible parts alone, so the code keeps the parts apart. Nine numbers travel along an
edge, and matrices are made on atoms only.

========  ==========================  =====================================  ==================
symbol    part of X                   in the code                            l and parity
========  ==========================  =====================================  ==================
I = i 1   a third of the trace        `Parts.scalar`, i: (N, F)              0, scalar
A = [a]×  antisymmetric; [a]×b = a×b  `Parts.vector`, a: (N, 3, F)           1, (polar) vector
S         symmetric and traceless     `Parts.tensor`, S = Σ_k s_k B_k with   2, even
                                      orthonormal B_k; s: (N, 5, F)
========  ==========================  =====================================  ==================

Two tensors meet only in the symmetric product X∘Y = ½(XY + YX), which respects reflections. With X = i 1 + [a]× + S and
Y = j 1 + [b]× + T its parts are

    scalar   ij − ⅔ a·b + ⅓ tr(ST)
    vector   ib + ja − ½(Sb + Ta)
    tensor   iT + jS + the symmetric traceless part of (ST + abᵀ)

so a, which starts as a sum of unit vectors, stays a polar vector. XY alone would add the
pseudovector a × b to it.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from piwsl_lab.models.force_heads import Features
from piwsl_lab.models.potential import initialise
from piwsl_lab.models.radial import Geometry
from piwsl_lab.models.schnet import EdgeForce
from piwsl_lab.models.vector_heads import Denoising, ForceHead


class Parts(NamedTuple):
    """Irreducible parts of one tensor of rank 2 per atom (or edge) and channel; the table above is their legend."""

    scalar: Tensor  # (N, F)
    vector: Tensor  # (N, 3, F)
    tensor: Tensor  # (N, 5, F)

    def scaled(self, i: Tensor, a: Tensor, s: Tensor) -> Parts:
        """Every part times an invariant of its own, [N, F] each."""
        return Parts(self.scalar * i, self.vector * a.unsqueeze(1), self.tensor * s.unsqueeze(1))

    def plus(self, other: Parts) -> Parts:
        """The sum of two tensors, part by part; the shapes [N, …, F] stay."""
        return Parts(*(mine + its for mine, its in zip(self, other, strict=True)))

    def squared_norms(self) -> tuple[Tensor, Tensor, Tensor]:
        """Squared Frobenius norms of I, A and S, [N, F] each; what the paper writes ‖·‖, smooth at zero."""
        return 3 * self.scalar.square(), 2 * self.vector.square().sum(1), self.tensor.square().sum(1)

    def bounded(self) -> Parts:
        """X / (1 + ‖X‖), so that products of products cannot grow from layer to layer."""
        trace, turn, stretch = self.squared_norms()
        factor = 1 / (1 + (trace + turn + stretch))
        return self.scaled(factor, factor, factor)


class TensorNet(Denoising):
    """TensorNet; parameters as in `Potential`, and `denoise` as in `Denoising`.

    `layers` counts the sums over neighbours as in the other models.

    The first of them is the embedding, so `layers=3` is what the paper calls two interaction
    layers. Filters are lighter than in the paper. They are linear in the radial basis, as in
    this package's PaiNN, instead of a network of exponentials. A lone atom has X = 0 whatever its
    element, so its energy differs from another's by the per-element reference alone.

    The direct force (the paper has none) is a sum of two polar vectors. The first comes from
    PaiNN's gated equivariant blocks on the invariants and on the vectors a of the antisymmetric
    parts. The products Sb have bent these by the l = 2 parts of the surroundings. The second is
    SchNet's Σ_j f(h_i, h_j, r_ij) r̂_ij along the edges. Without the second, direct forces learn
    slowly: after the embedding no layer meets a direction r̂_ij again.
    """

    standard: ClassVar[dict[str, Any]] = {"channels": 64, "layers": 3, "radial": 20, "cutoff": 5.0, "basis": "bessel"}
    patterns: Tensor

    def __init__(self, *args: Any, denoise: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        channels, layers = self.hyperparameters["channels"], self.hyperparameters["layers"]
        radial, half = self.hyperparameters["radial"], max(channels // 2, 1)
        # The last column is a bias: the envelope multiplies the few basis functions instead of the many filters.
        filters = [nn.Linear(radial + 1, 3 * channels, bias=False) for _ in range(layers)]
        self.filters = nn.ModuleList(filters)
        self.embedding = Embedding(len(self.elements), channels)
        self.interactions = nn.ModuleList(Interaction(channels) for _ in range(layers - 1))
        self.readout = nn.Sequential(nn.LayerNorm(3 * channels), nn.Linear(3 * channels, channels), nn.SiLU())
        self.energy_head = nn.Sequential(nn.Linear(channels, half), nn.SiLU(), nn.Linear(half, 1))
        initialise(self)
        for layer in filters:
            nn.init.zeros_(layer.weight[:, -1])
        self.embedding.open_gate()
        self.register_buffer("patterns", traceless_patterns(), persistent=False)
        if self.has_direct_head:
            self.force_head, self.edge_force = ForceHead(channels), EdgeForce(channels, radial)
            initialise(self.force_head)
            initialise(self.edge_force)
        if denoise:
            self.add_denoising()

    def features(self, elements: Tensor, edges: Geometry, vectors: Tensor | None = None) -> Features:
        """Invariants [N, F] of every atom, then i [N, F], a [N, 3, F] and s [N, 5, F] of its tensor X.

        `elements` [N] are element rows; `vectors` [N, 3, F], if given, join the antisymmetric parts of the first X.
        """
        basis = torch.cat([self.basis(edges.distance), torch.ones_like(edges.distance)], dim=1) * edges.envelope
        first, *later = (layer(basis).chunk(3, dim=1) for layer in self.filters)  # f_I, f_A, f_S: (E, F) each
        matrices = normalised(self.patterns)  # B_k as columns: (9, 5)
        x = self.embedding(elements, edges, first, matrices, vectors)
        for interaction, filters in zip(self.interactions, later, strict=True):
            x = interaction(x, edges, filters, matrices)
        return self.readout(torch.cat(x.squared_norms(), dim=1)), *x

    def scalars_and_vectors(self, features: Features) -> tuple[Tensor, Tensor]:
        """Invariants [N, F] and the vectors a [N, 3, F] of every atom."""
        return features[0], features[2]

    def atom_energies(self, features: Features) -> Tensor:
        """Energy of every atom, [N], in units of `scale`, from its invariants."""
        energies: Tensor = self.energy_head(features[0])  # (N, 1)
        return energies.squeeze(1)

    def atom_forces(self, features: Features, edges: Geometry) -> Tensor:
        """Direct force on every atom, [N, 3], in units of `scale` per Å."""
        invariant, _, vector, _ = features
        along_edges: Tensor = self.edge_force(invariant, self.basis(edges.distance), edges)
        gated: Tensor = self.force_head(invariant, vector)
        return gated + along_edges


class Embedding(nn.Module):
    """X_i = gate(‖X_i‖) ∘ W Σ_j Z_ij (f_I 1 + f_A [r̂_ij]× + f_S (r̂_ij r̂_ijᵀ − ⅓ 1)), the paper's tensor embedding.

    Z_ij is linear in the embeddings of the two elements, the filters f depend on the distance.
    """

    def __init__(self, n_elements: int, channels: int) -> None:
        super().__init__()
        self.element = nn.Embedding(n_elements, channels)
        self.centre = nn.Linear(channels, channels)
        self.neighbour = nn.Linear(channels, channels, bias=False)
        self.mix = Mix(channels)
        self.gate = nn.Sequential(
            nn.LayerNorm(channels), nn.Linear(channels, 2 * channels), nn.SiLU(),
            nn.Linear(2 * channels, 3 * channels), nn.SiLU(),
        )  # fmt: skip

    def open_gate(self) -> None:
        """Begin with an open gate, also where an atom has hardly a neighbour."""
        last = self.gate[3]
        assert isinstance(last, nn.Linear)
        nn.init.ones_(last.bias)

    def forward(
        self, elements: Tensor, edges: Geometry, filters: tuple[Tensor, ...], matrices: Tensor, vectors: Tensor | None
    ) -> Parts:
        """The first tensor of every atom, [N, …, F], from its element row [N] and the edges.

        `filters` are f_I, f_A and f_S, [E, F] each; `matrices` [9, 5] holds the B_k; `vectors` [N, 3, F] or None are
        added to the antisymmetric parts.
        """
        z = self.element.weight
        # There are few pairs of elements and many edges: every Z is made once and looked up.
        pairs = (self.centre(z).unsqueeze(1) + self.neighbour(z)).flatten(0, 1)  # (elements², F)
        which = elements.index_select(0, edges.centre) * len(z) + elements.index_select(0, edges.neighbour)
        pair = pairs.index_select(0, which)  # (E, F)
        dyad = (edges.unit.unsqueeze(2) * edges.unit.unsqueeze(1)).flatten(1)  # (E, 9)
        along = Parts(torch.ones_like(pair), edges.unit.unsqueeze(2), (dyad @ matrices).unsqueeze(2))
        x = gathered(along.scaled(*(f * pair for f in filters)), edges, len(elements))
        x = x if vectors is None else x._replace(vector=x.vector + vectors)
        trace, turn, stretch = x.squared_norms()
        mixed: Parts = self.mix(x)
        return mixed.scaled(*self.gate(trace + turn + stretch).chunk(3, dim=1))


class Interaction(nn.Module):
    """Y = W X, M_i = Σ_j f(r_ij) Y_j, then X + ΔX + ΔX∘ΔX with ΔX = W' (Y∘M): the paper's interaction and update.

    X and Y∘M are bounded first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.before, self.after = Mix(channels), Mix(channels)

    def forward(self, x: Parts, edges: Geometry, filters: tuple[Tensor, ...], matrices: Tensor) -> Parts:
        """Tensors [N, …, F] after the interaction, from those before it.

        `filters` are f_I, f_A and f_S, [E, F] each; `matrices` [9, 5] holds the B_k.
        """
        x = x.bounded()
        y: Parts = self.before(x)
        messages = Parts(*(part.index_select(0, edges.neighbour) for part in y)).scaled(*filters)  # (E, …, F)
        step = self.after(product(y, gathered(messages, edges, len(y.scalar)), matrices).bounded())
        return x.plus(step).plus(product(step, step, matrices))


class Mix(nn.Module):
    """Mixes channels, each part with weights of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weights = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in Parts._fields)

    def forward(self, x: Parts) -> Parts:
        """The mixed tensor; the shapes [N, …, F] stay."""
        return Parts(*(weight(part) for weight, part in zip(self.weights, x, strict=True)))


def product(x: Parts, y: Parts, matrices: Tensor) -> Parts:
    """The symmetric product X∘Y of tensors [N, …, F], part by part as at the top of the module.

    `matrices` [9, 5] holds the B_k.
    """
    i, j, a, b = x.scalar.unsqueeze(1), y.scalar.unsqueeze(1), x.vector, y.vector
    n, channels = x.scalar.shape
    s = torch.matmul(matrices, x.tensor).reshape(n, 3, 3, channels)  # (N, 3, 3, F)
    t = s if y is x else torch.matmul(matrices, y.tensor).reshape(n, 3, 3, channels)
    st = (s.unsqueeze(3) * t.unsqueeze(1)).sum(2)  # (N, 3, 3, F)
    sb = (s * b.unsqueeze(1)).sum(2)  # (N, 3, F)
    ta = sb if y is x else (t * a.unsqueeze(1)).sum(2)
    # The basis matrices are symmetric and traceless, so projecting on them takes that part of ST + abᵀ.
    tensor = torch.matmul(matrices.T, (st + a.unsqueeze(2) * b.unsqueeze(1)).flatten(1, 2))  # (N, 5, F)
    return Parts(
        x.scalar * y.scalar - (a * b).sum(1) * (2 / 3) + (x.tensor * y.tensor).sum(1) / 3,
        i * b + j * a - (sb + ta) / 2,
        i * y.tensor + j * x.tensor + tensor,
    )


def gathered(messages: Parts, edges: Geometry, n_atoms: int) -> Parts:
    """Sum of the messages to every atom: [E, …, F] → [N, …, F]."""
    return Parts(*(m.new_zeros(n_atoms, *m.shape[1:]).index_add(0, edges.centre, m) for m in messages))


def traceless_patterns() -> Tensor:
    """The matrices B_k up to a factor, as the columns of a [9, 5] matrix: whole numbers, so exact in every dtype."""
    patterns = torch.zeros(3, 3, 5)
    for k, (row, column) in enumerate(((0, 1), (0, 2), (1, 2))):
        patterns[row, column, k] = patterns[column, row, k] = 1.0
    patterns[..., 3] = torch.diag(torch.tensor([1.0, -1.0, 0.0]))
    patterns[..., 4] = torch.diag(torch.tensor([1.0, 1.0, -2.0]))
    return patterns.flatten(0, 1)


def normalised(patterns: Tensor) -> Tensor:
    """The columns of a matrix [9, 5] with Frobenius norm 1.

    They are rounded in the dtype at hand: a matrix of float32 would spoil a float64 model.
    """
    return patterns / patterns.square().sum(0).sqrt()
