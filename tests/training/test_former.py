"""Trainings that earlier versions broke off go on, and files that hold a mean are what they say."""

from __future__ import annotations

import json
import shutil

import former
import pytest
import torch
from frames import labelled
from safetensors import safe_open
from safetensors.torch import save_file

from piwsl_lab.models import PaiNN
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.checkpoint import go_on, load_potential, pack, resume, save
from piwsl_lab.training.checkpoint_file import HEADER, CheckpointError
from piwsl_lab.training.drive import train_to_end
from piwsl_lab.training.kept import Kept
from piwsl_lab.training.trainer import Trainer


def fresh(**options) -> Trainer:
    frames = former.sets()
    torch.manual_seed(0)
    potential = PaiNN(frames["train"].elements, **former.MODEL).double()
    return Trainer(potential, frames.pop("train"), former.objective(), **frames, **former.OPTIONS | options)


def gone_on(trainer: Trainer) -> dict:
    """What `former.json` says of a training."""
    rows = []
    while not trainer.finished:
        rows.append(row(trainer.step()))
    trainer.restore_best()
    energies, forces = trainer.potential.predict(trainer.train_data)
    return {"steps": rows, "best": trainer.best.step, "energies": energies.tolist(), "force": abs(forces[0]).sum()}


def row(record) -> dict:
    names = () if record.metrics is None else ("force_rmse", "energy_mae")
    return {"step": record.step, "loss": record.loss, **record.terms} | {n: getattr(record.metrics, n) for n in names}


def expect(found: dict, number: int) -> None:
    stored = json.loads(former.FOLLOWING.read_text())[str(number)]
    assert found["best"] == stored["best"]
    for one, other in zip(found["steps"], stored["steps"], strict=True):
        assert one == pytest.approx(other, rel=1e-9)
    assert found["energies"] == pytest.approx(stored["energies"], rel=1e-9)
    assert found["force"] == pytest.approx(stored["force"], rel=1e-9)


def header_of(path) -> dict:
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[HEADER])


def rewritten(path, change) -> None:
    """Change the tensors of a file, and leave what it says of itself."""
    with safe_open(path, framework="pt") as file:
        marks, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    change(tensors)
    save_file(tensors, path, metadata=marks)


@pytest.mark.parametrize("number", [1, 2])
def test_a_training_of_a_former_format_goes_on_to_the_same_numbers(number):
    path = former.FILES[number]
    header = header_of(path)
    assert header["format"] == number
    assert not {"average", "patience"} & header["trainer"]["settings"].keys()
    trainer = resume(path, **former.sets(), device="cpu")
    assert (trainer.done, trainer.settings["average"], trainer.settings["patience"]) == (former.STOPPED_AT, 0, 0)
    assert trainer.learner is trainer.potential
    expect(gone_on(trainer), number)


@pytest.mark.parametrize("number", [1, 2])
def test_a_former_training_takes_no_default_of_today(number, monkeypatch):
    monkeypatch.setitem(Trainer.__init__.__kwdefaults__, "average", 0.9)
    monkeypatch.setitem(Trainer.__init__.__kwdefaults__, "patience", 3)
    trainer = resume(former.FILES[number], **former.sets(), device="cpu")
    assert (trainer.settings["average"], trainer.settings["patience"]) == (0.0, 0)


def test_what_a_command_of_a_former_version_kept_goes_on(tmp_path):
    path = shutil.copy(former.FILES[2], tmp_path / "kept.safetensors")
    kept, steps = Kept(path), []
    kept.open()
    trainer = train_to_end(fresh(), kept, former.PART, lambda record: steps.append(row(record)))
    energies, forces = trainer.potential.predict(trainer.train_data)
    found = {"steps": steps, "best": trainer.best.step, "energies": energies.tolist(), "force": abs(forces[0]).sum()}
    expect(found, 2)
    assert header_of(path)["format"] == 3


@pytest.mark.parametrize("asked", [{"average": 0.9}, {"patience": 3}])
def test_a_former_training_is_not_one_with_a_mean_or_patience(asked):
    ((name, value),) = asked.items()
    with pytest.raises(CheckpointError, match=rf"{name} 0(\.0)?, asked {value}\); delete it and begin anew"):
        go_on(former.FILES[2], fresh(**asked))


# -- files of format 3 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [1, 4, 6])
@pytest.mark.parametrize("how", ["resume", "go_on"])
def test_mean_and_learner_come_back_bit_for_bit(tmp_path, how, stop):
    whole = fresh(average=0.95, patience=9)
    expected = [row(whole.step()) for _ in range(12)]
    half = fresh(average=0.95, patience=9)
    for _ in range(stop):
        half.step()
    path = save(tmp_path / "half.safetensors", half.potential, half)
    if how == "resume":
        rest = resume(path, **former.sets(), device="cpu")
    else:
        rest = fresh(average=0.95, patience=9)
        go_on(path, rest)
    assert rest.learner.reference == rest.potential.reference
    assert [row(rest.step()) for _ in range(12 - stop)] == expected[stop:]
    for one, other in ((whole.potential, rest.potential), (whole.learner, rest.learner)):
        assert all(torch.equal(one.state_dict()[name], value) for name, value in other.state_dict().items())
    answer = load_potential(path).state_dict()
    assert all(torch.equal(half.potential.state_dict()[name], value) for name, value in answer.items())


def broken(tensors, name):
    """What can be wrong with the weights that learn, and the words for it."""
    learner = [key for key in tensors if key.startswith("learner.")]
    first = next(key for key in learner if tensors[key].ndim == 2)
    if name == "missing":
        for key in learner:
            del tensors[key]
    elif name == "one is missing":
        del tensors[first]
    elif name == "another shape":
        tensors[first] = tensors[first][:1]
    else:
        tensors[first][0, 0] = torch.nan


WORDS = {
    "missing": r"half\.safetensors: .*weights that learn \(learner\.…\) are missing, and the mean alone cannot go on",
    "one is missing": r"half\.safetensors: .*learner\..* is missing, too much or of another shape",
    "another shape": r"half\.safetensors: .*learner\..* is missing, too much or of another shape",
    "not finite": r"half\.safetensors: .*learner\..* holds 1 number\(s\) that are not finite",
}


@pytest.mark.parametrize("name", WORDS)
def test_a_learner_that_is_damaged_is_named(tmp_path, name):
    half = fresh(average=0.9)
    half.step()
    path = save(tmp_path / "half.safetensors", half.potential, half)
    rewritten(path, lambda tensors: broken(tensors, name))
    with pytest.raises(CheckpointError, match=WORDS[name]):
        resume(path, **former.sets(), device="cpu")
    with pytest.raises(CheckpointError, match=WORDS[name]):
        go_on(path, fresh(average=0.9))


def test_a_training_that_has_ended_needs_no_learner(tmp_path):
    ended = fresh(average=0.9)
    while not ended.finished:
        ended.step()
    path = tmp_path / "ended.safetensors"
    path.write_bytes(pack(ended.potential, ended, moments=False))
    with safe_open(path, framework="pt") as file:
        assert not [name for name in file.keys() if name.startswith("learner.")]
    again = resume(path, **former.sets(), device="cpu")
    assert again.finished
    again.restore_best()
    ended.restore_best()
    assert all(
        torch.equal(ended.potential.state_dict()[name], value) for name, value in again.potential.state_dict().items()
    )


def test_a_training_without_a_mean_has_no_second_weights(tmp_path):
    trainer = fresh()
    trainer.step()
    path = save(tmp_path / "plain.safetensors", trainer.potential, trainer)
    with safe_open(path, framework="pt") as file:
        assert not [name for name in file.keys() if name.startswith("learner.")]
    potential = PaiNN((1, 8), channels=4, layers=1, radial=4)
    assert header_of(save(tmp_path / "alone.safetensors", potential))["format"] == 3


# -- the end by patience -------------------------------------------------------------------------------------------


def stale(**options) -> Trainer:
    """A training that gets worse and worse: it begins at its best."""
    data = labelled("H2O", 6)
    torch.manual_seed(0)
    potential = PaiNN(data.elements, **former.MODEL).double()
    given = {"steps": 40, "batch_size": 2, "validate_every": 3, "seed": 3, "device": "cpu", "schedule": "constant"}
    return Trainer(
        potential, data, Objective(), validation=labelled("H2O", 3, seed=1), learning_rate=0.3, **given | options
    )


def test_patience_ends_a_training_and_survives_a_save(tmp_path):
    endless = stale()
    scores = {}
    while not endless.finished:
        record = endless.step()
        if record.metrics is not None:
            scores[record.step] = endless.best.step
    patience = 4
    last = next(step for step, best in scores.items() if step // 3 - best // 3 >= patience)
    assert last < 39
    whole = stale(patience=patience)
    while not whole.finished:
        assert whole.ending is None
        whole.step()
    assert (whole.done, whole.best.step) == (last, scores[last])
    assert (whole.ending.step, whole.ending.in_vain, whole.ending.longest) == (last, patience, 40)
    for stop in (last - 1, last):
        half = stale(patience=patience)
        for _ in range(stop):
            half.step()
        path = save(tmp_path / f"{stop}.safetensors", half.potential, half)
        frames = {"train": half.train_data, "validation": half.validation_data}
        again = resume(path, **frames, device="cpu")
        assert again.finished == (stop == last)
        while not again.finished:
            again.step()
        assert again.ending == whole.ending
        again.restore_best()
    whole.restore_best()
    found, expected = again.potential.state_dict(), whole.potential.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_validations_that_tell_nothing_end_nothing():
    silent = stale(patience=1, steps=12)
    silent.objective.force = 0.0
    silent.objective.energy = 0.0
    while not silent.finished:
        silent.step()
    assert (silent.done, silent.ending.in_vain) == (12, 0)
