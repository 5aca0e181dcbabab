"""Flying in a real Chromium: all of it on one screen, one cursor for plots and molecules, and F5 at any moment."""

from __future__ import annotations

import os
from pathlib import Path

import browser
import numpy as np
import pytest
from test_browser_dashboard import CUT_LABELS, in_kernel, save_picture

pytestmark = pytest.mark.browser

TRAIN = """
from piwsl_lab.data import Oracle
from piwsl_lab.lab.panels.md import FlightDeck
from piwsl_lab.lab.sessions.md import FlightSession
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.study.setup import Setup
training = Session(Setup(channels=16, layers=1, steps=80, device="cpu"))
training.run()
a, b = (twin.potential for twin in training.twins)
"""
# What a class looks at: two pilots and the reference, and four pilots.
DECK = """
pilots = {{{pilots}, "GFN2-xTB": Oracle()}}
flight = FlightSession(pilots, training.test_frames[0], reference=list(training.task.test), temperature=500.0)
deck = FlightDeck(flight)
deck
"""
TWO = DECK.format(pilots='"supervised": a, "PIWSL": b')
FOUR = DECK.format(pilots='"direct": a, "direct + PITC": b, "conservative": a')
# px of an output area. JupyterLab leaves 850 (beside its side bar) or 1100 × 600 of a projector's 1280 × 720.
PROJECTOR = 600
PLOT = "document.querySelector('.piwsl-deck .js-plotly-plot')"
HOVERED = "[...document.querySelectorAll('.js-plotly-plot .hoverlayer')].some(layer => layer.childElementCount)"
MARKERS = f"() => [...new Set({PLOT}.layout.shapes.filter(s => s.name === 'cursor').map(s => s.x0))]"
POINTS = f"() => {PLOT}.data.map(trace => trace.x.length)"
IN_PYTHON = "[len(trace.x) for trace in deck.plots.figure.data]"
# Positions in the pictures, as the page draws them.
SHOWN = """() => [...document.querySelectorAll('.piwsl-deck *')].filter(e => e.piwsl && e.clientWidth)
    .map(e => e.piwsl.shown())"""
PLACES = "[t.positions[t.at(1000 * {x})][deck.replica.value].ravel().tolist() for t in flight.tracks.values()]"
# Tops of what stands in the rows, and of the columns of pictures: one each where nothing wraps.
WRAPPED = """() => [...document.querySelectorAll('.piwsl-deck .piwsl-deck-row, .piwsl-deck .widget-gridbox')]
    .map(row => [...row.children].filter(e => e.clientHeight).map(e => e.getBoundingClientRect()))
    .filter(boxes => Math.max(...boxes.map(b => b.top)) >= Math.min(...boxes.map(b => b.bottom))).length"""
# What is wider than its place or sticks out of the deck.
CUT = """() => { const deck = document.querySelector('.piwsl-deck').getBoundingClientRect();
    return [...document.querySelectorAll('.piwsl-deck *')].filter(e => e.clientWidth && e.closest('.modebar') === null
        && e.getBoundingClientRect().right > deck.right + 1).map(e => e.className.toString()); }"""
# What a hand has to move a slider on, px.
TRACKS = """() => Math.min(...[...document.querySelectorAll('.piwsl-deck > .piwsl-deck-row .noUi-base')]
    .map(e => e.clientWidth))"""
HEIGHTS = "() => [...document.querySelector('.piwsl-deck').children].map(e => e.getBoundingClientRect().height)"
TEXTS = f"""() => [...{PLOT}.querySelectorAll('.annotation-text, .xtitle, .modebar-group')]
    .map(e => e.getBoundingClientRect()).map(b => [b.left, b.top, b.right, b.bottom])"""
PRESS = """([button, other]) => new Promise(done => {
    const find = text => [...document.querySelectorAll('button')].find(b => b.innerText.trim() === text);
    const began = performance.now();
    find(button).click();
    const look = () => find(other).disabled ? setTimeout(look, 5) : done(performance.now() - began);
    look();
})"""


def deck_height(page) -> float:
    return page.locator(".piwsl-deck").bounding_box()["height"]


def into_view(page) -> None:
    page.locator(".piwsl-deck").evaluate("e => e.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(500)


def press(page, name: str) -> None:
    page.locator(".piwsl-deck button:visible", has_text=name).first.click()


def fly(page, points: int) -> None:
    press(page, "Fly")
    page.wait_for_function(f"() => {PLOT}.data[0].x.length > {points}", timeout=60_000)


def all_there(page) -> None:
    """Every point of every curve, and every atom where it is."""
    browser.eventually(page, lambda: page.evaluate(POINTS) == in_kernel(page, IN_PYTHON), "all points in the page", 60)
    assert page.locator(".piwsl-plot-words:visible").count() == 0  # no plot says that it cannot be drawn
    x = in_kernel(page, "deck._moment / 1000")
    pictures_show(page, x)
    for canvas in page.locator(".piwsl-deck canvas:visible").all():
        browser.eventually(
            page, lambda at=canvas: browser.pixel_stats(at).foreground > 400, "a molecule in each picture"
        )


def pictures_show(page, x: float) -> None:
    expected = in_kernel(page, PLACES.format(x=x))

    def same() -> bool:
        shown = page.evaluate(SHOWN)
        return len(shown) == len(expected) and all(
            len(one) == len(other) and np.allclose(one, other, atol=2e-3)
            for one, other in zip(shown, expected, strict=True)
        )

    browser.eventually(page, same, f"every picture at the places of {x:g} ps", 60)


def fits(page, room: float) -> None:
    """The deck has come to rest within so many pixels, no row of it is wrapped and no word cut."""
    browser.eventually(
        page,
        lambda: deck_height(page) <= room and page.evaluate(WRAPPED) == 0 and page.evaluate(CUT) == [],
        f"a deck of at most {room:g} px, without wrapped rows and cut words",
        10,
    )


def side_bar(page, opened: bool) -> None:
    if page.evaluate("() => jupyterapp.shell.leftCollapsed") == opened:
        browser.command(page, "application:toggle-left-area")
    page.wait_for_timeout(1000)


def take_picture(page, name: str) -> None:
    """For whoever looks at the deck: PIWSL_LAB_SCREENSHOT_FOLDER=folder."""
    if folder := os.environ.get("PIWSL_LAB_SCREENSHOT_FOLDER"):
        into_view(page)
        page.screenshot(path=Path(folder, f"{name}.png"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    browser.require_chromium()
    root = tmp_path_factory.mktemp("flight")
    browser.write_notebook(root / "flight.ipynb", [TRAIN + TWO])
    browser.write_notebook(root / "four.ipynb", [TRAIN + FOUR])
    with browser.jupyter_lab(root) as server, browser.browser_page(1280, 720) as page:
        page.server = server
        browser.open_notebook(page, server, "flight.ipynb")
        browser.run_all(page)
        page.wait_for_selector(".piwsl-deck .js-plotly-plot .scatterlayer .trace", state="attached", timeout=120_000)
        yield page


def test_all_of_it_is_on_one_screen_of_a_projector(page):
    all_there(page)
    for opened in (True, False):
        side_bar(page, opened)
        for more in (False, True):
            fits(page, PROJECTOR)
            assert page.evaluate(CUT_LABELS) == [], (opened, more)
            assert page.evaluate(TRACKS) >= 60, (opened, more)
            take_picture(page, f"fly-side-bar-{opened}-more-{more}")
            press(page, "More")
            page.wait_for_timeout(700)
    boxes = [canvas.bounding_box() for canvas in page.locator(".piwsl-deck canvas:visible").all()]
    assert len(boxes) == 3
    assert min(min(box["width"], box["height"]) for box in boxes) >= 150
    *texts, bar = page.evaluate(TEXTS)
    for left, top, right, bottom in texts:  # the tool bar lies on no title
        assert right <= bar[0] or bar[2] <= left or bottom <= bar[1] or bar[3] <= top


def test_nothing_jumps_when_it_flies_and_the_view_follows(page):
    before = page.evaluate(HEIGHTS)
    fly(page, 40)
    assert page.evaluate(HEIGHTS) == before
    last = page.evaluate(MARKERS)[0]
    browser.eventually(page, lambda: page.evaluate(MARKERS)[0] > last, "the marker goes with the flight")
    in_kernel(page, "[setattr(deck, '_said', 'words ' * 100), deck._draw_words(), 0][2]")
    page.wait_for_timeout(300)
    assert page.evaluate(HEIGHTS) == before
    assert in_kernel(page, "deck.follow.value")  # no slider of the page has answered with an old moment
    assert page.evaluate(PRESS, ["Pause", "Fly"]) < 1000  # two cores, a browser and a quantum method beside
    all_there(page)
    assert page.evaluate(HEIGHTS) == before


def test_a_click_in_a_curve_moves_every_picture_and_playing_moves_the_marker(page):
    (end,) = page.evaluate(MARKERS)
    into_view(page)
    drag = page.locator(".piwsl-deck .js-plotly-plot .nsewdrag").nth(3).bounding_box()
    place = drag["x"] + 0.3 * drag["width"], drag["y"] + 0.5 * drag["height"]
    page.mouse.move(*place)
    page.wait_for_function(f"() => {HOVERED}")
    page.mouse.click(*place)
    browser.eventually(page, lambda: page.evaluate(MARKERS) != [end], "a click moves the marker")
    (x,) = page.evaluate(MARKERS)  # one for all four panels
    right = page.evaluate(f"() => {PLOT}.layout.xaxis.range[1]")
    assert 0.2 * right < x < 0.4 * right
    pictures_show(page, x)

    at = drag["x"] + x / right * drag["width"]
    page.mouse.move(at, place[1])
    page.mouse.down()
    page.mouse.move(at + 0.2 * drag["width"], place[1] + 5, steps=8)
    page.mouse.up()
    browser.eventually(
        page,
        lambda: len(page.evaluate(MARKERS)) == 1 and 0.15 * right < page.evaluate(MARKERS)[0] - x < 0.25 * right,
        "a drag takes the markers of all panels along",
    )
    (x,) = page.evaluate(MARKERS)
    pictures_show(page, x)
    play_from(page, x, end)


def play_from(page, x: float, end: float) -> None:
    play = page.locator(".piwsl-deck .widget-play button:visible")
    play.first.click()
    browser.eventually(page, lambda: x < page.evaluate(MARKERS)[0] <= end, "playing moves the marker")
    play.first.click()
    page.wait_for_timeout(500)
    (now,) = page.evaluate(MARKERS)
    pictures_show(page, now)


def test_after_f5_the_deck_is_there_again_and_flies_on(page):
    browser.save_notebook(page)
    press(page, "Fly")
    for _ in range(2):
        page.reload()
        page.wait_for_selector(".piwsl-deck .js-plotly-plot .scatterlayer .trace", state="attached", timeout=90_000)
        now = page.evaluate(POINTS)[0]
        browser.eventually(page, lambda now=now: page.evaluate(POINTS)[0] > now, "it flies on, and is seen to", 60)
    page.wait_for_function("() => jupyterapp.shell.currentWidget.context.sessionContext.session.kernel", timeout=60_000)
    press(page, "Pause")
    browser.eventually(page, lambda: not in_kernel(page, "flight.running"), "the buttons act")
    all_there(page)
    end = in_kernel(page, "deck._moment / 1000")
    in_kernel(page, f"[deck.go_to({0.5 * end}), 0][1]")
    (x,) = page.evaluate(MARKERS)
    play_from(page, x, end)


def test_a_clicked_atom_is_measured_and_forces_are_held_against_the_oracle(page):
    in_kernel(page, "[setattr(deck.follow, 'value', False), deck.go_to(0.0), 0][2]")  # atoms where they began
    side_bar(page, False)
    press(page, "More")
    look = page.locator(".piwsl-deck .widget-dropdown:visible", has_text="show").locator("select")
    look.select_option(label="predicted and reference forces")
    page.get_by_label("colour by force error").locator("visible=true").check()
    page.wait_for_function("() => document.body.innerText.includes('error in eV/Å')", timeout=20_000)
    assert deck_height(page) <= PROJECTOR
    into_view(page)
    box = page.locator(".piwsl-deck canvas:visible").first.bounding_box()
    measured = page.locator(".piwsl-deck .widget-text:visible", has_text="measure atoms").locator("input")
    before = measured.input_value()
    for down in range(-4, 5):  # an atom is somewhere in the middle
        for across in range(-4, 5):
            if measured.input_value() == before:
                page.mouse.click(
                    box["x"] + (0.5 + 0.06 * across) * box["width"], box["y"] + (0.5 + 0.08 * down) * box["height"]
                )
                page.wait_for_timeout(80)
    browser.eventually(page, lambda: measured.input_value() != before, "a clicked atom is among those measured")
    atoms = measured.input_value().split()
    title = f"() => {PLOT}.layout.annotations[3].text"
    browser.eventually(
        page, lambda: all(atom in page.evaluate(title) for atom in atoms), "the plot names the atoms measured"
    )
    browser.eventually(page, lambda: len(page.evaluate(f"() => {PLOT}.data[9].y")) > 5, "a curve of what is measured")
    assert page.evaluate(CUT_LABELS) == []
    take_picture(page, "fly-two")
    assert browser.page_errors(page) == []
    if target := os.environ.get("PIWSL_LAB_SCREENSHOT"):
        save_picture(page, Path(target).with_name("fly.png"), 0.0)


def test_four_pilots_are_on_one_screen_at_1920_and_nothing_wraps_at_1280(page):
    page.set_viewport_size({"width": 1920, "height": 1080})
    browser.open_notebook(page, page.server, "four.ipynb")
    browser.run_all(page)
    page.wait_for_selector(".piwsl-deck .js-plotly-plot .scatterlayer .trace", state="attached", timeout=120_000)
    side_bar(page, False)
    fly(page, 20)
    press(page, "Pause")
    browser.eventually(page, lambda: not in_kernel(page, "flight.running"), "it pauses")
    for theme, width, height, room in (("Light", 1920, 1080, 900), ("Dark", 1280, 720, PROJECTOR)):
        page.set_viewport_size({"width": width, "height": height})
        browser.command(page, "apputils:change-theme", theme=f"JupyterLab {theme}")
        page.wait_for_timeout(1500)
        fits(page, room)
        assert len(page.locator(".piwsl-deck canvas:visible").all()) == 4
        all_there(page)
        take_picture(page, f"fly-four-{width}")
    # The pilots of a page have the colours of their curves, on a dark page as well.
    squares = page.evaluate(
        """() => [...document.querySelectorAll('.piwsl-deck .piwsl-line span[style*="color"]')].slice(0, 4)
        .map(e => getComputedStyle(e).color)"""
    )
    curves = page.evaluate(
        f"() => [...{PLOT}.querySelectorAll('.js-line')].slice(0, 4).map(e => getComputedStyle(e).stroke)"
    )
    assert squares == curves
    assert browser.page_errors(page) == []
