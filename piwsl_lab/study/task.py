"""The frames of one run, drawn as its setup asks, and the trainer that begins on them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from ase.data import chemical_symbols

from piwsl_lab.data import Dataset, load, published_test, require_disjoint
from piwsl_lab.data.sets.draw import draw
from piwsl_lab.data.sets.fewer import Labels
from piwsl_lab.models import MODELS, build
from piwsl_lab.models.vector_heads import Denoising
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.training.trainer import Trainer


class Task(NamedTuple):
    """The frames of one run: labels beyond the budget are gone from `train` and `validation`, all from `pool`.

    The pool is what the budget leaves: geometries of the training part that nobody paid a label for.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    pool: Dataset

    def counts(self) -> dict[str, int]:
        """How many frames each has: {"train_frames": 50, …}."""
        return {f"{name}_frames": len(data) for name, data in self._asdict().items()}


def prepare(setup: Setup) -> Task:
    """Load, split and budget the data of a run; `piwsl_lab.data.sets.draw` says how frames are drawn.

    The test frames do not depend on the seed of the run, nor on the budget while the set is large
    enough for both. So runs are compared on the same ones. `setup.seed` picks which frames are
    labelled. Labels are drawn where they exist: 200 energies of which 40 frames have forces give 50
    energies and 20 forces.

    Raises
    ------
    ValueError
        More labels or frames are asked for than there are; the message says how many there are.
    """
    setup.check()
    budget = Labels(setup.energies, setup.forces)

    def validated(train: Labels) -> Labels:
        share = (max(4, max(train) // 5) if setup.validation is None else setup.validation) / max(train)
        return Labels(round(share * train.energies), round(share * train.forces))

    published = published_test(setup.data)
    test = labelled_at_most(load(published), setup.test) if published else None
    parts = draw(load(setup.data), budget, validated, setup.test, test, setup.seed)
    test = labelled_at_most(load(setup.test_part), setup.test) if setup.test_part else parts.test
    _check_parts(parts.train, parts.validation, test, parts.rest)
    return Task(parts.train, parts.validation, test, parts.rest.unlabelled())


def _check_parts(train: Dataset, validation: Dataset, test: Dataset, pool: Dataset) -> None:
    """Before any training: no frame in two parts, and no element that training never sees."""
    require_disjoint(train=train, validation=validation, test=test, pool=pool)
    unseen = sorted({*validation.elements, *test.elements} - set(train.elements))
    if unseen:
        names = ", ".join(chemical_symbols[z] for z in unseen)
        raise ValueError(
            f"the test or validation frames hold {names}, which none of the {len(train)} training frames does: "
            f"train on a set with frames that hold {names}, or leave such frames out of {test.metadata.name}"
        )


def labelled_at_most(dataset: Dataset, frames: int) -> Dataset:
    """At most so many frames that have labels, drawn at random, to test on."""
    labelled = dataset.labelled()
    return labelled.split(0, 0, min(frames, len(labelled)), seed=0).test


def can_denoise(model: str) -> bool:
    """Whether a model of that name can be built with a head that denoises."""
    return issubclass(MODELS[model], Denoising)


def build_trainer(setup: Setup, task: Task, objective: Objective) -> Trainer:
    """A fresh potential and its trainer.

    Twins of one seed start from the same weights and see the same batches.

    Raises
    ------
    ValueError
        The model cannot denoise and the objective asks for it, or `Trainer` refuses a setting.
    """
    setup = setup.filled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setup.seed)
        extra = {"denoise": True} if objective.denoise > 0 else {}
        if extra and not can_denoise(setup.model):
            able = " or ".join(filter(can_denoise, MODELS))
            raise ValueError(f"denoise={objective.denoise} needs the model {able}: {setup.model} has no denoising head")
        potential = build(
            setup.model,
            elements=task.train.elements,
            head=setup.head,
            **setup.size(),
            **extra,
        )
    return Trainer(
        potential,
        task.train,
        objective,
        validation=task.validation,
        pool=task.pool,
        steps=setup.steps,
        batch_size=setup.batch_size,
        learning_rate=setup.learning_rate,
        schedule=setup.schedule,
        weight_decay=setup.weight_decay,
        average=setup.average,
        patience=setup.patience,
        seed=setup.seed,
        device=setup.device,
    )
