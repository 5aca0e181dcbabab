"""The file of a checkpoint, read and looked at: header and numbers are bounded before a model is made of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from piwsl_lab.models import MODELS, build
from piwsl_lab.names import BASES, HEADS
from piwsl_lab.support.files import describe_error, no_file
from piwsl_lab.support.shapes import ANYTHING, FLAG, Number, Text, read_json, require
from piwsl_lab.training.named_tensors import tensors_under

FORMAT = 3  # 1: before potentials had a shift; 2: before their basis was a choice and trainings had a mean
FORMER_BASIS = {"painn": "bessel", "schnet": "gaussian", "tensornet": "bessel"}  # of a file of format 1 or 2
DTYPES = {"float32": torch.float32, "float64": torch.float64}
HEADER = "piwsl_lab"
MOST_CHANNELS, MOST_LAYERS = 8192, 100
LONGEST_CUTOFF = 50.0  # Å; beyond, the neighbours of one atom fill the memory
WHOLE = {"whole": True}
HEADER_SHAPE = {
    "model": Text(),
    "dtype": Text(tuple(DTYPES)),
    "reference": ANYTHING,
    "hyperparameters": {
        "elements": [Number(1, 118, **WHOLE)],
        "channels": Number(1, MOST_CHANNELS, **WHOLE),
        "layers": Number(1, MOST_LAYERS, **WHOLE),
        "radial": Number(1, 1000, **WHOLE),
        "cutoff": Number(1e-3, LONGEST_CUTOFF),
        "head": Text(tuple(HEADS)),
        "basis?": Text(tuple(BASES)),
        "denoise?": FLAG,
    },
}
COUNT = Number(0, 1e9, **WHOLE)
TRAINER_SHAPE = {
    "settings": {
        "steps": Number(1, 1e9, **WHOLE),
        "batch_size": Number(1, 1e9, **WHOLE),
        "learning_rate": Number(0),
        "schedule": Text(),
        "weight_decay": Number(0),
        "clip": Number(0),
        "seed": Number(0, 2**63 - 1, **WHOLE),
        "validate_every": Number(1, 1e9, **WHOLE),
        "average?": Number(0, 1),
        "patience?": Number(0, 1e9, **WHOLE),
    },
    "objective": {str: ANYTHING},
    "done": COUNT,
    "seconds": Number(0),
    "best_metrics": ANYTHING,
    "best_is_present?": FLAG,
    "best_step?": COUNT,
    "radius?": Number(0, 2 * LONGEST_CUTOFF),
    "fingerprints": [Text(null=True)],
}


class CheckpointError(ValueError):
    """A file that is no whole checkpoint of this package, or one of another model or data set."""


@contextmanager
def damaged(path: str | Path) -> Iterator[None]:
    """Whatever a header or a tensor that is not as `save` wrote it leads to becomes one error with the path."""
    try:
        yield
    except CheckpointError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise CheckpointError(
            f"{path}: header and weights do not fit together ({type(error).__name__}: {error}); "
            "use a checkpoint as `save` wrote it"
        ) from error


def read_marks(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """What a safetensors file says about itself, and its tensors.

    Raises
    ------
    CheckpointError
        There is no such file, or it is cut off, of another format or cannot be opened.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: {no_file(path)}; give the path of a checkpoint written by `save`")
    try:
        if not os.access(path, os.R_OK):
            raise PermissionError(13, "Permission denied", str(path))
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is cut off or no safetensors file ({error}); save it again") from error
    except OSError as error:
        raise CheckpointError(f"{describe_error(error, path)}") from error


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Header and tensors of a checkpoint, both as `save` writes them.

    Raises
    ------
    CheckpointError
        As for `read_marks`; also for another program, a newer format, a header that makes no sense and weights that
        are not finite.
    """
    marks, tensors = read_marks(path)
    if HEADER not in marks:
        raise CheckpointError(
            f"{path}: was not written by piwsl-lab (no {HEADER!r} header); use a checkpoint of `save`"
        )
    with damaged(path):
        header = read_json(marks[HEADER], nan=True)
        require(header, {"format": Number(1, 1e9, **WHOLE)})
        if header["format"] > FORMAT:
            raise CheckpointError(
                f"{path}: was written by a newer piwsl-lab (format {header['format']}); upgrade piwsl-lab"
            )
        require(header, HEADER_SHAPE)
        if header["model"] not in MODELS:
            raise CheckpointError(
                f"{path}: holds a model {header['model']!r}; this piwsl-lab knows {', '.join(MODELS)}"
            )
        if header["format"] < 3:
            header["hyperparameters"].setdefault("basis", FORMER_BASIS.get(header["model"]))
        elif "basis" not in header["hyperparameters"]:
            raise ValueError("hyperparameters has no 'basis'")
        if header["reference"] is not None:
            require(header["reference"], {str: Number()}, "reference")
        if header["format"] == 1:
            zero = torch.zeros(len(header["hyperparameters"]["elements"]), dtype=tensors["potential.scale"].dtype)
            tensors |= {name.replace("scale", "shift"): zero for name in tensors if name.endswith(".scale")}
        _check_weights(header, tensors_under(tensors, "potential."))
        _check_trainer(header, tensors)
    return header, tensors


def _check_weights(header: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Refuse a header that asks for other weights than those in the file, before there is memory for them."""
    with torch.device("meta"):
        plan = build(header["model"], **header["hyperparameters"]).state_dict()
    if plan.keys() != weights.keys():
        raise ValueError(f"weights that are missing or too many: {', '.join(sorted(plan.keys() ^ weights.keys()))}")
    for name, value in weights.items():
        if plan[name].shape != value.shape or not value.is_floating_point():
            raise ValueError(
                f"{name} has the shape {list(value.shape)} and should have {list(plan[name].shape)}, in floats"
            )
        _check_finite(name, value)


def _check_finite(name: str, value: Tensor) -> None:
    if value.is_floating_point() and not bool(value.isfinite().all()):
        raise ValueError(f"{name} holds {int((~value.isfinite()).sum())} number(s) that are not finite")


def _check_trainer(header: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    state = header.get("trainer")
    if state is None:
        return
    require(state, TRAINER_SHAPE, "trainer")
    if state["done"] > state["settings"]["steps"]:
        raise ValueError(f"trainer.done is {state['done']}, more than the steps of the run")
    if state.get("best_step", 0) > state["done"]:
        raise ValueError(f"trainer.best_step is {state['best_step']}, more than the {state['done']} steps done")
    if state["best_metrics"] is not None:
        require(state["best_metrics"], {str: Number(nan=True)}, "trainer.best_metrics")
    for prefix in ("best.", "learner.", "optimiser."):
        for name, value in tensors_under(tensors, prefix).items():
            _check_finite(f"{prefix}{name}", value)
