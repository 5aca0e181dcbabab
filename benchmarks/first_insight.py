"""First insight: how long a newcomer waits in notebook 00, in a real JupyterLab and in Voilà, in real Chromium.

    python benchmarks/first_insight.py [--only lab|voila] [--json OUT]

JupyterLab: *Run All*, then seconds from the start of the dashboard's cell until the stored run plays (points in the
page); then *Train* is pressed, and seconds until the verdict on the energy is decided, and what it says. Voilà: seconds
from the request until the first word of the notebook, and until the stored run plays. Meant for a quiet machine; the
load is printed beside.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat

from piwsl_lab.lab.sessions.replay import SECONDS

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from browser import browser_page, jupyter_lab, open_notebook, voila  # noqa: E402

NOTEBOOK = "00_quickstart.ipynb"
FIRST_WORDS = "Quickstart: fifty labels"
LONGEST = 300.0  # s
POINTS = """() => [...document.querySelectorAll('.js-plotly-plot')].reduce((all, plot) => all +
    (plot.data || []).reduce((sum, trace) => sum + ((trace.x && trace.x.length) || 0), 0), 0)"""
HEADLINE = "() => (document.querySelector('.piwsl-headline') || {}).innerText || ''"
DECIDED = re.compile(r"energy error ([\d.]+)× (lower|higher)")


def until(page: Any, condition: Callable[[], Any], what: str) -> tuple[float, Any]:
    """Look twenty times a second until there is something; the time when it was seen, and what."""
    deadline = time.time() + LONGEST
    while not (found := condition()):
        if time.time() > deadline:
            raise TimeoutError(f"not within {LONGEST:.0f} s: {what}")
        page.wait_for_timeout(50)
    return time.time(), found


def growth(page: Any, first: int) -> float:
    """When there are more points than at first; nan where the stored run was over before anybody could see it."""
    deadline = time.time() + SECONDS + 2
    while page.evaluate(POINTS) <= first:
        if time.time() > deadline:
            return math.nan
        page.wait_for_timeout(50)
    return time.time()


def copy_with_clock(folder: Path) -> int:
    """The notebook in a folder, with a clock in the dashboard's cell; the cell's number."""
    notebook = nbformat.read(ROOT / "notebooks" / NOTEBOOK, as_version=4)
    (k,) = [k for k, c in enumerate(notebook.cells) if c.cell_type == "code" and c.source.startswith("Dashboard(")]
    clock = f"import pathlib, time; pathlib.Path({str(folder / 'began')!r}).write_text(repr(time.time()))\n"
    notebook.cells[k].source = clock + notebook.cells[k].source
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    nbformat.write(notebook, folder / NOTEBOOK)
    return k


def in_lab() -> dict[str, float | str]:
    with tempfile.TemporaryDirectory(prefix="piwsl-lab-insight-") as name:
        folder = Path(name)
        cell = copy_with_clock(folder)
        with jupyter_lab(folder) as server, browser_page(1280, 800) as page:
            open_notebook(page, server, NOTEBOOK)
            pressed = time.time()
            page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
            until(page, (folder / "began").exists, "the dashboard's cell began")
            page.evaluate(f"() => {{ jupyterapp.shell.currentWidget.content.scrollToItem({cell}, 'start'); }}")
            seen, first = until(page, lambda: page.evaluate(POINTS), "points in the page")
            grown = growth(page, first)
            began = float((folder / "began").read_text())
            said = page.evaluate(HEADLINE)
            train = page.locator("button", has_text="Train").first
            train.click()
            clicked = time.time()

            def live() -> re.Match | None:
                words = page.evaluate(HEADLINE)
                return None if "stored" in words.lower() else DECIDED.search(words)

            decided, found = until(page, live, "a decided verdict of the live run")
    return {
        "run_all_to_dashboard_s": began - pressed,
        "dashboard_to_points_s": seen - began,
        "dashboard_to_more_points_s": grown - began,
        "stored_says": said,
        "train_to_verdict_s": decided - clicked,
        "live_says": found[0],
    }


def in_voila() -> dict[str, float | str]:
    with tempfile.TemporaryDirectory(prefix="piwsl-lab-insight-") as name:
        notebook = Path(name) / NOTEBOOK
        shutil.copy(ROOT / "notebooks" / NOTEBOOK, notebook)
        with voila(notebook) as server, browser_page(1280, 800) as page:
            asked = time.time()
            page.goto(f"{server.url}/?token={server.token}", wait_until="commit", timeout=1000 * LONGEST)
            words = f"() => (document.body || {{}}).innerText?.includes({FIRST_WORDS!r}) || false"
            read, _ = until(page, lambda: page.evaluate(words), "the first words")
            seen, first = until(page, lambda: page.evaluate(POINTS), "points in the page")
            grown = growth(page, first)
    return {
        "request_to_first_word_s": read - asked,
        "request_to_points_s": seen - asked,
        "request_to_more_points_s": grown - asked,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("lab", "voila"))
    parser.add_argument("--json", metavar="OUT")
    arguments = parser.parse_args()
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        print("no chromium on PATH (Debian: apt-get install chromium): nothing was measured")
        return
    found: dict[str, Any] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    print(f"{found['cores']} cores, load {found['load']:.1f} before the start")
    for name, measure in (("lab", in_lab), ("voila", in_voila)):
        if arguments.only in (None, name):
            found[name] = measure()
            for key, value in found[name].items():
                print(f"{name:6} {key:28} {value if isinstance(value, str) else f'{value:.1f}'}", flush=True)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
