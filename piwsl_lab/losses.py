"""Supervised losses and the two consistency losses of PIWSL (Takamoto, Zaverkin, Niepert 2025, arXiv 2408.05215).

Let E(r) and F(r) be a potential's own predictions. If F is minus the gradient of E, a small displacement δ changes the
energy by minus the work of the forces:

    E(r + δ) = E(r) − Σ δ·F(r) + O(δ²)                    first order
    E(r + δ) = E(r) − ½ Σ δ·(F(r) + F(r + δ)) + O(δ³)     second order, the trapezoid rule

PITC (Taylor consistency) is the mean square of what is left over. It needs no label at r + δ. Every sum runs over the
atoms of one structure, never over the batch. On an exact potential the first-order remainder is ½ δᵀHδ, always
positive near a minimum: a large ε then teaches a softer surface. The second order has no such bias.

PISC (spatial consistency) walks a triangle A = r, B = r + δ₂, C = r + δ₁ and asks that C, reached from B, has the
energy that C has by itself: a Taylor step of δ₁ − δ₂ that starts away from the labelled point.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from piwsl_lab.displacements import DIRECTIONS
from piwsl_lab.graph import AtomGraph
from piwsl_lab.models.potential import Prediction

PotentialLike = Callable[..., Prediction]
WEIGHTS = ("energy", "force", "pitc", "pisc")
ORDERS = (1, 2)


def energy_loss(prediction: Prediction, graph: AtomGraph, per_atom: bool = False) -> Tensor:
    """Mean square energy error over the labelled structures, eV² (per atom: of E/N, eV²)."""
    error = prediction.energy - graph.energy  # (S,)
    if per_atom:
        error = error / graph.atoms_per_structure()
    return _masked_mean(error.square(), graph.has_energy)


def force_loss(prediction: Prediction, graph: AtomGraph) -> Tensor:
    """Mean square error of a force component over the atoms of the labelled structures, (eV/Å)²."""
    error = (prediction.forces - graph.forces).square().mean(1)  # (N,)
    return _masked_mean(error, graph.has_forces[graph.structure])


def work(forces: Tensor, displacement: Tensor, graph: AtomGraph) -> Tensor:
    """Work of the forces along a displacement, Σ δ·F over the atoms of each structure: [N, 3], [N, 3] → [S], eV."""
    return graph.sum_over_atoms((forces * displacement).sum(1))


def pitc(start: Prediction, end: Prediction, displacement: Tensor, graph: AtomGraph, order: int = 2) -> Tensor:
    """Taylor-consistency residual of the step from `start` to `end`, [S], eV.

    Order 1 is the PITC loss of the paper, E(r+δ) − [E(r) − Σ δ·F(r)]; order 2 is the trapezoid rule, with the mean of
    both ends' forces.

    Parameters
    ----------
    start, end : Prediction
        The potential at r and at r + δ; `start.forces` is needed, `end.forces` at order 2 only.
    displacement : Tensor [N, 3], Å
    graph : AtomGraph
        Says which structure each atom belongs to.
    order : 1 or 2
    """
    forces = start.forces if order == 1 else 0.5 * (start.forces + end.forces)
    return end.energy - start.energy + work(forces, displacement, graph)


def pisc(b: Prediction, c: Prediction, first: Tensor, second: Tensor, graph: AtomGraph, order: int = 2) -> Tensor:
    """Spatial-consistency residual E(C) − [E(B) − Σ (δ₁−δ₂)·F(B)] of the triangle A = r, B = r+δ₂, C = r+δ₁, [S], eV.

    Order 1 is the PISC loss of the paper; order 2 takes the mean of the forces at B and C.
    """
    return pitc(b, c, first - second, graph, order)


@dataclass
class Objective:
    """What a potential is trained for: one weight a term. Change any field while training runs; it is read every step.

    Attributes
    ----------
    energy, force : float
        Weights of the supervised mean squares, in 1/eV² and Å²/eV².
    pitc, pisc : float
        Weights of the consistency terms, in 1/eV²; a term of weight 0 costs nothing.
    epsilon : float, Å
        Size of the displacements.
    order : 1 or 2
        Taylor expansion of the paper, or trapezoid rule.
    direction : "uniform" or "fixed_length"
        How displacements are drawn (`piwsl_lab.displacements`).
    per_atom : bool
        Divide energy and consistency residuals by the number of atoms, for sets of mixed size.
    """

    energy: float = 10.0
    force: float = 100.0
    pitc: float = 0.0
    pisc: float = 0.0
    epsilon: float = 0.05
    order: int = 2
    direction: str = "uniform"
    per_atom: bool = False

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Raise a ValueError that names the field that makes no sense."""
        for name in WEIGHTS:
            weight = getattr(self, name)
            if not (isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight {name}={weight} must be a finite number, 0 (off) or larger")
        if not (isinstance(self.epsilon, int | float) and math.isfinite(self.epsilon) and self.epsilon > 0):
            raise ValueError(f"epsilon={self.epsilon} Å must be larger than 0; 0.01 to 0.1 Å is the useful range")
        if self.order not in ORDERS:
            raise ValueError(f"order={self.order} does not exist; choose 1 (Taylor) or 2 (trapezoid)")
        if self.direction not in DIRECTIONS:
            raise ValueError(f"direction={self.direction!r} does not exist; choose one of {', '.join(DIRECTIONS)}")

    def terms(
        self, potential: PotentialLike, graph: AtomGraph, generator: Generator | None = None
    ) -> dict[str, Tensor]:
        """The unweighted value of every term whose weight is above 0 and that finds a label, by name.

        The graph and its displaced copies go through the potential in one call.

        Parameters
        ----------
        potential : callable
            potential(graph, forces=True) → Prediction.
        graph : AtomGraph of S structures
        generator : torch.Generator on the CPU
            Draws the displacements.
        """
        self.check()
        use_energy = self.energy > 0 and bool(graph.has_energy.any())
        use_force = self.force > 0 and bool(graph.has_forces.any())
        draw = DIRECTIONS[self.direction]
        # δ₁ leads to C and δ₂ to B; Taylor consistency needs C alone.
        copies = 2 if self.pisc > 0 else int(self.pitc > 0)
        steps = [draw(graph, self.epsilon, generator) for _ in range(copies)]
        stacked = graph.displaced(steps) if steps else graph
        a, *moved = split(potential(stacked, forces=use_force or bool(steps)), graph)
        terms = {}
        if use_energy:
            terms["energy"] = energy_loss(a, graph, self.per_atom)
        if use_force:
            terms["force"] = force_loss(a, graph)
        if self.pitc > 0:
            terms["pitc"] = self._mean_square(pitc(a, moved[0], steps[0], graph, self.order), graph)
        if self.pisc > 0:
            terms["pisc"] = self._mean_square(pisc(moved[1], moved[0], *steps, graph, self.order), graph)
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the terms, a scalar."""
        return sum((getattr(self, name) * value for name, value in terms.items()), start=torch.zeros(()))

    def _mean_square(self, residual: Tensor, graph: AtomGraph) -> Tensor:
        if self.per_atom:
            residual = residual / graph.atoms_per_structure()
        return residual.square().mean()


def split(prediction: Prediction, graph: AtomGraph) -> list[Prediction]:
    """Cut the prediction of `graph.displaced(…)` into that of the graph and of each of its copies."""
    energies = prediction.energy.split(graph.n_structures)
    if prediction.forces is None:
        return [Prediction(energy, None) for energy in energies]
    forces = prediction.forces.split(graph.positions.shape[0])
    return [Prediction(energy, force) for energy, force in zip(energies, forces, strict=True)]


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
