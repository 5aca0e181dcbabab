"""Flying in a real Chromium: one cursor for plots and molecules, a tab that opens full-size, a pause that is obeyed."""

from __future__ import annotations

import os
from pathlib import Path

import browser
import numpy as np
import pytest
from test_browser_dashboard import CUT_LABELS, in_kernel, save_picture

pytestmark = pytest.mark.browser

CELLS = [
    """
from piwsl_lab.lab.panel import Dashboard
from piwsl_lab.lab.session import Session
from piwsl_lab.study import Setup
session = Session(Setup(channels=32, layers=2, steps=300, device="cpu"))
session.run()
panel = Dashboard(session)
panel
"""
]
PLOT = "[...document.querySelectorAll('.js-plotly-plot')].find(p => p.layout.shapes && p.layout.shapes.length > 1)"
HOVERED = "[...document.querySelectorAll('.js-plotly-plot .hoverlayer')].some(layer => layer.childElementCount)"
MARKER = f"() => {PLOT}.layout.shapes.find(s => s.name === 'cursor').x0"
# Positions in the three pictures, as the page draws them.
SHOWN = """() => [...document.querySelectorAll('*')].filter(e => e.piwsl && e.clientWidth).map(e => e.piwsl.shown())"""
PRESS = """([button, other]) => new Promise(done => {
    const find = text => [...document.querySelectorAll('button')].find(b => b.innerText.trim() === text);
    const began = performance.now();
    find(button).click();
    const look = () => find(other).disabled ? setTimeout(look, 5) : done(performance.now() - began);
    look();
})"""
IN_KERNEL_PLACES = (
    "[t.positions[t.at(1000 * {x})][panel.deck.replica.value].ravel().tolist() "
    "for t in panel.deck.session.tracks.values()]"
)
# Whether nglview's words for a picked atom can be seen, for every view in which an atom was picked.
PICKED_WORDS = """() => [...document.querySelectorAll("div")].filter((div) => !div.children.length
    && div.textContent.startsWith("Atom: ")).map((div) => getComputedStyle(div).display !== "none")"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    browser.require_chromium()
    root = tmp_path_factory.mktemp("flight")
    browser.write_notebook(root / "flight.ipynb", CELLS)
    with browser.jupyter_lab(root) as server, browser.browser_page(1500, 1900) as page:
        browser.open_notebook(page, server, "flight.ipynb")
        browser.run_all(page)
        page.wait_for_selector(".js-plotly-plot .scatterlayer .trace", state="attached", timeout=120_000)
        page.get_by_role("button", name="Fly", exact=True).first.click()
        page.wait_for_function(f"() => {PLOT}", timeout=30_000)
        page.wait_for_function(f"() => ({SHOWN})().filter(places => places.length).length === 3", timeout=30_000)
        yield page


def test_the_tab_opens_with_pictures_of_full_size(page):
    canvases = [c.bounding_box() for c in page.locator("canvas:visible").all()]
    large = [box for box in canvases if box and box["width"] > 200 and box["height"] > 200]
    assert len(large) == 3
    for canvas in page.locator("canvas:visible").all()[:3]:
        assert browser.pixel_stats(canvas).foreground > 500
    widths = page.evaluate(f"() => [{PLOT}.clientWidth, {PLOT}.querySelector('.main-svg').clientWidth]")
    assert widths[1] == pytest.approx(widths[0], abs=2)
    assert page.evaluate(CUT_LABELS) == []


def test_a_click_in_the_drift_plot_moves_every_picture_and_playing_moves_the_marker(page):
    buttons = page.locator("button:visible", has_text="Fly")
    buttons.nth(1).click()
    page.wait_for_function(f"() => {PLOT}.data[2].x.length > 60", timeout=60_000)
    milliseconds = page.evaluate(PRESS, ["Pause", "Fly"])
    assert milliseconds < 500
    page.wait_for_timeout(1500)  # what was under way is drawn

    def pictures_show(x: float) -> None:
        expected = in_kernel(page, IN_KERNEL_PLACES.format(x=x))

        def same() -> bool:
            shown = page.evaluate(SHOWN)
            return len(shown) == len(expected) == 3 and all(
                np.allclose(one, other, atol=2e-3) for one, other in zip(shown, expected, strict=True)
            )

        browser.eventually(page, same, f"every picture at the places of {x:g} ps")

    drag = page.locator(".js-plotly-plot:visible .nsewdrag").nth(1).bounding_box()
    place = drag["x"] + 0.3 * drag["width"], drag["y"] + 0.5 * drag["height"]
    before = page.evaluate(MARKER)
    page.mouse.move(*place)
    page.wait_for_function(f"() => {HOVERED}")
    page.mouse.click(*place)
    browser.eventually(page, lambda: page.evaluate(MARKER) != before, "a click moves the marker")
    x = page.evaluate(MARKER)
    end = page.evaluate(f"() => {PLOT}.layout.xaxis.range[1]")
    assert 0.2 * end < x < 0.4 * end
    pictures_show(x)

    at = drag["x"] + x / end * drag["width"]
    page.mouse.move(at, place[1])
    page.mouse.down()
    page.mouse.move(at + 0.2 * drag["width"], place[1] + 5, steps=8)
    page.mouse.up()
    browser.eventually(
        page, lambda: 0.15 * end < page.evaluate(MARKER) - x < 0.25 * end, "a drag takes the marker along"
    )
    x = page.evaluate(MARKER)
    pictures_show(x)

    page.locator(".widget-play button:visible").first.click()
    browser.eventually(page, lambda: x < page.evaluate(MARKER) < end, "playing moves the marker")
    page.locator(".widget-play button:visible").nth(1).click()


def test_a_clicked_atom_is_measured_and_forces_are_held_against_the_oracle(page):
    look = page.locator(".widget-inline-hbox:visible", has_text="show").last.locator("select")
    look.select_option(label="predicted and reference forces")
    page.wait_for_function("() => document.body.innerText.includes('reference force (wide, pale)')", timeout=20_000)
    box = page.locator("canvas:visible").first.bounding_box()
    measured = page.locator(".widget-text:visible", has_text="measure atoms").locator("input")
    before = measured.input_value()
    for down in range(-5, 6):  # an atom is somewhere in the middle
        for across in range(-5, 6):
            if measured.input_value() == before:
                page.mouse.click(
                    box["x"] + (0.5 + 0.06 * across) * box["width"], box["y"] + (0.5 + 0.06 * down) * box["height"]
                )
                page.wait_for_timeout(60)
    browser.eventually(page, lambda: measured.input_value() != before, "a clicked atom is among those measured")
    atoms = measured.input_value().split()
    title = f"() => {PLOT}.layout.yaxis4.title.text"
    browser.eventually(page, lambda: "-".join(atoms) in page.evaluate(title), "the plot names the atoms measured")
    browser.eventually(page, lambda: len(page.evaluate(f"() => {PLOT}.data[9].y")) > 5, "a curve of what is measured")
    # nglview's own words for what was picked name a residue: they may be there, but not to be seen.
    browser.eventually(page, lambda: page.evaluate(PICKED_WORDS) == [False], "no words of nglview's for a picked atom")
    assert page.evaluate(CUT_LABELS) == []
    assert browser.page_errors(page) == []
    if target := os.environ.get("PIWSL_LAB_SCREENSHOT"):
        area = page.locator(".jp-OutputArea-output").last.bounding_box()
        tab = page.get_by_role("button", name="Fly", exact=True).first.bounding_box()
        save_picture(page, Path(target).with_name("fly.png"), tab["y"] - area["y"] - 4)
