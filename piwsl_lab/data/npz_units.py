"""Which units an ``.npz`` file is in: those that it states, else those of the habit of its keys."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from piwsl_lab.data.frame import DataError, DataWarning
from piwsl_lab.data.keys import plain
from piwsl_lab.data.measures import (
    ENERGY_UNITS,
    LENGTH_UNITS,
    energy_factor,
    force_factor,
    length_factor,
    spelled,
    text,
)

UNITLESS = "states no unit"
PREFIXES = {
    "energy": ("energy", "energies", "e", "totalenergy", "totalenergies"),
    "length": (
        "length",
        "r",
        "coords",
        "coord",
        "coordinates",
        "positions",
        "position",
        "pos",
        "distance",
        "distances",
    ),
    "force": ("force", "forces", "f"),
}
KNOWN = {"energy": energy_factor, "length": length_factor, "force": force_factor}
EXAMPLES = {
    "energy": ", ".join(ENERGY_UNITS),
    "length": ", ".join(LENGTH_UNITS),
    "force": "ev/angstrom, kcal/mol/angstrom, hartree/bohr",
}
# MD17 and rMD17 are in kcal/mol, arrays with the names of ASE in eV; with others nothing can be assumed.
DEFAULTS = {"R": "kcal/mol", "coords": "kcal/mol", "positions": "ev", "pos": "ev"}
OF_PHYSNET = ("Q", "D")


class Units(NamedTuple):
    """Factors to eV, Å and eV/Å, and the name of the two units."""

    energy: float
    length: float
    force: float
    name: str


def units_of(
    stated: Mapping[str, object], names: Mapping[str, str], files: Sequence[str], source: str
) -> tuple[Units, list[str]]:
    """Units from the unit-like keys of a file, and remarks on them.

    Parameters
    ----------
    stated : mapping
        Value of every key that has "unit" in its name.
    names : mapping
        Which key was taken for which role.
    files : sequence of str
        All keys of the file.
    source : str

    Raises
    ------
    DataError
        An unknown unit, a key whose meaning is not clear, two keys that contradict each other, or a file without any
        unit whose keys are of no known habit.
    """
    found: dict[str, tuple[str, str]] = {}
    remarks = []
    for key, value in sorted(stated.items()):
        prefix = re.sub(r"units?", "", plain(key))
        kind = next((kind for kind, prefixes in PREFIXES.items() if prefix in prefixes), None)
        if kind is not None:
            _note(found, kind, value, key, source)
        elif prefix == "":
            for part in re.split(r"[,;]", text(value)):
                _note(found, _kind_of(spelled(part), key, source), part, key, source)
        else:
            remarks.append(f"Unit key '{key}' ({text(value)}) belongs to nothing that was read.")
    energy = found["energy"][0] if "energy" in found else _default(names, files, source)
    length = found.get("length", ("angstrom", ""))[0]
    force = found["force"][0] if "force" in found else f"{energy}/{length}"
    if "energy" not in found or "length" not in found:
        assumed = {kind: unit for kind, unit in (("energy", energy), ("length", length)) if kind not in found}
        remarks.append(
            f"The file {UNITLESS} of {' and '.join(assumed)}: {' and '.join(assumed.values())} were assumed; "
            "add 'energy_unit' and 'length_unit' to be sure."
        )
    units = Units(energy_factor(energy), length_factor(length), 0.0, f"{energy}, {length}")
    factor = force_factor(force) if "force" in found else units.energy / units.length
    return units._replace(force=factor), remarks


def _kind_of(unit: str, key: str, source: str) -> str:
    for kind, known in KNOWN.items():
        if known(unit) is not None:
            return kind
    raise DataError(f"{source}: key '{key}' holds '{unit}'; store 'energy_unit' and 'length_unit' instead")


def _note(found: dict[str, tuple[str, str]], kind: str, value: object, key: str, source: str) -> None:
    unit = spelled(value)
    if KNOWN[kind](unit) is None:
        raise DataError(f"{source}: key '{key}' is '{text(value)}'; use one of {EXAMPLES[kind]}")
    before, other = found.setdefault(kind, (unit, key))
    if KNOWN[kind](before) != KNOWN[kind](unit):
        raise DataError(f"{source}: key '{other}' is '{before}' and key '{key}' is '{unit}'; keep one of them")


def _default(names: Mapping[str, str], files: Sequence[str], source: str) -> str:
    """The unit of energy where none is stated."""
    habit = names["positions"]
    if not {"energy", "forces"} & set(names):
        return "ev"
    if habit not in DEFAULTS:
        raise DataError(f"{source}: {UNITLESS}; add the key 'energy_unit', e.g. 'eV', 'kcal/mol' or 'Hartree'")
    if any(key in files for key in OF_PHYSNET) and habit == "R":
        warnings.warn(
            f"{source}: {UNITLESS} of energy; kcal/mol was assumed, as MD17 has it, but PhysNet writes eV: "
            "add the key 'energy_unit' to be sure",
            DataWarning,
            stacklevel=4,
        )
    return DEFAULTS[habit]
