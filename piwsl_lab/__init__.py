"""piwsl-lab: physics-informed weakly supervised learning of interatomic potentials, to see and to try.

The names below are loaded when they are first used, so that ``import piwsl_lab`` stays instant
and the command line can answer before torch has been read from disk.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOME = {
    "Dataset": "data.dataset",
    "Frame": "data.dataset",
    "datasets": "data.catalog",
    "load": "data.catalog",
    "Oracle": "data.oracle",
    "Calculator": "dynamics.calculator",
    "Simulation": "dynamics.simulation",
    "PaiNN": "models.painn",
    "SchNet": "models.schnet",
    "TensorNet": "models.tensornet",
    "build": "models",
    "Objective": "objective",
    "evaluate": "metrics",
    "fit": "training",
    "Trainer": "training",
    "load_potential": "checkpoint",
    "resume": "checkpoint",
    "save": "checkpoint",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """Load a public name from the module where it lives (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module 'piwsl_lab' has no attribute {name!r}")
    value = getattr(import_module(f"piwsl_lab.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
