"""Potentials: from an `AtomGraph` to energies and forces."""

from __future__ import annotations

from piwsl_lab.models.painn import PaiNN
from piwsl_lab.models.potential import HEADS, Potential, Prediction
from piwsl_lab.models.schnet import SchNet
from piwsl_lab.models.tensornet import TensorNet

MODELS: dict[str, type[Potential]] = {"painn": PaiNN, "schnet": SchNet, "tensornet": TensorNet}

__all__ = ["HEADS", "MODELS", "PaiNN", "Potential", "Prediction", "SchNet", "TensorNet", "build"]


def build(name: str, **hyperparameters: object) -> Potential:
    """Make a potential by its name, "painn", "schnet" or "tensornet", from the keyword arguments of its class.

    Raises
    ------
    ValueError
        There is no model of that name.
    """
    if name not in MODELS:
        raise ValueError(f"no model is called {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name](**hyperparameters)
