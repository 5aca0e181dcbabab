"""Experiments: what one run is made of (`Setup`), and the comparison of a supervised twin with a PIWSL twin.

The front room and the command line both build their runs here, so that a figure seen in one can be had from the other.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch

from piwsl_lab.data import Dataset, load, require_disjoint, test_part
from piwsl_lab.losses import Objective
from piwsl_lab.metrics import evaluate
from piwsl_lab.models import HEADS, MODELS, build
from piwsl_lab.training import Record, Trainer

SCORES = ("energy_mae", "energy_rmse", "force_mae", "force_rmse")


@dataclass
class Setup:
    """Everything a run depends on but its objective.

    Attributes
    ----------
    data : str
        A name of `piwsl_lab.data.datasets()` (with ":part" if wanted) or a file.
    energies, forces : int
        How many energy and force labels the training may see.
    test : int
        Frames the result is scored on.
    test_part : str, optional
        Another set or part to score on, for instance "ethanol:800K"; by default the set's own test part, or frames of
        the same part that training never sees.
    validation : int, optional
        Labelled frames that pick the best step, on top of the budget: a fifth of it by default (at least 4). Force
        labels come in the same proportion as in training.
    model, head, channels, layers : the potential
    steps, batch_size, learning_rate, seed, device : the training
    """

    data: str = "ethanol"
    energies: int = 50
    forces: int = 50
    test: int = 500
    test_part: str | None = None
    validation: int | None = None
    model: str = "painn"
    head: str = "direct"
    channels: int = 64
    layers: int = 3
    steps: int = 3000
    batch_size: int = 8
    learning_rate: float = 1e-3
    seed: int = 0
    device: str = "auto"

    def check(self) -> None:
        """Raise a ValueError that names the field that makes no sense."""
        if self.model not in MODELS:
            raise ValueError(f"no model is called {self.model!r}; choose one of {', '.join(MODELS)}")
        if self.head not in HEADS:
            raise ValueError(f"head {self.head!r} does not exist; choose one of {', '.join(HEADS)}")
        if self.seed < 0:
            raise ValueError(f"seed={self.seed} must be 0 or larger")
        if self.energies < 0 or self.forces < 0 or self.energies + self.forces == 0:
            raise ValueError(
                f"energies={self.energies} and forces={self.forces} leave nothing to learn; ask for at least one label"
            )
        if self.test < 1:
            raise ValueError(f"test={self.test} must be at least 1 frame; 500 give an error you can trust")


class Task(NamedTuple):
    """The frames of one run: labels beyond the budget are gone from `train` and `validation`."""

    train: Dataset
    validation: Dataset
    test: Dataset


def prepare(setup: Setup) -> Task:
    """Load, split and budget the data of a run.

    The test frames do not depend on the seed of the run, nor on the budget while the set is large enough for both, so
    that runs are compared on the same ones; `setup.seed` picks which frames are labelled. With one seed, a larger
    training set contains the smaller.

    Raises
    ------
    ValueError
        More labels or frames are asked for than there are; the message says how many there are.
    """
    setup.check()
    labels = max(setup.energies, setup.forces)
    n_validation = max(4, labels // 5) if setup.validation is None else setup.validation
    pool = _with_labels(load(setup.data), setup, labels + n_validation + 1)
    published = test_part(setup.data)
    if published:
        rest, test = pool, _at_most(load(published), setup.test)
    else:
        n_test = min(setup.test, len(pool) - labels - n_validation)
        if n_test < 1:
            raise ValueError(
                f"{setup.data} has {len(pool)} frames: {labels} to train on and {n_validation} to validate leave none "
                "to test on; ask for fewer labels"
            )
        # `split` fills validation first and gives what is left to its last part.
        _, test, rest = pool.split(0, n_test, None, seed=0)
    if setup.test_part:
        test = _at_most(load(setup.test_part), setup.test)
    # The part that `split` fills first is nested: a larger training set then contains the smaller one.
    validation, _, train = rest.split(n_validation, 0, labels, seed=setup.seed)
    train = train.budget(setup.energies, setup.forces, seed=setup.seed)
    if n_validation:
        share = n_validation / labels
        validation = validation.budget(
            round(share * setup.energies), round(share * setup.forces), seed=setup.seed
        ).labelled()
    _check_parts(train, validation, test)
    return Task(train, validation, test)


def _with_labels(pool: Dataset, setup: Setup, enough: int) -> Dataset:
    """Only the frames that have every kind of label asked for, where there are enough of them."""
    complete = [
        i
        for i, frame in enumerate(pool)
        if (frame.energy is not None or not setup.energies) and (frame.forces is not None or not setup.forces)
    ]
    return pool[complete] if enough <= len(complete) < len(pool) else pool


def _check_parts(train: Dataset, validation: Dataset, test: Dataset) -> None:
    """Before any training: no frame in two parts, and no element that training never sees."""
    require_disjoint(train=train, validation=validation, test=test)
    unseen = sorted({*validation.elements, *test.elements} - set(train.elements))
    if unseen:
        raise ValueError(
            f"the test or validation frames hold the elements {unseen} (atomic numbers), the {len(train)} training "
            f"frames only {list(train.elements)}: ask for more labels or take another seed"
        )


def _at_most(dataset: Dataset, frames: int) -> Dataset:
    return dataset.split(0, 0, min(frames, len(dataset)), seed=0).test


def build_trainer(setup: Setup, task: Task, objective: Objective) -> Trainer:
    """A fresh potential and its trainer; twins of one seed start from the same weights and see the same batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setup.seed)
        potential = build(
            setup.model, elements=task.train.elements, channels=setup.channels, layers=setup.layers, head=setup.head
        )
    return Trainer(
        potential,
        task.train,
        objective,
        validation=task.validation,
        steps=setup.steps,
        batch_size=setup.batch_size,
        learning_rate=setup.learning_rate,
        seed=setup.seed,
        device=setup.device,
    )


def supervised(objective: Objective) -> Objective:
    """The same objective without its consistency terms."""
    return replace(objective, pitc=0.0, pisc=0.0)


def compare(
    setup: Setup,
    objective: Objective,
    seeds: int = 3,
    on_step: Callable[[str, int, Record], None] | None = None,
) -> dict[str, Any]:
    """Train the supervised twin and the PIWSL twin for every seed on the same frames, and score both.

    Parameters
    ----------
    setup : Setup
        `setup.seed` is the first seed.
    objective : Objective
        Of the PIWSL twin; the supervised twin has it without consistency terms.
    seeds : int
    on_step : callable, optional
        Called as on_step(twin, seed, record) after every step.

    Returns
    -------
    dict
        {"config": …, "supervised": {"energy_mae": [one a seed], …, "seconds": […]}, "piwsl": {…}}, in eV and eV/Å.
    """
    if seeds < 1:
        raise ValueError(f"seeds={seeds} must be at least 1; use 3 or more before you claim anything")
    twins = {"supervised": supervised(objective), "piwsl": objective}
    results: dict[str, Any] = {name: {key: [] for key in (*SCORES, "seconds")} for name in twins}
    counts: dict[str, int] = {}
    for seed in range(setup.seed, setup.seed + seeds):
        run = replace(setup, seed=seed)
        task = prepare(run)
        counts = {
            "train_frames": len(task.train),
            "validation_frames": len(task.validation),
            "test_frames": len(task.test),
        }
        for name, twin in twins.items():
            trainer = build_trainer(run, task, twin)
            while not trainer.finished:
                record = trainer.step()
                if on_step is not None:
                    on_step(name, seed, record)
            trainer.restore_best()
            metrics = evaluate(trainer.potential, task.test)
            for key in SCORES:
                results[name][key].append(getattr(metrics, key))
            results[name]["seconds"].append(trainer.seconds)
    config = {**asdict(setup), **asdict(objective), "seeds": seeds, **counts, "torch": torch.__version__}
    config["device"] = str(trainer.device)
    config["energy_weight"], config["force_weight"] = config.pop("energy"), config.pop("force")
    return {"config": config, **results}


def ratio(result: dict[str, Any], score: str) -> float:
    """How many times lower the PIWSL twin's mean error is than the supervised twin's."""
    return statistics.fmean(result["supervised"][score]) / statistics.fmean(result["piwsl"][score])
