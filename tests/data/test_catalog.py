"""Every data set of the catalog: it loads, its numbers are right, and nothing unchecked gets in."""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import shutil
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from ase.data import covalent_radii

from piwsl_lab.data import DataError, Dataset, Entry, catalog, datasets, load
from piwsl_lab.data.catalog import HOST
from piwsl_lab.data.frames.duplicates import duplicate_groups

ALL = [(entry, part) for entry in datasets() for part in entry.parts]
DOWNLOADED = [pair for pair in ALL if not pair[0].embedded]
ENERGY_ONLY = {"ethanol_pbe:H-removal", "ethanol_pbe:dimers", "acac_pbe:H-transfer", "acac_pbe:dihedral"}

ELEMENTS = {"tio2_pbe": {8, 22}, "lmnto": {3, 8, 22, 28, 42}}
FORCE = {"tio2_pbe": 0.8, "lmnto": 0.7}  # eV/Å, root mean square of a component


def named(pairs: list[tuple[Entry, str]]):
    return pytest.mark.parametrize(("entry", "part"), pairs, ids=[f"{e.name}:{p}" for e, p in pairs])


def cohesion(dataset: Dataset) -> np.ndarray:
    """Energy per atom with the isolated atoms subtracted, eV."""
    reference = dataset.isolated_energies
    return np.array([(f.energy - sum(reference[int(z)] for z in f.numbers)) / len(f) for f in dataset])


# -- what is in the files --------------------------------------------------------------------------


@named([pair for pair in ALL if pair[0].embedded])
def test_embedded(entry: Entry, part: str) -> None:
    data = load(f"{entry.name}:{part}")
    assert len(data) == data.n_energies == data.n_forces == entry.parts[part].frames
    assert {frame.info["temperature"] for frame in data} == {float(part.removesuffix("K"))}
    assert duplicate_groups(data).max() + 1 == len(data)
    forces = np.array([frame.forces for frame in data])
    assert np.abs(forces.sum(axis=1)).max() < 1e-3  # no force on the molecule as a whole
    assert 0.6 < np.sqrt((forces**2).mean()) < 1.6  # eV/Å; 23 times larger in kcal/mol/Å


DEGREES = {  # how many atoms of each element have how many bonds: what makes the molecule this molecule
    "ethanol": {(1, 1): 6, (6, 4): 2, (8, 2): 1},
    "aspirin": {(1, 1): 8, (6, 3): 8, (6, 4): 1, (8, 1): 2, (8, 2): 2},
}


@named([pair for pair in ALL if pair[0].embedded])
def test_embedded_molecules_are_whole(entry: Entry, part: str) -> None:
    data = load(f"{entry.name}:{part}")
    numbers = data[0].numbers
    positions = np.array([frame.positions for frame in data])
    distances = np.linalg.norm(positions[:, :, None] - positions[:, None, :], axis=-1)
    ratio = distances / (covalent_radii[numbers][:, None] + covalent_radii[numbers][None, :])
    bonded = (ratio.mean(axis=0) < 1.25) & ~np.eye(len(numbers), dtype=bool)
    found = Counter(zip(numbers.tolist(), bonded.sum(axis=1).tolist(), strict=True))
    assert found == DEGREES[entry.name]
    assert ratio[:, bonded].max() < 1.5
    assert ratio[:, ~bonded & ~np.eye(len(numbers), dtype=bool)].min() > 1.25


def test_embedded_temperatures_are_those_of_their_names() -> None:
    """Equipartition: 3N - 6 nearly harmonic vibrations hold ½kT of potential energy each."""
    minimum = min(frame.energy for frame in load("ethanol:300K"))
    means = {t: np.mean([f.energy for f in load(f"ethanol:{t}K")]) - minimum for t in (300, 500, 800)}
    vibrations = 3 * 9 - 6
    for low, high in ((300, 500), (500, 800)):
        slope = (means[high] - means[low]) / (high - low) / (vibrations * 8.617e-5 / 2)
        assert slope == pytest.approx(1.0, abs=0.15)


def test_embedded_files_are_small_and_say_how_they_were_made() -> None:
    folder = Path(catalog.__file__).parent / "embedded"
    files = sorted(folder.glob("*.npz"))
    assert {f.name for f in files} == {p.file for e in datasets() if e.embedded for p in e.parts.values()}
    assert sum(f.stat().st_size for f in files) < 3_000_000
    for file in files:
        with np.load(file, allow_pickle=False) as archive:
            assert archive["R"].dtype == archive["F"].dtype == np.float32
            assert archive["E"].dtype == np.float64
            assert str(archive["theory"]) == "GFN2-xTB"
            assert len(archive["seeds"]) == archive["trajectories"]
            for key in ("tblite_version", "ase_version", "time_step_fs", "friction_per_fs", "stride_steps"):
                assert archive[key].size == 1


@named(DOWNLOADED)
def test_downloaded(mirror: Path, entry: Entry, part: str) -> None:
    name = f"{entry.name}:{part}"
    data = load(name)
    assert len(data) == data.n_energies == entry.parts[part].frames
    assert data.n_forces == (0 if name in ENERGY_ONLY else len(data))
    assert data.metadata.name == name
    assert data.metadata.method == entry.method
    assert set(data.elements) <= ELEMENTS.get(entry.name, {1, 6, 8})
    if data.n_forces:
        # eV/Å: thermal forces at some hundred kelvin; 23 times larger in kcal/mol/Å, 27 times in Hartree/Å.
        forces = np.concatenate([frame.forces for frame in data])
        assert np.sqrt((forces**2).mean()) == pytest.approx(FORCE.get(entry.name, 1.3), rel=0.4)
    if entry.isolated_atoms:
        assert set(data.isolated_energies) == set(data.elements)
        if part != "dimers":
            assert cohesion(data) == pytest.approx(-4.5, abs=1.0)  # a molecule binds by 4 to 5 eV an atom
    size = (mirror / entry.name / entry.parts[part].file).stat().st_size
    assert size == entry.parts[part].size


@named([pair for pair in ALL if pair[0].embedded])
def test_size_in_the_table_is_the_size_on_disk(entry: Entry, part: str) -> None:
    file = Path(catalog.__file__).parent / "embedded" / entry.parts[part].file
    assert file.stat().st_size == entry.parts[part].size


def test_md17_forces_are_the_gradient_along_the_trajectory(mirror: Path) -> None:
    """Work of the mean force between consecutive frames against their energy difference: the slope is 1.

    Energy and force enter apart, so a wrong factor in one of them shows. That both are wrong by the same
    factor is excluded by the total energy: -155.0 Hartree for ethanol, whatever the functional.
    """
    data = load("md17_ethanol")
    energy = np.array([frame.energy for frame in data])
    forces = np.array([frame.forces for frame in data])
    positions = np.array([frame.positions for frame in data])
    work = -(0.5 * (forces[1:] + forces[:-1]) * np.diff(positions, axis=0)).sum(axis=(1, 2))
    change = np.diff(energy)
    assert (work @ change) / (work @ work) == pytest.approx(1.0, abs=0.01)
    assert np.sqrt(np.mean((work - change) ** 2)) < 0.05 * change.std()
    assert energy.mean() / 27.2114 == pytest.approx(-155.0, abs=0.2)


def test_ccsdt_energy_in_hartree_and_its_duplicates(mirror: Path) -> None:
    data = load("ethanol_ccsdt")
    assert np.mean([f.energy for f in data]) / 27.2114 == pytest.approx(-154.7, abs=0.2)
    groups = duplicate_groups(data)
    assert groups.max() + 1 == 998
    parts = data.split(train=500, val=200, seed=3)
    members = [set(duplicate_groups(data)[indices(data, part)].tolist()) for part in parts]
    assert sum(map(len, members)) == len(set.union(*members)) == 998


def indices(data: Dataset, part: Dataset) -> list[int]:
    place = {id(frame): i for i, frame in enumerate(data)}
    return [place[id(frame)] for frame in part]


# -- names -----------------------------------------------------------------------------------------


def test_names_and_parts(mirror: Path) -> None:
    assert load("ethanol").metadata.name == "ethanol:500K"
    assert catalog.published_test("acac_pbe") == "acac_pbe:test-300K"
    assert catalog.published_test("ethanol_pbe:train") == "ethanol_pbe:test"
    assert catalog.published_test("acac_pbe:600K") is None
    assert catalog.published_test("ethanol") is None
    assert catalog.published_test(mirror / "ethanol_pbe" / "train.xyz") is None
    by_path = load(mirror / "acac_pbe" / "test_H_transfer.xyz")
    assert len(by_path) == 15
    assert by_path.metadata.method == "unknown"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "ethanl",
            r"ethanl: neither a data set nor a file\. Did you mean 'ethanol'\? Data sets: ethanol, aspirin",
        ),
        ("nothing/here.xyz", r"neither a data set nor a file\. Data sets: .*; or give a path"),
        ("ethanol:200K", r"ethanol has no part '200K'; its parts are 500K, 300K, 800K"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(name)


# -- the mirror and the network --------------------------------------------------------------------


def flip_one_digit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    place = content.rindex(b"7")
    content[place : place + 1] = b"8"
    path.chmod(0o644)
    path.write_bytes(content)


def test_damaged_or_missing_file_in_the_mirror(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIWSL_LAB_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"test_dihedral\.xyz: no such file; .* unset PIWSL_LAB_DATA to download"):
        load("acac_pbe:dihedral")
    shutil.copytree(mirror / "acac_pbe", tmp_path / "acac_pbe")
    assert len(load("acac_pbe:dihedral")) == 45
    flip_one_digit(tmp_path / "acac_pbe" / "test_dihedral.xyz")
    with pytest.raises(DataError, match=r"test_dihedral\.xyz: SHA-256 is .* expected 0c2246a5.* copy it again"):
        load("acac_pbe:dihedral")


@pytest.fixture
def server(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stand-in for GitHub on the loopback; yields the folder it serves. The cache is tmp_path/cache."""
    served = tmp_path / "served"
    source = next(entry.source for entry in datasets() if entry.name == "acac_pbe")
    shutil.copytree(mirror / "acac_pbe", served / source)
    with tarfile.open(mirror / "lmnto" / "xsf.tar.gz") as archive:
        archive.extractall(lmnto_folder(served).parent, filter="data")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=served)) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        monkeypatch.delenv("PIWSL_LAB_DATA")
        monkeypatch.setattr(catalog, "HOST", f"http://127.0.0.1:{host.server_port}")
        monkeypatch.setattr(catalog, "cache_folder", lambda: tmp_path / "cache")
        yield served / source
        host.shutdown()
        thread.join()


def test_download_happens_once(server: Path, tmp_path: Path) -> None:
    first = load("acac_pbe:H-transfer")
    shutil.rmtree(server)
    again = load("acac_pbe:H-transfer")
    assert [f.energy for f in again] == [f.energy for f in first]
    assert first.isolated_energies[1] == pytest.approx(-13.568, abs=1e-3)
    assert (tmp_path / "cache" / "acac_pbe" / "test_H_transfer.xyz").is_file()


def test_single_files_are_the_frames_of_the_archive(
    server: Path, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """lmnto lies at its origin as 824 files and in a mirror as one archive."""
    cached = tmp_path / "cache" / "lmnto"
    damaged = lmnto_folder(tmp_path / "served") / "structure500.xsf"
    whole = damaged.read_bytes()
    flip_one_digit(damaged)
    with pytest.raises(DataError, match=r"structure500\.xsf: the download has another SHA-256 .*lmnto/xsf\.tar\.gz"):
        load("lmnto")
    assert not (cached / "structure500.xsf").exists()
    damaged.write_bytes(whole)
    downloaded = load("lmnto")
    shutil.rmtree(tmp_path / "served")
    again = load("lmnto")
    monkeypatch.setenv("PIWSL_LAB_DATA", str(mirror))
    archive = load("lmnto")
    assert len(list(cached.iterdir())) == len(downloaded) == len(archive) == 824
    assert downloaded.metadata == archive.metadata
    for one, two, three in zip(downloaded, again, archive, strict=True):
        assert one.energy == two.energy == three.energy
        for name in ("numbers", "positions", "cell", "pbc", "forces"):
            np.testing.assert_array_equal(getattr(one, name), getattr(three, name))


def lmnto_folder(served: Path) -> Path:
    return served / next(entry.source for entry in datasets() if entry.name == "lmnto")


def test_list_of_single_files_is_whole(mirror: Path) -> None:
    lines = (Path(catalog.__file__).parent / "lmnto.sha256").read_text().splitlines()
    with tarfile.open(mirror / "lmnto" / "xsf.tar.gz") as archive:
        members = [member for member in archive if member.isfile()]
        there = {Path(m.name).name: hashlib.sha256(archive.extractfile(m).read()).hexdigest() for m in members}
    assert {name: digest for digest, name in map(str.split, lines)} == there


def test_damaged_download_leaves_nothing(server: Path, tmp_path: Path) -> None:
    flip_one_digit(server / "test_H_transfer.xyz")
    with pytest.raises(DataError, match=r"test_H_transfer\.xyz: the download has another SHA-256 .*PIWSL_LAB_DATA"):
        load("acac_pbe:H-transfer")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_missing_on_the_server(server: Path, tmp_path: Path) -> None:
    (server / "test_H_transfer.xyz").unlink()
    with pytest.raises(DataError, match=r"test_H_transfer\.xyz: download failed \(HTTPError.*404.*PIWSL_LAB_DATA"):
        load("acac_pbe:H-transfer")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIWSL_LAB_DATA", raising=False)
    monkeypatch.setattr(catalog, "HOST", "http://127.0.0.1:9")  # the discard port: connections are refused
    monkeypatch.setattr(catalog, "cache_folder", lambda: tmp_path / "cache")
    address = r"http://127\.0\.0\.1:9/thorben-frank/mlff/[0-9a-f]{40}/examples/example_data/ethanol\.npz"
    with pytest.raises(DataError, match=rf"{address}: download failed .*check the network, or set PIWSL_LAB_DATA"):
        load("md17_ethanol")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_every_address_is_pinned_and_every_file_has_a_checksum() -> None:
    assert HOST.startswith("https://")
    for entry in datasets():
        if not entry.embedded:
            commit = entry.source.split("/")[2]
            assert re.fullmatch("[0-9a-f]{40}", commit)
            files = [*entry.parts.values(), entry.isolated_atoms]
            assert all(len(catalog.CHECKSUMS[f"{entry.name}/{file.file}"]) == 64 for file in files if file)


def test_checksums_are_those_of_the_mirror(mirror: Path) -> None:
    lines = (mirror / "SHA256SUMS").read_text().splitlines()
    there = {file: digest for digest, file in map(str.split, lines)}
    assert {file: there[file] for file in catalog.CHECKSUMS} == catalog.CHECKSUMS
