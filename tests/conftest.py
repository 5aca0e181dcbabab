"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with the files the catalog would download; PIWSL_LAB_DATA points there during the test."""
    folder = Path(os.environ.get("PIWSL_LAB_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no local mirror of the data sets: {folder} does not exist (set PIWSL_LAB_DATA)")
    monkeypatch.setenv("PIWSL_LAB_DATA", str(folder))
    return folder
