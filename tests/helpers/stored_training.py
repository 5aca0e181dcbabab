"""A training that stopped at its fifth step, as the code of November 2026 saved it, and the steps that follow.

    PYTHONPATH=.:tests/helpers python tests/helpers/stored_training.py

writes both anew. Do that only where the numbers of a training are meant to change (`RECIPE` in `study/setup.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from frames import labelled

from piwsl_lab.data import Dataset
from piwsl_lab.models import PaiNN
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.schedules import ramp
from piwsl_lab.training.checkpoint import save
from piwsl_lab.training.record import Record
from piwsl_lab.training.trainer import Trainer

HERE = Path(__file__).resolve().parent
CHECKPOINT = HERE / "stored_training.safetensors"
FOLLOWING = HERE / "stored_training.json"
STOPPED_AT = 5


def sets() -> dict[str, Dataset]:
    """The frames it was trained on."""
    return {"train": labelled("H2O", 6), "validation": labelled("H2O", 3, seed=1), "pool": labelled("H2O", 4, seed=2)}


def begun() -> Trainer:
    """The training before its first step."""
    frames = sets()
    torch.manual_seed(0)
    size = {"channels": 4, "layers": 1, "radial": 4, "basis": "bessel"}
    potential = PaiNN(frames["train"].elements, head="dual", **size).double()
    epsilon = ramp(0.02, 0.24, 8)  # grows past the first skin of the neighbour lists
    objective = Objective(pitc=10.0, gradient=5.0, centres="pool", schedules={"epsilon": epsilon})
    options = {"steps": 12, "batch_size": 2, "validate_every": 3, "seed": 3, "device": "cpu"}
    options |= {"learning_rate": 1e-3, "average": 0.0}  # as it was then
    return Trainer(potential, frames.pop("train"), objective, **frames, **options)


def numbers(record: Record) -> dict[str, float]:
    """What a step found, without its time."""
    errors = {} if record.metrics is None else {"force_rmse": record.metrics.force_rmse}
    return {"step": record.step, "loss": record.loss, **record.terms, **errors}


if __name__ == "__main__":
    torch.set_num_threads(1)
    trainer = begun()
    while trainer.done < STOPPED_AT:
        trainer.step()
    save(CHECKPOINT, trainer.potential, trainer)
    following = []
    while not trainer.finished:
        following.append(numbers(trainer.step()))
    FOLLOWING.write_text(json.dumps(following, indent=1) + "\n")
