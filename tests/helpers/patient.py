"""Trainings that end by validation at a known step: the first validation stays the best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study import task
from piwsl_lab.study.setup import Setup
from piwsl_lab.training.trainer import Trainer

ROOMS = (
    "piwsl_lab.study.cell",
    "piwsl_lab.study.teachers",
    "piwsl_lab.study.compare",
    "piwsl_lab.lab.sessions.training",
)


def impatient(monkeypatch: pytest.MonkeyPatch, last: Callable[[Setup, Objective], int]) -> None:
    """Let trainings validate at every step and end at the step that `last` says; 0 is for those that do not end so."""
    build = task.build_trainer

    def built(setup: Setup, frames: Any, objective: Objective) -> Trainer:
        trainer = build(setup, frames, objective)
        # The first step is the best: so many validations come after it in vain.
        trainer.settings |= {"validate_every": 1, "patience": max(last(setup, objective) - 1, 0)}
        return trainer

    monkeypatch.setattr("piwsl_lab.training.trainer.is_better", lambda metrics, best, *_: best is None)
    # The task last: the others take theirs from it when they are loaded.
    for room in (*ROOMS, "piwsl_lab.study", "piwsl_lab.study.task"):
        monkeypatch.setattr(f"{room}.build_trainer", built)
