"""Tables of a study's report as rows, and what they show in words."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any

from piwsl_lab.data import DataError, published_test
from piwsl_lab.study import statistics, survival_table
from piwsl_lab.study.cell import SCORES, row_kind
from piwsl_lab.study.report import EFFECTS, RATIOS, STATISTICS

Row = statistics.Row
KNOWN_STUDY = "sparse-labels.toml"  # tells the studies of this laboratory from another folder of that name
PLACE = ("data", "method", "title", "kind", "part", "output")
WORDS = (*PLACE, "quantity", "unit", "against", "paired", "shown", "reason")
TOO_MANY = "\n"  # holds what a line has too much; no column is called so
ENDS = {"low", "high"}  # of the interval of a mean; one seed has none
ALWAYS = {"energies", "forces", "seeds", "seed", "mean", *ENDS, "temperature", "replica", "length_ps"}
POSITIVE = {"ratio", "ratio_low", "ratio_high", "cost"}
NUMBERS = ALWAYS | POSITIVE | {*EFFECTS, "alive_ps", "core_seconds", "seconds", "steps", *SCORES}
COLUMNS = {
    "summary.csv": ("data", "energies", "forces", "method", *STATISTICS, *RATIOS),
    "duels.csv": ("data", "energies", "forces", "method", *STATISTICS, *RATIOS),
    "flights.csv": ("data", "energies", "forces", "method", *survival_table.COLUMNS),
    "results.csv": ("data", "energies", "forces", "method", "seed", "part", "output", *SCORES),
}
VERDICTS = (statistics.LOWER, statistics.HIGHER, statistics.NOTHING, statistics.TOO_FEW)


def read_summary(folder: Path) -> list[Row]:
    """Rows of summary.csv in a results folder, numbers as numbers; nan where there is none.

    Raises
    ------
    ValueError
        There is no summary yet.
    """
    return read_table(folder / "summary.csv")


def read_table(path: Path) -> list[Row]:
    """Rows of one CSV file of a report, numbers as numbers; nan where there is none.

    Where a row was measured on a part of the data, it has its kind too: "test" or "flight".

    Raises
    ------
    ValueError
        There is no such file, or it is not as the report wrote it: a column is missing, a line is cut off, or what
        should be a number is none.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist: make it with `piwsl-lab study report STUDY.toml`")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            table = csv.DictReader(file, restkey=TOO_MANY, strict=True)
            _check_columns(path, table.fieldnames or [])
            return [_row(row, table.line_num) for row in table]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} is damaged ({error}): make it anew with `piwsl-lab study report`") from None


def _check_columns(path: Path, names: Sequence[str]) -> None:
    wanted = COLUMNS.get(path.name, ("data", "energies", "forces", "method"))
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(f"it has no column {', '.join(missing)}")
    if len(set(names)) < len(names):
        raise ValueError("two of its columns have the same name")


def _row(row: dict[str, Any], line: int) -> Row:
    if TOO_MANY in row or None in row.values():
        raise ValueError(f"line {line} has more or fewer entries than the first")
    found: Row = {name: text if name in WORDS else _number(text) for name, text in row.items()}
    for name, value in found.items():
        if name in NUMBERS and isinstance(value, str):
            raise ValueError(f"line {line}: {name} is {value[:40]!r} and should be a number")
        if name in ALWAYS and not (math.isfinite(value) or (name in ENDS and found.get("seeds") == 1)):
            raise ValueError(f"line {line}: {name} is not given")
        if name in POSITIVE and value <= 0:
            raise ValueError(f"line {line}: {name} is {value:g} and should be above 0")
        if name == "shown" and value not in ("", *VERDICTS):
            raise ValueError(f"line {line}: shown is {value[:40]!r} and should be one of {', '.join(VERDICTS)}")
    if "part" in found:
        found["kind"] = row_kind(found["part"])
    return found


def find_studies(package: Path | None = None) -> Path | None:
    """Folder of the laboratory's studies: beside or above the working directory, in a checkout, in a wheel; or None."""
    package = package or Path(__file__).resolve().parent.parent
    here = Path.cwd()
    for folder in (
        here / "studies",
        here.parent / "studies",
        package.parent / "studies",
        package / "share" / "studies",
    ):
        if (folder / KNOWN_STUDY).is_file():
            return folder
    return None


def own_test(rows: Iterable[Row]) -> list[Row]:
    """Rows scored where their training data is meant to be tested: no other temperature, path or scan."""
    return [row for row in rows if row["part"] == (_published(row["data"]) or row["data"])]


def _published(data: str) -> str | None:
    """The published test part of a set; none for a file, whether or not it is still there."""
    try:
        return published_test(data)
    except DataError:
        return None


def duels(folder: Path, method: str, rival: str, quantity: str, output: str, elsewhere: bool = False) -> list[Row]:
    """Rows of duels.csv in which a method is held against one of its rivals, by the name of each.

    Parameters
    ----------
    folder : Path
        Results of a study.
    output : str
        "conservative" or "direct", of the method.
    elsewhere : bool
        On the parts that are not the data's own test part, instead of on that.

    Raises
    ------
    ValueError
        There is no report yet.
    """
    titles = {row["method"]: row["title"] for row in read_summary(folder)}
    # The report adds the output of a rival that has another one.
    names = [f"{titles.get(rival)}{end}" for end in ("", " (direct)", " (conservative)")]
    rows = [
        row
        for row in read_table(folder / "duels.csv")
        if (row["method"], row["quantity"], row["output"]) == (method, quantity, output) and row["against"] in names
    ]
    own = {id(row) for row in own_test(rows)}
    return [row for row in rows if (id(row) in own) != elsewhere and math.isfinite(row["ratio"])]


def seed_factor(rows: Sequence[Row], quantity: str, share: float = 0.999) -> float:
    """Factor within which two runs lie that differ by their seed alone: the yardstick for a run that is repeated.

    Parameters
    ----------
    rows : sequence of dict
        Of results.csv: one row per run.
    share : float
        Of all pairs of runs that lie within it, if the logarithms of errors are normally distributed with one width.

    Raises
    ------
    ValueError
        No setting has two seeds.
    """
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        # Columns after "output" are scores.
        where = tuple(v for k, v in list(row.items())[: list(row).index("output") + 1] if k != "seed")
        if row[quantity] > 0:
            groups.setdefault(where, []).append(math.log(row[quantity]))
    freedom = sum(len(logs) - 1 for logs in groups.values())
    if not freedom:
        raise ValueError(f"no setting has {quantity} of two seeds: a spread needs more runs")
    squares = sum((log - fmean(logs)) ** 2 for logs in groups.values() for log in logs)
    width = NormalDist().inv_cdf((1 + share) / 2) * math.sqrt(2 * squares / freedom)
    return math.exp(width) if width < statistics.LONGEST_EXPONENT else math.inf


def place(row: Row) -> str:
    """Where a row of a table was measured: "ethanol, 50 labels"."""
    return f"{row['data'] if own_test([row]) else row['part']}, {label_text(row)} labels"


def tally(rows: Sequence[Row]) -> str:
    """In words: at how many places lower or higher, the ratios at both ends, and what it cost."""
    if not rows:
        return "nothing to compare yet"
    counts = {word: sum(row["shown"] == word for row in rows) for word in VERDICTS}
    parts = [f"lower at {counts['lower']} of {len(rows)} {'place' if len(rows) == 1 else 'places'}"]
    parts += [f"{word} at {n}" for word, n in counts.items() if n and word != "lower"]
    ends = [pick(rows, key=lambda row: row["ratio"]) for pick in (min, max)]
    words = " to ".join(dict.fromkeys(f"×{row['ratio']:.2f} ({place(row)})" for row in ends))
    return f"{', '.join(parts)}; error {words}; core time ×{fmean(row['cost'] for row in rows):.2f}"


def _number(text: str) -> float | str:
    """A number, nan for nothing, or the word itself: an order is 1, 2 or "symmetric"."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return text
    return text if math.isinf(value) or (text and math.isnan(value)) else value


def label_text(row: Row) -> str:
    """50, or 200/50 for 200 energies and 50 forces."""
    return "/".join(f"{n:g}" for n in dict.fromkeys((row["energies"], row["forces"])))
