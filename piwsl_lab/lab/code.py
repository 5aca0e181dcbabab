"""*Copy as code*: the Python that repeats a run of a session without a widget, bit for bit."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

from piwsl_lab.lab.session import Session

TEMPLATE = """\
from piwsl_lab.losses import Objective
from piwsl_lab.metrics import evaluate
from piwsl_lab.study import Setup, build_trainer, prepare

setup = {setup}
task = prepare(setup)

# What each twin is trained for: the first entry from the start, a later one from the step where a knob was moved.
objectives = {{
{objectives}
}}

results = {{}}
for name, schedule in objectives.items():
    trainer = build_trainer(setup, task, Objective())
    for step in range({steps}):
        trainer.objective = schedule.get(step, trainer.objective)
        trainer.step()
{restore}    results[name] = evaluate(trainer.potential, task.test)
    print(f"{{name}}: energy MAE {{1000 * results[name].energy_mae:.1f}} meV, "
          f"force RMSE {{1000 * results[name].force_rmse:.1f}} meV/Å")
"""


def script(session: Session) -> str:
    """Python that takes the same steps with the same knobs, moved at the same steps, and prints the test errors."""
    with session.lock:
        objectives = "\n".join(
            f"    {twin.name!r}: {{\n"
            + "".join(f"        {step}: {_call(objective)},\n" for step, objective in sorted(twin.changes.items()))
            + "    },"
            for twin in session.twins
        )
        restore = "    trainer.restore_best()\n" if session.finished else ""
        return TEMPLATE.format(setup=_call(session.setup), objectives=objectives, steps=session.step, restore=restore)


def _call(value: Any) -> str:
    """The constructor call of a flat dataclass, without the fields that have their default."""
    given = [(f.name, getattr(value, f.name)) for f in fields(value) if getattr(value, f.name) != _default(f)]
    return f"{type(value).__name__}({', '.join(f'{name}={v!r}' for name, v in given)})"


def _default(field: Any) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()
