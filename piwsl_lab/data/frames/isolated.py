"""Isolated atoms among the frames of a file: reference energies, never frames to learn from or to test on."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from piwsl_lab.data.frames.frame import DataWarning, Frame
from piwsl_lab.data.frames.geometry import Lattice
from piwsl_lab.data.frames.keys import plain_key

MARKS = {"configtype", "config", "type", "configurationtype", "structuretype", "label", "name", "comment", "tag"}
MEANS_ISOLATED = {
    *("isolatedatom", "isolatedatoms", "isolated", "isoatom", "isoatoms", "singleatom", "singleatoms"),
    *("freeatom", "freeatoms", "atom", "atoms", "e0", "e0s", "iso", "atomisolated"),
}
EXCITATION = 5.0  # eV: the lowest states of two spins of an atom mostly lie closer, two methods farther apart
ALONE = 10.0  # Å between an atom and its nearest image: no crystal has its atoms so far apart


def set_apart(frames: Sequence[Frame]) -> tuple[list[Frame], dict[int, float], list[str]]:
    """Frames without the isolated atoms, their energies (eV) by atomic number, and remarks.

    An isolated atom is a single atom whose ``config_type`` says so, or that has no neighbour image within 10 Å.
    A set of nothing but single atoms stays as it is. Of several energies of one element the lowest is taken, the
    ground state; charged atoms are no reference.

    Warns
    -----
    DataWarning
        Energies of one element that are more than 5 eV apart: two methods rather than two states.
    """
    alone = [_is_isolated(frame) for frame in frames]
    if not any(alone):
        return list(frames), {}, []
    if all(alone):
        return list(frames), {}, ["All frames are isolated atoms: they stay frames."]
    found: dict[int, list[float]] = {}
    unused: Counter[str] = Counter()
    for frame, single in zip(frames, alone, strict=True):
        if not single:
            continue
        if frame.charge:
            unused["charged"] += 1
        elif frame.energy is None:
            unused["without an energy"] += 1
        else:
            found.setdefault(int(frame.numbers[0]), []).append(frame.energy)
    energies = {z: min(values) for z, values in sorted(found.items())}
    rest = [frame for frame, single in zip(frames, alone, strict=True) if not single]
    return rest, energies, _remarks(found, unused, rest)


def _is_isolated(frame: Frame) -> bool:
    if len(frame) != 1:
        return False
    return says_isolated(frame.info) or _nearest_image(frame) >= ALONE


def says_isolated(info: Mapping[str, Any]) -> bool:
    """Whether ``config_type`` or its like calls a frame an isolated atom."""
    return any(plain_key(str(value)) in MEANS_ISOLATED for name, value in info.items() if plain_key(str(name)) in MARKS)


def _nearest_image(frame: Frame) -> float:
    """Distance of an atom from its nearest periodic image, Å."""
    return float(np.linalg.norm(Lattice.of(frame.cell, frame.pbc).vectors, axis=1).min(initial=np.inf))


def _remarks(found: dict[int, list[float]], unused: Counter[str], rest: Sequence[Frame]) -> list[str]:
    said = []
    if found:
        listed = ", ".join(f"{chemical_symbols[z]} {min(values):g} eV" for z, values in sorted(found.items()))
        said.append(
            f"{sum(map(len, found.values()))} isolated atoms became reference energies ({listed}); "
            "they are no frames of the set."
        )
    said += lowest_taken(found)
    said += [f"{number} isolated atoms {why} were left out." for why, number in sorted(unused.items())]
    missing = {int(z) for frame in rest for z in frame.numbers} - set(found)
    if found and missing:
        listed = ", ".join(chemical_symbols[z] for z in sorted(missing))
        said.append(f"No isolated atom of {listed}: reference energies are fitted instead.")
    return said


def lowest_taken(found: Mapping[int, Sequence[float]]) -> list[str]:
    """Remarks on elements whose isolated atoms have several energies, eV, of which the lowest is taken.

    Warns
    -----
    DataWarning
        Energies of one element that are more than 5 eV apart: two methods rather than two states.
    """
    said = []
    for z, values in sorted(found.items()):
        if max(values) - min(values) > EXCITATION:
            said.append(
                f"{chemical_symbols[z]} has energies of an isolated atom from {min(values):g} to {max(values):g} eV, "
                "further apart than its states usually are: are they of one method and one unit? "
                "Keep the right one; the lowest was taken"
            )
            warnings.warn(said[-1], DataWarning, stacklevel=5)
        elif max(values) > min(values):
            said.append(
                f"{chemical_symbols[z]} has {len(values)} energies of an isolated atom, {min(values):g} to "
                f"{max(values):g} eV: the lowest was taken."
            )
    return said
