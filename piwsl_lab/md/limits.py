"""How large a simulation may be: asked before any memory is taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

ATOMS = 1_000_000  # of all replicas
PAIRS = 1_000_000  # directed pairs of neighbours of all replicas
STEPS = 1_000_000_000
STATES = 30_000_000  # atoms × states that are kept: nine numbers of 8 bytes each make 2.2 GB
TIME_STEP = 100.0  # fs: ten periods of the fastest vibration
TEMPERATURE = 1e6  # K: 86 eV, far above any bond
SEED = 2**63


def check_atoms(replicas: int, atoms: int) -> None:
    """Raise a ValueError where replicas of a number of atoms each are more than fit.

    Raises
    ------
    ValueError
        Names the limit and how many replicas fit.
    """
    if replicas * atoms > ATOMS:
        raise ValueError(
            f"{replicas:,} replicas of {atoms:,} atoms are more than the {ATOMS:,} atoms that fly at once; "
            f"take {max(1, ATOMS // atoms):,} replicas or fewer, or fewer atoms"
        )


def check_pairs(pairs: int, replicas: int) -> None:
    """Raise a ValueError where there are more pairs of neighbours than fit."""
    if pairs > PAIRS:
        raise ValueError(
            f"{replicas:,} replicas have {pairs:,} pairs of neighbours, more than the {PAIRS:,} that fit; "
            "take fewer replicas, fewer atoms or a potential with a shorter cutoff"
        )


def check_steps(steps: float) -> None:
    """Raise a ValueError where a simulation has more steps than the limit."""
    if steps > STEPS:
        number = f"{steps:,.0f}" if steps < 1e15 else f"{steps:.3g}"
        raise ValueError(f"{number} steps are more than {STEPS:,}; make the flight shorter or the time step longer")


def check_states(states: int, atoms: int) -> None:
    """Raise a ValueError where the states that are to be kept do not fit."""
    if states * atoms > STATES:
        raise ValueError(
            f"{states:,} states of {atoms:,} atoms are more than the {STATES:,} positions that are kept; "
            "keep fewer states (a larger `every`), or take fewer atoms or steps"
        )


def checked_seeds(seed: Any, replicas: int) -> list[int]:
    """Seeds of all replicas: those given, or seed, seed + 1, ... from one number.

    Raises
    ------
    ValueError
        A seed is no whole number or has more than 63 bits, or there is not one for each.
    """
    given = [seed] if _is_one(seed) else list(seed)
    for value in given:
        if not _is_number(value) or value != int(value) or not -SEED <= value < SEED - replicas:
            raise ValueError(f"seed={value} must be a whole number between -2^63 and 2^63 - {replicas + 1:,}")
    whole = [int(value) for value in given]
    return [whole[0] + k for k in range(replicas)] if _is_one(seed) else _one_each("seed", whole, replicas)


def checked_temperatures(value: float | Sequence[float], replicas: int) -> list[float]:
    """Temperatures (K) of all replicas, from one number or one for each.

    Raises
    ------
    ValueError
        One of them is no number, below 0 or above the limit, or there is not one for each.
    """
    given = _listed(value, replicas)
    for kelvin in given:
        if not (_is_number(kelvin) and 0 <= kelvin <= TEMPERATURE):
            raise ValueError(f"temperature={kelvin} K must be a finite number, 0 or larger and at most {TEMPERATURE:g}")
    return _one_each("temperature", [float(kelvin) for kelvin in given], replicas)


def checked_time_step(value: float) -> float:
    """A time step (fs), checked.

    Raises
    ------
    ValueError
        It is no number, not above 0, or above the limit.
    """
    if not (_is_number(value) and 0 < value <= TIME_STEP):
        raise ValueError(
            f"time_step={value} fs must be a finite number above 0 and at most {TIME_STEP:g}; 0.5 fs suits hydrogen"
        )
    return float(value)


def _one_each(name: str, values: list[Any], replicas: int) -> list[Any]:
    if len(values) != replicas:
        raise ValueError(f"{name} has {len(values)} values for {replicas} replicas; give one number, or one for each")
    return values


def _listed(value: Any, replicas: int) -> list[Any]:
    """What was given for all, or one for each."""
    return [value] * replicas if _is_one(value) else list(value)


def _is_one(value: Any) -> bool:
    return isinstance(value, str) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):  # words; a whole number beyond every float
        return False
