"""Frames of every shape through `Frame` and `neighbours`; run in a process of its own, for what it feeds may kill one.

`python tests/helpers/fuzz_geometry.py FIRST LAST` prints a line before each frame, and at the end how many had an
answer. Where
`neighbours` asks vesin, its number of pairs is held against `pairs_within`, which takes the other frames anyway.
"""

from __future__ import annotations

import sys

import numpy as np
from address_space import limit

from piwsl_lab.atoms.neighbours import neighbours
from piwsl_lab.data import DataError, Frame
from piwsl_lab.data.frames.geometry import pairs_within


def wild(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Positions, cell, pbc and cutoff, from 1e-3 to 1e7 Å, flat, long, skewed, turned, far from the origin."""
    n, pbc = int(rng.integers(1, 150)), rng.random(3) < rng.choice([0.0, 0.5, 1.0])
    extent = 10 ** rng.uniform(-3 if rng.random() < 0.3 else 0, rng.choice([2, 4, 7]), 3)
    extent[rng.random(3) < 0.2] = 0
    positions = rng.uniform(-0.5, 0.5, (n, 3)) * extent + rng.normal(0, 10 ** rng.uniform(0, 6), 3)
    cell = np.diag(10 ** rng.uniform(-1, rng.choice([2, 5]), 3))
    if rng.random() < 0.5:
        skew = np.eye(3)
        skew[[1, 2, 2], [0, 0, 1]] = rng.normal(0, 10 ** rng.uniform(-1, 2), 3)
        cell = (skew @ cell)[rng.permutation(3)]
    cell[~pbc & (rng.random(3) < 0.5)] = 0
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return positions @ turn, cell @ turn, pbc, float(rng.uniform(1, 12))


def main(first: int, last: int) -> None:
    limit()
    answered = refused = 0
    for seed in range(first, last):
        positions, cell, pbc, cutoff = wild(np.random.default_rng(seed))
        print(seed, flush=True)
        try:
            frame = Frame(np.ones(len(positions)), positions, cell, pbc)
        except DataError:
            refused += 1
            continue
        found = neighbours(frame, cutoff)[0].shape[1]
        assert found == len(pairs_within(frame.positions, frame.cell * frame.pbc[:, None], frame.pbc, cutoff)[0])
        answered += 1
    print(f"answered {answered}, refused {refused}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
