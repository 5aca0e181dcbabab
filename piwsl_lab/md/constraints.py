"""Which coordinates of frames may move, and how heavy their atoms are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_masses
from numpy.typing import NDArray

if TYPE_CHECKING:
    from piwsl_lab.data import Frame


def masses(frame: Frame) -> NDArray[np.float64]:
    """Masses [n], u: those of the frame (isotopes), else the standard atomic weights."""
    return np.asarray(atomic_masses[frame.numbers] if frame.masses is None else frame.masses, dtype=np.float64)


def free_coordinates(frame: Frame) -> NDArray[np.bool_]:
    """Which coordinates no constraint holds, bool [n, 3]."""
    return np.ones((len(frame), 3), dtype=bool) if frame.fixed is None else ~frame.fixed


def degrees_of_freedom(frame: Frame, centre_at_rest: bool) -> int:
    """How many independent velocities a frame has.

    Parameters
    ----------
    frame : Frame of n atoms
    centre_at_rest : bool
        Whether the centre of mass is held at rest, which takes three away. A frame with a held coordinate keeps them:
        what holds it takes up momentum.
    """
    free = int(free_coordinates(frame).sum())
    return free - 3 if centre_at_rest and free == 3 * len(frame) > 3 else free


def words(frames: Iterable[Frame]) -> str:
    """What is held and which masses are special, in words; "" where nothing is."""
    found: dict[str, None] = {}  # in order, each once
    for frame in frames:
        found |= dict.fromkeys(_of_one(frame))
    return "; ".join(found)


def _of_one(frame: Frame) -> list[str]:
    held = ~free_coordinates(frame)
    whole, partly = int(held.all(axis=1).sum()), int(held.any(axis=1).sum() - held.all(axis=1).sum())
    said = []
    if whole:
        said.append(f"{whole} of {len(frame)} atoms {'is' if whole == 1 else 'are'} held")
    if partly:
        said.append(f"{partly} of {len(frame)} atoms {'is' if partly == 1 else 'are'} held along some axes")
    if frame.masses is not None:
        said.append("masses are those of the frame")
    return said
