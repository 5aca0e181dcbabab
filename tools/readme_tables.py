"""Write the tables of README.md and of two pages of docs/ from the studies' own: no figure there is typed by hand.

    python tools/readme_tables.py [--check]

`--check` writes nothing and fails if one of the pages does not hold what the studies say.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

from development_table import trials

from piwsl_lab.data import published_test
from piwsl_lab.study.report import bracketed

ROOT = Path(__file__).resolve().parent.parent
README, RESULTS, PROTOCOL = ROOT / "README.md", ROOT / "docs" / "results.md", ROOT / "docs" / "protocol.md"

# Study, method, title of its rival in the tables, output that is scored, words for the reader.
SPARSE, DUAL, NONE = "sparse-labels", "dual-head", "no-forces"
DUELS = (
    (SPARSE, "pitc", "direct, labels only", "direct", "direct, PITC against labels only"),
    (SPARSE, "pitc", "direct, labels only, same time as PITC", "direct", "the same, rival with twice the steps"),
    (DUAL, "dual", "conservative, labels only", "conservative", "dual head against conservative"),
    (
        DUAL, "dual", "conservative, labels only, same time as dual", "conservative",
        "the same, rival with twice the steps",
    ),
    (
        DUAL, "dual", "conservative, labels only, the energy weight of dual", "conservative",
        "the same, rival with the energy weight of dual",
    ),
    (DUAL, "dual", "dual without consistency", "conservative", "the same, rival with two heads that are not tied"),
    (NONE, "pitc", "direct, labels only", "direct", "no forces: direct, PITC against labels only"),
    (NONE, "conservative-pitc", "conservative, labels only", "conservative", "no forces: conservative, PITC"),
    (
        NONE, "conservative-ensemble", "conservative, labels only", "conservative",
        "no forces: conservative, taught by four others",
    ),
    (
        NONE, "dual-ensemble", "conservative, labels only", "conservative",
        "no forces: dual head, taught by four others, against conservative",
    ),
    (
        NONE, "dual-ensemble", "conservative, labels only, same time as the taught dual", "conservative",
        "the same, rival with nine times the steps",
    ),
    (
        NONE, "dual-ensemble", "conservative, taught by an ensemble", "conservative",
        "the same, rival taught by four others too",
    ),
)  # fmt: skip
# The rows of README.md: where it helps, the same at equal cost, and where it does not.
FIVE = (
    (SPARSE, ("ethanol", "50", "50"), "pitc", "direct, labels only", "direct", "direct head: PITC against labels only"),
    (
        SPARSE, ("ethanol", "50", "50"), "pitc", "direct, labels only, same time as PITC", "direct",
        "the same, labels only with twice the steps",
    ),
    (
        SPARSE, ("ethanol", "1000", "1000"), "pitc", "direct, labels only", "direct",
        "direct head: PITC against labels only",
    ),
    (
        DUAL, ("ethanol", "50", "50"), "dual", "conservative, labels only, same time as dual", "conservative",
        "dual head against conservative with twice the steps",
    ),
    (
        DUAL, ("aspirin", "50", "50"), "dual", "conservative, labels only", "conservative",
        "dual head against conservative",
    ),
)  # fmt: skip
FLIGHTS = ("flights", "flights-aspirin")
MAP = ROOT / "studies" / "epsilon-weight"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = [page for page, tables in pages().items() if not written(page, tables, check)]
    for page in stale:
        print(f"{page.relative_to(ROOT)} does not hold the studies' tables: run tools/readme_tables.py")
    if check and not stale:
        print("README.md, docs/results.md and docs/protocol.md hold the studies' tables")
    return int(check and bool(stale))


def pages() -> dict[Path, dict[str, list[str]]]:
    """The lines of every table, by page and name."""
    return {
        README: {"five": five()},
        RESULTS: {"duels": duels(), "epsilon": epsilons(), "flights": flights()},
        PROTOCOL: {"trials": trials()},
    }


def written(page: Path, tables: dict[str, list[str]], check: bool) -> bool:
    """Write the tables into a page; with `check` say whether they stand there already."""
    old = new = page.read_text(encoding="utf-8")
    for name, lines in tables.items():
        new = filled(new, page.name, name, lines)
    if not check:
        page.write_text(new, encoding="utf-8")
    return new == old or not check


def flights() -> list[str]:
    """The tables "In flight" of the reports, one below the other."""
    lines: list[str] = []
    for name in FLIGHTS:
        report = ROOT / "studies" / name / "summary.md"
        text = report.read_text(encoding="utf-8").partition("## In flight")[2] if report.is_file() else ""
        table = [line for line in text.splitlines() if line.startswith("|")]
        lines += table[2:] if lines else table
    return lines


def filled(text: str, page: str, name: str, lines: list[str]) -> str:
    """The text with the lines between the two markers of a table."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page} needs one '{begin.strip()}' and one '{end}'")
    head, rest = text.split(begin)
    return head + begin + "".join(f"{line}\n" for line in lines) + end + rest.split(end)[1]


HEAD = [
    "| data, labels | what | seeds | energy MAE, meV | times lower | force RMSE, meV/Å | times lower | core time |",
    "|---|---|---|---|---|---|---|---|",
]


def five() -> list[str]:
    """The table of README.md."""
    lines = list(HEAD)
    for study, place, method, rival, output, words in FIVE:
        found = duels_of(study, method, rival, output)[place]
        lines.append(duel(study, place, rival, words, found))
    return lines


def duels() -> list[str]:
    """All of them."""
    lines = list(HEAD)
    for study, method, rival, output, words in DUELS:
        for place, found in duels_of(study, method, rival, output).items():
            if {"energy_mae", "force_rmse"} <= set(found):
                lines.append(duel(study, place, rival, words, found))
    return lines


def duels_of(study: str, method: str, rival: str, output: str) -> dict[tuple[str, str, str], dict[str, dict[str, str]]]:
    """Rows of one method against one rival: by data and labels, then by quantity."""
    found: dict[tuple[str, str, str], dict[str, dict[str, str]]] = {}
    for row in read(study, "duels.csv"):
        if row["method"] == method and row["against"] == rival and row["output"] == output and own(row):
            found.setdefault((row["data"], row["energies"], row["forces"]), {})[row["quantity"]] = row
    return found


def duel(study: str, place: tuple[str, str, str], rival: str, words: str, found: dict[str, dict[str, str]]) -> str:
    """One line: the errors of both, how many times lower with the interval of that, and the cost."""
    data, energies, forces = place
    cells, seeds = [], []
    for quantity in ("energy_mae", "force_rmse"):
        mine = found[quantity]
        other = next(
            row for row in read(study, "summary.csv")
            if (row["data"], row["energies"], row["forces"]) == place and row["title"] == rival
            and row["quantity"] == quantity and own(row)
        )  # fmt: skip
        seeds += [int(mine["seeds"]), int(other["seeds"])]
        cells += [f"{spread(other)} → {spread(mine)}", gain(mine)]
    labels = energies if energies == forces else f"{energies}/{forces}"
    cost = float(found["energy_mae"]["cost"])
    return f"| {data}, {labels} | {words} | {min(seeds)} | {' | '.join(cells)} | ×{cost:.2f} |"


def spread(row: dict[str, str]) -> str:
    """The mean with its interval; one seed has none."""
    return bracketed(*numbers(row, "mean", "low", "high"), form=".1f")


def gain(row: dict[str, str]) -> str:
    """How many times lower, bold where the table calls the difference shown."""
    ratio, low, high = numbers(row, "ratio", "ratio_low", "ratio_high")
    first, *others = bracketed(1 / ratio, 1 / high, 1 / low, form=".2f").split(" ")
    return " ".join([f"**{first}**" if row["shown"] in ("lower", "higher") else first, *others])


def numbers(row: dict[str, str], *names: str) -> list[float]:
    """Numbers of a row, nan where there is none."""
    return [float(row[name] or "nan") for name in names]


def own(row: dict[str, str]) -> bool:
    """Whether a row is about the test frames of the set itself, not of its other parts."""
    return row["part"] == (published_test(row["data"]) or row["data"])


def epsilons() -> list[str]:
    """Energy MAE over ε for both orders at weight 100, mean over the seeds."""
    rows = [r for r in read("epsilon-weight", "summary.csv") if r["quantity"] == "energy_mae"]
    pitc = [r for r in rows if r["method"] == "pitc" and float(r["pitc"]) == 100]
    grid = sorted({float(r["epsilon"]) for r in pitc})
    lines = ["| ε, Å | " + " | ".join(f"{e:g}" for e in grid) + " |", "|---" * (len(grid) + 1) + "|"]
    for order, words in (("1", "first order, energy MAE, meV"), ("2", "second order")):
        found = {float(r["epsilon"]): r for r in pitc if r["order"] == order}
        cells = [f"{float(found[e]['mean']):.0f}" if e in found else "" for e in grid]
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    supervised = next(r for r in rows if r["method"] == "supervised")
    seeds = min(int(r["seeds"]) for r in [*pitc, supervised])
    lines.append("")
    lines.append(f"(labels only: {float(supervised['mean']):.0f} meV; {seeds} seed{'s' * (seeds > 1)})")
    return lines


def read(study: str, name: str) -> list[dict[str, str]]:
    path = ROOT / "studies" / study / name
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
