"""Relations between frames: what `Dataset.check` finds, what it does not accuse, and who tells it."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import bulk, fcc111
from ase.calculators.emt import EMT
from ase.calculators.lj import LennardJones
from ase.data import atomic_numbers
from ase.md.verlet import VelocityVerlet
from frames import charged, ethanol, file_of, frame

from piwsl_lab.cli import main as cli
from piwsl_lab.data import Dataset, DataWarning, Frame, Metadata, checked, datasets, load, read
from piwsl_lab.data.sets import dataset as sets
from piwsl_lab.data.sets import relations
from piwsl_lab.data.sets.dataset import require_disjoint
from piwsl_lab.data.sets.draw import draw
from piwsl_lab.data.sets.fewer import Labels
from piwsl_lab.study.setup import Setup

KCAL, KJ = units.kcal / units.mol, units.kJ / units.mol
# Factors on the energies and forces of a right file, and a word of the cause.
MISTAKES = {
    "gradients": (1, -1, "gradients"),
    "forces per bohr": (1, units.Bohr, "per bohr"),
    "hartree and hartree/bohr": (1 / units.Hartree, units.Bohr / units.Hartree, "per bohr"),
    "forces in kcal/mol/Å": (1, 1 / KCAL, "forces in kcal/mol/Å"),
    "energies in kcal/mol": (1 / KCAL, 1, "energies in kcal/mol"),
    "energies in hartree": (1 / units.Hartree, 1, "energies in hartree"),
    "energies in kJ/mol": (1 / KJ, 1, "energies in kJ/mol"),
    "forces in hartree/bohr": (1, units.Bohr / units.Hartree, "forces in hartree/bohr"),
    "gradients in hartree/bohr": (1, -units.Bohr / units.Hartree, "gradients"),
}
PARTS = [f"{entry.name}:{part}" for entry in datasets() for part in entry.parts]
NO_FORCES = ("ethanol_pbe:H-removal", "ethanol_pbe:dimers", "acac_pbe:H-transfer", "acac_pbe:dihedral")
CRYSTALS = ["Cu_test", "Ge_training", "Ge_test", "Li_training", "Li_test", "Mo_training", "Mo_test"]
CRYSTALS += ["Ni_test", "Si_training", "Si_test"]
DIMERS = [f"train-id{number}" for number in (0, 2, 3, 4, 5, 6)]


def serious(data: Dataset) -> list[str]:
    return [finding.text for finding in data.check().serious]


def kinds(data: Dataset, level: str) -> set[str]:
    return {finding.kind for finding in data.check().findings if finding.level == level}


def scaled(data, energy: float, force: float) -> Dataset:
    """A set whose labels are written in other units."""
    frames = [replace(f, energy=f.energy * energy, forces=f.forces * force) for f in data]
    return Dataset(frames, Metadata("scaled"))


def crystal_frames(path: Path) -> Dataset:
    """Frames of the mlearn sets, which are JSON of pymatgen."""
    found = []
    for entry in json.loads(path.read_text("utf-8")):
        sites, outputs = entry["structure"]["sites"], entry["outputs"]
        numbers = [atomic_numbers[site["species"][0]["element"]] for site in sites]
        positions = [site["xyz"] for site in sites]
        cell = entry["structure"]["lattice"]["matrix"]
        found.append(Frame(numbers, positions, cell, True, outputs["energy"], np.array(outputs["forces"])))
    return Dataset(found, Metadata(path.stem))


@cache
def known(name: str, mirror: Path) -> Dataset:
    """A right set."""
    if name in CRYSTALS:
        return crystal_frames(mirror / "mlearn" / f"{name}.json")
    return read(mirror / "les_dimers" / f"{name}.xyz") if name in DIMERS else load(name)


# -- nothing is accused, nothing is missed ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARTS + CRYSTALS + DIMERS)
def test_right_sets_are_not_accused(name, mirror):
    assert serious(known(name, mirror)) == []


@pytest.mark.parametrize("name", [part for part in PARTS if part not in NO_FORCES] + CRYSTALS)
def test_case_36_other_units_and_signs_are_named_in_every_set(name, mirror):
    whole = known(name, mirror)
    part = whole[:: max(1, len(whole) // 500)]
    for mistake in ("gradients", "forces per bohr", "forces in kcal/mol/Å", "energies in hartree"):
        energy, force, cause = MISTAKES[mistake]
        (found,) = relations.units(list(scaled(part, energy, force)))
        assert found.level == "wrong"
        assert cause in found.text


@pytest.mark.parametrize("mistake", MISTAKES)
def test_case_36_eighty_frames_are_enough(mistake, tmp_path):
    energy, force, cause = MISTAKES[mistake]
    path = file_of(tmp_path / "mixed.xyz", scaled(ethanol(80, 20), energy, force))
    with pytest.warns(DataWarning, match=f"(?s)do not belong together.*{cause}.*piwsl-lab check {path}"):
        load(path)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["ethanol:800K", "aspirin", "ethanol:300K"])
def test_small_random_parts_are_not_accused(name, seed):
    whole = load(name)
    for size in (6, 12, 25, 50):
        part = whole[np.random.default_rng(seed).choice(len(whole), size, replace=False)]
        assert serious(part) == []


def test_too_few_frames_are_said_not_to_be_tested():
    (note,) = [f for f in Dataset(ethanol(4)).check().findings if f.kind == "units"]
    assert note.level == "note"
    assert "not tested" in note.text
    assert "4 frames" in note.text


def test_energies_per_atom_are_named():
    assert "energies per atom" in " ".join(serious(scaled(ethanol(60), 1 / 9, 1)))


def test_frames_turned_in_space_are_compared():
    """The forces of a turned molecule are turned: superposition has to turn them, too."""
    rng, turned = np.random.default_rng(0), []
    for f in load("ethanol:300K")[:200]:
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        turn *= np.sign(np.linalg.det(turn))
        turned.append(replace(f, positions=f.positions @ turn + rng.normal(0, 5, 3), forces=f.forces @ turn))
    (finding,) = [f for f in Dataset(turned).check().findings if f.kind == "units"]
    assert "belong together" in finding.text


def rattled_crystals(element: str, amplitude: float, n: int = 30) -> list[Frame]:
    """Perfect crystals whose atoms are moved at random, the first thing many people compute."""
    rng, frames = np.random.default_rng(0), []
    calculator = LennardJones(sigma=3.4, epsilon=0.0104, rc=8) if element == "Ar" else EMT()
    for _ in range(n):
        atoms = bulk(element, cubic=True) * (2, 2, 2)
        atoms.positions += rng.normal(0, amplitude, atoms.positions.shape)
        atoms.calc = calculator
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        frames.append(Frame(atoms.numbers, atoms.positions, atoms.cell[:], True, energy, forces))
    return frames


@pytest.mark.parametrize(
    ("element", "amplitude"), [("Au", 0.15), ("Au", 0.35), ("Cu", 0.3), ("Ni", 0.25), ("Al", 0.3), ("Ar", 0.3)]
)
def test_rattled_crystals_are_not_accused_and_their_mistakes_are_found(element, amplitude):
    """The trapezoid rule finds up to twice the work between independent rattles."""
    frames = rattled_crystals(element, amplitude)
    assert serious(Dataset(frames)) == []
    for mistake in ("gradients", "forces in kcal/mol/Å", "energies in hartree", "forces in hartree/bohr"):
        energy, force, _ = MISTAKES[mistake]
        (found,) = relations.units(list(scaled(frames, energy, force)))
        assert found.level == "wrong"
        assert ("sign is that of gradients" in found.text) == (mistake == "gradients")


def einstein_crystals(width: float, n: int = 40) -> list[Frame]:
    """Rattled atoms on springs whose forces level off beyond a displacement of `width`, Å."""
    rng, frames = np.random.default_rng(0), []
    lattice = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    for _ in range(n):
        move = rng.normal(0, rng.uniform(0.02, 0.15), lattice.positions.shape)
        move -= move.mean(axis=0)
        longer = np.sqrt(1 + (move / width) ** 2)
        energy, forces = (10 * width**2 * (longer - 1)).sum(), -10 * move / longer
        frames.append(Frame(lattice.numbers, lattice.positions + move, lattice.cell[:], True, energy, forces))
    return frames


def magnesia() -> Dataset:
    """30 rattled frames of GFN2-xTB, 8 atoms and no k-points: forces grow little beyond 0.1 Å."""
    return read(Path(__file__).with_name("mgo_rattled.npz"))


def test_right_labels_of_a_crystal_that_softens_are_not_accused():
    """The rule misses a third of the work, and the file was said to be in other units."""
    data = magnesia()
    assert serious(data) == []
    (note,) = [finding for finding in data.check().findings if finding.kind == "units"]
    assert "roughly" in note.text
    assert "1.6" in note.text


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_of_a_crystal_that_softens_are_found(mistake):
    energy, force, cause = MISTAKES[mistake]
    (found,) = relations.units(list(scaled(magnesia(), energy, force)))
    assert found.level == "wrong"
    assert cause in found.text


@pytest.mark.parametrize("width", [0.3, 0.1, 0.03, 0.02])
def test_a_factor_that_curvature_explains_is_not_told_and_a_larger_one_is(width):
    frames = einstein_crystals(width)
    assert serious(Dataset(frames)) == []
    for mistake in ("gradients", "hartree and hartree/bohr", "forces in kcal/mol/Å", "energies in hartree"):
        energy, force, _ = MISTAKES[mistake]
        (found,) = relations.units(list(scaled(frames, energy, force)))
        assert found.level == "wrong", mistake


MIXED = {
    "half of the signs": lambda frames, i: replace(frames[i], forces=frames[i].forces * (1 if i % 3 else -1)),
    "the next frame": lambda frames, i: replace(frames[i], energy=frames[i - 1].energy),
    "two units": lambda frames, i: replace(frames[i], forces=frames[i].forces * (1 if 2 * i < len(frames) else 0.0194)),
    "another order": lambda frames, i: replace(frames[i], forces=frames[i].forces[::-1]),
}


@pytest.mark.parametrize(
    ("name", "mixed"), [*(("ethanol", mixed) for mixed in MIXED), ("aspirin", "half of the signs")]
)
def test_mixed_labels_are_doubted(name, mixed):
    """They were said to be "not tested", as if there were too few frames."""
    frames = [load(name)[7 * i] for i in range(60)]
    found = relations.units([MIXED[mixed](frames, i) for i in range(60)])
    assert [finding.level for finding in found] == ["doubt"]
    assert "do not explain the energies" in found[0].text


@pytest.mark.parametrize("mixed", ["half of the signs", "another order"])
def test_mixed_labels_of_crystals_are_doubted(mixed):
    frames = rattled_crystals("Au", 0.2)
    (found,) = relations.units([MIXED[mixed](frames, i) for i in range(30)])
    assert found.level in ("doubt", "wrong")


# -- copies and electronic states -------------------------------------------------------------------------------------


def test_case_16_one_geometry_with_three_energies_names_the_charge(tmp_path):
    path = file_of(tmp_path / "charges.xyz", charged())
    with pytest.warns(
        DataWarning, match=r"30 times: they differ by up to 10\.5 eV .*frames 0, 1, 2.*charge \(-1, 0, 1\)"
    ):
        data = load(path)
    assert {"copies"} == {finding.kind for finding in data.check().wrong}
    assert "states" in kinds(data, "doubt")


def test_case_27_one_geometry_with_the_energies_of_two_methods():
    frames = []
    for f in ethanol(30, 20):
        frames += [replace(f, info={"method": "A"})]
        frames += [replace(f, energy=f.energy - 3875.0, forces=1.03 * f.forces, info={"method": "B"})]
    text = " ".join(serious(Dataset(frames)))
    assert "differ by up to 3875 eV" in text
    assert "method (A, B)" in text


def test_copies_of_one_energy_are_a_note():
    frames = ethanol(20)
    report = Dataset([*frames, *frames[:3]]).check()
    assert not report.serious
    assert "6 frames are copies: they show 3 geometries" in str(report)


def trajectory(element: str, n: int, kelvin: float, step: float = 0.5) -> list[Frame]:
    """Every step of a run of heavy atoms."""
    atoms, frames = fcc111(element, (2, 2, 3), vacuum=8), []
    atoms.calc = EMT()
    atoms.set_velocities(
        np.random.default_rng(0).normal(0, np.sqrt(kelvin * units.kB / atoms.get_masses()[0]), (12, 3))
    )
    run = VelocityVerlet(atoms, step * units.fs)
    for _ in range(n):
        run.run(1)
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        frames.append(Frame(atoms.numbers, atoms.positions, atoms.cell[:], atoms.pbc, energy, forces))
    return frames


@pytest.mark.parametrize(("element", "kelvin"), [("Au", 200), ("Au", 50), ("Pt", 300)])
def test_a_trajectory_whose_frames_hardly_move_is_not_accused_and_can_be_split(element, kelvin):
    """Every frame is a copy of the next, the ends are not: 300 frames were one geometry with two energies."""
    data = Dataset(trajectory(element, 300, kelvin))
    report = data.check()
    assert not report.serious
    assert "form long chains" in str(report)
    parts = draw(data, Labels(50, 50), Labels(10, 10), 50)
    assert [len(part) for part in parts[:3]] == [50, 10, 50]
    require_disjoint(train=parts.train, validation=parts.validation, test=parts.test, rest=parts.rest)
    split = data.split(100, 20, 50)
    require_disjoint(train=split.train, val=split.val, test=split.test)
    assert len(parts.rest) > 100


def test_two_energies_in_a_chain_are_found():
    frames = trajectory("Au", 100, 50)
    frames[40] = replace(frames[40], energy=frames[40].energy + 3)
    (finding,) = [f for f in Dataset(frames).check().wrong if f.kind == "copies"]
    assert 40 in finding.frames
    assert len(finding.frames) < 50


def test_two_methods_without_copies_are_two_kinds_of_energies():
    frames = [replace(f, energy=f.energy - 40 * (i % 2)) for i, f in enumerate(ethanol(60))]
    assert "two kinds of energies" in " ".join(serious(Dataset(frames)))


def test_other_charges_without_copies_are_said():
    frames = [replace(f, info={"charge": int(i == 5)}) for i, f in enumerate(ethanol(20))]
    (finding,) = Dataset(frames).check().serious
    assert finding.frames == (5,)
    assert "neutral (19 frames), +1 e (1 frame)" in finding.text


# -- place-holders and outliers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -1.0, -154.7])
def test_case_28_one_energy_for_all_geometries(value, tmp_path):
    path = file_of(tmp_path / "energy0.xyz", [replace(f, energy=value) for f in ethanol(12)])
    with pytest.warns(DataWarning, match=f"All 12 energies are {value:g} eV"):
        load(path)


def test_some_energies_that_are_place_holders():
    frames = [replace(f, energy=0.0) if i in (3, 8, 9) else f for i, f in enumerate(ethanol(40))]
    found = [f for f in Dataset(frames).check().serious if f.kind == "place-holders"]
    assert found[0].frames == (3, 8, 9)


def test_rounded_energies():
    frames = [replace(f, energy=round(f.energy, 1)) for f in ethanol(100)]
    assert "rounded" in kinds(Dataset(frames), "doubt")


def test_forces_of_zero():
    bare = [replace(f, forces=0 * f.forces) for f in ethanol(20)]
    assert "All 20 frames with forces have forces of exactly zero" in " ".join(serious(Dataset(bare)))
    some = [replace(f, forces=0 * f.forces) if i < 4 else f for i, f in enumerate(ethanol(40))]
    assert "4 of 40 frames with forces" in " ".join(serious(Dataset(some)))


def held(forces, fixed=None, n: int = 20) -> Dataset:
    return Dataset([replace(f, forces=f.forces * forces, fixed=fixed) for f in ethanol(n)])


def test_forces_without_those_on_held_atoms():
    """Codes that write constrained forces put zeros where atoms are held: the energies feel their forces."""
    rows = np.ones((9, 1))
    rows[:3] = 0
    fixed = np.repeat(rows == 0, 3, axis=1)
    for data in (held(rows, fixed), held(rows)):
        (finding,) = [f for f in data.check().findings if f.kind == "constrained forces"]
        assert finding.level == "doubt"
        assert "3 atoms" in finding.text
    along = np.ones((9, 3))
    along[:3, 2] = 0
    (finding,) = [f for f in held(along, along == 0).check().findings if f.kind == "constrained forces"]
    assert finding.level == "doubt"
    assert not [f for f in held(1.0, fixed).check().findings if f.kind == "constrained forces"]


def test_forces_that_symmetry_puts_to_zero_are_right():
    """The middle atom of a chain of three that breathes feels nothing."""
    frames = []
    for x in np.linspace(1.1, 1.3, 12):
        pull = [[1.16 - x, 0, 0], [0, 0, 0], [x - 1.16, 0, 0]]
        frames.append(frame([8, 6, 8], [[x, 0, 0], [0, 0, 0], [-x, 0, 0]], energy=(x - 1.16) ** 2, forces=pull))
    assert not [f for f in Dataset(frames).check().findings if f.kind == "constrained forces"]


def test_case_17_outliers_are_named(tmp_path):
    odd, frames = (3, 11, 17, 29, 41, 53), ethanol(60)
    for i in odd:
        forces = frames[i].forces.copy()
        forces[0] = [4e4, -3e4, 1e4]
        frames[i] = replace(frames[i], energy=frames[i].energy + 900.0, forces=forces)
    path = file_of(tmp_path / "outliers.xyz", frames)
    with pytest.warns(DataWarning, match=r"4e\+04 eV/Å.*frames 3, 11, 17, 29, 41, 53"):
        data = load(path)
    outliers = [finding for finding in data.check().wrong if finding.kind == "outliers"]
    assert [finding.frames for finding in outliers] == [odd, odd]
    # What is left is still held against its units.
    assert "Energies and forces belong together" in str(data.check())


@pytest.mark.parametrize(("energy", "force"), [(300.0, 1.0), (0.0, 500.0)])
def test_one_outlier_of_either_label_is_enough(energy, force):
    frames = ethanol(50)
    frames[7] = replace(frames[7], energy=frames[7].energy + energy, forces=frames[7].forces * force)
    (finding,) = [f for f in Dataset(frames).check().serious if f.kind == "outliers"]
    assert finding.frames == (7,)


def test_outliers_of_different_size_are_all_found():
    frames = [replace(f, energy=f.energy + 50.0 * i * (i > 45)) for i, f in enumerate(ethanol(50))]
    (finding,) = [f for f in Dataset(frames).check().serious if f.kind == "outliers"]
    assert finding.frames == (46, 47, 48, 49)


@pytest.mark.parametrize("unit", [KCAL, KJ])
def test_energies_beyond_what_electrons_bind(unit, mirror):
    assert "energies" in kinds(scaled(load("ethanol_pbe")[:50], 1 / unit, 1 / unit), "wrong")


def test_copies_of_a_crystal_with_one_atom_in_its_cell_are_compared():
    cells = [np.eye(3) * side for side in (2.5, 2.5, 2.6, 2.7)]
    frames = [Frame([29], np.zeros((1, 3)), cell, True, energy) for cell, energy in zip(cells, range(4), strict=True)]
    (finding,) = [f for f in Dataset(frames).check().findings if f.kind == "copies" and f.level == "wrong"]
    assert finding.frames == (0, 1)


def test_a_lost_decimal_point_is_seen():
    frames = ethanol(20)
    lost = frames[7].positions.copy()
    lost[2, 1] *= 1e5
    frames[7] = replace(frames[7], positions=lost)
    report = Dataset(frames).check()
    (finding,) = [f for f in report.serious if f.kind == "extents"]
    assert finding.frames == (7,)
    assert "lost decimal point" in finding.text


def test_notes_on_elements_distances_net_forces_and_missing_labels():
    frames = ethanol(20)
    frames[4] = replace(frames[4], numbers=np.r_[frames[4].numbers[:-1], 9], energy=None, forces=None)
    frames[5] = replace(frames[5], forces=frames[5].forces + 0.1)
    squeezed = frames[6].positions.copy()
    squeezed[1] = squeezed[0] + [0.3, 0, 0]
    frames[6] = replace(frames[6], positions=squeezed)
    notes = {
        f.kind: f for f in Dataset(frames, remarks=["column X was passed over"]).check().findings if f.level == "note"
    }
    assert "F in 1 of 20 frames" in notes["elements"].text
    assert notes["net force"].frames == (5,)
    assert notes["distances"].frames == (6,)
    assert "19 of 20 have an energy" in notes["labels"].text
    assert notes["reading"].text == "column X was passed over"


def test_empty_and_tiny_sets_have_a_report():
    assert "no frames" in str(Dataset([]).check())
    assert not Dataset([frame([1], [[0, 0, 0]], energy=-13.6)]).check().serious
    assert not Dataset([frame([1, 1], [[0, 0, 0], [0.74, 0, 0]])]).check().serious


# -- who tells it -----------------------------------------------------------------------------------------------------


def test_a_catalogued_set_and_a_right_file_warn_of_nothing(tmp_path):
    path = file_of(tmp_path / "right.xyz", ethanol(40))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load("ethanol")
        load(path)


def test_a_file_is_looked_at_once_until_it_changes(tmp_path, monkeypatch):
    path = file_of(tmp_path / "mine.xyz", ethanol(12))
    looked = []
    whole = sets.report_on
    monkeypatch.setattr(sets, "report_on", lambda *data: looked.append(data) or whole(*data))
    load(path)
    load(path)
    assert len(looked) == 1
    file_of(tmp_path / "mine.xyz", [replace(f, energy=0.0) for f in ethanol(12)])
    with pytest.warns(DataWarning, match="All 12 energies are 0 eV"):
        load(path)


@pytest.mark.parametrize("form", ["pattern", "list"])
def test_f7_files_that_are_joined_are_looked_at_once_and_told(form, tmp_path, monkeypatch):
    frames = [replace(frame, energy=-1.0) for frame in ethanol(40)]
    first, second = file_of(tmp_path / "a1.xyz", frames[:20]), file_of(tmp_path / "a2.xyz", frames[20:])
    named = str(tmp_path / "a*.xyz") if form == "pattern" else [first, second]
    with pytest.warns(DataWarning, match="place-holder"):
        load(named)
    assert "place-holder" in checked.doubts(named)
    monkeypatch.setattr(sets, "report_on", None)
    with pytest.warns(DataWarning, match="place-holder"):
        load(named)
    file_of(Path(second), ethanol(40)[20:])
    assert checked.doubts(named) == ""
    assert checked.doubts(str(tmp_path / "b*.xyz")) == ""


def test_the_command_prints_the_report_and_says_by_its_exit_code_whether_something_is_wrong(tmp_path, capsys):
    right = file_of(tmp_path / "right.xyz", ethanol(40))
    wrong = file_of(tmp_path / "wrong.xyz", scaled(ethanol(40), 1, -1))
    assert cli.main(["check", right]) == 0
    printed = capsys.readouterr()
    assert "40 frames of 9 atoms" in printed.out
    assert "Nothing looks wrong." in printed.out
    out = tmp_path / "found.json"
    assert cli.main(["check", right, wrong, "--json", str(out)]) == 1
    printed = capsys.readouterr()
    assert "wrong  Energies and forces do not belong together" in printed.out
    assert printed.err == ""
    stored = json.loads(out.read_text("utf-8"))
    assert [entry["name"] for entry in stored] == [right, wrong]
    assert stored[1]["findings"][0]["level"] == "wrong"
    assert cli.main(["check", "ethanol"]) == 0
    assert cli.main(["check", str(tmp_path / "none.xyz")]) == 2


def test_the_dashboard_says_what_looks_wrong_in_a_file(tmp_path):
    from piwsl_lab.lab.panels import html
    from piwsl_lab.lab.sessions.training import Session

    path = file_of(tmp_path / "gradients.xyz", scaled(ethanol(80), 1, -1))
    setup = Setup(data=path, energies=10, forces=10, channels=8, layers=1, steps=4)
    with pytest.warns(DataWarning):
        session = Session(setup)
    assert "The sign is that of gradients" in html.status(session, [])
    session.reset(replace(setup, data="ethanol"))
    assert "gradients" not in html.status(session, [])
