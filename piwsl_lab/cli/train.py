"""``piwsl-lab train``: one potential from a few labels.

It keeps what it has done at every validation and when it is interrupted, and ``--resume`` goes on with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from piwsl_lab.cli.flags import add_training_flags, check_files, choices, config_of
from piwsl_lab.cli.hand_over import ROWS, StepBar, bar_of, hand_over, interrupted, kept_for, table_of
from piwsl_lab.support.files import write_json
from piwsl_lab.support.signals import BAD_INPUT
from piwsl_lab.support.streams import say

if TYPE_CHECKING:
    from piwsl_lab.piwsl.objective import Objective
    from piwsl_lab.study.setup import Setup
    from piwsl_lab.study.task import Task
    from piwsl_lab.training.kept_run import KeptRun
    from piwsl_lab.training.record import TrainingDiverged

TRAINING = "training"  # what is kept calls its only part so


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    add_training_flags(parser)
    parser.add_argument("--seed", type=int, default=0, help="of the split, the weights and the batches")
    parser.add_argument("--save", type=Path, metavar="FILE.safetensors", help="write the potential here")


def run(arguments: argparse.Namespace) -> int:
    """Train one potential, score it, write the files, print a table."""
    from piwsl_lab.study.task import prepare

    check_files(arguments)
    if arguments.save and arguments.save.suffix != ".safetensors":
        raise ValueError(f"--save {arguments.save}: the name has to end in .safetensors")
    setup, objective = choices(arguments, arguments.seed)
    task = prepare(setup)
    for remark in task.train.remarks:
        say(remark)
    with closing(kept_for("train", arguments, config_of(setup, objective))) as kept:
        return _train(arguments, setup, objective, task, kept)


def _train(arguments: argparse.Namespace, setup: Setup, objective: Objective, task: Task, kept: KeptRun) -> int:
    from piwsl_lab.study.cell import train
    from piwsl_lab.training.best_step import ending_in_words
    from piwsl_lab.training.checkpoint import save
    from piwsl_lab.training.errors import evaluate
    from piwsl_lab.training.record import TrainingDiverged

    kept.same_data("of the run", task)
    try:
        with bar_of(setup.steps * (1 + setup.teachers), kept) as bar:
            steps = StepBar(bar, setup.steps)
            trainer, seconds = train(setup, task, objective, lambda record: steps.step(record.step), kept, TRAINING)
            steps.end()
        scores = asdict(evaluate(trainer.potential, task.test)) | {"seconds": seconds}
    except KeyboardInterrupt:
        return interrupted(arguments, kept)
    except TrainingDiverged as error:
        return _diverged(arguments, kept, error)
    result = {key: [scores[key]] for _, key, _ in ROWS}
    writers: list[Callable[[], Path]] = []
    if arguments.save:
        writers.append(lambda: save(arguments.save, trainer.potential))
    if arguments.json:
        writers.append(lambda: write_json(arguments.json, {"config": config_of(setup, objective), **result}))
    head = f"{setup.data}: {setup.energies} energies, {setup.forces} forces; {len(task.test)} test frames"
    ending = trainer.ending
    if ending is not None and ending.in_vain:
        head += f"\nthe training {ending_in_words(ending)}"
    return hand_over(arguments, kept, writers, f"{head}\n{table_of({'result': result})}")


def _diverged(arguments: argparse.Namespace, kept: KeptRun, error: TrainingDiverged) -> int:
    """Save the best weights of a training that has diverged; training on would end at the same step."""
    from piwsl_lab.training.checkpoint import save

    best = ""
    if error.part == TRAINING and error.has_best:
        folder = kept.path.parent if kept.path else Path()
        try:
            target = save(arguments.save or folder / f"best-of-{kept.name}.safetensors", error.potential)
        except ValueError as unsaved:  # of a checkpoint, with its path; what is kept of the run stays
            best = f"the best weights so far are not saved: {unsaved}"
        else:
            of_step = f" of step {error.best_step}" if error.best_step else ""
            best = f"{target} holds the weights{of_step}, the best so far"
            kept.remove()
    say(error)
    if best:
        say(best)
    return BAD_INPUT
