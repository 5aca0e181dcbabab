"""Potentials and unfinished trainings on disk: one safetensors file with a JSON header, no pickle.

The JSON says which model the weights belong to, in plain words. A file is there whole or not at all: a crash never
leaves half a checkpoint where a whole one was.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from safetensors.torch import save as to_bytes
from torch import Tensor

from piwsl_lab.models import MODELS, Potential, build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.schedules import Schedule
from piwsl_lab.support.files import write_whole
from piwsl_lab.training.checkpoint_file import DTYPES, FORMAT, HEADER, CheckpointError, damaged, read
from piwsl_lab.training.named_tensors import tensors_under
from piwsl_lab.training.settings import LATER
from piwsl_lab.training.trainer import Trainer

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


def save(path: str | Path, potential: Potential, trainer: Trainer | None = None) -> Path:
    """Write a potential, and with `trainer` everything that is needed to go on exactly where it stopped.

    Parameters
    ----------
    path : path
        Ends in `.safetensors`.
    potential : Potential
    trainer : Trainer, optional

    Raises
    ------
    CheckpointError
        The path has another ending or no folder, the disk refuses, the class is none of `MODELS`,
        or a schedule is a function.
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
    potential: Potential,
    trainer: Trainer | None = None,
    marks: Mapping[str, str] | None = None,
    moments: bool = True,
    extra: Mapping[str, Tensor] | None = None,
) -> bytes:
    """The content of a checkpoint.

    Parameters
    ----------
    potential, trainer
        As for `save`.
    marks : mapping of str → str, optional
        What else the file says about itself.
    moments : bool
        Whether to keep what the optimiser moves and remembers; see `Trainer.state`.
    extra : mapping of str → Tensor, optional
        Other numbers to keep in the file.
    """
    header = _header(potential)
    tensors = {f"potential.{name}": value for name, value in potential.state_dict().items()}
    if trainer is not None:
        _refuse_functions(trainer)
        values, state = trainer.state(moments)
        header["trainer"] = _asked(trainer) | values
        tensors |= state
    tensors |= extra or {}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return to_bytes(tensors, metadata={HEADER: json.dumps(header), **(marks or {})})


def _header(potential: Potential) -> dict[str, Any]:
    """What a file says of a potential, so that it can be made again."""
    names = {cls: name for name, cls in MODELS.items()}
    if type(potential) not in names:
        raise CheckpointError(
            f"a {type(potential).__name__} cannot be saved, as only {', '.join(MODELS)} can be made again: "
            "add its class to piwsl_lab.models.MODELS, or keep its state_dict() yourself"
        )
    return {
        "format": FORMAT,
        "model": names[type(potential)],
        "hyperparameters": potential.hyperparameters,
        "reference": potential.reference,
        "dtype": str(potential.scale.dtype).removeprefix("torch."),
    }


def load_potential(path: str | Path) -> Potential:
    """Read a potential back, in evaluation mode and on the CPU.

    Raises
    ------
    CheckpointError
        The file is missing, cut off, of another program or of a newer format.
    """
    header, tensors = read(Path(path))
    with damaged(path):
        potential = build(header["model"], **header["hyperparameters"]).to(DTYPES[header["dtype"]])
        reference = header["reference"]
        potential.reference = None if reference is None else {int(z): energy for z, energy in reference.items()}
        potential.load_state_dict(tensors_under(tensors, "potential."))
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
    header, tensors = read(Path(path))
    if "trainer" not in header:
        raise CheckpointError(f"{path}: holds a potential but no training to resume; it was saved without trainer=…")
    potential, state = load_potential(path).train(), header["trainer"]
    with damaged(path):
        objective, settings, seen = Objective(**state["objective"]), state["settings"], state["fingerprints"]
    try:
        trainer = Trainer(
            potential, train, objective, validation=validation, pool=pool, device=device, **LATER | settings
        )
    except ValueError as error:
        raise CheckpointError(f"{path}: cannot go on with these frames: {error}") from error
    if _fingerprints(trainer) != seen:
        raise CheckpointError(
            f"{path}: was trained or validated on other frames or labels, or had another pool; resume with the same "
            "split and budget"
        )
    with damaged(path):
        trainer.load(state, tensors)
    return trainer


def go_on(path: str | Path, trainer: Trainer) -> None:
    """Bring a fresh trainer to where a kept one was, which must be of the very same run.

    Raises
    ------
    CheckpointError
        As for `load_potential`; also for another model, other settings, another objective or other frames.
    """
    header, tensors = read(Path(path))
    plain = json.loads(json.dumps(_header(trainer.potential) | {"trainer": _asked(trainer)}))
    if "trainer" not in header:
        raise CheckpointError(f"{path}: is not what this command left (no training); delete it and begin anew")
    with damaged(path):  # what objective and settings have gained since then is at its default
        kept = dict(header["trainer"])
        kept |= {"objective": asdict(Objective()) | kept["objective"], "settings": LATER | kept["settings"]}
    for found, asked in ((header, plain), (kept, plain["trainer"])):
        for name in asked.keys() - {"trainer", "format", "reference"}:
            if found.get(name) != asked[name]:
                words = _difference(name, found.get(name), asked[name])
                raise CheckpointError(f"{path}: is not what this command left ({words}); delete it and begin anew")
    with damaged(path):
        _restore_reference(trainer.potential, header["reference"])
        trainer.potential.load_state_dict(tensors_under(tensors, "potential."))
        trainer.load(header["trainer"], tensors)


def _restore_reference(potential: Potential, kept: Mapping[str, float] | None) -> None:
    """The energies of the elements to the last bit; a fit on another machine may differ in that."""
    found = {int(z): energy for z, energy in (kept or {}).items()}
    fitted = potential.reference or {}
    same = found.keys() == fitted.keys()
    if not same or not all(math.isclose(found[z], e, rel_tol=1e-6, abs_tol=1e-6) for z, e in fitted.items()):
        raise ValueError("the reference energies are not those of the training frames")
    potential.reference = found


def _difference(name: str, found: Any, asked: Any) -> str:
    """The first thing in which a kept run is another than the one asked for."""
    if isinstance(found, dict) and isinstance(asked, dict):
        key = next(
            key for key in [*asked, *found] if found.get(key) != asked.get(key) or (key in found) != (key in asked)
        )
        return _difference(key, found.get(key), asked.get(key))
    return "other frames or labels" if name == "fingerprints" else f"{name} {str(found)[:40]}, asked {str(asked)[:40]}"


def fingerprint(dataset: Dataset) -> str:
    """SHA-256 of every number a training reads: elements, positions, cells and labels."""
    digest = hashlib.sha256()
    for frame in dataset:
        digest.update(f"{frame.numbers.tolist()} {frame.pbc.tolist()} {frame.energy}".encode())
        for array in (frame.positions, frame.cell, frame.forces):
            digest.update(b"none" if array is None else np.ascontiguousarray(array, dtype=np.float64).tobytes())
    return digest.hexdigest()


# A run saves itself many times, and its frames never change.
_FINGERPRINTS: WeakKeyDictionary[Trainer, list[str | None]] = WeakKeyDictionary()


def _fingerprints(trainer: Trainer) -> list[str | None]:
    if trainer not in _FINGERPRINTS:
        sets = trainer.train_data, trainer.validation_data, trainer.pool_data
        _FINGERPRINTS[trainer] = [None if data is None else fingerprint(data) for data in sets]
    return _FINGERPRINTS[trainer]


def _asked(trainer: Trainer) -> dict[str, Any]:
    """What decides a training before its first step."""
    return {
        "settings": trainer.settings,
        "objective": asdict(trainer.objective),
        "fingerprints": _fingerprints(trainer),
    }


def _refuse_functions(trainer: Trainer) -> None:
    """A schedule that is a function cannot go into a file."""
    by_hand = [name for name, given in trainer.objective.schedules.items() if not isinstance(given, Schedule)]
    if by_hand:
        raise CheckpointError(
            f"the schedule of {', '.join(by_hand)} is a function, which no file can hold: use constant, ramp or cosine "
            "of piwsl_lab.piwsl.schedules"
        )
