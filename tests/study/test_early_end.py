"""A training that validation ends early: rows say the steps it took, and what is kept of it goes on."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ase.io import write
from frames import labelled
from patient import impatient

from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study import cell, compare
from piwsl_lab.study.cell import run, train
from piwsl_lab.study.compare import compare_methods
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import build_trainer, prepare
from piwsl_lab.training.errors import evaluate
from piwsl_lab.training.kept import Kept

PIWSL = Objective(pitc=50.0, epsilon=0.03)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "mine.xyz"
    write(path, labelled("CH3CH2OH", 40).to_atoms())
    small = {"channels": 8, "layers": 1, "steps": 30, "test": 8, "batch_size": 4, "energies": 10, "forces": 5}
    return Setup(**small, data=str(path), device="cpu")


def test_a_row_says_the_steps_that_were_taken(setup, monkeypatch):
    impatient(monkeypatch, lambda *_: 7)
    seen = []
    found = run(setup, PIWSL, lambda record: seen.append(record.step))
    assert found["steps"] == 7
    assert seen == list(range(1, 8))
    impatient(monkeypatch, lambda *_: 0)
    assert run(setup, PIWSL)["steps"] == 30


def test_its_answer_is_the_best_validation(setup, monkeypatch):
    task = prepare(setup)
    first = build_trainer(setup, task, PIWSL)
    first.settings["validate_every"] = 1
    first.step()
    impatient(monkeypatch, lambda *_: 7)
    trainer, _ = train(setup, task, PIWSL)
    assert (trainer.done, trainer.best.step, trainer.ending.in_vain) == (7, 1, 6)
    assert evaluate(trainer.potential, task.test) == evaluate(first.potential, task.test)


def test_what_was_kept_at_the_end_is_not_trained_on(setup, monkeypatch, tmp_path):
    impatient(monkeypatch, lambda *_: 7)
    expected = run(setup, PIWSL)
    kept = Kept(tmp_path / "kept.safetensors")
    monkeypatch.setattr(cell, "evaluate", lambda *_, **__: pytest.fail("broken off"))
    with pytest.raises(pytest.fail.Exception):
        run(setup, PIWSL, kept=kept)
    monkeypatch.setattr(cell, "evaluate", evaluate)
    again = Kept(tmp_path / "kept.safetensors")
    again.open()
    assert again.steps == {"": 7}
    found = run(setup, PIWSL, lambda record: pytest.fail("it trained on"), again)
    assert found["steps"] == 7
    assert found["rows"] == expected["rows"]


def test_a_comparison_says_how_many_steps_each_took(setup, monkeypatch):
    impatient(monkeypatch, lambda one, objective: 9 if objective.pitc else 5 + one.seed)
    result = compare_methods(setup, PIWSL, seeds=2)
    assert result["supervised"]["steps"] == [5, 6]
    assert result["piwsl"]["steps"] == [9, 9]


def test_equal_time_counts_from_the_steps_that_were_taken(setup, monkeypatch):
    impatient(monkeypatch, lambda one, objective: 6 if objective.pitc else 0)
    monkeypatch.setattr(compare, "steps_in", lambda seconds, one, *_: one.steps + 4)
    result = compare_methods(setup, PIWSL, seeds=1, equal_time=True)
    assert (result["piwsl"]["steps"], result["supervised"]["steps"]) == ([6], [34])


def test_teachers_may_end_before_their_student(setup, monkeypatch):
    impatient(monkeypatch, lambda one, objective: one.seed // 1000 + 3 if one.seed >= 1000 else 0)
    seen = []
    trainer, seconds = train(replace(setup, teachers=2), prepare(setup), PIWSL, lambda record: seen.append(record.step))
    assert seen == [*range(1, 5), *range(1, 6), *range(1, 31)]
    assert trainer.train_data.n_forces == 10
    assert seconds > trainer.seconds
