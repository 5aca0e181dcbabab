"""A torch module of another library works wherever a potential does, or is told what it lacks."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.fd import FiniteDifferenceCalculator
from frames import crystal, dataset, labelled, rattled
from torch import nn

from piwsl_lab import Calculator, Objective, Simulation, build, check_potential, evaluate, fit, load_potential, save
from piwsl_lab.analysis import conservation, jacobian_antisymmetry, pitc_residual, reference_bonds, try_out
from piwsl_lab.cli.flags import choices
from piwsl_lab.cli.main import _parser
from piwsl_lab.md import record
from piwsl_lab.models import MODELS, Prediction, predict
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import build_trainer, prepare

# What a reader writes: one class in one place, and nothing of ours but `Prediction`.
FOREIGN = '''
import torch
from torch import nn

from piwsl_lab.models import Prediction


class Springs(nn.Module):
    """Pairs of atoms on one learned spring. It leaves the recording of gradients to its caller."""

    cutoff = 4.0

    def __init__(self):
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(1.0))
        self.rest = nn.Parameter(torch.tensor(1.3))
        self.reference = None

    def forward(self, graph, forces=True):
        positions = graph.positions
        if forces and not positions.requires_grad:
            positions = positions.detach().requires_grad_()
        inner = graph.at(positions)
        r = inner.vectors().square().sum(1).add(1e-12).sqrt()
        fade = 1 - (r / self.cutoff).clamp(max=1.0) ** 2
        pairs = 0.25 * self.stiffness * (r - self.rest) ** 2 * fade**3
        atoms = torch.zeros_like(positions[:, 0]).index_add(0, graph.edge_index[0], pairs)
        energy = inner.sum_over_atoms(atoms)
        if not forces:
            return Prediction(energy, None)
        (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
        return Prediction(energy, -gradient)
'''
NEW_MODEL = '''
from piwsl_lab.models import MODELS, SchNet


class MySchNet(SchNet):
    """A model of the reader's own."""


MODELS["mine"] = MySchNet
'''


def module_of(folder: Path, source: str):
    """Import a module that somebody has written elsewhere."""
    path = folder / "elsewhere.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("elsewhere", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def springs(tmp_path):
    potential = module_of(tmp_path, FOREIGN).Springs()
    potential.reference = {1: -0.5, 6: -38.0, 8: -75.0}
    return potential


def test_it_is_added_by_one_class_in_one_place(springs):
    assert isinstance(springs, nn.Module)
    report = check_potential(springs, dataset(rattled("CH3CH2OH"), crystal()))
    assert report.passed, report


@pytest.mark.parametrize("grad", [True, False])
def test_evaluate_and_predict_record_for_a_module_that_does_not(springs, grad):
    data = labelled("CH3CH2OH", 5)
    with torch.set_grad_enabled(grad):
        energies, forces = predict(springs, data, batch_size=2)
        scores = evaluate(springs, data)
    offset = sum(springs.reference[int(z)] for z in data[0].numbers)
    assert scores.energy_mae == pytest.approx(np.abs(energies - [frame.energy for frame in data]).mean(), rel=1e-4)
    errors = np.concatenate(forces) - np.concatenate([frame.forces for frame in data])
    assert scores.force_mae == pytest.approx(np.abs(errors).mean(), rel=1e-4)
    assert energies[0] < 0.5 * offset  # total energies
    assert [part.shape for part in forces] == [(9, 3)] * 5


def test_it_computes_for_ase(springs):
    atoms = dataset(rattled("CH3CH2OH")).to_atoms()[0]
    atoms.calc = Calculator(springs.double())
    total, forces = predict(springs, dataset(rattled("CH3CH2OH")))
    assert atoms.get_potential_energy() == pytest.approx(total[0], abs=1e-9)
    assert np.allclose(atoms.get_forces(), forces[0], atol=1e-12)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_potential_energies()
    cell = dataset(crystal()).to_atoms()[0]
    cell.calc = Calculator(springs)
    stress = cell.get_stress()
    cell.calc = FiniteDifferenceCalculator(Calculator(springs), eps_disp=1e-4, eps_strain=1e-5)
    assert np.allclose(stress, cell.get_stress(), atol=1e-7)
    atoms.numbers[0] = 17
    with pytest.raises(ValueError, match=r"no reference energy for the elements \[17\]"):
        atoms.get_potential_energy()


def test_it_moves_many_replicas_and_is_judged(springs):
    starts = dataset(rattled("CH3CH2OH", seed=1), rattled("H2O", seed=2))
    springs.double()
    trajectory = record(Simulation(springs, starts, temperature=300.0, time_step=0.25), 100, 20)
    assert trajectory.alive.all()
    assert np.abs(trajectory.conserved - trajectory.conserved[0]).max() < 1e-3
    assert np.ptp(trajectory.potential, axis=0).min() > 1e-3
    (trial,) = try_out(springs, starts[[0]], (100.0,), ps=0.01)
    assert len(trial.survivals) == len([reference_bonds(frame) for frame in starts[[0]]])
    found = conservation(springs, starts[[1]], steps=10)
    assert found["loop_work"] < 1e-8
    assert pitc_residual(springs, starts, [0.01])[0] > 0


def test_it_is_trained_with_consistency(springs):
    train = labelled("CH3CH2OH", 6)
    potential, springs.reference = springs, None
    before = potential.stiffness.item()
    records = list(fit(potential, train, Objective(pitc=1.0), steps=3, validation=labelled("CH3CH2OH", 2, seed=1)))
    assert potential.stiffness.item() != before
    assert set(records[-1].terms) == {"energy", "force", "pitc"}
    assert records[-1].metrics.force_mae > 0
    assert potential.reference == train.reference_energies()
    assert check_potential(potential, train).passed


def test_a_checkpoint_says_how_it_could_be_kept(springs, tmp_path):
    with pytest.raises(ValueError, match=r"a Springs cannot be saved.*models\.MODELS, or keep its state_dict"):
        save(tmp_path / "a.safetensors", springs)


def test_forces_that_forget_the_positions_have_no_jacobian_and_say_so(springs):
    def forgetful(graph, forces=True):
        return springs(graph.at(graph.positions.detach()), forces)

    forgetful.cutoff, forgetful.reference = springs.cutoff, springs.reference
    with pytest.raises(ValueError, match="cannot be differentiated with respect to the positions"):
        jacobian_antisymmetry(forgetful, dataset(rattled("H2O")))


class Bare(nn.Module):
    """A call and nothing else."""

    def forward(self, graph, forces=True):
        return Prediction(graph.sum_over_atoms(0 * graph.positions[:, 0]), 0 * graph.positions)


@pytest.mark.parametrize("use", [evaluate, predict, Simulation])
def test_what_it_lacks_is_named(use):
    potential = Bare()
    with pytest.raises(ValueError, match="no attribute `cutoff`"):
        use(potential, labelled("H2O", 2))
    potential.cutoff = 3.0
    with pytest.raises(ValueError, match="no attribute `reference`"):
        use(potential, labelled("H2O", 2))


@pytest.fixture
def _models():
    before = dict(MODELS)
    yield
    MODELS.clear()
    MODELS.update(before)


@pytest.mark.usefixtures("_models")
def test_a_new_model_is_added_in_one_place(tmp_path):
    """One class and one row: it is built by its name, keeps the contract, trains, and comes back from a file."""
    module = module_of(tmp_path, NEW_MODEL)
    potential = build("mine", channels=8, layers=1, radial=6)
    assert type(potential) is module.MySchNet
    train = labelled("CH3CH2OH", 4)
    list(fit(potential, train, Objective(), steps=2))
    assert check_potential(potential, train).passed
    again = load_potential(save(tmp_path / "mine.safetensors", potential))
    assert type(again) is module.MySchNet
    assert np.array_equal(again.predict(train)[0], potential.predict(train)[0])
    # A study and the command line know it too.
    setup = Setup(model="mine", energies=4, forces=4, test=4, channels=8, layers=1)
    assert type(build_trainer(setup, prepare(setup), Objective()).potential) is module.MySchNet
    asked, _ = choices(_parser().parse_args(["train", "--model", "mine"]), seed=0)
    assert asked.model == "mine"


@pytest.mark.usefixtures("_models")
def test_a_new_model_is_offered_on_the_screen(tmp_path):
    pytest.importorskip("ipywidgets")
    from piwsl_lab.lab.panels.controls import _setup_knobs

    module_of(tmp_path, NEW_MODEL)
    knob = _setup_knobs(Setup(model="mine"))["model"]
    assert knob.value == "mine"
    assert ("PaiNN", "painn") in tuple(knob.options)


class Wrong(nn.Module):
    """Another module whose answer is changed on the way."""

    def __init__(self, inner, change):
        super().__init__()
        self.inner, self.change = inner, change
        self.cutoff, self.reference = inner.cutoff, inner.reference

    def forward(self, graph, forces=True):
        return self.change(self.inner(graph, forces))


def detached(answer):
    return answer if answer.forces is None else answer._replace(forces=answer.forces.detach())


@pytest.mark.parametrize(
    ("change", "objective", "message"),
    [
        (tuple, Objective(), r"answered with a tuple: return piwsl_lab\.models\.Prediction"),
        (detached, Objective(force=0.0, pitc=1.0), r"forces of the potential have no gradient.*without detach\(\)"),
        (detached, Objective(force=0.0, curl=1.0), r"forces of the potential have no gradient.*without detach\(\)"),
        (lambda answer: answer._replace(energy=answer.energy[:, None]), Objective(), r"energy of shape \(\d+, 1\)"),
        (lambda answer: answer._replace(forces=answer.forces[:-1]), Objective(), r"forces of shape .*per atom"),
    ],
)
def test_an_answer_that_cannot_be_trained_on_is_refused_in_words(springs, change, objective, message):
    with pytest.raises(ValueError, match=message):
        list(fit(Wrong(springs, change), labelled("CH3CH2OH", 4), objective, steps=1))


def test_what_is_no_module_cannot_be_trained(springs):
    def call(graph, forces=True):
        return springs(graph, forces)

    call.cutoff, call.reference = springs.cutoff, springs.reference
    with pytest.raises(ValueError, match=r"a function cannot be trained: .*torch\.nn\.Module"):
        list(fit(call, labelled("CH3CH2OH", 4), Objective(), steps=1))


@pytest.mark.parametrize(("term", "message"), [("gradient", "two heads"), ("denoise", "no head for it")])
def test_terms_that_it_cannot_answer_say_what_is_missing(springs, term, message):
    with pytest.raises(ValueError, match=message):
        list(fit(springs, labelled("CH3CH2OH", 4), Objective(**{term: 1.0}), steps=1))
