"""The radial bases, and that each of them makes a sound potential of every class."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from frames import crystal, dataset, frame, labelled, rattled
from safetensors import safe_open
from safetensors.torch import save_file

from piwsl_lab.models import MODELS, PaiNN, build, check_potential
from piwsl_lab.models.radial import KINDS, radial_basis
from piwsl_lab.names import BASES
from piwsl_lab.training.checkpoint import load_potential, save
from piwsl_lab.training.checkpoint_file import HEADER, CheckpointError

EVERY = pytest.mark.parametrize(("model", "basis"), list(itertools.product(MODELS, BASES)))
CUTOFF, K = 4.0, 6


def make(model, basis, head="conservative"):
    torch.manual_seed(7)
    return build(model, head=head, channels=8, layers=2, radial=K, cutoff=CUTOFF, basis=basis)


def by_hand(basis, r, k):
    """The k-th of K functions, counted from 0, as the papers write it."""
    if basis == "bessel":
        return math.sin((k + 1) * math.pi * r / CUTOFF) / r
    if basis == "gaussian":
        spacing = CUTOFF / (K - 1)
        return math.exp(-((r - k * spacing) ** 2) / (2 * spacing**2))
    centre = math.exp(-5) + k * (1 - math.exp(-5)) / (K - 1)
    width = (2 / K * (1 - math.exp(-5))) ** -2
    return math.exp(-width * (math.exp(-5 * r / CUTOFF) - centre) ** 2)


@pytest.mark.parametrize("basis", BASES)
def test_values_are_those_of_plain_loops(basis):
    distances = [1e-6, 0.3, 1.0, 2.7, 3.999, 4.0, 5.5]
    values = radial_basis(basis, K, CUTOFF)(torch.tensor(distances, dtype=torch.float64)[:, None])
    expected = [[by_hand(basis, r, k) for k in range(K)] for r in distances]
    assert values.shape == (len(distances), K)
    assert np.allclose(values, expected, rtol=0, atol=5e-6)  # the constants of a basis are in float32


@pytest.mark.parametrize("basis", BASES)
def test_constants_are_no_weights(basis):
    """PhysNet trains centres and widths; here nothing of a basis learns."""
    assert list(radial_basis(basis, K, CUTOFF).parameters()) == []


def test_the_exponential_basis_sees_more_where_atoms_are_close():
    centres = radial_basis("exponential", 20, 5.0).centres.double()
    peaks = -torch.log(centres)  # where exp(−5r/5) is the centre
    assert peaks[0] == pytest.approx(5.0, abs=1e-5)
    assert peaks[-1] == pytest.approx(0.0, abs=1e-6)
    assert int((peaks < 2.5).sum()) > 15


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_function_alone_is_finite(basis, dtype):
    r = torch.linspace(1e-6, 6.0, 50, dtype=dtype)[:, None]
    values = radial_basis(basis, 1, CUTOFF).to(dtype)(r)
    assert values.shape == (50, 1)
    assert bool(values.isfinite().all())


def test_the_words_are_those_that_can_be_built():
    assert tuple(BASES) == tuple(KINDS)


@EVERY
def test_derivatives_are_finite_where_two_atoms_coincide(model, basis):
    potential = make(model, basis, "dual").double()
    graph = potential.graphs(dataset(frame([8, 1, 1], [[0, 0, 0], [0.5, 0, 0], [0, 0, 0.9]]))).all()
    said = potential(graph.at(graph.positions * graph.positions.new_tensor([0.0, 1.0, 1.0])), forces="both")
    loss = said.conservative.square().sum() + said.direct.square().sum() + said.energy.square().sum()
    gradients = torch.autograd.grad(loss, list(potential.parameters()), allow_unused=True, materialize_grads=True)
    for value in (said.energy, said.conservative, said.direct, *gradients):
        assert bool(value.isfinite().all())


@EVERY
def test_forces_are_slopes(model, basis):
    """−ΔE/Δr by central differences of single coordinates, in float64."""
    potential, f, h = make(model, basis).double(), rattled("CH3CH2OH"), 1e-5
    forces = potential.predict(dataset(f))[1][0]
    for atom, axis in ((0, 0), (3, 1), (8, 2)):
        step = np.zeros_like(f.positions)
        step[atom, axis] = h
        ends = [frame(f.numbers, f.positions + sign * step) for sign in (1, -1)]
        plus, minus = potential.predict(dataset(*ends))[0]
        assert forces[atom, axis] == pytest.approx((minus - plus) / (2 * h), abs=1e-7)
    assert np.abs(forces).max() > 1e-3


@EVERY
def test_energies_end_smoothly_at_the_cutoff(model, basis):
    """The envelope falls as (r_c − r)³, whatever it is multiplied with: ten times nearer, a thousand times less."""
    potential = make(model, basis).double()
    pairs = [frame([8, 1], [[0, 0, 0], [r, 0, 0]]) for r in (3.9, 3.99, 3.999, 4.0, 4.2)]
    lone = potential.predict(dataset(rattled("O"), rattled("H")))[0].sum()
    energies, forces = potential.predict(dataset(*pairs))
    interaction, pull = np.abs(energies - lone), [np.abs(of).max() for of in forces]
    assert interaction[0] > 1e-9
    assert interaction[1] < 2e-3 * interaction[0]
    assert interaction[2] < 2e-3 * interaction[1] + 1e-12
    assert pull[2] < 2e-2 * pull[1] + 1e-12
    assert interaction[3:].max() < 1e-12
    assert max(pull[3:]) < 1e-12


@EVERY
def test_every_basis_keeps_the_contract(model, basis):
    report = check_potential(make(model, basis, "dual"), dataset(rattled("CH3CH2OH"), crystal()), seed=1)
    assert report.passed, report


@EVERY
def test_a_checkpoint_keeps_the_basis(model, basis, tmp_path):
    data = labelled("CH3CH2OH", 3)
    potential = make(model, basis).calibrate(data)
    again = load_potential(save(tmp_path / "p.safetensors", potential))
    assert again.hyperparameters == potential.hyperparameters
    assert again.hyperparameters["basis"] == basis
    assert type(again.basis) is KINDS[basis]
    assert np.array_equal(again.predict(data)[0], potential.predict(data)[0])
    same = build(model, **potential.hyperparameters)
    assert same.hyperparameters == potential.hyperparameters


@pytest.mark.parametrize("model", MODELS)
def test_every_class_states_its_size(model):
    standard = vars(MODELS[model])["standard"]  # its own, not one that it inherits
    assert set(standard) == {"channels", "layers", "radial", "cutoff", "basis"}
    assert build(model).hyperparameters == {"elements": [1, 6, 8], **standard, "head": "conservative"}


@pytest.mark.parametrize("model", MODELS)
def test_what_is_not_given_is_the_standard_of_the_class(model, monkeypatch):
    other = {"channels": 4, "layers": 1, "radial": 3, "cutoff": 3.5, "basis": "exponential"}
    monkeypatch.setattr(MODELS[model], "standard", other)
    nothing = build(model, channels=None, layers=None, radial=None, cutoff=None, basis=None)
    for potential in (nothing, build(model)):
        assert potential.hyperparameters == {"elements": [1, 6, 8], **other, "head": "conservative"}
        assert potential.cutoff == 3.5
        assert potential.basis(torch.ones(5, 1)).shape == (5, 3)
    assert build(model, layers=2, basis="gaussian").hyperparameters["layers"] == 2
    assert other["layers"] == 1  # the class keeps its own


@pytest.mark.parametrize("model", MODELS)
def test_the_standard_basis_by_its_name_changes_no_number(model):
    weights = []
    for basis in (None, MODELS[model].standard["basis"]):
        torch.manual_seed(0)
        weights.append(build(model, channels=8, basis=basis).state_dict())
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.parametrize("model", MODELS)
def test_an_unknown_basis_is_an_error_with_the_choices(model):
    with pytest.raises(ValueError, match="basis 'fourier' does not exist; choose one of bessel, gaussian, exponential"):
        build(model, basis="fourier")


def rewritten(path, change):
    """The same file with another header."""
    with safe_open(path, framework="pt") as file:
        header, tensors = json.loads(file.metadata()[HEADER]), {name: file.get_tensor(name) for name in file.keys()}
    change(header)
    save_file(tensors, path, metadata={HEADER: json.dumps(header)})
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda it: it.update(basis="fourier"), "hyperparameters.basis is 'fourier' and should be one of bessel"),
        (lambda it: it.update(basis=None), "hyperparameters.basis is None"),
        (lambda it: it.pop("basis"), "hyperparameters has no 'basis'"),
        (lambda it: it.update(basis="gaussian"), "weights that are missing or too many: basis.centres"),
    ],
    ids=["unknown", "null", "missing", "other"],
)
def test_a_damaged_basis_is_named(change, words, tmp_path):
    path = save(tmp_path / "p.safetensors", make("painn", "bessel"))
    rewritten(path, lambda header: change(header["hyperparameters"]))
    with pytest.raises(CheckpointError, match=f"p.safetensors: .*{words}"):
        load_potential(path)


def test_a_class_without_a_standard_says_what_it_wants():
    class Bare(PaiNN):
        standard: ClassVar[dict[str, Any]] = {"channels": 4, "layers": 1, "radial": 4, "cutoff": 5.0}

    with pytest.raises(ValueError, match="Bare has no standard basis: give it, or write it into `standard`"):
        Bare()
    assert Bare(basis="bessel").hyperparameters["basis"] == "bessel"
