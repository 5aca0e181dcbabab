"""Residuals and losses: those of labels, those of consistency (PIWSL), and those of labels at displaced places.

The consistency losses are those of Takamoto, Zaverkin, Niepert 2025 (arXiv 2408.05215). Let E(r) and F(r) be a
potential's own predictions. If F is minus the gradient of E, a small displacement δ changes the energy by minus the
work of the forces:

    E(r + δ) = E(r) − Σ δ·F(r) + O(δ²)                    first order
    E(r + δ) = E(r) − ½ Σ δ·(F(r) + F(r + δ)) + O(δ³)     second order, the trapezoid rule
    E(r + δ) − E(r − δ) = −2 Σ δ·F(r) + O(δ³)             symmetric

PITC (Taylor consistency) is the mean square of what is left over. It needs no label at r + δ. Every sum runs over the
atoms of one structure, never over the batch. On an exact potential the first-order remainder is ½ δᵀHδ. It is
positive for almost every random δ, with mean ε² tr H / 6: a large ε then teaches a softer surface. It is zero for a
shift of the whole molecule, and negative along a soft mode of negative curvature. The other two have no such bias.

PISC (spatial consistency) walks a triangle A = r, B = r + δ₂, C = r + δ₁. It asks that a point has
one energy, by whatever path it is reached.

Gradient consistency is the limit of PITC over all directions at once: F_direct(r + δ) = −∇E(r + δ), at a place that
needs no label. Names: E energy, F forces, δ displacement, δ₁ first, δ₂ second.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import AnyPotential, Prediction, forces_of
from piwsl_lab.names import PISC_FORMS


def energy_loss(prediction: Prediction, graph: AtomGraph, per_atom: bool = False) -> Tensor:
    """Mean square energy error over the labelled structures, ⟨(E − E_label)²⟩, a scalar, eV² (per atom: of E/N)."""
    error = prediction.energy - graph.energy  # (S,)
    if per_atom:
        error = error / graph.atoms_per_structure()
    return _masked_mean(error.square(), graph.has_energy)


def force_loss(prediction: Prediction, graph: AtomGraph) -> Tensor:
    """Mean square error of a force component over the atoms of the labelled structures, a scalar, (eV/Å)².

    Where the prediction has forces of two heads it is the mean of both heads' losses. A weight then
    means the same for every potential.
    """
    answers = [forces for forces in (prediction.direct, prediction.conservative) if forces is not None]
    if len(answers) < 2:
        answers = [forces_of(prediction)]
    errors = [(forces - graph.forces).square().mean(1) for forces in answers]
    return _masked_mean(torch.stack(errors).sum(0) / len(errors), graph.has_forces[graph.structure])


def work(forces: Tensor, displacement: Tensor, graph: AtomGraph) -> Tensor:
    """Work of the forces along a displacement, Σ δ·F over the atoms of each structure: [N, 3], [N, 3] → [S], eV."""
    return graph.sum_over_atoms((forces * displacement).sum(1))


def pitc(start: Prediction, end: Prediction, displacement: Tensor, graph: AtomGraph, order: int = 2) -> Tensor:
    """Taylor-consistency residual of the step from `start` to `end`, [S], eV.

    Order 1 is that of the PITC loss of arXiv 2408.05215, E(r+δ) − [E(r) − Σ δ·F(r)]. Order 2 is the trapezoid rule,
    E(r+δ) − [E(r) − ½ Σ δ·(F(r) + F(r+δ))].

    Parameters
    ----------
    start, end : Prediction
        The potential at r and at r + δ; `start.forces` is needed, `end.forces` at order 2 only.
    displacement : Tensor [N, 3], Å
    graph : AtomGraph
        Says which structure each atom belongs to.
    order : 1 or 2

    Raises
    ------
    ValueError
        A prediction has no forces where they are needed.
    """
    forces = forces_of(start)
    if order != 1:
        forces = 0.5 * (forces + forces_of(end))
    return end.energy - start.energy + work(forces, displacement, graph)


def symmetric_pitc(
    centre: Prediction, plus: Prediction, minus: Prediction, displacement: Tensor, graph: AtomGraph
) -> Tensor:
    """Central-difference residual ½[E(r+δ) − E(r−δ)] + Σ δ·F(r), [S], eV; only the centre's forces are needed."""
    return 0.5 * (plus.energy - minus.energy) + work(forces_of(centre), displacement, graph)


def pisc(
    a: Prediction,
    b: Prediction,
    c: Prediction,
    first: Tensor,
    second: Tensor,
    graph: AtomGraph,
    order: int = 2,
    form: str = "same_point",
) -> Tensor:
    """Spatial-consistency residual of the triangle A = r, B = r+δ₂, C = r+δ₁, [S], eV ("all": [3, S]).

    `a`, `b` and `c` are the predictions at its corners, `first` is δ₁ and `second` δ₂, both [N, 3], Å. The form
    "same_point" is that of the PISC loss of arXiv 2408.05215.

    =============== ==============================================================================
    form            residual at order 1
    =============== ==============================================================================
    same_point      E(C) − [E(B) − Σ(δ₁−δ₂)·F(B)]: the same point reached by another path (the paper's)
    extrapolations  [E(A) − Σδ₁·F(A)] − [E(B) − Σ(δ₁−δ₂)·F(B)]: two extrapolations to C compared
    reverse         E(B) − [E(C) + Σ(δ₁−δ₂)·F(C)]: the leg from C back to B
    all             the first three
    two_point       E(A) − [E(C) + Σδ₁·F(C)]: back to the start
    =============== ==============================================================================

    At order 2 every F is the mean of the forces at both ends of its leg. Then `reverse` becomes
    −`same_point` and `two_point` −PITC.
    """
    if form == "all":
        parts = (pisc(a, b, c, first, second, graph, order, name) for name in tuple(PISC_FORMS)[:3])
        return torch.stack(list(parts))
    if form == "same_point":
        return pitc(b, c, first - second, graph, order)
    if form == "extrapolations":
        return pitc(b, c, first - second, graph, order) - pitc(a, c, first, graph, order)
    if form == "reverse":
        return pitc(c, b, second - first, graph, order)
    return pitc(c, a, -first, graph, order)


def label_prediction(graph: AtomGraph) -> Prediction:
    """The labels as if a potential had said them: a start for the weak labels of Cooper et al."""
    return Prediction(graph.energy, graph.forces)


def weak_label_loss(end: Prediction, displacement: Tensor, graph: AtomGraph, per_atom: bool = False) -> Tensor:
    """Mean square of E(r+δ) − [E_label − Σ δ·F_label] over the structures with both labels, a scalar, eV².

    Cooper et al. 2020 (doi 10.1038/s41524-020-0323-8): the labels' own Taylor expansion as an energy label beside them.
    """
    residual = pitc(label_prediction(graph), end, displacement, graph, order=1)
    if per_atom:
        residual = residual / graph.atoms_per_structure()
    return _masked_mean(residual.square(), graph.has_energy & graph.has_forces)


def gradient_consistency(prediction: Prediction, teacher: str = "both") -> Tensor:
    """Mean square of a component of F_direct + ∇E, a scalar, (eV/Å)².

    Parameters
    ----------
    prediction : Prediction
        With both heads' forces, usually at a displaced centre.
    teacher : "both", "direct" or "conservative"
        The head that stays as it is while the other learns from it; "both" lets them meet.

    Raises
    ------
    ValueError
        The prediction lacks the forces of a head.
    """
    direct, conservative = prediction.direct, prediction.conservative
    if direct is None or conservative is None:
        raise ValueError('gradient consistency compares two heads: ask a dual potential, with forces="both"')
    if teacher == "direct":
        direct = direct.detach()
    elif teacher == "conservative":
        conservative = conservative.detach()
    return (direct - conservative).square().mean()


def curl_loss(potential: AnyPotential, graph: AtomGraph, generator: Generator | None = None) -> Tensor:
    """Squared antisymmetric part of the force Jacobian per degree of freedom, ‖½(J − Jᵀ)‖²/3N, a scalar, (eV/Å²)².

    Estimated with one pair of Gaussian probes u, v a structure: the mean of [uᵀ(J − Jᵀ)v]² is ‖J − Jᵀ‖². Two
    vector-Jacobian products; forces of a gradient have none of it.
    """
    positions = graph.positions.detach().requires_grad_()
    forces = forces_of(potential(graph.at(positions)))
    shape, device = positions.shape, positions.device
    u, v = (torch.randn(shape, generator=generator, dtype=positions.dtype).to(device) for _ in range(2))
    along_u, along_v = (
        torch.autograd.grad((forces * probe).sum(), positions, create_graph=True, materialize_grads=True)[0]
        for probe in (u, v)
    )
    twist = graph.sum_over_atoms((along_u * v - along_v * u).sum(1))  # uᵀJv − vᵀJu
    return (0.25 * twist.square() / (3 * graph.atoms_per_structure())).mean()


def noise_loss(predicted: Tensor, displacement: Tensor, graph: AtomGraph, epsilon: float | Tensor) -> Tensor:
    """Mean square of a component of (δ̂ − δ)/ε over the structures with force labels, a scalar; ε a number or [N], Å.

    Denoising of non-equilibrium structures (Liao et al. 2024, arXiv 2403.09549): the model sees r + δ and the force
    label at r, and says what δ was.
    """
    error = (predicted - displacement).square().mean(1) / epsilon**2  # (N,)
    return _masked_mean(error, graph.has_forces[graph.structure])


def unjoin(prediction: Prediction, graphs: AtomGraph | list[AtomGraph]) -> list[Prediction]:
    """Cut the prediction of `AtomGraph.joined(graphs)` into that of each graph.

    A single graph stands for as many copies of itself as there are: the cut of `graph.displaced(…)`.
    """
    if isinstance(graphs, AtomGraph):
        graphs = [graphs] * (len(prediction.energy) // graphs.n_structures)
    sizes = [g.positions.shape[0] for g in graphs]
    energies = torch.split(prediction.energy, [g.n_structures for g in graphs])

    def cut(forces: Tensor | None) -> Sequence[Tensor | None]:
        return [None] * len(sizes) if forces is None else torch.split(forces, sizes)

    columns = cut(prediction.forces), cut(prediction.direct), cut(prediction.conservative)
    return [Prediction(*row) for row in zip(energies, *columns, strict=True)]


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
