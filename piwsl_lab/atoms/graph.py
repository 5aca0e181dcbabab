"""Atoms and their neighbours as tensors: `AtomGraph` (one batch) and `GraphSet` (a whole data set on a device).

Neighbours are found once per frame, within `cutoff + skin`. A potential closes its cutoff function inside
that list, so every displaced copy of a frame may reuse it exactly as long as no two atoms approach each other by more
than the skin. A minibatch is indexing into tensors that already live on the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from piwsl_lab.atoms.neighbours import near_origin, neighbours

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset, Frame

CHUNK_EDGES = 2**16  # that a potential sees at a time where nothing needs more: what it keeps of each bounds the memory
DEFAULT_SKIN = 0.5  # Å: covers displacements up to 0.25 Å an atom


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
        return replace(self, **_moved(self, device, dtype))

    def displaced(self, displacements: Sequence[Tensor]) -> AtomGraph:
        """Stack this graph with k displaced copies into one graph of (1 + k)·S structures.

        Structures 0 … S−1 are the originals with their labels; copy m (from 1) holds structures m·S … (m+1)·S−1 at
        positions r + displacements[m−1] and has no labels. Edges are reused, so a displacement must respect the skin.

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


@dataclass(frozen=True)
class GraphSet:
    """A data set as tensors on one device, neighbours included; `batch` assembles graphs by indexing.

    `graph` holds all M frames as one `AtomGraph`; `atom_start` and `edge_start` [M + 1] say where each frame's atoms
    and edges begin. `radius` (Å) is the neighbour radius, cutoff + skin. `taken` [N, 3] (Å, float64) was taken off the
    frames' positions, see `near_origin`.
    """

    graph: AtomGraph
    atom_start: Tensor
    edge_start: Tensor
    radius: float
    taken: Tensor

    @classmethod
    def build(
        cls,
        dataset: Dataset,
        cutoff: float,
        reference: Mapping[int, float] | None = None,
        skin: float = DEFAULT_SKIN,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> GraphSet:
        """Build the graphs of a data set.

        Parameters
        ----------
        dataset : Dataset of M frames
        cutoff : float, Å
        reference : eV per element
            Subtracted from the energies in float64, before they are converted to `dtype`.
        skin : float, Å
            Extra neighbour radius, so that displaced copies can reuse the list.

        Raises
        ------
        ValueError
            The data set is empty, or an element has no reference energy.
        """
        if len(dataset) == 0:
            raise ValueError("no frames to build graphs from: the data set is empty")
        frames = list(dataset)
        pairs = [neighbours(frame, cutoff + skin) for frame in frames]
        near = [near_origin(f, f.positions, *pair) for f, pair in zip(frames, pairs, strict=True)]
        taken = np.concatenate([off for off, _ in near])
        n_atoms = np.array([len(frame.numbers) for frame in frames])
        n_edges = np.array([edges.shape[1] for edges, _ in pairs])
        atom_start = np.concatenate([[0], np.cumsum(n_atoms)])
        edge_start = np.concatenate([[0], np.cumsum(n_edges)])
        edges = [e + start for (e, _), start in zip(pairs, atom_start[:-1], strict=True)]
        graph = AtomGraph(
            positions=torch.from_numpy(np.concatenate([f.positions for f in frames]) - taken),
            numbers=torch.from_numpy(np.concatenate([f.numbers for f in frames]).astype(np.int64)),
            structure=torch.from_numpy(np.repeat(np.arange(len(frames)), n_atoms)),
            edge_index=torch.from_numpy(np.concatenate(edges, axis=1)),
            edge_shift=torch.from_numpy(np.concatenate([shift for _, shift in near])),
            cell=torch.from_numpy(np.stack([f.cell for f in frames])),
            n_structures=len(frames),
            energy=torch.from_numpy(_relative_energies(frames, reference or {})),
            forces=torch.from_numpy(
                np.concatenate([np.zeros_like(f.positions) if f.forces is None else f.forces for f in frames])
            ),
            has_energy=torch.tensor([f.energy is not None for f in frames]),
            has_forces=torch.tensor([f.forces is not None for f in frames]),
        )
        return cls(
            graph=graph.to(device, dtype),
            atom_start=torch.from_numpy(atom_start).to(device),
            edge_start=torch.from_numpy(edge_start).to(device),
            radius=cutoff + skin,
            taken=torch.from_numpy(taken).to(device),
        )

    def __len__(self) -> int:
        return self.graph.n_structures

    @property
    def device(self) -> torch.device:
        return self.graph.positions.device

    def all(self) -> AtomGraph:
        """Every frame as one graph."""
        return self.graph

    def chunks(self, indices: Tensor | Sequence[int], frames: int) -> Iterator[Tensor]:
        """`indices` [B] in order, so many frames at a time, or as many as have `CHUNK_EDGES` edges in all."""
        index = torch.as_tensor(indices, dtype=torch.long)
        edges = self.edge_start.diff().cpu()[index].tolist()
        first, load = 0, 0
        for place, own in enumerate(edges):
            if place > first and (place - first == frames or load + own > CHUNK_EDGES):
                yield index[first:place]
                first, load = place, 0
            load += own
        if len(index):
            yield index[first:]

    def batch(self, indices: Tensor | Sequence[int]) -> AtomGraph:
        """The frames at `indices` [B], in that order (repetition allowed), as one graph of B structures."""
        g = self.graph
        index = torch.as_tensor(indices, dtype=torch.long, device=self.device)
        atoms, structure, new_start = _ranges(self.atom_start, index)
        edges, edge_structure, _ = _ranges(self.edge_start, index)
        moved = (new_start - self.atom_start[index])[edge_structure]  # (E,) from the set's atom numbers to the batch's
        return AtomGraph(
            positions=g.positions[atoms],
            numbers=g.numbers[atoms],
            structure=structure,
            edge_index=g.edge_index[:, edges] + moved,
            edge_shift=g.edge_shift[edges],
            cell=g.cell[index],
            n_structures=len(index),
            energy=g.energy[index],
            forces=g.forces[atoms],
            has_energy=g.has_energy[index],
            has_forces=g.has_forces[index],
        )


def _ranges(start: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows start[i] … start[i+1] for every i in `index`, which i each row belongs to, and the first row of each i."""
    count = start[index + 1] - start[index]
    owner = torch.repeat_interleave(count)
    first = count.cumsum(0) - count
    within = torch.arange(len(owner), device=start.device) - first[owner]
    return start[index][owner] + within, owner, first


def _relative_energies(frames: Sequence[Frame], reference: Mapping[int, float]) -> np.ndarray:
    """Energies minus the per-element reference, float64, eV; 0 where there is no label."""
    missing = {int(z) for f in frames for z in np.unique(f.numbers)} - set(reference) if reference else set()
    if missing:
        raise ValueError(
            f"no reference energy for the elements {sorted(missing)} (atomic numbers): "
            f"the reference covers {sorted(reference)}; take it from a data set that holds all elements"
        )
    offset = np.zeros(119)
    for number, energy in reference.items():
        offset[number] = energy
    return np.array([0.0 if f.energy is None else f.energy - offset[f.numbers].sum() for f in frames])


def _moved(graph: AtomGraph, device: torch.device | str | None, dtype: torch.dtype | None) -> dict[str, Tensor]:
    values = {f.name: getattr(graph, f.name) for f in fields(graph)}
    return {
        name: value.to(device=device, dtype=dtype if value.is_floating_point() else None)
        for name, value in values.items()
        if isinstance(value, Tensor)
    }
