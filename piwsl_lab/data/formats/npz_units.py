"""Which units an ``.npz`` file is in: those that it states, else those of the habit of its keys."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from piwsl_lab.data.frames.frame import DataError, DataWarning
from piwsl_lab.data.frames.measures import as_text, energy_factor
from piwsl_lab.data.frames.stated import energy_of_force, names_unit, stated

UNITLESS = "states no unit"
# MD17 and rMD17 are in kcal/mol, arrays with the names of ASE in eV; with others nothing can be assumed.
DEFAULTS = {"R": "kcal/mol", "coords": "kcal/mol", "positions": "ev", "pos": "ev"}
OF_PHYSNET = ("Q", "D")


def units_of(
    about: Mapping[str, Any], names: Mapping[str, str], files: Sequence[str], source: str
) -> tuple[dict[str, str], list[str]]:
    """Units by kind, as `stated.factors` takes them, and remarks on those that were assumed.

    Parameters
    ----------
    about : mapping
        Value of every key that has "unit" in its name.
    names : mapping
        Which key was taken for which role.
    files : sequence of str
        All keys of the file.
    source : str

    Raises
    ------
    DataError
        An unknown unit, two keys that contradict each other, or a file without any unit whose keys are of no known
        habit.
    """
    found = stated(dict(sorted(about.items())))
    remarks = [
        f"Unit key '{key}' ({as_text(value)}) belongs to nothing that was read."
        for key, value in sorted(about.items())
        if not names_unit(key)
    ]
    assumed = {}
    if "energy" not in found:
        usual = _default(names, files, source)
        # Forces of another unit than the habit's: what is said of them has to say the energies' unit, too.
        if "forces" not in found or energy_of_force(found["forces"]) == energy_factor(usual):
            assumed["energy"] = usual
    if "length" not in found:
        assumed["length"] = "angstrom"
    if assumed:
        remarks.append(
            f"The file {UNITLESS} of {' and '.join(assumed)}: {' and '.join(assumed.values())} were assumed; "
            "add 'energy_unit' and 'length_unit' to be sure."
        )
    return found | {kind: unit for kind, unit in assumed.items() if kind == "energy"}, remarks


def _default(names: Mapping[str, str], files: Sequence[str], source: str) -> str:
    """The unit of energy where none is stated."""
    habit = names["positions"]
    if not {"energy", "forces"} & set(names):
        return "ev"
    if habit not in DEFAULTS:
        raise DataError(f"{UNITLESS}; add the key 'energy_unit', e.g. 'eV', 'kcal/mol' or 'Hartree'")
    if any(key in files for key in OF_PHYSNET) and habit == "R":
        warnings.warn(
            f"{source}: {UNITLESS} of energy; kcal/mol was assumed, as MD17 has it, but PhysNet writes eV: "
            "add the key 'energy_unit' to be sure",
            DataWarning,
            stacklevel=5,
        )
    return DEFAULTS[habit]
