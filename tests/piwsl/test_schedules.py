"""Schedules: their values, how a training follows them, and that a stopped run goes on with them."""

from __future__ import annotations

import math

import pytest
import torch
from frames import labelled

from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective, supervised
from piwsl_lab.piwsl.schedules import Schedule, constant, cosine, ramp
from piwsl_lab.training.checkpoint import resume, save
from piwsl_lab.training.checkpoint_file import CheckpointError
from piwsl_lab.training.trainer import Trainer


def trainer(objective, steps=12, head="direct", **options):
    torch.manual_seed(0)
    potential = build("painn", channels=8, layers=2, radial=6, head=head)
    return Trainer(potential, labelled("CH3CH2OH", 10), objective, steps=steps, batch_size=4, **options)


def test_values_of_every_kind():
    assert [constant(3.0)(step) for step in (0, 5, 10**6)] == [3.0, 3.0, 3.0]
    assert [ramp(1.0, 3.0, 4)(step) for step in range(7)] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.0, 3.0]
    assert [ramp(3.0, 1.0, 2)(step) for step in range(4)] == [3.0, 2.0, 1.0, 1.0]
    half = [0.5 * (1 - math.cos(math.pi * step / 4)) for step in range(4)]
    assert [cosine(1.0, 3.0, 4)(step) for step in range(6)] == pytest.approx([1 + 2 * x for x in half] + [3.0, 3.0])
    assert cosine(0.0, 1.0, 1000)(1) < 0.01 * ramp(0.0, 1.0, 1000)(1)  # slow at the start


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("linear", 1.0, 2.0, 5), "choose one of constant, ramp, cosine"),
        (("ramp", 1.0), "a ramp needs an end and at least 1 step"),
        (("cosine", 1.0, 2.0, 0), "a cosine needs an end and at least 1 step.*steps=0"),
    ],
)
def test_impossible_schedules_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        Schedule(*given)


SCHEDULES = {
    "constant": {"pitc": constant(7.0)},
    "ramp": {"epsilon": ramp(0.01, 0.05, 8), "pitc": ramp(0.0, 80.0, 8)},
    "cosine": {"force": cosine(1.0, 100.0, 6), "pisc": cosine(2.0, 0.0, 6)},
    "any callable": {"order": lambda step: 1 if step < 5 else "symmetric", "pitc": lambda step: float(step % 2)},
    "mixed": {"energy": lambda step: 10.0 / (1 + step), "epsilon": constant(0.02), "pitc": ramp(1.0, 2.0, 3)},
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_training_follows_its_schedules_step_by_step(name):
    objective = Objective(pisc=1.0, schedules=dict(SCHEDULES[name]))
    before = {key: getattr(objective, key) for key in SCHEDULES[name]}
    one = trainer(objective)
    for step in range(12):
        record = one.step()
        expected = {key: schedule(step) for key, schedule in SCHEDULES[name].items()}
        assert {key: getattr(one.current, key) for key in expected} == expected
        on = {key for key in ("energy", "force", "pitc", "pisc") if getattr(one.current, key) > 0}
        assert set(record.terms) == on
        # The loss is weighted as the schedules say, to the rounding of float32.
        loss = sum(getattr(one.current, key) * value for key, value in record.terms.items())
        assert record.loss == pytest.approx(loss, rel=1e-5)
    assert {key: getattr(objective, key) for key in before} == before


def test_a_scheduled_run_is_the_run_with_the_field_set_by_hand():
    objective = Objective(pitc=1.0)
    by_hand, scheduled = trainer(objective), trainer(Objective(pitc=1.0, schedules={"epsilon": ramp(0.01, 0.09, 8)}))
    for step in range(12):
        objective.epsilon = ramp(0.01, 0.09, 8)(step)
        assert by_hand.step().loss == scheduled.step().loss


def test_at_changes_nothing_and_override_ends_a_schedule():
    plain = Objective()
    assert plain.at(5) is plain
    objective = Objective(pitc=3.0, epsilon=0.02, schedules={"pitc": ramp(0.0, 10.0, 10), "epsilon": constant(0.04)})
    kept = dict(objective.schedules)
    at = objective.at(5)
    assert (at.pitc, at.epsilon, at.schedules) == (5.0, 0.04, {})
    at.pitc = -99.0
    assert (objective.pitc, objective.epsilon, objective.schedules) == (3.0, 0.02, kept)
    assert objective.at(0).pitc == 0.0
    shared = objective.schedules
    objective.override("pitc", 42.0)
    assert objective.at(5) == Objective(pitc=42.0, epsilon=0.04)
    assert set(objective.schedules) == {"epsilon"}
    assert set(shared) == {"pitc", "epsilon"}  # a copy that shares the table is not touched
    objective.override("direction", "local")  # a field without a schedule
    assert objective.at(9) == Objective(pitc=42.0, epsilon=0.04, direction="local")


def test_an_override_takes_effect_at_the_next_step():
    objective = Objective(pitc=1.0, schedules={"pitc": ramp(1.0, 12.0, 11)})
    one, seen = trainer(objective), []
    for step in range(12):
        one.step()
        seen.append(one.current.pitc)
        if step == 5:
            objective.override("pitc", 50.0)
    assert seen == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, *[50.0] * 6])


def test_a_value_that_makes_no_sense_is_named_at_its_step_and_spoils_nothing():
    one = trainer(Objective(schedules={"epsilon": lambda step: 0.05 if step < 2 else -1.0, "pitc": constant(1.0)}))
    one.step(), one.step()
    before = {name: value.clone() for name, value in one.potential.state_dict().items()}
    with pytest.raises(ValueError, match=r"epsilon=-1.0 Å must be larger than 0"):
        one.step()
    assert one.done == 2
    assert all(torch.equal(before[name], value) for name, value in one.potential.state_dict().items())
    with pytest.raises(ValueError, match=r"order=1\.25 does not exist; choose one of 1, 2, symmetric"):
        Objective(schedules={"order": ramp(1, 2, 4)}).at(1)


def test_the_supervised_twin_keeps_the_schedules_of_its_own_terms():
    objective = Objective(schedules={"force": ramp(1.0, 9.0, 4), "pitc": constant(1.0), "epsilon": constant(0.1)})
    assert set(supervised(objective).schedules) == {"force"}
    assert supervised(objective).at(4).force == 9.0
    assert supervised(objective).at(4).pitc == 0.0


def test_a_table_is_a_schedule():
    objective = Objective(schedules={"pitc": {"kind": "ramp", "start": 1.0, "end": 2.0, "steps": 4}})
    assert objective.schedules == {"pitc": ramp(1.0, 2.0, 4)}
    with pytest.raises(ValueError, match="choose one of constant, ramp, cosine"):
        Objective(schedules={"pitc": {"kind": "step", "start": 1.0}})


def stopped_and_resumed(tmp_path, objective, stop, steps=12, pool=None, **options):
    """Records of a whole run, and of the same run stopped, saved and resumed; and both potentials."""
    whole = trainer(objective(), steps, pool=pool, **options)
    expected = [whole.step() for _ in range(steps)]
    half = trainer(objective(), steps, pool=pool, **options)
    records = [half.step() for _ in range(stop)]
    path = save(tmp_path / "half.safetensors", half.potential, half)
    rest = resume(path, labelled("CH3CH2OH", 10), pool=pool)
    assert rest.objective == half.objective
    records += [rest.step() for _ in range(steps - stop)]
    same = zip(whole.potential.state_dict().values(), rest.potential.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert [(r.step, r.loss, r.terms) for r in records] == [(r.step, r.loss, r.terms) for r in expected]
    return rest


@pytest.mark.parametrize("stop", [1, 5, 10])
@pytest.mark.parametrize("epsilon", [ramp(0.02, 0.24, 8), cosine(0.24, 0.02, 8)])
def test_a_run_with_schedules_resumes_bit_for_bit(tmp_path, stop, epsilon):
    """Also where ε outgrows the skin of the neighbour lists, before or after the stop."""

    def objective():
        return Objective(schedules={"epsilon": epsilon, "pitc": ramp(0.0, 50.0, 7), "order": constant("symmetric")})

    rest = stopped_and_resumed(tmp_path, objective, stop)
    assert rest.objective.schedules == objective().schedules


@pytest.mark.parametrize("stop", [1, 4, 7])
@pytest.mark.parametrize(("head", "weights"), [("direct", {"pitc": 50.0, "pisc": 1.0}), ("dual", {"gradient": 10.0})])
def test_a_run_with_a_pool_resumes_bit_for_bit(tmp_path, stop, head, weights):
    """The checkpoint remembers which frames of the pool come next: 7 of them in batches of 4."""
    pool = labelled("CH3CH2OH", 7, seed=5)
    rest = stopped_and_resumed(tmp_path, lambda: Objective(**weights, centres="pool"), stop, 10, pool, head=head)
    with pytest.raises(CheckpointError, match="another pool"):
        resume(save(tmp_path / "end.safetensors", rest.potential, rest), labelled("CH3CH2OH", 10), pool=pool[:5])
    with pytest.raises(CheckpointError, match="another pool"):
        resume(tmp_path / "end.safetensors", labelled("CH3CH2OH", 10))


def test_the_pool_is_drawn_from_in_batches_of_its_own_and_only_when_asked():
    pool = labelled("CH3CH2OH", 7, seed=5)
    objective = Objective(pitc=1.0)
    one, other = trainer(objective, pool=pool), trainer(Objective(pitc=1.0))
    untouched = one.pool_batches.state()[0].clone()
    assert [one.step().loss for _ in range(3)] == [other.step().loss for _ in range(3)]
    assert torch.equal(one.pool_batches.state()[0], untouched)
    objective.centres = "pool"
    one.step()
    assert not torch.equal(one.pool_batches.state()[0], untouched)
    assert len(one.pool_batches.queue) == 3


def test_labels_that_a_pool_came_with_change_nothing():
    """The frames may have labels in the file: the trainer throws them away before anything reads them."""
    pool = labelled("CH3CH2OH", 7, seed=5)
    with_labels, without = (
        trainer(Objective(pitc=50.0, pisc=1.0, centres="pool", direction="adversarial"), pool=given)
        for given in (pool, pool.unlabelled())
    )
    assert [with_labels.step().loss for _ in range(8)] == [without.step().loss for _ in range(8)]


def test_a_function_cannot_be_saved_and_the_message_says_what_can(tmp_path):
    one = trainer(Objective(pitc=1.0, schedules={"pitc": lambda step: 1.0, "epsilon": constant(0.05)}))
    one.step()
    with pytest.raises(CheckpointError, match=r"schedule of pitc is a function.*use constant, ramp or cosine"):
        save(tmp_path / "p.safetensors", one.potential, one)
    assert list(tmp_path.iterdir()) == []
    save(tmp_path / "p.safetensors", one.potential)  # the potential alone can
