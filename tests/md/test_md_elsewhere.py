"""Molecular dynamics and what is measured with it, on a device that is not the CPU."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from frames import crystal, dataset, rattled
from other_device import ELSEWHERE, MixedDevices, numbers, other_device

from piwsl_lab.analysis.conservation import conservation
from piwsl_lab.analysis.self_consistency import force_jacobian, pitc_residual
from piwsl_lab.md import Calculator, Simulation, fly
from piwsl_lab.md.noise import Noise
from piwsl_lab.models import PaiNN

FRAMES = dataset(
    rattled("H2O"), replace(rattled("H2O", seed=1), fixed=np.array([[True] * 3, [False] * 3, [False] * 3]))
)


def network(head="conservative", scale=0.05):
    torch.manual_seed(0)
    potential = PaiNN(channels=4, layers=1, radial=4, head=head).double()
    potential.reference = dict.fromkeys(potential.elements, -1.0)
    potential.scale.fill_(scale)
    return potential


def flown(potential, ensemble, frames=FRAMES, steps=6):
    simulation = Simulation(potential, frames, temperature=[300.0, 900.0], time_step=0.5, ensemble=ensemble, seed=4)
    shots = []
    for shot in fly(simulation, steps, every=2):
        shots.append(shot)
        simulation.temperature = 200.0 * len(shots)
    return simulation, shots


@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
@pytest.mark.parametrize("head", ["conservative", "direct"])
def test_a_flight_elsewhere_is_the_flight_here(head, ensemble):
    here = flown(network(head), ensemble)[1]
    with other_device() as device:
        simulation, there = flown(network(head).to(device), ensemble)
        parts = [part for part in vars(simulation).values() if isinstance(part, torch.Tensor)]
        assert len(parts) > 8
        assert all(part.device == ELSEWHERE for part in parts)
        assert all(part.device == ELSEWHERE for part in (simulation.field.graph.edge_index, simulation._noise.block))
    assert len(here) == len(there) == 4
    for a, b in zip(here, there, strict=True):
        assert all(np.array_equal(getattr(a, name), getattr(b, name)) for name in vars(a))
    assert not np.array_equal(here[0].positions, here[-1].positions)


def test_replicas_are_lost_elsewhere_with_the_same_words():
    """Forces a hundred thousand times too large throw the atoms out, and onto each other."""
    told = []
    for there in (False, True):
        if there:
            with other_device() as device:
                lost = flown(network(scale=3e3).to(device), "nve", steps=40)[0].lost
        else:
            lost = flown(network(scale=3e3), "nve", steps=40)[0].lost
        told.append([(one.step, one.reason, one.frame.positions.tolist()) for one in lost.values()])
    assert told[0]
    assert told[0] == told[1]


@pytest.mark.parametrize("property_", ["energy", "forces", "energies", "stress"])
def test_a_calculator_answers_from_elsewhere(property_):
    answers = []
    for there in (False, True):
        atoms = dataset(crystal()).to_atoms()[0]
        if there:
            with other_device() as device:
                answers.append(_moved(atoms, network().to(device), property_))
        else:
            answers.append(_moved(atoms, network(), property_))
    assert all(map(np.array_equal, *answers))


def _moved(atoms, potential, property_):
    atoms.calc = Calculator(potential)
    found = [atoms.calc.get_property(property_, atoms)]
    for shift in (0.01, 2.0):  # within the skin, and beyond
        atoms.positions[0] += shift
        found.append(atoms.calc.get_property(property_, atoms))
    return found


@pytest.mark.parametrize("direction", ["uniform", "adversarial"])
def test_agreement_with_itself_is_measured_elsewhere(direction):
    frames = FRAMES[:1]
    graph = network("direct").graphs(frames).all()
    here = pitc_residual(network("direct"), frames, [0.01, 0.05], direction=direction)
    with other_device() as device:
        potential = network("direct").to(device)
        assert np.array_equal(pitc_residual(potential, frames, [0.01, 0.05], direction=direction), here)
        jacobian = numbers(force_jacobian(potential, potential.graphs(frames).all()))
    assert torch.equal(jacobian, force_jacobian(network("direct"), graph))


def test_conservation_is_measured_elsewhere():
    here = conservation(network("direct"), FRAMES[:1], steps=4)
    with other_device() as device:
        assert conservation(network("direct").to(device), FRAMES[:1], steps=4) == here


# -- whether all of this could fail ------------------------------------------------------------------------------------


def test_noise_that_was_left_on_the_cpu_is_found_out(monkeypatch):
    drawn = Noise.next
    monkeypatch.setattr(Noise, "next", lambda self: drawn(self).cpu())
    flown(network(), "nvt")
    with other_device() as device, pytest.raises(MixedDevices, match="on the CPU"):
        flown(network().to(device), "nvt")


def test_a_state_that_was_made_on_the_cpu_is_found_out(monkeypatch):
    def careless(self, values):
        return torch.zeros(self.n_replicas, dtype=values.dtype).index_add(0, self.structure, values)

    monkeypatch.setattr(Simulation, "_sum", careless)
    flown(network(), "nve")
    with other_device() as device, pytest.raises(MixedDevices, match="on the CPU"):
        flown(network().to(device), "nve")
