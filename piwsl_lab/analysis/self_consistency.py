"""Does a potential agree with itself? Energies against forces, and forces against each other, without a label.

Takamoto, Zaverkin and Niepert 2025 (arXiv 2408.05215) train on the first; the other two say whether forces have a
potential at all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import AnyPotential, Prediction, as_graphs, ask, forces_of
from piwsl_lab.piwsl.displacements import Displacer, longest, uniform
from piwsl_lab.piwsl.residuals import pitc, unjoin, work

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


@torch.no_grad()
def pitc_residual(
    potential: AnyPotential,
    data: Dataset,
    epsilons: Sequence[float],
    order: int = 1,
    direction: str = "uniform",
    seed: int = 0,
    batch_size: int = 64,
) -> np.ndarray:
    """Root mean square Taylor-consistency residual (PITC, see `piwsl.residuals`) of a potential at each ε.

    On a smooth conservative potential it grows as ε² at order 1 and as ε³ at order 2. A constant or linear part is
    disagreement between the energies and the forces.

    Parameters
    ----------
    potential : AnyPotential
    data : Dataset
        Labels are not read.
    epsilons : sequence of float, Å
    order : 1 or 2
        Of the Taylor expansion.
    direction : str
        How displacements are drawn, as for `Displacer`.
    seed : int
        The same random numbers are used at every ε.
    batch_size : int
        Frames at a time.

    Returns
    -------
    float64 array [len(epsilons)], eV
    """
    graphs = as_graphs(potential, data, skin=2 * longest(direction, max(epsilons)))
    squares = np.zeros(len(epsilons))
    for indices in _batches(len(graphs), batch_size):
        graph = graphs.batch(indices)
        for k, epsilon in enumerate(epsilons):
            # The same random numbers at every ε: the curve then shows the potential and not the draw.
            generator = torch.Generator().manual_seed(seed + indices[0])
            delta = Displacer(direction, float(epsilon)).draw(graph, generator, potential)
            start, end = unjoin(ask(potential, graph.displaced([delta])), graph)
            squares[k] += float(pitc(start, end, delta, graph, order).double().square().sum())
    return np.sqrt(squares / len(graphs))


@torch.no_grad()
def loop_work(
    potential: AnyPotential, data: Dataset, epsilon: float = 0.1, points: int = 8, seed: int = 0, batch_size: int = 64
) -> float:
    """Root mean square work of the forces around random closed triangles r → r+δ₁ → r+δ₂ → r, eV.

    Zero for a conservative force field, but for the error of the quadrature.

    Parameters
    ----------
    potential : AnyPotential
    data : Dataset
        One triangle is walked around every frame.
    epsilon : float, Å
        Largest component of δ₁ and δ₂.
    points : int
        Of the Gauss-Legendre quadrature along each side.
    seed, batch_size : int
    """
    graphs = as_graphs(potential, data, skin=2 * longest("uniform", epsilon))
    generator = torch.Generator().manual_seed(seed)
    nodes, weights = np.polynomial.legendre.leggauss(points)
    square = 0.0
    for indices in _batches(len(graphs), batch_size):
        graph = graphs.batch(indices)
        first, second = (uniform(graph, epsilon, generator) for _ in range(2))
        corners = [torch.zeros_like(first), first, second, torch.zeros_like(first)]
        total = torch.zeros(graph.n_structures, dtype=torch.float64, device=graph.positions.device)
        for begin, end in itertools.pairwise(corners):
            for node, weight in zip(nodes, weights, strict=True):
                place = begin + 0.5 * (1 + float(node)) * (end - begin)
                forces = forces_of(ask(potential, graph.at(graph.positions + place)))
                total += 0.5 * float(weight) * work(forces, end - begin, graph).double()
        square += float(total.square().sum())
    return math.sqrt(square / len(graphs))


def jacobian_antisymmetry(potential: AnyPotential, data: Dataset) -> float:
    """How far a force field is from having a potential: mean over frames of ‖J − Jᵀ‖ / ‖J + Jᵀ‖, J = ∂F/∂r.

    0 for conservative forces, 1 for a Jacobian whose symmetric and antisymmetric parts are equally large.

    Parameters
    ----------
    potential : AnyPotential
    data : Dataset
        Of small frames: a Jacobian takes one backward pass per coordinate.

    Raises
    ------
    ValueError
        The forces do not remember the positions they came from.
    """
    graphs = as_graphs(potential, data)
    ratios = []
    for index in range(len(graphs)):
        jacobian = force_jacobian(potential, graphs.batch([index]))
        ratios.append(float((jacobian - jacobian.T).norm() / (jacobian + jacobian.T).norm().clamp(min=1e-30)))
    return float(np.mean(ratios))


def force_jacobian(potential: Callable[..., Prediction], graph: AtomGraph) -> Tensor:
    """∂F_a/∂r_b of one structure, [3N, 3N], eV/Å²; minus the Hessian where forces are conservative.

    Raises
    ------
    ValueError
        The forces do not remember the positions they came from.
    """
    positions = graph.positions.detach().requires_grad_()
    with torch.enable_grad():
        forces = forces_of(potential(graph.at(positions))).flatten()
    rows = [
        torch.autograd.grad(f, positions, retain_graph=True, allow_unused=True)[0] if f.requires_grad else None
        for f in forces
    ]
    if all(row is None for row in rows):
        raise ValueError(
            "the forces cannot be differentiated with respect to the positions: the potential must not detach "
            "graph.positions where they require a gradient, and must create the graph of its own gradient"
        )
    whole = [torch.zeros_like(positions) if row is None else row for row in rows]
    return torch.stack(whole).flatten(1).detach()


def _batches(frames: int, size: int) -> list[list[int]]:
    """Numbers of the frames, so many at a time."""
    return [list(range(first, min(first + size, frames))) for first in range(0, frames, size)]
