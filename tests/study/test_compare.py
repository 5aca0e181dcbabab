"""Rivals on equal terms: every one trains, none gets a label or a term that is not its own."""

from __future__ import annotations

import dataclasses
import math
import warnings

import numpy as np
import pytest
import torch
from ase.io import write
from frames import labelled

from piwsl_lab.cli.flags import config_of
from piwsl_lab.data import Dataset, load
from piwsl_lab.data.checked import CheckWarning
from piwsl_lab.names import CONSISTENCY, SUITED
from piwsl_lab.piwsl.objective import Objective, suited, supervised
from piwsl_lab.study import cell as study
from piwsl_lab.study import compare as comparison
from piwsl_lab.study.cell import SCORES, run, train
from piwsl_lab.study.compare import CHANGES, compare_methods, rival, steps_in
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import build_trainer, prepare
from piwsl_lab.study.teachers import with_teachers
from piwsl_lab.training.kept import Kept

TINY = {"channels": 8, "layers": 1, "steps": 4, "test": 8, "batch_size": 4, "energies": 10, "forces": 10}
TINY |= {"model": "painn", "head": "direct"}
PIWSL = Objective(pitc=50.0, pisc=1.0, epsilon=0.03)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "mine.xyz"
    write(path, labelled("CH3CH2OH", 60).to_atoms())
    return str(path)


def setup(file, **options):
    return Setup(**TINY | {"data": file} | options)


def positions(data):
    return {f.positions.tobytes() for f in data}


# --- rivals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHANGES)
def test_every_rival_trains_and_is_scored(file, name, monkeypatch):
    seen = []
    forces = 5 if name == "ensemble" else 10  # its teachers need something to teach
    result = compare_methods(
        setup(file, forces=forces),
        PIWSL,
        seeds=1,
        against=name,
        on_step=lambda who, seed, record: seen.append((who, record.terms)),
    )
    assert set(result) == {"config", name, "piwsl"}
    for twin in (name, "piwsl"):
        assert set(result[twin]) == {*SCORES, "seconds", "steps"}
        assert all(len(values) == 1 and math.isfinite(values[0]) for values in result[twin].values())
        assert result[twin]["steps"] == [4]
    assert (result["config"]["rival"], result["config"]["equal_time"]) == (name, False)
    mine, own = [{frozenset(terms) for who, terms in seen if who == twin} for twin in (name, "piwsl")]
    assert own == {frozenset({"energy", "force", "pitc", "pisc"})}
    extra = set(CHANGES[name]) - {"epsilon", "teachers", "head"}
    assert mine == {frozenset({"energy", "force", *extra})}


def test_a_rival_differs_in_its_own_trick_alone(file):
    piwsl = Objective(energy=3.0, force=7.0, pitc=5.0, gradient=2.0, epsilon=0.06, centres="pool")
    for name, changes in CHANGES.items():
        given, goal = rival(name, setup(file), piwsl)
        others = {"teachers": changes.get("teachers", 0), "head": changes.get("head", "direct")}
        assert given == dataclasses.replace(setup(file), **others)
        own = {key: value for key, value in changes.items() if key not in others}
        assert goal == dataclasses.replace(supervised(piwsl), **own)
        assert (goal.energy, goal.force) == (3.0, 7.0)
        assert all(getattr(goal, term) == 0 for term in CONSISTENCY if term not in own)
    with pytest.raises(ValueError, match=r"no rival is called 'nobody'; choose one of supervised, conservative, noisy"):
        rival("nobody", setup(file), piwsl)


def test_twins_share_frames_weights_and_batches(file):
    task = prepare(setup(file))
    for name in ("supervised", "noisy", "weak", "curl"):
        given, goal = rival(name, setup(file), PIWSL)
        one, other = build_trainer(given, task, goal), build_trainer(setup(file), task, PIWSL)
        for a, b in zip(one.potential.state_dict().values(), other.potential.state_dict().values(), strict=True):
            assert torch.equal(a, b)
        assert one.train_data is not None
        assert positions(one.train_data) == positions(other.train_data)
        assert one.batches.next().tolist() == other.batches.next().tolist()


@pytest.mark.parametrize("name", [name for name in CHANGES if name not in ("curl", "conservative")])
def test_against_a_dual_head_stands_a_conservative_one(file, name):
    given, _ = rival(name, setup(file, head="dual"), Objective(gradient=100.0))
    assert given.head == "conservative"
    assert rival(name, setup(file, head="conservative"), PIWSL)[0].head == "conservative"
    assert rival(name, setup(file, head="direct"), PIWSL)[0].head == "direct"


def test_a_dual_head_is_compared_by_its_conservative_answer(file):
    result = compare_methods(setup(file, head="dual"), Objective(gradient=100.0), seeds=1)
    assert result["config"]["head"] == "dual"
    assert set(result["piwsl"]) == {*SCORES, "seconds", "steps"}


def test_only_the_answer_of_a_dual_head_is_scored(file, monkeypatch):
    asked, score = [], comparison.evaluate

    def listening(potential, data, *others, **named):
        asked.append((potential.head, named.get("head")))
        return score(potential, data, *others, **named)

    monkeypatch.setattr(comparison, "evaluate", listening)
    monkeypatch.setattr(study, "evaluate", None)  # that scores every output
    result = compare_methods(setup(file, head="dual"), Objective(gradient=100.0), seeds=1)
    assert asked == [("conservative", None), ("dual", None)]
    assert all(result["piwsl"]["force_mae"])


def test_weights_of_extra_terms_are_written_only_where_there_are_some():
    """The name of a run that was interrupted before there were extra weights is made without them."""
    for written in (config_of(Setup(), Objective())["objective"], comparison._config(Setup(), Objective())):
        assert "extra" not in written
    assert config_of(Setup(), Objective(extra={"net_force": 1.0}))["objective"]["extra"] == {"net_force": 1.0}


@pytest.mark.parametrize("head", ["conservative", "dual"])
def test_the_conservative_rival_is_the_supervised_one_beside_such_a_head(file, head):
    with pytest.raises(ValueError, match=f"beside --head {head} the rival conservative is the rival supervised"):
        rival("conservative", setup(file, head=head), PIWSL)


def test_a_rival_with_another_head_has_the_energy_weight_that_suits_it(file, monkeypatch):
    own = {"conservative": 2.0, "direct": 5.0, "dual": 9.0}
    for head, energy in own.items():
        monkeypatch.setitem(SUITED[head], "energy", energy)
    for head, name in (("dual", "supervised"), ("direct", "conservative")):
        assert rival(name, setup(file, head=head), Objective(energy=own[head]))[1].energy == own["conservative"]
        assert rival(name, setup(file, head=head), Objective(energy=7.0))[1].energy == 7.0  # chosen by hand
    assert rival("weak", setup(file, head="direct"), Objective(energy=5.0))[1].energy == 5.0


@pytest.mark.parametrize("head", ["conservative", "dual"])
def test_a_curl_penalty_needs_a_direct_head(file, head):
    with pytest.raises(ValueError, match=r"rival curl needs --head direct: conservative forces have no curl"):
        rival("curl", setup(file, head=head), PIWSL)
    with pytest.raises(ValueError, match="rival curl"):
        compare_methods(setup(file, head=head), PIWSL, against="curl")


def test_denoising_needs_a_model_with_a_head_for_it(file):
    with pytest.raises(ValueError, match=r"=1.0 needs the model painn or tensornet: schnet has no denoising head"):
        compare_methods(setup(file, model="schnet"), PIWSL, seeds=1, against="denoise")


# --- time -----------------------------------------------------------------------------------------------------------


def test_equal_time_gives_at_least_as_many_steps(file, monkeypatch):
    monkeypatch.setattr(comparison, "PILOT_STEPS", 3)
    order = []
    result = compare_methods(
        setup(file, head="conservative"),
        dataclasses.replace(PIWSL, pisc_form="all"),
        seeds=2,
        equal_time=True,
        on_step=lambda who, seed, record: order.append((seed, who)),
    )
    assert result["piwsl"]["steps"] == [4, 4]
    assert all(steps >= 4 for steps in result["supervised"]["steps"])
    assert list(dict.fromkeys(order)) == [(0, "piwsl"), (0, "supervised"), (1, "piwsl"), (1, "supervised")]
    assert [order.count((seed, "supervised")) for seed in (0, 1)] == result["supervised"]["steps"]


class Clock:
    """A trainer that takes 1 s for its first steps and 0.02 s for every other."""

    def __init__(self):
        self.seconds, self.done = 0.0, 0

    def step(self):
        self.done += 1
        self.seconds += 1.0 if self.done <= comparison.PILOT_STEPS else 0.02


def test_steps_in_a_time_are_counted_once_warm_and_never_fewer(monkeypatch, file):
    monkeypatch.setattr(comparison, "build_trainer", lambda *_: Clock())
    given = setup(file, steps=100)
    assert steps_in(10.0, given, None, PIWSL) == 500
    assert steps_in(1.0, given, None, PIWSL) == 100


# --- an ensemble of teachers ----------------------------------------------------------------------------------------


def test_a_student_sees_the_hidden_forces_as_the_mean_of_its_teachers_and_nothing_else(file, monkeypatch):
    given = setup(file, forces=3, teachers=3)
    task = prepare(given)
    teachers, inner = [], build_trainer

    def spied(one, given_task, objective):
        teachers.append((one, given_task, objective, inner(one, given_task, objective)))
        return teachers[-1][-1]

    monkeypatch.setattr("piwsl_lab.study.teachers.build_trainer", spied)
    filled, seconds = with_teachers(given, task, PIWSL, None, Kept(), "")
    assert filled[1:] == task[1:]
    student = filled.train
    assert len(teachers) == 3
    assert len({one.seed for one, *_ in teachers} | {given.seed}) == 4
    for one, seen, objective, _ in teachers:
        assert (one.head, one.teachers) == ("conservative", 0)
        assert seen is task
        assert objective == supervised(PIWSL)
    answers = [trainer.potential.predict(task.train)[1] for *_, trainer in teachers]
    assert seconds == pytest.approx(sum(trainer.seconds for *_, trainer in teachers))
    assert len(student) == len(task.train) == 10
    for k, (before, after) in enumerate(zip(task.train, student, strict=True)):
        assert np.array_equal(before.positions, after.positions)
        assert before.energy == after.energy
        if before.forces is not None:
            assert np.array_equal(before.forces, after.forces)
        else:
            mean = sum(one[k].astype(float) for one in answers) / 3
            assert after.forces == pytest.approx(mean, rel=1e-5, abs=1e-6)
            assert not np.array_equal(answers[0][k], answers[1][k])
    assert sum(f.forces is not None for f in task.train) == 3  # the task itself is not touched


def test_a_student_has_no_more_quantum_labels_than_its_rivals(file, monkeypatch):
    """Teachers and student are given the labels of the budget and those that the teachers made, and no other."""
    given, goal = rival("ensemble", setup(file, energies=10, forces=4), PIWSL)
    assert given.teachers == 4
    task = prepare(given)
    assert (task.train.n_energies, task.train.n_forces) == (10, 4)
    seen = []
    for place in ("teachers", "cell"):
        monkeypatch.setattr(
            f"piwsl_lab.study.{place}.build_trainer", lambda *a: seen.append(a[1].train) or build_trainer(*a)
        )
    trainer, seconds = train(given, task, goal)
    assert [data.n_forces for data in seen] == [4, 4, 4, 4, 10]
    assert [data.n_energies for data in seen] == [10] * 5
    assert seconds > trainer.seconds  # the teachers' time counts
    assert trainer.validation_data.n_forces == task.validation.n_forces < task.validation.n_energies


def test_labels_beyond_the_budget_change_nothing(file, tmp_path):
    """With nonsense for every label beyond the budget, the student is the same bit for bit."""
    given, goal = rival("ensemble", setup(file, energies=10, forces=4), PIWSL)
    task = prepare(given)
    paid = {frame.positions.tobytes(): frame for frame in (*task.train, *task.validation)}
    poisoned = []
    for frame in load(file):
        known = paid.get(frame.positions.tobytes())
        nonsense = dataclasses.replace(frame, energy=frame.energy + 0.5, forces=-frame.forces)
        if known is not None:
            nonsense = dataclasses.replace(
                nonsense,
                energy=nonsense.energy if known.energy is None else known.energy,
                forces=nonsense.forces if known.forces is None else known.forces,
            )
        poisoned.append(nonsense)
    write(tmp_path / "mine.xyz", Dataset(poisoned).to_atoms())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CheckWarning)
        other = prepare(dataclasses.replace(given, data=str(tmp_path / "mine.xyz")))
    assert [frame.positions.tobytes() for frame in other.train] == [frame.positions.tobytes() for frame in task.train]
    one, two = (train(given, data, goal)[0].potential.state_dict() for data in (task, other))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("against", ["supervised", "ensemble"])
def test_teachers_with_nothing_to_teach_are_refused_before_any_training(file, against):
    given = setup(file, teachers=1 if against == "supervised" else 0)
    with pytest.raises(ValueError, match="have nothing to teach: every frame with an energy has its forces"):
        compare_methods(given, PIWSL, against=against, on_step=lambda *_: pytest.fail("it trained"))


def test_a_dual_student_of_teachers_ties_its_heads_and_answers_with_minus_the_gradient(file):
    given = setup(file, head="dual", forces=0, teachers=2)
    trainer, _ = train(given, prepare(given), Objective(**suited("dual")))
    assert trainer.train_data.n_forces == 10
    assert {"energy", "force", "gradient"} <= set(trainer.step().terms)
    assert trainer.potential.head == "dual"


def test_two_heads_without_any_force_are_warned_of(file):
    given = setup(file, head="dual", forces=0, steps=1)
    with pytest.warns(UserWarning, match="no frame has a force label.*--teachers 4"):
        train(given, prepare(given), Objective(**suited("dual")))


# --- one cell of a study --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "outputs"),
    [("conservative", ["conservative"]), ("direct", ["direct"]), ("dual", ["conservative", "direct"])],
)
def test_run_scores_every_output(file, head, outputs):
    objective = Objective(gradient=10.0) if head == "dual" else PIWSL
    result = run(setup(file, head=head), objective)
    assert [(row["part"], row["output"]) for row in result["rows"]] == [(file, output) for output in outputs]
    assert all(math.isfinite(row[key]) for row in result["rows"] for key in SCORES)
    if head == "dual":
        one, two = result["rows"]
        assert one["energy_mae"] == two["energy_mae"]
        assert one["force_mae"] != two["force_mae"]
    assert result["steps"] == 4
    assert result["counts"] == {"train_frames": 10, "validation_frames": 4, "test_frames": 8, "pool_frames": 38}


def test_run_scores_elsewhere_too():
    result = run(Setup(**TINY | {"head": "dual", "test": 5}, elsewhere=True), Objective(gradient=10.0))
    parts = [row["part"] for row in result["rows"]]
    assert parts[:2] == ["ethanol", "ethanol"]
    others = study.other_parts("ethanol")
    assert others
    assert sorted(set(parts)) == sorted({"ethanol", *others})
    assert all(parts.count(part) == 2 for part in set(parts))
    assert {row["output"] for row in result["rows"]} == {"conservative", "direct"}
    # A part that is the test already is not scored twice.
    hot = run(Setup(**TINY | {"test": 5, "steps": 1}, elsewhere=True, test_part=others[0]), supervised(PIWSL))
    assert [row["part"] for row in hot["rows"]].count(others[0]) == 1


def test_run_measures_conservation_where_asked(file, monkeypatch):
    asked = []
    monkeypatch.setattr(
        study, "conservation", lambda potential, data: asked.append(len(data)) or {"drift": 1.0, "loop_work": 2.0}
    )
    first, second = run(setup(file, head="dual", conservation=3), Objective(gradient=1.0))["rows"]
    assert asked == [3]
    assert (first["drift"], first["loop_work"]) == (1.0, 2.0)
    assert "drift" not in second


# --- the pool -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [{"energies": 10, "forces": 10}, {"energies": 20, "forces": 2}])
def test_the_pool_is_what_the_budget_leaves_and_has_no_label(file, budget):
    task = prepare(setup(file, **budget))
    assert task.pool.n_energies == task.pool.n_forces == 0
    sets = [positions(part) for part in task]
    assert sum(map(len, sets)) == len(set().union(*sets)) == 60
    assert all(sets)
    whole = positions(load(file))
    assert set().union(*sets) == whole


def test_the_pool_of_a_set_with_a_published_test_part_holds_none_of_it(mirror):
    task = prepare(Setup(data="acac_pbe"))
    assert not positions(task.pool) & (positions(task.train) | positions(task.validation) | positions(task.test))
    assert task.pool.n_energies == task.pool.n_forces == 0
    assert positions(task.pool) <= positions(load("acac_pbe:300K"))


def test_asking_at_the_pool_trains_on_it_without_a_label(file):
    task = prepare(setup(file))
    trainer, _ = train(setup(file), task, dataclasses.replace(PIWSL, centres="pool"))
    assert len(trainer.pool_batches.queue) > 0  # it was asked for batches
    assert not bool(trainer.reach.pool().graph.has_energy.any())
    assert not bool(trainer.reach.pool().graph.has_forces.any())
    assert float(trainer.reach.pool().graph.forces.abs().max()) == 0.0
    with pytest.raises(ValueError, match=r'centres="pool"'):
        train(setup(file), task._replace(pool=task.pool[:0]), dataclasses.replace(PIWSL, centres="pool"))
