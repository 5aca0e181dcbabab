"""Where forces come from: the gradient of an energy (conservative), an output of their own (direct), or both (dual)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import Prediction, require_gradients
from piwsl_lab.models.radial import Geometry

Features = tuple[Tensor, ...]


class Headed(Protocol):
    """A model between its features and its forces."""

    head: str

    def features_of(self, graph: AtomGraph) -> tuple[Features, Geometry]:
        """Features of every atom, and the edges they came from."""

    def energy_from(self, graph: AtomGraph, features: Features) -> Tensor:
        """Energies [S], eV."""

    def forces_from(self, features: Features, edges: Geometry) -> Tensor:
        """Forces of the direct head, [N, 3], eV/Å."""


def answer(model: Headed, graph: AtomGraph, forces: bool | str) -> Prediction:
    """Energies, and the forces that were asked for; see `Potential.forward`.

    Raises
    ------
    ValueError
        The model has no such head, or `forces` is no word for one.
    """
    if isinstance(forces, str) and forces not in ("direct", "both"):
        raise ValueError(
            f"forces={forces!r} does not exist; use True (the head's own answer, −∂E/∂r of a conservative or dual "
            'one), "direct" or "both"'
        )
    if forces in ("direct", "both") and model.head == "conservative":
        raise ValueError(
            f"forces={forces!r} needs a direct head, and this potential is conservative only: "
            'build it with head="dual" (or "direct")'
        )
    if forces == "both" or (forces is True and model.head != "direct"):
        return _differentiated(model, graph, both=forces == "both")
    features, edges = model.features_of(graph)
    energy = model.energy_from(graph, features)
    return Prediction(energy, model.forces_from(features, edges) if forces else None)


def _differentiated(model: Headed, graph: AtomGraph, both: bool) -> Prediction:
    """F = −∂E/∂r, differentiable again while gradients are recorded; with `both`, the direct forces beside it."""
    require_gradients()
    training = torch.is_grad_enabled()
    positions = graph.positions if graph.positions.requires_grad else graph.positions.detach().requires_grad_()
    direct = None
    with torch.enable_grad():
        graph = graph.at(positions)
        features, edges = model.features_of(graph)
        energy = model.energy_from(graph, features)
        if both:
            direct = model.forces_from(features, edges)
        (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=training, materialize_grads=True)
    if not training:
        energy, direct = energy.detach(), None if direct is None else direct.detach()
    forces = direct if both and model.head == "direct" else -gradient
    return Prediction(energy, forces, direct, -gradient if both else None)
