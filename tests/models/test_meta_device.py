"""Every model with every head answers and learns on a device that is not the CPU (`helpers/other_device.py`)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from frames import crystal, dataset, labelled, rattled
from other_device import ELSEWHERE, Elsewhere, MixedDevices, numbers, other_device

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import HEADS, MODELS, PaiNN, build, check_potential
from piwsl_lab.models.interface import ask, predict

FRAMES = dataset(*labelled("CH3CH2OH", 2), crystal(), rattled("H2O"))
QUESTIONS = [
    (head, forces) for head in HEADS for forces in (False, True, "direct", "both")
    if head != "conservative" or not isinstance(forces, str)
]  # fmt: skip


def small(name="painn", head="conservative"):
    torch.manual_seed(0)
    potential = build(name, channels=8, layers=2, radial=6, head=head)
    potential.reference = dict.fromkeys(potential.elements, -1.0)
    potential.scale.fill_(0.7)
    return potential


def learned(potential, forces, device):
    """An answer, and what a loss of all of it teaches weights and positions."""
    potential = potential.to(device)
    graph = GraphSet.build(FRAMES, 5.0, potential.reference, device=device).all()
    positions = graph.positions.clone().requires_grad_()
    answer = potential(graph.at(positions), forces=forces)
    loss = sum(part.square().sum() for part in answer if part is not None)
    torch.autograd.backward(loss)
    slopes = [weight.grad for weight in potential.parameters()]
    assert any(slope is not None for slope in slopes)
    return numbers([*answer, positions.grad, *slopes])


def same(here, there):
    """Whether two lists of tensors are the same bit for bit."""
    return len(here) == len(there) and all(
        b is None if a is None else torch.equal(a, b) for a, b in zip(here, there, strict=True)
    )


@pytest.mark.parametrize(("head", "forces"), QUESTIONS)
@pytest.mark.parametrize("name", MODELS)
def test_a_model_answers_and_learns_elsewhere_as_it_does_here(name, head, forces):
    here = learned(small(name, head), forces, "cpu")
    with other_device() as device:
        there = learned(small(name, head), forces, device)
    assert same(here, there)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_asked_scored_and_checked_elsewhere(name):
    model = small(name, "dual")
    with torch.no_grad():
        by_atom, told = model.energies_of_atoms(model.graphs(FRAMES).all()), predict(model, FRAMES, 2)
    with other_device() as device:
        model = model.to(device)
        graph = model.graphs(FRAMES).all()
        assert all(part.device == ELSEWHERE for part in ask(model, graph, "both"))
        with torch.no_grad():
            assert torch.equal(numbers(model.energies_of_atoms(graph)), by_atom)
        energies, forces = predict(model, FRAMES, 2)
        assert np.array_equal(energies, told[0])
        assert all(map(np.array_equal, forces, told[1]))
        assert check_potential(model, FRAMES[3:]).passed


def test_the_shift_of_the_energies_is_fitted_elsewhere():
    shifts = []
    for head in ("conservative", "direct"):
        with other_device() as device:
            there = small(head=head).to(device)
            there.fit_shift(there.graphs(FRAMES).batch([0, 1]))
            shifts.append(numbers(there.shift))
        here = small(head=head)
        assert torch.equal(here.fit_shift(here.graphs(FRAMES).batch([0, 1])).shift, shifts[-1])
    assert all(shift.abs().max() > 0 for shift in shifts)


@pytest.mark.parametrize("name", ["painn", "tensornet"])
def test_the_denoising_head_works_elsewhere(name):
    answers = []
    for there in (False, True):
        torch.manual_seed(0)
        potential = build(name, channels=8, layers=1, denoise=True)
        if not there:
            graph = potential.graphs(FRAMES).all()
            answers.append(potential.denoised(graph, graph.forces).detach())
            continue
        with other_device() as device:
            potential = potential.to(device)
            graph = potential.graphs(FRAMES).all()
            answers.append(numbers(potential.denoised(graph, graph.forces)))
    assert torch.equal(*answers)


# -- whether all of this could fail ------------------------------------------------------------------------------------


class Offset(PaiNN):
    """It adds nothing, and that on the CPU."""

    def atom_energies(self, features):
        return super().atom_energies(features) + torch.zeros(len(features[0]))


class Weighed(PaiNN):
    """Its direct forces are scaled by axis."""

    def atom_forces(self, features, edges):
        return super().atom_forces(features, edges) * torch.ones(3)


class Chosen(PaiNN):
    """It looks elements up in a list of the CPU."""

    def features(self, elements, edges, vectors=None):
        return super().features(torch.arange(10)[elements], edges, vectors)


class Shaken(PaiNN):
    """It draws random numbers where it is."""

    def features(self, elements, edges, vectors=None):
        scalars, found = super().features(elements, edges, vectors)
        return scalars + torch.randn_like(scalars), found


class Summed(PaiNN):
    """The sum of its energies is put together with a number of the CPU."""

    def atom_energies(self, features):
        energies = super().atom_energies(features)
        return energies + torch.stack([energies.sum(), torch.zeros(())]).mean()


class Listed(PaiNN):
    """It goes through numpy without a thought of where its numbers are."""

    def atom_energies(self, features):
        return super().atom_energies(features) + float(features[0].detach().numpy().min())


@pytest.mark.parametrize("careless", [Offset, Weighed, Chosen, Shaken, Summed, Listed])
def test_a_careless_model_is_found_out(careless):
    torch.manual_seed(0)
    potential = careless(channels=8, layers=1, head="direct")
    learned(potential, True, "cpu")  # nothing is wrong here
    with other_device() as device, pytest.raises(RuntimeError, match=r"CPU|numpy"):
        learned(potential, True, device)


def test_what_a_gpu_takes_is_taken_and_what_it_refuses_is_not():
    with other_device() as device:
        there, here = torch.arange(3.0, device=device), torch.zeros(3)
        assert isinstance(there, Elsewhere)
        for taken in (
            lambda: there * torch.tensor(2.0), lambda: torch.where(there > 1, there, 0.0), lambda: here.to(there),
            lambda: there.copy_(here), lambda: there.masked_fill(there > 1, torch.nan),
            lambda: torch.as_tensor([1.0], device=device), lambda: torch.tensor([1.0], device=device) + there,
        ):  # fmt: skip
            assert taken().device == device
        for refused in (
            lambda: there + here, lambda: torch.cat([there, here]), lambda: here.index_add(0, there.long(), here),
            lambda: here[there > 1], lambda: there[torch.tensor([0])], lambda: here.add_(there),
            lambda: torch.rand(3, device=device), lambda: torch.randperm(3, device=device),
            lambda: torch.linalg.lstsq(torch.eye(3, device=device), there[:, None], driver="gelsd"),
        ):  # fmt: skip
            with pytest.raises(MixedDevices):
                refused()
        assert there.cpu().tolist() == there.tolist() == [0.0, 0.0, 0.0]
