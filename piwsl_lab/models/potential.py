"""What our own models share: elements, units and the sum over atoms.

A model answers two questions about atoms (`features`, then `atom_energies` and, for a direct head, `atom_forces`).
The base class adds energies up and scales them; `force_heads` says where forces come from. With `head="dual"` one trunk
has both heads, so that each can teach the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import DEFAULT_SKIN, GraphSet
from piwsl_lab.models.force_heads import Features, answer
from piwsl_lab.models.interface import Prediction, as_graphs, predict
from piwsl_lab.models.radial import Geometry, geometry, radial_basis
from piwsl_lab.names import HEADS, RATES

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


class Potential(nn.Module, ABC):
    """Base class of the potentials.

    Parameters
    ----------
    elements : sequence of int
        Atomic numbers the model can see.
    channels, layers, radial : int, optional
        Width of the features, number of interaction layers, size of the radial basis.
    cutoff : float, Å, optional
    head : "conservative", "direct" or "dual"
        Conservative forces are −∂E/∂r; direct forces are a second, independent output. A dual potential has both and
        answers with −∂E/∂r.
    basis : "bessel", "gaussian" or "exponential", optional
        Functions of a distance that filters are made of, see `models.radial`.

    Attributes
    ----------
    standard : dict
        What the class takes for `channels`, `layers`, `radial`, `cutoff` and `basis` where they are not given.
    rates : dict of float
        The learning rate that a training of the class begins with, by the head.
    hyperparameters : dict
        Arguments that make the same potential again, standard ones filled in.
    reference : dict of float, eV per element, or None before `calibrate` has set it
        Subtracted from total energies before the model sees them.
    scale : Tensor, eV
        One model unit of energy, and per Å one of force; set by `calibrate`.
    shift : Tensor, [elements], eV per atom
        Energy added for every atom of an element; 0 until `fit_shift` has set it.
    """

    records_its_own_gradients: ClassVar[bool] = True  # see `interface.ask`
    standard: ClassVar[dict[str, Any]] = {}  # every class has its own
    rates: ClassVar[dict[str, float]] = RATES
    rows: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        elements: Sequence[int] = (1, 6, 8),
        channels: int | None = None,
        layers: int | None = None,
        radial: int | None = None,
        cutoff: float | None = None,
        head: str = "conservative",
        basis: str | None = None,
    ) -> None:
        super().__init__()
        given = {"channels": channels, "layers": layers, "radial": radial, "cutoff": cutoff, "basis": basis}
        size = self.standard | {name: value for name, value in given.items() if value is not None}
        if missing := ", ".join(given.keys() - size.keys()):
            raise ValueError(f"{type(self).__name__} has no standard {missing}: give it, or write it into `standard`")
        if head not in HEADS:
            raise ValueError(f"head {head!r} does not exist; choose one of {', '.join(HEADS)}")
        if not elements or min(size["channels"], size["layers"], size["radial"]) < 1 or size["cutoff"] <= 0:
            asked = ", ".join(f"{name}={size[name]}" for name in ("channels", "layers", "radial", "cutoff"))
            raise ValueError(
                "a potential needs at least one element, channel, layer and radial function and a cutoff above 0 Å, "
                f"not elements={tuple(elements)}, {asked}"
            )
        self.elements = tuple(sorted({int(z) for z in elements}))
        self.cutoff, self.head = float(size["cutoff"]), head
        own = {"elements": list(self.elements), "cutoff": self.cutoff, "head": head}
        self.hyperparameters: dict[str, Any] = size | own
        self.basis = radial_basis(size["basis"], size["radial"], self.cutoff)
        self.reference: dict[int, float] | None = None
        rows = torch.full((119,), -1, dtype=torch.long)
        rows[list(self.elements)] = torch.arange(len(self.elements))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(len(self.elements)))

    @abstractmethod
    def features(self, elements: Tensor, edges: Geometry) -> Features:
        """Features of every atom from its element row [N] and the edges; invariant [N, F] first."""

    @abstractmethod
    def atom_energies(self, features: Features) -> Tensor:
        """Energy of every atom, [N], in units of `scale`."""

    @abstractmethod
    def atom_forces(self, features: Features, edges: Geometry) -> Tensor:
        """Direct force on every atom, [N, 3], in units of `scale` per Å; only called where `has_direct_head`."""

    @property
    def has_direct_head(self) -> bool:
        """Whether the model has an output for forces of its own, next to the gradient of its energy."""
        return self.head != "conservative"

    def forward(self, graph: AtomGraph, forces: bool | str = True) -> Prediction:
        """Energy of every structure and, if asked for, the force on every atom.

        Parameters
        ----------
        graph : AtomGraph
        forces : bool or "direct" or "both"
            True: the head's own answer. "direct": the fast forces, without a gradient. "both": `direct` and
            `conservative` are filled in too, from one pass through the features.

        Raises
        ------
        ValueError
            The graph holds an element the model was not made for, a head was asked for that it does not have, or
            `forces` is none of these words.
        """
        return answer(self, graph, forces)

    def features_of(self, graph: AtomGraph) -> tuple[Features, Geometry]:
        """Features of every atom of a graph, and the edges they came from."""
        elements = self.rows[graph.numbers]
        # On a GPU the check would wait for the device at every step; as_graphs and fit have checked there.
        if not elements.is_cuda and bool((elements < 0).any()):
            self.check_elements(graph.numbers.tolist())
        edges = geometry(graph, self.cutoff)
        return self.features(elements, edges), edges

    def energy_from(self, graph: AtomGraph, features: Features) -> Tensor:
        """Energy of every structure, [S], eV."""
        return graph.sum_over_atoms(self._energies_of_atoms(graph, features))

    def forces_from(self, features: Features, edges: Geometry) -> Tensor:
        """Force of the direct head on every atom, [N, 3], eV/Å."""
        return self.atom_forces(features, edges) * self.scale

    def _energies_of_atoms(self, graph: AtomGraph, features: Features) -> Tensor:
        shift = self.shift.index_select(0, self.rows[graph.numbers])
        return self.atom_energies(features) * self.scale + shift

    def energies_of_atoms(self, graph: AtomGraph) -> Tensor:
        """Energy of every atom, [N], eV, per-element reference subtracted; their sum is the energy of a structure."""
        return self._energies_of_atoms(graph, self.features_of(graph)[0])

    def denoised(self, graph: AtomGraph, forces: Tensor) -> Tensor:
        """Displacement in units of ε, [N, 3], that an auxiliary head finds in a displaced graph, told the forces at r.

        Raises
        ------
        ValueError
            The potential has no such head.
        """
        raise ValueError(
            f"this {type(self).__name__} has no denoising head: build a PaiNN or TensorNet with denoise=True, or set "
            "denoise=0"
        )

    def check_elements(self, numbers: Iterable[int]) -> None:
        """Raise a ValueError if an atomic number is not one of the model's `elements`."""
        unknown = sorted({int(z) for z in numbers} - set(self.elements))
        if unknown:
            raise ValueError(
                f"the model never saw the elements {unknown} (atomic numbers), only {list(self.elements)}: "
                "make a potential with elements=… that names them and train it on frames that hold them"
            )

    def calibrate(self, dataset: Dataset) -> Potential:
        """Set `reference` and `scale` from the labels of a training set, in float64; returns the potential.

        The reference is the data set's own (isolated atoms, else least squares) plus the mean
        energy per atom that is left. The model then starts near the right energy. The scale is the
        root mean square of the force labels, or 1 eV where there are none.
        """
        self.check_elements(dataset.elements)
        reference = dataset.reference_energies()
        left = [
            (frame.energy - sum(reference[int(z)] for z in frame.numbers)) / len(frame.numbers)
            for frame in dataset
            if frame.energy is not None
        ]
        mean = float(np.mean(left)) if left else 0.0
        self.reference = {z: reference.get(z, 0.0) + mean for z in self.elements}
        forces = [frame.forces for frame in dataset if frame.forces is not None]
        rms = float(np.sqrt(np.mean(np.concatenate(forces) ** 2))) if forces else 1.0
        self.scale.fill_(rms if rms > 0 else 1.0)
        return self

    @torch.no_grad()
    def fit_shift(self, graphs: AtomGraph | Iterable[AtomGraph], per_atom: bool = False) -> Potential:
        """Move `shift` so that the energies of labelled graphs are off by no constant; returns the potential.

        Forces say nothing about the constant of an energy, and the optimiser finds it slowly. Least
        squares finds it at once: min Σ (E_label − E − Σ n_z s_z)² over the labelled structures,
        with n_z atoms of element z in each. Where their compositions cannot tell elements apart,
        every atom gets the least shift that does it.

        Parameters
        ----------
        graphs : AtomGraph of S structures, or several
            Built with the reference of this potential; one after the other is asked for. Structures without an energy
            do not count; with none, or with a prediction that is not finite, nothing happens.
        per_atom : bool
            Weigh each structure by the inverse square of its number of atoms.
        """
        rows = torch.arange(len(self.elements), device=self.rows.device)
        systems, rights = [], []
        for graph in [graphs] if isinstance(graphs, AtomGraph) else graphs:
            one = (self.rows[graph.numbers][:, None] == rows).double()
            counts = one.new_zeros(graph.n_structures, len(rows)).index_add(0, graph.structure, one)
            error = (graph.energy - self(graph, forces=False).energy).double()
            weight = graph.has_energy.double() / (counts.sum(dim=1) if per_atom else 1.0)
            systems.append(counts * weight[:, None])
            rights.append((error * weight)[:, None])
        if not systems:
            return self
        # On the CPU: a GPU's least squares has no answer where the compositions are all alike.
        system, right = torch.cat(systems).cpu(), torch.cat(rights).cpu()
        if not bool(right.isfinite().all()) or not bool(system.any()):
            return self
        self.shift += torch.linalg.lstsq(system, right, driver="gelsd").solution[:, 0].to(self.shift)
        return self

    def graphs(self, dataset: Dataset, skin: float = DEFAULT_SKIN) -> GraphSet:
        """The graphs of a data set as this potential needs them: its cutoff, reference, dtype and device."""
        return as_graphs(self, dataset, skin)

    def predict(
        self, dataset: Dataset, batch_size: int = 64
    ) -> tuple[NDArray[np.float64], list[NDArray[np.floating[Any]]]]:
        """Total energies [M] (float64, eV) and forces (eV/Å, M arrays [N_m, 3]) of every frame of a data set."""
        return predict(self, dataset, batch_size)


def initialise(module: nn.Module) -> None:
    """Glorot-uniform weights and zero biases in every linear layer of a module, as SchNet and PaiNN start."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
