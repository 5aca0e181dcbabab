"""Do energies and forces of a data set belong together? Differences of energies against the work of the forces.

Between two configurations of the same atoms the energy changes by minus the work of the forces. With energies in eV
and forces in eV/Å the ratio of the two is 1. Any other unit, or gradients in place of forces, gives another ratio.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from ase import units
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from piwsl_lab.data.frames.frame import Frame, required_energy, required_forces
from piwsl_lab.data.frames.geometry import Lattice
from piwsl_lab.data.sets.integrated import integrated

FRAMES = 2000  # of one composition that are compared, spread over the whole set
ATOMS = 500_000  # of one composition that are compared: it bounds the memory
COMPOSITIONS = 8  # the largest ones are compared
COORDINATES = 1800  # in one fit: time grows with the third power of it
FITS = 3  # of one composition, each to other frames
ENOUGH = 30  # pairs from which energies are said not to follow the forces
WELL_FITTED = 15  # frames in a fit that is trusted to say so
FEWEST = 8  # frames or pairs from which a ratio is told
REACH = 1.5  # Å, farthest move of an atom between two frames that a straight line joins well
SAMPLES = 200  # drawn again for the interval
STRAIGHT = 1.0  # change of the force along the way over the work: below it the trapezoid rule has no bias
# Repulsion grows faster than linearly: between independent rattles the rule finds several times the work there is.
# Forces that level off or turn round are the other way: it finds too little. The closest mistake is a factor of 1.89.
BIASED, SOFTENED = 0.3, 1.6
USUAL = (0.74, 1.35)  # where no ratio is biased

KCAL, KJ, HARTREE, BOHR = units.kcal / units.mol, units.kJ / units.mol, units.Hartree, units.Bohr
# What a ratio may come from, the usual first: (cause, ratio).
CAUSES = (
    ("forces are per bohr (energies in eV or hartree, forces in eV/bohr or hartree/bohr)", 1 / BOHR),
    ("energies in eV and forces in kcal/mol/Å", KCAL),
    ("energies in hartree and forces in eV/Å", 1 / HARTREE),
    ("energies in kcal/mol and forces in eV/Å", 1 / KCAL),
    ("energies in kJ/mol and forces in eV/Å", 1 / KJ),
    ("energies in eV and forces in hartree/bohr", HARTREE / BOHR),
    ("positions in bohr", BOHR),
    ("energies in eV and forces in kJ/mol/Å", KJ),
    ("energies in hartree and forces in kcal/mol/Å", KCAL / HARTREE),
    ("energies in kcal/mol and forces in hartree/bohr", HARTREE / BOHR / KCAL),
    ("energies in kcal/mol and forces in kJ/mol/Å", KJ / KCAL),
    ("energies in kJ/mol and forces in kcal/mol/Å", KCAL / KJ),
    ("energies in kJ/mol and forces in kJ/mol/nm", 0.1),
    ("energies in eV and forces in kJ/mol/nm", 0.1 * KJ),
    ("energies in rydberg and forces in eV/Å", 2 / HARTREE),
    ("energies in eV and forces in rydberg/bohr", HARTREE / BOHR / 2),
    ("energies in meV and forces in eV/Å", 1e3),
    ("energies in eV and forces in meV/Å", 1e-3),
)


class Ratio(NamedTuple):
    """Energy differences divided by minus the work of the forces: 1 where they belong together.

    `low` and `high` bound it with 99 %; `points` is the number of frames or pairs of frames behind it. Where it is
    `curved`, the force changes much along the ways: labels that belong together give from `BIASED` to `SOFTENED`.
    """

    value: float
    low: float
    high: float
    correlation: float
    points: int
    curved: bool = False

    @property
    def sure(self) -> bool:
        """Whether the forces explain the energies well enough to judge their units."""
        known = self.low * self.high > 0 and max(self.high / self.low, self.low / self.high) < 2.0
        return known and abs(self.correlation) > 0.7 and self.points >= FEWEST

    @property
    def right(self) -> bool:
        """Whether 1 is possible; the closest mistake, forces per bohr, is off by 1.9."""
        low, high = (BIASED, SOFTENED) if self.curved else USUAL
        return self.high > low and self.low < high

    @property
    def rough(self) -> bool:
        """Whether 1 is possible only since the force changes much along the ways."""
        return self.right and not (self.high > USUAL[0] and self.low < USUAL[1])


class WorkComparison:
    """Energies of a set against what its forces say of them.

    Only frames with both labels, the same atoms in the same order and the same cell are compared.
    Molecules are compared by a fit to the forces. Everything is compared by the trapezoid rule,
    ΔE = −½ ΔR·(Fₐ + F_b), between frames that are close to each other.
    """

    def __init__(self, frames: Sequence[Frame]) -> None:
        groups = _comparable(frames)
        self._pairs = [pair for group in groups for pair in _joined(group)]
        self._fits = [fit for group in groups if not group[0].pbc.any() for fit in _fits(group)]

    def ratio(self) -> Ratio | None:
        """The ratio of the set, or None where no two frames can be compared.

        Two estimates are made, from the energies of the fits and from pairs of frames. The one with the narrower
        interval counts.
        """
        fitted = [point for fit in self._fits for point in _from_medians(*fit)]
        found = [_ratio(np.array(points)) for points in (fitted, self._pairs) if len(points) >= FEWEST]
        if len(self._pairs) >= FEWEST:
            found[-1] = found[-1]._replace(curved=_curved(np.array(self._pairs)))
        return min(found, key=lambda ratio: (not ratio.sure, ratio.high - ratio.low), default=None)

    def unexplained(self) -> str:
        """How energies miss what the forces allow, in words; "" where they follow or too few frames can tell.

        Between two frames the energy may differ from the trapezoid rule by half of what the force changes along the
        way. In molecules the energies of neighbours also follow a fit to the forces.
        """
        if len(self._pairs) >= ENOUGH:
            work, energy, weight = np.array(self._pairs).T
            allowed = 0.5 / weight + 0.5 * np.maximum(np.abs(work), np.abs(energy)) + 0.01
            odd = int((np.abs(energy - work) > allowed).sum())
            if odd > 0.15 * len(work):
                return f"{odd} of {len(work)} energy differences lie outside of what the forces at both ends allow"
        steps: list[list[float]] = []
        for part, *both in self._fits:
            if len(part) >= WELL_FITTED:
                steps += [[energies[b] - energies[a] for energies in both] for a, b in _neighbours(part)]
        if len(steps) >= ENOUGH:
            guessed, labelled = np.array(steps).T
            follow = (guessed * labelled).sum() / (np.linalg.norm(guessed) * np.linalg.norm(labelled) + 1e-12)
            if follow < 0.5:
                return (
                    f"energy differences have a correlation of {follow:.2f} with those that a fit to the forces gives"
                )
        return ""


def causes(ratio: Ratio, n_atoms: int = 0) -> list[str]:
    """What would explain a ratio, the likeliest first: ["energies in hartree and forces in eV/Å", …].

    Parameters
    ----------
    ratio : Ratio
    n_atoms : int
        Atoms of every frame, where all have the same number.
    """
    table = dict(CAUSES)
    if n_atoms > 1:
        table["energies per atom in place of total energies"] = 1 / n_atoms
    # Between unlike frames the trapezoid is off by more than the interval says.
    distance = {name: abs(np.log(abs(ratio.value) / factor)) for name, factor in table.items()}
    near = [name for name in table if distance[name] < min(0.25, abs(np.log(abs(ratio.value))))]
    if ratio.curved:
        if BIASED < abs(ratio.value) < SOFTENED:
            return []
        near = [name for name in table if name in near or BIASED < abs(ratio.value) / table[name] < SOFTENED]
    return sorted(near, key=lambda name: round(distance[name], 1))[:3]


def _comparable(frames: Sequence[Frame]) -> list[list[Frame]]:
    """Frames with both labels, the same atoms and the same cell: the largest groups, thinned out evenly."""
    groups: dict[bytes, list[Frame]] = {}
    for frame in frames:
        if frame.energy is not None and frame.forces is not None and len(frame) > 1:
            cell = np.round(frame.cell[frame.pbc], 3) + 0.0
            groups.setdefault(frame.numbers.tobytes() + frame.pbc.tobytes() + cell.tobytes(), []).append(frame)
    largest = sorted(groups.values(), key=len, reverse=True)[: COMPOSITIONS if len(groups) < 100 else 4 * COMPOSITIONS]
    return [_spread(group, min(FRAMES, ATOMS // len(group[0]))) for group in largest if len(group) > 1]


def _spread(group: list[Frame], size: int) -> list[Frame]:
    size = max(2, size)
    return group if len(group) <= size else [group[i] for i in np.linspace(0, len(group) - 1, size).astype(int)]


def _ratio(points: np.ndarray) -> Ratio:
    """Robust slope through the origin of work [:, 0] over energy [:, 1] with weights [:, 2].

    All errors are in the work: the slope of the energies over the work would come out too small.
    """
    work, energy, weight = points[points[:, 1] != 0].T if (points[:, 1] != 0).sum() >= FEWEST else np.ones((3, 1))
    draws = np.random.default_rng(0).integers(0, len(work), (SAMPLES, len(work)))
    medians = [_median(work / energy, weight * np.abs(energy))]
    medians += [_median((work / energy)[draw], (weight * np.abs(energy))[draw]) for draw in draws]
    tiny = 1e-12
    slopes = np.where(np.abs(medians) < tiny, tiny, medians)
    low, high = np.quantile(slopes[1:], (0.005, 0.995))
    if low > 0 or high < 0:
        low, high = 1 / high, 1 / low
    norm = np.sqrt((weight * work**2).sum() * (weight * energy**2).sum()) + tiny
    return Ratio(float(1 / slopes[0]), float(low), float(high), float((weight * work * energy).sum() / norm), len(work))


def _curved(pairs: np.ndarray) -> bool:
    """Whether the force changes much along the ways, against the work [:, 0]; the weights [:, 2] tell its change."""
    work, _, weight = pairs.T
    return bool(len(work) > STRAIGHT * (weight * np.abs(work)).sum())


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted median."""
    order = np.argsort(values)
    summed = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(summed, summed[-1] / 2)])


# -- trapezoid between neighbours ----------------------------------------------------------------------------------


def _joined(group: list[Frame]) -> list[tuple[float, float, float]]:
    """(work, energy difference, weight) of frames and their nearest neighbours among the others."""
    found = []
    for a, b in _neighbours(group):
        move, turned = _superposed(group[a], group[b])
        if np.square(move).sum(1).max() < REACH**2:
            start, end = float((move * required_forces(group[a])).sum()), float((move * turned).sum())
            found.append((-(start + end) / 2, required_energy(group[b]) - required_energy(group[a]), abs(end - start)))
    if not found:
        return []
    # The forces' change along the way bounds what the trapezoid leaves out.
    curved = np.array([change for *_, change in found])
    floor = 0.1 * np.median(curved) + 1e-12
    return [(work, energy, 1 / (change + floor)) for work, energy, change in found]


def _neighbours(group: list[Frame]) -> list[tuple[int, int]]:
    """Each frame with the three that are nearest to it, a < b."""
    shapes = _some_distances(group)
    near = cKDTree(shapes).query(shapes, k=min(4, len(group)))[1]
    return sorted({(min(a, b), max(a, b)) for a, row in enumerate(near) for b in row[1:].tolist() if a != b})


def _some_distances(group: list[Frame]) -> np.ndarray:
    """Up to 200 interatomic distances of every frame, the same ones for all, in Å."""
    i, j = _some_pairs(len(group[0]))
    positions = np.stack([frame.positions for frame in group])
    lengths: NDArray[np.float64] = np.linalg.norm(_nearest_image(positions[:, j] - positions[:, i], group[0]), axis=2)
    return lengths


def _some_pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    if n <= 20:
        return np.triu_indices(n, 1)
    i, j = np.random.default_rng(0).integers(0, n, (2, 250))
    return i[i != j][:200], j[i != j][:200]


def _nearest_image(vectors: np.ndarray, frame: Frame) -> np.ndarray:
    if not frame.pbc.any():
        return vectors
    lattice = Lattice.of(frame.cell, frame.pbc)
    nearest: NDArray[np.float64] = vectors - np.round(vectors @ lattice.inverse) @ lattice.vectors
    return nearest


def _superposed(a: Frame, b: Frame) -> tuple[np.ndarray, np.ndarray]:
    """How every atom moves from a to b [N, 3], and the forces of b [N, 3], both as a lies in space."""
    if a.pbc.any():
        move = _nearest_image(b.positions - a.positions, a)
        move = _nearest_image(move - move.mean(axis=0), a)
        return move - move.mean(axis=0), required_forces(b)
    here, there = a.positions - a.positions.mean(axis=0), b.positions - b.positions.mean(axis=0)
    left, _, right = np.linalg.svd(there.T @ here)
    turn = left @ np.diag([1, 1, np.sign(np.linalg.det(left @ right))]) @ right
    return there @ turn - here, required_forces(b) @ turn


# -- Gaussian process on forces --------------------------------------------------------------------------------------


def _from_medians(
    part: list[Frame], from_forces: np.ndarray, labels: np.ndarray
) -> Iterator[tuple[float, float, float]]:
    """(energy from the forces, labelled energy, weight) of the frames of a fit, both from their medians."""
    away = labels - np.median(labels)
    yield from zip(from_forces - np.median(from_forces), away, np.ones(len(part)), strict=True)


def _fits(group: list[Frame]) -> Iterator[tuple[list[Frame], np.ndarray, np.ndarray]]:
    """Some frames, their energies from the forces and their labelled energies, eV, each [S]."""
    size = min(COORDINATES // (3 * len(group[0])), 60)
    fits = max(1, min(FITS, len(group) // max(size, 1)))
    for part in (_spread(group[k::fits], size) for k in range(fits)):
        if min(size, len(part)) < 5:
            break
        from_forces = integrated(np.stack([f.positions for f in part]), np.stack([required_forces(f) for f in part]))
        yield part, from_forces, np.array([required_energy(frame) for frame in part])
