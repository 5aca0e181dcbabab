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
from piwsl_lab.data.frames.keys import looks_like_label, meaning, passed_over
from piwsl_lab.data.frames.measures import energy_factor, force_factor, length_factor, spelled
from piwsl_lab.data.frames.stated import names_unit, stated
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
        dropped: Counter = Counter()
        images = [_atoms(row, metadata, source, dropped) for row in database.select()]
    except DataError:
        raise
    # SQLite, JSON and ASE's own decoding each fail in their own way on a damaged file.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".strip(": ")
        raise DataError(f"{source}: not a whole ASE database ({reason}); copy it again") from error
    frames, remarks = frames_of(images, source)
    energies, said = _atomrefs(metadata, source)
    said += [f"{passed_over(name, f'{number} frames')}." for name, number in sorted(dropped.items())]
    return Dataset(frames, Metadata(source, origin=source), energies, [*remarks, *said])


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


def _atoms(row: AtomsRow, metadata: Mapping[str, Any], source: str, dropped: Counter) -> Atoms:
    atoms = row.toatoms()
    factor = _factor(length_factor, metadata.get("_distance_unit"), "_distance_unit", source)
    if factor != 1.0:
        atoms.set_cell(atoms.cell.array * factor)
        atoms.positions *= factor
    units = _with_derived(metadata)
    if not metadata.get("_property_unit_dict"):
        # Older SchNetPack and private scripts: the keys say it, as in an extended XYZ.
        atoms.info.update({key: value for key, value in metadata.items() if names_unit(key) and key[:1] != "_"})
    for name, value in {**row.key_value_pairs, **row.data}.items():
        if value is None or name in ("numbers", "positions"):
            continue
        found = meaning(name)
        if found is not None:
            if np.asarray(value).dtype.kind not in "iuf":
                raise DataError(f"row {row.id} of {source}: '{name}' is {value!r:.60}, not numbers; correct the row")
            known = energy_factor if found.kind == "energy" else force_factor
            value = np.asarray(value) * _factor(known, units.get(name), name, source)
            value = value.reshape(()).item() if value.size == 1 and found.kind == "energy" else value
        shown = f"data.{name}" if name in row.data else name
        if found is None and np.size(value) == 1 and not isinstance(value, (str, bytes, Mapping)):
            value = np.asarray(value).reshape(()).item()
        if found is not None or looks_like_label(name) or isinstance(value, (str, bool, int, float)):
            atoms.info[shown if looks_like_label(name) else name] = value
        else:
            dropped[name] += 1
    return atoms


def _with_derived(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Units of properties; forces without one are in the unit of the energies over that of distances."""
    units = dict(metadata.get("_property_unit_dict") or {})
    energies = {unit for name, unit in units.items() if unit and (m := meaning(name)) and m.kind == "energy"}
    if len(energies) == 1 and not any((m := meaning(name)) and m.kind == "forces" for name in units):
        pull = f"{spelled(energies.pop())}/{spelled(metadata.get('_distance_unit') or 'angstrom')}"
        units |= dict.fromkeys(("forces", "force", "energy_forces"), pull)
    return units


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
        plain_unit = None if units else stated({k: v for k, v in metadata.items() if k[:1] != "_"}).get("energy")
        factor = _factor(energy_factor, units.get(name, plain_unit), name, source)
        flat = np.asarray(values, dtype=np.float64).reshape(-1) * factor
        energies = {z: float(value) for z, value in enumerate(flat) if z and value}
        return energies, [f"Energies of isolated atoms were read from 'atomrefs' of '{name}'."] if energies else []
    return {}, []
