"""A training in a process of its own that keeps what it does and goes on with it.

    python killed.py

forks one for every folder that it reads, says its process number, and then how it ended. So torch is loaded once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import former
import torch
import torch._dynamo  # as the first step of an optimiser does: it takes seconds

from piwsl_lab.models import PaiNN
from piwsl_lab.training.checkpoint import save
from piwsl_lab.training.drive import train_to_end
from piwsl_lab.training.kept import Kept
from piwsl_lab.training.trainer import Trainer

AVERAGE, STEPS = 0.99, 300


def train(folder: Path) -> None:
    """Begin or go on in a folder; at the end its `ended.safetensors` holds the trainer as it is then."""
    torch.set_num_threads(1)
    kept = Kept(folder / "kept.safetensors")
    if kept.is_kept:
        kept.open()
    frames = former.sets()
    torch.manual_seed(0)
    potential = PaiNN(frames["train"].elements, **former.MODEL)
    options: dict[str, Any] = former.OPTIONS | {"steps": STEPS, "average": AVERAGE}
    trainer = Trainer(potential, frames.pop("train"), former.objective(), **frames, **options)
    train_to_end(trainer, kept)
    save(folder / "ended.safetensors", trainer.potential, trainer)


def serve() -> None:
    former.sets()  # loads what makes molecules
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            train(Path(line.strip()))
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
