"""Units of energy, length and force as files spell them, as factors to eV and Å."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from ase import units
from ase.data import covalent_radii

from piwsl_lab.data.frames.frame import Frame

ENERGY_UNITS = {
    "ev": 1.0,
    "kcal/mol": units.kcal / units.mol,
    "kj/mol": units.kJ / units.mol,
    "hartree": units.Hartree,
    "ha": units.Hartree,
    "mev": 1e-3,
}
SOUND_BONDS = (0.75, 1.5)  # distance of neighbours over the sum of covalent radii; bohr taken for Å gives 1.9
LENGTH_UNITS = {"angstrom": 1.0, "ang": 1.0, "å": 1.0, "a": 1.0, "bohr": units.Bohr, "a0": units.Bohr}
SPELLINGS = {
    **dict.fromkeys(("electronvolt", "electronvolts", "electron_volt"), "ev"),
    **dict.fromkeys(("kcal", "kcalmol", "kilocalorie/mole", "kcal/mole", "kilocalories/mole"), "kcal/mol"),
    **dict.fromkeys(("kj/mole", "kjmol", "kilojoule/mole", "kilojoules/mole"), "kj/mol"),
    **dict.fromkeys(("hartrees", "eh", "e_h", "hartree/particle"), "hartree"),
    **dict.fromkeys(("angstroms", "angström", "ångström", "ångstrom", "angstroem"), "angstrom"),
    **dict.fromkeys(("bohrs", "bohr_radius"), "bohr"),
}


def spelled(value: Any) -> str:
    """A unit as text in small letters, whether it is stored as text, as bytes or as an array of one of them."""
    found = re.sub(r"\s*/\s*", "/", as_text(value).strip().lower().replace("\u212b", "å"))
    # "kcal mol-1 ang-1" and "kcal mol^-1" mean a division.
    found = re.sub(r"[\s*·.]+([a-zå0-9_]+?)\^?\{?-1\}?(?![0-9])", r"/\1", found)
    found = re.sub(r"\s+", "", found)
    return SPELLINGS.get(found, found)


def energy_factor(name: str) -> float | None:
    """eV in one of this unit; None for an unknown one."""
    return ENERGY_UNITS.get(SPELLINGS.get(name, name))


def length_factor(name: str) -> float | None:
    """Å in one of this unit; None for an unknown one."""
    return LENGTH_UNITS.get(SPELLINGS.get(name, name))


def force_factor(name: str) -> float | None:
    """eV/Å in one of this unit, e.g. "hartree/bohr"; None for an unknown one."""
    above, _, below = name.replace("(", "").replace(")", "").rpartition("/")
    energy, length = energy_factor(above), length_factor(below)
    return None if energy is None or length is None else energy / length


def as_text(value: Any) -> str:
    """A stored text as it stands, whether it is text, bytes or an array of one of them."""
    array = np.asarray(value)
    item = array.reshape(-1)[0] if array.size == 1 else value
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def unit_doubts(frames: Sequence[Frame], assumed: float) -> list[str]:
    """Sentences on what speaks against the units that were assumed for these frames; none where nothing does.

    `assumed` is the factor from the unit of energy that was assumed to eV.
    """
    sample = list(frames)[:: max(1, len(frames) // 50)]
    ratios = [ratio for frame in sample if (ratio := _bond_ratio(frame)) is not None]
    said = []
    if ratios and not SOUND_BONDS[0] < np.median(ratios) < SOUND_BONDS[1]:
        said.append(
            f"neighbouring atoms are {np.median(ratios):.2f} times the sum of their covalent radii apart; is the unit "
            "of length right? State it, e.g. as 'length_unit'"
        )
    shares = [frame.energy / _all_electron(frame.numbers) for frame in sample if frame.energy is not None]
    for name, factor in ENERGY_UNITS.items():
        # Energies of all electrons are known to a per cent: another unit gives itself away.
        if shares and factor != assumed and abs(np.median(shares) * factor / assumed - 1) < 0.03:
            said.append(
                f"the energies are those of all electrons in {name}, not in the unit assumed: state 'energy_unit'"
            )
            break
    return said


def _bond_ratio(frame: Frame) -> float | None:
    """Mean distance of an atom to its nearest neighbour over the sum of their covalent radii."""
    if not 1 < len(frame) <= 500 or frame.pbc.any():
        return None
    radii = covalent_radii[frame.numbers]
    apart = np.linalg.norm(frame.positions[:, None] - frame.positions[None], axis=-1)
    ratio = apart / (radii[:, None] + radii[None])
    np.fill_diagonal(ratio, np.inf)
    return float(ratio.min(axis=1).mean())


def _all_electron(numbers: np.ndarray) -> float:
    """Energy of neutral atoms with all their electrons, eV, after Thomas, Fermi, Scott and Schwinger."""
    z = numbers.astype(np.float64)
    hartree = -0.7687 * z ** (7 / 3) + 0.5 * z**2 - 0.2699 * z ** (5 / 3)
    return float(hartree.sum() * units.Hartree)
