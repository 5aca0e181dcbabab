"""A study of two methods, a rival and PIWSL, on the same frames: no grid, no folder of results, one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch

from piwsl_lab.names import SUITED
from piwsl_lab.piwsl.objective import Objective, fields_in_use, supervised
from piwsl_lab.study.cell import SCORES, train
from piwsl_lab.study.setup import MOST_SEEDS, Setup
from piwsl_lab.study.statistics import Row
from piwsl_lab.study.task import Task, build_trainer, prepare
from piwsl_lab.support.shapes import Number, Text
from piwsl_lab.training.errors import evaluate
from piwsl_lab.training.kept import Kept
from piwsl_lab.training.record import Record

# What each rival changes in the supervised twin. Displacements of the label-keeping rivals are their own: kept labels
# are wrong by the work of the forces, so they bear only a small ε.
CHANGES: dict[str, dict[str, Any]] = {
    "supervised": {},
    "conservative": {"head": "conservative"},
    "noisy": {"noisy": 1.0, "epsilon": 0.01},
    "denoise": {"denoise": 1.0, "epsilon": 0.05},
    "weak": {"weak": 100.0, "epsilon": 0.01},
    "curl": {"curl": 0.1, "epsilon": 0.05},
    "ensemble": {"teachers": 4},
}
PIWSL = "piwsl"
PILOT_STEPS = 50
STEPS = Number(1, 1e9, whole=True)
# What is kept of a twin that is finished.
TWIN = {**dict.fromkeys(SCORES, Number(0, nan=True)), "seconds": Number(0), "steps": STEPS, "device": Text()}


def rival(name: str, setup: Setup, objective: Objective) -> tuple[Setup, Objective]:
    """The run that a PIWSL run is held against: same frames, same labels, same training code.

    Against a dual potential stands a conservative one, since that is what its answer is. What a rival needs to be
    itself (`CHANGES`: its weight, its ε) is its own; the rest is the objective's. A rival with another head gets the
    weight of the energies that suits it, unless that was chosen by hand.

    Raises
    ------
    ValueError
        There is no rival of that name, or it makes no sense beside this head.
    """
    if name not in CHANGES:
        raise ValueError(f"no rival is called {name!r}; choose one of {', '.join(CHANGES)}")
    changes = dict(CHANGES[name])
    if name == "conservative" and setup.head != "direct":
        raise ValueError(f"beside --head {setup.head} the rival conservative is the rival supervised: ask for that one")
    head = changes.pop("head", "conservative" if setup.head == "dual" else setup.head)
    if objective.energy == SUITED[setup.head]["energy"]:
        objective = replace(objective, energy=SUITED[head]["energy"])
    if name == "curl" and head == "conservative":
        raise ValueError("the rival curl needs --head direct: conservative forces have no curl to punish")
    setup = replace(setup, head=head, teachers=changes.pop("teachers", 0))
    own: dict[str, Any] = {"direction": "uniform", "relative": False, "remove_drift": False}
    return setup, replace(supervised(objective), **own | changes) if changes else supervised(objective)


def compare_methods(
    setup: Setup,
    objective: Objective,
    seeds: int = 3,
    on_step: Callable[[str, int, Record], None] | None = None,
    against: str = "supervised",
    equal_time: bool = False,
    kept: Kept | None = None,
) -> dict[str, Any]:
    """Train a rival and the PIWSL twin for every seed on the same frames, and score both.

    Parameters
    ----------
    setup, objective
        Of the PIWSL twin; `setup.seed` is the first seed. The rival has no consistency terms.
    seeds : int
    on_step : callable, optional
        Called as on_step(twin, seed, record) after every step.
    against : str
        A name of `CHANGES`.
    equal_time : bool
        Train the rival for as long as the PIWSL twin took, by the clock, instead of for as many steps.
    kept : Kept, optional
        Where the comparison keeps what it has done; it goes on with what is there.

    Returns
    -------
    dict
        {"config": …, "supervised" (or the rival): {"energy_mae": [one a seed], …, "seconds": […], "steps": […]},
        "piwsl": {…}}, in eV and eV/Å.
    """
    _check(seeds, against, equal_time)
    kept = kept or Kept()
    methods = {against: rival(against, setup, objective), PIWSL: (setup, objective)}
    for one, _ in methods.values():
        one.check()
    rows: list[Row] = []
    for seed in range(setup.seed, setup.seed + seeds):
        task = prepare(replace(setup, seed=seed))
        kept.same_data(f"of seed {seed}", task)
        budget: float | None = None
        # The rival's time is known when the other has been trained.
        for name in reversed(methods) if equal_time else methods:
            own, goal = methods[name]
            report = None if on_step is None else partial(on_step, name, seed)
            rows.append(_row(name, replace(own, seed=seed), goal, task, report, kept, budget))
            budget = rows[-1]["seconds"] if equal_time else None
    asked = {"device": rows[-1]["device"], "rival": against, "equal_time": equal_time}
    config = _config(setup, objective, seeds=seeds, **task.counts(), torch=torch.__version__, **asked)
    return {"config": config} | {name: _columns(rows, name) for name in methods}


def _config(setup: Setup, objective: Objective, **others: Any) -> dict[str, Any]:
    """All that decided a comparison; `energy` and `force` of the objective are called weights in it."""
    config = {**asdict(setup.filled()), **fields_in_use(objective), **others}
    config["energy_weight"], config["force_weight"] = config.pop("energy"), config.pop("force")
    return config


def _columns(rows: Sequence[Row], method: str) -> dict[str, list[Any]]:
    """Scores and costs of a method, a list each with one value per seed."""
    return {key: [row[key] for row in rows if row["method"] == method] for key in (*SCORES, "seconds", "steps")}


def twin_part(name: str, seed: int) -> str:
    """What the training of a twin is called in what is kept of a comparison."""
    return f"{name}, seed {seed}"


def _check(seeds: int, against: str, equal_time: bool) -> None:
    """Raise a ValueError for a comparison that makes no sense."""
    if not 1 <= seeds <= MOST_SEEDS:
        raise ValueError(
            f"seeds={seeds} must be at least 1 and at most {MOST_SEEDS}; use 3 or more before you claim anything"
        )
    if equal_time and "teachers" in CHANGES.get(against, {}):
        raise ValueError(
            f"equal time does not apply to the rival {against}: its teachers take time of their own, which counts "
            "in its seconds; compare for equal steps and read the seconds"
        )


def _row(
    method: str,
    setup: Setup,
    objective: Objective,
    task: Task,
    report: Callable[[Record], None] | None,
    kept: Kept,
    at_least: float | None,
) -> Row:
    """Scores, seconds, steps and device of one run, kept or trained now; for so many seconds if they are given."""
    part = twin_part(method, setup.seed)
    found: Row | None = kept.value(part, TWIN)
    if found is None:
        if at_least is not None:
            steps = kept.value(f"steps of {part}", STEPS) or steps_in(at_least, setup, task, objective)
            kept.note(f"steps of {part}", steps)
            setup = replace(setup, steps=steps)
        trainer, seconds = train(setup, task, objective, report, kept, part)
        # Its answer alone: the other head of a dual potential is in no column.
        answer = evaluate(trainer.potential, task.test)
        found = {key: getattr(answer, key) for key in SCORES}
        found |= {"seconds": seconds, "steps": trainer.done, "device": str(trainer.device)}
        kept.note(part, found)
    return {"method": method, "seed": setup.seed, **found}


def steps_in(seconds: float, setup: Setup, task: Task, objective: Objective) -> int:
    """How many steps of a run fit in a time: a short pilot says what one costs. Never fewer than the run has."""
    pilot = build_trainer(setup, task, objective)
    for _ in range(PILOT_STEPS):
        pilot.step()
    begun = pilot.seconds
    for _ in range(PILOT_STEPS):
        pilot.step()
    return max(setup.steps, round(seconds * PILOT_STEPS / (pilot.seconds - begun)))
