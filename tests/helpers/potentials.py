"""Exact potentials for the tests, with the same call as a learned one."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models import Prediction


class Exact:
    """Forces are minus the gradient of `energy(graph) -> [S]`, plus whatever `extra(graph) -> [N, 3]` adds."""

    cutoff = 5.0
    reference = dict.fromkeys((1, 6, 8), 0.0)  # eV: energies are what the formula says

    def parameters(self):
        """In double precision, and nothing to train."""
        return iter([torch.zeros((), dtype=torch.float64)])

    def __init__(self, energy: Callable[[AtomGraph], Tensor], extra: Callable[[AtomGraph], Tensor] | None = None):
        self.energy, self.extra, self.calls = energy, extra, 0

    def __call__(self, graph: AtomGraph, forces: bool = True) -> Prediction:
        self.calls += 1
        if not forces:
            return Prediction(self.energy(graph), None)
        with torch.enable_grad():
            inner = graph.at(
                graph.positions if graph.positions.requires_grad else graph.positions.clone().requires_grad_()
            )
            energy = self.energy(inner)
            (gradient,) = torch.autograd.grad(energy.sum(), inner.positions, create_graph=True)
        return Prediction(energy, -gradient if self.extra is None else -gradient + self.extra(inner))


def linear(slope: Tensor) -> Exact:
    """E = Σ a·r with one vector a [3] for all atoms."""
    return Exact(lambda g: g.sum_over_atoms((g.positions * slope).sum(1)))


def harmonic(matrix: Tensor) -> Exact:
    """E = ½ Σ rᵀ H r with one symmetric H [3, 3] (eV/Å²) for all atoms."""
    return Exact(lambda g: g.sum_over_atoms(0.5 * torch.einsum("na,ab,nb->n", g.positions, matrix, g.positions)))


def morse(depth: float = 4.0, width: float = 1.9, rest: float = 1.2) -> Exact:
    """A Morse curve for every pair of neighbours."""

    def energy(graph: AtomGraph) -> Tensor:
        r = graph.vectors().norm(dim=1)
        pair = 0.5 * depth * (1 - torch.exp(-width * (r - rest))).square()
        atoms = torch.zeros_like(graph.positions[:, 0]).index_add(0, graph.edge_index[0], pair)
        return graph.sum_over_atoms(atoms)

    return Exact(energy)
