"""Stacked arrays and outputs of programs at the door: .npz, HDF5 and VASP, with the units that they have."""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import units
from ase.build import molecule
from frames import said
from numpy.lib import format as npy

from piwsl_lab.data import DataError, DataWarning, load, read

KCAL = units.kcal / units.mol
Z = np.array([8, 1, 1])
E = np.array([-2000.0, -2001.0, -2002.0, -2003.0])
R = molecule("H2O").positions + 0.02 * np.random.default_rng(0).standard_normal((4, 3, 3))
F = np.random.default_rng(1).standard_normal((4, 3, 3))


@pytest.fixture
def npz(tmp_path: Path) -> Callable[..., Path]:
    """Function that writes four frames of water; None leaves a key out."""

    def write(name: str = "own.npz", **changes) -> Path:
        stored = {"R": R, "z": Z, "E": E / KCAL, "F": F / KCAL, **changes}
        np.savez(tmp_path / "own.npz", **{key: value for key, value in stored.items() if value is not None})
        return (tmp_path / "own.npz").rename(tmp_path / name)

    return write


def check(data, energy: np.ndarray = E, forces: np.ndarray = F) -> None:
    np.testing.assert_allclose([frame.energy for frame in data], energy)
    for frame, pull in zip(data, forces, strict=True):
        assert (frame.forces is None) == (pull is None)
        if pull is not None:
            np.testing.assert_allclose(frame.forces, pull)
    np.testing.assert_allclose([frame.positions for frame in data], R)
    assert data[0].numbers.tolist() == Z.tolist()


PLAIN = dict.fromkeys("RzEF")


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"E": E[:, None] / KCAL},
        {"z": np.tile(Z, (4, 1))},
        {"z": None, "Z": np.tile(Z, (4, 1)), "N": np.full(4, 3)},
        {"z": np.array(["O", "H", "H"])},
        {"z": np.array([b"O", b"H", b"H"])},
        {"z": Z.astype(np.float64)},
        {**PLAIN, "coords": R, "nuclear_charges": Z, "energies": E / KCAL, "forces": F / KCAL},
        {**PLAIN, "positions": R, "atomic_numbers": Z, "energy": E, "forces": F},
        {**PLAIN, "pos": R, "numbers": Z, "energy": E, "forces": F},
        {**PLAIN, "coordinates": R, "species": Z, "energies": E, "forces": F, "energy_unit": "eV"},
    ],
)
def test_case_05_npz_of_every_habit(npz, changes: dict) -> None:
    data = load(npz(**changes))
    check(data)
    assert said(data, "Read positions from")


def test_case_05_padded_frames_of_different_size(npz) -> None:
    numbers, positions, forces = np.tile(Z, (4, 1)), R.copy(), F / KCAL
    for padding in (0, -1):
        numbers[1, 2], positions[1, 2], forces[1, 2] = padding, 0.0, 0.0
        data = read(npz(z=None, Z=numbers, N=np.array([3, 2, 3, 3]), R=positions, F=forces))
        assert [len(frame) for frame in data] == [3, 2, 3, 3]
        np.testing.assert_allclose(data[1].forces, F[1, :2])
    with pytest.raises(DataError, match=r"frame 2 of .*own\.npz: N says 2 atoms, Z has 3"):
        read(npz(z=None, Z=np.tile(Z, (4, 1)), N=np.array([3, 3, 2, 3])))


@pytest.mark.parametrize(
    "z",
    [
        [8, 0, 1],  # a shared row has no end that some frames reach and others do not
        [0, 8, 1],
        [8, 1, 0],
        [8, 1, -1],
        [[8, 0, 1]] * 4,
        [[8, 1, -3]] * 4,
        [8, 1, np.inf],
        [8, 1, np.nan],
        [8, 1, 1.5],
        [8, 1, 1e30],
        [8, 1, 300],
        [8, 1, 1 + 0j],
        [True, True, True],
        [b"O", b"H", b"\xff"],
        ["O", "", "H"],
        np.array([8, 1, 2**63 + 1], dtype=np.uint64),
    ],
)
def test_f0_numbers_are_elements_and_padding_ends_a_row_of_its_own(npz, z) -> None:
    with pytest.raises(DataError, match=r"own\.npz: z "):
        read(npz(z=np.array(z)))


def test_f0_a_single_frame_with_padding_of_its_own_is_read(npz) -> None:
    data = read(npz(R=R[:1], z=np.array([[8, 1, 0]]), E=E[:1], F=F[:1], energy_unit="eV"))
    assert data[0].numbers.tolist() == [8, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"N": np.array([3, 3, 3])}, r"N has shape \(3,\); expected one a frame"),
        ({"N": np.array(["3"] * 4)}, "N holds <U1, not real numbers"),
        ({"cell": np.full((3, 3), "a")}, "cell holds <U1, not real numbers"),
        ({"cell": np.eye(3) * 9j}, "cell holds complex128, not real numbers"),
        ({"cell": 9 * np.eye(3), "pbc": np.ones((2, 3), dtype=bool)}, r"pbc has shape \(2, 3\)"),
        ({"cell": 9 * np.eye(3), "pbc": np.array(["T", "T", "F"])}, "pbc holds"),
        ({"cell": 9 * np.eye(3), "pbc": np.array([1, 1, np.nan])}, "pbc holds"),
        ({"Q": np.array([0, 0, np.nan, 0]), "energy_unit": "eV"}, "frame 2 of .*charge is nan"),
        ({"Q": np.array([0, 0, np.inf, 0]), "energy_unit": "eV"}, "frame 2 of .*charge is inf"),
        ({"multiplicity": np.array([1, 1, 1, np.nan])}, "frame 3 of .*multiplicity is nan"),
        ({"multiplicity": np.array([1, 1, 1, 0.5])}, r"frame 3 of .*multiplicity is 0\.5"),
    ],
)
def test_f4_arrays_beside_the_labels_are_refused_by_name(npz, changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(npz(**changes))


def test_f4_one_row_of_periodic_directions_is_that_of_all_frames(npz) -> None:
    for pbc in (np.array([[True, True, False]]), np.array([[True, True, False]] * 4), np.array([1, 1, 0])):
        assert read(npz(cell=9 * np.eye(3), pbc=pbc))[2].pbc.tolist() == [True, True, False]
    assert read(npz(cell=9 * np.eye(3), pbc=np.array([True])))[2].pbc.all()


def test_f6_what_an_npz_passes_over_can_be_found_again(npz) -> None:
    with pytest.warns(DataWarning, match="no frame has an energy, but 'U0' was passed over"):
        data = read(npz(E=None, U0=E))
    assert said(data, "'U0' was passed over")
    with pytest.raises(DataError, match="Keys found instead: U0"):
        read(npz(E=None, F=None, U0=E))


def test_case_05_upper_case_names_and_object_arrays(npz) -> None:
    check(read(npz("OWN.NPZ")))
    for key, value in {"E": E.astype(object), "R": np.array([R[0], R[1][:2], None, None], dtype=object)}.items():
        with pytest.raises(DataError, match=rf"own\.npz: key '{key}': object arrays are not read.*pad.*or write"):
            read(npz(**{key: value}))


def test_case_05_other_arrays_are_named(npz) -> None:
    names = {"coords": R, "nuclear_charges": Z, "energies": E / KCAL, "forces": F / KCAL}
    data = read(npz(**PLAIN, **names, old_energies=E))
    assert said(data, "'old_energies' was passed over")
    data = read(npz(**{**PLAIN, **names, "F": -F}))
    check(data)
    assert said(data, "forces from 'forces'")
    assert said(data, "'F' was passed over")
    with pytest.raises(DataError, match=r"E has shape \(3,\); expected one a frame"):
        read(npz(E=E[:3]))


def test_case_32_npz_of_forces_alone(npz) -> None:
    data = read(npz(E=None))
    assert (data.n_energies, data.n_forces) == (0, 4)


def test_case_05_charges_and_cells(npz) -> None:
    data = read(npz(Q=np.array([0, 1, -1, 2]), energy_unit="kcal/mol"))
    assert [frame.charge for frame in data] == [0, 1, -1, 2]
    skew = 9 * np.eye(3) + np.eye(3, k=1)
    data = read(npz(cell=skew, r_unit="bohr", R=R / units.Bohr))
    np.testing.assert_allclose(data[0].cell, skew * units.Bohr)
    assert data[0].pbc.all()
    data = read(npz(lattice=9 * np.eye(3), pbc=np.array([True, True, False])))
    assert data[3].pbc.tolist() == [True, True, False]
    with pytest.raises(DataError, match="key 'lattice': periodic cells whose vectors may be rows or columns"):
        read(npz(lattice=skew))


# -- units -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("energy", "force", "stated"),
    [
        (KCAL, KCAL, {"e_unit": np.bytes_("kcal/mol"), "r_unit": np.bytes_("Ang")}),
        (KCAL, KCAL, {"e_unit": "kcal mol-1", "r_unit": "Angstroms"}),
        (KCAL, KCAL, {"e_unit": np.array(["kcal/mol"]), "r_unit": np.array(["Ang"])}),
        (1, 1, {"energy_units": "eV", "units": "eV"}),
        (1, 1, {"units": "eV, Angstrom"}),
        (1, 1, {"unit_energy": "eV", "distance_unit": "Å"}),
        (units.Hartree, units.Hartree / units.Bohr, {"energy_units": "Eh", "f_unit": "Hartree/Bohr"}),
        (units.Hartree, units.Hartree, {"E_units": "hartree", "forces_unit": "Hartree Ang^-1"}),
        (units.kJ / units.mol, units.kJ / units.mol, {"units": "kJ/mol"}),
        (1e-3, 1e-3, {"energy_unit": "meV"}),
    ],
)
def test_case_06_units_are_read_however_they_are_stored(npz, energy: float, force: float, stated: dict) -> None:
    check(read(npz(E=E / energy, F=F / force, **stated)))


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"energy_units": "foot"}, r"own\.npz: 'energy_units' is 'foot', a unit of energy that is not known"),
        ({"f_unit": "N"}, r"own\.npz: 'f_unit' is 'N', a unit of forces that is not known"),
        ({"units": "atomic"}, r"own\.npz: 'units' is 'atomic', which is no unit that is known"),
        (
            {"energy_units": "eV", "e_unit": "Hartree"},
            r"own\.npz: 'e_unit' is 'hartree' and 'energy_units' is 'ev'; keep",
        ),
    ],
)
def test_case_06_units_that_are_not_clear_are_refused(npz, stated: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(npz(**stated))


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"energy_unit": "hartree"}, "own.npz: energies are stated in hartree and nothing says whether forces"),
        ({"units": "Hartree"}, "own.npz: energies are stated in hartree and nothing says whether forces"),
        ({"f_unit": "hartree/bohr"}, "own.npz: forces are stated in hartree/bohr and nothing says the unit of the en"),
    ],
)
def test_f5_units_that_an_extended_xyz_leaves_open_are_open_in_npz_too(npz, stated: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(npz(**stated))


def test_f5_forces_in_the_unit_of_the_habit_leave_its_energies_as_they_are(npz) -> None:
    check(read(npz(f_unit="kcal/mol/Ang")))
    check(read(npz(E=E, F=F, f_unit="eV/Ang")))
    check(read(npz(E=E / units.Hartree, F=None, energy_unit="hartree")), forces=[None] * 4)


def test_case_06_single_precision_in_the_file_loses_nothing_more(npz) -> None:
    stored = (E / KCAL).astype(np.float32)
    energies = [frame.energy for frame in load(npz(E=stored))]
    assert energies == (stored.astype(np.float64) * KCAL).tolist()


def test_case_06_what_was_assumed_is_said(npz) -> None:
    assert said(read(npz()), "states no unit of energy and length", "kcal/mol and angstrom were assumed")
    assert said(read(npz(dipole_unit="Debye", energy_unit="kcal/mol")), "'dipole_unit'", "nothing that was read")
    assert not said(read(npz(energy_unit="kcal/mol", length_unit="Ang")), "assumed")
    with pytest.raises(DataError, match=r"states no unit; add the key 'energy_unit'"):
        read(npz(**PLAIN, coordinates=R, species=Z, energies=E, forces=F))


def test_case_06_units_that_the_numbers_contradict_are_warned_of(npz) -> None:
    all_electrons = np.full(4, -76.4) * units.Hartree  # water, whose energy is -76.4 hartree
    with pytest.warns(DataWarning, match=r"energies are those of all electrons in ev, not in the unit assumed"):
        read(npz(E=all_electrons))
    assert read(npz(E=all_electrons / KCAL)).n_energies == 4
    with pytest.warns(DataWarning, match=r"neighbouring atoms are 1\.\d+ times .* is the unit of length right"):
        read(npz(R=R / units.Bohr))
    with pytest.warns(DataWarning, match=r"PhysNet writes eV"):
        read(npz(Q=np.zeros(4)))


def with_header(path: Path, shape: tuple[int, ...], dtype: str = "<f8", body: bytes = b"") -> Path:
    """An .npz whose array E declares a shape."""
    content = io.BytesIO()
    npy.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in {"R": R, "z": Z}.items():
            whole = io.BytesIO()
            np.save(whole, value)
            archive.writestr(f"{key}.npy", whole.getvalue())
        archive.writestr("E.npy", content.getvalue() + body)
    return path


def test_f7_npz_headers_and_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "huge.npz"
    for shape in ((10**12,), (10**9, 10**9, 10**9)):
        with pytest.raises(DataError, match=r"huge\.npz: key 'E' brings the arrays to \d+ MB, more than the 1000 MB"):
            read(with_header(path, shape))
    with pytest.raises(DataError, match=r"key 'E' declares shape \(1000,\) and is shorter"):
        read(with_header(path, (1000,)))
    monkeypatch.setattr("piwsl_lab.data.formats.npz.LARGEST", 1_000_000)
    with pytest.raises(DataError, match="more than the 1 MB"):
        read(with_header(path, (10**6,), body=b"\0" * 8 * 10**6))


# -- HDF5 ------------------------------------------------------------------------------------------

HARTREE, BOHR = units.Hartree, units.Bohr


def test_f10_npz_with_a_header_or_a_temperature_of_nonsense(npz) -> None:
    path = npz()
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("theory.npy", b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + b"{'shape': (8,".ljust(118))
    with pytest.raises(DataError, match=r"own\.npz: not a whole \.npz file"):
        read(path)
    for wrong in ("hot", [1.0, 2.0]):
        with pytest.raises(DataError, match=r"own\.npz: key 'temperature_K' is .*; write one number in K"):
            read(npz(temperature_K=wrong))


@pytest.fixture
def hdf5(tmp_path: Path):
    h5py = pytest.importorskip("h5py", reason="needs the extra hdf5")

    def write(groups: dict[str, dict], attributes: dict | None = None) -> Path:
        with h5py.File(tmp_path / "own.h5", "w") as file:
            for group, values in groups.items():
                for name, value in values.items():
                    file.create_dataset(f"{group}/{name}", data=value)
                    for key, attribute in (attributes or {}).get(name, {}).items():
                        file[f"{group}/{name}"].attrs[key] = attribute
        return tmp_path / "own.h5"

    return write


def test_case_13_hdf5_of_ani_1x(hdf5) -> None:
    water = {
        "atomic_numbers": Z.astype(np.uint8),
        "coordinates": R.astype(np.float32),
        "wb97x_dz.energy": E / HARTREE,
        "wb97x_dz.forces": F / HARTREE,
        "wb97x_tz.energy": np.full(4, np.nan),
        "wb97x_dz.dipole": np.ones((4, 3)),
    }
    methane = molecule("CH4")
    other = {
        "atomic_numbers": methane.numbers,
        "coordinates": methane.positions[None],
        "wb97x_dz.energy": np.array([np.nan]),
        "wb97x_dz.forces": np.full((1, 5, 3), np.nan),
    }
    data = read(hdf5({"C1H4": other, "H2O1": water}))
    assert [len(frame) for frame in data] == [5, 3, 3, 3, 3]
    np.testing.assert_allclose([frame.energy for frame in data[1:]], E)
    np.testing.assert_allclose([frame.forces for frame in data[1:]], F)
    np.testing.assert_allclose([frame.positions for frame in data[1:]], R, atol=1e-6)
    assert (data[0].energy, data[0].forces) == (None, None)
    assert said(data, "'wb97x_dz.energy', 'wb97x_dz.forces' as ANI-1x", "2 groups")
    assert said(data, "'wb97x_tz.energy' was passed over")
    assert said(data, "'wb97x_dz.dipole' was passed over")
    assert said(data, "1 frames have no label")


def test_case_13_hdf5_of_spice_turns_the_gradient(hdf5) -> None:
    group = {
        "atomic_numbers": Z,
        "conformations": R / BOHR,
        "dft_total_energy": E / HARTREE,
        "dft_total_gradient": -F / HARTREE * BOHR,
        "formation_energy": E,
        "smiles": np.array([b"[OH2+:1][H:2]"]),
    }
    data = read(hdf5({"water": group}))
    check(data)
    assert data[0].charge == 1
    assert said(data, "as SPICE")
    assert said(data, "'formation_energy' was passed over")


@pytest.mark.parametrize(
    ("layout", "energy", "length", "force", "names"),
    [
        ("QCML", HARTREE, BOHR, HARTREE / BOHR, ("atomic_numbers", "positions", "pbe0_energy", "pbe0_forces")),
        ("ANI-2x", HARTREE, 1, HARTREE, ("species", "coordinates", "energies", "forces")),
        ("QM7-X", 1, 1, 1, ("atNUM", "atXYZ", "ePBE0+MBD", "totFOR")),
        ("eV and Å", 1, 1, 1, ("atomic_numbers", "positions", "energy", "forces")),
    ],
)
def test_case_13_hdf5_of_other_layouts(hdf5, layout, energy, length, force, names) -> None:
    numbers, positions, energies, forces = names
    stacked = {numbers: np.tile(Z, (4, 1)), positions: R / length, energies: E / energy, forces: F / force}
    data = read(hdf5({"a/b": stacked}))
    check(data)
    assert said(data, layout)
    single = {
        f"m/{i}": {numbers: Z, positions: R[i] / length, energies: E[i] / energy, forces: F[i] / force}
        for i in range(4)
    }
    check(read(hdf5(single)))


def test_case_13_hdf5_with_units_charge_and_multiplicity(hdf5) -> None:
    group = {
        "atomic_numbers": Z,
        "positions": R / BOHR,
        "energy": E / KCAL,
        "forces": F / KCAL,
        "charge": np.array(1),
        "multiplicity": np.array(2),
    }
    stated = {"positions": {"units": "bohr"}, "energy": {"units": "kcal/mol"}, "forces": {"unit": "kcal/mol/angstrom"}}
    data = read(hdf5({"water": group}, stated))
    check(data)
    assert (data[0].charge, data[0].multiplicity) == (1, 2)
    with pytest.raises(DataError, match="data set /water/energy has the unit 'furlong'"):
        read(hdf5({"water": group}, {**stated, "energy": {"units": "furlong"}}))


def test_case_13_hdf5_whose_numbers_contradict_its_units_is_warned_of(hdf5) -> None:
    group = {"atomic_numbers": Z, "coordinates": R, "energies": np.full(4, -76.4) * HARTREE, "forces": F}
    with pytest.warns(DataWarning, match="energies are those of all electrons in ev, not in the unit assumed"):
        read(hdf5({"own": group}))
    with pytest.warns(DataWarning, match=r"neighbouring atoms are 0\.5\d times"):
        read(hdf5({"own": {"atomic_numbers": Z, "positions": R, "pbe0_energy": E / HARTREE}}))


def test_case_13_hdf5_refuses_in_words(hdf5) -> None:
    import h5py

    path = hdf5({"a": {"x": R}})
    with pytest.raises(DataError, match="no group has positions and atomic numbers under a known name"):
        read(path)
    with pytest.raises(DataError, match=r"group /a has no label under a known name \(found: mystery_energy\)"):
        read(hdf5({"a": {"positions": R, "atomic_numbers": Z, "mystery_energy": E}}))
    whole = hdf5({"a": {"positions": R, "atomic_numbers": Z, "energy": E}}).read_bytes()
    for kept in (9, 100, len(whole) // 2):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=r"own\.h5: not a whole HDF5 file .*again"):
            read(path)
    with h5py.File(path, "w") as file:
        file.create_dataset("positions", (10**9, 3, 3), dtype="f8", chunks=(1, 3, 3))
        file["atomic_numbers"] = Z
    with pytest.raises(DataError, match=r"holds 72000 MB of geometries and labels, more than the 1000 MB"):
        read(path)
    with h5py.File(path, "w") as file:
        file["atomic_numbers"], file["energy"] = Z, E
        file["positions"] = h5py.ExternalLink("/etc/hostname", "/x")
    with pytest.raises(DataError, match="no group has positions"):
        read(path)


def test_f10_a_frame_of_hdf5_that_cannot_be_used_is_named(hdf5) -> None:
    path = hdf5({"a": {"coordinates": R, "atomic_numbers": Z, "energy": [0.0, 1.0, np.inf, 2.0]}})
    with pytest.raises(DataError, match=r"frame 2 of group /a of .*own\.h5: energy is inf"):
        read(path)


def test_case_13_hdf5_without_h5py_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 200)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r'data\.h5: HDF5 files need h5py: pip install "piwsl-lab\[hdf5\]"'):
        load(tmp_path / "data.h5")


# -- VASP ------------------------------------------------------------------------------------------


def rows(name: str, values: np.ndarray) -> str:
    return f'<varray name="{name}">' + "".join(f"<v> {a:.8f} {b:.8f} {c:.8f} </v>" for a, b, c in values) + "</varray>"


def one(name: str, value: float) -> str:
    return f'<i name="{name}">{value:.8f}</i>'


def step(k: int, electronic: int, last: float = 1.0) -> str:
    """Ionic step k; `last` is how much the last electronic step still changes the energy, eV."""
    changes = [1.0] * (electronic - 1) + [last]
    scf = "".join(
        f"<scstep><energy>{one('e_fr_energy', -7 + sum(changes[n + 1 :]))}{one('e_wo_entrp', -7)}"
        f"{one('e_0_energy', -7)}</energy></scstep>"
        for n in range(electronic)
    )
    place = np.array([[0, 0, 0], [0.5, 0.5, 0.5 + 0.01 * k]])
    return (
        f"<calculation>{scf}<structure><crystal>{rows('basis', 4 * np.eye(3))}</crystal>{rows('positions', place)}"
        f"</structure>{rows('forces', np.full((2, 3), 0.1))}<energy>{one('e_fr_energy', -7.4)}"
        f"{one('e_wo_entrp', -7.3)}{one('e_0_energy', -7.3)}</energy></calculation>"
    )


HEAD = (
    '<?xml version="1.0" encoding="ISO-8859-1"?><modeling>'
    '<generator><i name="program" type="string">vasp</i></generator>'
    '<kpoints><varray name="kpointlist"><v>0 0 0</v></varray><varray name="weights"><v>1</v></varray></kpoints>'
    '<parameters><separator name="electronic"><i type="int" name="NELM">6</i><i name="EDIFF">1e-6</i></separator>'
    '</parameters><atominfo><array name="atoms"><set><rc><c>Cu</c><c>1</c></rc><rc><c>Cu</c><c>1</c></rc></set></array>'
    f'</atominfo><structure name="initialpos"><crystal>{rows("basis", 4 * np.eye(3))}</crystal>'
    f"{rows('positions', np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))}</structure>"
)


def test_case_21_steps_that_did_not_converge_are_left_out(tmp_path: Path) -> None:
    steps = [step(k, 6 if k in (2, 3) else 4, last=1e-9 if k == 3 else 1.0) for k in range(5)]
    for name in ("vasprun.xml", "my_vasprun_run3.xml"):
        (tmp_path / name).write_text(HEAD + "".join(steps) + "</modeling>")
        with pytest.warns(DataWarning, match=rf"{name}: 1 ionic steps used all electronic steps \(NELM\).*left out: 2"):
            data = read(tmp_path / name)
        assert (len(data), data.n_energies, data.n_forces) == (4, 4, 4)
        assert said(data, "VASP: 'energy' is the one extrapolated", "derivative of 'free_energy'")
        assert said(data, "'free_energy' was passed over")


def test_case_21_a_killed_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vasprun.xml"
    path.write_text(HEAD + step(0, 3) + step(1, 3) + step(2, 3)[:300])
    with pytest.warns(DataWarning, match="the run of VASP was killed or the file is cut: only 2 steps were read"):
        assert len(read(path)) == 2


def test_case_21_an_outcar_says_the_same(tmp_path: Path) -> None:
    from piwsl_lab.data.formats import vasp

    scf = "----- Iteration {}({:4d})  -----\n"
    ionic = "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n"
    done = "------------------------ aborting loop because EDIFF is reached ----------\n"
    text = " vasp.6.3.0\n   NELM   =      3;   NELMIN=  2\n"
    for k, (number, reached) in enumerate([(2, True), (3, False), (3, True)], start=1):
        text += "".join(scf.format(k, n) for n in range(1, number + 1)) + (done if reached else "") + ionic
    path = tmp_path / "OUTCAR"
    path.write_text(text)
    assert vasp.is_vasp(path) == "outcar"
    assert vasp.run_of(path, "outcar") == ([1], True)
    path.write_text(text + " General timing and accounting informations for this job:\n")
    assert vasp.run_of(path, "outcar") == ([1], False)
