"""What a run is made of: honest budgets, nested training sets, and a comparison on equal terms."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.emt import EMT
from ase.io import write
from frames import dataset, frame, labelled

from piwsl_lab.data import DataWarning
from piwsl_lab.piwsl.objective import Objective, supervised
from piwsl_lab.study.cell import train
from piwsl_lab.study.compare import compare_methods
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import prepare
from piwsl_lab.training.errors import evaluate

SMALL = {"channels": 8, "layers": 1, "steps": 6, "test": 10, "batch_size": 4}


def positions(data):
    return {f.positions.tobytes() for f in data}


def file_of(tmp_path, data, name="mine.xyz"):
    write(tmp_path / name, data.to_atoms())
    return str(tmp_path / name)


@pytest.mark.parametrize(("energies", "forces"), [(50, 50), (50, 10), (100, 0), (0, 20)])
def test_training_and_validation_carry_only_labels_of_the_budget(energies, forces):
    task = prepare(Setup(energies=energies, forces=forces))
    labels = max(energies, forces)
    assert (task.train.n_energies, task.train.n_forces) == (energies, forces)
    assert len(task.validation) == labels // 5
    assert task.validation.n_energies == energies // 5
    assert task.validation.n_forces == forces // 5
    assert len(task.test) == task.test.n_energies == task.test.n_forces == 500


def test_a_larger_budget_contains_the_smaller_and_is_tested_on_the_same_frames():
    small, large = prepare(Setup(energies=50, forces=50)), prepare(Setup(energies=200, forces=200))
    assert positions(small.train) < positions(large.train)
    assert positions(small.test) == positions(large.test)
    other = prepare(Setup(energies=50, forces=50, seed=1))
    assert positions(other.test) == positions(small.test)
    assert positions(other.train) != positions(small.train)


def test_parts_share_no_frame_and_elsewhere_is_elsewhere():
    task = prepare(Setup())
    assert not positions(task.train) & (positions(task.validation) | positions(task.test))
    assert not positions(task.validation) & positions(task.test)
    hot = prepare(Setup(test_part="ethanol:800K"))
    assert positions(hot.train) == positions(task.train)
    assert not positions(hot.test) & positions(task.test)


def test_the_published_test_part_is_used(mirror):
    from piwsl_lab.data import load

    task = prepare(Setup(data="acac_pbe"))
    assert positions(task.test) <= positions(load("acac_pbe:test-300K"))
    assert positions(task.train) <= positions(load("acac_pbe:300K"))


def test_a_test_part_that_holds_training_frames_is_an_error(tmp_path):
    data = labelled("CH3CH2OH", 60)
    path = file_of(tmp_path, data)
    with pytest.raises(ValueError, match=r"train.*test"):
        prepare(Setup(data=path, test_part=path, energies=20, forces=20, test=60))


def test_frames_without_labels_are_left_aside_where_there_are_enough_with(tmp_path):
    whole = labelled("CH3CH2OH", 120)
    data = dataset(*(frame(f.numbers, f.positions, energy=f.energy) if i % 2 else f for i, f in enumerate(whole)))
    task = prepare(Setup(data=file_of(tmp_path, data), energies=30, forces=30, test=20))
    assert (task.train.n_energies, task.train.n_forces, len(task.test)) == (30, 30, 20)


def test_an_element_that_training_would_never_see_comes_first(tmp_path):
    common = [frame([14, 8], [[0, 0, 0], [1.5 + 0.01 * k, 0, 0]], energy=0.01 * k) for k in range(30)]
    data = dataset(frame([14, 8, 2], [[0, 0, 0], [1.5, 0, 0], [0, 0, 3]], energy=0.0), *common)
    path = file_of(tmp_path, data)
    for seed in range(2):  # one helium in 31 frames: no permutation puts it among the 4 training frames of both seeds
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            assert 2 in prepare(Setup(data=path, energies=4, forces=0, seed=seed)).train.elements


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"energies": 0, "forces": 0}, "leave nothing to learn"),
        ({"energies": 1900}, r"1900 to train on and 380 to validate leave none to test on"),
        ({"model": "gap"}, "no model is called 'gap'"),
        ({"head": "dual-ish"}, "head 'dual-ish' does not exist"),
        ({"test": 0}, "test=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be from 0 to 4294967295"),
    ],
)
def test_impossible_setups_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        prepare(Setup(**options))


def test_compare_trains_both_twins_for_every_seed_and_scores_the_best_weights():
    seen = []
    setup = Setup(**SMALL, energies=10, forces=10)
    result = compare_methods(
        setup, Objective(pitc=1.0), seeds=2, on_step=lambda *step: seen.append((*step[:2], step[2].terms))
    )
    assert [(name, seed) for name, seed, _ in seen] == [
        (name, seed) for seed in (0, 1) for name in ("supervised", "piwsl") for _ in range(6)
    ]
    assert all(("pitc" in terms) == (name == "piwsl") for name, _, terms in seen)
    for twin in ("supervised", "piwsl"):
        assert set(result[twin]) == {"energy_mae", "energy_rmse", "force_mae", "force_rmse", "seconds", "steps"}
        assert all(len(values) == 2 and all(map(math.isfinite, values)) for values in result[twin].values())
    assert result["config"]["test_frames"] == 10
    with pytest.raises(ValueError, match="seeds=0 must be at least 1"):
        compare_methods(setup, Objective(), seeds=0)


def test_the_supervised_twin_differs_in_the_physics_alone():
    objective = Objective(energy=3.0, force=7.0, pitc=5.0, pisc=2.0, epsilon=0.02)
    assert supervised(objective) == Objective(energy=3.0, force=7.0, pitc=0.0, pisc=0.0, epsilon=0.02)


def test_case_23_frames_of_different_elements_in_one_file(tmp_path):
    """Right on 21 November, and to stay so: water and methane in one file train one potential."""
    images = []
    for seed in range(20):
        for name in ("H2O", "CH4"):
            atoms = molecule(name)
            atoms.rattle(0.05, seed=seed)
            atoms.calc = EMT()
            atoms.get_forces()
            images.append(atoms)
    write(tmp_path / "two.xyz", images, format="extxyz")
    setup = Setup(data=str(tmp_path / "two.xyz"), energies=12, forces=12, steps=3, channels=8, layers=1)
    task = prepare(setup)
    assert task.train.elements == (1, 6, 8)
    assert {len(frame) for frame in task.test} == {3, 5}
    trainer, _ = train(setup, task, Objective())
    assert np.isfinite(evaluate(trainer.potential, task.test).force_rmse)
