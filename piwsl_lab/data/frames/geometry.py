"""Distances between the atoms of one frame and their periodic images.

Everything here costs O(N log N): a k-d tree finds what is near, and only images near the cell are made.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from ase.geometry.minkowski_reduction import minkowski_reduce
from numpy.typing import NDArray
from scipy.spatial import cKDTree

MOST_IMAGES = 5_000_000  # atoms and images that a search may need; a cutoff that asks for more was a mistake


class Lattice(NamedTuple):
    """The shortest vectors that repeat a frame, one for each of its k periodic directions.

    Attributes
    ----------
    vectors : (k, 3) float
        Å, Minkowski reduced: the nearest image is among those around the rounded fractional coordinates.
    inverse : (3, k) float
        1/Å; positions @ inverse are the fractional coordinates. Its columns are as long as planes are close.
    of_cell : (k, 3) int
        The same vectors in terms of the cell's: vectors = of_cell @ cell.
    """

    vectors: np.ndarray
    inverse: np.ndarray
    of_cell: np.ndarray

    @classmethod
    def of(cls, cell: np.ndarray, pbc: np.ndarray) -> Lattice:
        """Lattice of a cell (3, 3), Å, with linearly independent vectors along pbc (3,)."""
        return _lattice(np.asarray(cell, dtype=np.float64).tobytes(), tuple(bool(on) for on in pbc))


@lru_cache(maxsize=64)
def _lattice(cell: bytes, pbc: tuple[bool, ...]) -> Lattice:
    """The frames of one trajectory ask for the same cell again and again."""
    vectors, on = np.frombuffer(cell).reshape(3, 3), np.array(pbc)
    of_cell = np.eye(3, dtype=np.int64)[on]
    if on.sum() > 1:
        of_cell = np.asarray(minkowski_reduce(vectors, on)[1], dtype=np.int64)[on]
    lattice = of_cell @ vectors
    return Lattice(lattice, np.linalg.pinv(lattice) if on.any() else np.zeros((3, 0)), of_cell)


def flatness(vectors: np.ndarray) -> float:
    """Length, area or volume of (k, 3) vectors over the product of their lengths: 0 flat, 1 at right angles."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return float(np.prod(np.linalg.svd(vectors / lengths, compute_uv=False))) if len(vectors) else 1.0


class Surroundings(NamedTuple):
    """The atoms of a frame inside one cell, and the images around them.

    Attributes
    ----------
    points : (M, 3) float
        Å; the first N are the atoms themselves.
    owner : (M,) int
        The atom that each point is an image of.
    image : (M, 3) int
        points = positions[owner] + image @ cell.
    """

    points: np.ndarray
    owner: np.ndarray
    image: np.ndarray


def surroundings(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, reach: float) -> Surroundings:
    """The atoms, wrapped into one cell along pbc, and every image within `reach` (Å) of that cell.

    Raises
    ------
    ValueError
        The reach asks for more than MOST_IMAGES images.
    """
    n = len(positions)
    if not pbc.any():
        return Surroundings(positions, np.arange(n), np.zeros((n, 3), dtype=np.int64))
    lattice = Lattice.of(cell, pbc)
    k = len(lattice.vectors)
    owner, image = np.arange(n), -np.floor(positions @ lattice.inverse).astype(np.int64)
    margin = reach * np.linalg.norm(lattice.inverse, axis=0)  # in cells
    if n * np.prod(1 + 2 * margin) > MOST_IMAGES:
        raise ValueError(
            f"neighbours within {reach:g} Å of {n} atoms in the cell {np.round(cell, 3).tolist()} are more than "
            f"{MOST_IMAGES} images can hold; take a shorter cutoff"
        )
    inside = positions @ lattice.inverse + image
    fraction = inside
    for axis in range(k):
        steps = np.arange(-np.ceil(margin[axis]), np.ceil(margin[axis]) + 1, dtype=np.int64)
        moved = fraction[:, axis, None] + steps
        which, step = np.nonzero((moved >= -margin[axis] - 1e-9) & (moved <= 1 + margin[axis] + 1e-9))
        owner, image, fraction = owner[which], image[which].copy(), fraction[which].copy()
        image[:, axis] += steps[step]
        fraction[:, axis] += steps[step]
    first = (fraction == inside[owner]).all(axis=1)  # the atoms themselves, in their order
    order = np.concatenate([np.flatnonzero(first), np.flatnonzero(~first)])
    owner, image = owner[order], image[order] @ lattice.of_cell
    return Surroundings(positions[owner] + image @ cell, owner, image)


def pairs_within(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, cutoff: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All directed pairs closer than `cutoff` (Å), images included, in no order.

    Returns
    -------
    i, j : (E,) int
    images : (E, 3) int
        The vector from i to j is positions[j] + images @ cell − positions[i].
    """
    n = len(positions)
    around = surroundings(positions, cell, pbc, cutoff)
    # A little more, since wrapped coordinates are rounded; the distance itself decides below.
    near = cKDTree(around.points[:n]).sparse_distance_matrix(
        cKDTree(around.points), cutoff * (1 + 1e-6) + 1e-6, output_type="ndarray"
    )
    i, m = near["i"], near["j"]
    j, images = around.owner[m], around.image[m] - around.image[i]
    vectors = positions[j] - positions[i] + images @ cell
    close = np.einsum("ij,ij->i", vectors, vectors) < cutoff**2
    close &= (i != j) | images.any(axis=1)
    return i[close], j[close], images[close]


def closest_pair(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, within: float
) -> tuple[float, int, int] | None:
    """Smallest distance (Å) of an atom to another or to an image, and whose; None if none is within `within` Å."""
    around = surroundings(positions, cell, pbc, within)
    if len(around.points) < 2:
        return None
    n = len(positions)
    found, points = cKDTree(around.points).query(around.points[:n], k=2, distance_upper_bound=within)
    i = int(found[:, 1].argmin())
    if not np.isfinite(found[i, 1]):
        return None
    other = points[i, 1] if points[i, 0] == i else points[i, 0]
    first, second = sorted((i, int(around.owner[other])))
    return float(found[i, 1]), first, second


def crowding(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, within: float = 1.0) -> float:
    """How many other atoms and images an atom has within so many Å, on average."""
    around = surroundings(positions, cell, pbc, within)
    n = len(positions)
    return float(cKDTree(around.points[:n]).count_neighbors(cKDTree(around.points), within)) / n - 1


def pair_lengths(
    positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Distance of each pair (i, j) of atoms, (pairs,) Å; along pbc that of the nearest image."""
    i, j = pairs
    vectors = positions[j] - positions[i]
    if pbc.any():
        lattice = Lattice.of(cell, pbc)
        vectors = vectors - np.round(vectors @ lattice.inverse) @ lattice.vectors
        around = np.array(list(itertools.product((-1, 0, 1), repeat=len(lattice.vectors)))) @ lattice.vectors
        images = vectors[:, None] + around  # (pairs, images, 3)
        squares = np.einsum("ijk,ijk->ij", images, images).min(axis=1)
    else:
        squares = np.einsum("ij,ij->i", vectors, vectors)
    lengths: NDArray[np.float64] = np.sqrt(squares)
    return lengths
