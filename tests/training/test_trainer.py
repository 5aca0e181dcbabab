"""Training: reproducible, honest about hidden labels, and robust against bad input."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import stored_training
import torch
from frames import dataset, frame, labelled
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models import Prediction, build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.support.device import pick_device
from piwsl_lab.training.checkpoint import go_on, load_potential, resume, save
from piwsl_lab.training.checkpoint_file import CheckpointError
from piwsl_lab.training.drive import fit
from piwsl_lab.training.errors import evaluate
from piwsl_lab.training.reach import Batches
from piwsl_lab.training.record import TrainingDiverged
from piwsl_lab.training.trainer import Trainer


def small(seed=0, **kwargs):
    torch.manual_seed(seed)
    return build("painn", **{"channels": 8, "layers": 2, "radial": 6, "basis": "bessel", **kwargs})


def run(objective=None, steps=12, potential=None, train=None, **options):
    potential = potential or small(head="direct")
    train = train or labelled("CH3CH2OH", 10)
    objective = objective or Objective(pitc=100.0, pisc=1.0)
    return potential, list(fit(potential, train, objective, steps=steps, batch_size=4, **options))


def test_the_same_seed_gives_the_same_run_bit_for_bit():
    (first, one), (second, two) = (run(validation=labelled("CH3CH2OH", 4, seed=1)) for _ in range(2))
    assert [(r.loss, r.terms, r.metrics) for r in one] == [(r.loss, r.terms, r.metrics) for r in two]
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert [r.loss for r in run(seed=1)[1]] != [r.loss for r in one]


def test_errors_fall():
    train, validation = labelled("CH3CH2OH", 40), labelled("CH3CH2OH", 20, seed=1)
    before = evaluate(small().calibrate(train), validation)
    options = {"steps": 200, "validation": validation, "learning_rate": 5e-3, "average": 0.0}
    potential, records = run(Objective(pitc=10.0), potential=small(), train=train, **options)
    after = evaluate(potential, validation)
    assert after.force_rmse < 0.5 * before.force_rmse
    assert after.energy_mae < 0.5 * before.energy_mae
    assert [r.step for r in records] == list(range(1, 201))
    assert all(a.seconds <= b.seconds for a, b in itertools.pairwise(records))


@pytest.mark.parametrize("per_atom", [False, True])
def test_the_best_validation_is_what_remains(per_atom):
    """The best is the one with the least unexplained variance of energies and forces, whatever their weights."""
    train, validation = labelled("CH3CH2OH", 10), labelled("CH3CH2OH", 8, seed=1)
    objective = Objective(energy=0.01, force=1000.0, per_atom=per_atom)
    options = {"steps": 8, "validate_every": 1, "batch_size": 4, "learning_rate": 1e-3, "average": 0.0}
    trainer = Trainer(small(), train, objective, validation=validation, **options)
    # Nine atoms in every frame, so that energies per atom have the same unexplained share.
    energies = np.array([frame.energy for frame in train])
    forces = np.array([frame.forces for frame in train])

    def unexplained(metrics):
        return metrics.energy_rmse**2 / energies.var(ddof=1) + metrics.force_rmse**2 / np.mean(forces**2)

    scores = []
    while not trainer.finished:
        scores.append(unexplained(trainer.step().metrics))
        if trainer.done == 4:  # spoil the weights: the best step is then not the last
            for parameter in trainer.potential.parameters():
                parameter.data.mul_(1.1)
    assert min(scores) < 0.9 * min(scores[4:])
    trainer.restore_best()
    assert unexplained(evaluate(trainer.potential, validation)) == pytest.approx(min(scores), rel=1e-5)


@pytest.mark.parametrize("energy", [10.0, 0.0])
def test_the_constant_error_of_the_training_energies_is_gone_at_every_validation(energy):
    train = labelled("CH3CH2OH", 10).budget(6, 10)
    potential, _ = run(Objective(energy=energy), steps=3, train=train)
    labels = {i: f.energy for i, f in enumerate(train) if f.energy is not None}
    predicted = potential.predict(train)[0]
    error = np.mean([predicted[i] - label for i, label in labels.items()])
    # Without a weight the energies are not read at all.
    assert (abs(error) < 1e-5) == (energy > 0)
    assert bool(potential.shift.any()) == (energy > 0)


def test_a_validation_that_is_not_finite_never_wins():
    train, validation = labelled("CH3CH2OH", 10), labelled("CH3CH2OH", 4, seed=1)
    potential = small(head="direct")
    trainer = Trainer(
        potential, train, Objective(), validation=validation, learning_rate=1e5, validate_every=1, steps=50
    )

    def until_the_end():
        while True:
            trainer.step()

    with pytest.raises(TrainingDiverged):
        until_the_end()
    assert trainer.best.metrics is None or math.isfinite(trainer.best.metrics.force_rmse)
    if trainer.best.metrics is not None:
        trainer.restore_best()
        assert math.isfinite(evaluate(potential, validation).force_rmse)


def test_a_validation_that_says_nothing_keeps_the_last_weights():
    validation = labelled("CH3CH2OH", 4, seed=1).budget(0, 4)
    trainer = Trainer(small(), labelled("CH3CH2OH", 8), Objective(force=0.0), validation=validation, steps=6)
    while not trainer.finished:
        trainer.step()
    last = {name: value.clone() for name, value in trainer.potential.state_dict().items()}
    trainer.restore_best()
    assert all(torch.equal(last[name], value) for name, value in trainer.potential.state_dict().items())


def test_clip_and_weight_decay_do_what_they_say():
    """A gradient clipped to nothing leaves AdamW with its decay alone: every weight shrinks by 1 − lr·decay."""
    options = {"steps": 3, "clip": 1e-20, "schedule": "constant", "learning_rate": 0.01, "average": 0.0}
    for decay in (0.0, 0.5):
        potential = small(head="direct")
        before = [p.detach().clone() for p in potential.parameters()]
        list(fit(potential, labelled("H2O", 6), Objective(), weight_decay=decay, **options))
        for old, new in zip(before, potential.parameters(), strict=True):
            assert torch.allclose(new, old * (1 - 0.01 * decay) ** 3, atol=1e-7)


def test_training_and_validation_must_not_share_a_frame():
    train = labelled("H2O", 6)
    with pytest.raises(ValueError, match=r"train.*validation"):
        Trainer(small(), train, Objective(), validation=train[4:])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
@pytest.mark.parametrize("head", ["conservative", "direct"])
def test_a_gpu_takes_the_same_steps_as_the_cpu(tmp_path, head):
    train, validation = labelled("CH3CH2OH", 10), labelled("CH3CH2OH", 4, seed=1)
    losses, predictions = {}, {}
    for device in ("cpu", "cuda"):
        trainer = Trainer(
            small(head=head).double(), train, Objective(pitc=10.0, pisc=1.0), validation=validation, steps=10,
            batch_size=4, device=device,
        )  # fmt: skip
        losses[device] = [trainer.step().loss for _ in range(5)]
        trainer = resume(
            save(tmp_path / f"{device}.safetensors", trainer.potential, trainer), train, validation, device
        )
        losses[device] += [trainer.step().loss for _ in range(5)]
        trainer.restore_best()
        predictions[device] = trainer.potential.predict(validation)[0]
    assert losses["cpu"] == pytest.approx(losses["cuda"], rel=1e-6)
    assert predictions["cpu"] == pytest.approx(predictions["cuda"], rel=1e-6)


def test_twins_of_one_seed_see_the_same_batches_whatever_their_objective():
    one, two = (
        Trainer(small(head="direct"), labelled("CH3CH2OH", 10), objective, steps=6, batch_size=4)
        for objective in (Objective(), Objective(pitc=1.0, pisc=1.0))
    )
    for trainer in (one, two):
        trainer.seen = []
        drawn = trainer.batches.next
        trainer.batches.next = lambda t=trainer, d=drawn: t.seen.append(d()) or t.seen[-1]
        while not trainer.finished:
            trainer.step()
    assert [b.tolist() for b in one.seen] == [b.tolist() for b in two.seen]


def test_every_frame_comes_once_before_any_comes_twice():
    batches = Batches(10, 4, seed=0)
    drawn = torch.cat([batches.next() for _ in range(10)]).tolist()
    for epoch in range(4):
        assert sorted(drawn[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert len(Batches(3, 8, seed=0).next()) == 3


def test_hidden_labels_change_nothing():
    """The forces a budget hides may be anything, in training and in validation: the run stays the same."""

    def poisoned(data):
        return dataset(*(frame(f.numbers, f.positions, energy=f.energy, forces=f.forces * 1e3 + 7.0) for f in data))

    def trained(change):
        train, validation = labelled("CH3CH2OH", 8), labelled("CH3CH2OH", 4, seed=1)
        train, validation = change(train).budget(8, 0), change(validation).budget(4, 0)
        potential, records = run(Objective(pitc=10.0), train=train, validation=validation)
        return [(r.loss, r.metrics.energy_mae if r.metrics else None) for r in records], potential

    (one, a), (two, b) = trained(lambda d: d), trained(poisoned)
    assert one == two
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_an_objective_changed_while_training_is_seen_by_the_next_step():
    objective = Objective()
    records = []
    for record in fit(small(head="direct"), labelled("CH3CH2OH", 10), objective, steps=6, batch_size=4):
        records.append(set(record.terms))
        objective.pitc, objective.pisc = (10.0, 0.0) if record.step < 4 else (0.0, 1.0)
    assert records == [{"energy", "force"}] + [{"energy", "force", "pitc"}] * 3 + [{"energy", "force", "pisc"}] * 2


def test_cosine_schedule_ends_at_zero_and_constant_stays():
    rates = {}
    for schedule in ("cosine", "constant"):
        trainer = Trainer(small(), labelled("H2O", 6), Objective(), steps=10, schedule=schedule, learning_rate=1e-3)
        rates[schedule] = []
        while not trainer.finished:
            trainer.step()
            rates[schedule].append(trainer.optimiser.param_groups[0]["lr"])
    assert rates["constant"] == [1e-3] * 10
    assert rates["cosine"] == pytest.approx([5e-4 * (1 + math.cos(math.pi * k / 10)) for k in range(10)])


@pytest.mark.parametrize("head", ["conservative", "direct"])
@pytest.mark.parametrize("stop", [1, 7, 13])
def test_a_stopped_run_resumes_exactly(tmp_path, head, stop):
    train, validation = labelled("CH3CH2OH", 10), labelled("CH3CH2OH", 4, seed=1)
    options = {"validation": validation, "steps": 20, "batch_size": 4, "validate_every": 5}
    whole = Trainer(small(head=head), train, Objective(pitc=10.0), **options)
    expected = [whole.step() for _ in range(20)]
    whole.restore_best()
    half = Trainer(small(head=head), train, Objective(pitc=10.0), **options)
    records = [half.step() for _ in range(stop)]
    path = save(tmp_path / "half.safetensors", half.potential, half)
    rest = resume(path, train, validation)
    while not rest.finished:
        records.append(rest.step())
    rest.restore_best()
    assert [(r.step, r.loss, r.terms, r.metrics) for r in records] == [
        (r.step, r.loss, r.terms, r.metrics) for r in expected
    ]
    for a, b in zip(whole.potential.state_dict().values(), rest.potential.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_trainer_takes_the_state_that_another_gave():
    first, second = stored_training.begun(), stored_training.begun()
    for _ in range(stored_training.STOPPED_AT):
        first.step()
    values, tensors = first.state()
    tensors = {name: value.clone() for name, value in tensors.items()}
    second.potential.load_state_dict(first.potential.state_dict())
    second.load(json.loads(json.dumps(values)), tensors)
    for _ in range(3):
        one, other = (stored_training.numbers(trainer.step()) for trainer in (first, second))
        assert one == other
    with pytest.raises(ValueError, match="the frames still to come are not those of this set"):
        second.load(values, tensors | {"queue": torch.tensor([99])})
    with pytest.raises(KeyError, match="noise"):
        second.load(values, {})


def test_a_checkpoint_of_an_earlier_version_goes_on_to_the_same_numbers():
    """Its file and the steps that followed it were written before the trainer was split."""
    expected = json.loads(stored_training.FOLLOWING.read_text())
    fresh = stored_training.begun()
    go_on(stored_training.CHECKPOINT, fresh)
    for trainer in (fresh, resume(stored_training.CHECKPOINT, **stored_training.sets(), device="cpu")):
        assert trainer.done == stored_training.STOPPED_AT
        found = [stored_training.numbers(trainer.step()) for _ in expected]
        assert trainer.finished
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, rel=1e-9)


@pytest.mark.parametrize("model", ["painn", "schnet"])
@pytest.mark.parametrize("head", ["conservative", "direct"])
def test_a_saved_potential_answers_the_same(tmp_path, model, head):
    data = labelled("CH3CH2OH", 6)
    torch.manual_seed(0)
    potential = build(model, channels=8, layers=2, radial=6, head=head).calibrate(data)
    again = load_potential(save(tmp_path / "p.safetensors", potential))
    assert np.array_equal(potential.predict(data)[0], again.predict(data)[0])
    assert all(np.array_equal(a, b) for a, b in zip(potential.predict(data)[1], again.predict(data)[1], strict=True))
    assert again.hyperparameters == potential.hyperparameters


def test_a_checkpoint_from_before_the_shift_has_none(tmp_path):
    data = labelled("CH3CH2OH", 6)
    potential = small().calibrate(data)
    path = save(tmp_path / "new.safetensors", potential)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()["piwsl_lab"].replace('"format": 3', '"format": 1')
        tensors = {name: file.get_tensor(name) for name in file.keys() if not name.endswith(".shift")}
    save_file(tensors, tmp_path / "old.safetensors", metadata={"piwsl_lab": header})
    old = load_potential(tmp_path / "old.safetensors")
    assert np.array_equal(old.predict(data)[0], potential.predict(data)[0])


def test_bad_checkpoints_are_named_and_nothing_is_written(tmp_path):
    potential = small().calibrate(labelled("H2O", 4))
    with pytest.raises(CheckpointError, match=r"model\.pt.*call it .*model\.safetensors"):
        save(tmp_path / "model.pt", potential)
    assert list(tmp_path.iterdir()) == []
    good = save(tmp_path / "good.safetensors", potential)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors.*cut off"):
        load_potential(cut)
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors.*no such file"):
        load_potential(tmp_path / "nowhere.safetensors")
    with pytest.raises(CheckpointError, match="no training to resume"):
        resume(good, labelled("H2O", 4))
    other = tmp_path / "other.safetensors"
    other.write_bytes(good.read_bytes().replace(b'\\"channels\\": 8', b'\\"channels\\": 9'))
    with pytest.raises(CheckpointError, match=r"other\.safetensors.*do not fit together"):
        load_potential(other)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(3)}, foreign)
    with pytest.raises(CheckpointError, match=r"foreign\.safetensors.*not written by piwsl-lab"):
        load_potential(foreign)


def test_resuming_with_other_data_is_an_error(tmp_path):
    trainer = Trainer(small(), labelled("H2O", 6), Objective(), steps=4)
    trainer.step()
    path = save(tmp_path / "run.safetensors", trainer.potential, trainer)
    with pytest.raises(
        CheckpointError, match="on other frames or labels, or had another pool; resume with the same split"
    ):
        resume(path, labelled("H2O", 6, seed=3))
    with pytest.raises(CheckpointError, match="other frames or labels"):
        resume(path, labelled("H2O", 6).budget(6, 2))
    with pytest.raises(CheckpointError, match="other frames or labels"):
        resume(path, labelled("H2O", 6), validation=labelled("H2O", 2, seed=5))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'\\"format\\"', b'\\"tamrof\\"'),
        (b'\\"reference\\"', b'\\"ecnerefer\\"'),
        (b'\\"layers\\"', b'\\"layerz\\"'),
        (b"float32", b"float99"),
        (b'{\\"format', b'[\\"format'),
    ],
)
def test_a_damaged_header_is_named(tmp_path, old, new):
    path = save(tmp_path / "hurt.safetensors", small().calibrate(labelled("H2O", 4)))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    with pytest.raises(CheckpointError, match=r"hurt\.safetensors.*use a checkpoint as `save` wrote it"):
        load_potential(path)


def test_a_checkpoint_needs_a_folder_and_can_be_read_by_others(tmp_path):
    potential = small()
    with pytest.raises(CheckpointError, match="there is no folder"):
        save(tmp_path / "nowhere" / "p.safetensors", potential)
    plain = tmp_path / "plain"
    plain.touch()
    assert save(tmp_path / "p.safetensors", potential).stat().st_mode == plain.stat().st_mode
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.safetensors", "plain"]


def test_a_loss_that_is_not_finite_stops_before_it_spoils_the_weights():
    potential = small(head="direct")
    trainer = Trainer(potential, labelled("H2O", 6), Objective(energy=1.0, force=1e38), steps=4)
    trainer.graphs.graph.forces.mul_(1e30)
    before = {name: value.clone() for name, value in potential.state_dict().items()}
    with pytest.raises(TrainingDiverged, match=r"at step 1: lower the learning rate"):
        trainer.step()
    assert all(torch.equal(before[name], value) for name, value in potential.state_dict().items())


def test_epsilon_beyond_30_percent_of_the_shortest_bond_warns():
    trainer = Trainer(small(head="direct"), labelled("H2O", 4, amplitude=0.01), Objective(pitc=1.0), steps=9)
    trainer.step()  # 0.05 Å is fine
    trainer.objective.epsilon = 0.35
    with pytest.warns(UserWarning, match=r"epsilon=0.35 Å is more than 30 %.*use at most 0.2"):
        trainer.step()
    trainer.step()  # said once; and the neighbour list now reaches far enough
    assert trainer.graphs.radius >= 5.0 + 2 * 3**0.5 * 0.35


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps=0 must be a whole number"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
        ({"schedule": "linear"}, "schedule='linear' does not exist"),
        ({"clip": 0.0}, "clip=0.0"),
    ],
)
def test_impossible_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Trainer(small(), labelled("H2O", 4), Objective(), **options)


def test_nothing_to_train_on_is_an_error():
    bare = dataset(*(frame(f.numbers, f.positions) for f in labelled("H2O", 3)))
    with pytest.raises(ValueError, match="no frame of the training set has a label"):
        Trainer(small(), bare, Objective())
    with pytest.raises(ValueError, match="never saw the elements"):
        Trainer(small(elements=(1, 6)), labelled("H2O", 4), Objective())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_asking_for_a_gpu_that_is_not_there():
    assert pick_device("auto") == "cpu"
    with pytest.raises(ValueError, match="finds 0 CUDA GPUs; use 'auto'"):
        pick_device("cuda")


def test_a_device_that_does_not_exist():
    with pytest.raises(ValueError, match="device 'mps' does not exist; use 'auto'"):
        pick_device("mps")


class Springs(nn.Module):
    """Somebody else's model: a learned spring between every pair, no base class of ours."""

    cutoff = 5.0

    def __init__(self):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(0.1))

    def forward(self, graph: AtomGraph, forces: bool = True) -> Prediction:
        with torch.enable_grad():
            positions = graph.positions.detach().requires_grad_()
            r = graph.at(positions).vectors().norm(dim=1)
            energy = graph.sum_over_atoms(
                torch.zeros_like(positions[:, 0]).index_add(0, graph.edge_index[0], self.strength * (r - 2).square())
            )
            (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
        return Prediction(energy, -gradient)


def test_any_callable_can_be_trained():
    potential = Springs()
    records = list(fit(potential, labelled("CH4", 8), Objective(pitc=1.0), steps=30, learning_rate=0.05))
    assert records[-1].loss < records[0].loss
    assert potential.strength.item() != pytest.approx(0.1)
    assert potential.reference == labelled("CH4", 8).reference_energies()  # not refitted to what it is scored on
    with pytest.raises(ValueError, match=r"no attribute `reference`.*train it with `fit`"):
        evaluate(Springs(), labelled("CH4", 8))
    del Springs.cutoff
    with pytest.raises(ValueError, match="no attribute `cutoff`"):
        Trainer(Springs(), labelled("CH4", 8), Objective())
