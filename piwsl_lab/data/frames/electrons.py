"""Total charge and spin multiplicity under the names that files give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ase import Atoms

from piwsl_lab.data.frames.frame import DataError
from piwsl_lab.data.frames.keys import passed_over, plain_key, with_text_keys

CHARGES = ("charge", "totalcharge", "totcharge", "netcharge", "systemcharge", "moleculecharge", "molecularcharge")
MULTIPLICITIES = ("multiplicity", "spinmultiplicity", "mult", "totalspinmultiplicity")
SPIN = "spin"  # most programs mean 2S + 1 by it, some S or 2S
NEARLY_WHOLE = 0.01  # e; partial charges are rounded in files


def charge_and_multiplicity(atoms: Atoms) -> tuple[dict[str, float | int], list[str]]:
    """``charge`` (e) and ``multiplicity`` (2S + 1) as `Frame.info` has them, and what was not understood.

    Raises
    ------
    DataError
        Two names that contradict each other, or a value that is no charge or multiplicity.
    """
    said: list[str] = []
    found: dict[str, float | int] = {}
    info = with_text_keys(atoms.info)
    charge = _one(info, CHARGES)
    if charge is None:
        charge = _sum_of_partial(atoms, said)
    if charge is not None:
        found["charge"] = charge
    multiplicity = _one(info, MULTIPLICITIES)
    if multiplicity is not None:
        if multiplicity < 1 or multiplicity != round(multiplicity):
            raise DataError(f"multiplicity is {multiplicity:g}; 2S + 1 is 1, 2, 3 …: correct the frame")
        found["multiplicity"] = int(multiplicity)
    else:
        found |= _from_spin(info, int(atoms.numbers.sum()) - round(charge or 0.0), said)
    return found, said


def _one(info: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """The number that stands under one of these names; DataError where two of them differ."""
    values = {
        name: _number(name, value) for name, value in info.items() if plain_key(name) in names and value is not None
    }
    if len(set(values.values())) > 1:
        listed = ", ".join(f"'{name}' is {value:g}" for name, value in values.items())
        raise DataError(f"{listed}: they contradict each other; keep one of them")
    return next(iter(values.values()), None)


def _number(name: str, value: Any) -> float:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"'{name}' is {value!r}, not a number; correct the frame") from error
    if array.size != 1 or not np.isfinite(array).all() or np.asarray(value).dtype == bool:
        raise DataError(f"'{name}' is {value!r}, not one number; correct the frame")
    number = float(array.reshape(()))
    return int(number) if number == round(number) else number


def _sum_of_partial(atoms: Atoms, said: list[str]) -> int | None:
    """Total charge as the sum of ASE's initial charges; None where they sum up to nothing whole."""
    if not atoms.has("initial_charges"):
        return None
    charges = atoms.get_initial_charges()
    total = float(charges.sum())
    if abs(total - round(total)) > NEARLY_WHOLE:
        said.append(f"{passed_over('initial_charges')}: its sum is no whole charge")
        return None
    if charges.any():
        said.append(f"the total charge is the sum of 'initial_charges', {round(total):+d}")
    return round(total) or None


def _from_spin(info: Mapping[str, Any], electrons: int, said: list[str]) -> dict[str, int]:
    value = next((value for name, value in info.items() if plain_key(name) == SPIN), None)
    if value is None:
        return {}
    try:
        spin = _number(SPIN, value)
    except DataError as error:
        said.append(f"{passed_over(SPIN)}: {error}")
        return {}
    # 2S + 1 is odd for an even number of electrons.
    if spin >= 1 and spin == round(spin) and (round(spin) + electrons) % 2 == 1:
        return {"multiplicity": int(spin)}
    said.append(f"{passed_over(SPIN)}: it is no multiplicity 2S + 1 of so many electrons")
    return {}
