"""Archives and binary files with absurd contents: npz, tar.gz, gz, and those that ASE writes."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from random import Random

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from frames import crystal, labelled

from fuzz.frames_in_text import cells, extxyz, geometry, images, labels, xsf, xsf_parts
from fuzz.values import VALUES, damage

BOMB = 300_000_000  # bytes of zeros once unpacked


def arrays() -> dict[str, np.ndarray]:
    """Eight labelled frames of ethanol as MD17 stores them."""
    made = labelled("CH3CH2OH", 8)
    return {
        "R": np.stack([frame.positions for frame in made]),
        "z": made[0].numbers.astype(np.uint8),
        "E": np.array([[frame.energy] for frame in made]),
        "F": np.stack([frame.forces for frame in made]),
        "name": np.array("ethanol"),
        "theory": np.array("PBE"),
    }


def npz(content: dict[str, np.ndarray]) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, allow_pickle=True, **content)
    return out.getvalue()


def npz_arrays(random: Random) -> bytes:
    """A whole file whose arrays have other types, shapes, names or values."""
    content = arrays()
    name = random.choice(("R", "z", "E", "F"))
    array = content[name]
    flat = array.astype(np.float64).copy()
    flat.reshape(-1)[random.randrange(flat.size)] = random.choice((np.nan, np.inf, 1e300, -1e300, 1e7, 1e30, 0.5, -1, 200))
    changed = (
        lambda: flat, lambda: flat * random.choice((0, 1e-9, 1e6, 1e300)), lambda: array.astype(object), lambda: array.astype(str),
        lambda: array.astype(bool), lambda: array.astype(np.complex128) + 1j, lambda: array.astype(">f4"),
        lambda: array.astype("S8"), lambda: array.astype("M8[s]"), lambda: array.astype(np.float16), lambda: array[:0],
        lambda: array[None], lambda: array.reshape(-1), lambda: np.zeros(()), lambda: array[..., :1], lambda: array[:3],
        lambda: np.zeros((0, 9, 3)), lambda: np.zeros((8, 0, 3)), lambda: np.zeros((8, 9, 3)), lambda: np.zeros((8, 9, 2)),
        lambda: np.full(array.shape, 255, np.uint8), lambda: np.full(array.shape, 2**63, np.uint64),
        lambda: np.zeros(8, dtype=[("a", "f8"), ("b", "O")]), lambda: np.array([None] * 8),
        lambda: np.array([[1.0], [1.0, 2.0]] * 4, dtype=object), lambda: np.broadcast_to(array, (3, *array.shape)),
    )  # fmt: skip
    extra = {
        "energy_unit": np.array(random.choice(("eV", "", "kcal", b"kcal/mol", 1, "Ry", [1, 2], None))),
        "length_unit": np.array(random.choice(("nm", "bohr", b"Ang", 0, ["a"], None))),
        "lattice": np.array(random.choice((0, np.eye(3), None))),
        "temperature_K": np.array(random.choice((300, "hot", [1, 2], None, np.nan))),
        "theory": np.array(random.choice((1, None, ["a"], b"\xff\xfe", "x" * 100_000))),
        "old_indices": np.arange(3),
    }
    way = random.randrange(5)
    if way == 4:
        key = random.choice(list(extra))
        content[key] = extra[key]
    elif way == 3:
        content[random.choice(("coords", "energies", "forces", "R ", "", "x/y", "é", "../R"))] = content.pop(name)
    else:
        try:
            content[name] = random.choice(changed)()
        except (TypeError, ValueError):  # some arrays have no such type
            content[name] = array.astype(object)
    return npz(content)


def header(shape: str, descr: str = "<f8", version: bytes = b"\x01\x00") -> bytes:
    """An array file whose head says what its body does not hold."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + bytes(64)


def npz_headers(random: Random) -> bytes:
    """A zip file of arrays whose heads lie, or that is a bomb, or holds other zip files."""
    whole = zipfile.ZipFile(io.BytesIO(npz(arrays())))
    members = {name: whole.read(name) for name in whole.namelist()}
    name = random.choice(("R.npy", "z.npy", "E.npy", "F.npy"))
    shape = random.choice(
        ("(1000000000000,)", "(8, 9, 1000000000000)", "(-1,)", "(1000000, 9, 3)", "()", "(0,)", "(8, 9, 3)", "'x'", "(1e9,)",
         "(99999999999999999999999,)", "(" + "1, " * 100 + ")", "(3000000000,)", "(8,", "None")
    )  # fmt: skip
    descr = random.choice(("<f8", "<f8", "|O", "<U1000000000", "<f3", "(3,)f8", "|V0", "x", "<i8", "<c32"))
    bomb = header("(37500000,)") + bytes(BOMB)
    way = random.randrange(6)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        if way <= 2:
            members[name] = header(shape, descr, random.choice((b"\x01\x00", b"\x02\x00", b"\x09\x00")))
        elif way == 3:
            members[name] = bomb
        elif way == 4:
            members[name] = random.choice((npz(arrays()), b"", b"\x80\x04.", b"text", members[name] * 2, members["R.npy"]))
        for key, content in members.items():
            archive.writestr(key, content)
        if way == 5:
            archive.writestr(random.choice(("R", "R.npy/x", "a/b.npy", "E.NPY")), members[name])
    return out.getvalue()


def tar(members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for info, content in members:
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content.ljust(info.size, b"\0")))
    return out.getvalue()


def tar_gz(random: Random | None = None) -> bytes:
    """An archive of XSF files; with `random` one of them is damaged, or is no plain file."""
    made = [(tarfile.TarInfo(f"frame{k}.xsf"), xsf(image).encode()) for k, image in enumerate(images(True))]
    if random is None:
        return tar(made)
    info, content = made[random.randrange(len(made))]
    way = random.randrange(8)
    if way == 0:
        info.name = random.choice(("../a.xsf", "/a.xsf", "a" * 300 + ".xsf", "é\u202e.xsf", ".xsf", "frame1.xsf", "9" * 6000 + ".xsf"))
    elif way == 1:
        info.type = random.choice((tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE))
        info.linkname = random.choice(("/etc/passwd", "frame0.xsf", ""))
    elif way == 2:
        made.append((tarfile.TarInfo("bomb.xsf"), bytes(BOMB // 3)))
    elif way <= 5:
        made.append((tarfile.TarInfo("frame9.xsf"), xsf(xsf_parts(random)[0]).encode("utf-8", "surrogatepass")))
    elif way == 6:
        plain = bytearray(tar(made, "w:"))
        for _ in range(5):  # the heads of members
            plain[512 * random.randrange(len(plain) // 512) + random.randrange(160)] = random.randrange(256)
        return gzip.compress(bytes(plain))
    else:
        return gzip.compress(random.choice((b"", bytes(10240), tar(made), extxyz(images(False)), bytes(600_000_000))), 1)
    return tar(made)


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


def packed(suffix: str):
    """Extended XYZ in a compressed file: whole around absurd contents, cut off, or a bomb."""

    def make(random: Random) -> bytes:
        text = random.choice((extxyz(images(True)), geometry(random), labels(random), b""))
        way = random.randrange(4)
        if way == 0:
            return PACK[suffix](text)[: random.choice((5, 20, -1, -4, -9))]
        if way == 1:
            return random.choice((text, PACK["gz"](text), PACK[suffix](PACK[suffix](text)), PACK[suffix](text) * 2))
        if way == 2:
            return PACK[suffix](random.choice((b"3\n\n" + b"H 0 0 0\n" * 20_000_000, bytes(BOMB), b"1" * BOMB)))
        return PACK[suffix](text)

    return make


def atoms(random: Random | None = None) -> list[Atoms]:
    """Eight labelled frames; with `random` one of them, or all, say something absurd."""
    made = []
    for k in range(8):
        frame = crystal(k)
        one = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
        rng = np.random.default_rng(k)
        one.calc = SinglePointCalculator(one, energy=float(rng.normal()), forces=rng.normal(size=(4, 3)))
        made.append(one)
    for one in [] if random is None else made if random.random() < 0.3 else [random.choice(made)]:
        _disturb(one, random)
    return made


def _disturb(one: Atoms, random: Random) -> None:
    value = random.choice((np.nan, np.inf, 1e300, 1e7, -1e300, 0.0))
    way = random.randrange(9)
    results = one.calc.results
    if way == 0:
        one.positions[random.randrange(4), random.randrange(3)] = value
    elif way == 1:
        one.cell[:] = cells(random)
    elif way == 2:
        results["energy"] = value
    elif way == 3:
        results["forces"][random.randrange(4)] = value
    elif way == 4:
        one.numbers[random.randrange(4)] = random.choice((0, -1, 119, 300, 10**9))
    elif way == 5:
        one.info |= {"charge": random.choice((value, "x", [1, 2], None)), "spin": random.choice((1, "x", 2.5))}
    elif way == 6:
        one.set_constraint(FixAtoms([0, 1]))
        one.set_masses([value, 1, 1, 1])
    elif way == 7:
        results.pop(random.choice(("energy", "forces")))
    else:
        one.pbc = random.choice(([True, False, True], False))


def through_ase(suffix: str):
    """Function that writes frames with ASE and gives the bytes of the file."""

    def make(random: Random | None = None) -> bytes:
        made = atoms(random)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a.{suffix}"
            try:
                _write(path, made)
            except (ValueError, TypeError, IndexError, OverflowError, AssertionError):  # ASE refuses to write it
                path.unlink(missing_ok=True)
                _write(path, atoms())
            return path.read_bytes()

    return make


def _write(path: Path, made: list[Atoms]) -> None:
    if path.suffix == ".traj":
        ase.io.write(path, made)
        return
    with ase.db.connect(path) as base:
        for one in made:
            base.write(one, key_value_pairs={"label": "a"}, data={"x": [1, 2]})


@lru_cache
def _json_tree() -> str:
    return through_ase("json")().decode()


def ase_json(random: Random) -> bytes:
    """A database in JSON with something absurd in the place of a value."""
    return json.dumps(damage(json.loads(_json_tree()), random, VALUES, random.choice((1, 1, 3)))).encode()


def ase_db(random: Random) -> bytes:
    """A database in SQLite with something absurd in a column, or without a table or column."""
    column = random.choice(("numbers", "positions", "cell", "pbc", "energy", "forces", "natoms", "constraints", "data", "calculator"))
    value = random.choice((None, b"", b"\x00" * 7, b"\xff" * 96, "x", 10**9, -1, 1e300, b"\x7f" * 12, "[1, 2]"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        path.write_bytes(through_ase("db")())
        with sqlite3.connect(path) as base:
            if random.random() < 0.7:
                where = "" if random.random() < 0.5 else " WHERE id = 3"
                base.execute(f"UPDATE systems SET {column} = ?{where}", (value,))
            elif random.random() < 0.5:
                base.execute(f"DROP TABLE {random.choice(('systems', 'information', 'species', 'keys'))}")
            else:
                base.execute(f"ALTER TABLE systems RENAME COLUMN {column} TO other")
        base.close()
        return path.read_bytes()
