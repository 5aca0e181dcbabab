"""What a potential must offer to be trained, scored and flown, whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from piwsl_lab.atoms.graph import GraphSet

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


def as_graphs(potential: Any, data: Dataset | GraphSet, skin: float = 0.0) -> GraphSet:
    """Graphs of a data set for a potential; a `GraphSet` is passed through.

    A callable that is no `Potential` gets neighbours within its attribute `cutoff` (Å) and energies less its attribute
    `reference` (eV per element). Both must be its own: a reference fitted to the frames it is scored on would hide a
    constant error.

    Raises
    ------
    ValueError
        It has no `cutoff` or no `reference`.
    """
    if isinstance(data, GraphSet):
        return data
    if hasattr(potential, "graphs"):
        return potential.graphs(data, skin=skin)
    if not hasattr(potential, "cutoff"):
        raise ValueError("the potential has no attribute `cutoff` (Å): set it, so that its neighbours can be found")
    parameter = (
        next(iter(potential.parameters()), torch.zeros(())) if hasattr(potential, "parameters") else torch.zeros(())
    )
    if getattr(potential, "reference", None) is None:
        raise ValueError(
            "the potential has no attribute `reference` (eV per element): set potential.reference = "
            "train.reference_energies(), or train it with `fit`, which does"
        )
    return GraphSet.build(data, potential.cutoff, potential.reference, skin, parameter.dtype, parameter.device)
