"""A potential as an ASE calculator: any optimiser, driver, vibration or NEB of ASE can use it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator as AseCalculator
from ase.calculators.calculator import PropertyNotImplementedError, all_changes
from ase.stress import full_3x3_to_voigt_6_stress

from piwsl_lab.atoms.graph import AtomGraph, GraphSet
from piwsl_lab.data import Dataset, Frame
from piwsl_lab.md.forces import SKIN
from piwsl_lab.models import Potential
from piwsl_lab.models.potential import require_gradients


class Calculator(AseCalculator):
    """Energy (eV), forces (eV/Å), per-atom energies (eV) and stress (eV/Å³) of a potential, as ASE asks for them.

    Energies are total energies, reference of the elements included. A periodic conservative or dual potential has a
    stress, σ = (1/V) ∂E/∂ε; a direct head has none, since its forces belong to no energy.

    Parameters
    ----------
    potential : Potential
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

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "energies", "forces", "stress"]

    @torch.inference_mode(False)
    def __init__(self, potential: Potential, skin: float = SKIN, head: str | None = None) -> None:
        super().__init__()
        if potential.reference is None:
            raise ValueError("the potential has no reference energies yet: train it, or calibrate it on labels")
        if head not in (None, "direct") or (head and not potential.has_direct_head):
            raise ValueError(f"head={head!r}: choose None, or 'direct' with a direct or dual potential")
        require_gradients(potential)
        self.potential, self.skin, self.head = potential, skin, head
        self._graph: AtomGraph | None = None
        self._origin: Atoms | None = None
        self._taken = torch.zeros(0, 3, dtype=torch.float64)

    @torch.inference_mode(False)
    def calculate(
        self, atoms: Atoms | None = None, properties: list[str] | None = None, system_changes: list[str] = all_changes
    ) -> None:
        """Fill `results` for the atoms; called by ASE."""
        super().calculate(atoms, properties, system_changes)
        properties = properties or ["energy", "forces"]
        graph = self._neighbours(self.atoms)
        offset = np.array([self.potential.reference[int(z)] for z in self.atoms.numbers])
        if "stress" in properties:
            energy, forces, stress = self._strained(graph)
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress / self.atoms.get_volume())
        else:
            with torch.no_grad():
                energy, forces, *_ = self.potential(graph, forces=self.head or True)
        if "energies" in properties:
            with torch.no_grad():
                self.results["energies"] = self.potential.energies_of_atoms(graph).double().cpu().numpy() + offset
        self.results["energy"] = self.results["free_energy"] = float(energy) + float(offset.sum())
        self.results["forces"] = forces.double().cpu().numpy()

    def _neighbours(self, atoms: Atoms) -> AtomGraph:
        """The graph of the atoms; its neighbours are those of an earlier call while the skin lasts."""
        # ASE's list of changes counts from the last call, which may have failed: the graph may be older than that.
        old = self._origin
        if old is not None and all(
            np.array_equal(a, b)
            for a, b in ((atoms.numbers, old.numbers), (atoms.cell.array, old.cell.array), (atoms.pbc, old.pbc))
        ):
            moved = np.square(atoms.positions - old.positions).sum(1).max()
            if moved < (0.5 * self.skin) ** 2:
                return self._graph.at((torch.from_numpy(atoms.positions) - self._taken).to(self._graph.positions))
        frame = Frame(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc)
        scale, data = self.potential.scale, Dataset([frame])
        self.potential.check_elements(data.elements)
        built = GraphSet.build(data, self.potential.cutoff, None, self.skin, dtype=scale.dtype, device=scale.device)
        self._graph, self._taken = built.all(), built.taken.cpu()
        self._origin = atoms  # a copy of ASE's own, which nobody moves
        return self._graph

    def _strained(self, graph: AtomGraph) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        """Energy, forces and ∂E/∂ε [3, 3] (eV) of the graph stretched by 1 + ε, at ε = 0."""
        if self.head == "direct" or self.potential.head == "direct":
            raise PropertyNotImplementedError(
                "stress: direct forces belong to no energy and have no stress; use a conservative or dual head"
            )
        if not self.atoms.pbc.all():
            raise PropertyNotImplementedError("stress: only a cell that repeats in all three directions has one")
        strain = torch.zeros(3, 3, dtype=graph.positions.dtype, device=graph.positions.device, requires_grad=True)
        positions = graph.positions.detach().requires_grad_()
        stretch = torch.eye(3, dtype=strain.dtype, device=strain.device) + 0.5 * (strain + strain.T)
        stretched = replace(graph, positions=positions @ stretch, edge_shift=graph.edge_shift @ stretch)
        energy = self.potential(stretched, forces=False).energy
        gradient, virial = torch.autograd.grad(energy.sum(), (positions, strain))
        return energy.detach(), -gradient, virial.double().cpu().numpy()
