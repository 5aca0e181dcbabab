"""What a study's replicas did in flight: one row each, and a table of how many were alive and for how long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, median
from typing import Any

from scipy.stats import binomtest

from piwsl_lab.study.cell import FLIGHT, flight_part
from piwsl_lab.study.grid import Study, text
from piwsl_lab.study.statistics import LEVEL, MILLI, Row, place_columns
from piwsl_lab.study.store import Store

COLUMNS = ("title", "output", "seed", "temperature", "replica", "length_ps", "alive_ps", "reason")


def flight_rows(study: Study, store: Store) -> list[Row]:
    """One row a replica of every finished run that flew: how long it was alive, and what ended it ("" for nothing)."""
    finished, rows = store.finished(), []
    for cell in study.cells:
        if cell.key not in finished:
            continue
        result = store.load(cell, finished[cell.key])["result"]
        place = {"method": cell.method, **cell.where, "title": study.method(cell.method).title, "seed": cell.seed}
        for temperature, replicas in result.get("flights", {}).items():
            rows += [
                {
                    **place, "output": result["rows"][0]["output"], "temperature": float(temperature), "replica": k,
                    "length_ps": cell.setup.flight_ps, "alive_ps": one["ps"], "reason": one["reason"],
                }
                for k, one in enumerate(replicas)
            ]  # fmt: skip
    return rows


def columns(study: Study) -> list[str]:
    """Columns of flights.csv."""
    return [*place_columns(study), *COLUMNS]


def survival_lines(study: Study, replicas: Sequence[Row], results: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Head and lines: a method at a temperature, all seeds together.

    Parameters
    ----------
    replicas : rows of `flight_rows`
    results : rows of results.csv, for the drift and the error of h(r)
    """
    head = ["data", "labels", *study.axes, "method", "temperature, K", "seeds", "replicas", "alive at the end"]
    head += ["median time alive, ps", "energy drift, meV/atom/ps", "error of h(r)"]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in replicas:
        place = (row["data"], text([row["energies"], row["forces"]]), *(text(row[a]) for a in study.axes))
        groups.setdefault((*place, row["title"], row["temperature"]), []).append(row)
    lines = []
    for (*where, title, temperature), group in groups.items():
        mine = [
            row
            for row in results
            if row["kind"] == FLIGHT
            and row["part"] == flight_part(temperature)
            and all(row[name] == group[0][name] for name in (*place_columns(study), "output"))
        ]
        k, n = sum(not row["reason"] for row in group), len(group)
        share = binomtest(k, n).proportion_ci(LEVEL, method="wilson")
        length = group[0]["length_ps"]
        middle = median(row["alive_ps"] if row["reason"] else length for row in group)
        lines.append(
            [
                *where, title, f"{temperature:g}", str(len({row["seed"] for row in group})), str(n),
                f"{k} of {n}: {k / n:.2f} [{share.low:.2f}, {share.high:.2f}]",
                f"{'≥ ' if middle >= length else ''}{middle:.3g}",
                _mean(mine, "flight_drift", MILLI), _mean(mine, "distance_error", 1.0),
            ]
        )  # fmt: skip
    return head, lines


def _mean(rows: Sequence[Row], name: str, factor: float) -> str:
    """Mean over the seeds that have the quantity."""
    values = [factor * row[name] for row in rows if math.isfinite(row.get(name, math.nan))]
    return f"{fmean(values):.3g}" if values else "none"
