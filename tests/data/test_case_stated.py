"""What a file says beside its labels: units, weights, columns that hold atoms; and what it announces and does not hold.

Each fails on the code before it, but for units that are usual ones and the .g96 that ASE itself refuses.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import warnings
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect
from frames import said

from piwsl_lab.data import DataError, Dataset, DataWarning, load, read

KCAL = units.kcal / units.mol


def water(n: int = 6, energy: float = 1.0, forces: float = 1.0, length: float = 1.0, **info) -> list[Atoms]:
    """Frames of water whose labels are divided by the given units."""
    images = []
    for i in range(n):
        atoms = molecule("H2O")
        atoms.rattle(0.05, seed=i)
        pull = np.random.default_rng(i).standard_normal((3, 3))
        atoms.info.update(info, energy=(-2000.0 - i) / energy)
        atoms.arrays["forces"] = (pull - pull.mean(axis=0)) / forces
        atoms.positions /= length
        images.append(atoms)
    return images


def save(path: Path, images: list[Atoms]) -> Path:
    ase.io.write(path, images, format="extxyz")
    return path


def right(data, labels: list[Atoms] | None = None) -> None:
    for frame, atoms in zip(data, labels or water(), strict=True):
        assert frame.energy == pytest.approx(atoms.info["energy"], abs=1e-5)
        np.testing.assert_allclose(frame.forces, atoms.arrays["forces"], atol=1e-6)
        np.testing.assert_allclose(frame.positions, atoms.positions, atol=1e-6)


# -- units -----------------------------------------------------------------------------------------

HB = units.Hartree / units.Bohr


@pytest.mark.parametrize(
    ("scale", "info"),
    [
        ((KCAL, KCAL, 1), {"energy_unit": "kcal/mol"}),
        ((KCAL, KCAL, 1), {"units": "kcal/mol"}),
        ((KCAL, KCAL, 1), {"units": "real"}),
        ((1e-3, 1e-3, 1), {"Energy_Units": "meV"}),
        ((units.Hartree, HB, 1), {"energy_units": "Hartree", "forces_unit": "Hartree/Bohr"}),
        ((units.Hartree, units.Hartree, 1), {"units": "Hartree, Angstrom"}),
        ((units.Hartree, HB, units.Bohr), {"units": {"energy": "hartree", "length": "bohr"}}),
        ((units.Hartree, HB, units.Bohr), {"unit_energy": "Ha", "length_unit": "Bohr"}),
        ((1, 1, 1), {"energy_unit": "eV", "forces_unit": "eV/Å", "temperature_unit": "K", "unit_cell": "cubic"}),
        ((1, KCAL, 1), {"energy_unit": "eV", "forces_unit": "kcal/mol/Ang"}),
    ],
)
def test_units_that_an_extended_xyz_states(tmp_path: Path, scale, info) -> None:
    data = read(save(tmp_path / "a.xyz", water(6, *scale, **info)))
    right(data)
    assert said(data, "converted") == (scale != (1, 1, 1))
    # Written and read again nothing is converted twice.
    ase.io.write(tmp_path / "b.traj", data.to_atoms())
    right(read(tmp_path / "b.traj"))


@pytest.mark.parametrize(
    "info",
    [
        {"units": "hartree"},
        {"energy_unit": "eV/atom"},
        {"units": "furlong"},
        {"forces_unit": "Hartree/Bohr"},
        {"energy_unit": "eV", "energy_units": "Hartree"},
        {"units": {"energy": "cm-1"}},
    ],
)
def test_units_that_are_not_clear_are_refused(tmp_path: Path, info) -> None:
    with pytest.raises(DataError, match=r"frame 0 of .*(state|convert|keep)"):
        read(save(tmp_path / "a.xyz", water(**info)))


@pytest.mark.parametrize("place", ["file", "group", "parent"])
@pytest.mark.parametrize(
    ("scale", "attributes"),
    [
        ((KCAL, KCAL, 1), {"energy_unit": "kcal/mol"}),
        ((units.Hartree, HB, units.Bohr), {"energy_unit": "hartree", "length_unit": "bohr"}),
        ((units.Hartree, HB, 1), {"energy_unit": "hartree", "forces_unit": "hartree/bohr"}),
    ],
)
def test_units_that_attributes_of_hdf5_state(tmp_path: Path, place, scale, attributes) -> None:
    h5py = pytest.importorskip("h5py")
    images = water(6, *scale)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("part/x")
        group["atomic_numbers"] = images[0].numbers
        group["coordinates"] = [a.positions for a in images]
        group["energy"] = [a.info["energy"] for a in images]
        group["forces"] = [a.arrays["forces"] for a in images]
        {"file": file, "group": group, "parent": file["part"]}[place].attrs.update(attributes)
    right(read(tmp_path / "a.h5"))


@pytest.mark.parametrize("on", ["file", "data set"])
def test_hdf5_in_hartree_says_not_what_its_forces_are_in(tmp_path: Path, on) -> None:
    h5py = pytest.importorskip("h5py")
    images = water()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["atomic_numbers"], file["coordinates"] = images[0].numbers, [a.positions for a in images]
        file["energy"], file["forces"] = [a.info["energy"] for a in images], [a.arrays["forces"] for a in images]
        (file if on == "file" else file["energy"]).attrs["energy_unit"] = "hartree"
    with pytest.raises(DataError, match="state 'forces_unit'"):
        read(tmp_path / "a.h5")


def database(path: Path, images: list[Atoms], metadata: dict, **data) -> Path:
    with connect(path) as rows:
        for atoms in images:
            labels = {"energy": np.array([atoms.info["energy"]]), "forces": atoms.arrays["forces"]}
            rows.write(Atoms(atoms.numbers, atoms.positions), data={**labels, **data})
        rows.metadata = metadata
    return path


@pytest.mark.parametrize(
    "metadata",
    [
        {"units": {"energy": "kcal/mol"}},
        {"unit": "kcal/mol", "units": {"energy": "kcal/mol"}},
        {"energy_unit": "kcal/mol"},
        {"_property_unit_dict": {"energy": "kcal/mol"}, "_distance_unit": "Ang"},
    ],
)
def test_units_in_the_metadata_of_databases(tmp_path: Path, metadata) -> None:
    metadata = {**metadata, "atomrefs": {"energy": [0.0, -13.6 / KCAL]}}
    data = read(database(tmp_path / "a.db", water(6, KCAL, KCAL), metadata))
    right(data)
    assert data.isolated_energies == {1: pytest.approx(-13.6)}


@pytest.mark.parametrize("family", ["", "dft_", "REF_"])
def test_forces_of_databases_follow_from_energy_and_distance_whatever_they_are_called(tmp_path: Path, family) -> None:
    path = tmp_path / "a.db"
    with connect(path) as rows:
        for atoms in water(6, units.Hartree, units.Hartree):
            labels = {"energy": np.array([atoms.info["energy"]]), "forces": atoms.arrays["forces"]}
            rows.write(
                Atoms(atoms.numbers, atoms.positions), data={f"{family}{name}": one for name, one in labels.items()}
            )
        rows.metadata = {"_property_unit_dict": {f"{family}energy": "Hartree"}, "_distance_unit": "Ang"}
    right(read(path))


def test_a_database_in_hartree_without_a_distance_is_refused_as_an_extended_xyz_is(tmp_path: Path) -> None:
    path = database(tmp_path / "a.db", water(), {"_property_unit_dict": {"energy": "Hartree"}})
    with pytest.raises(DataError, match=r"row 1 of .*hartree/angstrom or hartree/bohr; state 'forces_unit'"):
        read(path)


def test_charge_of_one_element_in_schnetpack(tmp_path: Path) -> None:
    about = {"total_charge": np.array([1.0]), "spin_multiplicity": np.array([[2]]), "table": np.arange(4)}
    metadata = {"_property_unit_dict": {"energy": "eV", "forces": "eV/Ang"}, "_distance_unit": "Ang"}
    data = read(database(tmp_path / "a.db", water(), metadata, **about))
    assert (data[0].charge, data[0].multiplicity) == (1, 2)
    assert said(data, "'table' was passed over")


# -- files that are cut ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form"), [("a.gro", "gromacs"), ("a.res", "res"), ("a.g96", "gromos"), ("coord", "turbomole")]
)
def test_a_text_that_is_cut_is_refused(tmp_path: Path, name: str, form: str) -> None:
    atoms = bulk("Cu", cubic=True) * (2, 2, 2)
    ase.io.write(tmp_path / name, atoms, format=form)
    whole = (tmp_path / name).read_text()
    assert len(load(tmp_path / name, labels=False)[0]) == 32
    for part in (0.5, 0.8, 0.95):
        (tmp_path / name).write_text(whole[: int(len(whole) * part)])
        with pytest.raises(DataError, match=r"cut|truncated"):
            load(tmp_path / name, labels=False)


def test_the_last_block_of_a_cif_is_doubted(tmp_path: Path) -> None:
    for images in ([bulk("Cu", cubic=True)] * 3, [bulk("NaCl", "rocksalt", a=5.6, cubic=True)]):
        path = tmp_path / "a.cif"
        ase.io.write(path, images)
        load(path, labels=False)
        lines = path.read_text().rstrip().splitlines(keepends=True)
        path.write_text("".join(lines[:-2]))
        with pytest.warns(DataWarning, match=r"is the file cut"):
            load(path, labels=False)


def dump(units_line: str | None = None, scale: float = 1.0, element: str = "element", force: bool = True) -> str:
    text = f"ITEM: UNITS\n{units_line}\n" if units_line else ""
    for i, atoms in enumerate(water()):
        pull = atoms.arrays["forces"] / scale
        text += f"ITEM: TIMESTEP\n{i}\nITEM: NUMBER OF ATOMS\n3\nITEM: BOX BOUNDS ff ff ff\n" + "-9 9\n" * 3
        text += f"ITEM: ATOMS id {element} x y z" + " fx fy fz" * force + "\n"
        for j, symbol in enumerate(atoms.symbols):
            row = [*atoms.positions[j], *(pull[j] if force else ())]
            text += f"{j + 1} {symbol if element == 'element' else 1} " + " ".join(f"{x:.9f}" for x in row) + "\n"
    return text


@pytest.mark.parametrize(("name", "scale"), [("metal", 1.0), ("real", KCAL), ("electron", None)])
def test_forces_of_a_lammps_dump_in_its_units(tmp_path: Path, name: str, scale: float | None) -> None:
    path = tmp_path / "a.lammpstrj"
    path.write_text(dump(name, scale or HB))
    data = read(path)
    assert (data.n_energies, data.n_forces) == (0, 6)
    np.testing.assert_allclose(data[5].forces, water()[5].arrays["forces"], rtol=1e-4)
    factor = units.Bohr if scale is None else 1.0
    np.testing.assert_allclose(data[5].positions, water()[5].positions * factor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (dump(), "units yes"),
        (dump("lj"), "write it in 'metal'"),
        (dump("metal", force=False), "no total energy"),
        (dump("metal", element="mol type"), "without elements"),
    ],
)
def test_a_lammps_dump_without_what_is_needed(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "a.dump").write_text(text)
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.dump")
    if words == "units yes":
        start = load(tmp_path / "a.dump", labels=False)
        assert (start.n_energies, start.n_forces) == (0, 0)


def test_f1_columns_of_a_lammps_dump_have_any_order(tmp_path: Path) -> None:
    lines = dump("metal").splitlines()
    for i, line in enumerate(lines):
        if line.startswith("ITEM: ATOMS"):
            lines[i] = "ITEM: ATOMS id type x y z fx fy fz element"
        elif len(line.split()) == 8:
            number, symbol, *rest = line.split()
            lines[i] = " ".join([number, "1", *rest, symbol])
    (tmp_path / "a.lammpstrj").write_text("\n".join(lines) + "\n")
    data = read(tmp_path / "a.lammpstrj")
    assert data[0].numbers.tolist() == water()[0].numbers.tolist()
    np.testing.assert_allclose(data[5].forces, water()[5].arrays["forces"], rtol=1e-4)


def test_a_lammps_dump_that_is_cut(tmp_path: Path) -> None:
    whole = dump("metal")
    for cut in range(len(whole) // 2, len(whole) - 12, 37):
        (tmp_path / "a.lammpstrj").write_text(whole[:cut])
        if whole[cut:].strip().startswith("ITEM: TIMESTEP"):
            continue  # the frames before are whole
        with pytest.raises(DataError, match="the file is cut"):
            read(tmp_path / "a.lammpstrj")


# -- weights and columns ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "energies", "forces"),
    [
        ("config_energy_weight", 4, 6),
        ("energy_weight", 4, 6),
        ("config_weight", 4, 4),
        ("config_forces_weight", 6, 4),
        ("force_weight", 6, 4),
    ],
)
def test_a_weight_of_0_means_no_label(tmp_path: Path, key: str, energies: int, forces: int) -> None:
    images = water()
    for i, atoms in enumerate(images):
        atoms.info[key] = 0.0 if i < 2 else 1.0
    data = read(save(tmp_path / "a.xyz", images))
    assert (data.n_energies, data.n_forces) == (energies, forces)
    assert said(data, f"'{key}' is 0")


def test_other_weights_are_named_and_isolated_atoms_keep_their_energy(tmp_path: Path) -> None:
    atom = Atoms("H", info={"config_type": "IsolatedAtom", "config_weight": 0.0, "energy": -13.6})
    data = read(save(tmp_path / "a.xyz", [*water(config_weight=2.5), atom]))
    assert said(data, "weight 'config_weight' is not 1")
    assert data.isolated_energies == {1: -13.6}
    with pytest.raises(DataError, match="'energy_weight' is 0"):
        read(save(tmp_path / "b.xyz", [Atoms("H2", [[0, 0, 0], [0, 0, 1]], info={"energy": 1.0, "energy_weight": 0})]))


@pytest.mark.parametrize(("name", "free"), [("fixed", False), ("frozen", False), ("selective_dynamics", True)])
@pytest.mark.parametrize("width", [1, 3])
def test_columns_that_hold_atoms(tmp_path: Path, name: str, free: bool, width: int) -> None:
    images = water()
    for atoms in images:
        mask = np.zeros((3, 3) if width == 3 else 3, dtype=bool)
        mask[0] = [True, False, True] if width == 3 else True
        atoms.arrays[name] = ~mask if free else mask
    data = read(save(tmp_path / "a.xyz", images))
    expected = np.zeros((3, 3), dtype=bool)
    expected[0] = [True, width == 1, True]
    np.testing.assert_array_equal(data[0].fixed, expected)


@pytest.mark.parametrize("name", ["fix", "mask", "constraint", "move"])
def test_columns_whose_sense_is_not_clear_are_named(tmp_path: Path, name: str) -> None:
    images = water()
    for atoms in images:
        atoms.arrays[name] = np.array([True, False, False])
    data = read(save(tmp_path / "a.xyz", images))
    assert data[0].fixed is None
    assert said(data, f"'{name}' was passed over")


def test_a_column_of_masses(tmp_path: Path) -> None:
    images = water()
    for atoms in images:
        atoms.arrays["mass"] = np.array([16.0, 2.014, 2.014])
    np.testing.assert_allclose(read(save(tmp_path / "a.xyz", images))[0].masses, [16.0, 2.014, 2.014])


# -- what is refused, and how ----------------------------------------------------------------------


def test_no_program_is_started_to_read_a_cell(tmp_path: Path, monkeypatch) -> None:
    trap = tmp_path / "castep"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path / 'started'}\n")
    trap.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    cell = "%BLOCK LATTICE_CART\n5 0 0\n0 5 0\n0 0 5\n%ENDBLOCK LATTICE_CART\n%BLOCK POSITIONS_ABS\nH 0 0 0\n"
    (tmp_path / "a.CELL").write_text(cell + "%ENDBLOCK POSITIONS_ABS\n")
    with pytest.raises(DataError, match=r"CASTEP.*convert it"):
        load(tmp_path / "a.CELL", labels=False)
    assert not (tmp_path / "started").exists()


def test_a_json_of_ase_that_is_cut(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "a.json", [molecule("H2O")] * 3)
    whole = (tmp_path / "a.json").read_bytes()
    for part in (0.3, 0.6, 0.95):
        (tmp_path / "a.json").write_bytes(whole[: int(len(whole) * part)])
        with pytest.raises(DataError, match=r"cut|not a whole"):
            read(tmp_path / "a.json")
    (tmp_path / "b.json").write_text('{"1": {"x": 1}}')
    with pytest.raises(DataError, match="ASE did not write"):
        read(tmp_path / "b.json")


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_compression_is_known_by_the_content(tmp_path: Path, module) -> None:
    text = save(tmp_path / "plain.xyz", water()).read_bytes()
    (tmp_path / "a.xyz").write_bytes(module.compress(text))
    right(read(tmp_path / "a.xyz"))
    end = {gzip: ".gz", bz2: ".bz2", lzma: ".xz"}[module]
    (tmp_path / f"b.xyz{end}").write_bytes(text)
    with pytest.raises(DataError, match="is not compressed"):
        read(tmp_path / f"b.xyz{end}")


def test_isolated_atoms_far_apart_are_doubted(tmp_path: Path) -> None:
    frames = save(tmp_path / "frames.xyz", water())
    for energy, far in ((-14.0, False), (-50.0, True)):
        pair = [save(tmp_path / f"{e}.xyz", [Atoms("H", info={"energy": e})]) for e in (-13.0, energy)]
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert read([frames, *pair]).isolated_energies == {1: energy}
        assert any("one method" in str(warning.message) for warning in caught) == far


@pytest.mark.parametrize("key", ["grad", "dEdR", "dE_dx", "gradients", "energy_grad"])
def test_gradients_say_what_to_do(tmp_path: Path, key: str) -> None:
    images = water()
    arrays = {"R": [a.positions for a in images], "z": images[0].numbers, "E": [a.info["energy"] for a in images]}
    np.savez(tmp_path / "a.npz", **arrays, energy_unit="eV", **{key: [a.arrays["forces"] for a in images]})
    assert said(read(tmp_path / "a.npz"), f"'{key}'", "turn its sign")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"R": np.zeros((18, 3)), "z": np.tile([8, 1, 1], 6), "F": np.zeros((18, 3))}, "stacked in one list"),
        ({"R": np.zeros((18, 3)), "F": np.zeros((18, 3))}, "stacked in one list"),
        ({"R": np.zeros((6, 9)), "F": np.zeros((6, 9))}, "in one row"),
        ({"E": np.zeros(6, dtype=complex)}, "complex128"),
        ({"F": np.zeros((6, 3, 3), dtype=complex)}, "complex128"),
        ({"R": np.zeros((6, 3, 3), dtype=complex)}, "complex128"),
    ],
)
def test_npz_of_another_layout(tmp_path: Path, changes: dict, words: str) -> None:
    whole = {"R": np.zeros((6, 3, 3)), "z": np.array([8, 1, 1]), "E": np.zeros(6), "F": np.zeros((6, 3, 3))}
    np.savez(tmp_path / "a.npz", **{**whole, **changes}, energy_unit="eV")
    with pytest.raises(DataError, match=words):
        read(tmp_path / "a.npz")


def test_something_that_is_no_path(tmp_path: Path) -> None:
    save(tmp_path / "a.xyz", water())
    with (tmp_path / "a.xyz").open() as handle:
        for wrong in (None, 3, b"a.xyz", handle, [None], [3], 1.5):
            with pytest.raises(DataError, match="no path"):
                load(wrong)


def test_labels_of_a_calculator_in_memory_are_converted_too() -> None:
    atoms = molecule("H2O")
    atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    atoms.info["energy_unit"] = "hartree"
    assert Dataset.from_atoms([atoms])[0].energy == pytest.approx(units.Hartree)
