"""Trainings that earlier versions left at their fifth step, and what the version of November 2026 made of them.

`former_1.safetensors` (format 1: no shift) was written by the code before commit d0b2788. `former_2.safetensors`, what
a broken-off command keeps, was written by that of commit 986c231, and `former.json` holds the steps that it then took.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from frames import labelled

from piwsl_lab.data import Dataset
from piwsl_lab.piwsl.objective import Objective

HERE = Path(__file__).resolve().parent
FILES = {number: HERE / f"former_{number}.safetensors" for number in (1, 2)}
FOLLOWING = HERE / "former.json"
STOPPED_AT = 5
PART = "training"  # what the kept file calls it
# Every number is written down: the defaults of today are others.
MODEL = {"channels": 4, "layers": 1, "radial": 4, "cutoff": 5.0, "basis": "bessel", "head": "direct"}
OPTIONS: dict[str, Any] = {
    "steps": 12, "batch_size": 2, "learning_rate": 1e-3, "weight_decay": 0.01, "validate_every": 3, "seed": 3,
    "average": 0.0, "patience": 0, "device": "cpu",
}  # fmt: skip


def sets() -> dict[str, Dataset]:
    """The frames they were trained on."""
    return {"train": labelled("H2O", 6), "validation": labelled("H2O", 3, seed=1)}


def objective() -> Objective:
    return Objective(energy=10.0, force=100.0, pitc=10.0, epsilon=0.05, order=2)
