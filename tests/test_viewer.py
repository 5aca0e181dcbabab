"""The molecule viewer without a browser: what it would send, and that it sends nothing in vain."""

from __future__ import annotations

import json
import sys
import threading
import time

import numpy as np
import pytest
from ase.build import bulk, molecule

from piwsl_lab.lab import scene, viewer
from piwsl_lab.lab.viewer import MoleculeView

ETHANOL = molecule("CH3CH2OH")
FORCES = np.random.default_rng(0).normal(size=(9, 3))


@pytest.fixture
def view():
    return MoleculeView(ETHANOL.numbers, ETHANOL.positions)


@pytest.fixture
def sent(view, monkeypatch):
    """JavaScript sent to a front end that has just appeared."""
    codes: list[str] = []

    def send(message, buffers=None):
        if message["methodName"] == "executeCode":  # nglview sets sizes, too
            codes.append(message["args"][0])

    monkeypatch.setattr(view.ngl, "send", send)
    view.ngl._handle_custom_msg({"type": "request_loaded", "data": True}, [])
    return codes


def states(codes):
    return [json.loads(code.partition(".draw(")[2].rstrip(";)")) for code in codes if ".draw({" in code]


def test_nothing_is_sent_without_a_front_end(view, monkeypatch):
    monkeypatch.setattr(view.ngl, "send", lambda *_, **__: pytest.fail("sent without a front end"))
    view.show(ETHANOL.positions, FORCES, FORCES)
    view.show_trajectory(np.repeat(ETHANOL.positions[None], 3, axis=0))
    view.clear_trajectory()
    view.relayout()


def test_a_new_front_end_gets_program_molecule_and_state_in_this_order(sent):
    assert "this.piwsl = {" in sent[0]
    assert ".load({" in sent[1]
    assert ".draw({" in sent[2]


def test_many_updates_are_few_messages_and_the_last_one_arrives(view, sent):
    sent.clear()
    for k in range(100):
        view.show(ETHANOL.positions + 0.01 * k, FORCES)
    time.sleep(3 * viewer.SECONDS_BETWEEN_DRAWS)
    assert 1 <= len(sent) < 30
    last = np.reshape(states(sent)[-1]["positions"], (9, 3))
    np.testing.assert_allclose(last, ETHANOL.positions + 0.99, atol=1e-4)


def test_updates_from_a_thread(view, sent):
    sent.clear()
    thread = threading.Thread(target=lambda: view.show(ETHANOL.positions, FORCES), daemon=True)
    thread.start()
    thread.join(5)
    time.sleep(3 * viewer.SECONDS_BETWEEN_DRAWS)
    assert states(sent)[-1]["predicted"] is not None


def test_switches_hide_arrows_and_colours(view):
    view.show(ETHANOL.positions, FORCES, FORCES + 1)
    full = view._state()
    assert full["predicted"]
    assert full["reference"]
    assert full["colours"] == [int(scene.ERROR_COLOURS[5][1:], 16)] * 9  # every error is √3 eV/Å
    view.show_predicted.value = view.show_reference.value = view.colour_by_error.value = False
    bare = view._state()
    assert (bare["predicted"], bare["reference"]) == (None, None)
    assert bare["colours"] == scene.element_colours(ETHANOL.numbers)


def test_a_diverged_prediction_is_still_valid_json(view):
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
    view._slider.value = 2
    state = view._state()
    np.testing.assert_allclose(np.reshape(state["positions"], (9, 3)), ETHANOL.positions + 2, atol=1e-4)
    assert state["predicted"] is None
    view._play.max = 3
    view.clear_trajectory()
    assert view._state()["predicted"]
    assert view._movie_row.layout.display == "none"


def test_another_molecule_in_the_same_view(view):
    view.show(ETHANOL.positions, FORCES)
    view.set_molecule(molecule("H2O").numbers, molecule("H2O").positions)
    assert repr(view) == "MoleculeView(H2O, 3 atoms)"
    assert len(view._state()["positions"]) == 9


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda v: v.show(np.zeros((8, 3))), "positions"),
        (lambda v: v.show(np.full((9, 3), np.inf)), "positions of atom 0"),
        (lambda v: v.show(ETHANOL.positions, np.zeros((9, 2))), "forces"),
        (lambda v: v.show(ETHANOL.positions, atom_error=np.zeros(3)), "atom_error"),
        (lambda v: v.show_trajectory(np.zeros((9, 3))), "frames"),
        (lambda v: v.show_trajectory(np.array([ETHANOL.positions, np.full((9, 3), np.nan)])), r"frames\[:1\]"),
    ],
)
def test_bad_input_names_the_argument(view, call, named):
    with pytest.raises(ValueError, match=named):
        call(view)


@pytest.mark.parametrize(
    ("installed", "requested", "mended"),
    [("3.1.5", "4.0", "3.1.5"), ("4.0", "4.0", None), (None, "4.0", None)],
)
def test_version_is_mended_only_where_it_differs(monkeypatch, installed, requested, mended):
    monkeypatch.setattr(viewer, "_installed_front_end", lambda: installed)
    monkeypatch.setattr(viewer, "_requested_front_end", lambda: requested)
    assert viewer._mismatch() == mended


def test_versions_are_read_from_the_installation(tmp_path, monkeypatch):
    package = tmp_path / viewer.FRONT_END / "package.json"
    package.parent.mkdir()
    package.write_text('{"version": "9.8.7"}')
    monkeypatch.setattr(viewer, "jupyter_path", lambda _: [str(tmp_path)])
    assert viewer._installed_front_end() == "9.8.7"
    assert viewer._requested_front_end()
    monkeypatch.setattr(viewer, "jupyter_path", lambda _: [])
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nowhere"))
    assert viewer._installed_front_end() is None
