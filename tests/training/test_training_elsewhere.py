"""A training on a device that is not the CPU: the same numbers, the same files, nothing left behind on the CPU."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from frames import dataset, labelled
from other_device import ELSEWHERE, Elsewhere, MixedDevices, numbers, other_device

from piwsl_lab.data import Dataset
from piwsl_lab.models import MODELS, PaiNN, build
from piwsl_lab.models.interface import as_graphs
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.schedules import ramp
from piwsl_lab.training.best_step import is_better, label_variances, unexplained_variance
from piwsl_lab.training.checkpoint import go_on, load_potential, pack, resume, save
from piwsl_lab.training.errors import evaluate
from piwsl_lab.training.reach import Reach, bond_range
from piwsl_lab.training.record import TrainingDiverged
from piwsl_lab.training.trainer import Trainer

WEIGHTS = {"energy": 10.0, "force": 100.0, "pitc": 5.0, "pisc": 1.0}


def sets(energies=6, forces=4) -> dict[str, Dataset]:
    """Frames of two sizes, some without an energy, some without forces."""
    train = dataset(*labelled("H2O", 4), *labelled("CH3OH", 4))
    validation = dataset(*labelled("H2O", 2, seed=1), *labelled("CH3OH", 2, seed=1))
    return {
        "train": train.budget(energies, forces),
        "validation": validation.budget(min(energies, 3), min(forces, 2)),
        "pool": dataset(*labelled("H2O", 3, seed=2), *labelled("CH3OH", 3, seed=2)),
    }


def begun(objective=None, name="painn", head="dual", device="auto", frames=None, **options) -> Trainer:
    """A training before its first step; "auto" is the other device inside a block that has one, else the CPU."""
    torch.manual_seed(0)
    potential = build(name, elements=(1, 6, 8), channels=4, layers=1, radial=4, head=head)
    settings = {"steps": 6, "batch_size": 3, "validate_every": 2, "seed": 3, "device": device} | options
    return Trainer(potential, **(frames or sets()), objective=objective or Objective(**WEIGHTS), **settings)


def told(record):
    """What a step found, without its time; not a number is no number."""
    return repr((record.step, record.loss, record.terms, record.metrics and asdict(record.metrics)))


def finished(trainer):
    """Records of all steps that are left, and the best weights."""
    records = []
    while not trainer.finished:
        records.append(told(trainer.step()))
    trainer.restore_best()
    return records, numbers(list(trainer.potential.state_dict().values()))


def all_there(trainer):
    """Whether everything of a trainer that is as large as its weights or its frames lies on the other device."""
    graphs = [trainer.graphs, trainer.validation, trainer.reach.pool()]
    parts = [part for of in graphs if of for part in (*vars(of.graph).values(), of.atom_start, of.edge_start, of.taken)]
    parts += [*trainer.potential.state_dict().values(), *(trainer.best.weights or {}).values()]
    parts += [value for moments in trainer.optimiser.state.values() for value in moments.values()]
    return all(isinstance(part, Elsewhere) for part in parts if isinstance(part, torch.Tensor))


CASES = {
    "labels": Objective(),
    "energies alone": Objective(force=0.0),
    "forces alone": Objective(energy=0.0),
    "consistency": Objective(**WEIGHTS, gradient=2.0),
    "per atom, from the pool": Objective(**WEIGHTS, per_atom=True, centres="pool"),
    "relative, to the worst": Objective(**WEIGHTS, relative=True, direction="adversarial", remove_drift=True),
    "one shell, growing": Objective(**WEIGHTS, direction="local", schedules={"epsilon": ramp(0.02, 0.24, 4)}),
    "rivals": Objective(curl=0.1, weak=1.0, noisy=0.5, epsilon=0.02),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:epsilon=")
def test_a_training_elsewhere_is_the_training_here(case):
    here = finished(begun(CASES[case]))
    with other_device():
        trainer = begun(CASES[case])
        assert trainer.device == ELSEWHERE
        there = finished(trainer)
        assert all_there(trainer)
        assert trainer.best.step > 0
    assert here[0] == there[0]
    assert all(map(torch.equal, here[1], there[1]))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("head", ["conservative", "direct"])
def test_every_model_is_trained_elsewhere_as_here(name, head):
    here = finished(begun(name=name, head=head, steps=2))
    with other_device():
        there = finished(begun(name=name, head=head, steps=2))
    assert here[0] == there[0]
    assert all(map(torch.equal, here[1], there[1]))


def test_a_mean_of_the_weights_and_its_learner_live_elsewhere_too(tmp_path):
    frames, options = sets(), {"average": 0.9, "patience": 2}
    here = finished(begun(frames=frames, **options))
    with other_device():
        trainer = begun(frames=frames, **options)
        for _ in range(3):
            trainer.step()
        save(tmp_path / "half.safetensors", trainer.potential, trainer)
        resumed = resume(tmp_path / "half.safetensors", **frames)
        for one in (trainer, resumed):
            there = finished(one)
            assert all_there(one)
            assert all(isinstance(value, Elsewhere) for value in one.learner.state_dict().values())
            assert here[0][-len(there[0]) :] == there[0]
            assert all(map(torch.equal, here[1], there[1]))


def test_soft_modes_are_drawn_elsewhere_as_here():
    frames = {"train": labelled("CH3OH", 6), "validation": labelled("CH3OH", 3, seed=1)}
    objective = Objective(**WEIGHTS, direction="covariance")
    here = finished(begun(objective, frames=frames))
    with other_device():
        there = finished(begun(objective, frames=frames))
    assert here[0] == there[0]
    assert all(map(torch.equal, here[1], there[1]))


def test_energies_are_validated_and_their_constant_is_fitted():
    """The first validation takes frames by indices that were found on the device."""
    with other_device():
        trainer = begun(Objective(force=0.0), steps=1)
        before = numbers(trainer.potential.shift)
        record = trainer.step()
        assert record.metrics.energy_rmse > 0
        assert not torch.equal(numbers(trainer.potential.shift), before)
        trainer.answer.fit_shift(trainer.graphs, trainer.current)


def test_a_training_is_saved_resumed_and_goes_on_elsewhere(tmp_path):
    frames = sets()
    here = begun()
    for _ in range(3):
        here.step()
    # The time by the clock stands in the file too.
    here.seconds = 0.0
    with other_device():
        there = begun()
        for _ in range(3):
            there.step()
        there.seconds = 0.0
        assert pack(there.potential, there) == pack(here.potential, here)
        path = save(tmp_path / "run.safetensors", there.potential, there)
        resumed, fresh = resume(path, **frames), begun()
        go_on(path, fresh)
        assert there.best.step == 2  # so that its weights are in the file beside those of the third step
        assert all(map(all_there, (resumed, fresh)))
        assert pack(resumed.potential, resumed) == pack(there.potential, there)
        ends = [finished(trainer) for trainer in (there, resumed, fresh)]
        assert all(map(all_there, (there, resumed, fresh)))
        loaded = load_potential(path)
        assert not any(isinstance(value, Elsewhere) for value in loaded.state_dict().values())
    ends += [finished(here), finished(resume(path, **frames, device="cpu"))]
    assert all(end[0] == ends[0][0] for end in ends)
    assert all(all(map(torch.equal, end[1], ends[0][1])) for end in ends)


def test_a_step_that_was_broken_off_elsewhere_is_undone(monkeypatch):
    here = finished(begun())

    def broken(*args, **kwargs):
        raise KeyboardInterrupt

    with other_device():
        trainer = begun()
        records = [told(trainer.step())]
        step = trainer.optimiser.step
        for owner, place, instead in (
            (torch.nn.utils, "clip_grad_norm_", broken),
            (trainer.optimiser, "step", broken),
            (trainer.optimiser, "step", lambda: (step(), broken())),  # the weights have moved: it is counted
        ):
            with monkeypatch.context() as patch:
                patch.setattr(owner, place, instead)
                with pytest.raises(KeyboardInterrupt):
                    trainer.step()
        assert trainer.done == 2
        records.append(told(trainer.last))
        rest, weights = finished(trainer)
    assert here[0] == [*records, *rest]
    assert all(map(torch.equal, here[1], weights))


def test_divergence_elsewhere_is_said_in_words():
    with other_device(), pytest.raises(TrainingDiverged, match="became"):
        finished(begun(learning_rate=1e30, steps=20, clip=1e30))


def test_errors_and_variances_are_the_same_on_every_device():
    frames = sets()
    found = []
    for there in (False, True):
        torch.manual_seed(0)
        potential = PaiNN(channels=4, layers=1, head="dual").calibrate(frames["train"])
        if there:
            with other_device() as device:
                found.append(_scores(potential.to(device), frames))
        else:
            found.append(_scores(potential, frames))
    assert repr(found[0]) == repr(found[1])


def _scores(potential, frames):
    train, validation = (as_graphs(potential, frames[name]) for name in ("train", "validation"))
    metrics = evaluate(potential, validation, batch_size=2)
    spreads = [label_variances(train.all(), per_atom) for per_atom in (False, True)]
    objective = Objective()
    score = unexplained_variance(metrics, objective, validation.all(), spreads[0])
    better = is_better(metrics, None, objective, validation.all(), train.all())
    none = evaluate(potential, as_graphs(potential, frames["pool"].unlabelled()))
    return metrics, evaluate(potential, validation, head="direct"), spreads, score, better, none, bond_range(train)


def test_reach_covers_a_larger_epsilon_elsewhere():
    frames = sets()
    with other_device() as device:
        potential = PaiNN(channels=4, layers=1).calibrate(frames["train"]).to(device)
        reach = Reach(potential, frames["train"], frames["pool"])
        reach.follow(Objective(pitc=1.0, epsilon=0.15))
        with pytest.warns(UserWarning, match="chemistry"):
            reach.follow(Objective(pitc=1.0, epsilon=0.5))
        assert reach.graphs.radius == pytest.approx(5.0 + 2 * 3**0.5 * 0.5)
        assert reach.graphs.device == reach.pool().device == ELSEWHERE


# -- whether all of this could fail ------------------------------------------------------------------------------------


class Careless(PaiNN):
    """Adds nothing, on the CPU, once it has been asked for energies alone: as validation and the fit ask."""

    def forward(self, graph, forces=True):
        answer = super().forward(graph, forces)
        return answer if forces else answer._replace(energy=answer.energy + torch.zeros(graph.n_structures))


def test_a_model_that_is_careless_at_validation_alone_is_found_out():
    frames = sets()
    for there in (False, True):
        torch.manual_seed(0)
        potential = Careless(elements=(1, 6, 8), channels=4, layers=1)
        options = {"validation": frames["validation"], "steps": 4, "batch_size": 3, "validate_every": 2}
        if not there:
            finished(Trainer(potential, frames["train"], Objective(), **options))
            continue
        with other_device(), pytest.raises(MixedDevices, match="on the CPU"):
            finished(Trainer(potential, frames["train"], Objective(), **options))


def test_a_loss_that_is_put_together_on_the_cpu_is_found_out(monkeypatch):
    total = Objective.total
    monkeypatch.setattr(Objective, "total", lambda *args: (total(*args) + torch.zeros(3)).sum())
    begun().step()
    with other_device(), pytest.raises(MixedDevices, match="on the CPU"):
        begun().step()
