"""Potentials and unfinished trainings on disk: one safetensors file with a JSON header, no pickle.

The JSON says which model the weights belong to, in plain words. A file is there whole or not at all: a crash never
leaves half a checkpoint where a whole one was.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from piwsl_lab.metrics import Metrics
from piwsl_lab.models import MODELS, Potential, build
from piwsl_lab.objective import Objective
from piwsl_lab.schedules import Schedule
from piwsl_lab.support.files import write_whole
from piwsl_lab.training import Trainer

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

FORMAT = 2  # 1: before potentials had a shift
DTYPES = {"float32": torch.float32, "float64": torch.float64}
HEADER = "piwsl_lab"


class CheckpointError(ValueError):
    """A file that is no whole checkpoint of this package, or one of another model or data set."""


def save(path: str | Path, potential: Potential, trainer: Trainer | None = None) -> Path:
    """Write a potential, and with `trainer` everything that is needed to go on exactly where it stopped.

    Parameters
    ----------
    path : path
        Ends in `.safetensors`.
    potential : Potential
    trainer : Trainer, optional
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: a checkpoint is a safetensors file; call it {path.with_suffix('.safetensors')}")
    content = pack(potential, trainer)
    if not path.parent.is_dir():
        raise CheckpointError(f"{path}: there is no folder {path.parent}; make it first")
    try:
        return write_whole(path, content)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be written ({error.strerror}); free some space, or choose another folder"
        ) from error


def pack(
    potential: Potential, trainer: Trainer | None = None, marks: Mapping[str, str] | None = None, moments: bool = True
) -> bytes:
    """The content of a checkpoint.

    Parameters
    ----------
    potential, trainer
        As for `save`.
    marks : mapping of str → str, optional
        What else the file says about itself.
    moments : bool
        Whether to keep what the optimiser remembers: twice the size of the weights, of use until the last step.
    """
    names = {cls: name for name, cls in MODELS.items()}
    if type(potential) not in names:
        raise CheckpointError(
            f"a {type(potential).__name__} cannot be saved: only {', '.join(MODELS)} can be made again"
        )
    header: dict[str, Any] = {
        "format": FORMAT,
        "model": names[type(potential)],
        "hyperparameters": potential.hyperparameters,
        "reference": potential.reference,
        "dtype": str(potential.scale.dtype).removeprefix("torch."),
    }
    tensors = {f"potential.{name}": value for name, value in potential.state_dict().items()}
    if trainer is not None:
        trainer.settle()
        header["trainer"], extra = _trainer_state(trainer, moments)
        tensors |= extra
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return to_bytes(tensors, metadata={HEADER: json.dumps(header), **(marks or {})})


def load_potential(path: str | Path) -> Potential:
    """Read a potential back, in evaluation mode and on the CPU.

    Raises
    ------
    CheckpointError
        The file is missing, cut off, of another program or of a newer format.
    """
    header, tensors = _read(Path(path))
    with _damaged(path):
        potential = build(header["model"], **header["hyperparameters"]).to(DTYPES[header["dtype"]])
        reference = header["reference"]
        potential.reference = None if reference is None else {int(z): energy for z, energy in reference.items()}
        potential.load_state_dict(_under(tensors, "potential."))
    return potential.eval()


def resume(
    path: str | Path,
    train: Dataset,
    validation: Dataset | None = None,
    pool: Dataset | None = None,
    device: str = "auto",
) -> Trainer:
    """Read a trainer back that goes on as if it had never stopped.

    Parameters
    ----------
    train, validation, pool : Dataset
        The same as when the run began (the checkpoint knows them by a fingerprint).

    Raises
    ------
    CheckpointError
        As for `load_potential`; also for a file without a trainer and for other training data.
    """
    header, tensors = _read(Path(path))
    if "trainer" not in header:
        raise CheckpointError(f"{path}: holds a potential but no training to resume; it was saved without trainer=…")
    potential, state = load_potential(path).train(), header["trainer"]
    with _damaged(path):
        objective, settings, seen = Objective(**state["objective"]), state["settings"], state["fingerprints"]
    trainer = Trainer(potential, train, objective, validation=validation, pool=pool, device=device, **settings)
    if _fingerprints(trainer) != seen:
        raise CheckpointError(
            f"{path}: was trained or validated on other frames or labels, or had another pool; resume with the same "
            "split and budget"
        )
    with _damaged(path):
        trainer.done, trainer.seconds = state["done"], state["seconds"]
        trainer.best_metrics = Metrics(**state["best_metrics"]) if state["best_metrics"] else None
        best = _under(tensors, "best.")
        if state.get("best_is_present"):
            best = {name: value.clone() for name, value in trainer.potential.state_dict().items()}
        trainer.best_weights = {name: value.to(trainer.device) for name, value in best.items()} or None
        trainer.noise.set_state(tensors["noise"])
        trainer.batches.restore(tensors["batches"], tensors["queue"])
        trainer.pool_batches.restore(tensors["pool_batches"], tensors["pool_queue"])
        _restore_optimiser(trainer, _under(tensors, "optimiser."))
        trainer.reach(state.get("radius", 0.0))
    return trainer


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 of every number a training reads: elements, positions, cells and labels."""
    digest = hashlib.sha256()
    for frame in dataset:
        digest.update(f"{frame.numbers.tolist()} {frame.pbc.tolist()} {frame.energy}".encode())
        for array in (frame.positions, frame.cell, frame.forces):
            digest.update(b"none" if array is None else np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()


def _fingerprints(trainer: Trainer) -> list[str | None]:
    sets = trainer.train_data, trainer.validation_data, trainer.pool_data
    return [None if data is None else fingerprint(data) for data in sets]


@contextmanager
def _damaged(path: str | Path) -> Iterator[None]:
    """Whatever a header or a tensor that is not as `save` wrote it leads to becomes one error with the path."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: header and weights do not fit together ({type(error).__name__}: {error}); "
            "use a checkpoint as `save` wrote it"
        ) from error


def _trainer_state(trainer: Trainer, moments: bool) -> tuple[dict[str, Any], dict[str, Tensor]]:
    by_hand = [name for name, given in trainer.objective.schedules.items() if not isinstance(given, Schedule)]
    if by_hand:
        raise CheckpointError(
            f"the schedule of {', '.join(by_hand)} is a function, which no file can hold: use constant, ramp or cosine "
            "of piwsl_lab.schedules"
        )
    present, best = trainer.potential.state_dict(), trainer.best_weights or {}
    best_is_present = bool(best) and all(torch.equal(value, present[name]) for name, value in best.items())
    header = {
        "settings": trainer.settings,
        "objective": asdict(trainer.objective),
        "done": trainer.done,
        "seconds": trainer.seconds,
        "best_metrics": asdict(trainer.best_metrics) if trainer.best_metrics else None,
        "best_is_present": best_is_present,
        "radius": trainer.graphs.radius,
        "fingerprints": _fingerprints(trainer),
    }
    tensors = {"noise": trainer.noise.get_state()}
    tensors["batches"], tensors["queue"] = trainer.batches.state()
    tensors["pool_batches"], tensors["pool_queue"] = trainer.pool_batches.state()
    tensors |= {f"best.{name}": value for name, value in best.items() if not best_is_present}
    remembered = trainer.optimiser.state_dict()["state"] if moments else {}
    for number, values in remembered.items():
        tensors |= {f"optimiser.{number}.{name}": value for name, value in values.items()}
    return header, tensors


def _restore_optimiser(trainer: Trainer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, moment = name.split(".")
        state.setdefault(int(number), {})[moment] = value
    whole = trainer.optimiser.state_dict()
    trainer.optimiser.load_state_dict({**whole, "state": state})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; give the path of a checkpoint written by `save`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except SafetensorError as error:
        raise CheckpointError(f"{path}: is cut off or no safetensors file ({error}); save it again") from error
    if HEADER not in metadata:
        raise CheckpointError(
            f"{path}: was not written by piwsl-lab (no {HEADER!r} header); use a checkpoint of `save`"
        )
    with _damaged(path):
        header = json.loads(metadata[HEADER])
        newer, model = header["format"] > FORMAT, header["model"]
        if header["format"] == 1:
            zero = torch.zeros(len(header["hyperparameters"]["elements"]), dtype=tensors["potential.scale"].dtype)
            tensors |= {name.replace("scale", "shift"): zero for name in tensors if name.endswith(".scale")}
    if newer:
        raise CheckpointError(
            f"{path}: was written by a newer piwsl-lab (format {header['format']}); upgrade piwsl-lab"
        )
    if model not in MODELS:
        raise CheckpointError(f"{path}: holds a model {model!r}; this piwsl-lab knows {', '.join(MODELS)}")
    return header, tensors


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
