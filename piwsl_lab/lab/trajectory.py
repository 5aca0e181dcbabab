"""A short trajectory of a potential, to see at a glance whether its forces hold a molecule together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from ase import units
from ase.data import atomic_masses, covalent_radii

from piwsl_lab.data import Dataset, Frame
from piwsl_lab.data.dataset import Metadata
from piwsl_lab.models import Potential

TIME_STEP = 0.5  # fs
STEPS = 400
RECORD_EVERY = 4  # steps
TEMPERATURE = 300.0  # K
TOO_LARGE = 100.0  # eV/Å: no bond pulls like this
BONDED = 1.3  # times the sum of two covalent radii
BROKEN = 1.75  # times the length that a bond had at the start


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

    Starts from `start` with thermal velocities at 300 K (the same for every potential). It ends early when the molecule
    has come apart: a bond (nearer than 1.3 times the covalent radii at the start) is 1.75 times as long as it was, a
    force exceeds 100 eV/Å or is not a number. Or when `stop()` says so.
    """
    masses = atomic_masses[start.numbers][:, None]  # (N, 1) u
    velocities = np.sqrt(units.kB * TEMPERATURE / masses) * np.random.default_rng(0).normal(size=(len(masses), 3))
    velocities -= (masses * velocities).sum(0) / masses.sum()  # the molecule stays in the picture
    dt = TIME_STEP * units.fs
    positions, forces = start.positions, _forces(potential, start, start.positions)
    bonds, lengths = _bonds(start)
    frames, step, exploded = [positions], 0, False
    while step < STEPS and not exploded and not stop():
        velocities = velocities + 0.5 * dt * forces / masses
        positions = positions + dt * velocities
        forces = _forces(potential, start, positions)
        velocities = velocities + 0.5 * dt * forces / masses
        step += 1
        stretched = np.linalg.norm(positions[bonds[0]] - positions[bonds[1]], axis=1) > BROKEN * lengths
        exploded = bool(stretched.any()) or not np.all(np.abs(forces) < TOO_LARGE)  # also true for NaN
        if step % RECORD_EVERY == 0 and not exploded:
            frames.append(positions)
    return Trajectory(np.array(frames), step * TIME_STEP, exploded)


def _bonds(frame: Frame) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Pairs of atoms within bonding distance, not across a cell's edge, and their lengths in Å."""
    i, j = np.triu_indices(len(frame.numbers), k=1)
    length = np.linalg.norm(frame.positions[i] - frame.positions[j], axis=1)
    bonded = length < BONDED * (covalent_radii[frame.numbers[i]] + covalent_radii[frame.numbers[j]])
    return (i[bonded], j[bonded]), length[bonded]


def _forces(potential: Potential, start: Frame, positions: np.ndarray) -> np.ndarray:
    """Forces [N, 3] in eV/Å at `positions`; NaN where no frame can be made of them (atoms on one spot)."""
    try:
        frame = replace(start, positions=positions, energy=None, forces=None)
    except ValueError:
        return np.full_like(positions, np.nan)
    return np.asarray(potential.predict(Dataset([frame], _NAMELESS))[1][0])


_NAMELESS = Metadata(name="trajectory")
