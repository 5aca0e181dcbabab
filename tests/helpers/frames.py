"""Small structures for the tests: molecules and crystals without labels unless asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from ase.build import molecule
from ase.io import write
from scipy.spatial.distance import pdist, squareform

from piwsl_lab.data import Dataset, Frame, Metadata, load


def frame(numbers, positions, cell=None, energy=None, forces=None) -> Frame:
    periodic = cell is not None
    return Frame(
        numbers=np.asarray(numbers, dtype=np.int64),
        positions=np.asarray(positions, dtype=np.float64),
        cell=np.asarray(cell, dtype=np.float64) if periodic else np.zeros((3, 3)),
        pbc=np.full(3, periodic),
        energy=energy,
        forces=forces,
        info={},
    )


def dataset(*frames: Frame) -> Dataset:
    return Dataset(frames, Metadata("test"))


def said(data: Dataset, *words: str) -> bool:
    """Whether one remark on a data set has all of these words."""
    return any(all(word in remark for word in words) for remark in data.remarks)


def rattled(name: str, seed: int = 0, amplitude: float = 0.05) -> Frame:
    """A molecule of ASE's G2 set with every atom moved a little, so that no symmetry hides an error."""
    atoms = molecule(name)
    noise = np.random.default_rng(seed).uniform(-amplitude, amplitude, (len(atoms), 3))
    return frame(atoms.numbers, atoms.positions + noise)


def labelled(name: str, n_frames: int, seed: int = 0, amplitude: float = 0.1) -> Dataset:
    """Rattled copies of a molecule with springs (k = 1 eV/Å²) between all atoms, at rest in ASE's geometry."""
    rest = pdist(molecule(name).positions)
    frames = []
    for number in range(n_frames):
        f = rattled(name, seed=1000 * seed + number, amplitude=amplitude)
        stretch = squareform(pdist(f.positions) - rest)
        vectors = f.positions[:, None] - f.positions[None]
        lengths = squareform(pdist(f.positions)) + np.eye(len(f.numbers))
        forces = -(stretch / lengths)[:, :, None] * vectors
        frames.append(frame(f.numbers, f.positions, energy=0.25 * float((stretch**2).sum()), forces=forces.sum(1)))
    return dataset(*frames)


def crystal(seed: int = 0) -> Frame:
    """Four atoms in a skewed cell that is smaller than the usual cutoff."""
    rng = np.random.default_rng(seed)
    cell = np.array([[3.6, 0.0, 0.0], [0.7, 3.9, 0.0], [-0.4, 0.6, 4.1]])
    fractions = np.array([[0.0, 0.0, 0.0], [0.5, 0.5, 0.1], [0.5, 0.1, 0.5], [0.1, 0.5, 0.5]])
    return frame([8, 6, 8, 1], (fractions + rng.uniform(-0.03, 0.03, (4, 3))) @ cell, cell)


@cache
def _md() -> Dataset:
    return load("ethanol")


def ethanol(n: int, stride: int = 12) -> list[Frame]:
    """Frames of molecular dynamics with their labels."""
    return [_md()[i * stride] for i in range(n)]


def charged(n: int = 30) -> list[Frame]:
    """Every geometry with charge 0, 1 and −1."""
    return [
        replace(f, energy=f.energy + shift, info={**f.info, "charge": charge})
        for f in ethanol(n)
        for charge, shift in ((0, 0.0), (1, 10.5), (-1, 1.9))
    ]


def file_of(path: Path, frames: Iterable[Frame]) -> str:
    """Write frames as extended XYZ; the path as a command takes it."""
    write(path, Dataset(frames).to_atoms(), format="extxyz")
    return str(path)
