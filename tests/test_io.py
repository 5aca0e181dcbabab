"""Files become frames in eV and Å, or an error that names the file and the remedy."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from piwsl_lab.data import DataError, read

KCAL = units.kcal / units.mol


@pytest.fixture
def npz(tmp_path: Path):
    """Function that writes an .npz of four water frames, with some keys replaced (None: left out)."""

    def write(**changes) -> Path:
        rng = np.random.default_rng(0)
        arrays = {
            "R": molecule("H2O").positions + 0.02 * rng.standard_normal((4, 3, 3)),
            "E": rng.standard_normal((4, 1)),
            "F": rng.standard_normal((4, 3, 3)),
            "z": np.array([8, 1, 1], dtype=np.uint8),
        }
        arrays = {key: value for key, value in {**arrays, **changes}.items() if value is not None}
        np.savez(tmp_path / "water.npz", **arrays)
        return tmp_path / "water.npz"

    return write


@pytest.fixture
def extxyz(tmp_path: Path) -> Path:
    """Five labelled frames of periodic copper."""
    images = []
    for seed in range(5):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=seed)
        atoms.calc = EMT()
        atoms.get_forces()
        images.append(atoms)
    ase.io.write(tmp_path / "copper.xyz", images)
    return tmp_path / "copper.xyz"


def test_npz_is_converted_by_its_own_units(npz) -> None:
    in_kcal = read(npz())
    in_ev = read(npz(energy_unit="eV", length_unit="Angstrom"))
    in_bohr = read(npz(e_unit="Hartree", r_unit="bohr"))
    for a, b, c in zip(in_kcal, in_ev, in_bohr, strict=True):
        assert a.energy == pytest.approx(b.energy * KCAL)
        assert c.energy == pytest.approx(b.energy * units.Hartree)
        np.testing.assert_allclose(c.positions, b.positions * units.Bohr)
        np.testing.assert_allclose(c.forces, b.forces * units.Hartree / units.Bohr)
        assert not a.pbc.any()
    assert in_bohr.metadata.units == "hartree, bohr"


def test_npz_without_forces_and_with_the_keys_of_rmd17(npz) -> None:
    assert read(npz(F=None)).n_forces == 0
    plain = read(npz())
    arrays = dict(np.load(npz()))
    renamed = npz(
        **dict.fromkeys("REFz"),
        coords=arrays["R"],
        energies=arrays["E"].ravel(),
        forces=arrays["F"],
        nuclear_charges=arrays["z"],
    )
    assert [f.energy for f in read(renamed)] == [f.energy for f in plain]


def test_npz_never_opens_pickled_objects(npz) -> None:
    assert len(read(npz(extra=np.array([{"a": 1}], dtype=object)))) == 4
    with pytest.raises(DataError, match=r"water\.npz: not a whole \.npz file .*allow_pickle"):
        read(npz(E=np.array([1.0, 2.0, 3.0, None], dtype=object)))


def patched(shape: tuple[int, ...], index: tuple[int, ...], value: float) -> np.ndarray:
    array = np.zeros(shape)
    array[index] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"E": patched((4, 1), (2, 0), np.nan)}, r"frame 2 of .*water\.npz: energy is nan; remove the frame"),
        ({"E": patched((4,), (3,), np.inf)}, r"frame 3 of .*water\.npz: energy is inf; remove the frame"),
        (
            {"F": patched((4, 3, 3), (1, 2, 0), np.nan)},
            r"frame 1 of .*water\.npz: forces\[2, 0\] is nan; remove",
        ),
        (
            {"F": np.zeros((4, 2, 3))},
            r"water\.npz: F has shape \(4, 2, 3\), R has \(4, 3, 3\); they must be the same",
        ),
        ({"E": np.zeros(3)}, r"water\.npz: E has shape \(3,\); expected one a frame"),
        (
            {"R": np.zeros((4, 9))},
            r"water\.npz: R has shape \(4, 9\) and z \(3,\); expected \(frames, atoms, 3\)",
        ),
        ({"R": np.zeros((4, 3, 3))}, r"frame 0 of .*water\.npz: atoms 0 and 1 are on one spot .* remove"),
        ({"E": None}, r"water\.npz: no energies: key 'E' is missing; store"),
        ({"z": None}, r"water\.npz: key 'z' is missing \(found: R, E, F\); store R, z, E and F"),
        ({"energy_unit": "Rydberg"}, r"water\.npz: key 'energy_unit' is 'Rydberg'; use one of ev, kcal/mol"),
        ({"r_unit": "nm"}, r"water\.npz: key 'r_unit' is 'nm'; use one of angstrom"),
        ({"lattice": np.eye(3)}, r"water\.npz: key 'lattice': periodic .* convert it to extended XYZ"),
        ({"R": np.zeros((0, 3, 3)), "E": np.zeros(0), "F": np.zeros((0, 3, 3))}, r"no frames in the file"),
    ],
)
def test_npz_refuses(npz, changes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(npz(**changes))


def test_extxyz_keeps_cells_and_labels(extxyz: Path) -> None:
    data = read(str(extxyz))
    assert (len(data), data.n_energies, data.n_forces) == (5, 5, 5)
    assert data.metadata.name == str(extxyz)
    for frame in data:
        assert frame.pbc.all()
        atoms = data[[0]].to_atoms()[0]
        atoms.calc = EMT()
        assert data[0].energy == pytest.approx(atoms.get_potential_energy(), abs=1e-6)


def edit(path: Path, old: str, new: str) -> Path:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return path


def test_extxyz_refuses_bad_labels(extxyz: Path) -> None:
    lines = extxyz.read_text().splitlines()
    fields = lines[6 + 2].split()  # first atom of frame 1
    bad = edit(extxyz, lines[6 + 2], " ".join([*fields[:-1], "nan"]))
    with pytest.raises(DataError, match=r"^frame 1 of .*copper\.xyz: forces\[0, 2\] is nan; remove the frame"):
        read(bad)


def test_file_without_energies_says_which_keys_it_has(tmp_path: Path) -> None:
    atoms = molecule("H2O")
    atoms.info["REF_energy"] = -14.0
    ase.io.write(tmp_path / "other.xyz", [atoms])
    with pytest.raises(
        DataError, match=r"other\.xyz: no frame has an energy; write .*Oracle.*found instead: REF_energy"
    ):
        read(tmp_path / "other.xyz")


@pytest.mark.parametrize("name", ["copper.xyz", "water.npz"])
@pytest.mark.parametrize("kept", [0.0, 0.3, 0.97])
def test_truncated_and_empty_files(name: str, kept: float, npz, extxyz: Path) -> None:
    path = npz() if name == "water.npz" else extxyz
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(DataError, match=rf"{name}: .*(again)"):
        read(path)
    assert path.read_bytes() == whole[: int(kept * len(whole))]


def test_unreadable_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "notes.xyz").write_text("these are my notes\nnot atoms\n")
    with pytest.raises(DataError, match=r"notes\.xyz: cannot be read .* copy it again, or convert it"):
        read(tmp_path / "notes.xyz")
    (tmp_path / "blob.unknown").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match=r"blob\.unknown: cannot be read"):
        read(tmp_path / "blob.unknown")
    with pytest.raises(DataError, match=r"absent\.xyz: no such file; check the path"):
        read(tmp_path / "absent.xyz")
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path)
