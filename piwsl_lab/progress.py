"""What a long run has done so far, in one file that is there whole or not at all, so that it can go on after a kill.

The file is a checkpoint: the training in hand with everything it needs to go on bit for bit, and beside it what is
finished already.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from piwsl_lab.checkpoint import fingerprint, pack, resume
from piwsl_lab.checkpoint_file import CheckpointError, read_marks
from piwsl_lab.support.files import in_words, write_whole
from piwsl_lab.support.interrupts import held

if TYPE_CHECKING:
    from piwsl_lab.study import Task
    from piwsl_lab.training import Trainer

MARK = "piwsl_lab_run"
ARRAYS = "kept."
LARGEST = 1e6  # eV/Å: forces that a teacher has kept are far below
AT_LEAST_EVERY = 30.0  # s: what a kill can cost where validations are rare


class Progress:
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
        self._part, self._trainer = "", None
        self._kept_at = time.monotonic()
        self._begun = time.process_time()

    @property
    def keeps(self) -> bool:
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
        marks, tensors = read_marks(self.path)
        try:
            kept = json.loads(marks[MARK])
            self._values, self.steps = dict(kept["values"]), {part: int(n) for part, n in kept["steps"].items()}
            self._kept_part, self.earlier = str(kept["part"]), float(kept["core_seconds"])
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                f"{self.path}: is not what an interrupted run left ({type(error).__name__}: {error}); "
                "delete it and begin anew"
            ) from error
        self._arrays = {name.removeprefix(ARRAYS): v for name, v in tensors.items() if name.startswith(ARRAYS)}

    def value(self, name: str) -> Any:
        """What was noted under a name; None if nothing was."""
        return self._values.get(name)

    def note(self, name: str, value: Any) -> None:
        """Keep a finished piece: plain values, as JSON has them."""
        self._values[name] = value
        self._write()

    def arrays(self, name: str, lengths: Sequence[int]) -> list[np.ndarray]:
        """Arrays that were noted under a name, of these lengths.

        Raises
        ------
        CheckpointError
            There are none of these lengths, or they are no numbers that a run has kept.
        """
        found = self._arrays.get(name)
        if found is None or len(found) != sum(lengths) or not bool((found.abs() < LARGEST).all()):
            raise CheckpointError(f"{self.path}: does not hold the numbers of {name}; delete it and begin anew")
        return [part.numpy() for part in found.split(list(lengths))]

    def note_arrays(self, name: str, arrays: Sequence[np.ndarray], value: Any) -> None:
        """Keep arrays, [n, …] each, and with them a value under the same name."""
        self._arrays[name] = torch.from_numpy(np.concatenate(arrays))
        self.note(name, value)

    def same_data(self, name: str, task: Task) -> None:
        """Remember the frames of a task; refuse to go on with others.

        Raises
        ------
        CheckpointError
            Frames or labels have changed since the run began.
        """
        if not self.keeps:
            return
        marks = [fingerprint(data) for data in task]
        if self._values.setdefault(f"data {name}", marks) != marks:
            raise CheckpointError(
                f"{self.path}: the run began with other frames or labels, so it cannot go on; begin anew"
            )

    def trainer(self, part: str, task: Task, device: str) -> Trainer | None:
        """The training of a part as it was kept; None if there is none."""
        if part != self._kept_part or not self.is_kept:
            return None
        trainer = resume(self.path, task.train, task.validation, task.pool, device)
        self._part, self._trainer, self._kept_part = part, trainer, ""
        return trainer

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
            words = in_words(error, self.place)
            if not self.failure:
                warnings.warn(f"what this run has done cannot be kept: {words}", stacklevel=4)
            self.failure = words
        else:
            self.failure = ""

    def _place(self, content: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, content)
