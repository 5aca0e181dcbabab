"""The lessons of the taster in a real JupyterLab; `make soak` does the same with all six, under load."""

from __future__ import annotations

import os
import shutil

import pytest
from browser import browser_page, eventually, jupyter_lab, open_notebook, page_errors, require_chromium
from lessons import LESSONS, ROOT, Lesson

pytestmark = [pytest.mark.browser, pytest.mark.slow]
TASTER = ("00_quickstart", "06_taylors_promise", "07_what_the_loss_teaches")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    require_chromium()
    root = tmp_path_factory.mktemp("lessons")
    for name in LESSONS:
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", root)
    shutil.copytree(ROOT / "studies", root / "studies", ignore=shutil.ignore_patterns("runs"))
    before = os.environ.get("PIWSL_LAB_PROGRESS")
    os.environ["PIWSL_LAB_PROGRESS"] = str(root / "piwsl-progress.json")  # kernels inherit it
    with jupyter_lab(root) as server:
        yield server
    if before is None:
        del os.environ["PIWSL_LAB_PROGRESS"]
    else:
        os.environ["PIWSL_LAB_PROGRESS"] = before


@pytest.fixture(scope="module", params=TASTER)
def lesson(request, server):
    with browser_page(1280, 900) as page:
        open_notebook(page, server, f"{request.param}.ipynb")
        lesson = Lesson(page, request.param)
        lesson.run_all()
        yield lesson


def test_everything_that_moves_is_there(lesson):
    places = list(lesson.players())
    assert places
    for place in places:
        lesson.look(place)


def test_a_knob_changes_its_figure(lesson):
    players = [k for k in lesson.players() if "Player:" in lesson.cells[k].outputs[0].data["text/plain"]]
    for place in players:
        lesson.move_a_knob(place)


def test_a_prediction_is_committed_and_shown_beside_the_measurement(lesson):
    """Also after Run All: the text below the measurement is put in then."""
    place = next(k for k, cell in enumerate(lesson.cells) if cell.source.startswith("predict("))
    cell = lesson.cell(place)
    option = cell.locator(".widget-radio-box label").nth(1)
    words = option.inner_text()
    option.click()
    cell.get_by_role("button", name="Commit").click()
    reveal = next(k for k, cell in enumerate(lesson.cells) if cell.cell_type == "code" and "reveal(" in cell.source)
    shown = lesson.cell(reveal)
    eventually(
        lesson.page, lambda: f"Predicted: {words}" in shown.inner_text(), "the prediction beside the measurement"
    )


def test_a_measurement_waits_for_its_prediction(lesson):
    places = [k for k, cell in enumerate(lesson.cells) if "reveal" in cell.metadata.get("tags", [])]
    last = lesson.cell(places[-1])
    eventually(lesson.page, lambda: "Commit your prediction above" in last.inner_text(), "words that it waits")
    assert "Measured: " not in last.locator(".jp-OutputArea").first.inner_text()
    last.get_by_role("button", name="Show it anyway").click()
    eventually(lesson.page, lambda: "Measured: " in last.inner_text(), "the measurement")


def test_wrong_answers_are_told_their_mistake_and_right_ones_pass(lesson):
    for key in lesson.tagged("build"):
        lesson.answer(key)


def test_a_sentence_is_kept(lesson):
    place = next(k for k, cell in enumerate(lesson.cells) if cell.source.startswith("explain("))
    cell = lesson.cell(place)
    cell.locator("textarea").fill("Because the surface is curved.")
    cell.get_by_role("button", name="Keep").click()
    eventually(lesson.page, lambda: "Kept." in cell.inner_text(), "the sentence is kept")


def test_the_page_has_no_errors(lesson):
    assert page_errors(lesson.page) == []
