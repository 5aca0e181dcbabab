"""Print the table of trials on the development sets, which tools/readme_tables.py writes into docs/protocol.md.

    python tools/development_table.py [FOLDER]

It reads results.csv and seconds.csv of a study, studies/development by default. Methods are called "painn-3 radial 16":
the group and, after the first blank, what was changed. The base of a group is the method called as the group alone.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parent.parent / "studies" / "development"
TAKEN, AFFORDABLE = 0.97, 1.5  # score below which a change is taken, and how many times the core seconds it may cost
FEWEST_SETS = 3  # that a score rests on before a change is taken
MILLI = 1000.0  # the study keeps eV and eV/Å


class Run(NamedTuple):
    """One training: energy MAE in eV, force RMSE in eV/Å, core seconds."""

    energy: float
    force: float
    seconds: float


Runs = dict[tuple[str, str], Run]  # by data and seed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER, help="results of the study")
    print("\n".join(trials(parser.parse_args().folder)))


def trials(folder: Path = FOLDER) -> list[str]:
    """The lines: a table for every group of trials; none where nothing has run."""
    methods = read(folder)
    lines: list[str] = []
    for group in dict.fromkeys(name.partition(" ")[0] for name in methods):
        members = {name: runs for name, runs in methods.items() if name.partition(" ")[0] == group}
        lines += ([""] if lines else []) + table(group, members)
    return lines


def table(group: str, methods: dict[str, Runs]) -> list[str]:
    """The lines of one group, its base first."""
    base = methods.get(group, {})
    sets = list(dict.fromkeys(data for runs in methods.values() for data, _ in runs))
    head = [group, *(Path(data).stem for data in sets), "core seconds", "score"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name in sorted(methods, key=lambda name: name != group):
        runs = methods[name]
        cells = [name.partition(" ")[2] or "base"]
        cells += [errors([run for (where, _), run in runs.items() if where == data]) for data in sets]
        lines.append(f"| {' | '.join([*cells, *verdict(runs, base, len(sets))])} |")
    return lines


def errors(runs: list[Run]) -> str:
    """Energy MAE in meV and force RMSE in meV/Å, means over the seeds; "" without a run."""
    if not runs:
        return ""
    return f"{MILLI * fmean(run.energy for run in runs):.1f} / {MILLI * fmean(run.force for run in runs):.1f}"


def verdict(runs: Runs, base: Runs, n_sets: int) -> tuple[str, str]:
    """Core seconds, and the score from the sets and seeds that both have; bold where the rule takes the change."""
    mine = {key: runs[key] for key in runs if key in base}
    rival = {key: base[key] for key in mine}
    if not mine:
        return f"{seconds(runs):.0f}", ""
    cost, value = seconds(mine) / seconds(rival), score(mine, rival)
    compared = len({data for data, _ in mine})
    taken = value < TAKEN and cost <= AFFORDABLE and compared >= FEWEST_SETS
    text = f"**{value:.3f}**" if taken else f"{value:.3f}"
    return f"{seconds(runs):.0f} (×{cost:.2f})", text + (f" ({compared} of {n_sets} sets)" if compared < n_sets else "")


def score(runs: Runs, base: Runs) -> float:
    """Geometric mean over sets of the mean of the two ratios of errors; both have the same data and seeds."""
    ratios = []
    for data in dict.fromkeys(data for data, _ in runs):
        mine, other = ([run for (where, _), run in some.items() if where == data] for some in (runs, base))
        energy = fmean(run.energy for run in mine) / fmean(run.energy for run in other)
        force = fmean(run.force for run in mine) / fmean(run.force for run in other)
        ratios.append((energy + force) / 2)
    return math.exp(fmean(math.log(ratio) for ratio in ratios))


def seconds(runs: Runs) -> float:
    """Core seconds of one training on each set, summed; means over the seeds."""
    sets = dict.fromkeys(data for data, _ in runs)
    return sum(fmean(run.seconds for (where, _), run in runs.items() if where == data) for data in sets)


def read(folder: Path) -> dict[str, Runs]:
    """The runs of every method, in the order of the file."""
    results, costs = folder / "results.csv", folder / "seconds.csv"
    if not results.is_file():
        return {}
    cost = {(row["method"], row["data"], row["seed"]): float(row["core_seconds"]) for row in rows(costs)}
    methods: dict[str, Runs] = {}
    seen = set()
    # A dual head answers with its gradient, and is scored by its direct head too.
    for row in sorted(rows(results), key=lambda row: row["output"] == "direct"):
        if row["part"] != row["data"]:
            continue
        key = row["method"], row["data"], row["seed"]
        if (key, row["output"]) in seen:
            raise ValueError(f"{results} has {' '.join(key)} twice: make each trial a method of its own, not an axis")
        seen.add((key, row["output"]))
        run = Run(float(row["energy_mae"]), float(row["force_rmse"]), cost[key])
        methods.setdefault(row["method"], {}).setdefault((row["data"], row["seed"]), run)
    return dict(sorted(methods.items()))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    main()
