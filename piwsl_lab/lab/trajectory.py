"""A short trajectory of a potential, to see at a glance whether its forces hold a molecule together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ase import units
from ase.data import atomic_masses

from piwsl_lab.data import Dataset, Frame
from piwsl_lab.data.dataset import Metadata
from piwsl_lab.models import Potential

TIME_STEP = 0.5  # fs
STEPS = 400
RECORD_EVERY = 4  # steps
TEMPERATURE = 300.0  # K
TOO_LARGE = 100.0  # eV/Å: no bond pulls like this; the molecule has come apart


@dataclass(frozen=True)
class Trajectory:
    """Positions [T, N, 3] in Å, the time they cover in fs, and whether the molecule came apart."""

    positions: np.ndarray
    femtoseconds: float
    exploded: bool

    @property
    def label(self) -> str:
        fate = "came apart after" if self.exploded else "held together for"
        return f"{fate} {self.femtoseconds:.0f} fs"


def simulate(potential: Potential, start: Frame, stop: Callable[[], bool] = lambda: False) -> Trajectory:
    """Constant-energy molecular dynamics (velocity Verlet) with the forces of a potential.

    Starts from `start` with thermal velocities at 300 K (the same for every potential) and ends early when a force
    exceeds 100 eV/Å, when a force is not a number, or when `stop()` says so.
    """
    masses = atomic_masses[start.numbers][:, None]  # (N, 1) u
    velocities = np.sqrt(units.kB * TEMPERATURE / masses) * np.random.default_rng(0).normal(size=(len(masses), 3))
    velocities -= (masses * velocities).sum(0) / masses.sum()  # the molecule stays in the picture
    dt = TIME_STEP * units.fs
    positions, forces = start.positions, _forces(potential, start, start.positions)
    frames, step, exploded = [positions], 0, False
    while step < STEPS and not exploded and not stop():
        velocities = velocities + 0.5 * dt * forces / masses
        positions = positions + dt * velocities
        forces = _forces(potential, start, positions)
        velocities = velocities + 0.5 * dt * forces / masses
        step += 1
        exploded = not np.all(np.abs(forces) < TOO_LARGE)  # also true for NaN
        if step % RECORD_EVERY == 0 and not exploded:
            frames.append(positions)
    return Trajectory(np.array(frames), step * TIME_STEP, exploded)


def _forces(potential: Potential, start: Frame, positions: np.ndarray) -> np.ndarray:
    """Forces [N, 3] in eV/Å at `positions`; NaN where no frame can be made of them (atoms on one spot)."""
    try:
        frame = replace(start, positions=positions, energy=None, forces=None)
    except ValueError:
        return np.full_like(positions, np.nan)
    return np.asarray(potential.predict(Dataset([frame], _NAMELESS))[1][0])


_NAMELESS = Metadata(name="trajectory")
