"""What every potential shares: elements, units, the sum over atoms, and where forces come from.

A model answers two questions about atoms (`features`, then `atom_energies` and, for a direct head, `atom_forces`).
This base class adds energies up, scales them, and either differentiates them (`head="conservative"`) or asks the model
for forces (`head="direct"`). With `head="dual"` one trunk does both, so that each can teach the other; the potential
then answers with −∂E/∂r unless it is asked for the fast direct forces. Anything else with the same call,
`potential(graph, forces=True) -> Prediction`, can be trained as well: PIWSL is a loss, not a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from piwsl_lab.atoms.graph import AtomGraph, GraphSet
from piwsl_lab.models.radial import Geometry, geometry

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

HEADS = ("conservative", "direct", "dual")


class Prediction(NamedTuple):
    """What a potential says about a graph.

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


class Potential(nn.Module, ABC):
    """Base class of the potentials.

    Parameters
    ----------
    elements : sequence of int
        Atomic numbers the model can see.
    channels, layers, radial : int
        Width of the features, number of interaction layers, size of the radial basis.
    cutoff : float, Å
    head : "conservative", "direct" or "dual"
        Conservative forces are −∂E/∂r; direct forces are a second, independent output. A dual potential has both and
        answers with −∂E/∂r.

    Attributes
    ----------
    reference : dict of float, eV per element, or None before `calibrate` has set it
        Subtracted from total energies before the model sees them.
    scale : Tensor, eV
        One model unit of energy, and per Å one of force; set by `calibrate`.
    shift : Tensor, [elements], eV per atom
        Energy added for every atom of an element; 0 until `fit_shift` has set it.
    """

    def __init__(
        self,
        elements: Sequence[int] = (1, 6, 8),
        channels: int = 64,
        layers: int = 3,
        radial: int = 20,
        cutoff: float = 5.0,
        head: str = "conservative",
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise ValueError(f"head {head!r} does not exist; choose one of {', '.join(HEADS)}")
        if not elements or min(channels, layers, radial) < 1 or cutoff <= 0:
            raise ValueError(
                "a potential needs at least one element, channel, layer and radial function and a cutoff above 0 Å, "
                f"not elements={tuple(elements)}, channels={channels}, layers={layers}, radial={radial}, "
                f"cutoff={cutoff}"
            )
        self.elements = tuple(sorted({int(z) for z in elements}))
        self.cutoff, self.head = float(cutoff), head
        self.hyperparameters: dict[str, Any] = {
            "elements": list(self.elements), "channels": channels, "layers": layers, "radial": radial,
            "cutoff": self.cutoff, "head": head,
        }  # fmt: skip
        self.reference: dict[int, float] | None = None
        rows = torch.full((119,), -1, dtype=torch.long)
        rows[list(self.elements)] = torch.arange(len(self.elements))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("shift", torch.zeros(len(self.elements)))

    @abstractmethod
    def features(self, elements: Tensor, edges: Geometry) -> tuple[Tensor, ...]:
        """Features of every atom from its element row [N] and the edges; invariant [N, F] first."""

    @abstractmethod
    def atom_energies(self, features: tuple[Tensor, ...]) -> Tensor:
        """Energy of every atom, [N], in units of `scale`."""

    @abstractmethod
    def atom_forces(self, features: tuple[Tensor, ...], edges: Geometry) -> Tensor:
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
        if isinstance(forces, str) and forces not in ("direct", "both"):
            raise ValueError(
                f"forces={forces!r} does not exist; use True (the head's own answer, −∂E/∂r of a conservative or dual "
                'one), "direct" or "both"'
            )
        if forces in ("direct", "both") and not self.has_direct_head:
            raise ValueError(
                f"forces={forces!r} needs a direct head, and this potential is conservative only: "
                'build it with head="dual" (or "direct")'
            )
        if forces == "both" or (forces is True and self.head != "direct"):
            return self._differentiated(graph, both=forces == "both")
        features, edges = self._features(graph)
        energy = self._energy(graph, features)
        return Prediction(energy, self.atom_forces(features, edges) * self.scale if forces else None)

    def _differentiated(self, graph: AtomGraph, both: bool) -> Prediction:
        """F = −∂E/∂r, differentiable again while gradients are recorded; with `both`, the direct forces beside it."""
        require_gradients()
        training = torch.is_grad_enabled()
        positions = graph.positions if graph.positions.requires_grad else graph.positions.detach().requires_grad_()
        direct = None
        with torch.enable_grad():
            graph = graph.at(positions)
            features, edges = self._features(graph)
            energy = self._energy(graph, features)
            if both:
                direct = self.atom_forces(features, edges) * self.scale
            (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=training, materialize_grads=True)
        if not training:
            energy, direct = energy.detach(), None if direct is None else direct.detach()
        answer = direct if both and self.head == "direct" else -gradient
        return Prediction(energy, answer, direct, -gradient if both else None)

    def _features(self, graph: AtomGraph) -> tuple[tuple[Tensor, ...], Geometry]:
        elements = self.rows[graph.numbers]
        # On a GPU the check would wait for the device at every step; GraphSet.build and fit have checked there.
        if not elements.is_cuda and bool((elements < 0).any()):
            self.check_elements(graph.numbers.unique().tolist())
        edges = geometry(graph, self.cutoff)
        return self.features(elements, edges), edges

    def _energy(self, graph: AtomGraph, features: tuple[Tensor, ...]) -> Tensor:
        return graph.sum_over_atoms(self._energies_of_atoms(graph, features))

    def _energies_of_atoms(self, graph: AtomGraph, features: tuple[Tensor, ...]) -> Tensor:
        shift = self.shift.index_select(0, self.rows[graph.numbers])
        return self.atom_energies(features) * self.scale + shift

    def energies_of_atoms(self, graph: AtomGraph) -> Tensor:
        """Energy of every atom, [N], eV, per-element reference subtracted; their sum is the energy of a structure."""
        return self._energies_of_atoms(graph, self._features(graph)[0])

    def denoised(self, graph: AtomGraph, forces: Tensor) -> Tensor:
        """Displacement in units of ε, [N, 3], that an auxiliary head finds in a displaced graph, told the forces at r.

        Raises
        ------
        ValueError
            The potential has no such head.
        """
        raise ValueError(
            f"this {type(self).__name__} has no denoising head: build a PaiNN with denoise=True, or set denoise=0"
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

        The reference is the data set's own (isolated atoms, else least squares) plus the mean energy per atom that is
        left, so that the model starts near the right energy. The scale is the root mean square of the force labels,
        or 1 eV where there are none.
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

        Forces say nothing about the constant of an energy, and the optimiser finds it slowly; least squares finds it at
        once: min Σ (E_label − E − Σ n_z s_z)² over the labelled structures, n_z atoms of element z in each. Where their
        compositions cannot tell elements apart, every atom gets the least shift that does it.

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

    def graphs(self, dataset: Dataset, **options: Any) -> GraphSet:
        """The graphs of a data set as this potential needs them: its cutoff, reference, dtype and device."""
        self.check_elements(dataset.elements)
        return GraphSet.build(
            dataset, self.cutoff, self.reference, dtype=self.scale.dtype, device=self.scale.device, **options
        )

    @torch.no_grad()
    def predict(self, dataset: Dataset, batch_size: int = 64) -> tuple[np.ndarray, list[np.ndarray]]:
        """Total energies (float64, eV, [M]) and forces (eV/Å, M arrays [N_m, 3]) of every frame of a data set."""
        graphs = self.graphs(dataset, skin=0.0)
        energies, forces = [], []
        for indices in graphs.chunks(range(len(dataset)), batch_size):
            prediction = self(graphs.batch(indices))
            energies.append(prediction.energy.double().cpu().numpy())
            sizes = [len(dataset[int(i)].numbers) for i in indices]
            forces += [part.cpu().numpy() for part in prediction.forces.split(sizes)]
        offset = [sum((self.reference or {}).get(int(z), 0.0) for z in frame.numbers) for frame in dataset]
        return np.concatenate(energies) + np.array(offset), forces


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


def initialise(module: nn.Module) -> None:
    """Glorot-uniform weights and zero biases in every linear layer of a module, as SchNet and PaiNN start."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
