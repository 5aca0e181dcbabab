"""Kinds of files that are not read, called by their names, with what to do instead."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

from piwsl_lab.data.frames.frame import DataError

CONVERT = "write the frames with ase.io.write('frames.extxyz', …) and load that file"
# First bytes of a file, how such a file is called, and the remedy.
MAGIC = (
    (b"\xff\xfe", "a text in UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "a text in UTF-16", "save it as UTF-8"),
    (
        b"\x93NUMPY",
        "a single NumPy array",
        "store positions, numbers and labels together with numpy.savez (R, z, E, F)",
    ),
    (b"PAR1", "a Parquet table", CONVERT),
    (b"ARROW1", "an Arrow table", CONVERT),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it, and load its files"),
    (b"Rar!", "a RAR archive", "unpack it, and load its files"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file", "unpack it with zstd -d"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file", "fetch it with git lfs pull"),
    (b"<!doctype html", "a web page, not the file", "download the file itself"),
    (b"<html", "a web page, not the file", "download the file itself"),
    (b"%PDF", "a PDF", "it holds no frames"),
)
PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
# Ends of names.
SUFFIXES = {
    **dict.fromkeys((".pkl", ".pickle", ".p"), ("a pickle, which is never opened: it can run code", CONVERT)),
    **dict.fromkeys((".pt", ".pth", ".ckpt"), ("a PyTorch file, which is never opened: it can run code", CONVERT)),
    **dict.fromkeys((".lmdb", ".mdb", ".aselmdb"), ("an LMDB database", CONVERT)),
    **dict.fromkeys((".csv", ".tsv", ".xlsx", ".xls", ".ods"), ("a table", "tables hold no geometries: " + CONVERT)),
    ".safetensors": ("a file of weights", "give it to load_potential or 'piwsl-lab fly'; data come from another file"),
    ".model": ("a model", "data come from another file"),
    ".tfrecord": ("a TFRecord file", CONVERT),
    ".parquet": ("a Parquet table", CONVERT),
    ".zarr": ("a Zarr store", CONVERT),
    ".cell": ("a cell of CASTEP, for which ASE would start the program castep", "convert it to CIF or extended XYZ"),
    ".raw": ("a part of a DeePMD system", "convert the folder: dpdata.LabeledSystem(…).to('extxyz', …)"),
}
LMDB = b"\xde\xc0\xef\xbe"
# Words near the beginning of a text.
WORDS = (
    (b"BEGIN_CFG", "a configuration file of MLIP (MTP)", "convert it with mlp convert-cfg, or " + CONVERT),
    (b'"@module"', "a JSON of pymatgen or monty", "turn it into ASE atoms with AseAtomsAdaptor and " + CONVERT),
)


def refuse(path: Path, source: str, labels: bool) -> None:
    """Refuse a file of a kind that is known not to be read; say nothing about others.

    Parameters
    ----------
    path : Path
        The file, unpacked.
    source : str
        How the person called it.
    labels : bool
        Whether energies or forces are needed: an SDF can be a start structure.

    Raises
    ------
    DataError
        What kind of file it is, and how to convert it.
    """
    with path.open("rb") as handle:
        head = handle.read(4096)
    what = _by_content(path, head) or SUFFIXES.get(path.suffix.lower())
    if what is None and labels and path.suffix.lower() in (".sdf", ".mol", ".mol2"):
        what = ("a structure file without labels in eV", "compute energies with an Oracle, or " + CONVERT)
    if what is not None:
        raise DataError(f"{source}: is {what[0]}; {what[1]}")


def _by_content(path: Path, head: bytes) -> tuple[str, str] | None:
    for magic, what, remedy in MAGIC:
        if head.lower().startswith(magic.lower()):
            return what, remedy
    if head.startswith(PICKLES):
        return "a pickle, which is never opened: it can run code", CONVERT
    if head[16:20] == LMDB:
        return "an LMDB database", CONVERT
    if head[257:262] == b"ustar" or path.suffix.lower() == ".tar":
        return "a tar archive", "unpack it, and load its files"
    if head.startswith(b"PK\x03\x04") and path.suffix.lower() != ".npz":
        return _zip(path)
    for word, what, remedy in WORDS:
        if word in head:
            return what, remedy
    return None


def _zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile:
        names = []
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file, which is never opened: it can run code", CONVERT
    if names and all(name.endswith(".npy") for name in names):
        return "a file of NumPy arrays with another name", "rename it, so that it ends in .npz"
    return "a zip archive", f"unpack it, and load its files ({', '.join(names[:3]) or 'none can be listed'} …)"


def refuse_folder(path: Path, source: str) -> None:
    """Refuse a folder, and say how its files are read.

    Raises
    ------
    DataError
        Always: which kind of folder it is, and what to give in its place.
    """
    names = sorted(entry.name for entry in path.iterdir())
    if "type.raw" in names or any(name.startswith("set.") for name in names):
        raise DataError(
            f"{source}: is a folder of DeePMD; convert it with dpdata: "
            f"LabeledSystem('{source}', 'deepmd/npy').to('extxyz', …)"
        )
    if any(name.endswith(".mdb") for name in names):
        raise DataError(f"{source}: is a folder with an LMDB database; {CONVERT}")
    for single in ("vasprun.xml", "OUTCAR"):
        if single in names:
            raise DataError(f"{source}: is a folder of a VASP run; give its file {path / single}")
    ends = Counter(Path(name).suffix for name in names if Path(name).suffix and not name.startswith("."))
    if not ends:
        raise DataError(f"{source}: is a folder without files of data; give a file")
    end, number = ends.most_common(1)[0]
    raise DataError(
        f"{source}: is a folder, not a file; it holds {number} files that end in {end}: "
        f"join them as one set with the pattern '{path / ('*' + end)}'"
    )
