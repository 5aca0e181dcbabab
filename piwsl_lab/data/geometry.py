"""Distances between the atoms of one frame."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np


def shortest_pair(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> tuple[float, int, int]:
    """Smallest distance (Å) between two atoms and their indices; infinity for a lone atom."""
    if len(positions) < 2:
        return np.inf, 0, 0
    i, j = _pairs(len(positions))
    distance = distances(positions, cell, pbc)
    closest = int(distance.argmin())
    return float(distance[closest]), int(i[closest]), int(j[closest])


@lru_cache(maxsize=16)
def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(n, k=1)


def distances(positions: np.ndarray, cell: np.ndarray, pbc: np.ndarray) -> np.ndarray:
    """Distance of every pair i < j, (N(N-1)/2,) Å.

    Periodic directions use the nearest of the images around the rounded fractional coordinates: in a skewed
    cell, or half-way between two images, rounding alone would depend on how the atoms were wrapped.
    """
    i, j = _pairs(len(positions))
    vectors = positions[j] - positions[i]
    if pbc.any():
        lattice = cell[pbc]
        fractional = vectors @ np.linalg.pinv(lattice)
        vectors = vectors - np.round(fractional) @ lattice
        around = np.array(list(itertools.product((-1, 0, 1), repeat=len(lattice)))) @ lattice
        images = vectors[:, None] + around  # (pairs, images, 3)
        return np.sqrt(np.einsum("ijk,ijk->ij", images, images).min(axis=1))
    return np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
