"""Files become frames in eV and Å, or an error that names the file and the remedy."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from piwsl_lab.data import DataError, read
from piwsl_lab.data.formats import xsf

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
    with pytest.raises(DataError, match=r"water\.npz: key 'E': object arrays are not read"):
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
        ({"E": None, "F": None}, r"water\.npz: no frame has an energy or forces; write"),
        ({"z": None}, r"water\.npz: key 'z' is missing \(found: R, E, F\); store R, z, E and F"),
        ({"energy_unit": "Rydberg"}, r"water\.npz: 'energy_unit' is 'Rydberg', .*use one of ev, kcal/mol"),
        ({"r_unit": "nm"}, r"water\.npz: 'r_unit' is 'nm', .*use one of angstrom"),
        (
            {"lattice": 9 * np.eye(3) + np.eye(3, k=1)},
            r"water\.npz: key 'lattice': periodic .* convert it to extended XYZ",
        ),
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
    atoms.info["binding_energy"] = -14.0
    ase.io.write(tmp_path / "other.xyz", [atoms])
    with pytest.raises(
        DataError, match=r"other\.xyz: no frame has an energy or forces; write .*Oracle.*instead: binding_energy"
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
    with pytest.raises(DataError, match=r"notes\.xyz: cannot be read: .* copy it again, or convert it"):
        read(tmp_path / "notes.xyz")
    (tmp_path / "blob.unknown").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(DataError, match=r"blob\.unknown: cannot be read"):
        read(tmp_path / "blob.unknown")
    with pytest.raises(DataError, match=r"absent\.xyz: no such file; check the path"):
        read(tmp_path / "absent.xyz")
    with pytest.raises(DataError, match="is a folder, not a file"):
        read(tmp_path)


# -- XSF -------------------------------------------------------------------------------------------

CRYSTAL = """# total energy = -2036.25 eV

CRYSTAL
PRIMVEC
  4.0 0.0 0.0
  0.5 4.0 0.0
  0.0 0.0 5.0
PRIMCOORD
2 1
Ti  0.0 0.0 0.0   0.10 -0.20  0.30
O   1.9 0.0 0.0  -0.10  0.20 -0.30
"""
MOLECULE = """# total energy = -31.5 eV

ATOMS
1   0.00 0.00 0.00
H   0.74 0.00 0.00
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def packed(path: Path, files: dict[str, str | bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def test_xsf_crystal(tmp_path: Path) -> None:
    (frame,) = read(write(tmp_path / "one.xsf", CRYSTAL))
    assert frame.energy == -2036.25
    assert frame.numbers.tolist() == [22, 8]
    assert frame.pbc.all()
    np.testing.assert_array_equal(frame.cell, [[4, 0, 0], [0.5, 4, 0], [0, 0, 5]])
    np.testing.assert_array_equal(frame.positions, [[0, 0, 0], [1.9, 0, 0]])
    np.testing.assert_array_equal(frame.forces, [[0.1, -0.2, 0.3], [-0.1, 0.2, -0.3]])


def test_xsf_molecule_without_forces(tmp_path: Path) -> None:
    (frame,) = read(write(tmp_path / "h2.xsf", MOLECULE))
    assert (frame.energy, frame.forces, frame.numbers.tolist()) == (-31.5, None, [1, 1])
    assert not frame.pbc.any()


def test_why_xsf_is_not_left_to_ase(tmp_path: Path) -> None:
    """The day this fails, ASE may be able to replace `piwsl_lab.data.formats.xsf`."""
    atoms = ase.io.read(write(tmp_path / "one.xsf", CRYSTAL))
    assert "energy" not in atoms.calc.results
    np.testing.assert_allclose(atoms.get_forces()[0], np.array([0.1, -0.2, 0.3]) * units.Hartree)


def test_xsf_archive_is_read_in_natural_order(tmp_path: Path) -> None:
    files = {f"set/s{i}.xsf": CRYSTAL.replace("-2036.25", f"-{i}") for i in (10, 2, 1)}
    path = packed(tmp_path / "set.tar.gz", {**files, "set/notes.txt": "x", "set/._s1.xsf": b"\x00\x05"})
    data = read(path)
    assert [frame.energy for frame in data] == [-1, -2, -10]
    assert data.metadata.origin == str(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["set.tar.gz"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# total", "# no", r"has no line '# total energy = \.\.\. eV'.*add it .*or convert"),
        (" eV", " Ry", r"has an energy in 'Ry'; write energy and forces in eV"),
        (" eV", "", r"has an energy in ''; write"),
        ("-2036.25", "low", r"has the energy 'low', which is not a number; correct"),
        ("-2036.25", "nan", r"energy is nan; remove the frame"),
        ("CRYSTAL", "SLAB", r"begins with SLAB; only CRYSTAL and ATOMS are read: convert"),
        ("CRYSTAL", "ANIMSTEPS 2\nCRYSTAL", r"begins with ANIMSTEPS"),
        ("PRIMVEC", "PRIMVEC 1", r"has no section PRIMVEC with one image; copy it again, or convert"),
        ("  0.0 0.0 5.0\n", "", r"the cell is not a number .* copy it again"),
        ("2 1", "3 1", r"announces 3 atoms and has lines for 2; copy it again"),
        ("Ti ", "Tx ", r"'Tx' is no element; correct the file"),
        ("Ti ", "9" * 5000 + " ", r"'9{20}' is no element; correct the file"),
        ("  0.30", "", r"an atom needs element, x, y, z and no or 3 forces, all atoms alike"),
        ("0.30", "o.30", r"is not a number .*o\.30.*copy it again"),
        ("1.9", "0.01", r"atoms 0 and 1 are on one spot"),
        ("-0.30", "inf", r"forces\[1, 2\] is inf; remove"),
    ],
)
def test_xsf_refuses(tmp_path: Path, old: str, new: str, message: str) -> None:
    bad = CRYSTAL.replace(old, new, 1)
    with pytest.raises(DataError, match=r"^frame 0 of .*bad\.xsf: bad\.xsf: .*" + message):
        read(write(tmp_path / "bad.xsf", bad))
    with pytest.raises(DataError, match=r"^frame 1 of .*set\.tar\.gz: set/bad\.xsf: .*" + message):
        read(packed(tmp_path / "set.tar.gz", {"set/bad.xsf": bad, "set/a.xsf": CRYSTAL}))


def test_xsf_cut_anywhere_is_refused(tmp_path: Path) -> None:
    lines = CRYSTAL.splitlines(keepends=True)
    for kept in range(1, len(lines)):
        with pytest.raises(DataError, match=r"again|convert"):
            read(write(tmp_path / "cut.xsf", "".join(lines[:kept])))
    (tmp_path / "binary.xsf").write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"is not text .*copy it again"):
        read(tmp_path / "binary.xsf")


def test_xsf_archive_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "set.tar.gz", {f"{i}.xsf": CRYSTAL for i in range(9)})
    whole = path.read_bytes()
    for kept in (0.0, 0.3, 0.97):
        path.write_bytes(whole[: int(kept * len(whole))])
        with pytest.raises(DataError, match=r"set\.tar\.gz: .*again"):
            read(path)
    path.write_bytes(gzip.compress(b"no tar " * 500))
    with pytest.raises(DataError, match=r"not a whole \.tar\.gz archive .*again"):
        read(path)
    with pytest.raises(DataError, match=r"no \.xsf file in the archive"):
        read(packed(path, {"a.txt": "x"}))
    with pytest.raises(DataError, match=r"member a\.xsf is no plain file"):
        read(packed(path, {"a.xsf": ""}, kind=tarfile.SYMTYPE))
    path.write_bytes(whole)
    monkeypatch.setattr(xsf, "LARGEST_ARCHIVE", 1000)
    with pytest.raises(DataError, match=r"set\.tar\.gz: holds more than 0 MB; give its files in smaller archives"):
        read(path)
