"""Molecular dynamics with potentials and oracles, and how well it goes: many replicas at once, or through ASE."""

from piwsl_lab.dynamics.calculator import Calculator
from piwsl_lab.dynamics.conservation import conservation
from piwsl_lab.dynamics.files import TrajectoryFile
from piwsl_lab.dynamics.flight import Flight, record
from piwsl_lab.dynamics.forces import ForceField, LearnedForces, OracleForces, force_field
from piwsl_lab.dynamics.simulation import ENSEMBLES, Simulation, fly
from piwsl_lab.dynamics.snapshot import Loss, Snapshot
from piwsl_lab.dynamics.stability import (
    Survival,
    alive_ps,
    distance_error,
    distances,
    fraction_alive,
    reference_bonds,
    spectrum,
)
from piwsl_lab.dynamics.trial import Trial, try_out

__all__ = [
    "ENSEMBLES",
    "Calculator",
    "Flight",
    "ForceField",
    "LearnedForces",
    "Loss",
    "OracleForces",
    "Simulation",
    "Snapshot",
    "Survival",
    "TrajectoryFile",
    "Trial",
    "alive_ps",
    "conservation",
    "distance_error",
    "distances",
    "fly",
    "force_field",
    "fraction_alive",
    "record",
    "reference_bonds",
    "spectrum",
    "try_out",
]
