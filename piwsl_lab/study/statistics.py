"""What a study shows: its runs as rows, means with intervals over seeds, and ratios to a rival method.

An interval is the percentile bootstrap of a mean (Efron and Tibshirani 1993, chapter 13). Seeds are
drawn with replacement, and the middle 95 % of the means are kept. A difference is called shown only
where two intervals are apart.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from piwsl_lab.study.grid import Study, text
from piwsl_lab.study.store import NAMES, Store

RESAMPLES = 4000
LEVEL = 0.95
FEWEST_SEEDS = 3  # below, seeds are not paired
CLAIM_SEEDS = 5  # below, nothing is claimed: an interval of three runs is too narrow by far
LOWER, HIGHER, NOTHING, TOO_FEW = "lower", "higher", "no difference shown", "too few seeds"
MILLI = 1000.0
# Title, unit and factor from the eV of the library; what else a run reports is shown as it is.
QUANTITIES = {
    "energy_mae": ("energy MAE", "meV", MILLI),
    "energy_rmse": ("energy RMSE", "meV", MILLI),
    "force_mae": ("force MAE", "meV/Å", MILLI),
    "force_rmse": ("force RMSE", "meV/Å", MILLI),
}
# Not in every study; shown with their units where they are.
OTHERS = {
    "alive_ps": ("time alive", "ps", 1.0),
    "alive_share": ("share alive", "", 1.0),
    "flight_drift": ("energy drift in flight", "meV/atom/ps", MILLI),
    "distance_error": ("error of h(r)", "", 1.0),
}
COST = ("core_seconds", "seconds", "steps")
Row = dict[str, Any]


class Interval(NamedTuple):
    """A mean over seeds and its bootstrap interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float]) -> Interval:
    """Mean and 95 % bootstrap interval; of one value, and of equal values, the interval has no width."""
    data = np.asarray(values, dtype=float)
    return Interval(float(data.mean()), *_percentiles(data[_draws(len(data))].mean(1)))


def ratio(own: Mapping[int, float], rival: Mapping[int, float]) -> tuple[Interval, bool]:
    """Ratio of two means with its bootstrap interval, and whether it is paired.

    Paired, over the seeds both have, drawing the same seeds for both. What a seed makes hard for
    one is hard for the other. Unpaired where they share fewer than three seeds (or fewer than the
    shorter has), with independent draws.

    Parameters
    ----------
    own, rival : dict of float
        Values by seed.
    """
    common = sorted(own.keys() & rival.keys())
    paired = len(common) >= min(FEWEST_SEEDS, len(own), len(rival))
    mine, theirs = (np.array([d[s] for s in (common if paired else sorted(d))], dtype=float) for d in (own, rival))
    first = _draws(len(mine))
    second = first if paired else _draws(len(theirs), seed=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients = mine[first].mean(1) / theirs[second].mean(1)
        return Interval(float(mine.mean() / theirs.mean()), *_percentiles(quotients)), paired


def verdict(own: Interval, rival: Interval, seeds: int) -> str:
    """ "lower" or "higher" where the intervals do not overlap, with at least five seeds each."""
    if seeds < CLAIM_SEEDS:
        return TOO_FEW
    if own.high < rival.low:
        return LOWER
    return HIGHER if own.low > rival.high else NOTHING


def result_rows(study: Study, store: Store) -> list[Row]:
    """One row a finished cell, part of the data and output of the potential, sorted; errors in eV and eV/Å."""
    finished, rows = store.finished(), []
    for cell in study.cells:
        if cell.key not in finished:
            continue
        result = store.load(cell, finished[cell.key])["result"]
        place = {"method": cell.method, **{k: _plain(v) for k, v in cell.where.items()}, "seed": cell.seed}
        cost = {name: result[name] for name in COST}
        for row in result["rows"]:
            scores = {k: math.nan if v is None else v for k, v in row.items() if k not in NAMES}
            rows.append({**place, **{name: row[name] for name in NAMES}, **scores, **cost})
    names = [*place_columns(study), "seed", "part", "output"]
    return sorted(rows, key=lambda row: [_order(row[name]) for name in names])


def place_columns(study: Study) -> list[str]:
    """Columns that say where in the grid a row is, its seed aside."""
    return ["data", "energies", "forces", *study.axes, "method"]


def score_columns(rows: Iterable[Row], study: Study) -> list[str]:
    """Columns that are results: the four errors, then what else the runs report."""
    others = {k for row in rows for k in row} - {*place_columns(study), "seed", *NAMES, *COST, *QUANTITIES}
    return [*QUANTITIES, *sorted(others)]


def summarise(study: Study, rows: Sequence[Row]) -> list[Row]:
    """One row a place in the grid, method, part, output and quantity: seeds, mean, interval, ratio to the rival."""
    groups = _groups(study, rows)
    return [
        {**_head(study, group), **_statistics(study, group, rival, quantity)}
        for group in groups
        for rival in [_rival(study, group, groups, study.method(group[0]["method"]).against)]
        for quantity in score_columns(rows, study)
        if _values(group, quantity)
    ]


def duels(study: Study, rows: Sequence[Row]) -> list[Row]:
    """As `summarise`, one row for each rival that a method is held against; methods without a rival have none."""
    groups = _groups(study, rows)
    return [
        {**_head(study, group), **_statistics(study, group, rival, quantity)}
        for group in groups
        for name in study.method(group[0]["method"]).rivals
        for rival in [_rival(study, group, groups, name)]
        if rival
        for quantity in score_columns(rows, study)
        if _values(group, quantity) and _values(rival, quantity)
    ]


def to_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], digits: int | None = None) -> bytes:
    """CSV text; floats with all their digits, or so many. What is not a number is left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(row.get(name, ""), digits) for name in columns] for row in rows)
    return out.getvalue().encode()


def _groups(study: Study, rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that differ in their seed only, in the order of the grid and of the file's methods."""
    methods = [method.name for method in study.methods]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in (*place_columns(study), "part", "output")), []).append(row)
    columns = ["data", "part", "energies", "forces", *study.axes]

    def order(group: list[Row]) -> list[tuple[int, Any]]:
        row = group[0]
        return [*(_order(row[name]) for name in columns), (0, methods.index(row["method"])), _order(row["output"])]

    return sorted(groups.values(), key=order)


def _rival(study: Study, group: Sequence[Row], groups: Sequence[list[Row]], against: str | None) -> list[Row] | None:
    """Rows of a rival at the same place; of the same output, or of its only one."""
    row, method = group[0], study.method(group[0]["method"])
    if against is None:
        return None
    # A field that either method sets for itself is part of what is compared, not of the place.
    own = {*method.overrides, *study.method(against).overrides}
    same = [name for name in ("data", "energies", "forces", *study.axes, "part") if name not in own]
    found = [g for g in groups if g[0]["method"] == against and all(g[0][name] == row[name] for name in same)]
    alike = [g for g in found if g[0]["output"] == row["output"]]
    for candidates in (alike, found):
        if len(candidates) == 1:
            return candidates[0]
    return None


def _head(study: Study, group: Sequence[Row]) -> Row:
    row = group[0]
    names = [*place_columns(study), "part", "output"]
    return {**{name: row[name] for name in names}, "title": study.method(row["method"]).title}


def _statistics(study: Study, group: Sequence[Row], rival: Sequence[Row] | None, quantity: str) -> Row:
    """Numbers of one quantity in the units of the screen."""
    _, unit, factor = (QUANTITIES | OTHERS).get(quantity, (quantity, "", 1.0))
    own = _values(group, quantity)
    mean = interval([factor * value for value in own.values()])
    seconds = fmean(row["core_seconds"] for row in group)
    found = {"quantity": quantity, "unit": unit, "seeds": len(own), **mean._asdict(), "core_seconds": seconds}
    theirs = _values(rival, quantity) if rival else {}
    if not rival or not theirs:
        return found
    quotient, paired = ratio(own, theirs)
    against = study.method(rival[0]["method"]).title
    if rival[0]["output"] != group[0]["output"]:
        against += f" ({rival[0]['output']})"
    others = interval([factor * value for value in theirs.values()])
    return {
        **found,
        "against": against,
        "paired": "paired" if paired else "unpaired",
        "ratio": quotient.mean,
        "ratio_low": quotient.low,
        "ratio_high": quotient.high,
        "shown": verdict(mean, others, min(len(own), len(theirs))),
        "cost": seconds / fmean(row["core_seconds"] for row in rival),
    }


def _values(group: Sequence[Row], quantity: str) -> dict[int, float]:
    """Values by seed, without those that are not a number."""
    return {row["seed"]: row[quantity] for row in group if math.isfinite(row.get(quantity, math.nan))}


def _draws(n: int, seed: int = 0) -> NDArray[np.int64]:
    """Indices of the resamples, [RESAMPLES, n]; the same for equal n, so that no number depends on the others."""
    return np.random.default_rng([seed, n]).integers(0, n, (RESAMPLES, n))


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else text(value)


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before words, numbers by size."""
    return (1, str(value)) if isinstance(value, str) else (0, value)


def _written(value: Any, digits: int | None) -> str:
    if isinstance(value, bool):
        return text(value)
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return ""
    return repr(value) if digits is None else f"{value:.{digits}g}"
