"""piwsl-lab: physics-informed weakly supervised learning of interatomic potentials, to see and to try.

The names below are loaded when they are first used, so that ``import piwsl_lab`` stays instant. The
command line can then answer before torch has been read from disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from piwsl_lab.support.faces import lazy

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset, Frame, Oracle, datasets, load
    from piwsl_lab.md import Calculator, Simulation
    from piwsl_lab.models import PaiNN, SchNet, TensorNet, build, check_potential
    from piwsl_lab.piwsl.objective import Objective
    from piwsl_lab.piwsl.schedules import Schedule, constant, cosine, ramp
    from piwsl_lab.training.checkpoint import load_potential, resume, save
    from piwsl_lab.training.drive import fit
    from piwsl_lab.training.errors import evaluate
    from piwsl_lab.training.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "Calculator",
    "Dataset",
    "Frame",
    "Objective",
    "Oracle",
    "PaiNN",
    "SchNet",
    "Schedule",
    "Simulation",
    "TensorNet",
    "Trainer",
    "__version__",
    "build",
    "check_potential",
    "constant",
    "cosine",
    "datasets",
    "evaluate",
    "fit",
    "load",
    "load_potential",
    "ramp",
    "resume",
    "save",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Calculator": "md.ase_calculator",
        "Dataset": "data.sets.dataset",
        "Frame": "data.frames.frame",
        "Objective": "piwsl.objective",
        "Oracle": "data.oracle",
        "PaiNN": "models.painn",
        "SchNet": "models.schnet",
        "Simulation": "md.simulation",
        "TensorNet": "models.tensornet",
        "Trainer": "training.trainer",
        "build": "models",
        "check_potential": "models.contract",
        **dict.fromkeys(("Schedule", "constant", "cosine", "ramp"), "piwsl.schedules"),
        "datasets": "data.catalog",
        "evaluate": "training.errors",
        "fit": "training.drive",
        "load": "data.catalog",
        "load_potential": "training.checkpoint",
        "resume": "training.checkpoint",
        "save": "training.checkpoint",
    },
)
