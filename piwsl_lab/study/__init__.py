"""Studies: grids of trainings, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piwsl_lab.support.faces import lazy

if TYPE_CHECKING:
    from piwsl_lab.study.cell import Setup, build_trainer, prepare, run, train
    from piwsl_lab.study.statistics import CLAIM_SEEDS, interval, ratio, verdict
    from piwsl_lab.study.toml_file import read

__all__ = [
    "CLAIM_SEEDS",
    "Setup",
    "build_trainer",
    "interval",
    "prepare",
    "ratio",
    "read",
    "run",
    "train",
    "verdict",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        **dict.fromkeys(("Setup", "build_trainer", "prepare", "run", "train"), "cell"),
        **dict.fromkeys(("CLAIM_SEEDS", "interval", "ratio", "verdict"), "statistics"),
        "read": "toml_file",
    },
)
