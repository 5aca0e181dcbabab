"""Cases from the field about flying and looking: constraints, start structures, sizes, full disks, odd atoms."""

from __future__ import annotations

import copy
import errno
import json
import os
import signal
import time
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import fcc111
from ase.calculators.lj import LennardJones
from ase.constraints import FixAtoms, FixBondLength
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from commands import finish, run_limited, start
from frames import crystal, dataset, frame, labelled, rattled
from potentials import Exact

from piwsl_lab import fit
from piwsl_lab.analysis import alive_ps, reference_bonds, spectrum, try_out
from piwsl_lab.cli import main as cli
from piwsl_lab.data import Frame, Oracle
from piwsl_lab.lab.figures.movie import _extxyz, _pilot
from piwsl_lab.lab.molecule import scene
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.sessions.md import FlightSession, Track
from piwsl_lab.lab.sessions.md_views import BESIDE, Views
from piwsl_lab.lab.sessions.packed import pack_frames, unpack_frames
from piwsl_lab.md import Calculator, Simulation, Trajectory, TrajectoryFile, fly, record
from piwsl_lab.md.forces import LearnedForces
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.training.checkpoint import load_potential, save
from piwsl_lab.training.errors import evaluate

ETHANOL = "CH3CH2OH"
ENSEMBLES = pytest.mark.parametrize("ensemble", ["nve", "nvt"])


def network(head="conservative", **options):
    torch.manual_seed(0)
    potential = build("painn", **{"channels": 8, "layers": 2, "radial": 6, "head": head} | options).double()
    potential.reference = {z: -1.0 * z for z in potential.elements}
    potential.scale.fill_(0.05)
    return potential


def held(start: Frame, fixed) -> Frame:
    return replace(start, fixed=np.asarray(fixed))


def first_three(n: int) -> np.ndarray:
    return np.arange(n) < 3


# Constraints and masses


@ENSEMBLES
def test_case_02_held_coordinates_do_not_move(ensemble):
    start = rattled(ETHANOL)
    some = np.zeros((9, 3), dtype=bool)
    some[:3] = True
    some[4, 2] = True
    simulation = Simulation(
        network(), dataset(held(start, some), start), ensemble=ensemble, friction=50.0, temperature=900.0
    )
    flight = record(simulation, 200, 10)
    moved = np.abs(flight.positions - flight.positions[0]).max(axis=0)
    assert (moved[:9][some] == 0.0).all()
    assert moved[:9][~some].min() > 0.01
    assert moved[9:].min() > 0.01
    assert (flight.velocities[:, :9][:, some] == 0.0).all()
    assert np.abs(flight.forces[:, :9][:, some]).max() > 0, "the forces themselves stay as they are"


def test_case_02_energy_is_conserved_with_held_atoms():
    errors = []
    for dt in (0.5, 0.25):
        start = held(rattled(ETHANOL), first_three(9))
        flight = record(Simulation(network(), dataset(start), time_step=dt), round(200 / dt), round(2 / dt))
        errors.append(np.abs(flight.conserved - flight.conserved[0]).max())
        assert np.ptp(flight.positions[:, :3], axis=0).max() == 0.0
        assert np.ptp(flight.potential) > 20 * errors[-1]
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.2)


def test_case_02_the_free_coordinates_share_the_heat():
    """Equipartition over what is free, whole atoms and single axes; ½ kT each."""
    fixed = np.zeros((3, 3), dtype=bool)
    fixed[0], fixed[1, 2] = True, True
    atoms = held(frame([6, 7, 8], [[6.0, 0, 0], [0, 6.0, 0], [0, 0, 6.0]]), fixed)
    n = 300
    rest = torch.from_numpy(np.tile(atoms.positions, (n, 1)))
    bowl = Exact(lambda g: g.sum_over_atoms(0.5 * (g.positions - rest).square().sum(1)))
    bowl.reference = dict.fromkeys((6, 7, 8), 0.0)
    simulation = Simulation(bowl, dataset(*[atoms] * n), ensemble="nvt", friction=50.0, time_step=2.0)
    drawn = simulation.velocities.reshape(n, 3, 3)
    flight = record(simulation, 600, 10)
    v = flight.velocities[10:].reshape(-1, n, 3, 3)
    masses = simulation.masses[:3, 0].numpy()
    for speeds in (drawn.numpy()[None], v):
        kelvin = (masses[:, None] * np.square(speeds).mean(axis=(0, 1))) / (units.kB * units.fs**2)
        assert kelvin[~fixed].mean() == pytest.approx(300.0, rel=0.1)
        assert (kelvin[fixed] == 0.0).all()
    assert flight.temperature[10:].mean() == pytest.approx(300.0, rel=0.02)
    assert np.ptp(flight.conserved, axis=0).max() < 0.05 * np.ptp(flight.potential + flight.kinetic, axis=0).max()


def test_case_02_degrees_of_freedom_and_the_temperature_setter():
    start = rattled(ETHANOL)
    everything = held(start, np.ones(9, dtype=bool))
    simulation = Simulation(network(), dataset(start, held(start, first_three(9)), everything), temperature=300.0)
    assert simulation._freedom.tolist() == [24, 18, 0]
    momentum = (simulation.masses * simulation.velocities)[:9].sum(0)
    assert momentum.abs().max() < 1e-12
    before = simulation.velocities.clone()
    simulation.temperature = 600.0
    assert simulation.temperatures_now().tolist() == pytest.approx([600.0, 600.0, 0.0])
    for _ in range(3):
        simulation.step()
    assert (simulation.velocities[9:12] == 0).all()
    assert simulation.snapshot().positions[18:].tolist() == everything.positions.tolist()
    assert simulation.alive.all()
    # The unheld replica has the velocities that it has alone.
    alone = Simulation(network(), dataset(start), temperature=300.0)
    assert torch.equal(alone.velocities, before[:9])


def test_case_34_a_slab_without_a_third_vector_flies_with_its_bottom_at_rest():
    atoms = fcc111("Cu", (2, 2, 3))
    atoms.rattle(0.05, seed=0)
    slab = Frame(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, fixed=np.arange(12) < 4)
    assert not slab.cell[2].any()
    potential = build("painn", elements=[29], channels=8, layers=1, radial=6)
    potential.reference = {29: 0.0}
    for source in (potential, Oracle(LennardJones(sigma=2.3, epsilon=0.4, rc=5.0))):
        flight = record(Simulation(source, dataset(slab)[[0, 0]]), 20, 5)
        assert flight.alive.all()
        for s in range(2):
            moved = np.abs(flight.positions[-1] - flight.positions[0])[flight.atoms(s)].max(axis=1)
            assert (moved[:4] == 0.0).all()
            assert moved[4:].min() > 0.0


def test_deuterium_vibrates_slower_by_the_root_of_the_mass():
    """Twice the mass is the same motion in √2 times the time."""

    def spring(graph):
        energies = 7.5 * (graph.vectors().norm(dim=1) - 0.75).square()  # each pair counts twice
        return graph.sum_over_atoms(torch.zeros_like(graph.positions[:, 0]).index_add(0, graph.edge_index[0], energies))

    light = frame([1, 1], [[0, 0, 0], [0.8, 0, 0]])
    heavy = replace(light, masses=np.full(2, 2 * 1.008))
    slow, fast = (
        record(Simulation(Exact(spring), dataset(start), temperature=0.0, time_step=dt), 200, 1).positions
        for start, dt in ((heavy, 0.1 * np.sqrt(2.0)), (light, 0.1))
    )
    assert np.allclose(slow, fast, atol=1e-9)
    assert np.ptp(fast[:, 1, 0]) == pytest.approx(0.05, rel=0.01)  # half of the stretch is each atom's


def test_masses_of_the_frame_weigh_its_spectrum():
    """Two frequencies of the same speed: their shares are those of the masses."""
    time_fs = np.arange(4000.0)
    velocities = np.zeros((4000, 2, 3))
    velocities[:, 0, 0], velocities[:, 1, 0] = np.sin(0.1 * time_fs), np.sin(0.4 * time_fs)
    start = replace(frame([1, 1], [[0, 0, 0], [0.8, 0, 0]]), masses=[2.0, 6.0])
    wavenumber, density = spectrum(velocities, start, 1.0)
    middle = 0.25 / (2 * np.pi) / 2.99792458e-5
    share = density[wavenumber > middle].sum() / density.sum()
    assert share == pytest.approx(0.75, abs=1e-3)


def test_case_02_ase_and_trials_keep_constraints_too():
    atoms = dataset(rattled(ETHANOL)).to_atoms()[0]
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    atoms.calc = Calculator(network())
    start = atoms.positions.copy()
    VelocityVerlet(atoms, 1.0 * units.fs).run(20)
    assert (atoms.positions[:3] == start[:3]).all()
    assert np.abs(atoms.positions[3:] - start[3:]).max() > 0
    everything = held(rattled(ETHANOL, amplitude=0.0), np.ones(9, dtype=bool))
    (trial,) = try_out(network(), dataset(everything), (5000.0,), ps=0.05, references={5000.0: dataset(everything)})
    assert trial.share == 1.0
    assert trial.drift == 0.0


@pytest.mark.parametrize("suffix", [".extxyz", ".traj"])
def test_case_02_a_trajectory_file_holds_constraints_and_masses(tmp_path, suffix):
    fixed = np.zeros((9, 3), dtype=bool)
    fixed[:2], fixed[5, 1] = True, True
    masses = np.arange(1.0, 10.0)
    start = replace(rattled(ETHANOL), fixed=fixed, masses=masses)
    simulation, path = Simulation(network(), dataset(start)), tmp_path / f"f{suffix}"
    with TrajectoryFile(path, simulation.frames) as file:
        for snapshot in fly(simulation, 2, 1):
            file.write(snapshot)
    for image in read(path, ":"):
        assert np.allclose(image.get_masses(), masses)
        found = np.zeros((9, 3), dtype=bool)
        for constraint in image.constraints:
            found[constraint.index] |= getattr(constraint, "mask", True)
        assert (found == fixed).all()
        assert np.abs(image.get_forces(apply_constraint=False)[:2]).max() > 0


def test_case_02_the_laboratory_flies_with_constraints_and_says_so(tmp_path):
    session = FlightSession({"a": network()}, held(rattled(ETHANOL), first_three(9)), replicas=2, ensemble="nvt")
    session.run(8)
    track = session.tracks["a"]
    assert (track.positions[-1][:, :3] == track.positions[0][:, :3]).all()
    assert session.held == "3 of 9 atoms are held"
    (tmp_path / "f.xyz").write_text(_extxyz(track, 1))
    for image in read(tmp_path / "f.xyz", ":"):
        assert np.concatenate([constraint.index for constraint in image.constraints]).tolist() == [0, 1, 2]
    assert FlightSession({"a": network()}, rattled(ETHANOL)).held == ""


def test_case_02_a_saved_session_keeps_constraints_masses_and_charge():
    some = np.zeros((9, 3), dtype=bool)
    some[2, 1] = True
    full = replace(
        rattled(ETHANOL), fixed=some, masses=np.arange(1.0, 10.0), info={"charge": -1.0, "multiplicity": 2.0}
    )
    found = unpack_frames(pack_frames([full, rattled("H2O")]))
    assert (found[0].fixed == some).all()
    assert (found[0].masses == full.masses).all()
    assert (found[0].charge, found[0].multiplicity) == (-1.0, 2)
    assert (found[1].fixed, found[1].masses, found[1].charge, found[1].multiplicity) == (None, None, 0.0, None)
    old = {k: v for k, v in pack_frames([full]).items() if k not in ("fixed", "masses", "charge", "multiplicity")}
    assert unpack_frames(old)[0].fixed is None


# The command


@pytest.fixture
def checkpoint(tmp_path):
    potential = network()
    potential.calibrate(labelled(ETHANOL, 3))
    potential.scale.fill_(1e-3)  # atoms fly nearly straight on
    return str(save(tmp_path / "p.safetensors", potential))


def test_case_02_the_command_holds_atoms_and_says_how_many(tmp_path, checkpoint, capsys):
    (atoms,) = dataset(rattled(ETHANOL)).to_atoms()
    atoms.calc = None
    atoms.set_constraint(FixAtoms([0, 1, 2]))
    write(tmp_path / "c.xyz", atoms, format="extxyz")
    out, figures = tmp_path / "out.extxyz", tmp_path / "f.json"
    words = ["fly", checkpoint, "--data", str(tmp_path / "c.xyz"), "--out", str(out), "--json", str(figures)]
    assert cli.main([*words, "--ps", "0.05", "--replicas", "2", "--device", "cpu"]) == 0
    assert "3 of 9 atoms are held" in capsys.readouterr().out
    assert json.loads(figures.read_text())["constraints"] == "3 of 9 atoms are held"
    images = read(out, ":")
    for image in images:
        assert np.array_equal(image.positions[:3], images[0].positions[:3])
    assert np.abs(images[-1].positions[3:] - images[1].positions[3:]).max() > 0


def test_case_02_a_constraint_that_no_frame_holds_is_named(tmp_path, checkpoint, capsys):
    (atoms,) = dataset(rattled(ETHANOL)).to_atoms()
    atoms.calc = None
    atoms.set_constraint(FixBondLength(0, 1))
    write(tmp_path / "c.traj", atoms)
    words = ["fly", checkpoint, "--data", str(tmp_path / "c.traj"), "--ps", "0.01", "--device", "cpu"]
    assert cli.main(words) == 0
    assert "FixBondLength" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["start.xyz", "start.pdb", "start.cif", "POSCAR"])
def test_case_22_a_start_structure_needs_no_label(tmp_path, checkpoint, capsys, name):
    (atoms,) = dataset(rattled(ETHANOL, amplitude=0.0)).to_atoms()
    atoms.calc = None
    if name in ("start.cif", "POSCAR"):
        atoms.set_cell([20, 20, 20])
        atoms.pbc = True
        atoms.center()
    write(tmp_path / name, atoms, format={"start.xyz": "xyz", "POSCAR": "vasp"}.get(name))
    words = ["fly", checkpoint, "--data", str(tmp_path / name), "--ps", "0.02", "--replicas", "2", "--device", "cpu"]
    assert cli.main([*words, "--temperature", "20"]) == 0
    assert "2 of 2 replicas alive" in capsys.readouterr().out


def test_case_22_an_element_that_the_potential_never_saw_is_named(tmp_path, checkpoint, capsys):
    write(tmp_path / "s.xyz", Atoms("CCl", [[0, 0, 0], [0, 0, 1.7]]), format="xyz")
    assert cli.main(["fly", checkpoint, "--data", str(tmp_path / "s.xyz"), "--device", "cpu"]) == 2
    assert "never saw the elements [17]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("info", "wanted"),
    [({}, {}), ({"charge": 0}, {}), ({"charge": -1, "multiplicity": 2}, {"charge": -1.0, "multiplicity": 2})],
)
def test_case_16_charge_and_spin_of_a_frame_reach_the_oracle_that_flies(info, wanted):
    class Listening(Oracle):
        heard: ClassVar[list] = []

        def label(self, *arguments, **state):
            self.heard.append(state)
            return super().label(*arguments)

    start = replace(frame([18, 18], [[0, 0, 0], [1.2, 0, 0]]), info=info)
    oracle = Listening(LennardJones(sigma=1.0, epsilon=0.2, rc=6.0))
    oracle.heard.clear()
    session = FlightSession({"oracle": oracle}, start, replicas=1)
    session.run(2)
    Views(session).of("oracle", session.tracks["oracle"], 0, 0, BESIDE)
    assert len(oracle.heard) >= 4
    assert oracle.heard == [wanted] * len(oracle.heard)


# Sizes and numbers


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--replicas", "1000000000"], "1,000,000,000 replicas of 9 atoms"),
        (["--replicas", "100000"], "more than the 1,000,000 that fit"),
        (["--ps", "1e9"], "are more than 1,000,000,000"),
        (["--ps", "1e300", "--dt", "1e-300"], "are more than 1,000,000,000"),
        (["--dt", "1e9"], "time_step=1000000000.0 fs"),
        (["--ps", "1e300"], ": 2e+303 steps are more than"),
        (["--temperature", "nan"], "temperature=nan K"),
        (["--temperature", "1e30"], "temperature=1e+30 K"),
        (["--seed", "99999999999999999999"], "seed=99999999999999999999"),
        (["--frame", "-1"], "--frame -1"),
        (["--frame", "99999999999999999999"], "--frame 99999999999999999999"),
    ],
)
def test_f7_sizes_and_numbers_are_bounded_before_memory_is_touched(checkpoint, capsys, words, message):
    begun = time.monotonic()
    assert cli.main(["fly", checkpoint, "--device", "cpu", *words]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
    assert time.monotonic() - begun < 20


def test_f7_python_has_the_same_limits():
    start = dataset(rattled(ETHANOL))
    with pytest.raises(ValueError, match="1,000,000 atoms that fly at once"):
        Simulation(network(), start[[0] * 120_000])
    with pytest.raises(ValueError, match="pairs of neighbours, more than the 1,000,000"):
        Simulation(network(), start[[0] * 20_000])
    with pytest.raises(ValueError, match="replicas of 9 atoms"):
        FlightSession({"a": network()}, start[0], replicas=10**9)
    with pytest.raises(ValueError, match=r"2,000 states of 90,000 atoms"):
        FlightSession({"a": network()}, start[0], replicas=10_000)
    simulation = Simulation(network(), start)
    with pytest.raises(ValueError, match="steps are more than"):
        next(fly(simulation, 10**12))
    with pytest.raises(ValueError, match=r"larger `every`"):
        record(simulation, 10**8, 1)
    with pytest.raises(ValueError, match="states of 9 atoms"):
        try_out(network(), start, (300.0,), ps=1e6)
    for wrong in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="must be a finite number"):
            try_out(network(), start, (300.0,), ps=wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 2**70}, "seed="),
        ({"seed": 1.5}, r"seed=1\.5"),
        ({"seed": "a"}, "seed=a"),
        ({"seed": [10**400]}, "seed="),
        ({"temperature": "hot"}, "temperature=hot"),
        ({"temperature": 1e7}, "at most 1e"),
        ({"temperature": None}, "temperature=None"),
        ({"time_step": 1e9}, "at most 100"),
        ({"time_step": "x"}, "time_step=x"),
    ],
)
def test_f16_numbers_that_overflow_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Simulation(network(), dataset(rattled("H2O")), **options)


def test_numbers_of_numpy_and_torch_are_numbers():
    simulation = Simulation(
        network(), dataset(rattled("H2O")), seed=np.int64(3), temperature=np.float32(300), time_step=torch.tensor(0.5)
    )
    same = Simulation(network(), dataset(rattled("H2O")), seed=3)
    assert torch.equal(simulation.velocities, same.velocities)


# Whole or not at all


def test_a_step_that_fails_gives_its_random_numbers_back():
    """The bath of a step that its oracle or Ctrl-C breaks off is that of the next try, also where a block ends."""

    class Fails(LennardJones):
        broken = False

        def calculate(self, *arguments, **words):
            if self.broken:
                raise KeyError("a bug in a calculator")
            super().calculate(*arguments, **words)

    def flight(breaks):
        calculator = Fails(sigma=1.0, epsilon=0.2, rc=6.0)
        start = dataset(frame([18, 18], [[0, 0, 0], [1.2, 0, 0]]))
        simulation = Simulation(Oracle(calculator), start, ensemble="nvt", seed=3)
        for step in range(70):
            if step in breaks:
                calculator.broken = True
                for _ in range(2):
                    with pytest.raises(KeyError):
                        simulation.step()
                calculator.broken = False
            simulation.step()
        return simulation

    plain, broken = flight(()), flight((0, 5, 63, 64, 65))
    assert torch.equal(plain.positions, broken.positions)
    assert torch.equal(plain.velocities, broken.velocities)
    assert torch.equal(plain.heat, broken.heat)
    assert plain.step_count == broken.step_count == 70


@pytest.mark.parametrize(("suffix", "limit"), [("extxyz", 7777), ("traj", 12345)])
def test_f8_a_full_disk_ends_the_flight_with_whole_frames(tmp_path, checkpoint, suffix, limit):
    out, figures = tmp_path / f"f.{suffix}", tmp_path / "f.json"
    words = ["fly", checkpoint, "--ps", "5", "--replicas", "1", "--device", "cpu"]
    code, printed, errors = run_limited(tmp_path, limit, *words, "--out", str(out), "--json", str(figures))
    assert code == 1, errors
    assert "Traceback" not in errors
    assert f"--out {out}: File too large" in errors
    images = read(out, ":")
    assert len(images) > 1
    assert all(len(image) == 9 and np.isfinite(image.get_forces()).all() for image in images)
    assert [image.info["step"] for image in images] == list(range(0, 10 * len(images), 10))
    assert "replicas alive after" in printed
    assert json.loads(figures.read_text())["ps"] == pytest.approx(0.005 * len(images))


@pytest.mark.parametrize("suffix", [".extxyz", ".traj"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_f8_a_write_that_breaks_off_is_undone_and_the_next_one_follows(tmp_path, suffix, error, monkeypatch):
    simulation, path = Simulation(network(), dataset(rattled("H2O"), rattled(ETHANOL))), tmp_path / f"f{suffix}"
    with TrajectoryFile(path, simulation.frames) as file:
        file.write(simulation.snapshot())
        simulation.step()
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            if suffix == ".traj":
                whole = file._trajectory.backend.sync

                def torn():
                    whole()  # the first of two images goes through
                    raise error

                patch.setattr(file._trajectory.backend, "sync", torn)
            else:
                file._text = Torn(file._text, error)
            with pytest.raises(type(error)):
                file.write(simulation.snapshot())
        if suffix == ".extxyz":
            assert path.read_bytes() == before
            file._text = file._text.file
        assert len(read(path, ":")) == 2
        file.write(simulation.snapshot())
    assert [image.info["step"] for image in read(path, ":")] == [0, 0, 1, 1]


class Torn:
    """A file that takes half of what it is given, and then nothing."""

    def __init__(self, file, error):
        self.file, self.error, self.taken = file, error, False

    def write(self, content):
        if self.taken:
            raise self.error
        self.taken = True
        return self.file.write(content[: len(content) // 2])

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_short_write_is_completed(tmp_path):
    simulation, path = Simulation(network(), dataset(rattled("H2O"))), tmp_path / "f.xyz"

    class Slow:
        def __init__(self, file):
            self.file = file

        def write(self, content):
            return self.file.write(content[:7])

        def __getattr__(self, name):
            return getattr(self.file, name)

    with TrajectoryFile(path, simulation.frames) as file:
        file._text = Slow(file._text)
        file.write(simulation.snapshot())
    assert len(read(path, ":")) == 1


def test_a_trajectory_follows_no_link_and_leaves_no_empty_file(tmp_path):
    (tmp_path / "link.xyz").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        TrajectoryFile(tmp_path / "link.xyz", dataset(rattled("H2O")))
    assert not (tmp_path / "elsewhere").exists()
    for suffix in ("xyz", "traj"):
        TrajectoryFile(tmp_path / f"a.{suffix}", dataset(rattled("H2O"))).close()
        assert not (tmp_path / f"a.{suffix}").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_f16_a_signal_keeps_table_figures_and_frames(tmp_path, checkpoint, number):
    out, figures = tmp_path / "f.extxyz", tmp_path / "f.json"
    words = ["fly", checkpoint, "--replicas", "2", "--ps", "20", "--temperature", "5", "--device", "cpu"]
    process = start(tmp_path, *words, "--out", str(out), "--json", str(figures))
    deadline = time.monotonic() + 120
    while not (out.exists() and out.stat().st_size > 9000):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no frames were written"
        time.sleep(0.02)
    process.send_signal(number)
    code, printed, errors = finish(process)
    assert code == 128 + number
    assert "2 of 2 replicas alive" in printed
    assert "hold the flight so far" in errors
    assert "Traceback" not in errors
    assert json.loads(figures.read_text())["alive_ps"][0] > 0
    assert len(read(out, ":")) >= 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "{folder}"], "is a folder"),
        (["--json", "{folder}/no/f.json"], "does not exist or cannot be written to"),
        (["--json", "{folder}/" + 300 * "x"], "File name too long"),
        (["--out", "{folder}/" + 300 * "x" + ".xyz"], "File name too long"),
        (["--json", "{potential}"], "is the file of CHECKPOINT too"),
        (["--json", "{folder}/a.xyz", "--out", "{folder}/a.xyz"], "is the file of --out too"),
        (["--out", "{folder}/link.xyz"], "File exists"),
    ],
)
def test_f8_files_that_cannot_be_are_named_before_the_flight(tmp_path, checkpoint, capsys, words, message):
    (tmp_path / "link.xyz").symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "p.safetensors").read_bytes()
    words = [word.format(folder=tmp_path, potential=checkpoint) for word in words]
    assert cli.main(["fly", checkpoint, "--ps", "0.01", "--device", "cpu", *words]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "p.safetensors").read_bytes() == before


def test_the_figures_of_a_flight_never_take_the_place_of_its_data(tmp_path, checkpoint, capsys):
    for name in ("m1.xyz", "m2.xyz"):
        write(tmp_path / name, dataset(rattled(ETHANOL)).to_atoms(), format="extxyz")
    before = (tmp_path / "m2.xyz").read_bytes()
    words = ["fly", checkpoint, "--data", str(tmp_path / "m*.xyz"), "--ps", "0.01", "--json", str(tmp_path / "m2.xyz")]
    assert cli.main(words) == 2
    assert "is the file of --data too" in capsys.readouterr().err
    assert (tmp_path / "m2.xyz").read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes with names")
def test_f8_what_is_no_regular_file_is_called_so(tmp_path, checkpoint, capsys):
    os.mkfifo(tmp_path / "pipe.xyz")
    for name in (tmp_path / "pipe.xyz", "/dev/null"):
        assert cli.main(["fly", checkpoint, "--ps", "0.01", "--device", "cpu", "--json", str(name)]) == 2
        assert "is no ordinary file" in capsys.readouterr().err
    for name, message in (("", "is a folder"), ("pipe.xyz", "is no regular file"), ("none", "there is no such file")):
        assert cli.main(["fly", str(tmp_path / name), "--device", "cpu"]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"charge": 1}, "the potential does not see the charge +1 e"),
        ({"charge": -1}, "the potential does not see the charge -1 e"),
        ({"charge": 1, "multiplicity": 2}, "not see the charge +1 e and the multiplicity 2"),
        ({"multiplicity": 3}, "the potential does not see the multiplicity 3"),
        ({"charge": 0, "multiplicity": 1}, ""),
        ({}, ""),
    ],
)
def test_case_a_potential_says_what_of_a_start_it_does_not_see(tmp_path, checkpoint, capsys, info, message):
    (atoms,) = dataset(rattled(ETHANOL)).to_atoms()
    atoms.calc = None
    atoms.info = dict(info)
    write(tmp_path / "s.xyz", atoms, format="extxyz")
    words = ["--data", str(tmp_path / "s.xyz"), "--ps", "0.01", "--replicas", "2", "--device", "cpu"]
    assert cli.main(["fly", checkpoint, *words]) == 0
    printed = capsys.readouterr().err
    assert printed.count("does not see") == bool(message)
    assert message in printed


def test_case_an_oracle_sees_the_charge(tmp_path, capsys):
    pytest.importorskip("tblite")
    (atoms,) = dataset(rattled(ETHANOL)).to_atoms()
    atoms.calc = None
    atoms.info = {"charge": 1, "multiplicity": 2}
    write(tmp_path / "s.xyz", atoms, format="extxyz")
    words = ["--data", str(tmp_path / "s.xyz"), "--ps", "0.002", "--replicas", "1", "--device", "cpu"]
    assert cli.main(["fly", "gfn2-xtb", *words]) == 0
    assert "does not see" not in capsys.readouterr().err


def test_f8_figures_that_cannot_be_written_leave_the_table(tmp_path, checkpoint, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("piwsl_lab.support.files.write_whole", full)
    words = ["--ps", "0.01", "--device", "cpu", "--json", str(tmp_path / "f.json")]
    assert cli.main(["fly", checkpoint, *words]) == 1
    printed = capsys.readouterr()
    assert "replicas alive after" in printed.out
    assert "No space left on device" in printed.err


def test_a_file_is_blamed_for_its_own_errors_alone(tmp_path, checkpoint, capsys, monkeypatch):
    """Any error of the system was one of --out, which nobody had asked for."""
    inner, calls = LearnedForces.__call__, []

    def lost(forces, positions):
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.EIO, "the reference method is gone")
        return inner(forces, positions)

    monkeypatch.setattr(LearnedForces, "__call__", lost)
    for after, code in ((0, 1), (30, 1)):
        calls.clear()
        assert cli.main(["fly", checkpoint, "--ps", "0.05", "--device", "cpu", "--replicas", "1"]) == code
        printed = capsys.readouterr()
        assert "--out" not in printed.err
        assert "the reference method is gone" in printed.err
        assert ("replicas alive after" in printed.out) == (after > 0)


# Bonds of many atoms


def test_bonds_are_those_of_all_pairs():
    for one in (rattled(ETHANOL), crystal(), frame([29] * 2, [[0, 0, 0], [1.8, 1.8, 0]], np.eye(3) * 3.6)):
        i, j = np.triu_indices(len(one), k=1)
        from ase.data import covalent_radii
        from ase.geometry import find_mic

        vectors = one.positions[j] - one.positions[i]
        lengths = find_mic(vectors, one.cell, one.pbc)[1] if one.pbc.any() else np.linalg.norm(vectors, axis=1)
        bonded = lengths < 1.3 * (covalent_radii[one.numbers[i]] + covalent_radii[one.numbers[j]])
        bonds = reference_bonds(one)
        assert bonds.pairs.tolist() == np.stack([i, j], 1)[bonded].tolist()
        assert bonds.length == pytest.approx(lengths[bonded])


def test_bonds_of_thousands_of_periodic_atoms_take_no_memory_of_order_n_squared():
    side = 13
    places = 2.2 * np.stack(np.meshgrid(*[np.arange(side)] * 3), -1).reshape(-1, 3)
    big = frame([14] * side**3, places, np.eye(3) * 2.2 * side)
    begun = time.monotonic()
    bonds = reference_bonds(big)
    assert len(bonds.pairs) == 3 * side**3
    still = np.tile(big.positions, (20, 1, 1))
    zero = np.zeros((20, 1))
    flight = Trajectory(
        dataset(big), np.arange(20.0), still, still[:, :0], still[:, :0], zero, zero, zero, zero,
        np.ones((20, 1), dtype=bool), {},
    )  # fmt: skip
    assert alive_ps(flight, bonds, 300.0)[0].reason == ""
    assert time.monotonic() - begun < 20


# The calculator


def test_case_19_a_calculator_whose_last_call_failed_does_not_answer_with_old_neighbours():
    atoms = dataset(rattled("H2O")).to_atoms()[0]
    atoms.calc = Calculator(network())
    atoms.get_potential_energy()
    atoms.numbers[0] = 17
    for _ in range(2):  # ASE sees no change the second time
        with pytest.raises(ValueError, match="never saw the elements"):
            atoms.get_forces()
    atoms.numbers[0] = 8
    sound = atoms.get_forces()
    atoms.positions[1] = np.nan
    for _ in range(2):
        with pytest.raises(ValueError, match="nan"):
            atoms.get_potential_energy()
    atoms.positions[:] = rattled("H2O").positions
    assert np.allclose(atoms.get_forces(), sound)
    atoms.positions[1] = atoms.positions[0]
    for _ in range(2):
        with pytest.raises(ValueError, match="one spot"):
            atoms.get_potential_energy()


def test_case_19_lonely_atoms_and_huge_cells_have_an_answer():
    potential = network()
    one = Atoms("H", calculator=Calculator(potential))
    assert (one.get_forces() == 0).all()
    for atoms in (Atoms("H2", [[0, 0, 0], [0, 0, 30]]), Atoms("H2", [[0, 0, 0], [0, 0, 900]], cell=[1e3] * 3, pbc=1)):
        atoms.calc = Calculator(potential)
        assert atoms.get_potential_energy() == pytest.approx(2 * one.get_potential_energy())
    with pytest.raises(ValueError, match="no atoms"):
        Atoms(calculator=Calculator(potential)).get_potential_energy()


@pytest.mark.parametrize("head", ["direct", "conservative", "dual"])
def test_case_30_a_calculator_answers_without_gradients_in_inference_mode_and_as_a_copy(head):
    potential = network(head)

    def answer(calculator):
        atoms = dataset(rattled(ETHANOL)).to_atoms()[0]
        atoms.calc = calculator
        first = atoms.get_forces()
        atoms.rattle(0.3, seed=1)  # new neighbours
        return first, atoms.get_forces(), atoms.get_potential_energy()

    wanted = answer(Calculator(potential))
    used = Calculator(potential)
    answer(used)
    found = [answer(copy.deepcopy(used))]
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found += [answer(Calculator(potential)), answer(used)]
    found.append(answer(used))
    for one in found:
        for a, b in zip(one, wanted, strict=True):
            assert np.allclose(a, b, atol=1e-12)


def test_case_30_simulations_run_in_inference_mode():
    start, potential = dataset(rattled(ETHANOL))[[0, 0]], network()
    plain = record(Simulation(potential, start, ensemble="nvt"), 20, 5)
    with torch.inference_mode():
        inside = Simulation(potential, start, ensemble="nvt")
        flight = record(inside, 20, 5)
    assert np.array_equal(plain.positions, flight.positions)
    inside.step()


def test_case_30_what_needs_gradients_says_so(tmp_path):
    data, potential = labelled(ETHANOL, 8), network()
    path = save(tmp_path / "p.safetensors", potential)
    with torch.inference_mode():
        with pytest.raises(ValueError, match=r"torch\.no_grad\(\)"):
            evaluate(potential, data)
        with pytest.raises(ValueError, match=r"torch\.no_grad\(\)"):
            next(fit(build("painn", channels=8), data, Objective(), steps=2))
        born_there = load_potential(path)
        assert np.isfinite(evaluate(network("direct"), data).force_mae)  # needs none
    for use in (Calculator, lambda p: Simulation(p, data[[0]]), lambda p: next(fit(p, data, Objective(), steps=2))):
        with pytest.raises(ValueError, match=r"was made inside torch\.inference_mode\(\)"):
            use(born_there)
    with torch.no_grad():
        assert len(list(fit(build("painn", channels=8), data, Objective(), steps=2))) == 2


def test_case_30_another_default_dtype_changes_nothing():
    torch.set_default_dtype(torch.float64)
    try:
        simulation = Simulation(network().float(), dataset(rattled(ETHANOL)))
        simulation.step()
        assert simulation.alive.all()
    finally:
        torch.set_default_dtype(torch.float32)


# The viewer


def test_case_29_every_element_can_be_drawn():
    numbers = np.arange(1, 119)
    places = np.stack([2.0 * numbers, 0.0 * numbers, 0.0 * numbers], axis=1)
    view = MoleculeView(numbers, places)
    assert len(scene.element_colours(numbers)) == len(scene.ball_radii(numbers)) == 118
    assert view.picture.molecule["labels"][-1] == "Og117"
    view.close()
    with pytest.raises(ValueError, match="numbers hold 1 to 119"):
        MoleculeView([1, 119], [[0, 0, 0], [0, 0, 2]])
    start = frame([118, 118], [[0, 0, 0], [0, 0, 3.0]])
    potential = build("painn", elements=[118], channels=8, layers=1, radial=4)
    potential.reference = {118: 0.0}
    assert record(Simulation(potential, dataset(start)), 3, 1).alive.all()
    assert len(_pilot("a", Track(reference_bonds(start), start), 0, "#000000")["colours"]) == 2


def test_case_29_no_atoms_are_said_and_the_next_molecule_is_drawn():
    view = MoleculeView([], np.zeros((0, 3)))
    assert repr(view) == "MoleculeView(no atoms)"
    assert "There is no atom to draw." in view.legend.value
    assert view.picture.layout.display == "none"
    view.show(np.zeros((0, 3)), np.zeros((0, 3)))
    json.dumps(view._state(), allow_nan=False)
    view.set_molecule([1], [[0, 0, 0]])
    assert view.picture.layout.display == ""
    assert "no atom" not in view.legend.value
    view.close()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("bare", [False, True])
def test_case_29_atoms_without_a_place_are_grey_where_they_were(bad, bare):
    water = rattled("H2O")
    view = MoleculeView(water.numbers, water.positions, bare=bare)
    moved = water.positions + 0.5
    moved[1, 2] = bad
    view.show(moved, np.full((3, 3), bad), np.full((3, 3), np.nan), atom_energy=np.full(3, bad))
    state = json.loads(json.dumps(view._state(), allow_nan=False))
    places = np.reshape(state["positions"], (3, 3))
    assert np.allclose(places[1], water.positions[1], atol=1e-4)
    assert np.allclose(places[[0, 2]], moved[[0, 2]], atol=1e-4)
    assert state["colours"][1] == 0xBBBBBB
    if not bare:
        assert "No place to draw H1: its position is no number." in view.legend.value
    view.show(water.positions)
    assert "No place" not in view.legend.value
    view.set_molecule(water.numbers, np.full((3, 3), bad), np.full((3, 3), bad), True)
    json.dumps(view.picture.molecule, allow_nan=False)
    view.close()
