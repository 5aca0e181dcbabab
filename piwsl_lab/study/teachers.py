"""Forces of an ensemble in place of the labels that are missing, learned from the labels alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from piwsl_lab.data import Dataset
from piwsl_lab.piwsl.objective import Objective, supervised
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import Task, build_trainer
from piwsl_lab.support.shapes import Number
from piwsl_lab.training.drive import train_to_end
from piwsl_lab.training.kept import Forces, Kept
from piwsl_lab.training.record import Record


def with_teachers(
    setup: Setup,
    task: Task,
    objective: Objective,
    on_step: Callable[[Record], None] | None,
    kept: Kept,
    part: str,
) -> tuple[Task, float]:
    """The task with the missing forces of its training frames filled in, and the seconds that took.

    `setup.teachers` conservative potentials learn from the labels alone, with other weights and
    batches each. The mean of their forces stands in for a label. The student never sees more
    quantum labels than its rivals. Without teachers the task is returned as it is.
    """
    if not setup.teachers:
        return task, 0.0
    forces, seconds = [], 0.0
    for k in range(setup.teachers):
        answer, spent = _teacher(k, setup, task, objective, on_step, kept, f"{part} teacher {k}")
        forces.append(answer)
        seconds += spent
    frames = [
        frame if frame.forces is not None else replace(frame, forces=np.mean(answers, axis=0))
        for frame, *answers in zip(task.train, *forces, strict=True)
    ]
    return task._replace(train=Dataset(frames, task.train.metadata, task.train.isolated_energies)), seconds


def _teacher(
    number: int,
    setup: Setup,
    task: Task,
    objective: Objective,
    on_step: Callable[[Record], None] | None,
    kept: Kept,
    part: str,
) -> tuple[list[Forces], float]:
    """Forces of one teacher on the training frames, eV/Å, [n, 3] each, and its seconds: kept ones or trained now."""
    spent = kept.value(part, Number(0))
    if spent is not None:
        return kept.arrays(part, [len(frame) for frame in task.train]), float(spent)
    # Far from the seeds of the students, so that no student is a copy of a teacher.
    own = replace(setup, head="conservative", teachers=0, seed=setup.seed + 1000 * (number + 1))
    trainer = train_to_end(build_trainer(own, task, supervised(objective)), kept, part, on_step)
    forces = trainer.potential.predict(task.train)[1]
    kept.note_arrays(part, forces, trainer.seconds)
    return forces, trainer.seconds
