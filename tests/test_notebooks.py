"""The stored notebooks are those of their sources, and `pytest --nbval` has something to compare."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
EVERY = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)

spec = importlib.util.spec_from_file_location("build_notebooks", ROOT / "tools" / "build_notebooks.py")
build_notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_notebooks)


def code_cells(source: Path) -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(ROOT / "notebooks" / f"{source.stem}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_source_for_every_notebook():
    assert [p.stem for p in SOURCES] == sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
    assert "00_quickstart" in [p.stem for p in SOURCES]


@EVERY
def test_notebook_is_current(source):
    assert build_notebooks.stale(source) is None, "run `make notebooks`"


@EVERY
def test_at_least_half_of_the_code_cells_have_an_output_that_nbval_compares(source):
    cells = code_cells(source)
    compared = [c for c in cells if c.outputs and "nbval-ignore-output" not in c.metadata.get("tags", [])]
    assert len(compared) >= len(cells) / 2


@EVERY
def test_no_error_and_no_warning_is_stored(source):
    for cell in code_cells(source):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


def test_a_changed_source_is_noticed(tmp_path, monkeypatch):
    """The check itself can fail: one changed character is enough."""
    source = SOURCES[0]
    changed = tmp_path / source.name
    changed.write_text(source.read_text(encoding="utf-8").replace("energy", "enargy", 1), encoding="utf-8")
    assert "does not hold the cells" in build_notebooks.stale(changed)
    monkeypatch.setattr(build_notebooks, "TARGET", tmp_path)
    assert "does not exist" in build_notebooks.stale(source)
