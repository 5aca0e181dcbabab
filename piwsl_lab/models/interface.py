"""What a potential must offer to be trained, scored and flown, whoever wrote it, and how it is asked.

Anything with the call and the two attributes of `AnyPotential` is a potential: PIWSL is a loss, not a model.
A `torch.nn.Module` of another library becomes one by a class of a dozen lines around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


class Prediction(NamedTuple):
    """What a potential says about a graph of S structures with N atoms.

    Attributes
    ----------
    energy : Tensor [S], eV
        Per-element reference subtracted.
    forces : Tensor [N, 3], eV/Å, or None
        The potential's answer; None when not asked for.
    direct, conservative : Tensor [N, 3], eV/Å, or None
        The forces of the direct head and −∂E/∂r, where both were asked for.
    """

    energy: Tensor
    forces: Tensor | None
    direct: Tensor | None = None
    conservative: Tensor | None = None


class AnyPotential(Protocol):
    """What everything here asks of a potential; `check_potential` tries whether it keeps to physics.

    A potential that is trained is a `torch.nn.Module` as well. What more it may have: a `head` ("conservative",
    "direct" or "dual"), `energies_of_atoms(graph)`, `denoised(graph, forces)`, `check_elements(numbers)`.

    Attributes
    ----------
    cutoff : float, Å
        It gets all neighbours within it, and may get some beyond.
    reference : mapping of float, eV per element
        Taken off the total energies of labels before it sees them.
    """

    @property
    def cutoff(self) -> float:
        """How far it sees, Å."""

    @property
    def reference(self) -> Mapping[int, float] | None:
        """Energies of the elements, eV, by atomic number; None before they are known."""

    def __call__(self, graph: AtomGraph, forces: bool | str = True) -> Prediction:
        """Energies and, unless `forces` is False, forces. A potential with two heads takes "direct" and "both" too."""


def dtype_and_device(potential: object) -> tuple[torch.dtype, torch.device]:
    """Those of the floating-point parameters of a potential, else of its buffers; float32 on the CPU without any."""
    empty: Callable[[], Iterable[Tensor]] = tuple
    parts = chain(getattr(potential, "parameters", empty)(), getattr(potential, "buffers", empty)())
    like = next((part for part in parts if part.is_floating_point()), torch.zeros(()))
    return like.dtype, like.device


def as_graphs(potential: Any, data: Dataset | GraphSet, skin: float = 0.0) -> GraphSet:
    """Graphs of a data set for a potential; a `GraphSet` is passed through.

    A callable that is no `Potential` gets neighbours within its attribute `cutoff` (Å) and energies less its attribute
    `reference` (eV per element). Both must be its own: a reference fitted to the frames it is scored on would hide a
    constant error.

    Parameters
    ----------
    potential : AnyPotential
    data : Dataset or GraphSet
    skin : float, Å
        Beyond the cutoff, for atoms that move.

    Raises
    ------
    ValueError
        It has no `cutoff` or no `reference`, or one without an element of the data set.
    """
    if isinstance(data, GraphSet):
        return data
    if hasattr(potential, "check_elements"):
        potential.check_elements(data.elements)
    if not hasattr(potential, "cutoff"):
        raise ValueError("the potential has no attribute `cutoff` (Å): set it, so that its neighbours can be found")
    reference = getattr(potential, "reference", None)
    if reference is None and not hasattr(potential, "calibrate"):  # one that can be calibrated may still be asked
        raise ValueError(
            "the potential has no attribute `reference` (eV per element): set potential.reference = "
            "train.reference_energies(), or train it with `fit`, which does"
        )
    return GraphSet.build(data, potential.cutoff, reference, skin, *dtype_and_device(potential))


def ask(potential: Callable[..., Prediction], graph: AtomGraph, forces: bool | str = True) -> Prediction:
    """The detached answer of a potential to a graph, from a caller that wants no gradient.

    Inside `torch.no_grad()` a `Potential` records what its forces need by itself. A module of another library may
    rely on its caller for that, so gradients are recorded for it here.
    """
    if getattr(potential, "records_its_own_gradients", False):
        with torch.no_grad():
            return potential(graph, forces=forces)
    with torch.enable_grad():
        answer = potential(graph, forces=forces)
    energy, *others = answer
    return Prediction(energy.detach(), *(None if part is None else part.detach() for part in others))


def unbatch(values: Tensor, graph: AtomGraph) -> list[NDArray[np.floating[Any]]]:
    """Cut values of all atoms [N, …] into one array for each structure, on the CPU."""
    ends = graph.structure.bincount(minlength=graph.n_structures).cumsum(0)[:-1]
    return np.split(values.detach().cpu().numpy(), ends.cpu().numpy())


def reference_energies(potential: AnyPotential, numbers: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Per-element reference of every atom [N], eV, from atomic numbers [N].

    Raises
    ------
    ValueError
        The potential has no reference, or none of an element.
    """
    if potential.reference is None:
        raise ValueError("the potential has no reference energies yet: train it, or calibrate it on labels")
    missing = sorted({int(z) for z in numbers} - set(potential.reference))
    if missing:
        raise ValueError(
            f"the potential has no reference energy of the elements {missing} (atomic numbers): "
            "set potential.reference for them, from a data set that holds them"
        )
    return np.array([potential.reference[int(z)] for z in numbers], dtype=np.float64)


def total_energies(
    relative: Tensor | Sequence[float], numbers: Iterable[NDArray[np.integer[Any]]], potential: AnyPotential
) -> NDArray[np.float64]:
    """Total energies [S], eV, float64: what a potential says, with the per-element reference added back.

    Parameters
    ----------
    relative : Tensor [S], eV
        Energies of a prediction.
    numbers : S arrays of atomic numbers
    potential : AnyPotential
        One that has no reference yet says all there is.
    """
    energies = np.asarray(torch.as_tensor(relative).detach().cpu(), dtype=np.float64)
    if potential.reference is None:
        return energies
    offsets = [sum(reference_energies(potential, of_one).tolist()) for of_one in numbers]
    return energies + np.array(offsets, dtype=np.float64)


def predict(
    potential: AnyPotential, dataset: Dataset, batch_size: int = 64
) -> tuple[NDArray[np.float64], list[NDArray[np.floating[Any]]]]:
    """Total energies and forces of every frame of a data set.

    Parameters
    ----------
    potential : AnyPotential
    dataset : Dataset of M frames
    batch_size : int
        Frames at a time.

    Returns
    -------
    energies : float64 array [M], eV
    forces : M arrays [N_m, 3], eV/Å
    """
    graphs = as_graphs(potential, dataset)
    energies, forces = [], []
    for indices in graphs.chunks(range(len(dataset)), batch_size):
        graph = graphs.batch(indices)
        prediction = ask(potential, graph)
        energies.append(prediction.energy)
        forces += unbatch(forces_of(prediction), graph)
    return total_energies(torch.cat(energies), (frame.numbers for frame in dataset), potential), forces


def forces_of(prediction: Prediction) -> Tensor:
    """The forces [N, 3] (eV/Å) of a prediction.

    Raises
    ------
    ValueError
        It has none.
    """
    if prediction.forces is None:
        raise ValueError("the potential answered without forces: it must give them where it is asked with forces=True")
    return prediction.forces


def require_gradients(potential: Any = None) -> None:
    """Raise a ValueError inside `torch.inference_mode`, or for a potential that was made inside of it."""
    if torch.is_inference_mode_enabled():
        raise ValueError(
            "gradients are needed here, and torch.inference_mode() forbids them: leave that block, "
            "or use torch.no_grad(), in which everything works"
        )
    parameters = potential.parameters() if hasattr(potential, "parameters") else ()
    if any(parameter.is_inference() for parameter in parameters):
        raise ValueError(
            "the potential was made inside torch.inference_mode(), where nothing has a gradient: "
            "make or load it outside of that block"
        )
