"""What a trajectory looks like: its interatomic distances h(r) and its vibrational spectrum.

Both are compared as in Fu et al. 2022, "Forces are not enough" (arXiv 2210.07237).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.geometry import find_mic
from numpy.typing import NDArray

from piwsl_lab.data import Frame
from piwsl_lab.md.constraints import masses

AT_ONCE = 100_000  # vectors whose periodic images are looked at together
SPEED_OF_LIGHT = 2.99792458e-5  # cm/fs


def distances(positions: NDArray[np.floating[Any]], frame: Frame, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """h(r): how often two atoms are r apart, over all pairs and times, as a density, [len(edges) − 1], 1/Å.

    Parameters
    ----------
    positions : array [T, n, 3], Å
    frame : Frame of n atoms
    edges : array, Å
        Of the bins; a distance beyond them still counts in the norm.
    """
    i, j = np.triu_indices(len(frame), k=1)
    lengths = bond_lengths(np.asarray(positions), np.stack([i, j], 1), frame)
    counts, _ = np.histogram(lengths, edges)
    density: NDArray[np.float64] = counts / (lengths.size * np.diff(edges))
    return density


def distance_error(h: NDArray[np.float64], reference: NDArray[np.float64], edges: NDArray[np.float64]) -> float:
    """∫ |h(r) − h_ref(r)| dr, no unit: 0 for the same distribution, 2 for two that share no distance."""
    return float((np.abs(h - reference) * np.diff(edges)).sum())


def spectrum(
    velocities: NDArray[np.floating[Any]], frame: Frame, interval: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Vibrational density of states from the mass-weighted velocities.

    Parameters
    ----------
    velocities : array [T, n, 3], Å/fs
        At equal times.
    frame : Frame of n atoms
    interval : float, fs
        Between two of the times; twice it is the shortest period that can be told.

    Returns
    -------
    wavenumber : array [F], 1/cm
    density : array [F]
        Its integral over the wavenumbers is 1.

    Raises
    ------
    ValueError
        Fewer than 16 times.
    """
    velocities = np.asarray(velocities)
    steps = len(velocities)
    if steps < 16:
        raise ValueError(f"a spectrum of {steps} times says nothing; record at least 16, thousands for sharp lines")
    weighted = np.sqrt(masses(frame))[None, :, None] * velocities
    window = np.hanning(steps)[:, None, None]
    # Wiener and Khinchin: the transform of the autocorrelation is the power of the transform.
    power = (np.abs(np.fft.rfft(window * weighted, axis=0)) ** 2).sum(axis=(1, 2))
    wavenumber = np.asarray(np.fft.rfftfreq(steps, interval) / SPEED_OF_LIGHT, dtype=np.float64)
    area = float(power.sum() * wavenumber[1])
    density: NDArray[np.float64] = power / area if area > 0 else power
    return wavenumber, density


def bond_lengths(
    positions: NDArray[np.floating[Any]], pairs: NDArray[np.int64], frame: Frame
) -> NDArray[np.floating[Any]]:
    """Distances of pairs [B, 2] at T places [T, n, 3] → [T, B], Å, to the nearest periodic image."""
    lengths: NDArray[np.floating[Any]]
    if not frame.pbc.any():
        lengths = np.linalg.norm(positions[:, pairs[:, 1]] - positions[:, pairs[:, 0]], axis=2)
        return lengths
    lengths = np.empty((len(positions), len(pairs)))
    # Some times after the other: every vector is tried in all neighbouring cells.
    some = max(1, AT_ONCE // max(1, len(pairs)))
    for start in range(0, len(positions), some):
        places = positions[start : start + some]
        vectors = places[:, pairs[:, 1]] - places[:, pairs[:, 0]]
        _, found = find_mic(vectors.reshape(-1, 3), frame.cell, frame.pbc)
        lengths[start : start + some] = found.reshape(vectors.shape[:2])
    return lengths
