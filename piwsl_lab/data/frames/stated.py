"""Units that a file states in words beside its labels, as keys of ``info``, attributes or metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from piwsl_lab.data.frames.frame import DataError
from piwsl_lab.data.frames.keys import label_kind, plain_key
from piwsl_lab.data.frames.measures import (
    ENERGY_UNITS,
    LENGTH_UNITS,
    as_text,
    energy_factor,
    force_factor,
    length_factor,
    spelled,
)

FACTORS = {"energy": energy_factor, "length": length_factor, "forces": force_factor}
EXAMPLES = {
    "energy": ", ".join(ENERGY_UNITS),
    "length": ", ".join(LENGTH_UNITS),
    "forces": "ev/angstrom, kcal/mol/angstrom, hartree/bohr",
}
LENGTHS = ("length", "lengths", "distance", "distances", "position", "positions", "pos", "coord", "coords")
SHORT = {
    "e": "energy",
    "energies": "energy",
    "totalenergies": "energy",
    "f": "forces",
    "r": "length",
    "coordinates": "length",
}
KEY = re.compile(r"^(?P<before>.*?)(?<![a-z])units?$|^units?[_ .\-](?:of[_ .\-])?(?P<after>.+)$", re.IGNORECASE)
JOINED = re.compile(r"^(energy|energies|e|forces?|f|length|distance|positions?|coords?|r)units?$", re.IGNORECASE)
# Systems of units of LAMMPS whose energies and lengths are known here.
SYSTEMS = {
    "metal": {"energy": "ev", "length": "angstrom"},
    "real": {"energy": "kcal/mol", "length": "angstrom"},
    "electron": {"energy": "hartree", "length": "bohr"},
    "ase": {"energy": "ev", "length": "angstrom"},
}
NONE = ("", "none", "1", "unknown")


class Stated(NamedTuple):
    """Factors to eV, Å and eV/Å; 1 where the unit is the usual one."""

    energy: float = 1.0
    length: float = 1.0
    forces: float = 1.0


@lru_cache(maxsize=4096)
def names_unit(key: Any) -> bool:
    """Whether a key states a unit of energy, length or forces, as "units", "energy_unit" or "unit_energy" do."""
    subject = _subject(key) if isinstance(key, str) else None
    return subject is not None and (not subject or _kind(subject) is not None)


def stated(about: Mapping[str, Any]) -> dict[str, str]:
    """Units by kind ("energy", "length", "forces") that some keys state; other keys are not looked at.

    Raises
    ------
    DataError
        An unknown unit of a kind that is read, or two keys that contradict each other.
    """
    found: dict[str, tuple[str, str]] = {}
    for key, value in about.items():
        if not names_unit(key):
            continue
        for kind, unit in _parts(key, value):
            if unit_factor(kind, unit) is None:
                raise DataError(
                    f"'{key}' is '{as_text(value)}', a unit of {kind} that is not known; use one of {EXAMPLES[kind]}, "
                    "or convert the labels to eV, Å and eV/Å and remove the key"
                )
            before, other = found.setdefault(kind, (unit, key))
            if unit_factor(kind, before) != unit_factor(kind, unit):
                raise DataError(f"'{other}' is '{before}' and '{key}' is '{unit}'; keep the right one")
    return {kind: unit for kind, (unit, _) in found.items()}


def unit_factor(kind: str, unit: str) -> float | None:
    """eV, Å or eV/Å in one of this unit of "energy", "length" or "forces"; None for an unknown one."""
    return FACTORS[kind](unit)


def force_unit(energy: str, length: str | None) -> str:
    """The unit of forces where none is stated: that of energy over that of length, where None stands for Å.

    Raises
    ------
    DataError
        Energies in hartree and no unit of length: programs write hartree/angstrom and hartree/bohr.
    """
    if length is None and energy in ("hartree", "ha"):
        raise DataError(
            f"energies are stated in {energy} and nothing says whether forces are in hartree/angstrom or "
            "hartree/bohr; state 'forces_unit', or convert the labels to eV and eV/Å"
        )
    return f"{energy}/{length or 'angstrom'}"


def factors(units: Mapping[str, str], energy: bool, forces: bool) -> Stated:
    """Factors to eV, Å and eV/Å from units by kind; `energy` and `forces` say which labels there are.

    Raises
    ------
    DataError
        Forces or energies whose unit does not follow from the units that are stated.
    """
    known = {"energy": "ev", "length": "angstrom", "forces": "ev/angstrom", **units}
    if forces and "forces" not in units:
        known["forces"] = force_unit(known["energy"], units.get("length"))
    pull = known["forces"]
    if energy and "energy" not in units and energy_of_force(pull) != 1.0:
        raise DataError(
            f"forces are stated in {pull} and nothing says the unit of the energies; state 'energy_unit', or convert "
            "the labels to eV and eV/Å"
        )
    return Stated(*(_known_factor(kind, known[kind]) for kind in Stated._fields))


def _known_factor(kind: str, unit: str) -> float:
    factor = unit_factor(kind, unit)
    if factor is None:
        raise DataError(f"'{unit}' is no unit of {kind} that is known; use one of {EXAMPLES[kind]}")
    return factor


def energy_of_force(unit: str) -> float | None:
    """eV in the energy of a unit of forces, e.g. of "hartree/bohr"; None for an unknown one."""
    return energy_factor(unit.replace("(", "").replace(")", "").rpartition("/")[0])


def _subject(key: str) -> str | None:
    """What a key states the unit of, "" where it says nothing of that; None for a key that states no unit."""
    match = KEY.match(key.strip()) or JOINED.match(key.strip())
    return None if match is None else plain_key(next((part for part in match.groups() if part), ""))


def _kind(subject: str) -> str | None:
    """Kind of what was called so: "energy", "length", "forces", or None for something that is not read."""
    return label_kind(subject) or ("length" if subject in LENGTHS else SHORT.get(subject))


def _parts(key: str, value: Any) -> list[tuple[str, str]]:
    """Kinds and units that one key states."""
    subject = _subject(key) or ""
    if isinstance(value, Mapping):
        named = [(_kind(plain_key(str(name))), spelled(unit)) for name, unit in value.items()]
        return [(kind, unit) for kind, unit in named if kind is not None and unit not in NONE]
    kind = _kind(subject)
    if kind is not None:
        return [] if spelled(value) in NONE else [(kind, spelled(value))]
    several = value if isinstance(value, (list, tuple)) or np.size(value) > 1 else re.split(r"[,;]", as_text(value))
    parts: list[tuple[str, str]] = []
    for one in np.asarray(several).reshape(-1).tolist():
        unit = spelled(one)
        if unit in SYSTEMS:
            parts += SYSTEMS[unit].items()
        elif isinstance(one, (str, bytes)) and unit not in NONE and not unit.isdigit():
            parts.append((_kind_of(unit, key), unit))
    return parts


def _kind_of(unit: str, key: str) -> str:
    for kind in FACTORS:
        if unit_factor(kind, unit) is not None:
            return kind
    raise DataError(
        f"'{key}' is '{unit}', which is no unit that is known; convert the labels to eV, Å and eV/Å and remove the key"
    )
