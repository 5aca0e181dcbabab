"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def pytest_configure() -> None:
    """Hear Ctrl-C: a shell that starts a run in the background lets it ignore that, and its kernels too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with the files the catalog would download; PIWSL_LAB_DATA points there during the test."""
    folder = Path(os.environ.get("PIWSL_LAB_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no local mirror of the data sets: {folder} does not exist (set PIWSL_LAB_DATA)")
    monkeypatch.setenv("PIWSL_LAB_DATA", str(folder))
    return folder
