"""What a simulation shows: its state at one time, and how a replica was lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from piwsl_lab.data import Frame

TOO_LARGE = 100.0  # eV/Å: no bond pulls like this


@dataclass(frozen=True)
class LostReplica:
    """Why and where a replica was lost: the last frame that was sound, at `step` and `time` (fs)."""

    replica: int
    step: int
    time: float
    reason: str
    frame: Frame

    def __str__(self) -> str:
        return f"replica {self.replica} was lost at {self.time:g} fs (step {self.step}): {self.reason}"


@dataclass(frozen=True)
class Snapshot:
    """S replicas with N atoms in all at one time. A lost replica is shown as it last was; no number is ever nan.

    Attributes
    ----------
    step : int
    time : float, fs
    positions, velocities, forces : array [N, 3], Å, Å/fs, eV/Å
    potential, kinetic : array [S], eV
    conserved : array [S], eV
        Potential and kinetic energy less the heat from the bath and from rescaled velocities. It is constant but for
        the errors of forces and integration.
    temperature : array [S], K
        2 × kinetic energy / (degrees of freedom × k); a molecule whose centre stands still has three fewer, and a held
        coordinate is none.
    alive : array [S], bool
    """

    step: int
    time: float
    positions: NDArray[np.floating[Any]]
    velocities: NDArray[np.floating[Any]]
    forces: NDArray[np.floating[Any]]
    potential: NDArray[np.float64]
    kinetic: NDArray[np.float64]
    conserved: NDArray[np.float64]
    temperature: NDArray[np.float64]
    alive: NDArray[np.bool_]


def wild(forces: NDArray[np.float64], frame: Frame) -> str:
    """What is wrong with the forces [n, 3] (eV/Å) on a frame, in words."""
    bad = np.argwhere(~np.isfinite(forces).all(1))
    if len(bad):
        atom = int(bad[0, 0])
        return f"the force on atom {atom} ({chemical_symbols[frame.numbers[atom]]}) is not a number"
    if np.abs(forces).max() < TOO_LARGE:
        return "its energy is not a number"
    atom = int(np.abs(forces).max(1).argmax())
    return (
        f"a force of {np.linalg.norm(forces[atom]):.0f} eV/Å on atom {atom} ({chemical_symbols[frame.numbers[atom]]}), "
        f"more than {TOO_LARGE:g} in one direction"
    )
