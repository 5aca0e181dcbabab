"""Files in, `Dataset` out: everything ASE reads, XSF with energies, ``.npz`` with the keys of MD17 (E, F, R, z)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
from ase import units
from numpy.lib.npyio import NpzFile

from piwsl_lab.data.dataset import Dataset, Metadata
from piwsl_lab.data.frame import DataError, Frame
from piwsl_lab.data.xsf import ARCHIVES, read_xsf

# One meaning, several habits: MD17 and sGDML write capitals, rMD17 whole words.
NPZ_KEYS = {
    "positions": ("R", "coords"),
    "numbers": ("z", "nuclear_charges"),
    "energy": ("E", "energies"),
    "forces": ("F", "forces"),
}
ENERGY_UNITS = {
    "ev": 1.0,
    "kcal/mol": units.kcal / units.mol,
    "kj/mol": units.kJ / units.mol,
    "hartree": units.Hartree,
    "ha": units.Hartree,
}
LENGTH_UNITS = {"angstrom": 1.0, "ang": 1.0, "å": 1.0, "a": 1.0, "bohr": units.Bohr, "a0": units.Bohr}


def read(path: str | Path) -> Dataset:
    """Read every frame of a file, converted to eV and Å.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with the MD17 keys R, z, E, F (kcal/mol and Å unless the file has ``energy_unit`` or
        ``e_unit``, ``length_unit`` or ``r_unit``), an ``.xsf`` file with its total energy in a comment or
        a ``.tar.gz`` of such files, or any other format of `ase.io.read`, whose units are eV and Å.

    Raises
    ------
    DataError
        Missing, empty, truncated or unreadable file; bad frame; no energy in the whole file.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: no such file; check the path")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; copy or download it again")
    if path.suffix == ".npz":
        dataset = _read_npz(path)
    elif path.name.endswith((".xsf", *ARCHIVES)):
        dataset = read_xsf(path)
    else:
        dataset = _read_ase(path)
    if not len(dataset):
        raise DataError(f"{path}: no frames in the file; copy or download it again")
    if not dataset.n_energies:
        keys = sorted({key for frame in dataset for key in frame.info})
        raise DataError(
            f"{path}: no frame has an energy; write the total energy (eV) as 'energy', or compute it with an "
            "Oracle. "
            f"Keys found instead: {', '.join(keys) or 'none'}"
        )
    return dataset


def _read_ase(path: Path) -> Dataset:
    try:
        images = ase.io.read(path, index=":", do_not_split_by_at_sign=True)
    # Each of ASE's hundred readers fails in its own way on a damaged file: the file is the reason.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        raise DataError(
            f"{path}: cannot be read ({reason}); the file is truncated, damaged or of a format ASE does "
            "not know: copy it again, or convert it to extended XYZ"
        ) from error
    return Dataset.from_atoms(images, Metadata(str(path), origin=str(path)))


def _read_npz(path: Path) -> Dataset:
    try:
        # Not np.load(path): it leaves the file open when the archive is damaged.
        with path.open("rb") as handle, NpzFile(handle, allow_pickle=False) as archive:
            # Only what is understood is read: other keys may hold pickled objects, which are never opened.
            wanted = {name: _pick(archive, keys, path) for name, keys in NPZ_KEYS.items()}
            if "lattice" in archive:
                raise DataError(f"{path}: key 'lattice': periodic .npz files are not read; convert it to extended XYZ")
            energy_unit = _unit(archive, ("energy_unit", "e_unit"), "kcal/mol", ENERGY_UNITS, path)
            length_unit = _unit(archive, ("length_unit", "r_unit"), "angstrom", LENGTH_UNITS, path)
            method = str(archive["theory"]) if "theory" in archive else "unknown"
            info = {"temperature": float(archive["temperature_K"])} if "temperature_K" in archive else {}
    except DataError:
        raise
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not a whole .npz file ({error}); copy or download it again") from error
    _check_npz(wanted, path)
    energy, length = ENERGY_UNITS[energy_unit], LENGTH_UNITS[length_unit]
    metadata = Metadata(str(path), method, units=f"{energy_unit}, {length_unit}", origin=str(path))
    return Dataset(_npz_frames(wanted, energy, length, info), metadata)


def _npz_frames(arrays: dict[str, np.ndarray | None], energy: float, length: float, info: dict) -> Iterator[Frame]:
    for i, positions in enumerate(arrays["positions"].astype(np.float64)):
        yield Frame(
            numbers=arrays["numbers"],
            positions=positions * length,
            energy=arrays["energy"][i] * energy,
            forces=None if arrays["forces"] is None else arrays["forces"][i].astype(np.float64) * (energy / length),
            info=info,
        )


def _pick(archive: NpzFile, keys: tuple[str, ...], path: Path) -> np.ndarray | None:
    for key in keys:
        if key in archive:
            return archive[key]
    if keys == NPZ_KEYS["forces"]:
        return None
    if keys == NPZ_KEYS["energy"]:
        raise DataError(f"{path}: no energies: key 'E' is missing; store the total energies as 'E'")
    found = ", ".join(archive.files) or "none"
    raise DataError(f"{path}: key '{keys[0]}' is missing (found: {found}); store R, z, E and F as MD17 does")


def _unit(archive: NpzFile, keys: tuple[str, ...], default: str, known: dict[str, float], path: Path) -> str:
    for key in keys:
        if key in archive:
            unit = str(archive[key])
            if unit.lower() not in known:
                raise DataError(f"{path}: key '{key}' is '{unit}'; use one of {', '.join(known)}")
            return unit.lower()
    return default


def _check_npz(arrays: dict[str, np.ndarray | None], path: Path) -> None:
    """Shapes of whole arrays; what is inside a frame is checked by `Frame`."""
    positions, numbers = arrays["positions"], arrays["numbers"]
    if positions.ndim != 3 or positions.shape[2] != 3 or numbers.shape != positions.shape[1:2]:
        raise DataError(
            f"{path}: R has shape {positions.shape} and z {numbers.shape}; expected (frames, atoms, 3) and (atoms,)"
        )
    arrays["energy"] = np.asarray(arrays["energy"])
    if arrays["energy"].size != len(positions):
        raise DataError(f"{path}: E has shape {arrays['energy'].shape}; expected one a frame, ({len(positions)},)")
    arrays["energy"] = arrays["energy"].reshape(-1)
    forces = arrays["forces"]
    if forces is not None and forces.shape != positions.shape:
        raise DataError(f"{path}: F has shape {forces.shape}, R has {positions.shape}; they must be the same")
