"""Settings of a saved session as tables of plain values, and back; what makes no sense is named."""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from piwsl_lab.lab.sessions.saved_folder import SavedError
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.schedules import Schedule
from piwsl_lab.study.setup import Setup
from piwsl_lab.training.errors import Metrics

PLAIN = {"str": str, "int": int, "float": (int, float), "bool": bool}


def objective_table(name: str, objective: Objective) -> dict[str, Any]:
    by_hand = [field for field, given in objective.schedules.items() if not isinstance(given, Schedule)]
    if by_hand:
        raise SavedError(
            f"{name}: the schedule of {', '.join(by_hand)} is a function, which no file can hold: use constant, ramp "
            "or cosine of piwsl_lab.piwsl.schedules"
        )
    return asdict(objective)


def setup_table(setup: Setup) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(setup).items()}


def pin_table(row: dict[str, Any]) -> dict[str, Any]:
    twins = {
        name: [objective_table(name, objective), asdict(metrics) if metrics else None, changed]
        for name, (objective, metrics, changed) in row["twins"].items()
    }
    return {**row, "setup": setup_table(row["setup"]), "twins": twins}


def of_type(name: str, value: Any, wanted: str) -> Any:
    """A value, once it has one of the plain types that `wanted` names."""
    kinds = [kind.strip() for kind in wanted.split("|")]
    good = any(
        value is None
        if kind == "None"
        else isinstance(value, PLAIN[kind]) and isinstance(value, bool) <= (kind == "bool")
        for kind in kinds
    )
    if not good:
        raise ValueError(f"{name} = {value!r} is no {wanted}")
    return value


def setup_of(table: dict[str, Any]) -> Setup:
    types = {field.name: field.type for field in fields(Setup)}
    setup = Setup(**{name: of_type(name, value, types[name]) for name, value in table.items()})
    setup.check()
    return setup


def objective_of(table: dict[str, Any]) -> Objective:
    for field in fields(Objective):
        if field.name in table and field.default is not MISSING and isinstance(field.default, bool):
            of_type(field.name, table[field.name], "bool")
    return Objective(**table)


def metrics_of(table: dict[str, Any] | None) -> Metrics | None:
    if table is None:
        return None
    return Metrics(**{name: float("nan") if value is None else float(value) for name, value in table.items()})


def pin_of(row: dict[str, Any]) -> dict[str, Any]:
    twins = {
        name: (objective_of(objective), metrics_of(metrics), bool(changed))
        for name, (objective, metrics, changed) in row["twins"].items()
    }
    return {**row, "setup": setup_of(row["setup"]), "twins": twins}
