"""Where forces come from while atoms move: a learned potential with neighbour lists that last, or an oracle."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.skin_list import SKIN, SkinList
from piwsl_lab.data import Dataset, Frame, Oracle
from piwsl_lab.data.frames.frame import FARTHEST, DataError
from piwsl_lab.md.limits import check_pairs
from piwsl_lab.models.interface import AnyPotential, as_graphs, ask, forces_of, require_gradients

CLOSEST = 0.15  # Å: nearer than any two nuclei; frames are refused below 0.1 Å


class ForceField(Protocol):
    """Energies and forces of S structures that stand side by side, N atoms in all.

    Attributes
    ----------
    graph : AtomGraph
        Which atoms there are, on the device the dynamics runs on.
    frames : Dataset of S frames
    """

    @property
    def graph(self) -> AtomGraph:
        """The N atoms as they were last asked about."""

    @property
    def frames(self) -> Dataset:
        """The S frames that the structures began as, without labels."""

    def __call__(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies [S] (eV) and forces [N, 3] (eV/Å) at positions [N, 3] (Å), float64; nan where the method failed."""

    def too_close(self, positions: Tensor) -> Tensor:
        """Which structures have a position that is not finite or two atoms on one spot, bool [S]."""

    def why(self, structure: int) -> str:
        """Why a structure has no forces, in words; "" if no reason is known."""


def force_field(source: Any, frames: Dataset) -> ForceField:
    """Forces of a potential or of an `Oracle` for the structures of a data set; a force field is passed through."""
    if isinstance(source, Oracle):
        return OracleForces(source, frames)
    # A potential tells energies of a graph; only a force field tells which atoms are too close.
    return source if hasattr(source, "too_close") else LearnedForces(source, frames)


class LearnedForces:
    """Forces of a potential; each structure keeps its neighbour list until half the skin is used.

    Parameters
    ----------
    potential : AnyPotential
    frames : Dataset of S frames
    skin : float, Å

    Raises
    ------
    ValueError
        An element that the potential does not know, more pairs of neighbours than fit, or a potential that was made
        in `torch.inference_mode`.
    """

    @torch.inference_mode(False)
    def __init__(self, potential: AnyPotential, frames: Dataset, skin: float = SKIN) -> None:
        require_gradients(potential)
        distinct, which = _distinct(frames)
        built = as_graphs(potential, distinct.unlabelled(), skin)
        check_pairs(int(np.diff(built.edge_start.cpu().numpy())[which].sum()), len(frames))
        self.potential, self.frames, self.skin = potential, frames.unlabelled(), skin
        if len(distinct) < len(frames):
            built = as_graphs(potential, self.frames, skin)
        self.neighbours = SkinList(built, self.frames, skin)

    @property
    def graph(self) -> AtomGraph:
        """The present neighbour lists."""
        return self.neighbours.graph

    @torch.inference_mode(False)
    def __call__(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        # A tensor of inference mode takes no part in a gradient; a copy made here does.
        positions = positions.clone() if positions.is_inference() else positions
        self.neighbours.refresh(positions)
        prediction = ask(self.potential, self.neighbours.at(positions))
        return prediction.energy.double(), forces_of(prediction).double()

    def too_close(self, positions: Tensor) -> Tensor:
        """Which structures have atoms nearer than 0.15 Å or a position out of bounds, bool [S]."""
        graph = self.neighbours.at(positions)
        bad = (~(positions.abs() < FARTHEST).all(1)).to(graph.positions)  # also true for nan
        near = graph.vectors().square().sum(1) < CLOSEST**2
        return graph.sum_over_atoms(bad.index_add(0, graph.edge_index[0], near.to(graph.positions))) > 0

    def why(self, structure: int) -> str:
        """Always "": what the potential refuses is named when it is built."""
        return ""


class OracleForces:
    """Forces of a reference method, one structure after the other.

    Parameters
    ----------
    oracle : Oracle
    frames : Dataset of S frames
    """

    def __init__(self, oracle: Oracle, frames: Dataset) -> None:
        self.oracle, self.frames = oracle, frames.unlabelled()
        # No neighbour is asked for: the graph only says which atom belongs to which structure.
        self.graph = _no_neighbours(self.frames)
        self.first = np.concatenate([[0], np.cumsum([len(frame) for frame in frames])]).tolist()
        self._energies = torch.zeros(len(frames), dtype=torch.float64)
        self._forces = torch.zeros_like(self.graph.positions)
        self._last: Tensor | None = None
        self._why = [""] * len(frames)

    def __call__(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        energies, forces = self._energies.clone(), self._forces.clone()
        for s, frame in enumerate(self.frames):
            atoms = slice(self.first[s], self.first[s + 1])
            if self._last is not None and torch.equal(positions[atoms], self._last[atoms]):
                continue  # a structure that was lost stands still
            try:
                place = positions[atoms].numpy()
                label = self.oracle.label(frame.numbers, place, frame.cell, frame.pbc, **electronic_state(frame))
            except DataError as error:  # kept for `why`: the others fly on
                self._why[s] = str(error)
                energies[s], forces[atoms] = torch.nan, torch.nan
                continue
            assert label.energy is not None  # an oracle labels a frame or raises
            energies[s], forces[atoms] = label.energy, torch.tensor(label.forces)
        self._last, self._energies, self._forces = positions.clone(), energies, forces
        return energies, forces

    def too_close(self, positions: Tensor) -> Tensor:
        """Which structures have a position that is not finite, bool [S]; the oracle finds other errors itself."""
        bad = (~positions.isfinite().all(1)).to(positions)
        return self.graph.sum_over_atoms(bad) > 0

    def why(self, structure: int) -> str:
        """What the oracle last said about a structure that it could not label; "" if nothing."""
        return self._why[structure]


def electronic_state(frame: Frame) -> dict[str, Any]:
    """Charge (e) and multiplicity that a frame names, as `Oracle.label` takes them; nothing for any other frame."""
    charge = {"charge": frame.charge} if frame.charge else {}
    return charge if frame.multiplicity is None else charge | {"multiplicity": frame.multiplicity}


def _distinct(frames: Dataset) -> tuple[Dataset, list[int]]:
    """Every frame once, and where each of the frames is among them."""
    numbers: dict[int, int] = {}
    which = [numbers.setdefault(id(frame), len(numbers)) for frame in frames]
    first = np.unique(which, return_index=True)[1]
    return frames[first], which


def _no_neighbours(frames: Dataset) -> AtomGraph:
    """The atoms of a data set as a graph without edges, float64."""
    sizes = torch.tensor([len(frame) for frame in frames])
    n_atoms, none = int(sizes.sum()), torch.zeros(len(frames), dtype=torch.bool)
    return AtomGraph(
        positions=torch.from_numpy(np.concatenate([frame.positions for frame in frames])),
        numbers=torch.from_numpy(np.concatenate([frame.numbers for frame in frames])),
        structure=torch.repeat_interleave(sizes),
        edge_index=torch.zeros(2, 0, dtype=torch.long),
        edge_shift=torch.zeros(0, 3, dtype=torch.float64),
        cell=torch.from_numpy(np.stack([frame.cell for frame in frames])),
        n_structures=len(frames),
        energy=torch.zeros(len(frames), dtype=torch.float64),
        forces=torch.zeros(n_atoms, 3, dtype=torch.float64),
        has_energy=none,
        has_forces=none,
    )
