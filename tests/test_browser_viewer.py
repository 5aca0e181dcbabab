"""The molecule viewer in a real browser: what a person would see."""

from __future__ import annotations

import numpy as np
import pytest
from browser import (
    browser_page,
    eventually,
    jupyter_lab,
    open_notebook,
    page_errors,
    pixel_stats,
    require_chromium,
    run_all,
    write_notebook,
)

pytestmark = pytest.mark.browser

CELLS = [
    """
import numpy as np, ipywidgets as W
from ase.build import molecule
from piwsl_lab.lab.viewer import MoleculeView
atoms = molecule("CH3CH2OH")
rng = np.random.default_rng(0)
forces = rng.normal(size=(9, 3))
view = MoleculeView(atoms.numbers, atoms.positions)
view
""",
    """
hidden = MoleculeView(atoms.numbers, atoms.positions)
tab = W.Tab([W.HTML("first"), hidden])
tab.observe(lambda _: hidden.relayout(), "selected_index")
tab
""",
    """
def act(button):
    if button.description == "forces":
        view.show(atoms.positions, forces, 2 * forces)
    elif button.description == "other forces":
        view.show(atoms.positions, -forces, -forces)
    else:
        turn = lambda a: np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        view.show_trajectory(np.stack([atoms.positions @ turn(0.1 * k) for k in range(400)]), "a turn")
buttons = [W.Button(description=text) for text in ("forces", "other forces", "movie")]
for button in buttons:
    button.on_click(act)
W.HBox(buttons)
""",
]
ORANGE = (0xD5, 0x5E, 0x00)
YELLOW = (0xFD, 0xE7, 0x25)


def near(image, colour, by=0.08) -> int:
    """Pixels whose hue and shade ratio are those of a colour, whatever the light on them."""
    colour = np.array(colour) / np.linalg.norm(colour)
    size = np.linalg.norm(image.astype(float), axis=2)
    direction = image / np.maximum(size, 1)[..., None]
    return int(((np.linalg.norm(direction - colour, axis=2) < by) & (size > 60)).sum())


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    require_chromium()
    root = tmp_path_factory.mktemp("viewer")
    write_notebook(root / "viewer.ipynb", CELLS)
    with jupyter_lab(root) as server, browser_page() as page:
        open_notebook(page, server, "viewer.ipynb")
        run_all(page)
        page.wait_for_selector("canvas", timeout=30_000)
        page.wait_for_timeout(2000)
        yield page


def press(page, text):
    page.get_by_role("button", name=text, exact=True).click()


def test_a_person_sees_atoms_arrows_errors_and_a_movie(page, tmp_path):
    canvas = page.locator("canvas").first

    def seen(colour) -> int:
        return near(pixel_stats(canvas).image, colour)

    plain = pixel_stats(canvas, tmp_path / "atoms.png")
    assert plain.background == (255, 255, 255)
    assert plain.foreground > 0.02 * plain.total
    assert near(plain.image, (255, 13, 13)) > 100, "no red oxygen"
    assert near(plain.image, ORANGE) == 0

    press(page, "forces")
    eventually(page, lambda: seen(ORANGE) > 100, "predicted arrows")
    page.wait_for_timeout(500)
    arrows = pixel_stats(canvas, tmp_path / "forces.png")
    assert near(arrows.image, YELLOW) < 200

    switch = page.locator(".widget-checkbox input").first
    switch.press("Space")
    eventually(page, lambda: seen(ORANGE) == 0, "the switch hides the arrows")
    switch.press("Space")
    eventually(page, lambda: seen(ORANGE) > 100, "the switch shows the arrows again")

    press(page, "other forces")
    eventually(page, lambda: seen(YELLOW) > 1000, "forces without error are yellow")
    other = pixel_stats(canvas, tmp_path / "other.png")
    assert (arrows.image != other.image).any(axis=2).sum() > 1000

    press(page, "movie")
    pictures = {pixel_stats(canvas).image.tobytes()}

    def another_picture() -> bool:
        pictures.add(pixel_stats(canvas, tmp_path / "movie.png").image.tobytes())
        return len(pictures) >= 4

    page.locator(".widget-play button:visible").first.click()
    eventually(page, another_picture, "a movie that moves")


def test_a_view_in_a_hidden_tab_is_full_size_once_open(page):
    page.locator(".widget-tab .lm-TabBar-tab").nth(1).click()
    canvas = page.locator("canvas").nth(1)
    canvas.wait_for(state="visible")
    eventually(page, lambda: canvas.bounding_box()["width"] > 400, "a view as wide as its tab")
    assert canvas.bounding_box()["height"] == 420
    eventually(page, lambda: pixel_stats(canvas).foreground > 4000, "a molecule")


def test_no_error_on_the_page(page):
    assert page_errors(page) == []
