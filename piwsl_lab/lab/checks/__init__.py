"""Checks of the course: what a lesson asks for, and the mistakes that it can name."""

from __future__ import annotations

from piwsl_lab.lab.checks.judge import Exercise, Judgement, Mistake, Probe, judge
from piwsl_lab.lab.checks.landscapes import FORCE, SLOPE
from piwsl_lab.lab.checks.progress import ProgressError, ProgressFile
from piwsl_lab.lab.checks.questions import QUESTIONS, Option, Question
from piwsl_lab.lab.checks.springs import BIAS, SOFTNESS
from piwsl_lab.lab.checks.statistics import BOOTSTRAP, EXPONENT
from piwsl_lab.lab.checks.taylor import PITC
from piwsl_lab.lab.checks.units import UNIT

CHECKS = {check.key: check for check in (FORCE, SLOPE, UNIT, EXPONENT, BOOTSTRAP, PITC, BIAS, SOFTNESS)}

__all__ = [
    "CHECKS",
    "QUESTIONS",
    "Exercise",
    "Judgement",
    "Mistake",
    "Option",
    "Probe",
    "ProgressError",
    "ProgressFile",
    "Question",
    "judge",
]
