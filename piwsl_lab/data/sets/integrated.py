"""Energies that a Gaussian process finds from forces alone."""

from __future__ import annotations

import numpy as np


def integrated(positions: np.ndarray, forces: np.ndarray) -> np.ndarray:
    """Energies [S] up to a constant that explain the forces [S, N, 3] at positions [S, N, 3].

    The posterior mean of a Gaussian process over the inverse distances D of all pairs, with the Matérn kernel of
    smoothness 5/2, conditioned on the forces (Chmiela et al., Sci. Adv. 3, e1603015 (2017)).
    """
    s, n = positions.shape[:2]
    i, j = np.triu_indices(n, 1)
    vectors = positions[:, i] - positions[:, j]
    inverse = 1 / np.linalg.norm(vectors, axis=2)
    slopes = np.zeros((s, len(i), n, 3))
    pair = np.arange(len(i))
    slopes[:, pair, i] = -vectors * inverse[:, :, None] ** 3
    slopes[:, pair, j] = -slopes[:, pair, i]
    slopes = slopes.reshape(s, len(i), 3 * n)
    apart = np.linalg.norm(inverse[:, None] - inverse[None], axis=2)
    rate = np.sqrt(5) / max(4 * np.median(apart[np.triu_indices(s, 1)]), 1e-9)
    decay = np.exp(-rate * apart)
    kernel = np.empty((s, 3 * n, s, 3 * n))
    for a in range(s):
        along = inverse[a] - inverse
        scaled = slopes * (decay[a] * (1 + rate * apart[a]))[:, None, None]
        same = np.tensordot(slopes[a], scaled, (0, 1))
        first, second = along @ slopes[a], np.einsum("bp,bpl->bl", along, slopes)
        crossed = np.einsum("bk,bl,b->kbl", first, second, decay[a])
        kernel[a] = same - rate**2 * crossed
    kernel = kernel.reshape(s * 3 * n, s * 3 * n)
    kernel[np.diag_indices(len(kernel))] += 1e-4 * np.trace(kernel) / len(kernel)
    weights = np.linalg.solve(kernel, -forces.reshape(-1)).reshape(s, 3 * n)
    pulled = np.einsum("bpl,bl->bp", slopes, weights)
    along = np.einsum("abp,bp->ab", inverse[:, None] - inverse[None], pulled)
    return (decay * (1 + rate * apart) * along).sum(axis=1)
