"""Frames that are copies of each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from piwsl_lab.data.frames.frame import Frame
from piwsl_lab.data.frames.geometry import pair_lengths

# Å, on every interatomic distance. Where each coordinate differs by 1e-3 Å at most, as between a file and its rounded
# copy, each of two atoms moves by √3 · 1e-3 Å at most. Of all catalogued sets only exact copies are so close.
SAME_GEOMETRY = 2 * np.sqrt(3) * 1e-3 + 1e-6
ALL_PAIRS = 64  # atoms; in a larger frame its distances to ANCHORS atoms say where an atom is
ANCHORS = 8
SAMPLE = 64  # distances that are looked at first
PIECE = 5  # times SAME_GEOMETRY: what one piece of a chain reaches to either side
NEIGHBOURS = 32  # copies that one frame is compared with
COLUMNS = 8  # those of them that vary most: the tree is made of them
CANDIDATES = 500_000  # pairs of frames in memory at a time
NUMBERS = 5_000_000  # distances in memory at a time


def duplicate_groups(frames: Sequence[Frame]) -> np.ndarray:
    """Group index of every frame, (S,) int, counted from 0 in order of first appearance.

    Copies are in one group: they have the same atoms in the same order. Their interatomic
    distances and cell lengths agree within 3.5e-3 Å. They are found also when one was rounded to
    1e-3 Å, moved, wrapped, rotated or mirrored. A copy of a copy belongs to the group of both.
    Copies whose atoms were reordered are not found. Above 64 atoms the distances to eight atoms
    stand for all.
    """
    composition: dict[bytes, list[int]] = {}
    for index, frame in enumerate(frames):
        composition.setdefault(frame.numbers.tobytes() + frame.pbc.tobytes(), []).append(index)
    links = []
    for alike in composition.values():
        if len(alike) > 1:
            links.append(np.array(alike)[_copies([frames[i] for i in alike])])
    return renumbered(_joined(len(frames), links))


def renumbered(groups: np.ndarray) -> np.ndarray:
    """Groups (S,) counted from 0 in order of first appearance."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[group].astype(np.int64)


def shuffled(groups: np.ndarray, seed: int) -> np.ndarray:
    """Indices of frames, (S,) int, along a random permutation of their groups: copies stand side by side."""
    order = np.random.default_rng(seed).permutation(groups.max(initial=-1) + 1)
    return np.argsort(np.argsort(order)[groups], kind="stable")


def bridges(frames: Sequence[Frame], groups: np.ndarray) -> np.ndarray:
    """Frames without which no long chain of copies is left, (n,) int, sorted.

    In a trajectory that is stored often every frame is a copy of the next, and its ends are far apart. Left out is
    what lies between pieces of up to ten times the tolerance. No two frames of two pieces are copies then.
    """
    out: list[int] = []
    for chain in shared(groups):
        sample = _sample([frames[i] for i in chain])
        if np.ptp(sample, axis=0).max(initial=0.0) <= 2 * PIECE * SAME_GEOMETRY:
            continue
        tree, free = cKDTree(sample), np.ones(len(chain), dtype=bool)
        for first in range(len(chain)):
            if free[first]:
                near = np.array(tree.query_ball_point(sample[first], (PIECE + 1.01) * SAME_GEOMETRY, p=np.inf))
                near = near[free[near]]
                free[near] = False
                away = np.abs(sample[near] - sample[first]).max(axis=1)
                out += chain[near[away > PIECE * SAME_GEOMETRY]].tolist()
    return np.array(sorted(out), dtype=np.int64)


def close_pairs(frames: Sequence[Frame]) -> np.ndarray:
    """Pairs a, b of the frames of one group that are copies themselves, not by a chain of others: (n, 2) int.

    Where all are, the first and the last stand for them. Elsewhere each is compared with its nearest `NEIGHBOURS`.
    """
    sample, pairs, ends = _sample(frames), _pairs(len(frames[0])), np.array([[0, len(frames) - 1]])
    close = np.ptp(sample, axis=0).max(initial=0.0) <= SAME_GEOMETRY
    if close and _same_shapes(frames, ends[:, 0], ends[:, 1], pairs)[0]:
        return ends
    most = min(NEIGHBOURS + 1, len(frames))
    near = cKDTree(sample).query(sample, most, p=np.inf, distance_upper_bound=SAME_GEOMETRY)[1]
    a, b = np.repeat(np.arange(len(frames)), most), near.ravel()
    a, b = np.stack([a, b])[:, (b < len(frames)) & (a < b)]
    linked: NDArray[np.int64] = np.stack([a, b], axis=1)[_same_shapes(frames, a, b, pairs)]
    return linked


def members(groups: np.ndarray) -> list[np.ndarray]:
    """The frames of every group."""
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def shared(groups: np.ndarray) -> list[np.ndarray]:
    """The frames of every group of two and more."""
    return [part for part in members(groups) if len(part) > 1]


def _sample(frames: Sequence[Frame]) -> np.ndarray:
    """A few of the numbers that tell geometries apart, (S, 6 + 64 at most), Å."""
    i, j = _pairs(len(frames[0]))
    some = np.unique(np.linspace(0, max(0, len(i) - 1), SAMPLE).astype(int))[: len(i)]
    return _shapes(frames, (i[some], j[some]))


def _joined(size: int, links: list[np.ndarray]) -> np.ndarray:
    """A label for each of `size` things: the same where a chain of links, each (n, 2) int, leads."""
    if not size:
        return np.zeros(0, dtype=np.int64)
    a, b = np.concatenate([np.zeros((0, 2), dtype=np.int64), *links]).T
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(size, size))
    group: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return group


def _copies(frames: Sequence[Frame]) -> np.ndarray:
    """Links between frames of the same atoms, (n, 2) int, that join all copies."""
    exact: dict[bytes, int] = {}
    twins = np.array([exact.setdefault(_bytes(frame), i) for i, frame in enumerate(frames)])
    links, different = [np.stack([twins, np.arange(len(frames))], axis=1)], np.unique(twins)
    kept, pairs = [frames[i] for i in different], _pairs(len(frames[0]))
    sample = _sample(kept)
    group = np.arange(len(kept))
    for a, b in _candidates(sample):
        # Those that a chain of copies joins already need no second look.
        near = (group[a] != group[b]) & _agree(sample, a, b)
        a, b = a[near], b[near]
        if len(a):
            same = _same_shapes(kept, a, b, pairs) if len(pairs[0]) > SAMPLE else slice(None)
            links.append(different[np.stack([a, b], axis=1)[same]])
            group = _joined(len(frames), links)[different]
    return np.concatenate(links)


def _bytes(frame: Frame) -> bytes:
    """What only exact copies share. A single atom is the same wherever it is."""
    positions = frame.positions.tobytes() if len(frame) > 1 else b""
    return positions + (frame.cell * frame.pbc[:, None]).tobytes()


def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of atoms whose distances tell geometries apart."""
    if n <= ALL_PAIRS:
        return np.triu_indices(n, k=1)
    anchors = np.linspace(0, n - 1, ANCHORS).astype(int)
    i, j = np.repeat(anchors, n), np.tile(np.arange(n), ANCHORS)
    return i[i != j], j[i != j]


def _shapes(frames: Sequence[Frame], pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """What rotation, translation and mirroring leave unchanged: the lattice and distances, (S, 6 + pairs)."""
    a, b, c = np.stack([frame.cell * frame.pbc[:, None] for frame in frames], axis=1)
    lattice = np.linalg.norm([a, b, c, a + b, a + c, b + c], axis=2).T
    return np.concatenate([lattice, [pair_lengths(f.positions, f.cell, f.pbc, pairs) for f in frames]], axis=1)


def _candidates(sample: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs a < b of rows that agree in the columns that vary most, not too many at a time."""
    rows = sample[:, np.argsort(sample.var(axis=0))[-COLUMNS:]]
    tree, query = cKDTree(rows), {"r": SAME_GEOMETRY, "p": np.inf}
    counts = tree.query_ball_point(rows, return_length=True, **query)
    crowd = np.flatnonzero(counts > 1)
    for block in np.split(crowd, np.flatnonzero(np.diff(np.cumsum(counts[crowd]) // CANDIDATES)) + 1):
        found = tree.query_ball_point(rows[block], **query)
        a, b = np.repeat(block, counts[block]), np.concatenate([[], *found]).astype(np.int64)
        yield a[a < b], b[a < b]


def _same_shapes(
    frames: Sequence[Frame], a: np.ndarray, b: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Whether frames a and b agree in the distances of all these pairs of atoms, bool."""
    answers, at_a_time = [np.zeros(0, dtype=bool)], max(1, NUMBERS // max(1, len(pairs[0])))
    for start in range(0, len(a), at_a_time):
        part = slice(start, start + at_a_time)
        needed, row = np.unique([a[part], b[part]], return_inverse=True)
        shapes = _shapes([frames[i] for i in needed], pairs)
        answers.append(_agree(shapes, *row.reshape(2, -1)))
    return np.concatenate(answers)


def _agree(shapes: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether rows a and b are of one geometry, bool; memory stays that of a few columns."""
    same = np.ones(len(a), dtype=bool)
    for column in shapes.T:
        same &= np.abs(column[a] - column[b]) <= SAME_GEOMETRY
    return same
