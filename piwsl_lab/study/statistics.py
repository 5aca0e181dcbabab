"""What a study shows: its runs as rows, means with intervals over seeds, and ratios to a rival method.

An interval is that of Student's t (Student 1908, doi:10.1093/biomet/6.1.1). A seed multiplies the
errors of two methods alike, so they are compared by the logarithm of their ratio, seed by seed.
Where the seeds are not shared, it is the interval of Welch (1947, doi:10.1093/biomet/34.1-2.28). A
difference is called shown only where that interval leaves out 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
from scipy.special import stdtrit

from piwsl_lab.study.grid import Study, text
from piwsl_lab.study.store import NAMES, Store

LEVEL = 0.95
FEWEST_SEEDS = 3  # below, seeds are not paired
CLAIM_SEEDS = 5  # below, nothing is claimed: so few values do not show whether t may be used
LONGEST_EXPONENT = 700.0  # exp of more is beyond a float
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
SHARES = ("alive", "alive_share")  # of flights: often 0, and nothing is a multiple of that
COST = ("core_seconds", "seconds", "steps")
Row = dict[str, Any]


class Interval(NamedTuple):
    """A number over seeds and its 95 % interval; the ends are nan where it rests on one seed."""

    mean: float
    low: float
    high: float


class Effect(NamedTuple):
    """A method against its rival.

    Attributes
    ----------
    found : Interval
    paired : bool
        Whether it was taken seed by seed.
    seeds : int
        How many the interval rests on: the pairs, or the seeds of the method that has fewer.
    """

    found: Interval
    paired: bool
    seeds: int


def interval(values: Sequence[float]) -> Interval:
    """Mean and its 95 % interval by Student's t with n − 1 degrees of freedom; of equal values it has no width.

    Raises
    ------
    ValueError
        There is no value.
    """
    if not len(values):
        raise ValueError("a mean needs the value of at least one seed")
    return _student(*_mean(values), len(values) - 1)


def difference(own: Mapping[int, float], rival: Mapping[int, float]) -> Effect:
    """Difference of two means, own − rival, with its 95 % interval.

    Paired, over the seeds both have. What a seed makes hard for one is hard for the other. Unpaired
    where they share fewer than three seeds (or fewer than the shorter has), with the degrees of
    freedom of Welch.

    Parameters
    ----------
    own, rival : dict of float
        Values by seed.

    Raises
    ------
    ValueError
        One of them is empty.
    """
    if not own or not rival:
        raise ValueError("two methods are compared by the values of at least one seed of each")
    common = sorted(own.keys() & rival.keys())
    if len(common) >= min(FEWEST_SEEDS, len(own), len(rival)):
        return Effect(interval([own[seed] - rival[seed] for seed in common]), True, len(common))
    (mean, error), (other, uncertainty) = (_mean(list(values.values())) for values in (own, rival))
    n, m, whole = len(own), len(rival), math.hypot(error, uncertainty)
    # Without any spread the share of one in it does not matter.
    share = (error / whole) ** 2 if whole > 0 else 0.5
    freedom = 1 / (share**2 / (n - 1) + (1 - share) ** 2 / (m - 1)) if min(n, m) > 1 else 0.0
    return Effect(_student(mean - other, whole, freedom), False, min(n, m))


def ratio(own: Mapping[int, float], rival: Mapping[int, float]) -> Effect:
    """Ratio of two methods with its 95 % interval: the geometric mean of own / rival over the seeds.

    It is the `difference` of the logarithms, paired or not.

    Parameters
    ----------
    own, rival : dict of float
        Values by seed, all above 0.

    Raises
    ------
    ValueError
        A value has no logarithm, or one of the two is empty.
    """
    for seed, value in (*own.items(), *rival.items()):
        if not 0 < value < math.inf:
            raise ValueError(f"seed {seed} has {value:g}: a ratio needs numbers above 0; use `difference` instead")
    logs = difference(*({seed: math.log(value) for seed, value in values.items()} for values in (own, rival)))
    ends = np.exp(np.clip(logs.found, -LONGEST_EXPONENT, LONGEST_EXPONENT))
    return logs._replace(found=Interval(*ends.tolist()))


def verdict(found: Interval, seeds: int, nothing: float = 1.0) -> str:
    """ "lower" or "higher" where an interval leaves out what stands for no difference, with at least five seeds.

    Parameters
    ----------
    found : Interval
        Of a ratio, or of a difference.
    seeds : int
        How many it rests on.
    nothing : float
        1 for a ratio, 0 for a difference.
    """
    if seeds < CLAIM_SEEDS:
        return TOO_FEW
    if found.high < nothing:
        return LOWER
    return HIGHER if found.low > nothing else NOTHING


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
    against = study.method(rival[0]["method"]).title
    if rival[0]["output"] != group[0]["output"]:
        against += f" ({rival[0]['output']})"
    return {
        **found,
        "against": against,
        **_effect(quantity, *({seed: factor * value for seed, value in values.items()} for values in (own, theirs))),
        "cost": seconds / fmean(row["core_seconds"] for row in rival),
    }


def _effect(quantity: str, own: Mapping[int, float], rival: Mapping[int, float]) -> Row:
    """Ratio to the rival and what it shows; the difference for shares, and where a value has no logarithm."""
    plain = quantity in SHARES or min(*own.values(), *rival.values()) <= 0
    name, nothing = ("difference", 0.0) if plain else ("ratio", 1.0)
    found, paired, seeds = (difference if plain else ratio)(own, rival)
    return {
        "paired": "paired" if paired else "unpaired",
        name: found.mean,
        f"{name}_low": found.low,
        f"{name}_high": found.high,
        "shown": verdict(found, seeds, nothing),
    }


def _values(group: Sequence[Row], quantity: str) -> dict[int, float]:
    """Values by seed, without those that are not a number."""
    return {row["seed"]: row[quantity] for row in group if math.isfinite(row.get(quantity, math.nan))}


def _mean(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; nan for that of one value."""
    n, mean = len(values), fmean(values)
    # Of squares that are beyond a float, too.
    return mean, math.hypot(*(value - mean for value in values)) / math.sqrt(n * (n - 1)) if n > 1 else math.nan


def _student(mean: float, error: float, freedom: float) -> Interval:
    """Interval of a mean with its standard error; without a degree of freedom it has no ends."""
    width = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error if freedom > 0 else math.nan
    return Interval(mean, mean - width, mean + width)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str) else text(value)


def _order(value: Any) -> tuple[int, Any]:
    """Numbers before words, numbers by size."""
    return (1, str(value)) if isinstance(value, str) else (0, value)
