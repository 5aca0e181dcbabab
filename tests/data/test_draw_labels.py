"""What a draw promises: rare elements are trained on, and numbers of labels that are advised can be had."""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
from frames import charged, ethanol, file_of, labelled

from piwsl_lab.data import DataError, Dataset, DataWarning, Frame, Metadata
from piwsl_lab.data.sets.draw import draw
from piwsl_lab.data.sets.fewer import Labels
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import prepare


def molecules(n: int, seed: int = 0) -> list[Frame]:
    rng = np.random.default_rng(seed)
    start = np.array([[0.0, 0.0, 0.0], [1.0, 0.1, 0.0], [-0.3, 0.9, 0.2]])
    return [
        Frame(np.array([8, 1, 1]), start + 0.05 * rng.normal(size=(3, 3)), energy=float(e), forces=np.zeros((3, 3)))
        for e in rng.normal(size=n)
    ]


def with_element(frames: list[Frame], place: int, z: int) -> list[Frame]:
    out = list(frames)
    out[place] = replace(out[place], numbers=np.array([z, 1, 1]))
    return out


def drawn(frames: list[Frame], *sizes, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts = draw(Dataset(frames, Metadata("pool.xyz")), *sizes, **options)
    return parts, [str(w.message) for w in caught]


def test_an_element_that_training_has_no_place_for_is_named():
    frames = molecules(40)
    for place, z in enumerate((14, 15, 16, 17, 9, 35, 53)):
        frames = with_element(frames, place, z)
    for seed in range(6):
        parts, said = drawn(frames, Labels(3, 3), Labels(4, 4), 6, seed=seed)
        held = set(parts.train.elements)
        assert held.issuperset({*parts.validation.elements, *parts.test.elements})
        unused = {14, 15, 16, 17, 9, 35, 53} - held
        (text,) = [text for text in said if "used nowhere" in text]
        assert text.count(",") == len(unused)
        assert "training is full" in text
        assert not any("gets 0 of them" in text for text in said)


def test_an_element_of_frames_without_labels_is_named():
    frames = with_element(molecules(40), 5, 14)
    frames[5] = replace(frames[5], energy=None, forces=None)
    _, said = drawn(frames, Labels(10, 10), Labels(4, 4), 6)
    (text,) = said
    assert "Si is in 1 of 40 frames. Such frames are used nowhere, since they lack the labels" in text


# -- numbers that work -------------------------------------------------------------------------------------------------


def advised(setup: Setup, message: str) -> Setup | None:
    """The run that a message advises; None where it asks for more frames."""
    numbers = {kind: int(n) for n, kind in re.findall(r"at most (\d+) (energies|forces)", message)}
    if not numbers and (found := re.search(r"(\d+) energies and (\d+) forces with Setup\(validation=(\d+)\)", message)):
        energies, forces, validation = map(int, found.groups())
        return replace(setup, energies=energies, forces=forces, validation=validation)
    return replace(setup, **numbers) if numbers else None


@pytest.fixture
def pool(monkeypatch):
    """Puts frames where `prepare` loads its data from."""
    monkeypatch.setattr("piwsl_lab.study.task.published_test", lambda _: None)
    return lambda frames: monkeypatch.setattr(
        "piwsl_lab.study.task.load", lambda _: Dataset(frames, Metadata("pool.xyz"))
    )


def refusal(setup: Setup) -> str:
    """What `prepare` says against a run; "" where it says nothing."""
    try:
        prepare(setup)
    except DataError as error:
        return str(error)
    return ""


ASKS = [(20, 20), (9, 9), (1, 1), (60, 2), (2, 60), (0, 30), (30, 0), (10**6, 10**6), (10**20, 50)]


@pytest.mark.parametrize("kind", ["all labels", "few forces", "copies"])
def test_the_number_that_a_refusal_advises_works(kind, pool):
    refused = 0
    for size in range(1, 41):
        frames = molecules(size)
        if kind == "few forces":
            frames = [f if i % 4 == 0 else replace(f, forces=None) for i, f in enumerate(frames)]
        if kind == "copies":
            frames = [frames[i // 3] for i in range(size)]
        pool(frames)
        # A frame of each kind that is asked for is trained on, another is tested on.
        places = {"all labels": size, "few forces": -(-size // 4), "copies": -(-size // 3)}[kind]
        for energies, forces in ASKS:
            setup = Setup(data="pool.xyz", energies=energies, forces=forces, test=10)
            said = refusal(setup)
            again = advised(setup, said)
            refused += bool(said)
            if said and again is None:
                assert places < 2, (size, setup, said)
            if again is not None:
                assert again.energies <= energies
                assert again.forces <= forces
                assert refusal(again) == "", (size, setup, said)
    assert refused > 100


def test_the_number_is_the_largest_and_the_message_says_what_validation_takes(pool):
    pool(molecules(12))
    with pytest.raises(DataError, match=r"at most 7 energies and at most 7 forces \(validation then takes 4 frames\)"):
        prepare(Setup(data="pool.xyz", energies=20, forces=20))
    with pytest.raises(DataError, match=r"at most 7 energies and at most 7 forces"):
        prepare(Setup(data="pool.xyz", energies=9, forces=9))
    pool(molecules(3))
    with pytest.raises(DataError, match=r"validation takes 4 frames: .* Setup\(validation=1\)"):
        prepare(Setup(data="pool.xyz", energies=1, forces=1))


def test_a_validation_that_takes_too_much_is_named_with_a_size_that_works(pool):
    pool(molecules(40))
    for validation in (30, 100, 10**9):
        setup = Setup(data="pool.xyz", energies=20, forces=10, validation=validation)
        again = advised(setup, refusal(setup))
        assert again is not None
        assert refusal(again) == ""
    assert (again.energies, again.forces, again.validation) == (20, 10, 19)


def test_an_absurd_number_is_refused_at_once(pool):
    pool(molecules(40))
    begun = time.monotonic()
    for energies in (10**9, 10**20):
        with pytest.raises(DataError, match="at most 33 energies"):
            prepare(Setup(data="pool.xyz", energies=energies, forces=5))
    assert time.monotonic() - begun < 5


def test_a_negative_number_is_named():
    with pytest.raises(ValueError, match="energies=-1 is below 0"):
        Setup(energies=-1).check()
    with pytest.raises(ValueError, match="forces=-3 is below 0"):
        Setup(forces=-3).check()


# -- labels where they are ---------------------------------------------------------------------------------------------


def sparse(n: int = 200, every: int = 5) -> list[Frame]:
    """Every frame has an energy, every fifth has forces."""
    return [f if i % every == 0 else replace(f, forces=None) for i, f in enumerate(ethanol(n, 9))]


@pytest.mark.parametrize(
    ("energies", "forces"), [(50, 20), (50, 10), (50, 5), (100, 20), (100, 25), (60, 12), (30, 32), (0, 30)]
)
def test_case_31_labels_are_drawn_where_they_are(energies, forces, tmp_path):
    path = file_of(tmp_path / "sparse.xyz", sparse())
    tests = set()
    for seed in range(10):
        task = prepare(Setup(data=path, energies=energies, forces=forces, seed=seed))
        assert (task.train.n_energies, task.train.n_forces) == (energies, forces)
        assert len(task.train) == max(energies, forces)
        size = max(4, max(energies, forces) // 5)
        share = size / max(energies, forces)
        assert (task.validation.n_energies, task.validation.n_forces) == (
            round(share * energies),
            round(share * forces),
        )
        assert task.test.n_forces > 0
        assert task.test.n_energies == len(task.test) > 0 or not energies
        tests.add(frozenset(f.positions.tobytes() for f in task.test))
    assert len(tests) == 1


def test_case_31_labels_on_different_frames(tmp_path):
    whole = ethanol(100)
    frames = [replace(f, forces=None) if i % 2 else replace(f, energy=None) for i, f in enumerate(whole)]
    for seed in range(5):
        task = prepare(Setup(data=file_of(tmp_path / "either.xyz", frames), energies=30, forces=20, seed=seed))
        assert (task.train.n_energies, task.train.n_forces, len(task.train)) == (30, 20, 50)
        assert task.test.n_energies
        assert task.test.n_forces


def test_case_31_a_larger_training_set_contains_the_smaller(tmp_path):
    path = file_of(tmp_path / "sparse.xyz", sparse())
    small, large = (
        {f.positions.tobytes() for f in prepare(Setup(data=path, energies=n, forces=n // 5, test=20)).train}
        for n in (40, 100)
    )
    assert small < large


@pytest.mark.parametrize(
    ("energies", "forces", "message"),
    [
        (
            50,
            40,
            r"40 frames with forces: 40 to train on and 8 to validate leave none to test on; .* at most 32 forces",
        ),
        (190, 5, r"200 frames with energies: 190 to train on and 38 to validate leave none"),
    ],
)
def test_case_31_what_cannot_be_had_is_said_with_a_number_that_works(energies, forces, message, tmp_path):
    path = file_of(tmp_path / "sparse.xyz", sparse())
    with pytest.raises(ValueError, match=message):
        prepare(Setup(data=path, energies=energies, forces=forces))
    prepare(Setup(data=path, energies=50, forces=32))


def test_a_label_that_no_frame_has_is_named(tmp_path):
    path = file_of(tmp_path / "energies.xyz", [replace(f, forces=None) for f in ethanol(30)])
    with pytest.raises(DataError, match="has no forces: ask for 0 forces"):
        prepare(Setup(data=path, energies=10, forces=10))


def test_case_32_forces_alone_can_be_drawn():
    """From the reader on it is the work of the doors; the draw asks for no energy."""
    data = Dataset([replace(f, energy=None) for f in ethanol(40)])
    parts = draw(data, Labels(0, 15), Labels(0, 4), 500)
    assert [(len(part), part.n_forces) for part in parts[:3]] == [(15, 15), (4, 4), (21, 21)]


def test_case_16_copies_do_not_keep_a_run_from_its_frames(tmp_path):
    """30 geometries of 3 frames each: 20 to train on, 4 to validate, and the roles are right when they are too few."""
    path = file_of(tmp_path / "charges.xyz", charged())
    with pytest.warns(DataWarning, match="two energies"):
        task = prepare(Setup(data=path, energies=20, forces=20))
    assert (len(task.train), len(task.validation), len(task.test)) == (20, 4, 63)
    with (
        pytest.warns(DataWarning, match="two energies"),
        pytest.raises(
            ValueError, match=r"87 .*\(73 to train on, 14 to validate, at least 1 to test\).*30 different geometries"
        ),
    ):
        prepare(Setup(data=path, energies=73, forces=73))


def test_case_26_a_rare_element_is_trained_on_wherever_it_stands():
    """One frame of 60 holds Cl: all places, all seeds. Where it would have been tested on, that is said."""
    whole = ethanol(60, 15)
    numbers, told = np.r_[whole[0].numbers[:-1], 17], 0
    for place in range(60):
        frames = list(whole)
        frames[place] = replace(whole[place], numbers=numbers, energy=whole[place].energy - 12000.0)
        data = Dataset(frames, Metadata("one_Cl.xyz"))
        for seed in range(12):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                parts = draw(data, Labels(20, 20), Labels(4, 4), 500, seed=seed)
            assert 17 in parts.train.elements
            assert [len(part) for part in parts] == [20, 4, 36, 0]
            for text in (str(warning.message) for warning in caught):
                assert "Cl is in 1 of 60 frames" in text
                assert "Training gets 1 of them first" in text
                assert "0 of 36 test frames" in text
                told += 1
    assert told > 360


def test_case_26_the_test_frames_do_not_depend_on_the_seed_where_an_element_is_rare(tmp_path):
    frames = ethanol(60, 15)
    for i in (4, 30, 44):
        frames[i] = replace(frames[i], numbers=np.r_[frames[i].numbers[:-1], 17], energy=frames[i].energy - 12000.0)
    path, tests = file_of(tmp_path / "three_Cl.xyz", frames), set()
    for seed in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            task = prepare(Setup(data=path, energies=10, forces=10, seed=seed))
        assert 17 in task.train.elements
        tests.add(frozenset(f.positions.tobytes() for f in task.test))
    assert len(tests) == 1


def test_an_element_that_no_training_frame_can_have_is_an_error_that_names_it(tmp_path):
    path = file_of(tmp_path / "ethanol.xyz", ethanol(60))
    other = file_of(tmp_path / "silane.xyz", labelled("SiH4", 30))
    with pytest.raises(ValueError, match=r"hold Si, which none of the 20 training frames does.*leave such frames out"):
        prepare(Setup(data=path, test_part=other, energies=20, forces=20))
