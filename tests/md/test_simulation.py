"""Simulations: the order of the integrator with real forces, the heat bath, batches, ASE's own drivers, files."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import units
from ase.calculators.fd import FiniteDifferenceCalculator
from ase.calculators.lj import LennardJones
from ase.io import read
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.stress import voigt_6_to_full_3x3_stress
from ase.vibrations import Vibrations
from frames import crystal, dataset, frame, labelled, rattled
from potentials import Exact
from scipy.stats import gamma as gamma_distribution
from scipy.stats import kstest

from piwsl_lab.analysis import (
    Survival,
    alive_ps,
    distance_error,
    distances,
    fraction_alive,
    reference_bonds,
    spectrum,
    try_out,
)
from piwsl_lab.cli import main as cli
from piwsl_lab.data import Oracle, load
from piwsl_lab.md import Calculator, Simulation, Trajectory, TrajectoryFile, fly, force_field, record
from piwsl_lab.models import HEADS, build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.cell import run
from piwsl_lab.study.setup import Setup
from piwsl_lab.training.checkpoint import save

HEADS_TO_FLY = pytest.mark.parametrize("head", HEADS)


def network(head="conservative", seed=0, **options):
    """Random weights, small forces, double precision: an exact surface, if not that of any molecule."""
    torch.manual_seed(seed)
    potential = build("painn", **{"channels": 8, "layers": 2, "radial": 6, "head": head} | options).double()
    potential.reference = {z: -1.0 * z for z in potential.elements}
    potential.scale.fill_(0.05)
    return potential


def argon():
    """Thirteen atoms a little out of a cube, for Lennard-Jones (σ = 1 Å, ε = 1 eV: light springs of hydrogen)."""
    places = 1.12 * np.array([[i, j, k] for i in range(2) for j in range(2) for k in range(3)], dtype=float)
    return frame([18] * 12, places + 0.03 * np.random.default_rng(0).normal(size=places.shape))


def states(simulation, steps, every=1):
    flight = record(simulation, steps, every)
    return flight.positions, flight.velocities, flight.potential


@pytest.mark.parametrize(
    ("oracle", "start", "steps"),
    [
        pytest.param(lambda: Oracle(LennardJones(rc=20.0, smooth=False)), argon, (1.0, 0.5, 0.25), id="lennard-jones"),
        pytest.param(lambda: Oracle("gfn2-xtb"), lambda: load("ethanol")[0], (0.8, 0.4, 0.2), id="gfn2-xtb"),
    ],
)
def test_the_error_of_a_constant_energy_falls_as_the_square_of_the_time_step(oracle, start, steps):
    field, errors = oracle(), []
    for dt in steps:
        simulation = Simulation(field, dataset(start()), time_step=dt)
        flight = record(simulation, round(32 * steps[0] / dt), round(steps[0] / dt))
        errors.append(np.abs(flight.conserved - flight.conserved[0]).max())
        assert np.ptp(flight.potential) > 20 * errors[-1]  # it does move
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(4.0, rel=0.2)


def test_a_bath_holds_the_temperature_and_the_distribution_of_kinetic_energies():
    """Three atoms in a bowl, 480 times; kinetic energies of f degrees of freedom are kT × gamma(f/2)."""
    n = 160  # of each: the mean of its temperature is then known to 0.7 %
    kelvin = [150.0] * n + [300.0] * n + [600.0] * n
    atoms = frame([6, 7, 8], [[6.0, 0, 0], [0, 6.0, 0], [0, 0, 6.0]])
    bowl = Exact(lambda g: g.sum_over_atoms(1.5 * (g.positions.norm(dim=1) - 6.0).square()))
    bowl.reference = dict.fromkeys((6, 7, 8), 0.0)
    simulation = Simulation(
        bowl, dataset(*[atoms] * 3 * n), temperature=kelvin, ensemble="nvt", friction=50.0, time_step=2.0
    )
    flight = record(simulation, 1500, 10)
    settled = flight.temperature[len(flight.time) // 10 :]
    for k, target in enumerate((150.0, 300.0, 600.0)):
        assert settled[:, n * k : n * (k + 1)].mean() == pytest.approx(target, rel=0.02)
    # One state in 100 fs is independent of the last: twice the memory of the bath.
    kinetic = (flight.kinetic / (units.kB * np.array(kelvin)))[15::5].ravel()
    assert kstest(kinetic, gamma_distribution(4.5).cdf).pvalue > 1e-3
    assert kstest(kinetic, gamma_distribution(4.0).cdf).pvalue < 1e-3  # the test can tell


def test_the_bath_books_its_heat():
    """Potential and kinetic energy less the heat are constant up to dt², however much the bath gives."""
    drifts = []
    for dt in (1.0, 0.5):
        simulation = Simulation(network(), dataset(rattled("CH4")), ensemble="nvt", friction=20.0, time_step=dt)
        flight = record(simulation, round(400 / dt), round(10 / dt))
        total = flight.potential + flight.kinetic
        drifts.append(np.abs(flight.conserved - flight.conserved[0]).max())
        assert np.ptp(total) > 50 * drifts[-1]
    assert drifts[0] > 2 * drifts[1]


@HEADS_TO_FLY
@pytest.mark.parametrize("ensemble", ["nve", "nvt"])
def test_a_replica_flies_alone_as_in_a_batch(head, ensemble):
    start = dataset(rattled("CH3CH2OH"), rattled("H2O"), crystal(), rattled("CO"))
    kelvin = [300.0, 500.0, 100.0, 200.0]
    potential = network(head)
    together = Simulation(potential, start, temperature=kelvin, ensemble=ensemble, seed=7)
    positions, velocities, energies = states(together, 40)
    first = 0
    for k, one in enumerate(start):
        alone = Simulation(potential, dataset(one), temperature=kelvin[k], ensemble=ensemble, seed=7 + k)
        r, v, e = states(alone, 40)
        atoms = slice(first, first + len(one))
        first += len(one)
        assert np.abs(positions[:, atoms] - r).max() < 1e-10
        assert np.abs(velocities[:, atoms] - v).max() < 1e-10
        assert np.abs(energies[:, [k]] - e).max() < 1e-10
        assert np.ptp(r, axis=0).max() > 1e-3


def test_the_same_seed_flies_the_same_and_another_does_not():
    start, potential = dataset(rattled("CH4"), rattled("CH4")), network()
    one, two, other = (states(Simulation(potential, start, ensemble="nvt", seed=s), 70)[0] for s in (3, 3, 4))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert np.allclose(one[:, 5:], other[:, :5], atol=1e-10, rtol=0)  # replica 1 of seed 3 is replica 0 of seed 4


@HEADS_TO_FLY
@pytest.mark.parametrize("make", [lambda: rattled("CH3CH2OH"), crystal])
def test_ase_drives_the_calculator_along_the_same_trajectory(head, make):
    potential, start = network(head), make()
    simulation = Simulation(potential, dataset(start), time_step=0.5, temperature=1000.0)
    atoms = dataset(start).to_atoms()[0]
    atoms.calc = Calculator(potential, skin=0.2)
    atoms.set_velocities(simulation.velocities.numpy() / units.fs)
    driver = VelocityVerlet(atoms, timestep=0.5 * units.fs)
    reference = sum(potential.reference[int(z)] for z in start.numbers)
    for _ in range(50):
        driver.run(1)
        simulation.step()
        now = simulation.snapshot()
        assert np.abs(atoms.positions - now.positions).max() < 1e-10
        assert np.abs(atoms.get_velocities() * units.fs - now.velocities).max() < 1e-10
        assert atoms.get_potential_energy() == pytest.approx(now.potential[0] + reference, abs=1e-10)


def test_the_calculator_serves_optimisers_vibrations_and_atoms_of_any_number(tmp_path):
    potential = network()
    atoms = dataset(rattled("H2O")).to_atoms()[0]
    atoms.calc = Calculator(potential)
    before = atoms.get_potential_energy()
    assert BFGS(atoms, logfile=None).run(fmax=1e-3, steps=200)
    assert atoms.get_potential_energy() < before
    vibrations = Vibrations(atoms, name=str(tmp_path / "vib"))
    vibrations.run()
    assert len(vibrations.get_frequencies()) == 9
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    hydrogen = dataset(rattled("CH4")).to_atoms()[0]
    hydrogen.calc = atoms.calc  # the same calculator, other atoms
    expected = potential.predict(dataset(rattled("CH4")))
    assert hydrogen.get_potential_energy() == pytest.approx(expected[0][0], abs=1e-9)
    assert np.allclose(hydrogen.get_forces(), expected[1][0], atol=1e-9)


@pytest.mark.parametrize("head", ["conservative", "dual"])
def test_stress_is_the_derivative_of_the_energy_by_the_strain(head):
    atoms = dataset(crystal()).to_atoms()[0]
    atoms.calc = Calculator(network(head))
    analytic = voigt_6_to_full_3x3_stress(atoms.get_stress())
    twin = atoms.copy()
    twin.calc = FiniteDifferenceCalculator(atoms.calc, eps_strain=1e-5)
    numeric = voigt_6_to_full_3x3_stress(twin.get_stress())
    assert np.abs(analytic).max() > 1e-5
    assert np.allclose(analytic, numeric, atol=1e-8)
    forces = atoms.get_forces()
    atoms.calc.reset()
    assert np.allclose(forces, atoms.get_forces(), atol=1e-12)


def test_what_the_calculator_cannot_do_is_named():
    atoms = dataset(crystal()).to_atoms()[0]
    atoms.calc = Calculator(network("direct"))
    with pytest.raises(NotImplementedError, match="direct forces belong to no energy"):
        atoms.get_stress()
    atoms.calc = Calculator(network("dual"), head="direct")
    with pytest.raises(NotImplementedError, match="direct forces belong to no energy"):
        atoms.get_stress()
    free = dataset(rattled("CH4")).to_atoms()[0]
    free.calc = Calculator(network())
    with pytest.raises(NotImplementedError, match="repeats in all three directions"):
        free.get_stress()
    with pytest.raises(ValueError, match="no reference energies yet"):
        Calculator(build("painn"))
    with pytest.raises(ValueError, match="head='direct'"):
        Calculator(network(), head="direct")
    gold = dataset(frame([79], [[0.0, 0, 0]])).to_atoms()[0]
    gold.calc = Calculator(network())
    with pytest.raises(ValueError, match=r"never saw the elements \[79\]"):
        gold.get_potential_energy()


def test_the_calculator_keeps_its_neighbours_while_the_skin_lasts():
    potential = network(cutoff=2.5)
    atoms = dataset(rattled("CH3CH2OH")).to_atoms()[0]
    atoms.calc = Calculator(potential, skin=0.6)
    rng = np.random.default_rng(0)
    for _ in range(25):
        atoms.positions += rng.uniform(-0.08, 0.08, atoms.positions.shape)
        fresh = atoms.copy()
        fresh.calc = Calculator(potential, skin=0.0)
        assert np.allclose(atoms.get_forces(), fresh.get_forces(), atol=1e-10)


def test_sliders_act_on_a_running_flight():
    simulation = Simulation(network(), dataset(rattled("CH3CH2OH"), rattled("CH4")), temperature=300.0)
    for _ in range(5):
        simulation.step()
    simulation.temperature = 600.0
    hot = simulation.snapshot()
    assert hot.temperature == pytest.approx([600.0, 600.0])
    simulation.time_step = 0.25
    time_before, conserved = simulation.time, hot.conserved
    simulation.step()
    assert simulation.time == pytest.approx(time_before + 0.25)
    assert simulation.snapshot().conserved == pytest.approx(conserved, abs=1e-3)
    for name, value, message in (("time_step", 0.0, "time_step=0.0 fs"), ("temperature", -1.0, "temperature=-1.0 K")):
        with pytest.raises(ValueError, match=message):
            setattr(simulation, name, value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ensemble": "npt"}, "choose one of nve, nvt"),
        ({"friction": 0.0}, "friction=0.0 per ps"),
        ({"temperature": [1.0, 2.0]}, "temperature has 2 values for 1 replicas"),
        ({"seed": [1, 2, 3]}, "seed has 3 values for 1 replicas"),
        ({"temperature": math.nan}, "temperature=nan K"),
        ({"time_step": math.inf}, "time_step=inf fs"),
    ],
)
def test_impossible_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Simulation(network(), dataset(rattled("H2O")), **options)
    with pytest.raises(ValueError, match="no frame to start from"):
        Simulation(network(), dataset())


def test_an_oracle_that_fails_says_why_and_the_others_fly_on():
    near = frame([1, 1], [[0.0, 0, 0], [0.101, 0, 0]])
    simulation = Simulation(Oracle("gfn2-xtb"), dataset(rattled("H2O"), near), time_step=1.0)
    flight = record(simulation, 5, 1)
    assert flight.alive[-1].tolist() == [True, False]
    assert "replica 1 was lost at" in str(simulation.lost[1])
    assert np.isfinite(flight.positions).all()
    assert np.isfinite(flight.potential).all()
    assert np.isfinite(flight.conserved).all()


# What the runs say


def flight_of(positions, start, every=10.0, **changes):
    """A flight of one replica along given positions [T, n, 3]."""
    positions = np.asarray(positions, dtype=float)
    t, n = positions.shape[:2]
    ones = np.ones((t, 1))
    whole = {
        "frames": dataset(start), "time": every * np.arange(t), "positions": positions,
        "velocities": np.zeros((t, n, 3)), "forces": np.zeros((t, n, 3)), "potential": 0.0 * ones,
        "kinetic": 0.0 * ones, "conserved": 0.0 * ones, "temperature": 300.0 * ones,
        "alive": np.ones((t, 1), dtype=bool), "lost": {},
    }  # fmt: skip
    return Trajectory(**whole | changes)


def test_the_first_of_all_ends_counts():
    start = frame([1, 1, 8], [[0.0, 0, 0], [0.74, 0, 0], [9.0, 0, 0]])
    bonds = reference_bonds(start)
    assert bonds.pairs.tolist() == [[0, 1]]
    still = np.tile(start.positions, (6, 1, 1))
    assert alive_ps(flight_of(still, start), bonds, 300.0) == [Survival(0.05, "")]
    torn = still.copy()
    torn[3:, 1, 0] += 0.6
    (one,) = alive_ps(flight_of(torn, start), bonds, 300.0)
    assert (one.ps, one.reason) == (pytest.approx(0.03), "the bond 0-1 is off by 0.60 Å")
    assert alive_ps(flight_of(torn, start), bonds, 300.0, tolerance=0.7)[0].reason == ""
    hot = np.full((6, 1), 300.0)
    hot[2:] = 3100.0
    (one,) = alive_ps(flight_of(torn, start, temperature=hot), bonds, 300.0)
    assert (one.ps, one.reason) == (pytest.approx(0.02), "the temperature is 3100 K")
    energy = np.zeros((6, 1))
    energy[1:] = -1.5 * 3 * units.kB * 300.0 - 0.01
    (one,) = alive_ps(flight_of(torn, start, temperature=hot, conserved=energy), bonds, 300.0)
    assert (one.ps, one.reason) == (pytest.approx(0.01), "the conserved energy changed by 0.13 eV")
    (one,) = alive_ps(flight_of(torn, start, temperature=hot, conserved=energy), bonds, 300.0, energy=False)
    assert one.reason == "the temperature is 3100 K"
    lone = frame([1], [[0.0, 0, 0]])
    assert alive_ps(flight_of(np.zeros((3, 1, 3)), lone), reference_bonds(lone), 0.0)[0].reason == ""


def test_bonds_of_a_crystal_reach_through_its_walls():
    start = frame([14, 14], [[0.1, 0, 0], [3.8, 0, 0]], cell=np.diag([6.0, 9.0, 9.0]))
    bonds = reference_bonds(start, np.stack([start.positions, start.positions + np.array([[0, 0, 0], [0.2, 0, 0]])]))
    assert bonds.length == pytest.approx([0.5 * (2.3 + 2.1)])


def test_the_share_alive_has_a_wilson_interval():
    survivals = [Survival(1.0, "x"), Survival(2.0, "y"), Survival(5.0, ""), Survival(5.0, "")]
    share = fraction_alive(survivals, np.array([0.5, 1.0, 1.5, 5.0]))
    assert share[:, 0].tolist() == [1.0, 0.75, 0.75, 0.5]
    p, n, z = 0.5, 4, 1.959964
    wide = 1 + z * z / n
    centre, half = (p + z * z / (2 * n)) / wide, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / wide
    assert share[3, 1:] == pytest.approx([centre - half, centre + half], abs=1e-6)


def test_distances_are_a_density_and_their_error_is_between_0_and_2():
    start = frame([1, 1, 1], [[0.0, 0, 0], [1.05, 0, 0], [2.05, 0, 0]])
    edges = np.array([0.0, 0.5, 1.5, 2.5])
    h = distances(start.positions[None], start, edges)
    assert h == pytest.approx([0.0, 2 / 3, 1 / 3])
    assert distance_error(h, h, edges) == 0.0
    other = distances(start.positions[None] * 0.2, start, edges)
    assert distance_error(h, other, edges) == pytest.approx(2.0)


def test_a_spectrum_shows_the_frequency_of_an_oscillator():
    """H in a bowl of k = 3 eV/Å²: ω = √(k/m); the sum of the density is one."""
    time_fs = 0.5 * np.arange(8000)
    wavenumber = 3000.0
    velocity = np.zeros((8000, 1, 3))
    velocity[:, 0, 0] = np.cos(2 * np.pi * wavenumber * 2.99792458e-5 * time_fs)
    grid, density = spectrum(velocity, frame([1], [[0.0, 0, 0]]), 0.5)
    assert grid[density.argmax()] == pytest.approx(wavenumber, abs=grid[1])
    assert density.sum() * grid[1] == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least 16"):
        spectrum(velocity[:10], frame([1], [[0.0, 0, 0]]), 0.5)


# Files and the command


@pytest.mark.parametrize("suffix", [".extxyz", ".traj"])
def test_a_file_holds_what_flew(tmp_path, suffix):
    start, path = dataset(rattled("H2O"), crystal()), tmp_path / f"flight{suffix}"
    simulation = Simulation(network(), start, ensemble="nvt")
    with TrajectoryFile(path, start) as file:
        snapshots = [*fly(simulation, 6, 3)]
        for snapshot in snapshots:
            file.write(snapshot)
            assert len(read(path, ":")) == 2 * (1 + snapshots.index(snapshot))  # readable while it grows
    images = read(path, ":")
    last = images[-1]
    assert (last.info["replica"], last.info["step"], last.info["time_fs"]) == (1, 6, 3.0)
    assert last.pbc.all()
    assert np.allclose(last.positions, snapshots[-1].positions[3:], atol=1e-7)
    assert np.allclose(last.get_forces(), snapshots[-1].forces[3:], atol=1e-7)
    assert last.get_potential_energy() == pytest.approx(snapshots[-1].potential[1])
    for wrong, message in (
        (path, "exists"),
        (tmp_path / "x.pdb", r"cannot write '\.pdb'"),
        (tmp_path / "no" / "x.traj", "no folder"),
    ):
        with pytest.raises(ValueError, match=message):
            TrajectoryFile(wrong, start)


def fly_command(tmp_path, *words, capsys):
    code = cli.main(["fly", *words])
    return code, capsys.readouterr()


@pytest.fixture
def checkpoint(tmp_path):
    potential = network()
    potential.calibrate(labelled("CH3CH2OH", 3))
    potential.scale.fill_(1e-3)  # atoms fly nearly straight on
    return str(save(tmp_path / "p.safetensors", potential))


def test_fly_prints_a_table_and_writes_figures_and_frames(tmp_path, checkpoint, capsys):
    out, figures = tmp_path / "f.extxyz", tmp_path / "f.json"
    words = ["--replicas", "3", "--ps", "0.02", "--temperature", "20", "--out", str(out), "--json", str(figures)]
    code, printed = fly_command(tmp_path, checkpoint, *words, "--device", "cpu", capsys=capsys)
    assert code == 0
    result = json.loads(figures.read_text())
    assert [len(result[key]) for key in ("alive_ps", "drift_mev_per_atom_ps", "temperature_k")] == [3, 3, 3]
    assert result["alive_ps"] == [0.02] * 3
    assert result["atom_steps_per_second"] > 0
    assert result["steps"] == 40
    assert "3 of 3 replicas alive after 0.02 ps" in printed.out
    assert len(read(out, ":")) == 3 * 5


def test_an_oracle_flies_too(capsys, tmp_path):
    code, printed = fly_command(tmp_path, "gfn2-xtb", "--replicas", "1", "--ps", "0.01", capsys=capsys)
    assert code == 0
    assert "1 of 1 replicas alive" in printed.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.safetensors"], "no such file"),
        (["gfn2-xtb", "--frame", "99999"], "--frame 99999: ethanol has"),
        (["gfn2-xtb", "--replicas", "0"], "--replicas 0"),
        (["gfn2-xtb", "--ps", "-1"], "--ps -1.0"),
        (["gfn2-xtb", "--out", "a.pdb"], r"cannot write '.pdb' files"),
    ],
)
def test_bad_flights_are_one_line(words, message, capsys, tmp_path):
    code, printed = fly_command(tmp_path, *words, capsys=capsys)
    assert code == 2
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_a_killed_flight_leaves_a_file_that_can_be_read(tmp_path, checkpoint):
    out = tmp_path / "killed.extxyz"
    words = ["fly", checkpoint, "--replicas", "2", "--ps", "1000", "--out", str(out), "--device", "cpu"]
    process = subprocess.Popen([sys.executable, "-m", "piwsl_lab.cli", *words], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (out.exists() and out.stat().st_size > 3000) and time.monotonic() < deadline:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    images = read(out, ":")
    assert len(images) >= 2
    assert all(np.isfinite(image.positions).all() for image in images)
    assert os.path.getsize(out) > 0


def test_a_trial_flies_every_start_at_every_temperature():
    still = Exact(lambda g: g.sum_over_atoms(0.0 * g.positions.sum(1)))
    starts = dataset(*(rattled("CH3CH2OH", seed=k, amplitude=0.01) for k in range(3)))
    slow, fast = try_out(still, starts, (0.5, 900.0), ps=0.1, references={0.5: starts, 900.0: starts})
    assert (slow.temperature, fast.temperature) == (0.5, 900.0)
    assert [len(t.survivals) for t in (slow, fast)] == [3, 3]
    # Without forces the hot ones fly apart and the cold ones stay.
    assert (slow.share, slow.mean_ps) == (1.0, pytest.approx(0.1))
    assert fast.share == 0.0
    assert 0 < fast.mean_ps < 0.1
    assert slow.distance_error < 0.7 * fast.distance_error
    assert math.isnan(fast.drift)
    assert math.isnan(try_out(still, starts, (0.5,), ps=0.01)[0].distance_error)


def test_a_trial_ends_when_no_replica_is_left():
    calls = []
    still = Exact(lambda g: calls.append(1) or g.sum_over_atoms(0.0 * g.positions.sum(1)))
    starts = dataset(rattled("CH3CH2OH", seed=0, amplitude=0.01))
    (trial,) = try_out(still, starts, (900.0,), ps=5.0)
    assert trial.share == 0.0
    assert 0 < trial.mean_ps < 0.1
    assert len(calls) < 3000  # of 10000 steps


def test_a_study_run_flies_where_it_is_asked_to():
    setup = Setup(energies=8, forces=8, steps=2, test=3, channels=8, layers=1, flight_ps=0.02, device="cpu")
    found = run(setup, Objective())
    flown = [row for row in found["rows"] if row["part"].startswith("flight")]
    assert [row["part"] for row in flown] == ["flight at 300 K", "flight at 500 K"]
    assert set(flown[0]) == {"kind", "part", "output", "alive_ps", "alive_share", "flight_drift", "distance_error"}
    assert [len(replicas) for replicas in found["flights"].values()] == [3, 3]
    assert all(0 <= row["distance_error"] <= 2 for row in flown)
    with pytest.raises(ValueError, match=r"flight_ps=-1\.0"):
        run(replace(setup, flight_ps=-1.0), Objective())


class Spring:
    """A force field of a reader: every atom on a spring of 1 eV/Å² to where it began."""

    def __init__(self, frames):
        self.field = force_field(Exact(lambda g: g.sum_over_atoms(0.0 * g.positions.sum(1))), frames)
        self.frames, self.graph = self.field.frames, self.field.graph
        self.start = torch.from_numpy(np.concatenate([frame.positions for frame in frames]))

    def __call__(self, positions):
        away = positions - self.start
        return self.graph.sum_over_atoms(0.5 * away.square().sum(1)), -away

    def too_close(self, positions):
        return self.field.too_close(positions)

    def why(self, structure):
        return ""


def test_a_force_field_of_a_reader_is_taken_as_it_is():
    frames = dataset(rattled("H2O"))
    own = Spring(frames)
    assert force_field(own, frames) is own
    flight = record(Simulation(own, frames, temperature=300.0, ensemble="nve", time_step=0.1), 50, 10)
    assert np.ptp(flight.conserved) < 1e-3
    assert np.ptp(flight.potential) > 1e-3
