"""All lessons as a class has them: two busy loops beside, a page four times slower, hands on every knob and cell.

The same steps as in `test_browser_lessons`, which takes three of the lessons on a quiet machine.
"""

from __future__ import annotations

import shutil

import browser
import pytest
from lessons import LESSONS, ROOT, Lesson
from trials import missing

# What anywidget says when two seconds were not enough; the pictures listen nevertheless (`quirks.KEEP_LISTENING`), and
# every one of them has been looked at.
LATE = ("[anywidget] Failed to initialize model",)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_from_its_first_cell_to_its_last(name, tmp_path, monkeypatch):
    browser.require_chromium()
    shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", tmp_path)
    shutil.copytree(ROOT / "studies", tmp_path / "studies", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.setenv("PIWSL_LAB_PROGRESS", str(tmp_path / "piwsl-progress.json"))
    with (
        browser.jupyter_lab(tmp_path) as server,
        browser.browser_page(1280, 900) as page,
        browser.busy_loops(2),
        browser.throttled(page, 4),
    ):
        browser.open_notebook(page, server, f"{name}.ipynb")
        lesson = Lesson(page, name)
        lesson.run_all()
        for place in lesson.players():
            lesson.look(place, 120)
            if "Player:" in lesson.cells[place].outputs[0].data["text/plain"]:
                lesson.move_a_knob(place, 60)
        for key in lesson.tagged("build"):
            lesson.answer(key)
        assert not missing(page)
        errors = [error for error in browser.page_errors(page) if not any(part in error for part in LATE)]
        assert not errors, "\n".join(errors)
    assert (tmp_path / "piwsl-progress.json").exists() == bool(lesson.tagged("build"))
