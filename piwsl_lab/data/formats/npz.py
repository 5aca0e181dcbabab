"""``.npz`` files with the keys of MD17, rMD17, PhysNet, ANI and ASE."""

from __future__ import annotations

import lzma
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile

from piwsl_lab.data.formats.arrays import LARGEST, Arrays, frames
from piwsl_lab.data.formats.npz_units import UNITLESS, units_of
from piwsl_lab.data.frames.frame import DataError, DataWarning
from piwsl_lab.data.frames.keys import gradient_remarks, passed_over
from piwsl_lab.data.frames.measures import as_text, unit_doubts
from piwsl_lab.data.frames.stated import Stated, factors
from piwsl_lab.data.sets.dataset import Dataset, Metadata

# One habit a row: MD17, sGDML and PhysNet write capitals, rMD17 whole words, ANI and ASE still others.
HABITS = (
    ("R", "z", "E", "F"),
    ("coords", "nuclear_charges", "energies", "forces"),
    ("positions", "atomic_numbers", "energy", "forces"),
    ("pos", "numbers", "energy", "forces"),
    ("coordinates", "species", "energies", "forces"),
)
# RuntimeError: a member that says it is encrypted. SyntaxError, OverflowError, TokenError: a header of nonsense.
DAMAGES = (
    OSError, EOFError, ValueError, KeyError, RuntimeError, SyntaxError, OverflowError, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error, lzma.LZMAError,
)  # fmt: skip
REQUIRED = ("positions", "numbers", "energy", "forces")
# Other names of the same, in the order in which they are looked for.
OTHERS = {
    "positions": ("coord", "xyz", "r"),
    "numbers": ("Z", "charges", "elements", "symbols", "atomic_nums"),
    "energy": ("total_energy", "total_energies", "e"),
    "forces": ("force", "f"),
    "cell": ("cell", "cells", "lattice", "lattices", "lattice_vectors", "box"),
    "pbc": ("pbc",),
    "counts": ("N", "n_atoms", "natoms", "num_atoms"),
    "charge": ("Q", "charge", "total_charge", "total_charges"),
    "multiplicity": ("multiplicity", "spin_multiplicity"),
}


def read_npz(path: Path, source: str) -> Dataset:
    """Frames of an ``.npz`` file; remarks say which keys and units were taken.

    Parameters
    ----------
    path : Path
    source : str
        How the person called the file, for messages.

    Raises
    ------
    DataError
        Damaged file, object arrays, missing keys, unknown units, shapes that do not belong together.
    """
    names, loaded, files = _roles_and_arrays(path, source)
    unread = sorted({*files} - {*loaded})
    units, name, remarks = _units({key: loaded[key] for key in loaded if _states_unit(key)}, names, files, source)
    stacked = Arrays(
        **{role: loaded[key] for role, key in names.items()},
        length=units.length,
        energy_unit=units.energy,
        force_unit=units.forces,
        info=_temperature(loaded, source),
        names=names,
    )
    taken = ", ".join(f"{role} from '{key}'" for role, key in names.items())
    remarks = [f"Read {taken}.", *remarks, *(f"{passed_over(key)}." for key in unread), *gradient_remarks(unread)]
    method = as_text(loaded["theory"]) if "theory" in loaded else "unknown"
    found = Dataset(frames(stacked, source), Metadata(source, method, name, source), remarks=remarks)
    if any(UNITLESS in remark for remark in remarks):
        for doubt in unit_doubts(found, units.energy):
            warnings.warn(f"{source}: {doubt}", DataWarning, stacklevel=2)
    return found


def _roles_and_arrays(path: Path, source: str) -> tuple[dict[str, str], dict[str, Any], list[str]]:
    """Which key has which role, the arrays that are read by their keys, and all keys of the file."""
    try:
        # Not np.load(path): it leaves the file open when the archive is damaged.
        with path.open("rb") as handle, NpzFile(handle, allow_pickle=False) as archive:
            files = archive.files
            names = _names(files)
            _check_keys(names, files, source)
            about = {key for key in files if _states_unit(key) or key in ("theory", "temperature_K")}
            return names, _load(archive, {*names.values(), *about}, source), files
    except DataError:
        raise
    except DAMAGES as error:
        raise DataError(f"{source}: not a whole .npz file ({error}); copy or download it again") from error


def _states_unit(key: str) -> bool:
    return "unit" in key.lower()


def _units(
    about: dict[str, Any], names: dict[str, str], files: list[str], source: str
) -> tuple[Stated, str, list[str]]:
    """Factors to eV, Å and eV/Å, the names of the units of energy and length, and remarks."""
    try:
        units, remarks = units_of(about, names, files, source)
        found = factors(units, "energy" in names, "forces" in names)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return found, f"{units.get('energy', 'ev')}, {units.get('length', 'angstrom')}", remarks


def _temperature(loaded: dict[str, Any], source: str) -> dict[str, float]:
    """The temperature (K) that the file states, if any."""
    if "temperature_K" not in loaded:
        return {}
    try:
        return {"temperature": float(loaded["temperature_K"])}
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{source}: key 'temperature_K' is {loaded['temperature_K']!r:.60}; write one number in K, or leave it out"
        ) from error


def _names(files: list[str]) -> dict[str, str]:
    """Key of every role that the file has, from the habit that fits best and, where that has none, from the others."""
    habit = max(HABITS, key=lambda keys: sum(key in files for key in keys))
    names = {}
    for column, role in enumerate(REQUIRED):
        candidates = (habit[column], *(keys[column] for keys in HABITS), *OTHERS[role])
        found = next((key for key in candidates if key in files), None)
        if found is not None:
            names[role] = found
    for role, candidates in OTHERS.items():
        found = next((key for key in candidates if key in files and key not in names.values()), None)
        if role not in REQUIRED and found is not None:
            names[role] = found
    return names


def _check_keys(names: dict[str, str], files: list[str], source: str) -> None:
    found = ", ".join(files) or "none"
    for role, key in (("positions", "R"), ("numbers", "z")):
        if role not in names:
            raise DataError(f"{source}: key '{key}' is missing (found: {found}); store R, z, E and F as MD17 does")


def _load(archive: NpzFile, keys: set[str], source: str) -> dict[str, Any]:
    """The arrays of these keys; sizes are looked at before anything is unpacked."""
    packed = archive.zip
    if packed is None:
        raise DataError(f"{source}: the archive is closed; load it again")
    members = {name.removesuffix(".npy"): name for name in packed.namelist()}
    total = 0
    for key in sorted(keys):
        member = packed.getinfo(members[key])
        with packed.open(member) as handle:
            version = npy.read_magic(handle)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = read_header(handle)
        if dtype.hasobject:
            raise DataError(
                f"{source}: key '{key}': object arrays are not read (frames of different size, or None, end up so); "
                "pad the frames with 0, or write extended XYZ"
            )
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        total += size
        if total > LARGEST:
            raise DataError(
                f"{source}: key '{key}' brings the arrays to {total / 1e6:.0f} MB, more than the "
                f"{LARGEST / 1e6:.0f} MB that are read; keep fewer frames in one file"
            )
        if size > member.file_size:
            raise DataError(f"{source}: key '{key}' declares shape {shape} and is shorter; copy or download it again")
    return {key: archive[key] for key in keys}
