"""A potential as an ASE calculator: any optimiser, driver, vibration or NEB of ASE can use it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import NDArray
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.skin_list import SKIN, SkinList
from piwsl_lab.data import Dataset, Frame
from piwsl_lab.models.interface import (
    AnyPotential,
    as_graphs,
    ask,
    forces_of,
    reference_energies,
    require_gradients,
    total_energies,
)


class Calculator(AseCalculator):
    """Energy (eV), forces (eV/Å), per-atom energies (eV) and stress (eV/Å³) of a potential, as ASE asks for them.

    Energies are total energies, reference of the elements included. A periodic potential whose
    forces are a gradient has a stress, σ = (1/V) ∂E/∂ε. A direct head has none, since its forces
    belong to no energy. Per-atom energies need a potential with `energies_of_atoms(graph)`.

    Parameters
    ----------
    potential : AnyPotential
        Of any library; one whose forces are no gradient says so by an attribute `head` = "direct".
    skin : float, Å
        The neighbour list is kept until an atom has moved half of it.
    head : "direct", optional
        Answer with the fast forces of a dual potential.

    Raises
    ------
    ValueError
        The potential was never calibrated, has no such head, or was made in `torch.inference_mode`. When it is asked:
        an element that it does not know, or atoms that are no frame (nan, two on one spot, none at all).
    """

    @torch.inference_mode(False)
    def __init__(self, potential: AnyPotential, skin: float = SKIN, head: str | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # ASE's has no annotations
        if getattr(potential, "reference", None) is None:
            raise ValueError("the potential has no reference energies yet: train it, or calibrate it on labels")
        if head not in (None, "direct") or (head and _head(potential) == "conservative"):
            raise ValueError(f"head={head!r}: choose None, or 'direct' with a direct or dual potential")
        require_gradients(potential)
        self.potential, self.skin, self.head = potential, skin, head
        per_atom = ["energies"] if hasattr(potential, "energies_of_atoms") else []
        self.implemented_properties = ["energy", "free_energy", *per_atom, "forces", "stress"]
        self._list: SkinList | None = None
        self._origin: Atoms | None = None

    @torch.inference_mode(False)
    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        """Fill `results` for the atoms; called by ASE."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]  # as above
        assert self.atoms is not None  # ASE has just set them
        properties = properties or ["energy", "forces"]
        graph, numbers = self._neighbours(self.atoms), self.atoms.numbers
        if "stress" in properties:
            energy, forces, stress = self._strained(graph, self.atoms)
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress / self.atoms.get_volume())
        else:
            prediction = ask(self.potential, graph, forces=self.head or True)
            energy, forces = prediction.energy, forces_of(prediction)
        if "energies" in properties and hasattr(self.potential, "energies_of_atoms"):
            with torch.no_grad():
                per_atom = self.potential.energies_of_atoms(graph).double().cpu().numpy()
            self.results["energies"] = per_atom + reference_energies(self.potential, numbers)
        self.results["energy"] = self.results["free_energy"] = float(
            total_energies(energy, [numbers], self.potential)[0]
        )
        self.results["forces"] = forces.double().cpu().numpy()

    def _neighbours(self, atoms: Atoms) -> AtomGraph:
        """The graph of the atoms; its neighbours are those of an earlier call while the skin lasts."""
        # ASE's list of changes counts from the last call, which may have failed: the lists may be older than that.
        old, positions = self._origin, torch.from_numpy(atoms.positions)
        if old is not None and self._list is not None:
            pairs = (atoms.numbers, old.numbers), (atoms.cell.array, old.cell.array), (atoms.pbc, old.pbc)
            same = all(np.array_equal(now, then) for now, then in pairs)
            if same and not bool(self._list.used_up(positions).any()):
                return self._list.at(positions)
        data = Dataset([Frame(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)])
        self._list = SkinList(as_graphs(self.potential, data, self.skin), data, self.skin)
        self._origin = atoms  # a copy of ASE's own, which nobody moves
        return self._list.graph

    def _strained(self, graph: AtomGraph, atoms: Atoms) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
        """Energy, forces and ∂E/∂ε [3, 3] (eV) of the graph stretched by 1 + ε, at ε = 0."""
        if self.head == "direct" or _head(self.potential) == "direct":
            raise PropertyNotImplementedError(
                "stress: direct forces belong to no energy and have no stress; use a conservative or dual head"
            )
        if not atoms.pbc.all():
            raise PropertyNotImplementedError("stress: only a cell that repeats in all three directions has one")
        with torch.enable_grad():
            return self._virial(graph)

    def _virial(self, graph: AtomGraph) -> tuple[Tensor, Tensor, NDArray[np.float64]]:
        strain = torch.zeros(3, 3, dtype=graph.positions.dtype, device=graph.positions.device, requires_grad=True)
        positions = graph.positions.detach().requires_grad_()
        stretch = torch.eye(3, dtype=strain.dtype, device=strain.device) + 0.5 * (strain + strain.T)
        stretched = replace(
            graph,
            positions=positions @ stretch,
            edge_shift=graph.edge_shift @ stretch,
            cell=graph.cell @ stretch,  # of use to potentials that make their own images
        )
        energy = self.potential(stretched, forces=False).energy
        gradient, virial = torch.autograd.grad(energy.sum(), (positions, strain))
        return energy.detach(), -gradient, virial.double().cpu().numpy()


def _head(potential: AnyPotential) -> str:
    head: str = getattr(potential, "head", "conservative")
    return head
