"""*Copy as code*: the Python that repeats a run of a session without a widget, bit for bit."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl.schedules import Schedule

TEMPLATE = """\
{imports}
setup = {setup}
task = prepare(setup)

# What each twin is trained for: the first entry from the start, a later one from the step where a knob was moved.
objectives = {{
{objectives}
}}

{heads}results = {{}}
for name, changes in objectives.items():
    trainer = build_trainer({one}, task, changes[0])
    while trainer.done < {steps} and not trainer.finished:
        trainer.objective = changes.get(trainer.done, trainer.objective)
        trainer.step()
{restore}    results[name] = evaluate(trainer.potential, task.test)
    print(f"{{name}}: energy MAE {{1000 * results[name].energy_mae:.1f}} meV, "
          f"force RMSE {{1000 * results[name].force_rmse:.1f}} meV/Å")
"""


IMPORTS = """\
from piwsl_lab import Objective, evaluate
from piwsl_lab.study import Setup, build_trainer, prepare
"""
HEADS_BLOCK = """\
# Where the forces of each twin come from.
heads = {heads!r}

"""


def script(session: Session) -> str:
    """Python that takes the same steps with the same knobs, moved at the same steps, and prints the test errors.

    Raises
    ------
    ValueError
        A schedule is a function that cannot be written down.
    """
    with session.lock:
        history = {twin.name: dict(sorted(twin.changes.items())) or {0: twin.objective} for twin in session.twins}
        objectives = "\n".join(
            f"    {name!r}: {{\n"
            + "".join(f"        {step}: {_call(objective)},\n" for step, objective in changes.items())
            + "    },"
            for name, changes in history.items()
        )
        imports, scheduled = IMPORTS, [s for o in history.values() for c in o.values() for s in c.schedules.items()]
        for name, schedule in scheduled:
            if not isinstance(schedule, Schedule):
                raise ValueError(
                    f"the schedule of {name} is a function of your own, which cannot be written down: use ramp, cosine "
                    "or constant of piwsl_lab"
                )
        if scheduled:
            imports = imports.replace("Objective, evaluate", "Objective, Schedule, evaluate")
        heads = {twin.name: twin.setup.head for twin in session.twins}
        differ = set(heads.values()) != {session.setup.head}
        return TEMPLATE.format(
            imports="from dataclasses import replace\n\n" + imports if differ else imports,
            setup=_call(session.setup),
            objectives=objectives,
            heads=HEADS_BLOCK.format(heads=heads) if differ else "",
            one="replace(setup, head=heads[name])" if differ else "setup",
            steps=session.step,
            restore="    trainer.restore_best()\n" if session.finished else "",
        )


def _call(value: Any) -> str:
    """The constructor call of a flat dataclass, without the fields that have their default."""
    given = [(f.name, getattr(value, f.name)) for f in fields(value) if getattr(value, f.name) != _default(f)]
    return f"{type(value).__name__}({', '.join(f'{name}={v!r}' for name, v in given)})"


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
