"""One cell of a study: its training, its scores, and how long its potential survives molecular dynamics.

The laboratory and the command line both build their runs here. A figure seen in one can be had from
the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from piwsl_lab.analysis import conservation
from piwsl_lab.analysis.trial import Trial, try_out
from piwsl_lab.data import Dataset, datasets, load, other_parts, published_test, require_disjoint
from piwsl_lab.models import Potential
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import Task, build_trainer, labelled_at_most, prepare
from piwsl_lab.study.teachers import with_teachers
from piwsl_lab.training.drive import train_to_end
from piwsl_lab.training.errors import evaluate
from piwsl_lab.training.kept import Kept
from piwsl_lab.training.record import Record
from piwsl_lab.training.trainer import Trainer

FLIGHT_TEMPERATURES = (300.0, 500.0)  # K
FLIGHT_REPLICAS = 8
TEST, FLIGHT = "test", "flight"  # kinds of a row: frames with labels, or molecular dynamics
SCORES = ("energy_mae", "energy_rmse", "force_mae", "force_rmse")
# What each head answers with, and the head that `evaluate` is asked for; None for the potential's own answer.
OUTPUTS: dict[str, dict[str, str | None]] = {
    "direct": {"direct": None},
    "conservative": {"conservative": None},
    "dual": {"conservative": None, "direct": "direct"},
}


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
        Its `potential` has the weights of the best validation.
    KeyboardInterrupt
        The training is kept as it was.
    """
    kept = kept or Kept()
    task, seconds = with_teachers(setup, task, objective, on_step, kept, part)
    if setup.head == "dual" and objective.gradient > 0 and not task.train.n_forces:
        warnings.warn(
            "no frame has a force label, and two heads that have only each other to agree with learn poor forces: "
            "use teachers=4 (--teachers 4) or the head conservative",
            stacklevel=2,
        )
    trainer = train_to_end(build_trainer(setup, task, objective), kept, part, on_step)
    return trainer, seconds + trainer.seconds


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
        "rows": one dict for every part it was scored on and every head that answered, with "kind" ("test" or "flight"),
        "part", "output" and the errors in eV and eV/Å (nan without a label). "seconds" of training by the clock.
        "core_seconds" of the cores while it trained, which other work on the machine does not change: those of
        processes that were broken off count, the loading of data does not. "steps" that it took, and "counts" of the
        frames.
        "flights", where `flight_ps` asks: how long every replica was alive and why no longer.
    """
    task, kept = prepare(setup), kept or Kept()
    kept.start_clock()
    trainer, seconds = train(setup, task, objective, on_step, kept)
    core_seconds = kept.core_seconds()
    potential = trainer.potential
    rows = [row for part, frames in _tests(setup, task).items() for row in scored(potential, part, frames)]
    if setup.conservation:
        rows[0] |= conservation(potential, task.test[: setup.conservation])
    flights = _flights(setup, task, potential) if setup.flight_ps else []
    rows += [_flight_row(trial, rows[0]["output"]) for trial in flights]
    cost = {"seconds": seconds, "core_seconds": core_seconds, "steps": trainer.done}
    found = {"rows": rows, **cost, "counts": task.counts()}
    if flights:
        found["flights"] = {f"{trial.temperature:g}": [asdict(s) for s in trial.survivals] for trial in flights}
    return found


def scored(potential: Potential, part: str, frames: Dataset) -> list[dict[str, Any]]:
    """Errors on a part of the data, one row for every output of the potential: eV and eV/Å, nan without a label."""
    graphs = potential.graphs(frames, skin=0.0)
    rows = []
    for output, head in OUTPUTS[potential.head].items():
        errors = evaluate(potential, graphs, head=head)
        rows.append({"kind": TEST, "part": part, "output": output} | {key: getattr(errors, key) for key in SCORES})
    return rows


def flight_part(temperature: float) -> str:
    """What a flight at a temperature (K) is called among the parts of the data."""
    return f"flight at {temperature:g} K"


def row_kind(part: str) -> str:
    """The kind of a row that was stored without it, from the name of its part."""
    return FLIGHT if part.startswith("flight at ") else TEST


def _tests(setup: Setup, task: Task) -> dict[str, Dataset]:
    """The frames to score on, by the name of their part; the task's own test part comes first."""
    parts = {setup.test_part or published_test(setup.data) or setup.data: task.test}
    for name in other_parts(setup.data) if setup.elsewhere else ():
        if name not in parts:
            parts[name] = labelled_at_most(load(name), setup.test)
            require_disjoint(train=task.train, validation=task.validation, pool=task.pool, other=parts[name])
    return parts


def _flights(setup: Setup, task: Task, potential: Potential) -> list[Trial]:
    """Molecular dynamics from test frames, held against the parts of the data set of the same temperature."""
    name = setup.data.partition(":")[0]
    parts = next((entry.parts for entry in datasets() if entry.name == name), ())
    references = {t: load(f"{name}:{t:g}K") for t in FLIGHT_TEMPERATURES if f"{t:g}K" in parts}
    potential.requires_grad_(False)  # nobody trains it any more, and it keeps less
    starts = task.test[: min(FLIGHT_REPLICAS, len(task.test))]
    return try_out(potential, starts, FLIGHT_TEMPERATURES, setup.flight_ps, references, seed=setup.seed)


def _flight_row(trial: Trial, output: str) -> dict[str, Any]:
    return {
        "kind": FLIGHT,
        "part": flight_part(trial.temperature),
        "output": output,
        "alive_ps": trial.mean_ps,
        "alive_share": trial.share,
        "flight_drift": trial.drift,
        "distance_error": trial.distance_error,
    }
