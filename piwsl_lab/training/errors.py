"""Errors of a potential against labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models.interface import Prediction, as_graphs, ask

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

NAN = float("nan")


@dataclass(frozen=True)
class Metrics:
    """Errors over the labelled frames of a set; eV and eV/Å, nan where there is no label.

    Energies are errors of a whole structure, and divided by its number of atoms (`…_per_atom`). Force errors are of one
    Cartesian component; `force_cosine` is the mean cosine of the angle between predicted and reference force.
    """

    energy_mae: float = NAN
    energy_rmse: float = NAN
    energy_mae_per_atom: float = NAN
    energy_rmse_per_atom: float = NAN
    force_mae: float = NAN
    force_rmse: float = NAN
    force_cosine: float = NAN

    @classmethod
    def of(cls, errors: Sequence[Errors]) -> Metrics:
        """The errors of several batches as one set of numbers."""
        if not errors:
            return cls()
        energy, per_atom, force, cosine = (torch.cat(parts) for parts in zip(*errors, strict=True))
        mean_cosine = float(cosine.mean()) if len(cosine) else NAN
        return cls(*_mae_rmse(energy), *_mae_rmse(per_atom), *_mae_rmse(force), mean_cosine)


class Errors(NamedTuple):
    """Errors of one batch with L labelled energies and K atoms of labelled forces.

    Attributes
    ----------
    energy, per_atom : Tensor [L], eV
        Predicted less reference energy of a structure, and that divided by its number of atoms.
    force : Tensor [3K], eV/Å
        Predicted less reference force, component by component.
    cosine : Tensor [K]
        Of the angle between predicted and reference force.
    """

    energy: Tensor
    per_atom: Tensor
    force: Tensor
    cosine: Tensor


def score(prediction: Prediction, graph: AtomGraph) -> Errors:
    """Errors of a prediction at the labels of its graph; no force errors where no forces were asked for."""
    error = prediction.energy - graph.energy
    per_atom = error / graph.atoms_per_structure()
    if prediction.forces is None:
        none = error.new_zeros(0)
        return Errors(error[graph.has_energy], per_atom[graph.has_energy], none, none)
    mask = graph.has_forces[graph.structure]
    predicted, label = prediction.forces[mask], graph.forces[mask]
    cosine = torch.nn.functional.cosine_similarity(predicted, label, dim=1)
    return Errors(error[graph.has_energy], per_atom[graph.has_energy], (predicted - label).flatten(), cosine)


def evaluate(
    potential: Callable[..., Prediction], data: Dataset | GraphSet, batch_size: int = 64, head: str | None = None
) -> Metrics:
    """Errors of a potential over every labelled frame of a data set.

    Parameters
    ----------
    potential : callable
        `potential(graph, forces)` → Prediction; with attributes `cutoff` and `reference`, unless graphs are given.
    data : Dataset or GraphSet
    batch_size : int
        Frames at a time.
    head : "direct", optional
        Scores the fast forces of a dual potential instead of its answer.

    Raises
    ------
    ValueError
        The potential has no `cutoff` or `reference`, does not know an element of the data, or lacks
        the head.
    """
    graphs = as_graphs(potential, data)
    errors = []
    for indices in graphs.chunks(range(len(graphs)), batch_size):
        graph = graphs.batch(indices)
        errors.append(score(ask(potential, graph, bool(graph.has_forces.any()) and (head or True)), graph))
    return Metrics.of(errors)


def _mae_rmse(errors: Tensor) -> tuple[float, float]:
    if len(errors) == 0:
        return NAN, NAN
    values = errors.double()
    return float(values.abs().mean()), float(values.square().mean().sqrt())
