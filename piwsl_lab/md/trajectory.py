"""What a simulation left behind: its states one after the other as arrays, and the slope of its energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from piwsl_lab.data import Dataset
from piwsl_lab.md.limits import check_states
from piwsl_lab.md.simulation import Simulation, fly
from piwsl_lab.md.snapshot import LostReplica, Snapshot


@dataclass(frozen=True)
class Trajectory:
    """S replicas with N atoms in all at T times.

    Attributes
    ----------
    frames : Dataset of S frames
        Where they started.
    time : array [T], fs
    positions, velocities, forces : array [T, N, 3], Å, Å/fs, eV/Å
    potential, kinetic, conserved : array [T, S], eV
    temperature : array [T, S], K
    alive : array [T, S], bool
        A replica that is not keeps its last sound state.
    lost : dict of LostReplica
        By replica.
    """

    frames: Dataset
    time: NDArray[np.float64]
    positions: NDArray[np.floating[Any]]
    velocities: NDArray[np.floating[Any]]
    forces: NDArray[np.floating[Any]]
    potential: NDArray[np.float64]
    kinetic: NDArray[np.float64]
    conserved: NDArray[np.float64]
    temperature: NDArray[np.float64]
    alive: NDArray[np.bool_]
    lost: dict[int, LostReplica]

    @classmethod
    def of(cls, frames: Dataset, snapshots: list[Snapshot], lost: dict[int, LostReplica]) -> Trajectory:
        """Put snapshots of one simulation, in their order, into arrays.

        Raises
        ------
        ValueError
            There is no snapshot.
        """
        if not snapshots:
            raise ValueError("a flight needs at least one snapshot")
        names = [n for n in Snapshot.__dataclass_fields__ if n not in ("step", "time")]
        arrays = {name: np.stack([getattr(s, name) for s in snapshots]) for name in names}
        return cls(frames=frames, time=np.array([s.time for s in snapshots]), lost=dict(lost), **arrays)

    def atoms(self, replica: int) -> slice:
        """Where the atoms of a replica stand in the arrays."""
        first = sum(len(frame) for frame in self.frames[:replica])
        return slice(first, first + len(self.frames[replica]))

    def drift(self) -> NDArray[np.float64]:
        """Slope of the conserved energy of every replica, [S], eV per atom and ps; nan for a lost one.

        Least squares over all times.
        """
        slopes = np.full(len(self.frames), np.nan)
        alive = self.alive[-1]
        if len(self.time) > 1 and alive.any():
            # From its first value: the square of a total energy of thousands of eV would eat the digits.
            change = self.conserved[:, alive] - self.conserved[0, alive]
            slopes[alive] = np.polyfit(self.time / 1000.0, change, 1)[0]
        per_atom: NDArray[np.float64] = slopes / np.array([len(frame) for frame in self.frames])
        return per_atom


def record(simulation: Simulation, steps: int, every: int = 10) -> Trajectory:
    """Run a simulation and keep its states; arguments as for `fly`.

    Raises
    ------
    ValueError
        The states would not fit into memory; the message names the limit.
    """
    check_states(2 + steps // max(every, 1), len(simulation.positions))
    snapshots = list(fly(simulation, steps, every))
    return Trajectory.of(simulation.frames, snapshots, simulation.lost)
