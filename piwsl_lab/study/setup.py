"""What a run depends on but its objective: data, budget, potential, training, and what it is scored on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from piwsl_lab.models import MODELS
from piwsl_lab.names import BASES, HEADS, LEARNING_RATES, Default
from piwsl_lab.training.checkpoint_file import FORMER_BASIS, LONGEST_CUTOFF, MOST_CHANNELS, MOST_LAYERS
from piwsl_lab.training.settings import LATER

# Raise it when a change to training or scoring makes the same cell come out differently: results of another recipe
# are not mixed.
RECIPE = 3
MOST_SEEDS = 1000  # of a study or a comparison
# Smallest and largest value of a field: a run beyond them fills the memory or takes years.
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "channels": (1, MOST_CHANNELS),
    "layers": (1, MOST_LAYERS),
    "radial": (1, 1000),
    "cutoff": (0.5, LONGEST_CUTOFF),
    "steps": (1, 10**9),
    "batch_size": (1, 10**6),
    "learning_rate": (1e-12, 10**6),
    "weight_decay": (0, 10**6),
    "average": (0, 0.999999),
    "patience": (0, 10**9),
    "validation": (0, 10**9),
    "teachers": (0, 1000),
    "conservation": (0, 10**9),
    "flight_ps": (0, 10**6),
}
# What a run of recipe 3 or less did where its table does not say so.
FORMER: dict[str, Any] = {
    "radial": 20,
    "cutoff": 5.0,
    "schedule": "cosine",
    "weight_decay": 0.01,
    **LATER,
}
SIZES = ("channels", "layers", "radial", "cutoff", "basis")  # of a model, which has a standard for each


@dataclass
class Setup:
    """Everything a run depends on but its objective.

    Attributes
    ----------
    data : str
        A name of `piwsl_lab.data.datasets()` (with ":part" if wanted) or a file.
    energies, forces : int
        How many energy and force labels the training may see.
    test : int
        Frames the result is scored on.
    test_part : str, optional
        Another set or part to score on, for instance "ethanol:800K"; by default the set's own test part, or frames of
        the same part that training never sees.
    validation : int, optional
        Labelled frames that pick the best step, on top of the budget: a fifth of it by default (at least 4). Force
        labels come in the same proportion as in training.
    model, head : str
        The potential.
    channels, layers, radial, cutoff, basis : int, int, int, float (Å) and str, optional
        Its size, as for `Potential`; by default the model's own.
    learning_rate : float, optional
        By default that of the model for its head (`Potential.rates`).
    steps, batch_size, schedule, weight_decay, average, patience, seed, device
        The training, as for `Trainer`.
    teachers : int
        Potentials trained on the labels alone whose mean forces stand in for the force labels that are missing.
    elsewhere : bool
        Whether `run` also scores on the other parts of the data set: other temperatures, paths, scans.
    conservation : int
        Test frames on which `run` also measures loop work, Jacobian antisymmetry and energy drift.
    flight_ps : float, ps
        Length of molecular dynamics at 300 K and 500 K in a heat bath from eight test frames that `run` also tries; 0
        for none.
    """

    data: str = "ethanol"
    energies: int = Default.LABELS
    forces: int = Default.LABELS
    test: int = 500
    test_part: str | None = None
    validation: int | None = None
    model: str = Default.MODEL
    head: str = Default.HEAD
    channels: int | None = None
    layers: int | None = None
    radial: int | None = None
    cutoff: float | None = None
    basis: str | None = None
    steps: int = Default.STEPS
    batch_size: int = Default.BATCH_SIZE
    learning_rate: float | None = None
    schedule: str = Default.SCHEDULE
    weight_decay: float = Default.WEIGHT_DECAY
    average: float = Default.AVERAGE
    patience: int = Default.PATIENCE
    seed: int = 0
    device: str = "auto"
    teachers: int = 0
    elsewhere: bool = False
    conservation: int = 0
    flight_ps: float = 0.0

    def size(self) -> dict[str, Any]:
        """The numbers that make the model, by name: those asked for, else the model's own."""
        given = {name: getattr(self, name) for name in SIZES}
        return MODELS[self.model].standard | {name: value for name, value in given.items() if value is not None}

    def rate(self) -> float:
        """The learning rate that was asked for, else that of the model for its head."""
        return MODELS[self.model].rates[self.head] if self.learning_rate is None else self.learning_rate

    def filled(self) -> Setup:
        """The same run with every number of its model and of its head written down."""
        return replace(self, **self.size(), learning_rate=self.rate())

    def check(self) -> None:
        """Raise a ValueError that names the field that makes no sense."""
        if self.model not in MODELS:
            raise ValueError(f"no model is called {self.model!r}; choose one of {', '.join(MODELS)}")
        if self.head not in HEADS:
            raise ValueError(f"head {self.head!r} does not exist; choose one of {', '.join(HEADS)}")
        for name, table in (("basis", BASES), ("schedule", LEARNING_RATES)):
            value = getattr(self, name)
            if value is not None and value not in table:
                raise ValueError(f"{name}={value!r} does not exist; choose one of {', '.join(table)}")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}={value} must be from {low:g} to {high}")
        for name in ("energies", "forces"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is below 0: ask for 0 or more {name}")
        if self.energies + self.forces == 0:
            raise ValueError(
                f"energies={self.energies} and forces={self.forces} leave nothing to learn; ask for at least one label"
            )
        if self.teachers and self.forces >= self.energies:
            raise ValueError(
                f"teachers={self.teachers} have nothing to teach: every frame with an energy has its forces; ask for "
                f"fewer forces than energies={self.energies}, or no teachers"
            )
        if self.test < 1:
            raise ValueError(f"test={self.test} must be at least 1 frame; 500 give an error you can trust")


def completed(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table of a setup as an earlier version wrote it, with the fields that it could not have."""
    if "average" in table:
        return dict(table)
    return FORMER | {"basis": FORMER_BASIS.get(table.get("model", "painn"))} | dict(table)
