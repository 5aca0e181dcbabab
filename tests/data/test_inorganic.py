"""The two periodic data sets: their units, and reference energies where the composition varies or never does."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from piwsl_lab.data import Dataset, Frame, load
from piwsl_lab.data.frames.duplicates import duplicate_groups
from piwsl_lab.data.frames.geometry import closest_pair


def composition(data: Dataset) -> np.ndarray:
    """Atoms of each element, (frames, elements)."""
    elements = data.elements
    return np.array([[np.sum(f.numbers == z) for z in elements] for f in data])


@pytest.mark.parametrize(
    ("name", "atoms", "volume", "net_force"),
    [("tio2_pbe", (6, 95), (7.0, 21.0), 1e-5), ("lmnto", (56, 56), (9.7, 9.8), 1.6)],
)
def test_frames_are_sensible(mirror: Path, name: str, atoms: tuple, volume: tuple, net_force: float) -> None:
    data = load(name)
    assert duplicate_groups(data).max() + 1 == len(data)
    sizes = [len(f) for f in data]
    assert (min(sizes), max(sizes)) == atoms
    assert all(f.pbc.all() for f in data)
    volumes = [abs(np.linalg.det(f.cell)) / len(f) for f in data]  # Å³ an atom
    assert volume[0] < min(volumes) < max(volumes) < volume[1]
    assert all(closest_pair(f.positions, f.cell, f.pbc, within=1.6) is None for f in data)
    assert max(np.linalg.norm(f.forces, axis=1).max() for f in data) < 5.0
    assert max(np.abs(f.forces.sum(axis=0)).max() for f in data) < net_force


def test_tio2_energy_is_the_one_its_origin_prints(mirror: Path) -> None:
    """example/01-generate/output/generate.out: -8.49063430 eV an atom for structure0001, without its atoms."""
    data = load("tio2_pbe")
    whole, atoms = data[0].energy, sum(data.isolated_energies[int(z)] for z in data[0].numbers)
    assert (whole - atoms) / len(data[0]) == pytest.approx(-8.49063430, abs=1e-8)


def test_tio2_forces_are_the_gradient_between_close_frames(mirror: Path) -> None:
    """Work of the mean force between frames of one cell against their energy difference: the slope is 1."""
    alike = defaultdict(list)
    for frame in load("tio2_pbe"):
        alike[frame.numbers.tobytes() + frame.cell.round(4).tobytes()].append(frame)
    pairs = []
    for a, b in itertools.chain.from_iterable(itertools.combinations(frames, 2) for frames in alike.values()):
        step = b.positions - a.positions
        step = step - np.round(step @ np.linalg.inv(a.cell)) @ a.cell
        if np.sqrt((step**2).sum(axis=1).mean()) < 0.1:
            pairs.append((-0.5 * ((a.forces + b.forces) * step).sum(), b.energy - a.energy))
    work, change = np.array(pairs).T
    assert len(pairs) > 300
    assert (work @ change) / (work @ work) == pytest.approx(1.0, abs=0.02)
    assert np.corrcoef(work, change)[0, 1] > 0.99


# -- reference energies ----------------------------------------------------------------------------


def test_least_squares_over_frames_of_all_sizes(mirror: Path) -> None:
    data = Dataset(load("tio2_pbe"))  # without the energies of its atoms
    reference = data.reference_energies()
    assert reference == pytest.approx({8: -439.7, 22: -1615.1}, abs=0.1)
    left = np.array([f.energy for f in data]) - composition(data) @ list(reference.values())
    assert np.abs(left / [len(f) for f in data]).max() < 1.4  # eV an atom, of 830


def test_whole_formula_units_alone_determine_only_their_sum(mirror: Path) -> None:
    """The fit of minimum norm stays finite, but only the stated energies of the atoms carry over to a vacancy."""
    data = load("tio2_pbe")
    counts = composition(data)
    whole, vacancy = data[counts[:, 0] == 2 * counts[:, 1]], data[counts[:, 0] == 2 * counts[:, 1] - 1]
    fitted, stated = Dataset(whole).reference_energies(), whole.reference_energies()
    assert fitted[8] == pytest.approx(2 * fitted[22])
    assert 2 * fitted[8] + fitted[22] == pytest.approx(-2495.0, abs=1.5)
    assert stated == data.isolated_energies
    # As a potential is calibrated: the mean energy an atom of what is left is added to every element.
    mean = np.mean([remainder(f, stated) / len(f) for f in whole])
    assert abs(np.median([remainder(f, stated) - mean * len(f) for f in vacancy])) < 15.0
    assert abs(np.median([remainder(f, fitted) for f in vacancy])) > 100.0


def remainder(frame: Frame, energies: dict[int, float]) -> float:
    return frame.energy - sum(energies[int(z)] for z in frame.numbers)


def test_one_composition_of_five_elements(mirror: Path) -> None:
    """Only the sum is determined; the shares of minimum norm go with the counts, and nothing blows up."""
    data = load("lmnto")
    reference = data.reference_energies()
    counts = composition(data)[0]
    assert counts.tolist() == [8, 32, 7, 7, 2]
    values = np.array([reference[z] for z in data.elements])
    np.testing.assert_allclose(values / values[0], counts / counts[0], rtol=1e-9)
    assert counts @ values == pytest.approx(np.mean([f.energy for f in data]), abs=1e-6)
    assert values.min() > -20.0
