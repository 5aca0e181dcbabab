"""Atoms and their neighbours as tensors: an `AtomGraph` is one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class AtomGraph:
    """A batch of S structures with N atoms and E directed edges in all.

    Attributes
    ----------
    positions : Tensor [N, 3], Å
    numbers : Tensor [N], int64
        Atomic numbers.
    structure : Tensor [N], int64
        The structure each atom belongs to, in rising order.
    edge_index : Tensor [2, E], int64
        Row 0 is the centre i, row 1 its neighbour j; sorted by centre.
    edge_shift : Tensor [E, 3], Å
        Lattice translation of the neighbour: r_ij = r_j + shift − r_i.
    cell : Tensor [S, 3, 3], Å
        Rows are lattice vectors; zeros where there is no cell.
    n_structures : int
        S.
    energy : Tensor [S], eV
        Label, per-element reference already subtracted; 0 where there is none.
    forces : Tensor [N, 3], eV/Å
        Label; 0 where there is none.
    has_energy, has_forces : Tensor [S], bool
        Which structures carry the label.
    """

    positions: Tensor
    numbers: Tensor
    structure: Tensor
    edge_index: Tensor
    edge_shift: Tensor
    cell: Tensor
    n_structures: int
    energy: Tensor
    forces: Tensor
    has_energy: Tensor
    has_forces: Tensor

    def vectors(self) -> Tensor:
        """Vectors r_ij from every centre to its neighbour, [E, 3], Å."""
        centre, neighbour = self.edge_index
        r = self.positions
        return r.index_select(0, neighbour) - r.index_select(0, centre) + self.edge_shift

    def atoms_per_structure(self) -> Tensor:
        """Number of atoms of every structure, [S], in the dtype of the positions."""
        return self.sum_over_atoms(torch.ones_like(self.positions[:, 0]))

    def sum_over_atoms(self, values: Tensor) -> Tensor:
        """Sum a per-atom quantity [N] over the atoms of each structure → [S]."""
        return values.new_zeros(self.n_structures).index_add(0, self.structure, values)

    def at(self, positions: Tensor) -> AtomGraph:
        """The same graph with other positions [N, 3] (Å); the neighbour list is kept."""
        return replace(self, positions=positions)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> AtomGraph:
        """Move to a device and convert the floating-point tensors."""

        def moved(values: Tensor) -> Tensor:
            return values.to(device=device, dtype=dtype if values.is_floating_point() else None)

        return AtomGraph(
            positions=moved(self.positions),
            numbers=moved(self.numbers),
            structure=moved(self.structure),
            edge_index=moved(self.edge_index),
            edge_shift=moved(self.edge_shift),
            cell=moved(self.cell),
            n_structures=self.n_structures,
            energy=moved(self.energy),
            forces=moved(self.forces),
            has_energy=moved(self.has_energy),
            has_forces=moved(self.has_forces),
        )

    def displaced(self, displacements: Sequence[Tensor]) -> AtomGraph:
        """Stack this graph with k displaced copies into one graph of (1 + k)·S structures.

        Structures 0 … S−1 are the originals with their labels. Copy m (from 1) holds structures m·S
        … (m+1)·S−1 at positions r + displacements[m−1] and has no labels. Edges are reused, so a
        displacement must respect the skin.

        Parameters
        ----------
        displacements : sequence of Tensor [N, 3], Å
        """
        copies = [self.at(self.positions + step).unlabelled() for step in displacements]
        return AtomGraph.joined([self, *copies])

    def unlabelled(self) -> AtomGraph:
        """The same graph without its labels."""
        none = torch.zeros_like(self.has_energy)
        return replace(
            self,
            energy=torch.zeros_like(self.energy),
            forces=torch.zeros_like(self.forces),
            has_energy=none,
            has_forces=none,
        )

    @staticmethod
    def joined(graphs: Sequence[AtomGraph]) -> AtomGraph:
        """One graph of the structures of several, in their order."""
        if len(graphs) == 1:
            return graphs[0]
        values = {
            f.name: torch.cat([getattr(g, f.name) for g in graphs])
            for f in fields(AtomGraph)
            if f.name not in ("structure", "edge_index", "n_structures")
        }
        structure, edges, n_structures, n_atoms = [], [], 0, 0
        for g in graphs:
            structure.append(g.structure + n_structures)
            edges.append(g.edge_index + n_atoms)
            n_structures, n_atoms = n_structures + g.n_structures, n_atoms + g.positions.shape[0]
        return AtomGraph(
            **values, structure=torch.cat(structure), edge_index=torch.cat(edges, dim=1), n_structures=n_structures
        )
