"""The report of a study: results.csv, seconds.csv, summary.csv, duels.csv and summary.md in its results folder.

Where replicas flew, flights.csv has a row for each.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from piwsl_lab.study import statistics, survival_table
from piwsl_lab.study.cell import TEST
from piwsl_lab.study.grid import Cell, Study, text
from piwsl_lab.study.statistics import CLAIM_SEEDS, LEVEL, QUANTITIES, Row
from piwsl_lab.study.store import Store, reason
from piwsl_lab.support.files import write_whole

HEADLINES = ("energy_mae", "force_rmse")
MOST_LISTED = 40  # cells that were not run, by name
DIGITS = 6
STATISTICS = ("title", "part", "output", "quantity", "unit", "seeds", "mean", "low", "high", "against", "paired")
EFFECTS = tuple(f"{name}{end}" for name in ("ratio", "difference") for end in ("", "_low", "_high"))
RATIOS = (*EFFECTS, "shown", "core_seconds", "cost")


def write_report(study: Study, store: Store) -> list[Path]:
    """Write the tables of what has finished so far; the paths of the files.

    results.csv holds no time, so that it is the same to the byte however often the study was interrupted.
    """
    rows = statistics.result_rows(study, store)
    place = statistics.place_columns(study)
    scores = statistics.score_columns(rows, study)
    summary = statistics.summarise(study, rows)
    runs = list({tuple(row[name] for name in (*place, "seed")): row for row in rows}.values())
    flown = survival_table.flight_rows(study, store)
    contents = {
        "results.csv": to_csv(rows, [*place, "seed", "part", "output", *scores]),
        "seconds.csv": to_csv(runs, [*place, "seed", *statistics.COST]),
        "summary.csv": to_csv(summary, [*place, *STATISTICS, *RATIOS], DIGITS),
        "duels.csv": to_csv(statistics.duels(study, rows), [*place, *STATISTICS, *RATIOS], DIGITS),
        "summary.md": markdown(study, store, rows, flown).encode(),
    }
    if flown:
        contents["flights.csv"] = to_csv(flown, survival_table.columns(study), DIGITS)
    store.folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_whole(store.folder / name, content)
    return [store.folder / name for name in contents]


def markdown(study: Study, store: Store, rows: Sequence[Row], flown: Sequence[Row] = ()) -> str:
    """The report in words and tables, from the rows of results.csv and of flights.csv."""
    scored = [row for row in rows if row["kind"] == TEST]
    summary, duels = statistics.summarise(study, scored), statistics.duels(study, scored)
    out = "" if store.folder == study.folder else f" --out {store.folder}"
    parts = [f"# {plain(study.title)}", study.description.strip()]
    parts += [
        f"Made by `piwsl-lab study report {study.path}{out}` from the runs of `piwsl-lab study {study.path}{out}`.",
        f"Numbers are means over seeds with a {100 * LEVEL:.0f} % interval in brackets, that of Student's t. A ratio "
        "is the geometric mean over the seeds of a method's error divided by that of its rival. It is paired, seed by "
        "seed, where both have the same seeds, and unpaired with the interval of Welch otherwise. Shares, and what is "
        "0 for some seed, have a difference in its place. *Lower* and *higher* stand where the interval leaves out "
        f"equality, with at least {CLAIM_SEEDS} seeds. Of twenty comparisons of equal methods one is called so by "
        "luck.",
        "## What was run",
        *_coverage(study, store),
        "## Results",
    ]
    if not summary:
        parts.append("Nothing has finished yet.")
    for data, part in dict.fromkeys((row["data"], row["part"]) for row in summary):
        parts.append(f"### {plain(data)}, tested on {plain(part)}")
        parts.append(_results([row for row in summary if (row["data"], row["part"]) == (data, part)], study))
    if any(len(method.rivals) > 1 for method in study.methods):
        parts += ["## Head to head", _duels(duels, study)]
    if flown:
        parts += [
            "## In flight",
            "Replicas of all seeds together; intervals of shares are Wilson's, and as if replicas of one training were "
            "independent. The drift is that of the replicas that survived.",
            _table(*survival_table.survival_lines(study, flown, rows)),
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def bracketed(mean: float, low: float, high: float, form: str = ".3g") -> str:
    """A number with its interval in words: "74.7 [65.3, 86.8]", or "74.7 (one seed)" where it has none."""
    ends = f"[{low:{form}}, {high:{form}}]" if math.isfinite(low) else "(one seed)"
    return f"{mean:{form}} {ends}"


def effect_words(row: Row, factor: float = 1.0) -> str:
    """Ratio of a row to its rival with the interval, or the difference where there is no ratio; "" without a rival.

    A difference is in the unit of the row, times the factor.
    """
    ratio, low, high = (row.get(name, math.nan) for name in EFFECTS[:3])
    if math.isfinite(ratio):
        return bracketed(ratio, low, high, ".2f")
    difference, low, high = (factor * row.get(name, math.nan) for name in EFFECTS[3:])
    return f"difference {bracketed(difference, low, high)}" if math.isfinite(difference) else ""


def to_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], digits: int | None = None) -> bytes:
    """CSV text; floats with all their digits, or so many. What is not a number is left empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_written(row.get(name, ""), digits) for name in columns] for row in rows)
    return out.getvalue().encode()


def _duels(rows: Sequence[Row], study: Study) -> str:
    """Every method against each of its rivals: ratios of errors and of core time; below 1 it is lower or cheaper."""
    head = ["data", "tested on", "labels", *study.axes, "method", "against"]
    head += [QUANTITIES[quantity][0] + ", ratio" for quantity in HEADLINES] + ["seeds", "core time"]
    lines: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        place = (row["data"], row["part"], text([row["energies"], row["forces"]]), *(text(row[a]) for a in study.axes))
        lines.setdefault((*place, row["title"], row["against"]), {})[row["quantity"]] = row
    cells = []
    for place, quantities in lines.items():
        one = next(iter(quantities.values()))
        ratios = [_numbers(quantities.get(quantity)) for quantity in HEADLINES]
        shown = [" ".join(part for part in (text, verdict) if part) for _, text, verdict in ratios]
        cells.append([*place, *shown, str(one["seeds"]), f"×{one['cost']:.2f}"])
    return _table(head, cells)


def _coverage(study: Study, store: Store) -> list[str]:
    """Finished of planned cells by method, data and labels; what is missing and what has failed."""
    finished, failed = store.finished(), store.failed()
    places = dict.fromkeys((cell.setup.data, cell.value("labels")) for cell in study.cells)
    rows = []
    for data, labels in places:
        row = [data, labels]
        for method in study.methods:
            cells = [
                c for c in study.cells if (c.setup.data, c.value("labels"), c.method) == (data, labels, method.name)
            ]
            row.append(f"{sum(c.key in finished for c in cells)} of {len(cells)}" if cells else "")
        rows.append(row)
    parts = ["Cells finished of cells planned, all seeds together:"]
    parts.append(_table(["data", "labels", *(method.title for method in study.methods)], rows))
    broken = [cell for cell in study.cells if cell.key in failed]
    if broken:
        parts.append(f"Failed ({len(broken)}; `--retry` runs them again):")
        parts.append("\n".join(f"* {plain(cell.title)}: {plain(reason(failed[cell.key]))}" for cell in broken))
    missing = [cell for cell in study.cells if cell.key not in finished and cell.key not in failed]
    return [*parts, *_missing(study, missing)]


def _missing(study: Study, missing: Sequence[Cell]) -> list[str]:
    if not missing:
        return []
    parts = [f"Not run ({len(missing)}):", "\n".join(f"* {plain(cell.title)}" for cell in missing[:MOST_LISTED])]
    if len(missing) > MOST_LISTED:
        parts.append(f"… and {len(missing) - MOST_LISTED} more: `piwsl-lab study list {study.path}`.")
    return parts


def _results(rows: Sequence[Row], study: Study) -> str:
    """One line a place, method and output, with the headline errors beside one another."""
    head = ["labels", *study.axes, "method", "output", "seeds"]
    for quantity in HEADLINES:
        title, unit, _ = QUANTITIES[quantity]
        head += [f"{title}, {unit}", "ratio to the rival", "shown"]
    head += ["training, s", "cost"]
    lines: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        place = (text([row["energies"], row["forces"]]), *(text(row[name]) for name in study.axes))
        lines.setdefault((*place, row["title"], row["output"]), {})[row["quantity"]] = row
    cells = []
    for place, quantities in lines.items():
        one = next(iter(quantities.values()))
        line = [*place, str(max(row["seeds"] for row in quantities.values()))]
        for quantity in HEADLINES:
            line += _numbers(quantities.get(quantity))
        cells.append([*line, f"{one['core_seconds']:.3g}", f"×{one['cost']:.2f}" if "cost" in one else ""])
    return f"{_table(head, cells)}\n\n{_rivals(rows)}".strip()


def _numbers(row: Row | None) -> list[str]:
    if row is None:
        return ["no label", "", ""]
    return [bracketed(row["mean"], row["low"], row["high"]), effect_words(row), row.get("shown", "")]


def _rivals(rows: Sequence[Row]) -> str:
    """Who is held against whom, and how."""
    found = dict.fromkeys(
        (row["title"], row["output"], row["against"], row["paired"]) for row in rows if "against" in row
    )
    return "\n".join(
        f"* {plain(title)} ({output}) against {plain(rival)}, {paired}" for title, output, rival, paired in found
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [[*map(plain, head)], ["---"] * len(head), *([*map(plain, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def plain(words: str) -> str:
    """Words of a file as Markdown shows them: in one line, and without a meaning of their own."""
    return re.sub(r"[\\`|<]|\](?=\()", r"\\\g<0>", " ".join(words.split()))


def unplain(words: str) -> str:
    """What `plain` was given, but for its white space."""
    return re.sub(r"\\([\\`|<\]])", r"\1", words)


def _written(value: Any, digits: int | None) -> str:
    if isinstance(value, bool):
        return text(value)
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return ""
    return repr(value) if digits is None else f"{value:.{digits}g}"
