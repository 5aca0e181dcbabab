"""The running mean of the weights: what is validated and given back, while a copy of it learns."""

from __future__ import annotations

import random
import sys
import threading

import numpy as np
import pytest
import torch
from frames import labelled
from torch import nn

from piwsl_lab.models import Prediction, build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.answer import Answer, share_kept
from piwsl_lab.training.best_step import Best, Ending, ending_in_words, ending_of
from piwsl_lab.training.errors import Metrics, evaluate
from piwsl_lab.training.trainer import Trainer

TRAIN, VALIDATION = labelled("CH3CH2OH", 10), labelled("CH3CH2OH", 4, seed=1)
ADVERSARY = Objective(pitc=10.0, pisc=1.0, direction="adversarial")


def trainer(average=0.9, objective=None, model="painn", **options):
    torch.manual_seed(0)
    potential = build(model, channels=8, layers=2, radial=6, head="direct").double()
    given = {"validation": VALIDATION, "steps": 12, "batch_size": 4, "validate_every": 3, "device": "cpu"}
    objective = objective or Objective(pitc=10.0)
    return Trainer(potential, TRAIN, objective, average=average, **given | options)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def numbers(records):
    return [(r.step, r.loss, r.terms, r.metrics) for r in records]


@pytest.mark.parametrize("average", [0.3, 0.9, 0.999])
def test_the_potential_is_the_mean_of_what_the_learner_was(average):
    run = trainer(average, validate_every=100)
    parameters = [[p.detach().clone() for p in run.learner.parameters()]]
    while run.done < 11:
        run.step()
        parameters.append([p.detach().clone() for p in run.learner.parameters()])
    for position, found in enumerate(run.potential.parameters()):
        mean = parameters[0][position].numpy().copy()
        for step in range(1, 12):
            kept = min(average, (1 + step) / (10 + step))
            mean = kept * mean + (1 - kept) * parameters[step][position].numpy()
        assert np.allclose(found.detach().numpy(), mean, rtol=1e-13, atol=1e-15)
    assert not same(dict(run.potential.named_parameters()), dict(run.learner.named_parameters()))


def test_the_learner_takes_the_steps_of_a_training_without_a_mean():
    """It sees the same batches and draws the same numbers, adversarial directions and fits of the shift included."""
    plain, mean = trainer(0.0, ADVERSARY), trainer(0.99, ADVERSARY)
    assert plain.learner is plain.potential
    for _ in range(12):
        one, other = plain.step(), mean.step()
        assert (one.loss, one.terms) == (other.loss, other.terms)
        assert same(copied(plain.potential), copied(mean.learner))
    assert plain.noise.get_state().equal(mean.noise.get_state())
    assert one.metrics != other.metrics


def test_a_validation_scores_the_mean():
    run = trainer()
    for _ in range(6):
        record = run.step()
        if record.metrics is not None:
            assert record.metrics == evaluate(run.potential, VALIDATION)
            assert record.metrics != evaluate(run.learner, VALIDATION)
            if run.best.step == run.done:
                assert same(run.best.weights, copied(run.potential))
    learner = copied(run.learner)
    run.restore_best()
    assert same(run.best.weights, copied(run.potential))
    assert same(learner, copied(run.learner))


@pytest.mark.parametrize("per_atom", [False, True])
def test_both_lose_the_constant_error_of_their_own(per_atom):
    run = trainer(objective=Objective(pitc=1.0, per_atom=per_atom), steps=3)
    for _ in range(3):
        run.step()
    assert not torch.equal(run.potential.shift, run.learner.shift)
    for module in (run.potential, run.learner):
        error = module.predict(TRAIN)[0] - np.array([frame.energy for frame in TRAIN])
        assert abs(error.mean()) < 1e-9
    assert run.learner.reference == run.potential.reference
    assert torch.equal(run.learner.scale, run.potential.scale)


class At:
    """Raises at the k-th line that is run in the training, once; counts the lines."""

    def __init__(self, error, k=None, where="/piwsl_lab/training/"):
        self.error, self.k, self.where, self.seen = error, k, where, 0

    def __enter__(self):
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _trace(self, frame, event, _):
        if self.where not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.k:
                sys.settrace(None)
                raise self.error
        return self._trace


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("where", ["/piwsl_lab/training/", "training/answer.py"])
def test_what_breaks_a_step_off_moves_the_mean_once(error, where):
    """At any line of a step that validates; those that move the mean are few and have a turn of their own."""
    whole, records, seen = trainer(steps=4, validate_every=2), {}, {}
    for step in (1, 2, 3, 4):
        with At(None, where=where) as counted:
            records[step] = whole.step()
        seen[step] = counted.seen
    moments, broken_off = random.Random(0).sample(range(1, seen[2] + 1), min(seen[2], 15)), 0
    for k in moments:
        run, found = trainer(steps=4, validate_every=2), {}
        found[1] = run.step()
        try:
            with At(error("at a line"), k, where):
                run.step()
        except error:
            broken_off += 1
        found[run.done] = run.last
        while not run.finished:
            record = run.step()
            found[record.step] = record
        assert numbers(found.values()) == numbers(records.values()), f"line {k} of {seen[2]}"
        assert same(copied(run.potential), copied(whole.potential)), f"line {k} of {seen[2]}"
        assert same(copied(run.learner), copied(whole.learner)), f"line {k} of {seen[2]}"
    assert broken_off == len(moments)


def test_a_mean_that_fails_is_found_again(monkeypatch):
    whole = trainer(steps=3)
    expected = [whole.step() for _ in range(3)]
    run = trainer(steps=3)
    found = [run.step()]
    take = Answer.take

    def half(self, mean):
        """A part of the weights has moved, and then memory is full."""
        with torch.no_grad():
            next(iter(self.potential.parameters())).copy_(mean[0])
        raise MemoryError

    for _ in range(2):
        monkeypatch.setattr(Answer, "take", half)
        with pytest.raises(MemoryError):
            run.step()
    monkeypatch.setattr(Answer, "take", take)
    found += [run.step() for _ in range(2)]
    assert numbers(found) == numbers(expected)
    assert same(copied(run.potential), copied(whole.potential))


class Foreign(nn.Module):
    """A spring to the centre that counts its calls, as batch norms do; it has a mask with an infinity."""

    cutoff = 5.0

    def __init__(self, lock=None):
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(1.0))
        self.frozen = nn.Parameter(torch.tensor([2.0, -torch.inf]), requires_grad=False)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("level", torch.tensor(0.0))
        self.register_buffer("calls", torch.tensor(0))
        self.lock = lock

    def forward(self, graph, forces=True):
        if torch.is_grad_enabled():
            self.calls += 1
            self.level = 0.5 * self.level + 0.5  # another tensor every time
        energy = graph.sum_over_atoms(self.stiffness * graph.positions.square().sum(dim=1))
        return Prediction(energy, -2 * self.stiffness * graph.positions if forces else None)


def test_buffers_of_a_foreign_module_follow():
    potential = Foreign()
    run = Trainer(potential, labelled("H2O", 6), Objective(), steps=3, average=0.9, validate_every=10, device="cpu")
    level, calls = 0.0, 0
    for step in (1, 2):
        run.step()
        kept = share_kept(step, 0.9)
        level = kept * level + (1 - kept) * float(run.learner.level)
        calls = int(run.learner.calls)
    assert calls == 2
    assert (int(potential.calls), float(potential.level)) == (calls, pytest.approx(level))
    assert torch.equal(potential.mask, torch.tensor([0.0, -torch.inf]))
    assert torch.equal(potential.frozen.data, torch.tensor([2.0, -torch.inf]))
    assert potential.reference == run.learner.reference


def test_what_cannot_be_copied_has_no_mean():
    data = labelled("H2O", 6)
    with pytest.raises(ValueError, match=r"this Foreign cannot be copied \(TypeError: .*lock.*\): use average=0"):
        Trainer(Foreign(threading.Lock()), data, Objective(), average=0.9)
    Trainer(Foreign(threading.Lock()), data, Objective(), average=0.0, steps=2, device="cpu").step()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"average": 1.0}, "average=1.0 must be 0 .* or larger, and below 1"),
        ({"average": -0.1}, "average=-0.1"),
        ({"average": float("nan")}, "average=nan"),
        ({"patience": -1}, "patience=-1 must be a whole number"),
        ({"patience": 2.5}, "patience=2.5 must be a whole number"),
        ({"patience": 2, "validation": None}, "patience=2 waits for a better validation: give validation frames"),
    ],
)
def test_impossible_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        trainer(**{"average": 0.0, **options})


SETTINGS = {"steps": 100, "validate_every": 10, "patience": 3}


@pytest.mark.parametrize(
    ("done", "best", "words"),
    [
        (49, 20, None),
        (50, 20, "ended at step 50 of 100: 3 validations were no better than at step 20"),
        (50, 21, "ended at step 50 of 100: 3 validations were no better than at step 21"),
        (40, 20, None),
        (100, 90, "ended at its last step, 100"),
        (100, 20, "ended at its last step, 100"),
    ],
)
def test_where_a_training_ends_and_why(done, best, words):
    ending = ending_of(done, Best(best, Metrics(), {}), SETTINGS)
    assert (None if ending is None else ending_in_words(ending)) == words
    assert ending_of(done, Best(best, Metrics(), {}), SETTINGS | {"patience": 0}) is None or done == 100
    assert ending_of(done, Best(), SETTINGS) is None or done == 100


def test_one_validation_in_vain_is_one():
    assert ending_in_words(Ending(20, 100, 10, 1)).endswith("1 validation was no better than at step 10")
