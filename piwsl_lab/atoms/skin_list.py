"""The neighbour list for atoms that move, with a skin; molecular dynamics and the calculator of ASE share it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.atoms.neighbours import Neighbours, listed

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

SKIN = 1.0  # Å of neighbour list to spare


class SkinList:
    """Graphs of S structures whose atoms move; a structure's list is made anew when half its skin is used.

    The list holds while no atom has moved by half the skin. No two have then approached each other
    by more than the whole.

    Parameters
    ----------
    graphs : GraphSet of S frames
        Their first lists, as long as the cutoff and the skin.
    frames : Dataset of the same frames
    skin : float, Å

    Attributes
    ----------
    graph : AtomGraph
        The present lists; positions are those of the frames.
    rebuilds : int
        How many lists were made anew.
    """

    def __init__(self, graphs: GraphSet, frames: Dataset, skin: float = SKIN) -> None:
        self.frames, self.skin, self.radius = frames, skin, graphs.radius
        self.graph = graphs.all()
        self.rebuilds = 0
        self._first: list[int] = graphs.atom_start.tolist()
        self._taken = graphs.taken
        self._origin = self.graph.positions.double() + self._taken
        ends = graphs.edge_start.tolist()
        index, shift = self.graph.edge_index.cpu().numpy(), self.graph.edge_shift.double().cpu().numpy()
        taken = self._taken.cpu().numpy()
        self._lists = [
            Neighbours(index[:, a:b] - first, shift[a:b], taken[first:last])
            for a, b, first, last in zip(ends[:-1], ends[1:], self._first[:-1], self._first[1:], strict=True)
        ]

    def at(self, positions: Tensor) -> AtomGraph:
        """The graph at positions [N, 3] (Å, float64), in its own dtype and on its own device.

        It does not look whether the lists still hold: see `refresh`.
        """
        return self.graph.at((positions.to(self._taken) - self._taken).to(self.graph.positions))

    def used_up(self, positions: Tensor) -> Tensor:
        """Which atoms have moved by half the skin, or to nowhere at all, bool [N]."""
        moved = (positions.to(self._origin) - self._origin).square().sum(1)
        return ~(moved < (0.5 * self.skin) ** 2)  # also true for nan

    def refresh(self, positions: Tensor) -> None:
        """Make the lists anew of the structures that have used half their skin.

        Raises
        ------
        ValueError
            A position is not finite or beyond 1e7 Å.
        """
        used = self.used_up(positions)
        if not bool(used.any()):
            return
        stale = sorted(set(self.graph.structure[used].tolist()))
        here, lists = positions.cpu().numpy(), list(self._lists)
        origin, taken = self._origin.clone(), self._taken.clone()
        for s in stale:
            atoms = slice(self._first[s], self._first[s + 1])
            lists[s] = listed(self.frames[s], self.radius, here[atoms])
            taken[atoms] = torch.from_numpy(lists[s].taken).to(taken)
            origin[atoms] = positions[atoms]
        edges = np.concatenate(
            [found.edge_index + first for found, first in zip(lists, self._first[:-1], strict=True)], axis=1
        )
        shifts = np.concatenate([found.edge_shift for found in lists])
        graph = replace(
            self.graph,
            edge_index=torch.from_numpy(edges).to(self.graph.edge_index),
            edge_shift=torch.from_numpy(shifts).to(self.graph.edge_shift),
        )
        # All at once: Ctrl-C between them would leave new places beside old neighbours.
        self._lists, self._origin, self._taken, self.graph = lists, origin, taken, graph
        self.rebuilds += len(stale)
