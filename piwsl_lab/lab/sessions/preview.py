"""A short trajectory of a potential, to see at a glance whether its forces hold a molecule together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from piwsl_lab.analysis.survival import alive_ps, reference_bonds
from piwsl_lab.data import Dataset, Frame
from piwsl_lab.data.sets.dataset import Metadata
from piwsl_lab.md.simulation import Simulation, fly
from piwsl_lab.md.trajectory import Trajectory

TIME_STEP = 0.5  # fs
STEPS = 400
RECORD_EVERY = 4  # steps
TEMPERATURE = 300.0  # K


@dataclass(frozen=True)
class Preview:
    """Positions [T, N, 3] in Å, the time they cover in fs, and whether the molecule came apart."""

    positions: np.ndarray
    femtoseconds: float
    exploded: bool

    @property
    def label(self) -> str:
        fate = "came apart after" if self.exploded else "held together for"
        return f"{fate} {self.femtoseconds:.0f} fs"


def simulate(potential: Any, start: Frame, stop: Callable[[], bool] = lambda: False) -> Preview:
    """Constant-energy molecular dynamics for 200 fs with the forces of a potential, as the Fly tab makes it.

    Starts from `start` with thermal velocities at 300 K, the same for every potential. It ends
    early when `stop()` says so, or when the molecule has come apart as `alive_ps` judges it. That
    is when a bond is off by more than 0.5 Å, the temperature runs away, or forces go wild. The
    conserved energy is no judge: a direct head may leak it and still hold the molecule together.

    Parameters
    ----------
    potential : Potential, or any module with its call, `cutoff` and `reference`
    start : Frame of N atoms
    stop : function without arguments
        Asked every few steps.
    """
    one = Dataset([start], Metadata(name="trajectory"))
    simulation = Simulation(potential, one, temperature=TEMPERATURE, time_step=TIME_STEP)
    bonds, positions = reference_bonds(start), []
    for snapshot in fly(simulation, STEPS, RECORD_EVERY):
        positions.append(snapshot.positions)
        now = Trajectory.of(simulation.frames, [snapshot], simulation.lost)
        (fate,) = alive_ps(now, bonds, TEMPERATURE, energy=False)
        if fate.reason or stop():
            break
    return Preview(np.stack(positions), 1000.0 * fate.ps, bool(fate.reason))
