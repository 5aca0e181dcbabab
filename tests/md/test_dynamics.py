"""Constant-energy dynamics: closed forms, the order of the integrator, replicas that do not touch, lost ones."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import units
from ase.data import atomic_masses
from frames import crystal, dataset, frame, rattled
from potentials import Exact, harmonic, morse

from piwsl_lab.analysis import conservation
from piwsl_lab.analysis.self_consistency import jacobian_antisymmetry, loop_work
from piwsl_lab.md import LearnedForces, Simulation, record
from piwsl_lab.models import Prediction, build


class Field(Exact):
    """An exact potential whose answers carry no gradient, as those of a finished one."""

    def __call__(self, graph, forces=True):
        energy, answer, *_ = super().__call__(graph, forces)
        return Prediction(energy.detach(), None if answer is None else answer.detach())


def spring(k, extra=None):
    return Field(harmonic(k * torch.eye(3, dtype=torch.float64)).energy, extra)


def molecules():
    return dataset(*(rattled(name, seed=k, amplitude=0.1) for k, name in enumerate(("CH4", "H2O", "CH3CH2OH", "CO"))))


def lone_atoms():
    return dataset(*(frame([z], [[0.4 - 0.1 * z / 8, -0.2, 0.1]]) for z in (1, 6, 8)))


def small_molecules():
    return dataset(*(rattled(name, seed=k) for k, name in enumerate(("CO", "H2O", "O2"))))


def gentle(head, **options):
    """A network with random weights and small forces, so that no molecule collapses."""
    torch.manual_seed(0)
    potential = build("painn", channels=8, layers=2, radial=6, head=head, **options).double()
    potential.reference = dict.fromkeys((1, 6, 8), 0.0)
    potential.scale.fill_(0.05)
    return potential


class Nve:
    """A flight at constant energy as the tests below read it: nan where a replica is no longer alive."""

    def __init__(self, potential, data, temperature=300.0, time_step=0.5, steps=1000, every=10, seed=0):
        simulation = Simulation(potential, data, temperature=temperature, time_step=time_step, seed=seed)
        self.flight = record(simulation, steps, every)
        self.time, self.alive = self.flight.time, self.flight.alive[-1]
        self.potential = np.where(self.flight.alive, self.flight.potential, np.nan)
        self.total = self.potential + self.flight.kinetic
        self.drift = self.flight.drift


# A bowl about the origin for atoms that do not see each other, a bond for those that do.
EXACT = [(lambda: spring(3.0), lone_atoms, 0.0), (lambda: Field(morse().energy), small_molecules, 300.0)]


def test_a_harmonic_oscillator_moves_as_the_closed_form_says():
    """From rest, r = r₀ cos ωt with ω² = k/m; the units (fs, eV, Å, u) are part of it."""
    k, start = 3.0, np.array([[0.4, -0.2, 0.1]])
    numbers = (1, 6, 8)
    data = dataset(*(frame([z], start) for z in numbers))
    flight = Nve(spring(k), data, temperature=0.0, time_step=0.05, steps=600, every=10)
    assert flight.time == pytest.approx(np.arange(61) * 0.5)
    assert flight.alive.all()
    energy = 0.5 * k * float((start**2).sum())
    for column, z in enumerate(numbers):
        omega = math.sqrt(k / atomic_masses[z])  # in ASE's unit of time
        expected = energy * np.cos(omega * flight.time * units.fs) ** 2
        assert flight.potential[:, column] == pytest.approx(expected, abs=2e-4 * energy)
    assert flight.total == pytest.approx(np.full((61, 3), energy), rel=1e-3)


@pytest.mark.parametrize(("make", "data", "temperature"), EXACT)
def test_the_energy_error_falls_as_the_square_of_the_time_step(make, data, temperature):
    errors = []
    for step in (0.4, 0.2, 0.1):
        # The end of the same flight at every step, past many periods.
        flight = Nve(make(), data(), temperature, step, round(40 / step), every=round(0.4 / step))
        errors.append(np.abs(flight.total - flight.total[0]).max(axis=0))
        assert flight.alive.all()
        assert np.abs(flight.potential - flight.potential[0]).max() > 0.1  # it does move
    coarse, middle, fine = np.array(errors)
    assert coarse / middle == pytest.approx(4.0, rel=0.2)
    assert middle / fine == pytest.approx(4.0, rel=0.1)


@pytest.mark.parametrize(("make", "data", "temperature"), EXACT)
def test_a_potential_does_not_drift(make, data, temperature):
    flight = Nve(make(), data(), temperature, time_step=0.1, steps=1500)
    assert np.abs(flight.drift()).max() < 5e-3  # eV per atom and ps; the twist below pumps hundreds of times more


def test_a_constant_curl_drifts_as_the_closed_form_says():
    """F = −kr + c ẑ×r: in the plane w = x + iy obeys m ẅ = −(k − ic) w; from rest w = w₀ cosh λt, mλ² = ic − k."""
    k, c = 3.0, 1.8
    axis = torch.tensor([0.0, 0.0, c], dtype=torch.float64)
    turning = spring(k, lambda g: torch.linalg.cross(axis.expand_as(g.positions), g.positions))
    data = dataset(frame([6], [[0.3, 0.1, 0.0]]), frame([8], [[0.0, 0.2, 0.0]]))
    flight = Nve(turning, data, temperature=0.0, time_step=0.05, steps=1000, every=50)
    for column, (z, w) in enumerate([(6, 0.3 + 0.1j), (8, 0.2j)]):
        mass, t = atomic_masses[z], flight.time * units.fs
        rate = np.sqrt(complex(-k, c) / mass)
        place, speed = w * np.cosh(rate * t), w * rate * np.sinh(rate * t)
        energy = 0.5 * k * np.abs(place) ** 2 + 0.5 * mass * np.abs(speed) ** 2
        assert flight.total[:, column] == pytest.approx(energy, rel=2e-3)
        assert flight.total[-1, column] > 1.5 * flight.total[0, column]
    straight = Nve(spring(k), data, temperature=0.0, time_step=0.05, steps=1000, every=50)
    assert flight.drift().min() > 100 * np.abs(straight.drift()).max()


def test_drift_is_the_slope_per_atom_and_picosecond():
    data = dataset(rattled("CH4"), rattled("CO"), rattled("H2O"))
    flown = record(Simulation(spring(0.0), data, temperature=0.0), 4, 1)
    time = np.arange(5) * 100.0
    conserved = np.stack([-4e3 + 2.5e-3 * time, 5.0 - 4e-3 * time, time], axis=1)
    alive = np.ones((5, 3), dtype=bool)
    alive[2:, 2] = False
    flight = replace(flown, time=time, conserved=conserved, alive=alive)
    assert flight.drift()[:2] == pytest.approx([0.5, -2.0])
    assert math.isnan(flight.drift()[2])


def test_velocities_have_the_temperature_and_no_drift_of_the_centre():
    data = dataset(*(rattled("CH3CH2OH", seed=k) for k in range(150)))
    still = Field(lambda g: g.sum_over_atoms(0.0 * g.positions.sum(1)))
    first = Nve(still, data, temperature=400.0, steps=0)
    kinetic = (first.total - first.potential)[0]
    assert kinetic.mean() == pytest.approx(1.5 * 8 * units.kB * 400.0, rel=0.03)  # 9 atoms less the centre of mass
    again, other = (Nve(still, data, temperature=400.0, steps=0, seed=seed) for seed in (0, 1))
    assert np.array_equal(again.total, first.total)
    assert not np.array_equal(other.total, first.total)
    # Without a force the kinetic energy stays, and a lone atom, which is its own centre, does not move at all.
    free = Nve(still, dataset(rattled("H2O"), rattled("O")), steps=50)
    assert free.total == pytest.approx(np.tile(free.total[0], (len(free.time), 1)), rel=1e-12)
    assert (free.total[:, 1] == 0).all()


@pytest.mark.parametrize("head", ["conservative", "direct", "dual"])
def test_a_batch_flies_as_every_replica_by_itself(head):
    """From rest, so that the start does not depend on the company; float64."""
    data, potential = dataset(*molecules(), crystal()), gentle(head)
    together = Nve(potential, data, temperature=0.0, steps=60)
    assert np.ptp(together.potential, axis=0).min() > 1e-9
    for column, one in enumerate(data):
        alone = Nve(potential, dataset(one), temperature=0.0, steps=60)
        assert together.total[:, column] == pytest.approx(alone.total[:, 0], rel=1e-9, abs=1e-12)
        assert together.potential[:, column] == pytest.approx(alone.potential[:, 0], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("strength", [200.0, 1e7, 1e30])
def test_a_lost_replica_is_reported_and_leaves_the_others_alone(strength):
    shapes = [rattled("CH4", amplitude=0.1), rattled("H2O", seed=1), rattled("CO", seed=2, amplitude=0.1)]

    def push(graph):
        hit = (graph.numbers == 8) & (graph.structure == 1)
        return torch.where(hit[:, None], strength, 0.0 * graph.positions)

    quiet = Nve(Field(morse().energy), dataset(*shapes), temperature=0.0, steps=100)
    flight = Nve(Field(morse().energy, push), dataset(*shapes), temperature=0.0, steps=100)
    assert quiet.alive.all()
    assert flight.alive.tolist() == [True, False, True]
    for column in (0, 2):
        assert flight.total[:, column] == pytest.approx(quiet.total[:, column], rel=1e-12)
    assert np.isnan(flight.total[1:, 1]).all()
    assert np.isnan(flight.potential[1:, 1]).all()
    assert np.isnan(flight.drift()[1])
    assert np.isfinite(flight.drift()[[0, 2]]).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -500.0])
def test_a_force_that_breaks_on_the_way_ends_that_flight_only(bad):
    """A field that breaks once its atom has come down by 0.05 Å."""
    data = dataset(*(frame([z], [[0.3, 0.0, 0.0]]) for z in (1, 6)))

    def push(graph):
        broken = (graph.numbers == 1) & (graph.positions.detach()[:, 0] < 0.25)
        return torch.where(broken[:, None], bad, 0.0 * graph.positions)

    flight = Nve(spring(3.0, push), data, temperature=0.0, time_step=0.2, steps=200, every=1)
    quiet = Nve(spring(3.0), data, temperature=0.0, time_step=0.2, steps=200, every=1)
    assert flight.alive.tolist() == [False, True]
    assert np.array_equal(flight.total[:, 1], quiet.total[:, 1])
    lost = int(np.isnan(flight.total[:, 0]).argmax())
    assert 0 < lost < 100
    assert np.array_equal(flight.total[:lost, 0], quiet.total[:lost, 0])  # the flight before is reported as it was
    assert np.isnan(flight.total[lost:, 0]).all()


@pytest.mark.parametrize("bad", [150.0, math.nan])
def test_a_replica_that_is_lost_before_it_starts(bad):
    def push(graph):
        # Only at the very first place: one step later the force is fine again.
        broken = (graph.numbers == 1) & (graph.positions.detach()[:, 0] == 0.3)
        return torch.where(broken[:, None], bad, 0.0 * graph.positions)

    data = dataset(*(frame([z], [[0.3, 0.0, 0.0]]) for z in (1, 6)))
    flight = Nve(spring(3.0, push), data, temperature=0.0, steps=20)
    assert flight.alive.tolist() == [False, True]
    assert np.isfinite(flight.total[:, 1]).all()


def test_a_collapse_ends_no_flight_but_its_own():
    """Two atoms that fall into one another with small forces are on one spot just when the neighbours are made anew."""
    pulled = Field(lambda g: g.sum_over_atoms(torch.where(g.numbers == 1, 2.0, 0.0) * g.positions[:, 0].square()))
    falling = frame([1, 1], [[0.51, 0, 0], [-0.51, 0, 0]])
    other = frame([1], [[0.4, 0, 0]])
    quiet = Nve(pulled, dataset(other), temperature=0.0, time_step=0.05, steps=600)
    flight = Nve(pulled, dataset(falling, other), temperature=0.0, time_step=0.05, steps=600)
    assert flight.alive[1]
    assert flight.total[:, 1] == pytest.approx(quiet.total[:, 0], rel=1e-12)


@pytest.mark.parametrize("make", [crystal, lambda: rattled("CH3CH2OH", amplitude=0.1)])
def test_neighbour_lists_are_made_anew_in_time(make):
    """Hot atoms that use up the skin many times fly as with a skin so large that nothing is ever made anew."""
    potential = gentle("conservative", cutoff=2.5)
    data, flights = dataset(make()), {}
    for skin in (0.1, 1.0, 12.0):
        field = LearnedForces(potential, data, skin)
        flights[skin] = record(Simulation(field, data, temperature=3000.0), 60).potential, field.neighbours.rebuilds
    (tight, often), (middle, some), (wide, never) = flights.values()
    assert often > 10
    assert often > some > 0
    assert never == 0
    for one in (tight, middle):
        assert one == pytest.approx(wide, rel=1e-8, abs=1e-10)
    assert np.ptp(wide) > 1e-3


def test_conservation_in_four_numbers():
    """Each is what its own function says; a direct head has a Jacobian that no gradient has."""
    data, found = molecules()[:2], {}
    for head in ("conservative", "direct"):
        potential = gentle(head)
        found[head] = conservation(potential, data, steps=80)
        flight = Nve(potential, data, steps=80)
        assert found[head]["drift"] == pytest.approx(float(np.median(np.abs(flight.drift()))))
        assert found[head]["loop_work"] == loop_work(potential, data)
        assert found[head]["antisymmetry"] == jacobian_antisymmetry(potential, data)
        assert found[head]["alive"] == 1.0
    assert found["conservative"]["antisymmetry"] < 1e-9
    assert found["direct"]["antisymmetry"] > 0.01
