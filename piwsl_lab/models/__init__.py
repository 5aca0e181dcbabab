"""Potentials: from an `AtomGraph` to energies and forces.

A new model is a subclass of `Potential` and one row of `MODELS`: `build`, studies, checkpoints and the shell find it
there. A potential of another library needs no row: see `AnyPotential`. Both are put through `check_potential`.
"""

from __future__ import annotations

from typing import Any

from piwsl_lab.models.contract import ContractReport, check_potential
from piwsl_lab.models.contract_lines import ContractLine
from piwsl_lab.models.interface import AnyPotential, Prediction, predict
from piwsl_lab.models.painn import PaiNN
from piwsl_lab.models.potential import Potential
from piwsl_lab.models.schnet import SchNet
from piwsl_lab.models.tensornet import TensorNet
from piwsl_lab.names import HEADS

MODELS: dict[str, type[Potential]] = {"painn": PaiNN, "schnet": SchNet, "tensornet": TensorNet}

__all__ = [
    "HEADS",
    "MODELS",
    "AnyPotential",
    "ContractLine",
    "ContractReport",
    "PaiNN",
    "Potential",
    "Prediction",
    "SchNet",
    "TensorNet",
    "build",
    "check_potential",
    "predict",
]


def build(name: str, **hyperparameters: Any) -> Potential:
    """Make a potential by its name, "painn", "schnet" or "tensornet", from the keyword arguments of its class.

    Raises
    ------
    ValueError
        There is no model of that name.
    """
    if name not in MODELS:
        raise ValueError(f"no model is called {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name](**hyperparameters)
