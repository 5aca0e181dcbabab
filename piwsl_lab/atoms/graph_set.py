"""A whole data set of graphs on a device; a minibatch is indexing into tensors that already live there.

Neighbours are found once per frame, within `cutoff + skin`. A potential closes its cutoff function inside that list.
Every displaced copy of a frame may reuse it as long as no two atoms approach each other by more than the skin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.neighbours import Neighbours, listed

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset, Frame

CHUNK_EDGES = 2**16  # that a potential sees at a time where nothing needs more: what it keeps of each bounds the memory
DEFAULT_SKIN = 0.5  # Å: covers displacements up to 0.25 Å per atom


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
        lists = [listed(frame, cutoff + skin) for frame in frames]
        atom_start = np.concatenate([[0], np.cumsum([len(frame.numbers) for frame in frames])])
        edge_start = np.concatenate([[0], np.cumsum([found.edge_index.shape[1] for found in lists])])
        graph = _joined(frames, lists, atom_start, _relative_energies(frames, reference or {}))
        return cls(
            graph=graph.to(device, dtype),
            atom_start=torch.from_numpy(atom_start).to(device),
            edge_start=torch.from_numpy(edge_start).to(device),
            radius=cutoff + skin,
            taken=torch.from_numpy(np.concatenate([found.taken for found in lists])).to(device),
        )

    def __len__(self) -> int:
        return self.graph.n_structures

    @property
    def device(self) -> torch.device:
        """The device of every tensor of it."""
        return self.graph.positions.device

    def all(self) -> AtomGraph:
        """Every frame as one graph."""
        return self.graph

    def chunks(self, indices: Tensor | Sequence[int], frames: int) -> Iterator[Tensor]:
        """`indices` [B] in order, so many frames at a time, or as many as have `CHUNK_EDGES` edges in all.

        What it yields lies on the CPU, wherever the indices were found: `batch` takes both.
        """
        index = torch.as_tensor(indices, dtype=torch.long).cpu()
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


def _joined(
    frames: Sequence[Frame],
    lists: Sequence[Neighbours],
    atom_start: NDArray[np.int64],
    energies: NDArray[np.float64],
) -> AtomGraph:
    """All frames as one graph, float64, on the CPU."""
    sizes = np.diff(atom_start)
    edges = [found.edge_index + first for found, first in zip(lists, atom_start[:-1], strict=True)]
    places = [frame.positions - found.taken for frame, found in zip(frames, lists, strict=True)]
    forces = [np.zeros_like(frame.positions) if frame.forces is None else frame.forces for frame in frames]
    return AtomGraph(
        positions=torch.from_numpy(np.concatenate(places)),
        numbers=torch.from_numpy(np.concatenate([frame.numbers for frame in frames]).astype(np.int64)),
        structure=torch.from_numpy(np.repeat(np.arange(len(frames)), sizes)),
        edge_index=torch.from_numpy(np.concatenate(edges, axis=1)),
        edge_shift=torch.from_numpy(np.concatenate([found.edge_shift for found in lists])),
        cell=torch.from_numpy(np.stack([frame.cell for frame in frames])),
        n_structures=len(frames),
        energy=torch.from_numpy(energies),
        forces=torch.from_numpy(np.concatenate(forces)),
        has_energy=torch.tensor([frame.energy is not None for frame in frames]),
        has_forces=torch.tensor([frame.forces is not None for frame in frames]),
    )


def _ranges(start: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows start[i] … start[i+1] for every i in `index`, which i each row belongs to, and the first row of each i."""
    count = start[index + 1] - start[index]
    owner = torch.repeat_interleave(count)
    first = count.cumsum(0) - count
    within = torch.arange(len(owner), device=start.device) - first[owner]
    return start[index][owner] + within, owner, first


def _relative_energies(frames: Sequence[Frame], reference: Mapping[int, float]) -> NDArray[np.float64]:
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
