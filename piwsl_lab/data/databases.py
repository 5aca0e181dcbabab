"""ASE databases, with the labels of a calculator, of SchNetPack, or of key-value pairs."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.db import connect
from ase.db.row import AtomsRow

from piwsl_lab.data.convert import frames_of
from piwsl_lab.data.dataset import Dataset, Metadata
from piwsl_lab.data.frame import DataError
from piwsl_lab.data.keys import looks_like_label, meaning
from piwsl_lab.data.measures import energy_factor, force_factor, length_factor, spelled

SQLITE = b"SQLite format 3\x00"


def read_database(path: Path, source: str) -> Dataset:
    """Frames of an ASE database (``.db`` or ASE's ``.json``).

    Labels come from the calculator's results, from ``data`` as SchNetPack writes them, and from
    ``key_value_pairs``. Units are eV and Å unless the metadata have SchNetPack's ``_property_unit_dict`` and
    ``_distance_unit``; its ``atomrefs`` become `Dataset.isolated_energies`.

    Raises
    ------
    DataError
        No ASE database, a damaged one, or an unknown unit.
    """
    with path.open("rb") as handle:
        kind = "db" if handle.read(len(SQLITE)) == SQLITE else "json"
    if kind == "db":
        _require_ase_table(path, source)
    elif not all(key in (content := path.read_bytes()) for key in (b'"ids"', b'"nextid"')):
        what = "a JSON that ASE did not write" if content.lstrip()[:1] in (b"{", b"[") else "no ASE database"
        raise DataError(
            f"{source}: is {what}; write the frames with ase.io.write('frames.extxyz', …) and load that file"
        )
    try:
        # Serial and without a lock: a file that is only read is not written to.
        database = connect(str(path.absolute()), type=kind, serial=True, use_lock_file=False)
        metadata = dict(database.metadata)
        images = [_atoms(row, metadata, source) for row in database.select()]
    except DataError:
        raise
    # SQLite, JSON and ASE's own decoding each fail in their own way on a damaged file.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        raise DataError(f"{source}: not a whole ASE database ({reason}); copy it again") from error
    frames, remarks = frames_of(images, source)
    energies, said = _atomrefs(metadata, source)
    return Dataset(frames, Metadata(source, origin=source), energies, [*remarks, *said])


def _require_ase_table(path: Path, source: str) -> None:
    """ASE would write its tables into any other SQLite file."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise DataError(f"{source}: not a whole SQLite database ({error}); copy it again") from error
    if "systems" not in tables:
        listed = ", ".join(tables[:8]) or "none"
        raise DataError(f"{source}: an SQLite database that ASE did not write (tables: {listed}); export it with ASE")


def _atoms(row: AtomsRow, metadata: Mapping[str, Any], source: str) -> Atoms:
    atoms = row.toatoms()
    factor = _factor(length_factor, metadata.get("_distance_unit"), "_distance_unit", source)
    if factor != 1.0:
        atoms.set_cell(atoms.cell.array * factor)
        atoms.positions *= factor
    units = metadata.get("_property_unit_dict") or {}
    for name, value in {**row.key_value_pairs, **row.data}.items():
        if value is None or name in ("numbers", "positions"):
            continue
        found = meaning(name)
        if found is not None:
            known = energy_factor if found.kind == "energy" else force_factor
            value = np.asarray(value) * _factor(known, units.get(name), name, source)
            value = value.reshape(()).item() if value.size == 1 and found.kind == "energy" else value
        shown = f"data.{name}" if name in row.data else name
        if found is not None or looks_like_label(name) or np.ndim(value) == 0:
            atoms.info[shown if looks_like_label(name) else name] = value
    return atoms


def _factor(known: Any, unit: object, name: str, source: str) -> float:
    if unit is None or unit == "":
        return 1.0
    factor = known(spelled(unit))
    if factor is None:
        raise DataError(f"{source}: '{name}' has the unit '{unit}', which is not known; convert it to eV and Å")
    return factor


def _atomrefs(metadata: Mapping[str, Any], source: str) -> tuple[dict[int, float], list[str]]:
    """Energies of isolated atoms, eV, that SchNetPack stores as one number for each atomic number."""
    units = metadata.get("_property_unit_dict") or {}
    for name, values in (metadata.get("atomrefs") or {}).items():
        if meaning(name) is None or meaning(name).kind != "energy":
            continue
        factor = _factor(energy_factor, units.get(name), name, source)
        flat = np.asarray(values, dtype=np.float64).reshape(-1) * factor
        energies = {z: float(value) for z, value in enumerate(flat) if z and value}
        return energies, [f"Energies of isolated atoms were read from 'atomrefs' of '{name}'."] if energies else []
    return {}, []
