"""Labels and geometries that stand out from the rest of a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.data import covalent_radii

from piwsl_lab.data.frames.frame import Frame
from piwsl_lab.data.frames.geometry import closest_pair

# eV; the electrons of an atom bind with less than this times Z^(7/3) (Thomas and Fermi, and no atom is above it).
ALL_ELECTRONS = 20.9
ENERGY_GAP = 2.0  # eV per atom, between compositions: a sum over elements leaves no more
CONFORMER_GAP = 0.4  # eV per atom, within one composition: phases and conformers differ by less
FORCE_FLOOR = 50.0  # eV/Å
ABSURD = 1e4  # eV/Å: no two atoms of a frame push like this
NEAR = 0.5  # of the sum of the covalent radii: nothing at rest is nearer
SQUEEZED = 0.8  # of it: nearer than this, large energies and forces have a reason
DEVIATIONS = 20.0  # robust standard deviations, far outside of what heat does


def per_atom_deviations(frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray]:
    """Frames with an energy (indices), and what a sum over elements leaves of it, eV per atom, both [S].

    The sum is fitted by iteratively reweighted least squares, so that outliers do not pull it.
    """
    labelled = np.array([i for i, frame in enumerate(frames) if frame.energy is not None], dtype=np.int64)
    if not len(labelled):
        return labelled, np.zeros(0)
    sizes = np.array([len(frames[i]) for i in labelled])
    elements = np.unique(np.concatenate([np.unique(frames[i].numbers) for i in labelled]))
    counts = np.array([np.bincount(frames[i].numbers, minlength=119)[elements] for i in labelled]) / sizes[:, None]
    energies = np.array([frames[i].energy for i in labelled]) / sizes
    middle = np.median(energies)
    weights = np.ones(len(labelled))
    for _ in range(30 if len(np.unique(counts, axis=0)) > 1 else 0):
        solution = np.linalg.lstsq(counts * weights[:, None], (energies - middle) * weights, rcond=None)[0]
        left = energies - middle - counts @ solution
        weights = 1 / np.sqrt(np.abs(left) + 1e-3)
    if len(np.unique(counts, axis=0)) == 1:
        left = energies - middle
    return labelled, left - np.median(left)


def separate_clusters(deviation: np.ndarray, floor: float) -> tuple[np.ndarray, float]:
    """The values (indices) that lie apart from the larger part of all, and how far the farthest does.

    A gap must lie between them and the others: the tail of a dissociation curve has none. It must be wider than
    `floor` and than many spreads of the larger part.
    """
    nothing = np.zeros(0, dtype=np.int64)
    if len(deviation) < 6:
        return nothing, 0.0
    order = np.argsort(deviation, kind="stable")
    cut = int(np.diff(deviation[order]).argmax()) + 1
    many = deviation[order[cut:] if 2 * cut < len(order) else order[:cut]]
    centre = np.median(many)
    limit = max(floor, DEVIATIONS * 1.4826 * np.median(np.abs(many - centre)))
    away = np.abs(deviation - centre)
    order = np.argsort(away, kind="stable")
    gaps = np.flatnonzero((np.diff(away[order]) > limit / 2) & (away[order][1:] > limit))
    if not len(gaps):
        return nothing, 0.0
    off = np.sort(order[gaps[0] + 1 :])
    return off, float(away[off].max())


def implausible_energies(frames: Sequence[Frame]) -> tuple[int, ...]:
    """Frames whose energy is larger than all their electrons could bind."""
    bound = 1.1 * ALL_ELECTRONS * np.arange(119) ** (7 / 3)
    return tuple(
        i
        for i, frame in enumerate(frames)
        if frame.energy is not None and abs(frame.energy) > bound[frame.numbers].sum()
    )


def force_outliers(frames: Sequence[Frame]) -> tuple[tuple[int, ...], float]:
    """Frames with huge forces between atoms that are not near, and the median of the largest force per frame, eV/Å."""
    largest = {i: float(np.abs(frame.forces).max()) for i, frame in enumerate(frames) if frame.forces is not None}
    if not largest:
        return (), 0.0
    values = np.array(list(largest.values()))
    usual = float(np.median(values))
    limit = max(FORCE_FLOOR, usual + DEVIATIONS * 1.4826 * float(np.median(np.abs(values - usual))))
    odd = tuple(i for i, size in largest.items() if size > limit and (size > ABSURD or not squeezed(frames[i])))
    return odd, usual


def too_close(frames: Sequence[Frame]) -> tuple[tuple[int, ...], float]:
    """Frames with two atoms nearer than half the sum of their covalent radii, and the shortest distance, Å."""
    found = {i: distance for i, (near, distance) in enumerate(map(_nearest, frames)) if near < NEAR}
    return tuple(found), min(found.values(), default=np.inf)


def squeezed(frame: Frame) -> bool:
    """Whether two atoms are so near that a large energy or force has a reason."""
    return _nearest(frame)[0] < SQUEEZED


def _nearest(frame: Frame) -> tuple[float, float]:
    """Shortest distance over the sum of the covalent radii, and the distance in Å; infinity where atoms are apart."""
    found = closest_pair(frame.positions, frame.cell, frame.pbc, within=2 * covalent_radii[frame.numbers].max())
    if found is None:
        return np.inf, np.inf
    distance, i, j = found
    return distance / covalent_radii[frame.numbers[[i, j]]].sum(), distance
