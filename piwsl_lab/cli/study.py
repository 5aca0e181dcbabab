"""``piwsl-lab study``: run the grid of a TOML file, list its cells, make the report.

`add` hooks the command into the command line. Modules that need torch are imported by the action that uses them.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from piwsl_lab.support.signals import FAILED, INTERRUPTED
from piwsl_lab.support.streams import say, tell

if TYPE_CHECKING:
    from piwsl_lab.study.engine import StudyProgress
    from piwsl_lab.study.grid import Cell, Study
    from piwsl_lab.study.store import Store

ACTIONS = ("run", "report", "list")
REDRAW = 0.5  # s between two drawings of the table


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    parser.usage = "piwsl-lab study [run|list|report] STUDY.toml [options]"
    parser.description = (
        "Run every cell of a study that has no result yet. A study that was stopped or killed goes on where it was; "
        "cells added to the file are run, finished ones are kept."
    )
    parser.add_argument("words", nargs="+", metavar="STUDY.toml", help="the study; before it run, list or report")
    parser.add_argument("--workers", type=int, default=None, help="trainings at the same time (one a core)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="results (next to the file, without .toml)")
    parser.add_argument(
        "--only", action="append", default=[], metavar="KEY=VALUE[,VALUE]", help="only these cells; can be repeated"
    )
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="stop after this time")
    parser.add_argument("--retry", action="store_true", help="run failed cells again")


def run(arguments: argparse.Namespace) -> int:
    """Do one action; 0 when it worked, 1 when runs have failed, 130 when it was interrupted: runs in hand are kept."""
    words = arguments.words if len(arguments.words) > 1 else ["run", *arguments.words]
    if len(words) != 2 or words[0] not in ACTIONS:
        raise ValueError(f"study {' '.join(arguments.words)}: write study [{'|'.join(ACTIONS)}] STUDY.toml")
    from piwsl_lab.study.store import Store
    from piwsl_lab.study.toml_file import read

    study = read(words[1])
    store = Store(arguments.out or study.folder)
    _check_folder(store, words[0], arguments)
    if words[0] == "report":
        return _report(study, store)
    cells = study.select(arguments.only) if arguments.only else list(study.cells)
    return _list(cells, store) if words[0] == "list" else _run(study, cells, store, arguments)


def _check_folder(store: Store, action: str, arguments: argparse.Namespace) -> None:
    """A folder that was mistyped is no folder of results, and a file is none either."""
    if store.folder.exists() and not store.folder.is_dir():
        raise ValueError(f"{store.folder}: is no folder; name one with --out")
    if action == "report" and arguments.out and not store.runs.is_dir():
        raise ValueError(f"--out {store.folder}: holds no run of a study; run it first, or name the folder of its runs")
    limit = arguments.limit
    if limit is not None and not 0 < limit < math.inf:
        raise ValueError(f"--limit {limit:g}: must be a finite number of seconds above 0")


def _report(study: Study, store: Store) -> int:
    from piwsl_lab.study.report import write_report

    for path in write_report(study, store):
        print(path)
    if find_spec("plotly") is None or find_spec("ipywidgets") is None:
        print('Figures need the laboratory: pip install "piwsl-lab[lab]"')
        return 0
    # By its command and not by an import: only a function that is asked for figures may start the laboratory.
    return subprocess.run(
        [sys.executable, "-m", "piwsl_lab.lab.figures.page", str(store.folder), "--study", str(study.path)],
        check=False,
    ).returncode


def _list(cells: Sequence[Cell], store: Store) -> int:
    from piwsl_lab.study.engine import progress_of

    progress = progress_of(cells, store)
    marks = {"done": "done", "failed": "FAILED", "waiting": "-"}
    for cell in cells:
        print(f"{marks[progress.state[cell.key]]:<7} {cell.title}")
    print(f"{progress.count('done')} of {len(cells)} done, {progress.count('failed')} failed")
    return 0


def _run(study: Study, cells: Sequence[Cell], store: Store, arguments: argparse.Namespace) -> int:
    from piwsl_lab.study.engine import run_cells

    table = Table(study)
    # Children of this process inherit it, and a core each is what the numbers and the time left assume.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = cores if arguments.workers is None else arguments.workers
    try:
        progress = run_cells(
            cells,
            store,
            workers=workers,
            retry=arguments.retry,
            limit=arguments.limit,
            watch=table.watch,
            study=study.path,
        )
    except KeyboardInterrupt:
        tell("")
        say(f"interrupted; the same command goes on with what is in {store.folder}")
        return INTERRUPTED
    table.close(progress)
    left = progress.count("waiting") + progress.count("running")
    print(f"{progress.count('done')} of {len(cells)} cells done, {progress.count('failed')} failed, {left} left")
    print(f"Report: piwsl-lab study report {study.path}" + (f" --out {arguments.out}" if arguments.out else ""))
    return FAILED if progress.count("failed") else 0


class Table:
    """Method by method, how many cells are done: drawn in place on a terminal, news line by line elsewhere.

    Parameters
    ----------
    study : Study
    out : text file
        Standard error by default.
    """

    def __init__(self, study: Study, out: TextIO | None = None) -> None:
        self.study, self.out = study, out or sys.stderr
        self.live = self.out is not None and self.out.isatty()
        self.height = 0
        self.drawn = 0.0

    def watch(self, progress: StudyProgress, news: str) -> None:
        """What the engine calls after every event."""
        if not self.live:
            if news:
                tell(f"[{summary(progress)}] {news}", self.out)
            return
        if "failed" in news or "tried again" in news:
            self._erase()
            tell(news, self.out)
        elif time.monotonic() - self.drawn < REDRAW:
            return
        self._draw(progress)

    def close(self, progress: StudyProgress) -> None:
        """Draw the last state."""
        if self.live:
            self._draw(progress)

    def _draw(self, progress: StudyProgress) -> None:
        self._erase()
        rows = lines(self.study, progress)
        try:
            columns = os.get_terminal_size(self.out.fileno()).columns or 80  # 0 where nobody knows
        except OSError:  # the terminal was closed; the study goes on
            self.live = False
            return
        tell("\n".join(row[: columns - 1] for row in rows), self.out)
        self.height, self.drawn = len(rows), time.monotonic()

    def _erase(self) -> None:
        if self.height:
            tell(f"\x1b[{self.height}F\x1b[J", self.out, end="")
        self.height = 0


def lines(study: Study, progress: StudyProgress) -> list[str]:
    """The table as text."""
    states = ("done", "running", "failed", "waiting")
    names = [m for m in study.methods if any(c.method == m.name for c in progress.cells)]
    width = max(len("method"), *(len(m.title) for m in names))
    rows = [f"{'method':<{width}}  " + "  ".join(f"{state:>7}" for state in states)]
    for method in names:
        counts = [progress.count(state, method.name) for state in states]
        rows.append(f"{method.title:<{width}}  " + "  ".join(f"{count or '·':>7}" for count in counts))
    for cell in progress.cells:
        if progress.state[cell.key] == "running":
            step, steps = progress.steps.get(cell.key, (0, cell.setup.steps))
            rows.append(f"  {cell.title}: step {step} of {steps}")
    return [*rows, summary(progress)]


def summary(progress: StudyProgress) -> str:
    """The state in one line: "12 of 60 cells, about 8 min left"."""
    left = progress.seconds_left()
    ending = "" if left is None else ", finished" if left == 0 else f", about {duration(left)} left"
    return f"{progress.count('done')} of {len(progress.cells)} cells{ending}"


def duration(seconds: float) -> str:
    """Time as people say it: 40 s, 8 min, 2 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
