"""ASE databases, with the labels of a calculator, of SchNetPack, or of key-value pairs."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.db import connect
from ase.db.row import AtomsRow

from piwsl_lab.data.frames.convert import frames_of
from piwsl_lab.data.frames.frame import DataError
from piwsl_lab.data.frames.keys import label_kind, looks_like_label, say_passed_over
from piwsl_lab.data.frames.measures import spelled
from piwsl_lab.data.frames.stated import force_unit, names_unit, stated, unit_factor
from piwsl_lab.data.sets.dataset import Dataset, Metadata

ASE_JSON = re.compile(rb'\s*\{\s*"\d+"\s*:\s*\{')  # the first row, by its number
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
        if ASE_JSON.match(content[:4096]) and not _is_whole(content):
            raise DataError(f"{source}: ends in the middle of an ASE database; it is cut: copy or download it again")
        what = "a JSON that ASE did not write" if content.lstrip()[:1] in (b"{", b"[") else "no ASE database"
        raise DataError(
            f"{source}: is {what}; write the frames with ase.io.write('frames.extxyz', …) and load that file"
        )
    try:
        # Serial and without a lock: a file that is only read is not written to.
        database = connect(str(path.absolute()), type=kind, serial=True, use_lock_file=False)
        metadata = dict(database.metadata)
        dropped: Counter[str] = Counter()
        images = [_atoms(row, metadata, source, dropped) for row in database.select()]
    except DataError:
        raise
    # SQLite, JSON and ASE's own decoding each fail in their own way on a damaged file.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        raise DataError(f"{source}: not a whole ASE database ({reason}); copy it again") from error
    frames, remarks = frames_of(images, source)
    energies, said = _atomrefs(metadata, source)
    return Dataset(frames, Metadata(source, origin=source), energies, [*remarks, *said, *say_passed_over(dropped)])


def _is_whole(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


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


def _atoms(row: AtomsRow, metadata: Mapping[str, Any], source: str, dropped: Counter[str]) -> Atoms:
    atoms: Atoms = row.toatoms()
    factor = _factor("length", metadata.get("_distance_unit"), "_distance_unit", source)
    if factor != 1.0:
        atoms.set_cell(atoms.cell.array * factor)
        atoms.positions *= factor
    if not metadata.get("_property_unit_dict"):
        # Older SchNetPack and private scripts: the keys say it, as in an extended XYZ.
        atoms.info.update({key: value for key, value in metadata.items() if names_unit(key) and key[:1] != "_"})
    for name, value in {**row.key_value_pairs, **row.data}.items():
        if value is None or name in ("numbers", "positions"):
            continue
        kind, label_like = label_kind(name), looks_like_label(name)
        if kind is not None:
            value = _label(kind, name, value, metadata, f"row {row.id} of {source}")
        elif np.size(value) == 1 and not isinstance(value, (str, bytes, Mapping)):
            value = np.asarray(value).reshape(()).item()
        if kind is not None or label_like or isinstance(value, (str, bool, int, float)):
            atoms.info[f"data.{name}" if label_like and name in row.data else name] = value
        else:
            dropped[name] += 1
    return atoms


def _label(kind: str, name: str, value: Any, metadata: Mapping[str, Any], where: str) -> Any:
    """An energy (eV) or forces (eV/Å) of one row."""
    if np.asarray(value).dtype.kind not in "iuf":
        raise DataError(f"{where}: '{name}' is {value!r:.60}, not numbers; correct the row")
    try:
        unit = _unit(kind, name, metadata)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    converted = np.asarray(value) * _factor(kind, unit, name, where)
    return converted.item() if converted.size == 1 and kind == "energy" else converted


def _unit(kind: str, name: str, metadata: Mapping[str, Any]) -> Any:
    """Unit of a label after SchNetPack's metadata; that of forces follows from energy and distance where none is."""
    units = metadata.get("_property_unit_dict") or {}
    energies = {spelled(unit) for other, unit in units.items() if unit and label_kind(other) == "energy"}
    if kind == "forces" and len(energies) == 1 and not any(label_kind(other) == "forces" for other in units):
        distance = metadata.get("_distance_unit")
        return force_unit(energies.pop(), spelled(distance) if distance else None)
    return units.get(name)


def _factor(kind: str, unit: Any, name: str, source: str) -> float:
    """eV, Å or eV/Å in a unit; 1 where none is stated."""
    factor = 1.0 if unit is None or unit == "" else unit_factor(kind, spelled(unit))
    if factor is None:
        raise DataError(f"{source}: '{name}' has the unit '{unit}', which is not known; convert it to eV and Å")
    return factor


def _atomrefs(metadata: Mapping[str, Any], source: str) -> tuple[dict[int, float], list[str]]:
    """Energies of isolated atoms, eV, that SchNetPack stores as one number for each atomic number."""
    units = metadata.get("_property_unit_dict") or {}
    for name, values in (metadata.get("atomrefs") or {}).items():
        if label_kind(name) != "energy":
            continue
        plain_unit = None if units else stated({k: v for k, v in metadata.items() if k[:1] != "_"}).get("energy")
        factor = _factor("energy", units.get(name, plain_unit), name, source)
        flat = np.asarray(values, dtype=np.float64).reshape(-1) * factor
        energies = {z: float(value) for z, value in enumerate(flat) if z and value}
        return energies, [f"Energies of isolated atoms were read from 'atomrefs' of '{name}'."] if energies else []
    return {}, []
