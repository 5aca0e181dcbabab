"""Molecular dynamics with potentials and oracles: many replicas at once, or through ASE."""

from piwsl_lab.md.ase_calculator import Calculator
from piwsl_lab.md.files import TrajectoryFile
from piwsl_lab.md.forces import ForceField, LearnedForces, OracleForces, force_field
from piwsl_lab.md.simulation import Simulation, fly
from piwsl_lab.md.snapshot import LostReplica, Snapshot
from piwsl_lab.md.trajectory import Trajectory, record

__all__ = [
    "Calculator",
    "ForceField",
    "LearnedForces",
    "LostReplica",
    "OracleForces",
    "Simulation",
    "Snapshot",
    "Trajectory",
    "TrajectoryFile",
    "fly",
    "force_field",
    "record",
]
