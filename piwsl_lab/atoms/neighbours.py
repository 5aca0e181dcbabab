"""Which atoms of a frame are near each other: vesin's list of cells where it fits, a k-d tree elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from vesin import NeighborList

from piwsl_lab.data.frames.frame import FARTHEST
from piwsl_lab.data.frames.geometry import flatness, pairs_within

if TYPE_CHECKING:
    from piwsl_lab.data import Frame

FEW_CELLS, MOST_CELLS, FEWEST_CELLS, SKEWED = 64, 50_000, 0.25, 0.2  # what is asked of vesin, see `_suits_cells`
FAR = 500.0  # Å from the origin, see `near_origin`


class Neighbours(NamedTuple):
    """The neighbour list of one frame with N atoms and E directed edges.

    Attributes
    ----------
    edge_index : int64 array [2, E]
        Sorted by centre.
    edge_shift : float64 array [E, 3], Å
        Lattice translation of the neighbour, where `taken` is off the positions.
    taken : float64 array [N, 3], Å
        What to take off the positions, see `near_origin`.
    """

    edge_index: NDArray[np.int64]
    edge_shift: NDArray[np.float64]
    taken: NDArray[np.float64]


def listed(frame: Frame, radius: float, positions: NDArray[np.float64] | None = None) -> Neighbours:
    """Neighbours of a frame within a radius (Å), near the origin; arguments and errors as in `neighbours`."""
    here = frame.positions if positions is None else positions
    edges, shift = neighbours(frame, radius, here)
    taken, shift = near_origin(frame, here, edges, shift)
    return Neighbours(edges, shift, taken)


def neighbours(
    frame: Frame, cutoff: float, positions: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All directed pairs of one frame within `cutoff` (Å), periodic images included.

    Parameters
    ----------
    frame : Frame
    cutoff : float, Å
    positions : (N, 3) float, optional
        Where the atoms are now, Å, if not where the frame has them.

    Returns
    -------
    edge_index : int64 array [2, E], sorted by centre
    edge_shift : float64 array [E, 3], Å

    Raises
    ------
    ValueError
        The cutoff asks for more periodic images than fit into memory, or a position is not finite or beyond 1e7 Å.
    """
    place = frame.positions if positions is None else positions
    if not np.abs(place).max() <= FARTHEST:  # also true for nan
        raise ValueError(f"an atom is at {np.abs(place).max()} Å, beyond {FARTHEST:g} Å: it has no neighbours there")
    box = frame.cell * frame.pbc[:, None]
    if _suits_cells(place, box, frame.pbc, cutoff):
        listing = NeighborList(cutoff=cutoff, full_list=True)
        i, j, images = listing.compute(place, box, frame.pbc.tolist(), quantities="ijS")
    else:
        i, j, images = pairs_within(place, box, frame.pbc, cutoff)
    # A fixed order makes sums, and so whole trainings, reproducible bit for bit.
    order = np.lexsort((*images.T, j, i))
    i, j, images = i[order].astype(np.int64), j[order].astype(np.int64), images[order]
    return np.stack([i, j]), images.astype(np.float64) @ box


def _suits_cells(
    positions: NDArray[np.float64], box: NDArray[np.float64], pbc: NDArray[np.bool_], cutoff: float
) -> bool:
    """Whether vesin's list of cells fits these atoms.

    vesin 0.6.2 kills Python where its list is long and flat. It is far slower than a tree where
    nearly all cells are empty, where an atom sees many of its own images, and where a wide frame is thin, skewed or
    does not repeat everywhere.
    """
    if pbc.any() and (not pbc.all() or flatness(box) < SKEWED):
        return False
    # The distances of opposite faces, in cutoffs.
    across = 1 / np.linalg.norm(np.linalg.inv(box), axis=0) if pbc.all() else np.ptp(positions, axis=0)
    cells = across / cutoff
    count = np.prod(cells.clip(min=1))
    thinnest = 0.0 if not pbc.any() else FEWEST_CELLS if count <= FEW_CELLS else 1.0
    return bool(cells.min() >= thinnest and count <= max(FEW_CELLS, min(len(positions), MOST_CELLS)))


def near_origin(
    frame: Frame, positions: NDArray[np.float64], edge_index: NDArray[np.int64], edge_shift: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What to take off positions [N, 3] that float32 would round away, and the shifts [E, 3] to go with it, Å.

    Beyond 500 Å float32 keeps less than 3e-5 Å. Atoms that see each other are then moved together
    to the origin, each group by itself. Atoms outside a periodic cell are moved into it. No vector
    between neighbours changes, so nothing that a potential computes does. Elsewhere it is all
    zeros.
    """
    if np.abs(positions).max() < FAR:
        return np.zeros_like(positions), edge_shift
    box, taken = frame.cell * frame.pbc[:, None], np.zeros_like(positions)
    if frame.pbc.any():
        taken = np.floor(positions @ np.linalg.pinv(box)) @ box
    n = len(positions)
    bonds = coo_matrix((np.ones(edge_index.shape[1]), tuple(edge_index)), shape=(n, n))
    count, group = connected_components(bonds, directed=False)
    centre = np.zeros((count, 3))
    np.add.at(centre, group, positions - taken)
    taken = taken + (centre / np.bincount(group)[:, None])[group]
    return taken, edge_shift + taken[edge_index[1]] - taken[edge_index[0]]
