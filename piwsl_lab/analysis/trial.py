"""What errors do not show: how many replicas survive a simulation, and how well."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from piwsl_lab.analysis.spectra import distance_error, distances
from piwsl_lab.analysis.survival import Survival, alive_ps, reference_bonds
from piwsl_lab.data import Dataset
from piwsl_lab.md.limits import check_states
from piwsl_lab.md.simulation import Simulation, fly
from piwsl_lab.md.snapshot import Snapshot
from piwsl_lab.md.trajectory import Trajectory

EDGES = np.linspace(0.5, 10.0, 191)  # Å, bins of h(r): 0.05 Å, as Fu et al.
TIME_STEP = 0.5  # fs
INTERVAL = 10.0  # fs between two states that are kept
ASK_EVERY = 100  # states after which it is asked whether any replica is left to fly on for


@dataclass(frozen=True)
class Trial:
    """What became of the replicas of one temperature.

    Attributes
    ----------
    temperature : float, K
    survivals : list of Survival
    drift : float, eV per atom and ps
        Median size of the slope of the conserved energy over the replicas that survived; nan without one.
    distance_error : float
        ∫ |h(r) − h_ref(r)| dr over the time before the ends; nan without a reference.
    """

    temperature: float
    survivals: list[Survival]
    drift: float
    distance_error: float

    @property
    def mean_ps(self) -> float:
        """Mean time alive, ps, those that survived counted with the length of the run."""
        return float(np.mean([survival.ps for survival in self.survivals]))

    @property
    def share(self) -> float:
        """Share of the replicas that were alive at the end."""
        return float(np.mean([not survival.reason for survival in self.survivals]))


def try_out(
    source: Any,
    starts: Dataset,
    temperatures: Sequence[float],
    ps: float,
    references: Mapping[float, Dataset] | None = None,
    *,
    ensemble: str = "nvt",
    seed: int = 0,
) -> list[Trial]:
    """Simulate from every frame at every temperature, all at once, and judge the replicas.

    It ends early when no replica is alive. A conserved energy that runs away ends a replica at constant energy only.

    Parameters
    ----------
    source : AnyPotential, Oracle or ForceField
    starts : Dataset of frames of one molecule
        A replica of each temperature starts from each.
    temperatures : sequence of float, K
    ps : float
        Length of the run; time step 0.5 fs.
    references : dict of Dataset, optional
        Frames of the oracle's own dynamics at a temperature, for h(r).
    ensemble, seed
        As for `Simulation`, which also uses masses and constraints of the frames. Every replica has its own seed.

    Raises
    ------
    ValueError
        The length is no number above 0, or more states would be kept than fit.
    """
    if not 0 < ps < math.inf:
        raise ValueError(f"ps={ps} must be a finite number above 0")
    number = len(starts)
    frames = starts[list(range(number)) * len(temperatures)]
    kelvin = [t for t in temperatures for _ in range(number)]
    simulation = Simulation(source, frames, temperature=kelvin, time_step=TIME_STEP, ensemble=ensemble, seed=seed)
    check_states(2 + round(1000 * ps / INTERVAL), sum(len(frame) for frame in frames))
    trajectory, survivals = _judged(simulation, kelvin, ps)
    drift = np.abs(trajectory.drift())
    trials = []
    for k, temperature in enumerate(temperatures):
        mine = range(k * number, (k + 1) * number)
        sound = [drift[s] for s in mine if not survivals[s].reason]
        reference = (references or {}).get(temperature)
        error = math.nan if reference is None else _distance_error(trajectory, survivals, mine, reference)
        middle = float(np.median(sound)) if sound else math.nan
        trials.append(Trial(float(temperature), [survivals[s] for s in mine], middle, error))
    return trials


def _judged(simulation: Simulation, kelvin: Sequence[float], ps: float) -> tuple[Trajectory, list[Survival]]:
    """Fly for a time, or until no replica is alive; what flew, and how long each replica survived."""
    bonds = [reference_bonds(frame) for frame in simulation.frames]
    energy = simulation.ensemble == "nve"
    snapshots: list[Snapshot] = []
    for snapshot in fly(simulation, max(1, round(1000 * ps / TIME_STEP)), round(INTERVAL / TIME_STEP)):
        # Velocities and forces of tens of thousands of states would fill the memory, and nothing here asks for them.
        snapshots.append(_without_vectors(snapshot))
        if len(snapshots) % ASK_EVERY == 0:
            trajectory = Trajectory.of(simulation.frames, snapshots, simulation.lost)
            if all(survival.reason for survival in alive_ps(trajectory, bonds, kelvin, energy=energy)):
                break
    trajectory = Trajectory.of(simulation.frames, snapshots, simulation.lost)
    return trajectory, alive_ps(trajectory, bonds, kelvin, energy=energy)


def _distance_error(
    trajectory: Trajectory, survivals: list[Survival], replicas: Sequence[int], reference: Dataset
) -> float:
    """Error of h(r) of the times at which the replicas were alive."""
    places = [
        trajectory.positions[trajectory.time / 1000.0 < survivals[s].ps + 1e-9, trajectory.atoms(s)].astype(np.float64)
        for s in replicas
    ]
    frame = trajectory.frames[replicas[0]]
    mine = distances(np.concatenate(places), frame, EDGES)
    theirs = distances(np.stack([f.positions for f in reference]), frame, EDGES)
    return distance_error(mine, theirs, EDGES)


def _without_vectors(snapshot: Snapshot) -> Snapshot:
    none = np.zeros((0, 3))
    return replace(snapshot, positions=snapshot.positions.astype(np.float32), velocities=none, forces=none)
