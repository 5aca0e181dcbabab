"""What a potential is trained for: the weights of all losses in one mutable object, re-read at every step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from piwsl_lab.names import (
    CENTRES,
    CONSISTENCY,
    DIRECTIONS,
    DISPLACED_LABELS,
    GRADIENT_TEACHERS,
    ORDERS,
    PISC_FORMS,
    SUITED,
    WEIGHTS,
    Default,
)
from piwsl_lab.piwsl.displacements import Displacer
from piwsl_lab.piwsl.schedules import Schedule
from piwsl_lab.piwsl.soft_modes import SoftModes

LARGEST_EPSILON = 5.0  # Å: neighbour lists reach as far as the cutoff and twice this
CHOICES: dict[str, Mapping[Any, str]] = {
    "order": ORDERS,
    "pisc_form": PISC_FORMS,
    "teacher": GRADIENT_TEACHERS,
    "direction": DIRECTIONS,
    "centres": CENTRES,
}


@dataclass
class Objective:
    """What a potential is trained for: one weight per term. Change any field during training; it is read at each step.

    Attributes
    ----------
    energy, force : float
        Weights of the supervised mean squares, in 1/eV² and Å²/eV².
    pitc, pisc : float
        Weights of the Taylor and the spatial consistency, in 1/eV²; a term of weight 0 costs nothing.
    gradient : float, Å²/eV²
        Weight of the gradient consistency at displaced centres; needs a head "dual" or "direct".
    curl : float, Å⁴/eV²
        Weight of the squared antisymmetric part of the force Jacobian; for direct heads.
    weak : float, 1/eV²
        Weight of the weak labels: the labels' own Taylor expansion.
    noisy : float
        NoisyNodes: how much the supervised losses count once more at displaced positions with the labels kept.
    denoise : float
        Weight of denoising non-equilibrium structures (DeNS); needs a potential built with `denoise=True`.
    epsilon : float, Å
        Size of the displacements; with `relative` a fraction of every atom's shortest bond.
    order : 1, 2 or "symmetric"
        Taylor expansion of the paper, trapezoid rule, or central difference (of PITC; PISC then takes 2).
    pisc_form : str
        One of `piwsl_lab.names.PISC_FORMS`.
    teacher : "both", "direct" or "conservative"
        Which head the gradient consistency leaves as it is.
    direction : str
        How displacements are drawn, one of `piwsl_lab.names.DIRECTIONS`.
    relative, remove_drift : bool
        Scale ε with the bonds of each atom; take the mean displacement of each structure away.
    centres : "labelled" or "pool"
        Where the consistency terms ask: at the labelled frames, or at frames without labels.
    per_atom : bool
        Divide energy and consistency residuals by the number of atoms, for sets of mixed size.
    schedules : dict of Schedule, or of any callable of the step
        Weights, epsilon or order that follow the step, by name: {"epsilon": ramp(0.01, 0.05, 1000)}. A term of `extra`
        may follow one too.
    extra : dict of float
        Weights of terms that have a row in `piwsl_lab.piwsl.terms.TERMS` and no field here, by name. They count as
        consistency terms.
    """

    energy: float = Default.ENERGY
    force: float = Default.FORCE
    pitc: float = 0.0
    pisc: float = 0.0
    gradient: float = 0.0
    curl: float = 0.0
    weak: float = 0.0
    noisy: float = 0.0
    denoise: float = 0.0
    epsilon: float = Default.EPSILON
    order: int | str = Default.ORDER
    pisc_form: str = "same_point"
    teacher: str = "both"
    direction: str = "uniform"
    relative: bool = False
    remove_drift: bool = False
    centres: str = "labelled"
    per_atom: bool = False
    schedules: dict[str, Callable[[int], Any]] = field(default_factory=dict)
    extra: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # A checkpoint or a TOML file knows schedules as plain tables.
        self.schedules = {
            name: Schedule.read(name, given) if isinstance(given, dict) else given
            for name, given in self.schedules.items()
        }
        # `replace` hands over the same dict: a weight written into a copy must not move the first.
        self.extra = dict(self.extra)
        self.check()

    def check(self) -> None:
        """Raise a ValueError that names the field that makes no sense."""
        for name, weight in self.extra.items():
            if name in WEIGHTS:
                raise ValueError(f"extra: {name} has a field of its own; write {name}={weight} instead")
        for name in (*WEIGHTS, *self.extra):
            weight = self.weight(name)
            if not (isinstance(weight, int | float) and math.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight {name}={weight} must be a finite number, 0 (off) or larger")
        if not (isinstance(self.epsilon, int | float) and 0 < self.epsilon <= LARGEST_EPSILON):
            raise ValueError(
                f"epsilon={self.epsilon} Å must be larger than 0 and at most {LARGEST_EPSILON} Å; 0.01 to 0.1 Å is the "
                "useful range"
            )
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name}={getattr(self, name)!r} does not exist; choose one of {', '.join(map(str, choices))}"
                )
        for name in self.schedules:
            if name not in (*WEIGHTS, *self.extra, "epsilon", "order"):
                raise ValueError(
                    f"schedules: {name!r} cannot follow a schedule; only weights, epsilon and order can, and terms "
                    "that have a weight in extra"
                )
            if not callable(self.schedules[name]):
                raise ValueError(f"the schedule of {name} must be a Schedule or a callable of the step")

    def at(self, step: int) -> Objective:
        """The objective with every scheduled field at its value of a step (the first is 0)."""
        if not self.schedules:
            return self
        return self.at_values({name: schedule(step) for name, schedule in self.schedules.items()})

    def at_values(self, values: Mapping[str, Any]) -> Objective:
        """A copy without schedules in which some fields, or terms of `extra`, have these values."""
        extra = {name: values.get(name, weight) for name, weight in self.extra.items()}
        fields = {name: value for name, value in values.items() if name not in extra}
        return replace(self, schedules={}, extra=extra, **fields)

    def override(self, name: str, value: Any) -> None:
        """Set a field by hand; its schedule, if it had one, ends here."""
        self.schedules = {other: schedule for other, schedule in self.schedules.items() if other != name}
        if name in self.extra:
            self.extra = {**self.extra, name: value}
        else:
            setattr(self, name, value)

    def weight(self, name: str) -> float:
        """The weight of a term; 0 where it has none."""
        return getattr(self, name) if name in WEIGHTS else self.extra.get(name, 0.0)

    @property
    def displaces(self) -> bool:
        """Whether any term asks at displaced positions."""
        return self.is_consistent or any(getattr(self, name) > 0 for name in DISPLACED_LABELS)

    @property
    def is_consistent(self) -> bool:
        """Whether any term asks the model to agree with itself."""
        return any(getattr(self, name) > 0 for name in CONSISTENCY) or any(w > 0 for w in self.extra.values())

    def displacer(self, modes: SoftModes | None = None) -> Displacer:
        """What draws the displacements."""
        return Displacer(self.direction, self.epsilon, self.relative, self.remove_drift, modes)

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the terms, each a scalar; a scalar."""
        return sum((self.weight(name) * value for name, value in terms.items()), start=torch.zeros(()))


def fields_in_use(objective: Objective) -> dict[str, Any]:
    """All fields as JSON has them; `extra` only where it holds a weight, so that names of older runs stay."""
    fields = asdict(objective)
    return fields if objective.extra else {name: value for name, value in fields.items() if name != "extra"}


def suited(head: str) -> dict[str, float]:
    """Weights to begin with, by name, for a head of `piwsl_lab.names.HEADS`."""
    return dict(SUITED[head])


def supervised(objective: Objective) -> Objective:
    """The same objective without any term at displaced positions."""
    schedules = {name: schedule for name, schedule in objective.schedules.items() if name in ("energy", "force")}
    alone = replace(objective, extra={}, schedules=schedules)
    for name in (*CONSISTENCY, *DISPLACED_LABELS):
        setattr(alone, name, 0.0)
    return alone
