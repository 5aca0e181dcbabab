"""What a long run has done so far, in one file, so that it can go on after a kill.

The file is there whole or not at all. It is a checkpoint: the training in hand, with everything it
needs to go on bit for bit. Beside it is what is finished already.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from piwsl_lab.support.files import describe_error, write_whole
from piwsl_lab.support.interrupts import held
from piwsl_lab.support.shapes import ANYTHING, Number, Text, read_json, require
from piwsl_lab.training.checkpoint import fingerprint, go_on, pack
from piwsl_lab.training.checkpoint_file import CheckpointError, read_marks
from piwsl_lab.training.trainer import Trainer

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

Forces = NDArray[np.floating[Any]]  # [n, 3], eV/Å
MARK = "piwsl_lab_run"
MARK_SHAPE = {
    "values": {str: ANYTHING},  # looked at where they are used
    "steps": {str: Number(0, 1e9, whole=True)},
    "part": Text(),
    "core_seconds": Number(0),
}
ARRAYS = "kept."
LARGEST = 1e6  # eV/Å: forces that a teacher has kept are far below
AT_LEAST_EVERY = 30.0  # s: what a kill can cost where validations are rare


class Kept:
    """What is kept of one run.

    Parameters
    ----------
    path : Path, optional
        Where; None keeps nothing. A file that is there already is gone on with by `open`.

    Attributes
    ----------
    steps : dict of int
        Steps done of every part of the run.
    earlier : float, s
        Core time that went into it before this process began.
    failure : str
        Why the last attempt to keep something came to nothing.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.steps: dict[str, int] = {}
        self.earlier = 0.0
        self.failure = ""
        self._values: dict[str, Any] = {}
        self._arrays: dict[str, Tensor] = {}
        self._kept_part = ""  # of the training that the opened file holds
        self._part = ""
        self._trainer: Trainer | None = None
        self._kept_at = time.monotonic()
        self._begun = time.process_time()

    @property
    def keeps(self) -> bool:
        """Whether anything is kept: a path was given."""
        return self.path is not None

    @property
    def place(self) -> Path | None:
        """Where it lies, or would lie."""
        return self.path

    @property
    def is_kept(self) -> bool:
        """Whether there is something to go on with."""
        return self.path is not None and self.path.is_file()

    def open(self) -> None:
        """Go on with what the file holds.

        Raises
        ------
        CheckpointError
            It is damaged, or there is none.
        """
        marks, tensors = read_marks(self._file())
        try:
            kept = read_json(marks[MARK], nan=True)
            require(kept, MARK_SHAPE)
        except KeyError:
            raise self._damaged(f"it has no {MARK!r}") from None
        except ValueError as error:
            raise self._damaged(error) from error
        self._values, self.steps = kept["values"], kept["steps"]
        self._kept_part, self.earlier = kept["part"], kept["core_seconds"]
        self._arrays = {name.removeprefix(ARRAYS): v for name, v in tensors.items() if name.startswith(ARRAYS)}

    def _file(self) -> Path:
        if self.path is None:
            raise CheckpointError("nothing is kept of this run: name a file to keep it in")
        return self.path

    def _damaged(self, what: object) -> CheckpointError:
        return CheckpointError(f"{self.path}: is not what an interrupted run left ({what}); delete it and begin anew")

    def value(self, name: str, shape: Any = ANYTHING) -> Any:
        """What was noted under a name; None if nothing was.

        Raises
        ------
        CheckpointError
            It has not the shape that `support.shapes.require` is asked for.
        """
        found = self._values.get(name)
        if name in self._values:
            try:
                require(found, shape, name)
            except ValueError as error:
                raise self._damaged(error) from None
        return found

    def note(self, name: str, value: Any) -> None:
        """Keep a finished piece: plain values, as JSON has them."""
        self._values[name] = value
        self._write()

    def arrays(self, name: str, lengths: Sequence[int]) -> list[Forces]:
        """Arrays that were noted under a name, [n, 3] each, of these lengths.

        Raises
        ------
        CheckpointError
            There are none of these lengths, or they are no numbers that a run has kept.
        """
        found = self._arrays.get(name)
        if (
            found is None
            or not found.is_floating_point()
            or found.shape != (sum(lengths), 3)
            or not bool((found.abs() < LARGEST).all())
        ):
            raise self._damaged(f"the numbers of {name} are missing or no forces")
        return [part.numpy() for part in torch.split(found, list(lengths))]

    def note_arrays(self, name: str, arrays: Sequence[Forces], value: Any) -> None:
        """Keep arrays, [n, 3] each, and with them a value under the same name."""
        self._arrays[name] = torch.from_numpy(np.concatenate(arrays))
        self.note(name, value)

    def same_data(self, name: str, task: Iterable[Dataset]) -> None:
        """Remember the frames of a task; refuse to go on with others.

        Raises
        ------
        CheckpointError
            Frames or labels have changed since the run began.
        """
        if not self.keeps:
            return
        marks = [fingerprint(data) for data in task]
        key = f"data {name}"
        if self.value(key, [Text()]) is None:
            self._values[key] = marks
        if self._values[key] != marks:
            raise CheckpointError(
                f"{self.path}: the run began with other frames or labels, so it cannot go on; delete it and begin anew"
            )

    def go_on(self, part: str, trainer: Trainer) -> None:
        """Bring a fresh trainer of a part to where the kept one was; nothing if none is kept.

        Raises
        ------
        CheckpointError
            The kept training is another, or is damaged.
        """
        if part != self._kept_part or not self.is_kept:
            return
        go_on(self._file(), trainer)
        if self.steps.get(part) != trainer.done:
            raise self._damaged(f"{trainer.done} steps of {part or 'the training'}, noted {self.steps.get(part)}")
        self._part, self._trainer, self._kept_part = part, trainer, ""

    def step(self, part: str, trainer: Trainer) -> None:
        """After every step: keep the training where it has validated, or half a minute after the last time."""
        if not self.keeps:
            return
        due = trainer.finished or trainer.done % trainer.settings["validate_every"] == 0
        if due or time.monotonic() - self._kept_at > AT_LEAST_EVERY:
            self.keep(part, trainer)

    def keep(self, part: str, trainer: Trainer) -> None:
        """Keep the training of a part as it is now; Ctrl-C waits until that is done."""
        if not self.keeps:
            return
        with held():
            trainer.settle()
            self._part, self._trainer, self.steps[part] = part, trainer, trainer.done
            self._write()

    def start_clock(self) -> None:
        """From here on core time is counted: what comes before is not training."""
        self._begun = time.process_time()

    def core_seconds(self) -> float:
        """Core time of the run so far, s, that of broken-off processes included."""
        return self.earlier + time.process_time() - self._begun

    def remove(self) -> None:
        """The result is delivered: the file goes, and its folder if nothing else is in it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            with suppress(OSError):  # others keep theirs in it
                self.path.parent.rmdir()

    def _write(self) -> None:
        """Write the file; a full disk must not end the run that it was meant to protect."""
        if not self.keeps or self._trainer is None:
            return
        mark = {"values": self._values, "steps": self.steps, "part": self._part, "core_seconds": self.core_seconds()}
        arrays = {f"{ARRAYS}{name}": value for name, value in self._arrays.items()}
        self._kept_at = time.monotonic()
        content = pack(self._trainer.potential, self._trainer, {MARK: json.dumps(mark)}, extra=arrays)
        try:
            self._place(content)
        except OSError as error:
            words = describe_error(error, self.place)
            if not self.failure:
                warnings.warn(f"what this run has done cannot be kept: {words}", stacklevel=4)
            self.failure = words
        else:
            self.failure = ""

    def _place(self, content: bytes) -> None:
        path = self._file()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
