"""Writes figures.html from a study's summary.csv: ``python -m piwsl_lab.lab.figures.page FOLDER``.

It is also where the notebook of evidence finds all figures, and the words and tables beside them.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import plotly.graph_objects as go

from piwsl_lab.lab.figures.side_by_side import side_by_side
from piwsl_lab.lab.figures.study import axes_of, error_against_labels, ratio_bars, ratio_map, ratio_ticks
from piwsl_lab.lab.figures.study_style import method_colours, styles_of, with_colours
from piwsl_lab.lab.figures.survival import survival
from piwsl_lab.names import CONSISTENCY
from piwsl_lab.study import tables
from piwsl_lab.study.cell import TEST
from piwsl_lab.study.report import effect_words, unplain
from piwsl_lab.study.tables import (
    KNOWN_STUDY,
    Row,
    duels,
    find_studies,
    own_test,
    place,
    seed_factor,
    tally,
)
from piwsl_lab.support.files import describe_error, write_whole
from piwsl_lab.support.streams import spell_what_can_be

__all__ = [
    "KNOWN_STUDY",
    "duels",
    "effect_words",
    "error_against_labels",
    "figures",
    "find_studies",
    "main",
    "method_colours",
    "own_test",
    "page",
    "place",
    "ratio_bars",
    "ratio_map",
    "ratio_ticks",
    "read_summary",
    "read_table",
    "seed_factor",
    "side_by_side",
    "styles_of",
    "survival",
    "tally",
]
HEADLINES = ("energy_mae", "force_rmse")


def read_table(path: Path, study: Path | None = None) -> list[Row]:
    """Rows of one CSV file of a report, as `piwsl_lab.study.tables.read_table` reads them, with colours.

    Parameters
    ----------
    path : Path
    study : Path, optional
        The TOML file of the study, which says what each method is; by default the one beside the folder of `path`,
        of the same name.

    Raises
    ------
    ValueError
        There is no such table, or table or study are not as they were written.
    """
    folder = path.absolute().parent
    return with_colours(tables.read_table(path), study or folder.parent / f"{folder.name}.toml")


def read_summary(folder: Path, study: Path | None = None) -> list[Row]:
    """Rows of summary.csv in a results folder, as `read_table` gives them."""
    return read_table(folder / "summary.csv", study)


def figures(rows: Sequence[Row]) -> list[go.Figure]:
    """All figures that a summary has the numbers for."""
    made = []
    for quantity in HEADLINES:
        found = [row for row in rows if row["quantity"] == quantity and math.isfinite(row["mean"])]
        if not found:
            continue
        if not axes_of(found):
            lines = error_against_labels(found, quantity)
            made += [lines] if lines.data else []
        held = [row for row in found if math.isfinite(row["ratio"])]
        weights = [name for name in CONSISTENCY if name in axes_of(held)]
        if held and weights and "epsilon" in axes_of(held):
            made.append(ratio_map(held, quantity, weights[0]))
        elif held:
            made.append(ratio_bars(found, quantity))
    return made


def page(title: str, made: Iterable[go.Figure]) -> str:
    """One HTML page; plotly itself comes from the net."""
    parts = [
        f'<meta charset="utf-8"><title>{escape(title)}</title><h1 style="font-family:sans-serif">{escape(title)}</h1>'
    ]
    for k, figure in enumerate(made):
        # A fixed id, so that the same numbers give the same file.
        parts.append(figure.to_html(include_plotlyjs="cdn" if k == 0 else False, full_html=False, div_id=f"figure-{k}"))
    return "<!doctype html>\n" + "\n".join(parts) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write figures.html into a results folder."""
    parser = argparse.ArgumentParser(prog="python -m piwsl_lab.lab.figures.page", description=__doc__)
    parser.add_argument("folder", type=Path, help="where `piwsl-lab study report` wrote summary.csv")
    parser.add_argument("--study", type=Path, help="TOML file of the study; by default the one beside the folder")
    arguments = parser.parse_args(argv)
    spell_what_can_be()
    try:
        print(_write(arguments.folder, arguments.study), flush=True)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(describe_error(error), file=sys.stderr)
        return 1
    return 0


def _write(folder: Path, study: Path | None) -> Path:
    rows = read_summary(folder, study)
    made = figures([row for row in rows if row["kind"] == TEST])
    if (folder / "flights.csv").is_file():
        made.append(survival(read_table(folder / "flights.csv", study)))
    return write_whole(folder / "figures.html", page(_title(folder), made))


def _title(folder: Path) -> str:
    """Of the study, from its report; the name of the folder where there is none."""
    report = folder / "summary.md"
    if not report.is_file():
        return folder.name
    try:
        first = report.read_text(encoding="utf-8").partition("\n")[0]
    except UnicodeDecodeError as error:
        raise ValueError(f"{report}: is no text ({error}): make it anew with `piwsl-lab study report`") from None
    return unplain(first.removeprefix("# ").strip()) or folder.name
