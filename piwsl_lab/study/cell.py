"""Experiments: what one run is made of (`Setup`), its data (`prepare`), its training and its scores (`run`).

The front room and the command line both build their runs here, so that a figure seen in one can be had from the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from ase.data import chemical_symbols

from piwsl_lab.analysis import conservation
from piwsl_lab.analysis.trial import Trial, try_out
from piwsl_lab.data import Dataset, datasets, load, other_parts, published_test, require_disjoint
from piwsl_lab.data.sets.draw import Labels, draw
from piwsl_lab.models import HEADS, MODELS, build
from piwsl_lab.piwsl.objective import Objective, supervised
from piwsl_lab.support.shapes import Number
from piwsl_lab.training.checkpoint_file import MOST_CHANNELS, MOST_LAYERS
from piwsl_lab.training.errors import evaluate
from piwsl_lab.training.kept import Kept
from piwsl_lab.training.trainer import Record, Trainer, TrainingDiverged

# Raise it when a change to training or scoring makes the same cell come out differently: results of another recipe
# are not mixed.
RECIPE = 3
FLIGHT_TEMPERATURES = (300.0, 500.0)  # K
FLIGHT_REPLICAS = 8
SCORES = ("energy_mae", "energy_rmse", "force_mae", "force_rmse")
# Smallest and largest value of a field: beyond, a machine runs out of memory, or nobody lives to see the end.
LIMITS: dict[str, tuple[float, float]] = {
    "seed": (0, 2**32 - 1),
    "channels": (1, MOST_CHANNELS),
    "layers": (1, MOST_LAYERS),
    "steps": (1, 10**9),
    "batch_size": (1, 10**6),
    "learning_rate": (1e-12, 10**6),
    "validation": (0, 10**9),
    "teachers": (0, 1000),
    "conservation": (0, 10**9),
    "flight_ps": (0, 10**6),
}


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
    teachers : int
        Potentials trained on the labels alone whose mean forces stand in for the force labels that are missing.
    elsewhere : bool
        Whether `run` also scores on the other parts of the data set: other temperatures, paths, scans.
    conservation : int
        Test frames on which `run` also measures loop work, Jacobian antisymmetry and energy drift.
    flight_ps : float, ps
        Length of molecular dynamics at 300 K and 500 K in a heat bath from eight test frames that `run` also tries; 0
        for none.
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
    teachers: int = 0
    elsewhere: bool = False
    conservation: int = 0
    flight_ps: float = 0.0

    def check(self) -> None:
        """Raise a ValueError that names the field that makes no sense."""
        if self.model not in MODELS:
            raise ValueError(f"no model is called {self.model!r}; choose one of {', '.join(MODELS)}")
        if self.head not in HEADS:
            raise ValueError(f"head {self.head!r} does not exist; choose one of {', '.join(HEADS)}")
        for name, (low, high) in LIMITS.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}={value} must be from {low:g} to {high}")
        for name in ("energies", "forces"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} is below 0: ask for 0 or more {name}")
        if self.energies + self.forces == 0:
            raise ValueError(
                f"energies={self.energies} and forces={self.forces} leave nothing to learn; ask for at least one label"
            )
        if self.teachers and self.forces >= self.energies:
            raise ValueError(
                f"teachers={self.teachers} have nothing to teach: every frame with an energy has its forces; ask for "
                f"fewer forces than energies={self.energies}, or no teachers"
            )
        if self.test < 1:
            raise ValueError(f"test={self.test} must be at least 1 frame; 500 give an error you can trust")


class Task(NamedTuple):
    """The frames of one run: labels beyond the budget are gone from `train` and `validation`, all from `pool`.

    The pool is what the budget leaves: geometries of the training part that nobody paid a label for.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    pool: Dataset


def prepare(setup: Setup) -> Task:
    """Load, split and budget the data of a run; `piwsl_lab.data.sets.draw` says how frames are drawn.

    The test frames do not depend on the seed of the run, nor on the budget while the set is large enough for both, so
    that runs are compared on the same ones; `setup.seed` picks which frames are labelled. Labels are drawn where they
    exist: 200 energies of which 40 frames have forces give 50 energies and 20 forces.

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
    test = _at_most(load(published), setup.test) if published else None
    parts = draw(load(setup.data), budget, validated, setup.test, test, setup.seed)
    test = _at_most(load(setup.test_part), setup.test) if setup.test_part else parts.test
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


def _at_most(dataset: Dataset, frames: int) -> Dataset:
    """Frames to test on: random ones that have labels."""
    labelled = dataset.labelled()
    return labelled.split(0, 0, min(frames, len(labelled)), seed=0).test


def build_trainer(setup: Setup, task: Task, objective: Objective) -> Trainer:
    """A fresh potential and its trainer; twins of one seed start from the same weights and see the same batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setup.seed)
        extra = {"denoise": True} if objective.denoise > 0 else {}
        if extra and setup.model != "painn":
            raise ValueError(f"denoise={objective.denoise} needs the model painn: {setup.model} has no denoising head")
        potential = build(
            setup.model,
            elements=task.train.elements,
            channels=setup.channels,
            layers=setup.layers,
            head=setup.head,
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
        seed=setup.seed,
        device=setup.device,
    )


def train(
    setup: Setup,
    task: Task,
    objective: Objective,
    on_step: Callable[[Record], None] | None = None,
    kept: Kept | None = None,
    part: str = "",
) -> tuple[Trainer, float]:
    """One finished training with its best weights, and the seconds it took, those of its teachers included.

    Parameters
    ----------
    setup, task, objective
        Of the run; the task is that of `prepare`.
    on_step : callable, optional
        Called with the record of every step.
    kept : Kept, optional
        Where the run keeps what it has done; it goes on with what is there.
    part : str
        What `kept` calls this training.

    Raises
    ------
    TrainingDiverged
        The potential of its `trainer` has the weights of the best validation.
    KeyboardInterrupt
        The training is kept as it was.
    """
    kept, seconds = kept or Kept(), 0.0
    if setup.teachers:
        labelled, seconds = taught(setup, task, objective, on_step, kept, part)
        task = task._replace(train=labelled)
    if setup.head == "dual" and objective.gradient > 0 and not task.train.n_forces:
        warnings.warn(
            "no frame has a force label, and two heads that have only each other to agree with learn poor forces: "
            "use teachers=4 (--teachers 4) or the head conservative",
            stacklevel=2,
        )
    trainer = build_trainer(setup, task, objective)
    kept.go_on(part, trainer)
    try:
        while not trainer.finished:
            record = trainer.step()
            kept.step(part, trainer)
            if on_step is not None:
                on_step(record)
    except TrainingDiverged as error:
        kept.keep(part, trainer)
        trainer.restore_best()
        error.trainer, error.part = trainer, part
        raise
    except KeyboardInterrupt:
        kept.keep(part, trainer)
        raise
    trainer.restore_best()
    return trainer, seconds + trainer.seconds


def taught(
    setup: Setup,
    task: Task,
    objective: Objective,
    on_step: Callable[[Record], None] | None,
    kept: Kept,
    part: str,
) -> tuple[Dataset, float]:
    """The training frames with the forces that are missing taken from an ensemble, and the seconds that took.

    `setup.teachers` conservative potentials learn from the labels alone, with other weights and batches each; the mean
    of their forces stands in for a label. The student never sees more quantum labels than its rivals.
    """
    teachers, seconds = [], 0.0
    for k in range(setup.teachers):
        name = f"{part} teacher {k}"
        spent = kept.value(name, Number(0))
        if spent is not None:
            forces = kept.arrays(name, [len(frame) for frame in task.train])
        else:
            # Far from the seeds of the students, so that no student is a copy of a teacher.
            one = replace(setup, head="conservative", teachers=0, seed=setup.seed + 1000 * (k + 1))
            trainer, spent = train(one, task, supervised(objective), on_step, kept, name)
            forces = trainer.potential.predict(task.train)[1]
            kept.note_arrays(name, forces, spent)
        teachers.append(forces)
        seconds += spent
    frames = [
        frame if frame.forces is not None else replace(frame, forces=np.mean(answers, axis=0))
        for frame, *answers in zip(task.train, *teachers, strict=True)
    ]
    return Dataset(frames, task.train.metadata, task.train.isolated_energies), seconds


def run(
    setup: Setup,
    objective: Objective,
    on_step: Callable[[Record], None] | None = None,
    kept: Kept | None = None,
) -> dict[str, Any]:
    """Train one potential and score it: one cell of a study.

    Returns
    -------
    dict
        "rows": one dict for every part it was scored on and every head that answered, with "part", "output" and the
        errors in eV and eV/Å (nan without a label); "seconds" of training by the clock, "core_seconds" of the
        cores while it trained, in processes that were broken off too but without the loading of data (what a machine
        that is shared with others does not change), "steps", and "counts" of the frames; "flights", how long every
        replica was alive and why no longer, where `flight_ps` asks.
    """
    task, kept = prepare(setup), kept or Kept()
    kept.start_clock()
    trainer, seconds = train(setup, task, objective, on_step, kept)
    core_seconds = kept.core_seconds()
    potential = trainer.potential
    parts = {setup.test_part or published_test(setup.data) or setup.data: task.test}
    if setup.elsewhere:
        for name in other_parts(setup.data):
            if name not in parts:
                parts[name] = _at_most(load(name), setup.test)
                require_disjoint(train=task.train, validation=task.validation, pool=task.pool, **{"other": parts[name]})
    rows = []
    for part, frames in parts.items():
        graphs = potential.graphs(frames, skin=0.0)
        outputs = {"direct": True} if potential.head == "direct" else {"conservative": True}
        if potential.head == "dual":
            outputs["direct"] = "direct"
        for output, head in outputs.items():
            scores = evaluate(potential, graphs, head=None if head is True else head)
            rows.append({"part": part, "output": output} | {key: getattr(scores, key) for key in SCORES})
    if setup.conservation:
        rows[0] |= conservation(potential, task.test[: setup.conservation])
    flights = _flights(setup, task, potential) if setup.flight_ps else []
    rows += [_flight_row(trial, rows[0]["output"]) for trial in flights]
    counts = {f"{name}_frames": len(getattr(task, name)) for name in Task._fields}
    cost = {"seconds": seconds, "core_seconds": core_seconds, "steps": setup.steps}
    found = {"rows": rows, **cost, "counts": counts}
    if flights:
        found["flights"] = {f"{trial.temperature:g}": [asdict(s) for s in trial.survivals] for trial in flights}
    return found


def _flights(setup: Setup, task: Task, potential: Any) -> list[Trial]:
    """Molecular dynamics from test frames, held against the parts of the data set of the same temperature."""
    name = setup.data.partition(":")[0]
    parts = next((entry.parts for entry in datasets() if entry.name == name), ())
    references = {t: load(f"{name}:{t:g}K") for t in FLIGHT_TEMPERATURES if f"{t:g}K" in parts}
    potential.requires_grad_(False)  # nobody trains it any more, and it keeps less
    starts = task.test[: min(FLIGHT_REPLICAS, len(task.test))]
    return try_out(potential, starts, FLIGHT_TEMPERATURES, setup.flight_ps, references, seed=setup.seed)


def _flight_row(trial: Trial, output: str) -> dict[str, Any]:
    return {
        "part": f"flight at {trial.temperature:g} K",
        "output": output,
        "alive_ps": trial.mean_ps,
        "alive_share": trial.share,
        "flight_drift": trial.drift,
        "distance_error": trial.distance_error,
    }
