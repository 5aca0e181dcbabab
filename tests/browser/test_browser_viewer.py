"""The molecule viewer in a real browser: what a person would see, and that it is never nothing."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from browser import (
    browser_page,
    command,
    eventually,
    jupyter_lab,
    open_notebook,
    page_errors,
    pixel_stats,
    require_chromium,
    run_all,
    second_window,
    write_notebook,
)

pytestmark = pytest.mark.browser

CELLS = [
    """
import time
import numpy as np, ipywidgets as W
from ase.build import molecule
from piwsl_lab.lab.molecule.view import MoleculeView
atoms = molecule("CH3CH2OH")
rng = np.random.default_rng(0)
forces = rng.normal(size=(9, 3))
view = MoleculeView(atoms.numbers, atoms.positions)
view
""",
    """
hidden = MoleculeView(atoms.numbers, atoms.positions)
tab = W.Tab([W.HTML("first"), hidden])
tab
""",
    """
def act(button):
    what = button.description
    if what == "forces":
        view.show(atoms.positions, forces, 2 * forces)
    elif what == "other forces":
        view.show(atoms.positions, -forces, -forces)
    elif what == "water":
        view.set_molecule(molecule("H2O").numbers, molecule("H2O").positions)
    elif what == "ethanol":
        view.set_molecule(atoms.numbers, atoms.positions)
    elif what == "lost":
        view.picture._send = lambda *a, **k: None  # a connection that is gone for a moment
        view.show(atoms.positions + 1.0, forces)
        time.sleep(0.2)
        del view.picture._send
    else:
        turn = lambda a: np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        view.show_trajectory(np.stack([atoms.positions @ turn(0.1 * k) for k in range(400)]), "a turn")
buttons = [W.Button(description=text) for text in ("forces", "other forces", "water", "ethanol", "lost", "movie")]
for button in buttons:
    button.on_click(act)
W.HBox(buttons)
""",
    "time.sleep(15 if 'seconds' in globals() else 0); seconds = 15",
]
MANY = """
import ipywidgets as W
from ase.build import molecule
from piwsl_lab.lab.molecule.view import MoleculeView
atoms = molecule("CH3CH2OH")
W.VBox([MoleculeView(atoms.numbers, atoms.positions, height="300px") for _ in range(18)])
"""
# The first message after the model was made does not arrive.
LATE = """
from ase.build import molecule
from piwsl_lab.lab.molecule.picture import Picture
from piwsl_lab.lab.molecule.view import MoleculeView
atoms = molecule("CH3CH2OH")
send_state, Picture.send_state = Picture.send_state, lambda self, key=None: None
view = MoleculeView(atoms.numbers, atoms.positions, bare=True)
Picture.send_state = send_state
view
"""
ORANGE = (0xD5, 0x5E, 0x00)
YELLOW = (0xFD, 0xE7, 0x25)
RED = (255, 13, 13)
PLACES = molecule("CH3CH2OH").positions
SHOWN = "() => [...document.querySelectorAll('.piwsl-molecule')].filter(e => e.clientWidth).map(e => e.piwsl.shown())"
BUSY = "() => [...document.querySelectorAll('.jp-InputPrompt')].some(e => e.innerText.includes('*'))"
# As if the two seconds that anywidget gives a model had passed before it begins.
TOO_SLOW = """AbortSignal.timeout = () => {
    const limit = new AbortController();
    queueMicrotask(() => limit.abort());
    return limit.signal;
};"""


def near(image, colour, by=0.08) -> int:
    """Pixels whose hue and shade ratio are those of a colour, whatever the light on them."""
    colour = np.array(colour) / np.linalg.norm(colour)
    size = np.linalg.norm(image.astype(float), axis=2)
    direction = image / np.maximum(size, 1)[..., None]
    return int(((np.linalg.norm(direction - colour, axis=2) < by) & (size > 60)).sum())


def press(page, text):
    page.get_by_role("button", name=text, exact=True).click()


def switch(page, text):
    return page.locator(".widget-checkbox:visible", has_text=text).first.locator("input")


def first_canvas(page):
    return page.locator("canvas").first


def shows(page, places) -> bool:
    """Whether the first picture has its atoms at places [n, 3] and pixels."""
    found = page.evaluate(SHOWN)
    if not found or len(found[0]) != np.size(places):
        return False
    return bool(np.allclose(np.reshape(found[0], (-1, 3)), places, atol=1e-3)) and has_atoms(first_canvas(page))


def has_atoms(canvas) -> bool:
    stats = pixel_stats(canvas)
    return stats.foreground > 0.02 * stats.total and near(stats.image, RED) > 100


def run_long_cell(page):
    """Make the kernel busy for fifteen seconds."""
    page.evaluate("() => { jupyterapp.shell.currentWidget.content.activeCellIndex = 3; }")
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-cell'); }")
    eventually(page, lambda: page.evaluate(BUSY), "a busy kernel")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    require_chromium()
    root = tmp_path_factory.mktemp("viewer")
    write_notebook(root / "viewer.ipynb", CELLS)
    write_notebook(root / "many.ipynb", [MANY])
    write_notebook(root / "late.ipynb", [LATE])
    with jupyter_lab(root) as server:
        yield server


@pytest.fixture(scope="module")
def page(server):
    with browser_page() as page:
        open_notebook(page, server, "viewer.ipynb")
        run_all(page)
        eventually(page, lambda: shows(page, PLACES), "a molecule")
        yield page


def test_a_person_sees_atoms_arrows_errors_and_a_movie(page, tmp_path):
    canvas = first_canvas(page)

    def seen(colour) -> int:
        return near(pixel_stats(canvas).image, colour)

    plain = pixel_stats(canvas, tmp_path / "atoms.png")
    assert plain.background == (255, 255, 255)
    assert near(plain.image, ORANGE) == 0
    assert page.locator(".piwsl-molecule-words:visible").count() == 0

    press(page, "forces")
    eventually(page, lambda: seen(ORANGE) > 100, "predicted arrows")
    arrows = pixel_stats(canvas, tmp_path / "forces.png")
    assert near(arrows.image, RED) > 100, "elements are not hidden by error colours"

    arrow = switch(page, "predicted force")
    arrow.press("Space")
    eventually(page, lambda: seen(ORANGE) == 0, "the switch hides the arrows")
    arrow.press("Space")
    eventually(page, lambda: seen(ORANGE) > 100, "the switch shows the arrows again")

    press(page, "other forces")
    errors = switch(page, "colour by force error")
    assert near(arrows.image, YELLOW) < 200
    errors.press("Space")
    eventually(page, lambda: seen(YELLOW) > 1000, "forces without error are yellow")
    other = pixel_stats(canvas, tmp_path / "other.png")
    assert (arrows.image != other.image).any(axis=2).sum() > 1000
    errors.press("Space")
    eventually(page, lambda: seen(YELLOW) < 200, "elements again")


def test_a_movie_plays_while_the_kernel_is_busy(page):
    press(page, "movie")
    page.locator(".widget-play button:visible").first.wait_for()
    run_long_cell(page)
    page.locator(".widget-play button:visible").first.click()
    frames = set()

    def another() -> bool:
        frames.add(tuple(page.evaluate(SHOWN)[0]))
        return len(frames) >= 4

    eventually(page, another, "a movie that moves", 12)
    assert page.evaluate(BUSY), "the kernel was not busy: this says nothing"
    press(page, "ethanol")
    eventually(page, lambda: shows(page, PLACES), "the molecule after the movie")
    eventually(page, lambda: not page.evaluate(BUSY), "an idle kernel")


def test_symbols_and_numbers_stand_on_the_atoms(page, tmp_path):
    canvas = first_canvas(page)
    before = pixel_stats(canvas).image
    labels = switch(page, "atom labels")
    labels.press("Space")

    def ink(image) -> int:
        return int((image.max(axis=2) < 40).sum())

    eventually(
        page, lambda: ink(pixel_stats(canvas, tmp_path / "labels.png").image) > ink(before) + 150, "black letters"
    )
    after = pixel_stats(canvas).image
    white = (after.min(axis=2) > 245) & (before.min(axis=2) < 235)
    assert white.sum() > 100, "letters have a light edge, so that they are read on every colour"
    labels.press("Space")
    eventually(page, lambda: (pixel_stats(canvas).image == before).all(), "no letters again")


def test_another_molecule_takes_the_place_of_the_first(page):
    press(page, "water")
    eventually(page, lambda: len(page.evaluate(SHOWN)[0]) == 9, "three atoms")
    press(page, "ethanol")
    eventually(page, lambda: shows(page, PLACES), "nine atoms again")


def test_a_view_in_a_hidden_tab_is_full_size_once_open(page):
    page.locator(".widget-tab .lm-TabBar-tab").nth(1).click()
    canvas = page.locator("canvas").nth(1)
    canvas.wait_for(state="visible")
    eventually(page, lambda: canvas.bounding_box()["width"] > 400, "a view as wide as its tab")
    assert canvas.bounding_box()["height"] == 420
    eventually(page, lambda: has_atoms(canvas), "a molecule")


def test_a_lost_message_is_mended(page):
    press(page, "lost")
    eventually(page, lambda: shows(page, PLACES + 1.0), "the state that was lost")
    press(page, "ethanol")
    eventually(page, lambda: shows(page, PLACES), "the molecule in its place")


def test_a_lost_webgl_context_comes_back(page):
    # Chrome takes the context of the oldest picture where a page has more than sixteen.
    page.evaluate(
        """() => {
            window.lostCanvas = document.querySelector('.piwsl-molecule canvas');
            window.lostCanvas.getContext('webgl2').getExtension('WEBGL_lose_context').loseContext();
        }"""
    )
    eventually(page, lambda: page.evaluate("() => !window.lostCanvas.isConnected"), "a new canvas")
    eventually(page, lambda: shows(page, PLACES), "the molecule on it")


def test_a_cell_that_was_taken_out_of_the_page_and_comes_back_is_whole(page):
    # As JupyterLab does with cells that are scrolled far away.
    page.evaluate(
        """() => {
            window.cell = document.querySelector('.piwsl-molecule').parentElement;
            window.place = window.cell.parentElement;
            window.cell.remove();
        }"""
    )
    page.wait_for_timeout(300)
    assert len(page.evaluate(SHOWN)) < 2
    page.evaluate("() => window.place.prepend(window.cell)")
    eventually(page, lambda: shows(page, PLACES), "the molecule")


def test_a_dark_page_has_a_dark_picture(page, tmp_path):
    canvas = first_canvas(page)
    press(page, "forces")
    light = pixel_stats(canvas)
    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    try:
        eventually(page, lambda: max(pixel_stats(canvas).background) < 60, "a dark background")
        dark = pixel_stats(canvas, tmp_path / "dark.png")
        pages = page.evaluate("() => getComputedStyle(document.querySelector('.jp-NotebookPanel')).backgroundColor")
        assert pages == "rgb({}, {}, {})".format(*dark.background)
        assert near(dark.image, RED) > 100
        assert dark.foreground > 0.8 * light.foreground, "something dark is lost on the dark page"
        light_words = page.locator(".piwsl-on-light:visible")
        shown, there = page.locator(".piwsl-on-dark:visible"), page.locator(".piwsl-on-dark")
        eventually(page, lambda: shown.count() == there.count() > 0, "all words of a dark page")
        eventually(page, lambda: light_words.count() == 0, "no words of a light page")
    finally:
        command(page, "apputils:change-theme", theme="JupyterLab Light")
    eventually(page, lambda: pixel_stats(canvas).background == (255, 255, 255), "a light background")


def test_nothing_jumps_when_arrows_appear(page):
    def places() -> list[float]:
        return page.evaluate(
            "() => [...document.querySelectorAll('.jp-Cell')].map(e => e.getBoundingClientRect().height)"
        )

    press(page, "ethanol")
    eventually(page, lambda: page.locator(".piwsl-on-light:visible").count() == 0, "no legend of arrows")
    before = places()
    press(page, "forces")
    eventually(page, lambda: page.locator(".piwsl-on-light:visible").count() == 2, "a legend of arrows")
    assert places() == before


def test_no_error_on_the_page(page):
    assert page_errors(page) == []


@pytest.mark.parametrize("kernel", ["idle", "busy", "idle again"])
def test_a_page_loaded_anew_shows_the_molecule(page, kernel):
    press(page, "ethanol")
    eventually(page, lambda: shows(page, PLACES), "the molecule before")
    command(page, "docmanager:save")
    if kernel == "busy":
        run_long_cell(page)
    page.reload(wait_until="domcontentloaded")
    eventually(page, lambda: shows(page, PLACES), f"the molecule after F5, the kernel being {kernel}", 60)
    press(page, "forces")
    eventually(page, lambda: near(pixel_stats(first_canvas(page)).image, ORANGE) > 100, "updates after F5")
    assert page_errors(page) == []


def test_a_notebook_closed_and_opened_again_shows_the_molecule(page):
    press(page, "ethanol")
    command(page, "docmanager:save")
    page.evaluate("() => { jupyterapp.shell.currentWidget.dispose(); }")
    page.wait_for_timeout(500)
    command(page, "docmanager:open", path="viewer.ipynb")
    eventually(page, lambda: shows(page, PLACES), "the molecule after opening the notebook again", 60)


@pytest.mark.parametrize("script", ["", TOO_SLOW], ids=["as it is", "too slow"])
def test_a_second_window_shows_the_same_and_goes_on(page, server, script):
    press(page, "ethanol")
    command(page, "docmanager:save")
    context = page.context.browser.new_context(viewport={"width": 1500, "height": 1300})
    try:
        second = context.new_page()
        second.add_init_script(script)
        address = f"{server.url}/lab/workspaces/second/tree/viewer.ipynb?token={server.token}"
        second.goto(address, wait_until="domcontentloaded")
        eventually(second, lambda: shows(second, PLACES), "the molecule in a second window", 60)
        press(page, "forces")
        eventually(
            second, lambda: near(pixel_stats(first_canvas(second)).image, ORANGE) > 100, "updates in both windows"
        )
    finally:
        context.close()


def test_a_page_too_slow_for_anywidget_still_gets_every_state(page, server):
    """anywidget gives a model two seconds: here they have passed before it begins."""
    context = page.context.browser.new_context(viewport={"width": 1500, "height": 1300})
    try:
        slow = context.new_page()
        slow.add_init_script(TOO_SLOW)
        # Nothing may come with the answer to the question that a page asks every three seconds.
        slow.add_init_script("const often = setInterval; setInterval = (f, ms) => (ms === 3000 ? 0 : often(f, ms));")
        open_notebook(slow, server, "viewer.ipynb")
        run_all(slow)
        eventually(slow, lambda: shows(slow, PLACES), "a molecule")
        press(slow, "forces")
        eventually(slow, lambda: near(pixel_stats(first_canvas(slow)).image, ORANGE) > 100, "arrows")
        press(slow, "water")
        eventually(slow, lambda: len(slow.evaluate(SHOWN)[0]) == 9, "three atoms")
    finally:
        context.close()


def test_more_pictures_than_the_browser_has_webgl_for(page, server):
    """Chrome keeps sixteen contexts a page and takes the oldest: a picture gets one again when it is looked at."""
    context = page.context.browser.new_context(viewport={"width": 1280, "height": 900})
    try:
        other = context.new_page()
        errors: list[str] = []
        other.on("pageerror", lambda error: errors.append(str(error)))
        open_notebook(other, server, "many.ipynb")
        run_all(other)
        eventually(other, lambda: other.locator(".piwsl-molecule").count() == 18, "eighteen pictures")
        for k in (0, 17, 9, 0):
            picture = other.locator(".piwsl-molecule").nth(k)
            picture.scroll_into_view_if_needed()
            eventually(other, lambda picture=picture: has_atoms(picture), f"picture {k}")
        assert errors == []
    finally:
        context.close()


def test_a_first_message_that_was_lost_is_no_error_and_is_sent_again(server, page):
    with second_window(page) as window:
        open_notebook(window, server, "late.ipynb")
        run_all(window)
        eventually(window, lambda: shows(window, PLACES), "the molecule, once the page has asked for it", 60)
        assert page_errors(window) == []
