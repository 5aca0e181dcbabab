"""The style of a method in every figure of a study: the colour of its kind, and a symbol and dash of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from piwsl_lab.lab.parts.colours import COLOURS, OTHERS, potential_kind
from piwsl_lab.study.grid import Cell
from piwsl_lab.study.tables import Row
from piwsl_lab.study.toml_file import read

# The colour of a rival is that of the term it learns from; all other methods have the colour of their potential.
TERM_COLOURS = {"gradient": OTHERS[0], "curl": OTHERS[1], "noisy": OTHERS[2], "denoise": OTHERS[2], "weak": OTHERS[3]}
COLOUR = "colour"  # column of a row in memory, "#rrggbb"; no table on disk has it
# Symbol and dash of a method in every figure. What is held against a method for the same time of computing is dashed.
MARKS = {
    "supervised": ("circle", "solid"),
    "supervised-same-time": ("circle-open", "dash"),
    "supervised-energy": ("square-open", "dot"),
    "pitc": ("square", "solid"),
    "paper": ("pentagon", "dot"),
    "pisc": ("diamond-wide", "dash"),
    "gradient": ("star", "dash"),
    "curl": ("triangle-up", "solid"),
    "noisy": ("x", "solid"),
    "weak": ("triangle-down", "dot"),
    "denoise": ("cross", "dot"),
    "conservative": ("diamond", "solid"),
    "conservative-same-time": ("diamond-open", "dash"),
    "conservative-energy": ("diamond-tall-open", "dot"),
    "conservative-pitc": ("triangle-up", "solid"),
    "conservative-ensemble": ("x", "dot"),
    "dual": ("star", "solid"),
    "dual-ensemble": ("star-square", "dash"),
    "dual-pool": ("hexagon", "dash"),
    "dual-untied": ("cross", "dot"),
}
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "hexagon", "bowtie")
DASHES = ("solid", "dash", "dot", "dashdot")


def line_of(row: Row) -> str:
    """The legend's words: the method, and which output of it where its title does not begin with that."""
    return row["title"] if row["title"].startswith(row["output"]) else f"{row['title']} ({row['output']} forces)"


def method_colours(study: Path) -> dict[str, str]:
    """Colours "#rrggbb" of the methods of a study, by what its TOML file says of their head and weights.

    Raises
    ------
    ValueError
        The file cannot be read or makes no sense.
    """
    return dict(_method_colours(study.resolve(), study.stat().st_mtime_ns if study.is_file() else 0))


@lru_cache(maxsize=32)
def _method_colours(study: Path, _changed: int) -> dict[str, str]:
    cells: dict[str, list[Cell]] = {}
    for cell in read(study).cells:
        cells.setdefault(cell.method, []).append(cell)
    return {method: _cell_colour(found) for method, found in cells.items()}


def _cell_colour(cells: Sequence[Cell]) -> str:
    """The colour of a method with these cells: the grid may switch its terms off in some of them."""
    head, objectives = cells[0].setup.head, [cell.objective for cell in cells]
    terms = {name for name in ("pitc", "pisc", *TERM_COLOURS) if any(getattr(o, name) > 0 for o in objectives)}
    path = bool(terms & {"pitc", "pisc"})
    rival = next((name for name in TERM_COLOURS if name in terms), None)
    return COLOURS[potential_kind(head, path)] if head == "dual" or path or rival is None else TERM_COLOURS[rival]


def with_colours(rows: list[Row], study: Path) -> list[Row]:
    """Rows of a table of a study, each with the colour of its method; as they are where the file is not there."""
    if not study.is_file():
        return rows
    colours = method_colours(study)
    return [row | {COLOUR: colours[row["method"]]} if row["method"] in colours else row for row in rows]


def styles_of(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Colour, dash and marker of every line; no two lines of a figure are alike without colours.

    A method without a colour of its own, in rows that `with_colours` has not seen, gets a spare one.
    """
    # A second output of a method has its colour, dots and an open symbol.
    lines: dict[str, tuple[str, bool]] = {}
    colours: dict[str, str] = {}
    for row in rows:
        if COLOUR in row:
            colours[row["method"]] = row[COLOUR]
        lines.setdefault(line_of(row), (row["method"], any(m == row["method"] for m, _ in lines.values())))
    unknown = dict.fromkeys(method for method, _ in lines.values() if method not in colours)
    colours |= {method: OTHERS[k % len(OTHERS)] for k, method in enumerate(unknown)}
    marks: dict[str, tuple[str, str]] = {}
    # Methods with a mark of their own choose first, wherever they stand.
    for name, (method, again) in sorted(lines.items(), key=lambda line: line[1][0] not in MARKS):
        symbol, dash = MARKS.get(method, (SYMBOLS[0], DASHES[0]))
        wanted = (f"{symbol.removesuffix('-open')}-open", "dot") if again else (symbol, dash)
        free = [(s, d) for d in DASHES for s in SYMBOLS if (s, d) not in marks.values()]
        marks[name] = wanted if wanted not in marks.values() or not free else free[0]
    return {
        name: {
            "line": {"color": colours[method], "width": 2.5, "dash": marks[name][1]},
            "marker": {"symbol": marks[name][0], "size": 9},
        }
        for name, (method, _) in lines.items()
    }
