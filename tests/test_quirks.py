"""Faults of other libraries: every entry is complete, and what it says is done."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from piwsl_lab.lab import quirks

TESTS = Path(__file__).parent


def extension(folder: Path, version: str) -> None:
    package = folder / quirks.NGLVIEW_EXTENSION
    package.mkdir(parents=True)
    (package / "package.json").write_text(f'{{"version": "{version}"}}')


@pytest.mark.parametrize("quirk", quirks.QUIRKS, ids=lambda quirk: f"{quirk.library} {quirk.versions}")
def test_every_entry_names_a_test_that_exists(quirk):
    assert all((quirk.library, quirk.versions, quirk.reason, quirk.remedy, quirk.until))
    file, name = quirk.test.removeprefix("tests/").split("::")
    assert f"def {name}(" in (TESTS / file).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("brought", "asked", "found"),
    [
        ("3.1.5", "4.0", ("4.0", "3.1.5")),
        ("4.0", "4.0", None),
        ("4.0.2", "4.0", None),
        ("4.01", "4.0", ("4.0", "4.01")),
        (None, "4.0", None),
        ("3.1.5", None, None),
    ],
)
def test_a_disagreement_within_nglview_is_found_only_where_there_is_one(tmp_path, monkeypatch, brought, asked, found):
    monkeypatch.setattr(quirks, "nglview_request", lambda: asked)
    if brought is not None:
        extension(tmp_path, brought)
    assert quirks.nglview_disagreement([tmp_path / "nowhere", tmp_path]) == found


def test_a_damaged_extension_is_no_version(tmp_path):
    extension(tmp_path, "3.1.5")
    (tmp_path / quirks.NGLVIEW_EXTENSION / "package.json").write_text("{")
    assert "unreadable" in quirks.front_end_version(quirks.NGLVIEW_EXTENSION, [tmp_path])
    assert quirks.nglview_disagreement([tmp_path]) is None


def test_nglview_asks_for_the_front_end_that_is_there():
    """In a Python of its own: the order of imports is what counts."""
    code = """
import sys
from piwsl_lab.lab import quirks, viewer
assert "nglview" not in sys.modules, "the viewer needs no widget of nglview"
asked = quirks.nglview_disagreement()
import nglview
there = quirks.front_end_version(quirks.NGLVIEW_EXTENSION, quirks.extension_folders())
print(nglview.NGLWidget()._model_module_version, asked[1] if asked else there)
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    there = quirks.front_end_version(quirks.NGLVIEW_EXTENSION, quirks.extension_folders())
    assert there is not None
    assert output == [there, there]


def test_colab_is_told_from_jupyter(monkeypatch):
    assert quirks.live_widgets_work()
    monkeypatch.setitem(sys.modules, "google.colab", object())
    assert not quirks.live_widgets_work()


def test_no_widget_library_is_imported_to_read_them():
    code = "import sys, piwsl_lab.lab.quirks; print(sorted({'nglview', 'plotly', 'ipywidgets'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
