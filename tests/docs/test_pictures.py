"""What the site shows of the stored outputs of a notebook: `docs/pictures.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
WIDGET, PLOT = "application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"


@pytest.fixture
def pictures(monkeypatch):
    """The module of docs/, which is no part of the package."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import pictures

    yield pictures
    del sys.modules["pictures"]


def test_a_widget_is_shown_by_its_picture_or_by_a_sentence(pictures):
    widget = {WIDGET: {"model_id": "x"}, "text/plain": "VBox(children=(HTML(value=…"}
    assert pictures.shown({**widget, "image/png": "abc"}) == {"image/png": "abc"}
    assert pictures.shown(widget) == {"text/html": pictures.NO_PICTURE}
    assert pictures.shown({"text/plain": "1"}) == {"text/plain": "1"}


def test_a_plot_keeps_its_numbers_and_loads_its_library_from_the_site(pictures):
    plot = {"data": [{"type": "scatter", "y": [1.25, 2.5]}], "layout": {"title": {"text": "errors"}}}
    html = pictures.shown({PLOT: plot})["text/html"]
    assert "[1.25,2.5]" in html
    assert 'src="../_static/plotly.min.js"' in html
    assert "cdn" not in html


def test_what_jupyterlab_folds_is_folded_on_the_page(pictures):
    cell = nbformat.v4.new_code_cell("1", metadata={"jupyter": {"source_hidden": True}, "tags": ["plumbing"]})
    page = pictures.read(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    assert page.cells[0].metadata["tags"] == ["plumbing", "hide-input"]
    cell = nbformat.v4.new_code_cell("1", metadata={"jupyter": {"outputs_hidden": True}})
    page = pictures.read(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    assert page.cells[0].metadata["tags"] == ["hide-output"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_stored_output_has_something_to_show(pictures, path):
    stored = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    page = pictures.read(path.read_text(encoding="utf-8"))
    assert [len(cell.get("outputs", [])) for cell in page.cells] == [
        len(cell.get("outputs", [])) for cell in stored.cells
    ]
    for cell in page.cells:
        for output in cell.get("outputs", []):
            assert output.output_type == "stream" or set(output.data) & {
                "text/html",
                "image/png",
                "text/markdown",
                "text/plain",
            }
            assert WIDGET not in output.get("data", {})
