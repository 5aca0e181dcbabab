"""The style of a method in every figure of a study: the colour of its kind, and a symbol and dash of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from piwsl_lab.lab.parts.colours import COLOURS, CONSERVATIVE, CONSERVATIVE_PITC, DIRECT, DIRECT_PITC, DUAL, OTHERS
from piwsl_lab.study.tables import Row

# A family of methods has the colour of its kind; the longest beginning that fits decides. Rivals have spare colours.
FAMILIES = {
    "supervised": COLOURS[DIRECT],
    "direct": COLOURS[DIRECT],
    "direct-pitc": COLOURS[DIRECT_PITC],
    "pitc": COLOURS[DIRECT_PITC],
    "pisc": COLOURS[DIRECT_PITC],
    "paper": COLOURS[DIRECT_PITC],
    "conservative": COLOURS[CONSERVATIVE],
    "conservative-pitc": COLOURS[CONSERVATIVE_PITC],
    "dual": COLOURS[DUAL],
    "gradient": OTHERS[0],
    "curl": OTHERS[1],
    "noisy": OTHERS[2],
    "denoise": OTHERS[2],
    "weak": OTHERS[3],
}
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


def colour_of(method: str) -> str | None:
    """Colour of the family that a method belongs to by the beginning of its name; None for an unknown one."""
    known = [family for family in FAMILIES if method == family or method.startswith(f"{family}-")]
    return FAMILIES[max(known, key=len)] if known else None


def styles_of(rows: Iterable[Row]) -> dict[str, dict[str, Any]]:
    """Colour, dash and marker of every line: its kind's colour, and no two of a figure alike without colours."""
    # A second output of a method has its colour, dots and an open symbol.
    lines: dict[str, tuple[str, bool]] = {}
    for row in rows:
        lines.setdefault(line_of(row), (row["method"], any(m == row["method"] for m, _ in lines.values())))
    unknown = dict.fromkeys(method for method, _ in lines.values() if colour_of(method) is None)
    spare = {method: OTHERS[k % len(OTHERS)] for k, method in enumerate(unknown)}
    marks: dict[str, tuple[str, str]] = {}
    # Methods with a mark of their own choose first, wherever they stand.
    for name, (method, again) in sorted(lines.items(), key=lambda line: line[1][0] not in MARKS):
        symbol, dash = MARKS.get(method, (SYMBOLS[0], DASHES[0]))
        wanted = (f"{symbol.removesuffix('-open')}-open", "dot") if again else (symbol, dash)
        free = [(s, d) for d in DASHES for s in SYMBOLS if (s, d) not in marks.values()]
        marks[name] = wanted if wanted not in marks.values() or not free else free[0]
    return {
        name: {
            "line": {"color": colour_of(method) or spare[method], "width": 2.5, "dash": marks[name][1]},
            "marker": {"symbol": marks[name][0], "size": 9},
        }
        for name, (method, _) in lines.items()
    }
