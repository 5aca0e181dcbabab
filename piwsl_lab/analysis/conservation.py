"""Four numbers that say whether forces conserve energy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from piwsl_lab.analysis.self_consistency import jacobian_antisymmetry, loop_work
from piwsl_lab.md.simulation import Simulation
from piwsl_lab.md.trajectory import record

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


def conservation(potential: Any, data: Dataset, seed: int = 0, steps: int = 2000) -> dict[str, float]:
    """How far a force field is from having a potential, in four numbers.

    Parameters
    ----------
    potential : AnyPotential
    data : Dataset
    seed : int
        Of triangles and velocities.
    steps : int
        Of the simulation at constant energy.

    Returns
    -------
    dict
        "loop_work" (eV, see `loop_work`, at 0.1 Å), "antisymmetry" (of the force Jacobian),
        "drift" (eV per atom and ps: median size of the slope of the total energy over `steps` steps of 0.5 fs at
        constant energy and 300 K from every frame) and "alive" (share of those flights that kept their forces in
        bounds).
    """
    trajectory = record(Simulation(potential, data, seed=seed), steps)
    drift = np.abs(trajectory.drift())
    drift = drift[np.isfinite(drift)]
    return {
        "loop_work": loop_work(potential, data, seed=seed),
        "antisymmetry": jacobian_antisymmetry(potential, data),
        "drift": float(np.median(drift)) if len(drift) else math.nan,
        "alive": float(trajectory.alive[-1].mean()),
    }
