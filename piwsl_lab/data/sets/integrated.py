"""Energies that a Gaussian process finds from forces alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def integrated(positions: NDArray[np.float64], forces: NDArray[np.float64]) -> NDArray[np.float64]:
    """Energies [S] up to a constant that explain the forces [S, N, 3] at positions [S, N, 3].

    The posterior mean of a Gaussian process over the inverse distances D of all pairs, conditioned
    on the forces. Its kernel is the Matérn kernel of smoothness 5/2 (Chmiela et al. 2017, doi
    10.1126/sciadv.1603015).
    """
    s, n = positions.shape[:2]
    i, j = np.triu_indices(n, 1)
    vectors = positions[:, i] - positions[:, j]
    inverse = 1 / np.linalg.norm(vectors, axis=2)
    by_atom = np.zeros((s, len(i), n, 3))
    pair = np.arange(len(i))
    by_atom[:, pair, i] = -vectors * inverse[:, :, None] ** 3
    by_atom[:, pair, j] = -by_atom[:, pair, i]
    slopes = by_atom.reshape(s, len(i), 3 * n)
    apart = np.linalg.norm(inverse[:, None] - inverse[None], axis=2)
    rate = np.sqrt(5) / max(4 * np.median(apart[np.triu_indices(s, 1)]), 1e-9)
    decay = np.exp(-rate * apart)
    blocks = np.empty((s, 3 * n, s, 3 * n))
    for a in range(s):
        along = inverse[a] - inverse
        scaled = slopes * (decay[a] * (1 + rate * apart[a]))[:, None, None]
        same = np.tensordot(slopes[a], scaled, (0, 1))
        first, second = along @ slopes[a], np.einsum("bp,bpl->bl", along, slopes)
        crossed = np.einsum("bk,bl,b->kbl", first, second, decay[a])
        blocks[a] = same - rate**2 * crossed
    kernel = blocks.reshape(s * 3 * n, s * 3 * n)
    kernel[np.diag_indices(len(kernel))] += 1e-4 * np.trace(kernel) / len(kernel)
    weights = np.linalg.solve(kernel, -forces.reshape(-1)).reshape(s, 3 * n)
    pulled = np.einsum("bpl,bl->bp", slopes, weights)
    along = np.einsum("abp,bp->ab", inverse[:, None] - inverse[None], pulled)
    energies: NDArray[np.float64] = (decay * (1 + rate * apart) * along).sum(axis=1)
    return energies
