"""What a run depends on: the size of its model, its training, and where the numbers of a default are written."""

from __future__ import annotations

import argparse
import ast
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from piwsl_lab import names
from piwsl_lab.cli.flags import add_training_flags, choices
from piwsl_lab.data import load
from piwsl_lab.models import MODELS
from piwsl_lab.names import Default
from piwsl_lab.piwsl.objective import Objective, suited
from piwsl_lab.study.setup import FORMER, SIZES, Setup, completed
from piwsl_lab.study.task import build_trainer, prepare
from piwsl_lab.training.settings import rate_of
from piwsl_lab.training.trainer import Trainer

SMALL = {"energies": 8, "forces": 8, "test": 4}


@pytest.mark.parametrize("model", names.MODELS)
def test_a_size_that_is_not_asked_for_is_the_models_own(model):
    setup = Setup(model=model, channels=8, layers=2, **SMALL)
    size = setup.size()
    assert size == {**MODELS[model].standard, "channels": 8, "layers": 2}
    assert set(size) == set(SIZES)
    assert setup.filled().size() == size
    assert setup.filled().filled() == setup.filled()
    built = build_trainer(setup, prepare(setup), Objective()).potential.hyperparameters
    assert {name: built[name] for name in SIZES} == size


def test_every_field_of_the_size_and_of_the_training_reaches_them():
    given = {"channels": 8, "layers": 1, "radial": 5, "cutoff": 3.5, "basis": "gaussian"}
    how = {
        "steps": 7, "batch_size": 3, "learning_rate": 2e-4, "schedule": "constant", "weight_decay": 0.2,
        "average": 0.5, "patience": 2,
    }  # fmt: skip
    setup = Setup(**given, **how, seed=3, **SMALL)
    trainer = build_trainer(setup, prepare(setup), Objective())
    assert {name: trainer.potential.hyperparameters[name] for name in given} == given
    assert {name: trainer.settings[name] for name in how} == how


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("radial", 0, "radial=0 must be from 1 to 1000"),
        ("cutoff", 0.0, "cutoff=0.0 must be from 0.5 to 50"),
        ("average", 1.0, "average=1.0 must be from 0 to"),
        ("patience", -1, "patience=-1 must be from 0"),
        ("weight_decay", -1.0, "weight_decay=-1.0 must be from 0"),
        ("basis", "fourier", "basis='fourier' does not exist; choose one of bessel, gaussian, exponential"),
        ("schedule", "linear", "schedule='linear' does not exist; choose one of cosine, constant"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(field, value, words):
    with pytest.raises(ValueError, match=words):
        Setup(**{field: value}).check()


def test_the_numbers_of_a_default_are_written_in_one_place():
    setup, objective = Setup(), Objective()
    assert (setup.model, setup.head, setup.energies, setup.forces) == (
        Default.MODEL, Default.HEAD, Default.LABELS, Default.LABELS
    )  # fmt: skip
    trainer = Trainer(MODELS["painn"](channels=4, layers=1), load("ethanol")[:4], Objective())
    for name in ("steps", "batch_size", "schedule", "weight_decay", "average", "patience"):
        assert getattr(setup, name) == getattr(Default, name.upper()) == trainer.settings[name], name
    for name in ("energy", "force", "epsilon", "order"):
        assert getattr(objective, name) == getattr(Default, name.upper()), name
    assert {head: suited(head) for head in names.HEADS} == names.SUITED


@pytest.mark.parametrize("head", names.HEADS)
def test_a_head_has_a_learning_rate_of_its_own(head, monkeypatch):
    """Wherever a training begins: a setup, a trainer by itself, a potential that is not ours, the command line."""
    monkeypatch.setattr(MODELS["painn"], "rates", names.RATES | {head: 7e-4})
    setup = Setup(model="painn", head=head, energies=4, forces=4, test=4, channels=4, layers=1)
    assert setup.learning_rate is None
    assert setup.filled().learning_rate == 7e-4
    assert replace(setup, learning_rate=0.25).filled().learning_rate == 0.25
    assert build_trainer(setup, prepare(setup), Objective()).settings["learning_rate"] == 7e-4
    small = MODELS["painn"](head=head, channels=4, layers=1)
    assert Trainer(small, load("ethanol")[:4], Objective()).settings["learning_rate"] == 7e-4
    flags = argparse.ArgumentParser()
    add_training_flags(flags)
    assert choices(flags.parse_args(["--model", "painn", "--head", head]), seed=0)[0].filled().learning_rate == 7e-4
    assert choices(flags.parse_args(["--head", head, "--learning-rate", "0.5"]), seed=0)[0].learning_rate == 0.5


def test_a_potential_that_names_no_head_begins_as_a_gradient_does():
    assert rate_of(object()) == names.RATES["conservative"]


def test_no_default_of_a_training_is_written_as_a_number_elsewhere():
    """A signature or a field with one of these names takes its default from `names.Default`."""
    package = Path(names.__file__).parent
    watched = {name.lower() for name in vars(Default) if name.isupper()} & set(asdict(Setup()))
    found = []
    for room in ("training/trainer.py", "study/setup.py", "piwsl/objective.py", "cli/flags.py"):
        for node in ast.walk(ast.parse((package / room).read_text())):
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in watched:
                found += [(room, node.target.id)] * isinstance(node.value, ast.Constant)
            if isinstance(node, ast.FunctionDef):
                pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
                found += [(room, a.arg) for a, d in pairs if a.arg in watched and isinstance(d, ast.Constant)]
    assert not found


def test_a_table_of_an_earlier_version_means_what_it_meant_then():
    table = asdict(Setup(model="tensornet", channels=64, layers=3, learning_rate=1e-3))
    for name in ("radial", "cutoff", "basis", "schedule", "weight_decay", "average", "patience"):
        del table[name]
    setup = Setup(**completed(table))
    assert (setup.radial, setup.cutoff, setup.basis) == (20, 5.0, "bessel")
    assert {name: getattr(setup, name) for name in FORMER} == FORMER
    now = asdict(replace(setup, average=0.9, radial=None))
    assert completed(now) == now
