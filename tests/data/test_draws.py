"""The draws of all catalogued sets stay: they say on which frames the stored numbers were trained and tested."""

from __future__ import annotations

import json

import draws
import pytest

from piwsl_lab.data import datasets, load
from piwsl_lab.data.frames.duplicates import duplicate_groups
from piwsl_lab.study import task

STORED = json.loads(draws.STORED.read_text("utf-8"))
EMBEDDED = {entry.name for entry in datasets() if entry.embedded}


@pytest.fixture
def ready(name: str, request: pytest.FixtureRequest) -> None:
    """Only sets that are not in the package need the mirror."""
    if name.partition(":")[0] not in EMBEDDED:
        request.getfixturevalue("mirror")


def test_every_catalogued_set_has_stored_draws() -> None:
    assert list(STORED["splits"]) == draws.NAMES
    assert list(STORED["runs"]) == [entry.name for entry in datasets()]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", draws.NAMES)
def test_only_exact_copies_are_within_the_tolerance_of_copies(name: str) -> None:
    exact: dict[tuple[bytes, ...], int] = {}
    data = load(name)
    keys = [tuple(a.tobytes() for a in (f.numbers, f.positions, f.cell, f.pbc)) for f in data]
    assert duplicate_groups(data).tolist() == [exact.setdefault(key, len(exact)) for key in keys]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", draws.NAMES)
def test_splits_and_budgets_draw_the_stored_frames(name: str) -> None:
    assert draws.splits(name) == STORED["splits"][name]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", [entry.name for entry in datasets()])
def test_runs_draw_the_stored_frames(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert draws.runs(name, lambda key, value: monkeypatch.setattr(task, key, value)) == STORED["runs"][name]
