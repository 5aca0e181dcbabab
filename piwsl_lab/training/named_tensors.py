"""Tensors of a checkpoint by name: those under a beginning, and the moments of an optimiser."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin so, without that beginning."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def require_like(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str) -> None:
    """Raise a ValueError unless names and shapes are the same."""
    wrong = sorted(expected.keys() ^ given.keys())
    wrong = wrong or [name for name in given if given[name].shape != expected[name].shape]
    if wrong:
        raise ValueError(f"{what}.{wrong[0]} is missing, too much or of another shape")


def moments_of(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What AdamW remembers of every weight: {"0.exp_avg": …, "0.exp_avg_sq": …, "0.step": …}."""
    remembered = optimiser.state_dict()["state"]
    return {f"{number}.{name}": value for number, values in remembered.items() for name, value in values.items()}


def restore_moments(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor], steps: int) -> None:
    """Put back what `moments_of` gave after so many steps.

    Raises
    ------
    ValueError
        They are not those of this optimiser's weights, or of more steps.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, moment = name.split(".")
        state.setdefault(int(number), {})[moment] = value
    weights = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for position, moments in state.items():
        like = {"step": torch.zeros(()), "exp_avg": weights[position], "exp_avg_sq": weights[position]}
        require_like(like, moments, f"optimiser.{position}")
        if not 0 <= float(moments["step"]) <= steps:
            raise ValueError(f"the optimiser has made {float(moments['step']):g} steps, the training {steps}")
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
