"""What a draw promises: rare elements are trained on, and numbers of labels that are advised can be had."""

from __future__ import annotations

import re
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest

from piwsl_lab.data import DataError, Dataset, Frame, Metadata
from piwsl_lab.data.draw import Labels, draw
from piwsl_lab.study import Setup, prepare


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


def test_a_rare_element_is_trained_on_wherever_it_stands():
    """It was kept from a short test and then dropped, or never met and dropped."""
    for place in range(40):
        for seed in range(4):
            frames = with_element(molecules(40), place, 14)
            parts, said = drawn(frames, Labels(10, 10), Labels(4, 4), 6, seed=seed)
            assert 14 in parts.train.elements, (place, seed)
            assert [len(part) for part in parts] == [10, 4, 6, 20]
            assert all("Training gets 1 of them first" in text for text in said)


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
    monkeypatch.setattr("piwsl_lab.study.test_part", lambda _: None)
    return lambda frames: monkeypatch.setattr("piwsl_lab.study.load", lambda _: Dataset(frames, Metadata("pool.xyz")))


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
