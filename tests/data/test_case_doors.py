"""What people of the field feed to the door: labels under every name, physics that is kept, files that are called
by their names. The numbers are those of the cases that were collected; each test fails on the code of 21 November."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sqlite3
import warnings
import zipfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLength, FixCartesian, FixedLine, FixedPlane
from ase.db import connect
from frames import said

from piwsl_lab.data import DataError, Dataset, DataWarning, Frame, load, read
from piwsl_lab.data.formats import opening


def ethanol(n: int = 6, energy: float | None = -300.0, forces: bool = True) -> list[Atoms]:
    """Shaken ethanol; frame i has the energy -300 - i and forces that grow with i."""
    images = []
    for i in range(n):
        atoms = molecule("CH3CH2OH")
        atoms.rattle(0.05, seed=i)
        results = {} if energy is None else {"energy": energy - i}
        if forces:
            results["forces"] = np.random.default_rng(i).standard_normal((9, 3))
        atoms.calc = SinglePointCalculator(atoms, **results)
        images.append(atoms)
    return images


def bare(atoms: Atoms, **info) -> Atoms:
    copy = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    copy.info.update(info)
    return copy


def named(images: list[Atoms], energy: str, forces: str) -> list[Atoms]:
    """The same labels under other names, outside the calculator."""
    out = []
    for atoms in images:
        copy = bare(atoms, **{energy: atoms.calc.results["energy"]})
        copy.arrays[forces] = atoms.calc.results["forces"].copy()
        out.append(copy)
    return out


def save(path: Path, images: list[Atoms]) -> Path:
    ase.io.write(path, images, **({"format": "extxyz"} if path.suffix == ".xyz" else {}))
    return path


def same_labels(data: Dataset, images: list[Atoms]) -> bool:
    energies = [atoms.calc.results["energy"] for atoms in images]
    np.testing.assert_allclose([frame.energy for frame in data], energies, atol=1e-7)
    for frame, atoms in zip(data, images, strict=True):
        np.testing.assert_allclose(frame.forces, atoms.calc.results["forces"], atol=1e-7)
    return True


# -- names of labels -------------------------------------------------------------------------------

NAMES = [
    ("REF_energy", "REF_forces"),
    ("ref_energy", "ref_force"),
    ("energy", "REF_forces"),
    ("energy", "force"),
    ("Energy", "Forces"),
    ("dft_energy", "dft_force"),
    ("DFT_energy", "DFT_forces"),
    ("TotEnergy", "forces"),
    ("total_energy", "forces"),
    ("free_energy", "forces"),
    ("pbe_energy", "pbe_forces"),
    ("energy_ref", "forces_DFT"),
    ("energy_eV", "forces_eV_A"),
    ("E_tot", "FORCES"),
]


@pytest.mark.parametrize(("energy", "forces"), NAMES)
def test_case_01_labels_are_found_under_every_name(tmp_path: Path, energy: str, forces: str) -> None:
    images = ethanol()
    data = read(save(tmp_path / "own.xyz", named(images, energy, forces)))
    assert same_labels(data, images)
    assert said(data, "Energies", f"'{energy}'", "6 frames")
    assert said(data, "Forces", f"'{forces}'")


def test_case_01_a_gradient_is_no_force_and_is_named(tmp_path: Path) -> None:
    data = read(save(tmp_path / "own.xyz", named(ethanol(), "energy", "gradient")))
    assert (data.n_energies, data.n_forces) == (6, 0)
    assert said(data, "'gradient' was passed over", "6 frames")
    assert said(data, "gradient", "negative of the forces")


@pytest.mark.parametrize("name", ["atomization_energy", "mace_energy", "energy_per_atom", "formation_energy"])
def test_case_01_other_energies_are_passed_over_by_name(tmp_path: Path, name: str) -> None:
    images = [bare(atoms, **{name: -1.0}) for atoms in ethanol()]
    with pytest.raises(DataError, match=f"no frame has an energy or forces; write .*found instead: {name}"):
        read(save(tmp_path / "own.xyz", images))
    labelled = ethanol()
    for atoms in labelled:
        atoms.info[name] = -1.0
    data = read(save(tmp_path / "both.xyz", labelled))
    assert same_labels(data, labelled)
    assert said(data, f"'{name}' was passed over (6 frames)")


def test_case_01_columns_without_a_name_are_counted(tmp_path: Path) -> None:
    lines = [f"{s} {x} {y} {z} 0.1 0.2 0.3" for s, (x, y, z) in zip("OHH", molecule("H2O").positions, strict=True)]
    (tmp_path / "own.xyz").write_text("\n".join(["3", "energy=-1.0", *lines]) + "\n")
    data = read(tmp_path / "own.xyz")
    assert said(data, "3 columns without a name")


def test_case_01_an_energy_that_was_passed_over_is_warned_of(tmp_path: Path) -> None:
    for name in ("energy_hartree", "E0", "scf_energy"):
        with pytest.warns(DataWarning, match=f"no frame has an energy, but '{name}' was passed over"):
            data = read(save(tmp_path / "own.xyz", named(ethanol(), name, "forces")))
        assert (data.n_energies, data.n_forces) == (0, 6)
    data = read(save(tmp_path / "own.xyz", named(ethanol(), "energy", "pull")))
    assert said(data, "'pull' was passed over (6 frames)")


def test_case_18_what_else_stands_in_a_file_is_named(tmp_path: Path) -> None:
    images = ethanol()
    for atoms in images:
        atoms.calc.results |= {"stress": np.ones(6), "dipole": np.ones(3), "magmoms": np.ones(9)}
        atoms.set_tags(np.arange(9))
        atoms.set_momenta(np.ones((9, 3)))
    data = read(save(tmp_path / "own.traj", images))
    for name in ("stress", "dipole", "magmoms", "tags", "momenta"):
        assert said(data, f"'{name}' was passed over (6 frames)"), name
    assert same_labels(data, images)


def test_case_35_a_reference_comes_before_a_calculator(tmp_path: Path) -> None:
    images = ethanol()
    evaluated = named(images, "REF_energy", "REF_forces")
    for atoms in evaluated:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((9, 3)))
    data = read(save(tmp_path / "evaluated.xyz", evaluated))
    assert same_labels(data, images)
    assert said(data, "'energy' was passed over", "up to 304 eV from 'REF_energy'")
    again = Dataset.from_atoms(data.to_atoms())
    assert same_labels(again, images)


def test_case_35_energy_and_free_energy_are_told_apart(tmp_path: Path) -> None:
    images = ethanol()
    for atoms in images:
        atoms.calc.results["free_energy"] = atoms.calc.results["energy"] - 0.35
    data = read(save(tmp_path / "smeared.xyz", images))
    assert same_labels(data, images)
    assert said(data, "'free_energy' was passed over", "up to 0.35 eV from 'energy'")
    for atoms in images:
        del atoms.calc.results["energy"]
    data = read(save(tmp_path / "only_free.traj", images))
    assert data[0].energy == pytest.approx(-300.35)
    assert said(data, "Energies were read from 'free_energy'")


def test_case_35_forces_of_another_method_do_not_stand_beside_a_reference_energy(tmp_path: Path) -> None:
    images = ethanol()
    for atoms in images:
        atoms.info["REF_energy"] = -5.0
    data = read(save(tmp_path / "own.xyz", images))
    assert [frame.energy for frame in data] == [-5.0] * 6
    assert data.n_forces == 0
    assert said(data, "'forces' was passed over")
    for atoms in images:
        atoms.info["REF_energy"] = atoms.calc.results["energy"]
    # The same energy twice: both names are of one calculation, so the forces are of it too.
    assert same_labels(read(save(tmp_path / "twice.xyz", images)), images)


def test_case_35_names_that_change_between_frames_are_warned_of(tmp_path: Path) -> None:
    images = ethanol()
    mixed = named(images[:4], "REF_energy", "REF_forces") + images[4:]
    with pytest.warns(DataWarning, match=r"'REF_energy' in 4 frames, 'energy' in 2 frames"):
        data = read(save(tmp_path / "mixed.xyz", mixed))
    assert data.n_energies == 6
    for atoms in mixed[:4]:
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.zeros((9, 3)))
    with pytest.warns(DataWarning, match=r"only under names .*'energy' in 2 frames, 'forces' in 2 frames.*left out"):
        data = read(save(tmp_path / "left.xyz", mixed))
    assert (data.n_energies, data.n_forces) == (4, 4)


def test_case_35_two_methods_without_a_reference_are_refused(tmp_path: Path) -> None:
    images = [bare(atoms, pbe_energy=-1.0, b3lyp_energy=-2.0) for atoms in ethanol()]
    with pytest.raises(DataError, match=r"frame 0 of .*energies of several methods.*call one of them 'energy'"):
        read(save(tmp_path / "own.xyz", images))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("energy=-301.0", "energy=T", r"frame 1 of .*'energy' is True, true or false and no number"),
        ("energy=-301.0", "energy=-301.0 energy=-5.0", r"frame 1 of .*'energy' stands twice"),
        ("energy=-301.0", 'energy=-301.0 energy = "-301.0"', r"frame 1 of .*'energy' stands twice"),
        ("energy=-301.0", "energy=-301.0 Energy=-5", r"frame 1 of .*'Energy' is -5 and 'energy' is -301.*one name"),
        ("energy=-301.0", "energy=-301.0 pbc_=1 Lattice=1", r"frame 1 of .*own\.xyz: cannot be read .*9-long"),
        ("energy=-301.0", "energy=nan", r"frame 1 of .*energy is nan"),
        ("energy=-301.0", "energy=None", r"frame 1 of .*energy is 'None', not a number"),
        ("energy=-301.0", "energy=-301.0 charge=T", r"frame 1 of .*'charge' is True, not one number"),
        ("forces:R:3", "forces:R:3:forces:R:3", r"frame 0 of .*column 'forces' stands twice"),
        ("forces:R:3", "forces:R", r"frame 0 of .*Properties=.* is not name:type:columns"),
    ],
)
def test_f7_values_that_no_file_can_mean(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = save(tmp_path / "own.xyz", ethanol(3))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read(path)


def test_case_31_some_energies_and_some_forces(tmp_path: Path) -> None:
    images = ethanol(20)
    for i, atoms in enumerate(images):
        if i % 5:
            del atoms.calc.results["forces"]
        if i % 7 == 6:
            del atoms.calc.results["energy"]
    for name in ("partial.xyz", "partial.traj"):
        data = read(save(tmp_path / name, images))
        assert (len(data), data.n_energies, data.n_forces) == (20, 18, 4)


def test_case_32_forces_without_energies(tmp_path: Path) -> None:
    data = load(save(tmp_path / "forces.xyz", ethanol(energy=None)))
    assert (data.n_energies, data.n_forces) == (0, 6)


@pytest.mark.parametrize("name", ["start.xyz", "start.pdb", "start.cif", "POSCAR"])
def test_case_22_a_start_structure_needs_no_label(tmp_path: Path, name: str) -> None:
    atoms = bare(ethanol(1)[0])
    atoms.set_cell([12, 12, 12])
    atoms.pbc = True
    ase.io.write(tmp_path / name, atoms)
    (frame,) = load(tmp_path / name, labels=False)
    assert len(frame) == 9
    with pytest.raises(DataError, match="no frame has an energy or forces"):
        load(tmp_path / name)


def test_case_22_an_xsf_without_an_energy_can_be_a_start(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "own.xsf", bulk("Cu", cubic=True))
    (frame,) = load(tmp_path / "own.xsf", labels=False)
    assert (len(frame), frame.forces, frame.pbc.all()) == (4, None, True)


def test_case_13_what_ase_warns_of_is_a_remark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "own.traj", ethanol())
    whole = ase.io.read

    def warned(*arguments, **named):
        warnings.warn("this format is old", FutureWarning, stacklevel=2)
        return whole(*arguments, **named)

    monkeypatch.setattr(ase.io, "read", warned)
    assert said(read(path), "ASE says: this format is old")


# -- labels and geometry ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda a: a.center(vacuum=5), "positions"),
        (lambda a: a.set_cell([20, 20, 20]), "cell"),
        (lambda a: a.set_initial_charges([1.0] + [0.0] * 8), "initial_charges"),
        (lambda a: a.set_pbc(False) or a.rattle(0.1), "positions"),
    ],
)
def test_case_04_labels_that_left_their_geometry_are_counted(change, what: str) -> None:
    images = ethanol(5)
    for atoms in images[:3]:
        change(atoms)
    with pytest.warns(DataWarning, match=rf"3 frames had labels that no longer belong .*{what}"):
        data = Dataset.from_atoms(images)
    assert (len(data), data.n_energies, data.n_forces) == (5, 2, 2)


def isolated(symbol: str, energy: float | None, **info) -> Atoms:
    atoms = Atoms(symbol, [[0, 0, 0]])
    atoms.info.update(info)
    if energy is not None:
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((1, 3)))
    return atoms


ATOMS = {"H": -10.707, "C": -48.847, "O": -102.58}


@pytest.mark.parametrize("mark", ["IsolatedAtom", "isolated_atom", "Isolated atom", None])
def test_case_08_isolated_atoms_become_reference_energies(tmp_path: Path, mark: str | None) -> None:
    info = {} if mark is None else {"config_type": mark}
    images = [isolated(symbol, energy, **info) for symbol, energy in ATOMS.items()] + ethanol()
    data = load(save(tmp_path / "own.xyz", images))
    assert data.isolated_energies == {1: -10.707, 6: -48.847, 8: -102.58}
    assert data.reference_energies() == data.isolated_energies
    assert len(data) == 6
    assert min(len(frame) for frame in data) == 9
    assert said(data, "3 isolated atoms became reference energies", "H -10.707 eV")


def test_case_08_spin_states_ions_and_missing_elements(tmp_path: Path) -> None:
    images = [
        isolated("H", -10.0, multiplicity=4),
        isolated("H", -13.0, multiplicity=2),
        isolated("C", -40.0, charge=1),
        isolated("O", None),
        *ethanol(),
    ]
    data = load(save(tmp_path / "own.xyz", images))
    assert data.isolated_energies == {1: -13.0}
    assert len(data) == 6
    assert said(data, "H has 2 energies", "-13 to -10 eV", "lowest")
    assert said(data, "1 isolated atoms charged were left out")
    assert said(data, "1 isolated atoms without an energy were left out")
    assert said(data, "No isolated atom of C, O")


def test_case_08_bulk_of_one_atom_far_pairs_and_atoms_alone_stay_frames(tmp_path: Path) -> None:
    crystals = []
    for i, a in enumerate((3.5, 3.6, 3.7)):
        atoms = bulk("Cu", a=a)
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0 - i)
        crystals.append(atoms)
    box = Atoms("Cu", [[0, 0, 0]], cell=[15, 15, 15], pbc=True)
    box.calc = SinglePointCalculator(box, energy=-0.2)
    data = load(save(tmp_path / "bulk.xyz", [*crystals, box]))
    assert (len(data), data.isolated_energies) == (3, {29: -0.2})
    pair = Atoms("OH", [[0, 0, 0], [0, 0, 9.0]])
    pair.calc = SinglePointCalculator(pair, energy=-113.0)
    data = load(save(tmp_path / "pairs.xyz", [pair, *ethanol()]))
    assert (len(data), dict(data.isolated_energies)) == (7, {})
    data = load(save(tmp_path / "atoms.xyz", [isolated(s, e) for s, e in ATOMS.items()]))
    assert (len(data), dict(data.isolated_energies)) == (3, {})
    assert said(data, "All frames are isolated atoms")


def test_f2_a_skewed_crystal_of_one_atom_is_no_isolated_atom(tmp_path: Path) -> None:
    crystal = bulk("Cu", a=3.6)
    skewed = crystal.copy()
    skewed.set_cell(np.array([[-35, -4, 2], [-36, -19, 5], [-6, -4, 1]]) @ crystal.cell.array)
    for atoms in (crystal, skewed):
        atoms.calc = SinglePointCalculator(atoms, energy=-3.0)
    data = load(save(tmp_path / "own.xyz", [skewed, *ethanol()]))
    assert (len(data), dict(data.isolated_energies)) == (7, {})


# -- physics that is kept --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["own.xyz", "own.traj", "own.db", "own.json"])
def test_case_02_constraints_are_kept_and_forces_stay_raw(tmp_path: Path, name: str) -> None:
    images = ethanol()
    for atoms in images:
        atoms.set_constraint(FixAtoms(indices=[0, 1, 2]))
    if name.endswith(("db", "json")):
        with connect(tmp_path / name) as database:
            for atoms in images:
                database.write(atoms)
    else:
        save(tmp_path / name, images)
    data = read(tmp_path / name)
    assert same_labels(data, images)
    assert all(frame.fixed.tolist() == [[True] * 3] * 3 + [[False] * 3] * 6 for frame in data)
    assert [a.constraints[0].index.tolist() for a in data.to_atoms()] == [[0, 1, 2]] * 6


def test_case_02_every_constraint_is_kept_or_named() -> None:
    (atoms,) = ethanol(1)
    atoms.set_constraint(
        [
            FixCartesian(0, (True, False, True)),
            FixedPlane(1, (0, 0, 1)),
            FixedLine(2, (1, 0, 0)),
            FixedPlane(3, (1, 1, 0)),
            FixBondLength(4, 5),
        ]
    )
    data = Dataset.from_atoms([atoms])
    held = data[0].fixed
    assert held[:3].tolist() == [[True, False, True], [False, False, True], [False, True, True]]
    assert not held[3:].any()
    assert said(data, "'constraint FixedPlane' was passed over")
    assert said(data, "'constraint FixBondLengths' was passed over")
    np.testing.assert_array_equal(Dataset.from_atoms(data.to_atoms())[0].fixed, held)


def test_case_02_masses_cell_charge_and_spin_survive_a_round_trip(tmp_path: Path) -> None:
    (atoms,) = ethanol(1)
    masses = atoms.get_masses()
    masses[3] = 2.014
    atoms.set_masses(masses)
    atoms.set_cell([[9, 0, 0], [1, 9, 0], [0, 0, 9]])
    atoms.set_pbc([True, True, False])
    atoms.info.update(total_charge=1, spin=2)
    atoms.set_constraint(FixCartesian([0, 2], (True, False, False)))
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=np.ones((9, 3)))
    first = Dataset.from_atoms([atoms])[0]
    for path in (None, tmp_path / "own.traj"):
        back = Dataset.from_atoms([atoms]).to_atoms()
        frame = Dataset.from_atoms(back)[0] if path is None else read(save(path, back))[0]
        assert (frame.charge, frame.multiplicity) == (1.0, 2)
        assert frame.masses[3] == 2.014
        assert frame.pbc.tolist() == [True, True, False]
        np.testing.assert_array_equal(frame.cell, atoms.cell.array)
        np.testing.assert_array_equal(frame.fixed, first.fixed)
        assert (frame.energy, frame.forces.tolist()) == (-1.0, np.ones((9, 3)).tolist())
    assert Dataset.from_atoms(ethanol(1))[0].masses is None


@pytest.mark.parametrize(
    ("info", "charge", "multiplicity"),
    [
        ({"charge": 1, "spin": 2}, 1, 2),
        ({"tot_charge": -1, "spin_multiplicity": 2}, -1, 2),
        ({"Charge": 0, "multiplicity": 3}, 0, 3),
        ({"total_charge": 1.0, "charge": 1}, 1, None),
        ({"spin": 0}, 0, None),  # S, not 2S + 1
        ({"spin": 2}, 0, None),  # an even number of electrons has no doublet
        ({"spin": 0.5}, 0, None),
    ],
)
def test_case_16_charge_and_multiplicity_under_their_names(info: dict, charge: int, multiplicity: int | None) -> None:
    (atoms,) = ethanol(1)
    atoms.info.update(info)
    data = Dataset.from_atoms([atoms])
    assert (data[0].charge, data[0].multiplicity) == (charge, multiplicity)
    assert said(data, "'spin' was passed over") == ("spin" in info and multiplicity is None)


def test_case_16_charges_of_atoms_sum_up_or_are_named(tmp_path: Path) -> None:
    for total, kept in ((1.0, 1.0), (0.4, 0.0)):
        atoms = bare(ethanol(1)[0])
        atoms.set_initial_charges([total / 9] * 9)
        atoms.calc = SinglePointCalculator(atoms, energy=-1.0)
        data = read(save(tmp_path / "own.traj", [atoms]))
        assert data[0].charge == kept
        assert said(data, "'initial_charges'", "passed over" if kept == 0 else "sum of")
    with pytest.raises(DataError, match="'charge' is 1, 'total_charge' is 0: they contradict each other"):
        Dataset.from_atoms([bare(atoms, charge=1, total_charge=0)])
    with pytest.raises(DataError, match=r"multiplicity is 0; 2S \+ 1"):
        Dataset.from_atoms([bare(atoms, multiplicity=0)])


@pytest.mark.parametrize("spin", [np.inf, -np.inf, np.nan, None, "up", [1, 2], 1e300, 1j, {"up": 1}])
def test_f4_a_spin_of_nonsense_is_passed_over(spin) -> None:
    (atoms,) = ethanol(1)
    atoms.info["spin"] = spin
    data = Dataset.from_atoms([atoms])
    assert data[0].multiplicity is None
    assert said(data, "'spin' was passed over") == (spin is not None)


def test_f4_keys_of_info_need_not_be_text() -> None:
    (atoms,) = ethanol(1)
    atoms.info.update({7: 1.5, ("a", "b"): "c", None: 2})
    (frame,) = Dataset.from_atoms([atoms])
    assert frame.info["7"] == 1.5
    assert frame.energy == atoms.get_potential_energy()


@pytest.mark.parametrize("name", ["charge", "multiplicity"])
@pytest.mark.parametrize("value", [np.nan, np.inf, "one", "1", None, True, [1, 2], 1j])
def test_f4_charge_and_multiplicity_of_a_frame_are_numbers(name: str, value) -> None:
    with pytest.raises(DataError, match=f"{name} is .*; correct"):
        Frame([1], [[0.0, 0.0, 0.0]], info={name: value})


@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_f4_a_multiplicity_is_whole_and_above_0(value) -> None:
    with pytest.raises(DataError, match=r"multiplicity is .*: correct"):
        Frame([1], [[0.0, 0.0, 0.0]], info={"multiplicity": value})
    assert Frame([1], [[0.0, 0.0, 0.0]], info={"multiplicity": 2.0, "charge": np.float32(-1)}).multiplicity == 2


@pytest.mark.parametrize("name", ["~nobodyofthisname/*.xyz", "~nobodyofthisname/a.xyz"])
def test_f4_the_home_of_nobody_is_no_folder(name: str) -> None:
    with pytest.raises(DataError, match="~nobodyofthisname"):
        load(name)


# -- databases -------------------------------------------------------------------------------------


def test_case_09_schnetpack_databases_with_their_units(tmp_path: Path) -> None:
    images = ethanol()
    ev, bohr = 27.211386024367243, 0.5291772105638411
    with connect(tmp_path / "spk.db") as database:
        refs = [0.0] * 10
        refs[1], refs[6], refs[8] = -0.5, -37.8, -75.0
        database.metadata = {
            "_property_unit_dict": {"energy": "Hartree", "forces": "Hartree/Bohr", "dipole_moment": "Debye"},
            "_distance_unit": "Bohr",
            "atomrefs": {"energy": refs},
        }
        for atoms in images:
            results = atoms.calc.results
            data = {"energy": np.array([results["energy"] / ev]), "forces": results["forces"] / ev * bohr}
            data["dipole_moment"] = np.ones(3)
            database.write(Atoms(atoms.numbers, atoms.positions / bohr), data=data)
    data = read(tmp_path / "spk.db")
    np.testing.assert_allclose(data[1].positions, images[1].positions)
    assert same_labels(data, images)
    assert data.isolated_energies[8] == pytest.approx(-75.0 * ev)
    assert said(data, "Energies were read from 'data.energy'")
    assert said(data, "'data.dipole_moment' was passed over")


def test_case_09_key_value_pairs_are_read_or_named(tmp_path: Path) -> None:
    for key, found in (("total_energy", 6), ("U0_energy", 0)):
        path = tmp_path / f"{key}.db"
        with connect(path) as database:
            for atoms in ethanol():
                database.write(Atoms(atoms.numbers, atoms.positions), key_value_pairs={key: -5.0})
        if found:
            assert [frame.energy for frame in read(path)] == [-5.0] * 6
        else:
            with pytest.raises(DataError, match="Keys found instead: U0_energy"):
                read(path)


def test_f8_a_mapping_in_a_database_is_named(tmp_path: Path) -> None:
    with connect(tmp_path / "own.db") as database:
        for atoms in ethanol():
            energy = atoms.get_potential_energy()
            database.write(
                Atoms(atoms.numbers, atoms.positions), data={"energy": energy, "notes": {"a": 1}, "who": "x"}
            )
    data = read(tmp_path / "own.db")
    assert said(data, "'notes' was passed over (6 frames)")
    assert data[0].info["who"] == "x"


@pytest.mark.parametrize("value", ["n/a", {"value": 1.0}, True, [1.0, None]])
def test_f8_a_label_that_is_no_number_is_named_with_its_row(tmp_path: Path, value) -> None:
    with connect(tmp_path / "own.db") as database:
        for i, atoms in enumerate(ethanol(3)):
            database.write(Atoms(atoms.numbers, atoms.positions), data={"energy": value if i == 1 else -1.0})
    with pytest.raises(DataError, match=r"row 2 of .*own\.db: 'energy' is .*correct"):
        read(tmp_path / "own.db")


def test_case_09_a_database_is_never_written_to(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE results (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"an SQLite database that ASE did not write \(tables: results\)"):
        read(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


# -- texts, compressed files, several files --------------------------------------------------------


def test_case_12_marks_compression_and_endings_are_read(tmp_path: Path) -> None:
    images = ethanol()
    raw = save(tmp_path / "plain.xyz", images).read_bytes()
    written = {
        "bom.xyz": b"\xef\xbb\xbf" + raw,
        "a.txt": raw,
        "noend": raw,
        "crlf.xyz": raw.replace(b"\n", b"\r\n"),
        "UPPER.XYZ": raw,
        "open.xyz": raw.rstrip(),
        "blank.xyz": raw + b"\n\n \n",
        "p.xyz.gz": gzip.compress(raw),
        "p.xyz.bz2": bz2.compress(raw),
        "p.xyz.xz": lzma.compress(raw),
        "strange @2 [1] * name.xyz": raw,
        "-": raw,
    }
    for name, content in written.items():
        (tmp_path / name).write_bytes(content)
        assert same_labels(read(tmp_path / name), images), name
        assert same_labels(load(str(tmp_path / name)), images), name


def test_case_12_texts_and_archives_that_are_not_read_have_a_name(tmp_path: Path) -> None:
    raw = save(tmp_path / "plain.xyz", ethanol()).read_bytes()
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("plain.xyz", raw)
    with zipfile.ZipFile(tmp_path / "p.xyz", "w") as archive:
        archive.writestr("a.xyz", raw)
    (tmp_path / "u.xyz").write_bytes(raw.decode().encode("utf-16"))
    (tmp_path / "l.xyz").write_bytes(raw.replace(b"energy=", 'note="Prüfung" energy='.encode("latin-1")))
    for name, message in {
        "p.zip": r"p\.zip: is a zip archive; unpack it.*plain\.xyz",
        "p.xyz": r"p\.xyz: is a zip archive; unpack it",
        "u.xyz": r"u\.xyz: is a text in UTF-16; save it as UTF-8",
        "l.xyz": r"frame 0 of .*l\.xyz: its comment is not UTF-8 text.*save the file as UTF-8",
    }.items():
        with pytest.raises(DataError, match=message):
            read(tmp_path / name)


def test_case_12_a_folder_is_called_a_folder(tmp_path: Path) -> None:
    save(tmp_path / "run1.xyz", ethanol())
    with pytest.raises(DataError, match=r"is a folder, not a file; it holds 1 files that end in \.xyz.*\*\.xyz'"):
        load(str(tmp_path))
    (tmp_path / "deep" / "set.000").mkdir(parents=True)
    (tmp_path / "deep" / "type.raw").write_text("0 0\n")
    with pytest.raises(DataError, match=r"is a folder of DeePMD.*dpdata"):
        read(tmp_path / "deep")


@pytest.mark.parametrize("kept", [0.21, 0.53, 0.87, 0.995])
def test_case_12_a_file_that_is_cut_says_after_which_frame(tmp_path: Path, kept: float) -> None:
    path = save(tmp_path / "cut.xyz", ethanol(20))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=r"cut\.xyz: ends after frame \d+, in the middle of frame \d+ .*cut: copy"):
        read(path)


def test_case_12_a_part_is_never_taken_for_the_whole(tmp_path: Path) -> None:
    path = save(tmp_path / "own.xyz", ethanol(4))
    whole = path.read_text()
    # ASE stops at the first empty line, and reads a number that lost its last digits.
    lines = whole.splitlines(keepends=True)
    path.write_text("".join([*lines[:22], "\n", *lines[22:]]))
    with pytest.raises(DataError, match=r"an empty line follows frame 1, and more after it"):
        read(path)
    path.write_text(whole.rstrip("\n")[:-3])
    with pytest.raises(DataError, match=r"in the middle of frame 3 \(its last line is shorter"):
        read(path)
    path.write_text("\n" + whole)
    with pytest.raises(DataError, match="an empty line stands before the first frame; remove"):
        read(path)
    path.write_text(whole.replace("O  ", "Ox ", 1))
    with pytest.raises(DataError, match=r"frame 0 of .*own\.xyz: cannot be read \('Ox' is no element\)"):
        read(path)
    path.write_text(whole + "these are notes\n")
    with pytest.raises(DataError, match=r"after frame 3 stands 'these are notes'"):
        read(path)


def test_case_33_several_files_in_natural_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = ethanol(6)
    for i, name in enumerate(("run1.xyz", "run2.xyz", "run10.xyz")):
        save(tmp_path / name, images[2 * i : 2 * i + 2])
    monkeypatch.chdir(tmp_path)
    for asked in (
        "run*.xyz",
        str(tmp_path / "run*.xyz"),
        ["run1.xyz", "run2.xyz", "run10.xyz"],
        ["run?.xyz", "run10*"],
    ):
        data = load(asked)
        assert same_labels(data, images)
        assert data.remarks == (
            "Energies were read from 'energy' (6 frames).",
            "Forces were read from 'forces' (6 frames).",
        )
    assert load("run*.xyz").metadata.name == "run*.xyz"
    with pytest.raises(DataError, match=r"walk\*\.xyz: no file matches this pattern"):
        load("walk*.xyz")
    with pytest.raises(DataError, match="no file was named"):
        load([])
    (tmp_path / "run3.xyz").write_text("3\n")
    with pytest.raises(DataError, match=r"run3\.xyz: ends in frame 0"):
        load("run*.xyz")


def test_case_33_files_that_differ_are_said(tmp_path: Path) -> None:
    images = ethanol()
    save(tmp_path / "a.xyz", images)
    save(tmp_path / "b.xyz", named(images, "REF_energy", "REF_forces"))
    save(tmp_path / "c.xyz", [isolated(s, e, config_type="IsolatedAtom") for s, e in ATOMS.items()])
    save(tmp_path / "d.xyz", [bare(molecule("CH4"))])
    with pytest.warns(DataWarning, match=r"call their energies differently \(REF_energy; energy\)"):
        data = load([tmp_path / name for name in ("a.xyz", "b.xyz", "c.xyz", "d.xyz")])
    assert (len(data), data.n_energies) == (13, 12)
    assert data.isolated_energies == {1: -10.707, 6: -48.847, 8: -102.58}
    assert said(data, "d.xyz: no frame has a label")
    assert said(data, "b.xyz", "'REF_energy'")


def _stacked(path: Path, images: list[Atoms], **more) -> Path:
    """An ``.npz`` of these images."""
    labels = {"E": [a.get_potential_energy() for a in images], "F": [a.get_forces() for a in images]}
    np.savez(path, R=[a.positions for a in images], z=images[0].numbers, energy_unit="eV", **labels, **more)
    return path


def test_f3_joined_files_keep_the_method_that_all_have(tmp_path: Path) -> None:
    images = ethanol()
    one, other = (_stacked(tmp_path / f"{i}.npz", images[3 * i : 3 * i + 3], theory="PBE") for i in range(2))
    data = load([one, other])
    assert data.metadata.method == "PBE"
    assert data.metadata.units == load(one).metadata.units != "eV, Å"


def test_f3_joined_files_of_several_methods_are_warned_of(tmp_path: Path) -> None:
    images = ethanol()
    one, other = (_stacked(tmp_path / f"{m}.npz", images[3 * i :][:3], theory=m) for i, m in enumerate(("PBE", "HF")))
    with pytest.warns(DataWarning, match=r"the files are of several methods \(HF; PBE\)"):
        data = load([one, other])
    assert said(data, "the files are of several methods (HF; PBE)")
    assert data.metadata.method == "HF; PBE"
    nameless = _stacked(tmp_path / "none.npz", images[:3])
    data = load([one, nameless])
    assert said(data, "1 of 2 files name no method")
    assert data.metadata.method == "unknown"


def test_f3_of_isolated_atoms_in_several_files_the_lowest_is_taken(tmp_path: Path) -> None:
    paths = []
    for i, hydrogen in enumerate((-0.5, -0.4)):
        paths.append(tmp_path / f"{i}.db")
        with connect(paths[-1]) as database:
            database.metadata = {"atomrefs": {"energy": [0.0, hydrogen]}}
            for atoms in ethanol(3):
                database.write(Atoms(atoms.numbers, atoms.positions), data={"energy": atoms.get_potential_energy()})
    for order in (paths, paths[::-1]):
        data = load(order)
        assert data.isolated_energies[1] == -0.5
        assert said(data, "H has 2 energies of an isolated atom, -0.5 to -0.4 eV: the lowest was taken")


# -- files that are not read -----------------------------------------------------------------------

FOREIGN = {
    "frames.pkl": (b"\x80\x04\x95junk", "a pickle, which is never opened"),
    "pickled.traj": (b"\x80\x04\x95junk", "a pickle, which is never opened"),
    "coord.npy": (b"\x93NUMPY\x01\x00junk", "a single NumPy array"),
    "data.lmdb": (b"\0" * 200, "an LMDB database"),
    "data.mdb": (b"\0" * 16 + b"\xde\xc0\xef\xbe" + b"\0" * 99, "an LMDB database"),
    "table.csv": (b"a,b\n1,2\n", "a table"),
    "train.cfg": (b"BEGIN_CFG\n Size\n    9\n", r"a configuration file of MLIP \(MTP\)"),
    "mptrj.json": (b'{"a": {"structure": {"@module": "pymatgen.core", "sites": []}}}', "a JSON of pymatgen"),
    "other.json": (b'{"energy": [1, 2]}', "a JSON that ASE did not write"),
    "mol.sdf": (b"x\n  y\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n", "a structure file without labels"),
    "weights.pt": (b"junk", "a PyTorch file, which is never opened"),
    "p.safetensors": (b"\x08\0\0\0\0\0\0\0{}      ", "a file of weights"),
    "page.xyz": (b"<!DOCTYPE html>\n<html>", "a web page, not the file"),
    "lfs.npz": (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS"),
    "type.raw": (b"0 0 1\n", "a part of a DeePMD system"),
    "p.tar": (b"\0" * 600, "a tar archive"),
    "dump.lammpstrj": (b"ITEM: TIMESTEP\n0\nITEM: ATOMS id type x y z\n1 1 0 0 0\n", "a LAMMPS dump without elements"),
    "t.parquet": (b"PAR1junk", "a Parquet table"),
    "qm9.xyz": (
        b"2\ngdb 1" + b"\t1.0" * 16 + b"\nH 0 0 0 0.1\nH 0 0 0.7 0.1\n1.0\t2.0\nH\tH\nInChI\tInChI\n",
        "a file of QM9.*hartree",
    ),
    "run-pos-1.xyz": (b"2\n i = 0, time = 0.000, E = -1.1000\nH 0 0 0\nH 0 0 0.7\n", "a trajectory of CP2K.*hartree"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_case_13_what_is_not_read_is_called_by_its_name(tmp_path: Path, name: str) -> None:
    content, message = FOREIGN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: is {message}"):
        load(tmp_path / name)


def test_case_13_a_trajectory_of_cp2k_can_be_a_start(tmp_path: Path) -> None:
    (tmp_path / "run-pos-1.xyz").write_bytes(FOREIGN["run-pos-1.xyz"][0])
    assert len(read(tmp_path / "run-pos-1.xyz", labels=False)) == 1


# -- sizes -----------------------------------------------------------------------------------------


def test_f7_a_frame_that_declares_a_thousand_million_atoms(tmp_path: Path) -> None:
    path = save(tmp_path / "own.xyz", ethanol(2))
    text = path.read_text()
    for number in ("1000000000", "9" * 18, "9" * 5000):
        path.write_text(text + f"{number}\nenergy=1\nH 0 0 0\n")
        with pytest.raises(DataError, match=r"own\.xyz: (ends after frame 1|after frame 1 stands '9999)"):
            read(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_f7_a_bomb_is_stopped_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack) -> None:
    monkeypatch.setattr(opening, "LARGEST_UNPACKED", 3_000_000)
    end = {gzip.compress: ".gz", bz2.compress: ".bz2", lzma.compress: ".xz"}[pack]
    path = tmp_path / f"own.xyz{end}"
    packed = pack(b"0" * 9_000_000)
    path.write_bytes(packed)
    with pytest.raises(DataError, match="unpacks to more than 3 MB"):
        read(path)
    path.write_bytes(packed[:-20])
    monkeypatch.undo()
    with pytest.raises(DataError, match=rf"own\.xyz{end}: (not a whole|cannot be unpacked).*again"):
        read(path)
