"""Checkpoints of before potentials had a basis to choose: format 2, written by the code of commit 986c231.

`stored/NAME.safetensors` stopped at its third step of six. `stored/answers.json` holds what that code then answered,
and the losses of the steps that follow. Neither is ever written anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from frames import crystal, dataset, labelled, rattled
from safetensors import safe_open
from safetensors.torch import save_file

from piwsl_lab.models import MODELS, build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.checkpoint import go_on, load_potential, resume
from piwsl_lab.training.checkpoint_file import HEADER
from piwsl_lab.training.trainer import Trainer

STORED = Path(__file__).with_name("stored")
ANSWERS = json.loads((STORED / "answers.json").read_text("utf-8"))
HEADS = {"painn": {"head": "dual", "denoise": True}, "schnet": {"head": "direct"}, "tensornet": {"head": "direct"}}
FORMER = {"painn": "bessel", "schnet": "gaussian", "tensornet": "bessel"}
EVERY = pytest.mark.parametrize("model", FORMER)


@pytest.fixture(autouse=True)
def _other_standards(monkeypatch):
    """What a class takes today by default is nothing to a file of then."""
    for cls in MODELS.values():
        other = {"channels": 6, "layers": 1, "radial": 7, "cutoff": 3.0, "basis": "exponential"}
        monkeypatch.setattr(cls, "standard", other)


def header_of(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()[HEADER])


def sets():
    return {"train": labelled("CH3CH2OH", 4), "validation": labelled("CH3CH2OH", 2, seed=1)}


def begun(model):
    """The training before its first step, as it is asked for today."""
    frames, size = sets(), {"channels": 4, "layers": 2, "radial": 4, "cutoff": 4.0, "basis": FORMER[model]}
    torch.manual_seed(0)
    potential = build(model, elements=frames["train"].elements, **size, **HEADS[model]).double()
    options = {"steps": 6, "batch_size": 2, "validate_every": 4, "seed": 3, "device": "cpu"}
    options |= {"learning_rate": 1e-3, "average": 0.0}  # as it was then
    potential = potential.calibrate(frames["train"])
    return Trainer(potential, frames.pop("train"), Objective(), **frames, **options)


def answers_as_then(model, path):
    potential = load_potential(path)
    assert potential.hyperparameters["basis"] == FORMER[model]
    energies, forces = potential.predict(dataset(rattled("CH3CH2OH"), crystal(), rattled("H2O", seed=2)))
    assert np.allclose(energies, ANSWERS[model]["energies"], rtol=0, atol=1e-10)
    assert np.allclose(np.concatenate(forces), ANSWERS[model]["forces"], rtol=0, atol=1e-10)


@EVERY
def test_a_file_of_format_2_answers_as_then(model):
    path = STORED / f"{model}.safetensors"
    assert header_of(path)["format"] == 2
    assert "basis" not in header_of(path)["hyperparameters"]
    answers_as_then(model, path)


@EVERY
def test_a_file_of_format_1_has_the_basis_of_its_model_too(model, tmp_path):
    """Format 1 had no shift; here it is 0, so that nothing else differs."""
    path = tmp_path / "first.safetensors"
    with safe_open(STORED / f"{model}.safetensors", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    tensors["potential.shift"].zero_()
    header = header_of(STORED / f"{model}.safetensors")
    save_file(tensors, path, metadata={HEADER: json.dumps(header)})
    expected = load_potential(path).predict(sets()["train"])[0]
    without = {name: value for name, value in tensors.items() if not name.endswith(".shift")}
    save_file(without, path, metadata={HEADER: json.dumps(header | {"format": 1})})
    assert load_potential(path).hyperparameters["basis"] == FORMER[model]
    assert np.array_equal(load_potential(path).predict(sets()["train"])[0], expected)


@EVERY
def test_a_kept_run_of_format_2_goes_on(model):
    path, fresh = STORED / f"{model}.safetensors", begun(model)
    go_on(path, fresh)
    for trainer in (fresh, resume(path, **sets(), device="cpu")):
        assert trainer.done == 3
        losses = [trainer.step().loss for _ in ANSWERS[model]["losses"]]
        assert losses == pytest.approx(ANSWERS[model]["losses"], rel=1e-9)
        assert trainer.finished
