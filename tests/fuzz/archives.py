"""Archives with absurd contents: npz, tar.gz, and extended XYZ in gz, bz2 and xz."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from random import Random

import numpy as np
from frames import labelled

from fuzz.frames_in_text import extxyz, geometry, images, labels, xsf, xsf_parts

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
    np.savez_compressed(out, **content)
    return out.getvalue()


def npz_arrays(random: Random) -> bytes:
    """A whole file whose arrays have other types, shapes, names or values."""
    content = arrays()
    name = random.choice(("R", "z", "E", "F"))
    array = content[name]
    flat = array.astype(np.float64).copy()
    values = (np.nan, np.inf, 1e300, -1e300, 1e7, 1e30, 0.5, -1, 200)
    flat.reshape(-1)[random.randrange(flat.size)] = random.choice(values)
    changed = (
        lambda: flat, lambda: flat * random.choice((0, 1e-9, 1e6, 1e300)), lambda: array.astype(object),
        lambda: array.astype(str), lambda: array.astype(bool), lambda: array.astype(np.complex128) + 1j,
        lambda: array.astype(">f4"),
        lambda: array.astype("S8"), lambda: array.astype("M8[s]"), lambda: array.astype(np.float16), lambda: array[:0],
        lambda: array[None], lambda: array.reshape(-1), lambda: np.zeros(()), lambda: array[..., :1], lambda: array[:3],
        lambda: np.zeros((0, 9, 3)), lambda: np.zeros((8, 0, 3)), lambda: np.zeros((8, 9, 3)),
        lambda: np.zeros((8, 9, 2)),
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


def npz_absurd(random: Random) -> bytes:
    """A whole file in which one number is none that a file can mean."""
    content = arrays()
    name = random.choice(("R", "E", "F", "z"))
    array = content[name].astype(np.float64)
    values = (0, 119, 255, 6.5) if name == "z" else (np.nan, np.inf, 1e300, -1e150, 1e30)
    array.reshape(-1)[random.randrange(array.size)] = random.choice(values)
    return npz({**content, name: array})


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
        ("(1000000000000,)", "(8, 9, 1000000000000)", "(-1,)", "(1000000, 9, 3)", "()", "(0,)", "(8, 9, 3)", "'x'",
         "(1e9,)", "(99999999999999999999999,)", "(" + "1, " * 100 + ")", "(3000000000,)", "(8,", "None")
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
            other = (npz(arrays()), b"", b"\x80\x04.", b"text", members[name] * 2, members["R.npy"])
            members[name] = random.choice(other)
        for key, content in members.items():
            _store(archive, key, content)
        if way == 5:
            _store(archive, random.choice(("R", "R.npy/x", "a/b.npy", "E.NPY")), members[name])
    return out.getvalue()


def _store(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of 1980, not of today


def gz(content: bytes, level: int = 9) -> bytes:
    return gzip.compress(content, level, mtime=0)  # of 1970, not of now


def tar(members: list[tuple[tarfile.TarInfo, bytes]], pack: bool = True) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as archive:
        for info, content in members:
            info.size = info.size or len(content)
            archive.addfile(info, io.BytesIO(content.ljust(info.size, b"\0")))
    return gz(out.getvalue()) if pack else out.getvalue()


def tar_gz(random: Random | None = None) -> bytes:
    """An archive of XSF files; with `random` one of them is damaged, or is no plain file."""
    made = [(tarfile.TarInfo(f"frame{k}.xsf"), xsf(image).encode()) for k, image in enumerate(images(True))]
    if random is None:
        return tar(made)
    info = random.choice(made)[0]
    way = random.randrange(8)
    if way == 0:
        names = ("../a.xsf", "/a.xsf", "a" * 300 + ".xsf", "é\u202e.xsf", ".xsf", "frame1.xsf", "9" * 6000 + ".xsf")
        info.name = random.choice(names)
    elif way == 1:
        types = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE)
        info.type = random.choice(types)
        info.linkname = random.choice(("/etc/passwd", "frame0.xsf", ""))
    elif way == 2:
        made.append((tarfile.TarInfo("bomb.xsf"), bytes(BOMB // 3)))
    elif way <= 5:
        made.append((tarfile.TarInfo("frame9.xsf"), xsf(xsf_parts(random)[0]).encode("utf-8", "surrogatepass")))
    elif way == 6:
        plain = bytearray(tar(made, pack=False))
        for _ in range(5):  # the heads of members
            plain[512 * random.randrange(len(plain) // 512) + random.randrange(160)] = random.randrange(256)
        return gz(bytes(plain))
    else:
        inside = (b"", bytes(10240), tar(made), extxyz(images(False)), bytes(600_000_000))
        return gz(random.choice(inside), 1)
    return tar(made)


PACK = {"gz": gz, "bz2": bz2.compress, "xz": lzma.compress}


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
