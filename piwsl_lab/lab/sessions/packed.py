"""A saved session as named arrays and plain tables, and back: records, scores, predictions, frames, settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, astuple, fields
from pathlib import Path
from typing import Any

import numpy as np

from piwsl_lab.data import Frame
from piwsl_lab.lab.sessions.preview import Preview
from piwsl_lab.lab.sessions.saved_folder import SavedError
from piwsl_lab.lab.sessions.twin import Predictions
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.schedules import Schedule
from piwsl_lab.study.setup import Setup, completed
from piwsl_lab.training.errors import Metrics
from piwsl_lab.training.record import Record

Arrays = dict[str, np.ndarray]
STATE = ("charge", "multiplicity")  # of `Frame.info`: what an oracle has to know
PLAIN: dict[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float), "bool": bool}


# -- arrays ----------------------------------------------------------------------------------------------------------


def under(arrays: Mapping[str, np.ndarray], prefix: str) -> Arrays:
    """The arrays whose name begins with a prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def pack_metrics(metrics: Sequence[Metrics]) -> np.ndarray:
    """Scores as rows, float64 [M, fields of `Metrics`]."""
    return np.array([astuple(one) for one in metrics], dtype=np.float64).reshape(-1, len(fields(Metrics)))


def unpack_metrics(table: np.ndarray) -> list[Metrics]:
    return [Metrics(*map(float, row)) for row in table]


def pack_records(records: Sequence[Record]) -> Arrays:
    """Records [n] as arrays; a term has a second array that says in which records it is."""
    arrays = {
        "step": np.array([record.step for record in records], dtype=np.int64),
        "loss": np.array([record.loss for record in records], dtype=np.float64),
        "seconds": np.array([record.seconds for record in records], dtype=np.float64),
    }
    for name in dict.fromkeys(name for record in records for name in record.terms):
        arrays[f"term.{name}"] = np.array([record.terms.get(name, 0.0) for record in records], dtype=np.float64)
        arrays[f"has.{name}"] = np.array([name in record.terms for record in records], dtype=np.uint8)
    scored = {k: record.metrics for k, record in enumerate(records) if record.metrics is not None}
    arrays["scored"] = np.array(list(scored), dtype=np.int64)
    arrays["metrics"] = pack_metrics(list(scored.values()))
    return arrays


def unpack_records(arrays: Arrays) -> list[Record]:
    metrics = dict(zip(arrays["scored"].tolist(), unpack_metrics(arrays["metrics"]), strict=True))
    terms = {name: values.tolist() for name, values in under(arrays, "term.").items()}
    has = {name: arrays[f"has.{name}"].tolist() for name in terms}
    columns = (arrays[name].tolist() for name in ("step", "loss", "seconds"))
    return [
        Record(step, loss, {name: terms[name][k] for name in terms if has[name][k]}, seconds, metrics.get(k))
        for k, (step, loss, seconds) in enumerate(zip(*columns, strict=True))
    ]


def pack_history(history: Sequence[Predictions], snapshot: Predictions) -> Arrays:
    """Snapshots [T] of M frames with N atoms in all, and the present one; the labels are the same in all of them."""
    return {
        "step": np.array([shot.step for shot in history], dtype=np.int64),
        "energy": np.stack([shot.energy for shot in history]),
        "forces": np.stack([np.concatenate(shot.forces) for shot in history]).astype(np.float32),
        "reference_energy": snapshot.reference_energy,
        "reference_forces": np.concatenate(snapshot.reference_forces),
        "now.step": np.array([snapshot.step], dtype=np.int64),
        "now.energy": snapshot.energy,
        "now.forces": np.concatenate(snapshot.forces),
    }


def unpack_history(arrays: Arrays, sizes: Sequence[int]) -> tuple[list[Predictions], Predictions]:
    """The history and the present snapshot; `sizes` are the numbers of atoms of the M frames."""
    ends = np.cumsum(sizes)[:-1]
    labels = arrays["reference_energy"], np.split(arrays["reference_forces"], ends)

    def shot(step: int, energy: np.ndarray, forces: np.ndarray) -> Predictions:
        if energy.shape != (len(sizes),) or forces.shape != (sum(sizes), 3):
            raise ValueError(f"predictions of shape {energy.shape} and {forces.shape} for {len(sizes)} frames")
        return Predictions(int(step), energy, labels[0], np.split(forces, ends), labels[1])

    steps, energies, forces = arrays["step"], arrays["energy"], arrays["forces"]
    history = [shot(*parts) for parts in zip(steps, energies, forces, strict=True)]
    return history, shot(arrays["now.step"][0], arrays["now.energy"], arrays["now.forces"])


def pack_frames(frames: Sequence[Frame]) -> Arrays:
    """Frames of any size; what a frame does not have is nan: a label, a mass, a charge, a multiplicity."""
    bare = [np.full_like(frame.positions, np.nan) for frame in frames]
    forces = [none if frame.forces is None else frame.forces for frame, none in zip(frames, bare, strict=True)]
    masses = [none[:, 0] if frame.masses is None else frame.masses for frame, none in zip(frames, bare, strict=True)]
    fixed = [np.zeros((len(f), 3), bool) if f.fixed is None else f.fixed for f in frames]
    return {
        "size": np.array([len(frame) for frame in frames], dtype=np.int64),
        "numbers": np.concatenate([frame.numbers for frame in frames]),
        "positions": np.concatenate([frame.positions for frame in frames]),
        "cell": np.stack([frame.cell for frame in frames]),
        "pbc": np.stack([frame.pbc for frame in frames]).astype(np.uint8),
        "energy": np.array([np.nan if frame.energy is None else frame.energy for frame in frames]),
        "forces": np.concatenate(forces),
        "masses": np.concatenate(masses),
        "fixed": np.concatenate(fixed).astype(np.uint8),
        **{name: np.array([float(f.info.get(name, np.nan)) for f in frames]) for name in STATE},
    }


def unpack_frames(arrays: Arrays) -> list[Frame]:
    ends = np.cumsum(arrays["size"])[:-1]
    ragged = [np.split(arrays[name], ends) for name in ("numbers", "positions", "forces")]
    whole = [arrays[name] for name in ("cell", "pbc", "energy")]
    # Sessions of earlier versions have no masses, constraints and charges.
    atoms = [np.split(arrays[name], ends) if name in arrays else [None] * len(whole[0]) for name in ("masses", "fixed")]
    states = [{name: arrays[name][k] for name in STATE if name in arrays} for k in range(len(whole[0]))]
    return [
        Frame(
            numbers,
            positions,
            cell,
            pbc.astype(bool),
            energy=None if np.isnan(energy) else float(energy),
            forces=None if np.isnan(forces).any() else forces,
            info={name: float(value) for name, value in state.items() if np.isfinite(value)},
            masses=None if masses is None or np.isnan(masses).any() else masses,
            fixed=None if fixed is None or not fixed.any() else fixed.astype(bool),
        )
        for numbers, positions, forces, cell, pbc, energy, masses, fixed, state in zip(
            *ragged, *whole, *atoms, states, strict=True
        )
    ]


def pack_trajectory(trajectory: Preview | None) -> Arrays:
    if trajectory is None:
        return {}
    return {
        "positions": trajectory.positions,
        "femtoseconds": np.array([trajectory.femtoseconds]),
        "exploded": np.array([trajectory.exploded], dtype=np.uint8),
    }


def unpack_trajectory(arrays: Arrays) -> Preview | None:
    if not arrays:
        return None
    return Preview(arrays["positions"], float(arrays["femtoseconds"][0]), bool(arrays["exploded"][0]))


def as_prefixed(prefix: str, arrays: Arrays) -> dict[str, Any]:
    return {f"{prefix}{name}": np.ascontiguousarray(array) for name, array in arrays.items()}


# -- tables ----------------------------------------------------------------------------------------------------------


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
    types = {field.name: str(field.type) for field in fields(Setup)}
    setup = Setup(**{name: of_type(name, value, types[name]) for name, value in completed(table).items()})
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
