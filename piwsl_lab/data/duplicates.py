"""Frames that are copies of each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from piwsl_lab.data.frame import Frame
from piwsl_lab.data.geometry import distances

SAME_GEOMETRY = 1e-5  # Å, on every interatomic distance; neighbouring MD frames differ by 1e-3 and more


def duplicate_groups(frames: Sequence[Frame]) -> np.ndarray:
    """Group index of every frame, (S,) int, counted from 0 in order of first appearance.

    Two frames are in one group when they have the same atoms in the same order, and the same interatomic
    distances and cell lengths within 1e-5 Å: copies, also when one of them was moved, rotated or mirrored.
    Copies whose atoms were reordered are not found.
    """
    parent = list(range(len(frames)))
    composition: dict[bytes, list[int]] = {}
    for index, frame in enumerate(frames):
        composition.setdefault(frame.numbers.tobytes() + frame.pbc.tobytes(), []).append(index)
    for members in composition.values():
        shapes = np.array([_shape(frames[i]) for i in members])
        for a, b in _close_rows(shapes):
            _join(parent, members[a], members[b])
    roots = [_root(parent, i) for i in range(len(frames))]  # the smallest index of the group
    return np.unique(roots, return_inverse=True)[1].astype(np.int64) if roots else np.zeros(0, dtype=np.int64)


def _shape(frame: Frame) -> np.ndarray:
    """What rotation, translation and mirroring leave unchanged: all distances, and a crystal's lattice."""
    a, b, c = frame.cell * frame.pbc[:, None]
    lattice = np.linalg.norm([a, b, c, a + b, a + c, b + c], axis=1)
    return np.concatenate([distances(frame.positions, frame.cell, frame.pbc, np.triu_indices(len(frame), k=1)), lattice])


def _close_rows(rows: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows that agree within SAME_GEOMETRY in every column.

    Such rows also agree in their mean, so only neighbours in the order of the means need to be compared.
    """
    mean = rows.mean(axis=1)
    order = np.argsort(mean, kind="stable")
    pairs = []
    for place, a in enumerate(order):
        for b in order[place + 1 :]:
            if mean[b] - mean[a] > SAME_GEOMETRY:
                break
            if np.abs(rows[a] - rows[b]).max() <= SAME_GEOMETRY:
                pairs.append((int(a), int(b)))
    return pairs


def _root(parent: list[int], i: int) -> int:
    while parent[i] != i:
        i = parent[i]
    return i


def _join(parent: list[int], i: int, j: int) -> None:
    low, high = sorted((_root(parent, i), _root(parent, j)))
    parent[high] = low
