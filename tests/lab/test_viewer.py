"""The molecule viewer without a browser: what is state of its widget, how often it is sent, and what closing leaves."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from typing import Any

import ipywidgets
import numpy as np
import psutil
import pytest
from ase.build import bulk, molecule

from piwsl_lab.lab.molecule import picture, scene
from piwsl_lab.lab.molecule.view import MoleculeView

ETHANOL = molecule("CH3CH2OH")
FORCES = np.random.default_rng(0).normal(size=(9, 3))


@pytest.fixture
def view():
    return MoleculeView(ETHANOL.numbers, ETHANOL.positions)


@pytest.fixture
def sent(view, monkeypatch):
    """Messages to the page: the names of the traits they update, or their custom content."""
    messages: list[Any] = []

    def send(message, buffers=None):
        names = {*message.get("state", ()), *(path[0] for path in message.get("buffer_paths", ()))}
        messages.append(message.get("content") or names)

    monkeypatch.setattr(view.picture, "_send", send)
    return messages


def settle(view):
    """Wait until the last state is written; a loaded machine takes its time."""

    def written() -> bool:
        with view._guard:
            return view.picture._timer is None

    until(written)


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "not within 20 s"
        time.sleep(0.01)


def read(view) -> dict:
    """What the page would draw, out of the traits alone."""
    values = np.frombuffer(view.picture.values, dtype="<f4")

    def numbers(place):
        return values[place[0] : sum(place)]

    state = dict(view.picture.live)
    for name in ("positions", "colours"):
        state[name] = numbers(state[name])
    for name in ("predicted", "reference", "broken"):
        if state[name]:
            points = {k: numbers(state[name][k]).reshape(-1, 3) for k in ("start", "neck", "tip") if k in state[name]}
            state[name] = state[name] | points
    return state


def test_all_that_is_drawn_is_state_of_the_widget_from_the_first_moment(view):
    view.show(ETHANOL.positions, FORCES, FORCES)
    settle(view)
    traits = view.picture.get_state()
    assert {"molecule", "live", "values", "movie", "movie_id", "frame", "height", "own", "_esm"} <= set(traits)
    assert traits["molecule"]["labels"][2] == "O2"
    assert traits["molecule"]["id"] == traits["live"]["molecule"]
    np.testing.assert_allclose(read(view)["positions"].reshape(9, 3), ETHANOL.positions, atol=1e-4)
    start, _, tip = scene.arrow_points(ETHANOL.positions, FORCES, scene.ball_radii(ETHANOL.numbers))
    np.testing.assert_allclose(read(view)["predicted"]["start"], start, atol=2e-4)
    np.testing.assert_allclose(read(view)["predicted"]["tip"], tip, atol=2e-4)
    np.testing.assert_array_equal(read(view)["colours"], scene.element_colours(ETHANOL.numbers))


def test_many_updates_are_few_messages_and_the_last_one_arrives(view, sent):
    settle(view)
    sent.clear()
    began = time.monotonic()
    for k in range(200):
        view.show(ETHANOL.positions + 0.01 * k, FORCES)
        time.sleep(0.001)
    settle(view)
    seconds = time.monotonic() - began
    assert 1 <= len(sent) <= seconds / picture.SECONDS_BETWEEN_DRAWS + 2
    assert all(message == {"live", "values"} for message in sent), "a state came in pieces"
    last = read(view)["positions"].reshape(9, 3)
    np.testing.assert_allclose(last, ETHANOL.positions + 1.99, atol=1e-4)


def test_updates_from_threads(view):
    def run(k):
        for _ in range(20):
            view.show(ETHANOL.positions + k, FORCES)

    threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    settle(view)
    np.testing.assert_allclose(read(view)["positions"].reshape(9, 3), view._positions, atol=1e-4)
    assert read(view)["predicted"] is not None


@pytest.mark.parametrize("lost", ["revision", "molecule", "movie"])
def test_a_page_that_lost_a_message_gets_everything_again(view, sent, lost):
    settle(view)
    sent.clear()
    ours = {"revision": view.picture.live["revision"], "molecule": view.picture.molecule["id"], "movie": 0}
    view.picture._handle_custom_msg({"type": "have"} | ours, [])
    assert sent == [{"type": "current"}]
    sent.clear()
    view.picture._handle_custom_msg({"type": "have"} | ours | {lost: -1}, [])
    everything, answer = sent
    assert {"molecule", "live", "values", "movie", "_esm"} <= everything
    assert answer == {"type": "current"}


def test_the_page_knows_the_widget_s_id_from_the_first_moment(view):
    assert view.picture.own == view.picture.model_id


def test_an_atom_that_is_clicked_is_told(view):
    told = []
    view.on_pick(told.append)
    view.picture._handle_custom_msg({"type": "picked", "atom": 2}, [])
    assert told == [2]


def test_switches_hide_arrows_and_colours(view):
    view.show(ETHANOL.positions, FORCES, FORCES + 1)
    full = view._state()
    assert full["predicted"]
    assert full["reference"]
    assert full["colours"] == scene.element_colours(ETHANOL.numbers)  # until a hand wants it otherwise
    assert scene.ERROR_COLOURS[0] not in view.legend.value
    view.colour_by_error.value = True
    assert view._state()["colours"] == [int(scene.ERROR_COLOURS[5][1:], 16)] * 9  # every error is √3 eV/Å
    assert scene.ERROR_COLOURS[0] in view.legend.value
    view.show_predicted.value = view.show_reference.value = view.colour_by_error.value = False
    bare = view._state()
    assert (bare["predicted"], bare["reference"]) == (None, None)
    assert bare["colours"] == scene.element_colours(ETHANOL.numbers)
    settle(view)
    assert read(view)["predicted"] is None


def test_atom_labels_are_on_demand(view):
    assert not view._state()["labels"]
    view.atom_labels.value = True
    assert view._state()["labels"]
    assert scene.atom_labels(ETHANOL.numbers) == ["C0", "C1", "O2", "H3", "H4", "H5", "H6", "H7", "H8"]


def test_every_control_has_a_tooltip_in_words(view):
    controls = [*view.children[1].children, view.player.play, view.player.slider]
    assert len(controls) == 7
    for control in controls:
        words = getattr(control, "tooltip", None) or getattr(control, "description_tooltip", None)
        assert words, control
        assert words.endswith(".")


def test_rows_below_the_picture_keep_their_height(view):
    before = view.legend.layout.min_height
    view.show(ETHANOL.positions, FORCES, FORCES)
    assert before == view.legend.layout.min_height == "36px"
    assert view.atom_labels.layout.display != "none", "the row of switches would come and go"


def test_a_diverged_prediction_is_still_valid_json(view):
    view.colour_by_error.value = True
    view.show(ETHANOL.positions, np.full((9, 3), np.nan), FORCES)
    state = json.dumps(view._state(), allow_nan=False)
    assert json.loads(state)["colours"] == [0xBBBBBB] * 9


def test_arrow_length_is_scale_times_force_and_bounded():
    forces = np.array([[0, 0, 2.0], [0, 1e3, 0], [0, 0, 0], [np.nan, 0, 0]])
    start, neck, tip = scene.arrow_points(np.zeros((4, 3)), forces, np.full(4, 0.3))
    np.testing.assert_allclose(np.linalg.norm(tip - start, axis=1), [1.0, scene.LONGEST_ARROW, 0.01, 0.01])
    np.testing.assert_allclose(start[0], [0, 0, 0.3])  # from the surface of the ball
    assert np.linalg.norm(tip[2:], axis=1).max() < 0.3  # hidden in the ball
    assert np.all(np.linalg.norm(neck - start, axis=1) < np.linalg.norm(tip - start, axis=1))


@pytest.mark.parametrize(("error", "colour"), [(0.0, 0), (0.05, 1), (0.3, 3), (1.99, 5), (2.0, 6), (50, 6)])
def test_error_colours_are_fixed_bins(error, colour):
    assert scene.error_colours(np.array([error])) == [int(scene.ERROR_COLOURS[colour][1:], 16)]


def test_legend_names_units_and_every_bin():
    text = scene.legend("#0072B2", reference=True, error=True)
    assert "eV/Å" in text
    assert "#0072B2" in text
    assert scene.on_dark("#0072B2") in text
    assert all(colour in text for colour in scene.ERROR_COLOURS)


def test_box_of_a_tilted_cell_has_twelve_edges_along_its_vectors():
    cell = bulk("Cu").cell.array  # primitive: no vector along x
    edges = np.array(scene.box_edges(cell))
    assert edges.shape == (12, 2, 3)
    lengths = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(cell[0]), atol=1e-3)
    assert scene.molecule(np.array([29]), np.zeros((1, 3)), cell, periodic=False)["box"] == []


def test_movie_then_back_to_the_last_geometry(view):
    view.show(ETHANOL.positions, FORCES)
    view.show_trajectory(np.stack([ETHANOL.positions + k for k in range(4)]), "PIWSL")
    view.player.slider.value = 2
    state = view._state()
    np.testing.assert_allclose(np.reshape(state["positions"], (9, 3)), ETHANOL.positions + 2, atol=1e-4)
    assert state["predicted"] is None
    settle(view)
    movie = np.frombuffer(view.picture.movie, dtype="<f4").reshape(4, 9, 3)
    np.testing.assert_allclose(movie[2], ETHANOL.positions + 2, atol=1e-6)
    assert read(view)["movie"] == view.picture.movie_id == 1
    view.clear_trajectory()
    settle(view)
    assert read(view)["movie"] is None
    assert view._state()["predicted"]
    assert view.player.layout.display == "none"


def test_another_molecule_in_the_same_view(view):
    view.show(ETHANOL.positions, FORCES)
    view.set_molecule(molecule("H2O").numbers, molecule("H2O").positions)
    assert repr(view) == "MoleculeView(H2O, 3 atoms)"
    assert len(view._state()["positions"]) == 9


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda v: v.show(np.zeros((8, 3))), "positions"),
        (lambda v: v.show(ETHANOL.positions, np.zeros((9, 2))), "forces"),
        (lambda v: v.show(ETHANOL.positions, atom_error=np.zeros(3)), "atom_error"),
        (lambda v: v.show_trajectory(np.zeros((9, 3))), "frames"),
        (lambda v: v.show_trajectory(np.array([ETHANOL.positions, np.full((9, 3), np.nan)])), r"frames\[:1\]"),
    ],
)
def test_bad_input_names_the_argument(view, call, named):
    with pytest.raises(ValueError, match=named):
        call(view)


@pytest.mark.parametrize("colour", ["#000000", "#444444", scene.REFERENCE_COLOUR, scene.BROKEN_COLOUR, "#0072B2"])
def test_what_is_dark_on_light_is_light_on_dark(colour):
    def luminance(text):
        return sum(w * (scene.hex_number(text) >> s & 255) for w, s in ((0.3, 16), (0.59, 8), (0.11, 0)))

    assert luminance(scene.on_dark(colour)) > 110
    assert luminance(scene.on_dark(colour)) > luminance(colour)


def test_atoms_far_away_keep_the_columns_of_the_file():
    text = scene.molecule(np.array([1, 1]), np.array([[0, 0, 0], [6e5, 0, 0.0]]), np.zeros((3, 3)), False)["text"]
    assert {len(line) for line in text.splitlines()[:2]} == {78}


def alive() -> int:
    """Widgets that ipywidgets keeps."""
    module = ipywidgets.widgets.widget
    return len(module._instances if hasattr(module, "_instances") else ipywidgets.Widget.widgets)  # 8 and 7


def test_closing_takes_everything_and_may_be_done_twice():
    before, threads = alive(), threading.active_count()
    view = MoleculeView(ETHANOL.numbers, ETHANOL.positions)
    view.show(ETHANOL.positions, FORCES, FORCES)  # a thread waits with it
    view.show_trajectory(np.repeat(ETHANOL.positions[None], 3, axis=0))
    view.close()
    view.close()
    assert alive() == before
    until(lambda: threading.active_count() == threads)
    view.show(ETHANOL.positions + 1, FORCES)  # a training that still runs
    view.set_molecule(molecule("H2O").numbers, molecule("H2O").positions)
    assert alive() == before
    assert threading.active_count() == threads


def test_fifty_views_leave_nothing_behind():
    def cycle() -> weakref.ref:
        view = MoleculeView(ETHANOL.numbers, ETHANOL.positions)
        view.show(ETHANOL.positions, FORCES, FORCES)
        view.show_trajectory(np.repeat(ETHANOL.positions[None], 20, axis=0))
        view.close()
        return weakref.ref(view)

    threads = threading.active_count()
    for _ in range(5):
        cycle()
    until(lambda: threading.active_count() == threads)  # a cancelled timer is a thread for a moment
    gc.collect()
    process, before = psutil.Process(), alive()
    memory = process.memory_info().rss
    views = [cycle() for _ in range(50)]
    until(lambda: threading.active_count() == threads)
    gc.collect()
    assert [view() for view in views] == [None] * 50
    assert alive() == before
    assert process.memory_info().rss - memory < 8e6


def test_a_bare_view_draws_the_same_and_costs_a_few_models():
    """What stands on the page for all pictures of a deck stands there once: every model is asked for after F5."""
    before = len(widgets_alive())
    bare = MoleculeView(ETHANOL.numbers, ETHANOL.positions, bare=True)
    assert len(widgets_alive()) - before <= 5
    full = MoleculeView(ETHANOL.numbers, ETHANOL.positions)
    for view in (bare, full):
        view.show(ETHANOL.positions, FORCES, FORCES + 1)
    assert {**bare._state(), "molecule": 0} == {**full._state(), "molecule": 0}
    bare.show_predicted.value = full.show_predicted.value = False
    bare.colour_by_error.value = full.colour_by_error.value = True
    assert {**bare._state(), "molecule": 0} == {**full._state(), "molecule": 0}
    assert bare._state()["predicted"] is None
    with pytest.raises(ValueError, match="without bare=True"):
        bare.show_trajectory(np.zeros((3, 9, 3)))
    bare.close()
    full.close()
    assert len(widgets_alive()) == before


def widgets_alive() -> list:
    import ipywidgets

    return list(ipywidgets.widgets.widget._instances)


def test_room_lets_the_camera_take_in_more_than_the_atoms():
    """For arrows that are longer than usual; it stays for another molecule in the same view."""
    numbers, places = np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.74, 0.0, 0.0]])
    plain, wide = MoleculeView(numbers, places, bare=True), MoleculeView(numbers, places, bare=True, room=1.5)
    assert wide.picture.molecule["reach"] == pytest.approx(plain.picture.molecule["reach"] + 1.5)
    wide.set_molecule(numbers, 2 * places)
    assert wide.picture.molecule["reach"] == pytest.approx(plain.picture.molecule["reach"] + 0.37 + 1.5)
    plain.close()
    wide.close()
