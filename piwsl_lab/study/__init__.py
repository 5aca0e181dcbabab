"""Studies: grids of trainings, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piwsl_lab.support.faces import lazy

if TYPE_CHECKING:
    from piwsl_lab.study.cell import run, train
    from piwsl_lab.study.compare import compare_methods, rival
    from piwsl_lab.study.engine import run_cells
    from piwsl_lab.study.grid import Cell, Method, Study
    from piwsl_lab.study.report import write_report
    from piwsl_lab.study.setup import Setup
    from piwsl_lab.study.statistics import CLAIM_SEEDS, difference, interval, ratio, verdict
    from piwsl_lab.study.store import Store
    from piwsl_lab.study.task import Task, build_trainer, prepare
    from piwsl_lab.study.toml_file import read

__all__ = [
    "CLAIM_SEEDS",
    "Cell",
    "Method",
    "Setup",
    "Store",
    "Study",
    "Task",
    "build_trainer",
    "compare_methods",
    "difference",
    "interval",
    "prepare",
    "ratio",
    "read",
    "rival",
    "run",
    "run_cells",
    "train",
    "verdict",
    "write_report",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "Setup": "setup",
        **dict.fromkeys(("Task", "build_trainer", "prepare"), "task"),
        **dict.fromkeys(("run", "train"), "cell"),
        **dict.fromkeys(("compare_methods", "rival"), "compare"),
        **dict.fromkeys(("Cell", "Method", "Study"), "grid"),
        "read": "toml_file",
        "Store": "store",
        "run_cells": "engine",
        **dict.fromkeys(("CLAIM_SEEDS", "difference", "interval", "ratio", "verdict"), "statistics"),
        "write_report": "report",
    },
)
