"""Options of the soak, its line for every trial, its table at the end."""

from __future__ import annotations

import csv
import os
import statistics
from pathlib import Path

import pytest
from trials import Trial

TRIALS = "PIWSL_LAB_SOAK_TRIALS"


def pytest_addoption(parser):
    group = parser.getgroup("soak")
    group.addoption(
        "--trials", type=int, default=int(os.environ.get(TRIALS, "10")), help=f"trials of every scene, or {TRIALS}"
    )
    group.addoption("--soak-csv", type=Path, help="write every trial into this table")
    group.addoption("--patience", type=float, default=90.0, help="seconds a trial may take until all is right")


def pytest_configure(config):
    config.stash[_TRIALS] = []


_TRIALS = pytest.StashKey[list]()


@pytest.fixture
def record(pytestconfig):
    """Note a trial and print its line, whether pytest captures or not."""

    def note(trial: Trial) -> None:
        pytestconfig.stash[_TRIALS].append(trial)
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(f"\n{trial.line()}", end="", flush=True)
        if target := pytestconfig.getoption("--soak-csv"):
            _write(target, pytestconfig.stash[_TRIALS])

    return note


def _write(path: Path, trials: list[Trial]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(Trial._fields)
        table.writerows((*t[:2], f"{t.seconds:.1f}", *t[3:]) for t in trials)


def pytest_terminal_summary(terminalreporter, config):
    trials = config.stash[_TRIALS]
    if not trials:
        return
    terminalreporter.section("soak")
    for scene in dict.fromkeys(trial.scene for trial in trials):
        own = [trial for trial in trials if trial.scene == scene]
        seconds = [trial.seconds for trial in own if not trial.wrong]
        words = f"median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s" if seconds else "never right"
        terminalreporter.write_line(f"{scene:24} {len(seconds):3} of {len(own)} right, {words}")
