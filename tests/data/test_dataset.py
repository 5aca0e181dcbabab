"""Frames refuse what cannot be right; splits and budgets keep their promises."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given, settings
from hypothesis import strategies as st

from piwsl_lab.data import DataError, Dataset, DataWarning, Frame, Metadata, require_disjoint

WATER = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])


def water(seed: int = 0, **labels) -> Frame:
    """A water molecule distorted by 0.05 Å, different for every seed."""
    noise = 0.05 * np.random.default_rng(seed).standard_normal((3, 3))
    return Frame([8, 1, 1], WATER + noise, **labels)


def waters(n: int, energies: int | None = None, forces: int | None = None) -> Dataset:
    """n frames; the first `energies` have an energy, the last `forces` have forces (default: all)."""
    energies, forces = n if energies is None else energies, n if forces is None else forces
    return Dataset(
        [
            water(
                i,
                energy=-10.0 - i if i < energies else None,
                forces=np.full((3, 3), i) if i >= n - forces else None,
            )
            for i in range(n)
        ],
        Metadata("waters"),
    )


def geometries(dataset: Dataset) -> set[bytes]:
    return {frame.positions.tobytes() for frame in dataset}


def labelled_with(dataset: Dataset, label: str) -> set[int]:
    return {i for i, frame in enumerate(dataset) if getattr(frame, label) is not None}


# -- frames ----------------------------------------------------------------------------------------


def with_value(shape: tuple[int, ...], index: tuple[int, ...], value: float) -> np.ndarray:
    array = np.zeros(shape)
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"energy": np.nan}, r"energy is nan; remove the frame"),
        ({"energy": -np.inf}, r"energy is -inf; remove the frame"),
        ({"energy": [1.0, 2.0]}, r"energy has shape \(2,\), expected one number"),
        ({"forces": with_value((3, 3), (2, 1), np.nan)}, r"forces\[2, 1\] is nan; remove the frame"),
        ({"forces": with_value((3, 3), (0, 0), np.inf)}, r"forces\[0, 0\] is inf; remove the frame"),
        ({"forces": np.zeros((2, 3))}, r"forces have shape \(2, 3\), expected \(3, 3\)"),
        ({"positions": np.zeros((3, 2))}, r"positions have shape \(3, 2\), expected \(3, 3\)"),
        ({"positions": WATER + with_value((3, 3), (1, 2), np.nan)}, r"positions\[1, 2\] is nan"),
        ({"positions": WATER[[0, 1, 1]]}, r"atoms 1 and 2 are on one spot .* remove the frame"),
        ({"cell": np.eye(2)}, r"cell have shape \(2, 2\), expected \(3, 3\)"),
        ({"pbc": True}, r"pbc is set along a cell vector that is zero; give the cell or set pbc"),
        ({"numbers": [8, 1, 0]}, r"numbers holds 0\.\.8; atomic numbers are 1 to 118"),
        ({"numbers": [8, 1, 1.5]}, r"numbers must be whole numbers"),
        ({"numbers": ["O", "H", "H"]}, r"numbers are not numbers"),
        ({"numbers": [], "positions": np.zeros((0, 3))}, r"no atoms; remove the frame"),
    ],
)
def test_frame_refuses(change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Frame(**{"numbers": [8, 1, 1], "positions": WATER, **change})


def test_two_atoms_on_one_spot_through_the_boundary() -> None:
    cell = np.array([[4.0, 0.0, 0.0], [1.0, 4.0, 0.0], [0.0, 2.0, 4.0]])
    positions = np.array([[0.1, 0.1, 0.1], [0.15, 0.1, 0.1] + cell[0] - cell[2]])
    assert len(Frame([1, 1], positions, cell, pbc=False)) == 2
    assert len(Frame([1, 1], positions, cell, pbc=[True, False, False])) == 2
    with pytest.raises(DataError, match=r"atoms 0 and 1 are on one spot \(0\.050"):
        Frame([1, 1], positions, cell, pbc=True)


def test_frame_converts_and_cannot_be_changed() -> None:
    source = WATER.astype(np.float32)
    frame = Frame([8, 1, 1], source, energy=np.float32(-1.5), forces=[[0, 0, 0]] * 3)
    assert frame.positions.dtype == frame.forces.dtype == np.float64
    assert frame.numbers.dtype == np.int64
    assert frame.pbc.tolist() == [False] * 3
    assert isinstance(frame.energy, float)
    source += 1
    np.testing.assert_allclose(frame.positions, WATER, atol=1e-6)
    with pytest.raises(ValueError, match="read-only"):
        frame.positions[0, 0] = 1
    with pytest.raises(AttributeError):
        frame.energy = 0.0


# -- the sequence ----------------------------------------------------------------------------------


def test_dataset_names_the_frame() -> None:
    with pytest.raises(DataError, match=r"^frame 17 of md\.xyz: energy is nan"):
        Dataset((water(i, energy=np.nan if i == 17 else 0.0) for i in range(20)), Metadata("md.xyz"))


def test_indexing() -> None:
    data = Dataset(waters(10), Metadata("m"), {1: -13.0, 8: -2000.0})
    assert data[3] is data[np.int64(3)]
    assert data[-1] is data[9]
    for index in (slice(2, 8, 3), [2, 5], np.array([2, 5]), np.isin(np.arange(10), [2, 5])):
        part = data[index]
        assert isinstance(part, Dataset)
        assert [f.energy for f in part] == [-12.0, -15.0]
        assert part.metadata.name == "m"
        assert part.isolated_energies == {1: -13.0, 8: -2000.0}
    assert len(data[[]]) == 0
    with pytest.raises(IndexError):
        data[10]


def test_counts_elements_and_labelled() -> None:
    data = waters(10, energies=4, forces=3)
    assert (data.n_energies, data.n_forces, data.elements) == (4, 3, (1, 8))
    assert [f.energy is not None for f in data.labelled()] == [True] * 4 + [False] * 3


def test_ase_round_trip() -> None:
    crystal = bulk("Cu", cubic=True)
    crystal.rattle(0.1, seed=1)
    crystal.calc = SinglePointCalculator(crystal, energy=-3.5, forces=np.arange(12.0).reshape(4, 3))
    energy_only = molecule("H2O")
    energy_only.info = {"energy": -2.0, "temperature": 300.0, "config_type": "MD", "skipped": [1, 2]}
    bare = molecule("CH4")
    data = Dataset.from_atoms([crystal, energy_only, bare], name="three")
    again = Dataset.from_atoms(data.to_atoms())
    assert data.metadata.name == "three"
    for frames in (data, again):
        assert [f.energy for f in frames] == [-3.5, -2.0, None]
        assert [f.forces is None for f in frames] == [False, True, True]
        assert frames[1].info == {"temperature": 300.0, "config_type": "MD"}
        assert frames[0].pbc.all()
        np.testing.assert_array_equal(frames[0].forces, np.arange(12.0).reshape(4, 3))
        np.testing.assert_array_equal(frames[0].positions, crystal.positions)
        np.testing.assert_array_equal(frames[0].cell, crystal.cell.array)


def test_labels_of_a_live_calculator_and_of_moved_atoms() -> None:
    dimer = Atoms("Cu2", [[0, 0, 0], [0, 0, 2.4]], calculator=EMT())
    live = Dataset.from_atoms([dimer])[0]
    assert live.energy == pytest.approx(dimer.get_potential_energy())
    np.testing.assert_allclose(live.forces, dimer.get_forces())
    moved = molecule("H2O")
    moved.calc = SinglePointCalculator(moved, energy=-1.0)
    moved.positions[0, 0] += 0.1  # the stored energy no longer belongs to these positions
    with pytest.warns(DataWarning, match="1 frames had labels that no longer belong to their geometry"):
        assert Dataset.from_atoms([moved])[0].energy is None


# -- splits ----------------------------------------------------------------------------------------


def copies(n: int, seed: int) -> Dataset:
    """n frames, some of them copies: exact, moved, rotated or mirrored."""
    rng = np.random.default_rng(seed)
    frames = []
    for i in range(n):
        original = int(rng.integers(max(1, n // 2)))
        positions = water(original).positions
        how = rng.integers(3)
        if how >= 1:
            positions = positions + rng.uniform(-5, 5, 3)
        if how == 2:
            positions = positions @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
        frames.append(Frame([8, 1, 1], positions, energy=float(i), info={"original": original}))
    return Dataset(frames)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(0, 5), st.integers(0, 8), st.integers(0, 8), st.integers(0, 8))
def test_split_never_divides_copies(n: int, seed: int, train: int, val: int, test: int) -> None:
    data = copies(n, seed)
    try:
        parts = data.split(train, val, test, seed=seed)
    except DataError:
        # Refused only when a cut group of copies (they belong to one part) leaves too few for the rest.
        largest = max(np.bincount([f.info["original"] for f in data]))
        assert train + val + test > n - 2 * (largest - 1)
        return
    assert [len(part) for part in parts] == [train, val, test]
    energies = [f.energy for part in parts for f in part]
    assert len(set(energies)) == len(energies)
    originals = [{f.info["original"] for f in part} for part in parts]
    assert sum(map(len, originals)) == len(set.union(*originals))
    require_disjoint(train=parts.train, val=parts.val, test=parts.test)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 5), st.integers(0, 10), st.integers(0, 10), st.booleans())
def test_split_is_nested_and_its_test_set_fixed(seed: int, small: int, more: int, with_copies: bool) -> None:
    data = copies(60, seed) if with_copies else waters(60)
    one = data.split(small, 5, 10, seed=seed)
    two = data.split(small + more, 5, 10, seed=seed)
    assert [f.energy for f in one.test] == [f.energy for f in two.test]
    assert [f.energy for f in one.val] == [f.energy for f in two.val]
    assert {f.energy for f in one.train} <= {f.energy for f in two.train}
    again = data.split(small, 5, 10, seed=seed)
    assert [f.energy for part in one for f in part] == [f.energy for part in again for f in part]


def test_split_takes_all_that_is_left_and_depends_on_the_seed() -> None:
    data = waters(30)
    parts = data.split(10, 5)
    assert [len(part) for part in parts] == [10, 5, 15]
    assert geometries(parts.train) | geometries(parts.val) | geometries(parts.test) == geometries(data)
    assert geometries(data.split(10, seed=1).train) != geometries(data.split(10, seed=2).train)
    assert [len(part) for part in data[[]].split(0)] == [0, 0, 0]


def test_mirror_images_are_copies_but_neighbouring_frames_are_not() -> None:
    distorted = water(3).positions
    data = Dataset([Frame([8, 1, 1], r) for r in (distorted, -distorted, distorted * 1.01)])
    with pytest.raises(DataError, match="frame 0 of a and frame 0 of b are one geometry"):
        require_disjoint(a=data[[0]], b=data[[1]])
    require_disjoint(a=data[[0]], b=data[[2]])


def test_strained_cells_of_one_atom_are_different_geometries() -> None:
    cells = [bulk("Cu", a=a) for a in (3.5, 3.6, 3.7)]
    data = Dataset.from_atoms(cells)
    require_disjoint(a=data[:1], b=data[1:])
    with pytest.raises(DataError, match="splits overlap"):
        require_disjoint(a=data[:2], b=data[1:])


def test_overlapping_splits_are_named() -> None:
    data = waters(10)
    with pytest.raises(
        DataError, match=r"splits overlap: frame 4 of train and frame 1 of test .* remove the frame from test"
    ):
        require_disjoint(train=data[:5], val=data[5:7], test=data[[9, 4]])


@pytest.mark.parametrize("sizes", [(11, 0, 0), (5, 3, 3), (8, 3, None)])
def test_split_refuses_more_than_there_is(sizes: tuple) -> None:
    with pytest.raises(DataError, match=r"frames asked for .* waters has 10 \(10 different.*ask for fewer"):
        waters(10).split(*sizes)
    with pytest.raises(DataError, match="must not be negative"):
        waters(10).split(-1)


# -- budgets ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 20), st.integers(0, 5))
def test_budget_is_exact_and_nested(data, n: int, seed: int) -> None:
    energies, forces = data.draw(st.integers(1, n)), data.draw(st.integers(1, n))
    frames = waters(n, energies, forces)
    both = labelled_with(frames, "energy") & labelled_with(frames, "forces")
    big = data.draw(st.tuples(st.integers(1, energies), st.integers(1, forces)))
    small = data.draw(st.tuples(st.integers(0, big[0]), st.integers(1, big[1])))
    large_budget, small_budget = frames.budget(*big, seed=seed), frames.budget(*small, seed=seed)
    assert (large_budget.n_energies, large_budget.n_forces) == big
    assert (small_budget.n_energies, small_budget.n_forces) == small
    for label in ("energy", "forces"):
        assert labelled_with(small_budget, label) <= labelled_with(large_budget, label)
    if max(big) <= len(both):
        lists = sorted((labelled_with(large_budget, label) for label in ("energy", "forces")), key=len)
        assert lists[0] <= lists[1]
    for hidden, shown in zip(small_budget, frames, strict=True):
        assert hidden.energy in (None, shown.energy)
        assert hidden.forces is None or (hidden.forces == shown.forces).all()
        np.testing.assert_array_equal(hidden.positions, shown.positions)


def test_budget_defaults_and_seed() -> None:
    data = waters(20)
    assert (data.budget(forces=3).n_energies, data.budget(forces=3).n_forces) == (20, 3)
    assert labelled_with(data.budget(5, 5, seed=1), "energy") != labelled_with(data.budget(5, 5, seed=2), "energy")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"energies": 11},
            r"budget of 11 energies does not fit waters: its 10 frames have 10; ask for 0 to 10",
        ),
        ({"forces": 5}, r"budget of 5 forces does not fit waters: its 10 frames have 4; ask for 0 to 4"),
        ({"energies": -1}, r"budget of -1 energies does not fit"),
        ({"energies": 0, "forces": 0}, r"0 energies and 0 forces leaves nothing"),
    ],
)
def test_budget_refuses(asked: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        waters(10, forces=4).budget(**asked)


# -- reference energies ----------------------------------------------------------------------------


def test_reference_energies_from_isolated_atoms() -> None:
    data = waters(4)
    isolated = {1: -13.5, 6: -1025.0, 8: -2035.5}
    assert Dataset(data, isolated_energies=isolated).reference_energies() == {1: -13.5, 8: -2035.5}
    incomplete = Dataset(data, isolated_energies={1: -13.5}).reference_energies()
    assert incomplete[1] != -13.5


def test_reference_energies_from_least_squares() -> None:
    elements = {1: -13.5, 6: -1025.25, 8: -2035.75}
    images = [molecule(name) for name in ("H2O", "CH4", "CO", "CH3OH", "H2")]
    for atoms in images:
        atoms.info["energy"] = sum(elements[z] for z in atoms.numbers)
    assert Dataset.from_atoms(images).reference_energies() == pytest.approx(elements, abs=1e-9)


def test_reference_energies_of_one_composition_and_of_none() -> None:
    data = waters(5)  # energies -10 to -14: only the sum over a molecule is determined
    reference = data.reference_energies()
    assert reference[8] + 2 * reference[1] == pytest.approx(-12.0, abs=1e-12)
    assert reference[1] == pytest.approx(2 * reference[8])  # minimum norm: along the composition
    assert data.budget(energies=0).reference_energies() == {1: 0.0, 8: 0.0}
    shown = data.budget(energies=2)  # hidden labels must not leak into the fit
    visible = np.mean([f.energy for f in shown if f.energy is not None])
    hidden_reference = shown.reference_energies()
    assert hidden_reference[8] + 2 * hidden_reference[1] == pytest.approx(visible, abs=1e-12)
