"""Flights on the screen: twins that start alike, one cursor for plots and views, knobs that act while it flies."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from dataclasses import replace

import ipywidgets
import ipywidgets as W
import numpy as np
import pytest
from ase import Atoms
from frames import labelled, rattled
from potentials import Exact, morse

from piwsl_lab.data import Dataset, Oracle
from piwsl_lab.lab.figures.md import measured
from piwsl_lab.lab.panels.md import FlightDeck
from piwsl_lab.lab.parts.colours import COLOURS
from piwsl_lab.lab.sessions import md as flying
from piwsl_lab.lab.sessions import md_views
from piwsl_lab.lab.sessions.md import FlightSession
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.models import Prediction
from piwsl_lab.study.setup import Setup


class Still(Exact):
    def __call__(self, graph, forces=True):
        energy, answer, *_ = super().__call__(graph, forces)
        return Prediction(energy.detach(), None if answer is None else answer.detach())


def soft():
    return Still(morse(depth=1.0, width=1.0, rest=1.3).energy)


def free():
    return Still(lambda g: g.sum_over_atoms(0.0 * g.positions.sum(1)))


def flights(**options):
    return FlightSession({"bonded": soft(), "free": free()}, rattled("H2O"), **{"replicas": 2} | options)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def panel_titles(deck):
    return [title.text for title in deck.plots.figure.layout.annotations]


def cursor_places(deck):
    lines = list(deck.plots.figure.select_shapes({"name": "cursor"}))
    assert len(lines) == 4
    return {line.x0 for line in lines} | {line.x1 for line in lines}


def test_twins_start_from_the_same_frame_and_velocities():
    session = flights(seed=3)
    one, two = (simulation.snapshot() for simulation in session.simulations.values())
    assert np.array_equal(one.positions, two.positions)
    assert np.array_equal(one.velocities, two.velocities)
    session.run(20)
    bonded, alone = session.tracks.values()
    assert bonded.time == alone.time == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert not np.array_equal(bonded.positions[-1], alone.positions[-1])
    assert bonded.positions[0].shape == (2, 3, 3)
    assert np.abs(alone.change).max() < 1e-9  # without a force nothing changes
    assert np.abs(bonded.change).max() > 1e-9


def test_an_oracle_flies_beside_a_potential():
    session = FlightSession({"xTB": Oracle("gfn2-xtb"), "free": free()}, rattled("H2O"), replicas=1)
    session.run(8)
    assert [len(track.time) for track in session.tracks.values()] == [3, 3]


def test_a_track_is_thinned_and_keeps_its_ends(monkeypatch):
    monkeypatch.setattr(flying, "MOST_STATES", 20)
    session = flights().run(400)
    for track in session.tracks.values():
        assert len(track.time) < 20
        assert (track.time[0], track.time[-1]) == (0.0, session.time)
        assert len(track.positions) == len(track.stretch) == len(track.alive) == len(track.time)
        assert np.diff(track.time).min() > 0
    assert session.every > flying.EVERY
    assert {simulation.step_count for simulation in session.simulations.values()} == {400}


def test_stretch_is_measured_from_the_reference():
    start = rattled("H2O")
    reference = labelled("H2O", 5)
    session = FlightSession({"free": free()}, start, replicas=1, reference=list(reference))
    bond = np.mean([np.linalg.norm(f.positions[0] - f.positions[1]) for f in reference])
    other = np.mean([np.linalg.norm(f.positions[0] - f.positions[2]) for f in reference])
    now = [np.linalg.norm(start.positions[0] - start.positions[k]) for k in (1, 2)]
    expected = max(abs(now[0] - bond), abs(now[1] - other))
    assert session.tracks["free"].stretch[0][0] == pytest.approx(expected)


def test_start_and_stop_and_knobs_that_act_while_it_flies():
    session = flights()
    session.start()
    wait_for(lambda: session.time > 20)
    session.set_time_step(0.25)
    session.set_temperature(900.0)
    with pytest.raises(ValueError, match="temperature=-3"):
        session.set_temperature(-3.0)
    assert session.settings["temperature"] == 900.0
    began = time.monotonic()
    session.stop()
    assert time.monotonic() - began < 0.5
    assert not session.running
    with pytest.raises(ValueError, match="replicas=0"):
        FlightSession({"free": free()}, rattled("H2O"), replicas=0)
    with pytest.raises(ValueError, match="nothing to fly"):
        FlightSession({}, rattled("H2O"))
    before = session.simulations
    with pytest.raises(ValueError, match="ensemble 'npt'"):
        session.reset(ensemble="npt")
    assert session.simulations is before
    session.reset(ensemble="nvt", replicas=3)
    assert session.time == 0.0
    assert session.tracks["free"].alive[0].shape == (3,)


def test_one_cursor_moves_plots_and_views():
    deck = FlightDeck(flights())
    deck.session.run(40)
    deck.draw()
    track = deck.session.tracks["bonded"]
    assert deck.cursor.value == deck.cursor.max == len(track.time) - 1  # it follows
    deck.go_to(0.006)
    assert not deck.follow.value
    assert deck.cursor.value == 3
    lines = list(deck.plots.figure.select_shapes({"name": "cursor"}))
    assert {(line.xref, line.x0, line.x1) for line in lines} == {(x, 0.006, 0.006) for x in ("x", "x2", "x3", "x4")}
    for name, view in deck.views.items():
        assert np.allclose(view._positions, deck.session.tracks[name].positions[3][0])
    assert "0.006 ps" in deck.moment.value
    deck.session.run(8)
    deck.draw()
    assert deck.cursor.value == 3  # it stays where the hand put it
    deck.follow.value = True
    assert deck.cursor.value == deck.cursor.max
    deck.replica.value = 1
    assert np.allclose(deck.views["free"]._positions, deck.session.tracks["free"].positions[-1][1])
    assert "FlightDeck(bonded and free)" in repr(deck)


def test_the_buttons_fly_pause_and_start_anew():
    deck = FlightDeck(flights())
    deck.start.click()
    wait_for(lambda: deck.cursor.max > 5)
    assert deck.start.disabled
    deck.stop.click()
    wait_for(lambda: not deck.drawing.active)
    assert not deck.start.disabled
    assert "Paused." in deck.status.value
    points = len(deck.plots.figure.data[0].x)
    assert points > 5
    deck.replicas.value, deck.ensemble.value = 3, "nvt"
    deck.reset.click()
    assert deck.session.settings["ensemble"] == "nvt"
    assert [value for _, value in deck.replica.options] == [0, 1, 2]
    assert len(deck.plots.figure.data[0].x) == 1


def test_a_lost_replica_is_named_and_its_curve_ends():
    wild = Still(lambda g: g.sum_over_atoms(-500.0 * g.positions.square().sum(1)))
    deck = FlightDeck(FlightSession({"wild": wild, "free": free()}, rattled("H2O"), replicas=1))
    deck.session.run(40)
    deck.draw()
    assert "lost" in deck.captions["wild"].value
    assert "eV/Å on atom" in deck.captions["wild"].value
    assert len(deck.plots.figure.data[0].x) < len(deck.plots.figure.data[1].x)
    assert all(np.isfinite(trace.y).all() for trace in deck.plots.figure.data)


def test_what_the_reader_measures_is_drawn_and_a_mistake_is_named():
    deck = FlightDeck(flights())
    deck.session.run(8)
    deck.draw()
    track = deck.session.tracks["free"]
    assert deck.measure.value == "0 1"  # the first bond
    curves = deck.plots.figure.data[6:]
    by_hand = [np.linalg.norm(p[0, 0] - p[0, 1]) for p in track.positions]
    assert np.allclose(curves[1].y, by_hand)
    assert panel_titles(deck)[3] == "<b>distance</b> O0–H1, Å"
    deck._pick(2)
    assert panel_titles(deck)[3] == "<b>angle</b> O0–H1–H2, °"
    assert deck.measure.value == "0 1 2"
    a, b, c = (track.positions[1][0, i].astype(float) for i in range(3))
    cosine = (a - b) @ (c - b) / np.linalg.norm(a - b) / np.linalg.norm(c - b)
    assert curves[1].y[1] == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-3)
    deck._pick(1)
    assert deck.measure.value == "0 2"
    for wrong in ("0 7", "1 1", "one two"):
        deck.measure.value = wrong
        assert "two to four different atoms, numbers from 0 to 2" in deck.status.value
        assert "ValueError" not in deck.status.value
    deck.measure.value = "2"
    assert "Atom 2: click or type one to three more." in deck.status.value
    deck.measure.value = ""
    assert len(curves[1].y) == 0
    assert "click 2 to 4 atoms" in panel_titles(deck)[3]


def test_a_cursor_that_is_dragged_moves_the_views():
    deck = FlightDeck(flights())
    deck.session.run(40)
    deck.draw()
    drag = {"type": "drag", "name": "cursor", "x": 0.0081}
    deck.plots.state._handle_custom_msg(drag, [])  # what the page sends
    assert deck.cursor.value == 4
    assert cursor_places(deck) == {0.008}
    drawn = deck.plots.state.revision
    deck.plots.state._handle_custom_msg(drag | {"x": 0.0082}, [])
    assert cursor_places(deck) == {0.008}
    assert deck.plots.state.revision > drawn  # the page has moved its line, and takes it back
    deck.plots.state._handle_custom_msg({"type": "pick", "x": 0.0021}, [])  # a click on a curve
    assert cursor_places(deck) == {0.002}


def test_reference_forces_differences_and_energies_of_atoms():
    session = Session(Setup(energies=8, forces=8, test=20, channels=8, layers=1, steps=2, device="cpu"))
    potential = session.twins[0].potential
    frame = session.test_frames[0]
    oracle = Oracle("gfn2-xtb")
    deck = FlightDeck(FlightSession({"twin": potential, "xTB": oracle}, frame, replicas=1).run(8))
    deck.draw()
    view, track = deck.views["twin"], deck.session.tracks["twin"]
    places = track.positions[-1][0].astype(float)
    truth = oracle.label(frame.numbers, places, frame.cell, frame.pbc).forces
    predicted = track.forces[-1][0]
    deck.quantity.value = md_views.BESIDE
    assert np.allclose(view._reference, truth)
    assert np.allclose(view._forces, predicted)
    assert np.allclose(view._error, np.linalg.norm(predicted - truth, axis=1))
    deck.quantity.value = md_views.DIFFERENCE
    assert np.allclose(view._forces, predicted - truth)
    assert deck.pictures.switches["show_predicted"].description == "predicted − reference force"
    assert np.allclose(deck.views["xTB"]._error, 0.0, atol=1e-3)
    deck.quantity.value = md_views.ENERGIES
    before, now = potential.predict(Dataset([frame, replace(frame, positions=places)]).unlabelled())[0]
    assert view._energy.sum() == pytest.approx(now - before, abs=1e-4)
    assert deck.views["xTB"]._energy is None
    deck = FlightDeck(FlightSession({"twin": potential}, frame, replicas=1))
    assert not deck.contents.has_reference
    deck.quantity.value = md_views.BESIDE
    assert "no reference method flies here" in deck.status.value
    assert deck.quantity.value == md_views.FORCES  # and the flight can go on


def test_a_broken_bond_is_marked():
    deck = FlightDeck(FlightSession({"free": free()}, rattled("H2O"), replicas=1, temperature=3000.0))
    view = deck.views["free"]
    assert not view._broken[1].any()
    assert "broken bond" not in deck.pictures.legend.value
    deck.session.run(400)
    deck.draw()
    assert view._broken[1].any()
    assert "broken bond" in deck.pictures.legend.value
    rods = view._state()["broken"]
    b = int(np.flatnonzero(view._broken[1])[0])
    assert np.allclose(rods["neck"][3 * b : 3 * b + 3], view._positions[view._broken[0][b, 1]], atol=1e-3)


def test_a_crystal_is_shown_inside_its_cell():
    cell = 4.0 * np.eye(3)
    crystal = replace(rattled("H2O"), cell=cell, pbc=np.array([True] * 3))
    outside = replace(crystal, positions=crystal.positions + np.array([4.0, -8.0, 0.0]))
    deck = FlightDeck(FlightSession({"free": free()}, outside, replicas=1))
    shown = deck.views["free"]._positions
    assert (shown > -1e-6).all()
    assert (shown < 4.0 + 1e-6).all()
    cells = (shown - outside.positions) / 4.0
    assert np.allclose(cells, np.round(cells), atol=1e-5)


def test_an_error_on_the_way_is_shown():
    def broken(graph, forces=True):
        if broken.calls > 4:
            raise ValueError("the disk is full")
        broken.calls += 1
        return free()(graph, forces)

    broken.calls, broken.cutoff, broken.reference = 0, 5.0, dict.fromkeys((1, 8), 0.0)
    deck = FlightDeck(FlightSession({"broken": broken}, rattled("H2O"), replicas=1))
    deck.start.click()
    wait_for(lambda: not deck.drawing.active)
    assert "The flight stopped:</b> the disk is full." in deck.status.value
    assert "ValueError" not in deck.status.value


def widgets_alive():
    registry = getattr(ipywidgets.widgets.widget, "_instances", None)
    return len(W.Widget.widgets if registry is None else registry)  # ipywidgets 8 and 7


def every_widget(widget, found=None):
    found = {} if found is None else found
    if id(widget) not in found:
        found[id(widget)] = widget
        for name in widget.keys:
            value = getattr(widget, name)
            for held in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(held, W.Widget):
                    every_widget(held, found)
    return list(found.values())


def test_a_closed_deck_leaves_no_widget_no_thread_and_no_flight():
    FlightDeck(flights()).close()  # what all plots share stays
    widgets, threads = widgets_alive(), set(threading.enumerate())
    sessions = []
    for _ in range(10):
        deck = FlightDeck(flights())
        sessions.append(weakref.ref(deck.session))
        deck.start.click()
        wait_for(lambda deck=deck: deck.cursor.max > 2)
        deck.close()
        deck.close()
        assert not hasattr(deck, "session")
        deck.draw()  # whoever still holds it may call it
        deck.go_to(0.0)
    assert widgets_alive() == widgets
    wait_for(lambda: set(threading.enumerate()) <= threads)  # a timer that was cancelled takes a moment to end
    gc.collect()
    assert [session() for session in sessions] == [None] * 10


def test_a_session_is_shown_by_its_newest_deck_and_flies_on():
    session = flights()
    first = FlightDeck(session)
    session.start()
    second = FlightDeck(session)
    wait_for(lambda: second.cursor.max > 2)  # a deck that is made during a flight draws it
    assert session.running
    assert len(session.listeners) == 1
    assert [child.value for child in first.children] == [
        "This flight is shown by a newer deck: run its cell to see it."
    ]
    first.close()
    assert session.running
    second.close()
    assert not session.running
    assert session.listeners == []


def test_the_kind_of_a_potential_decides_its_colour():
    session = FlightSession({"mine": with_head("conservative"), "xTB": Oracle("gfn2-xtb")}, rattled("H2O"), replicas=1)
    deck = FlightDeck(session)
    assert deck.colours == {"mine": COLOURS["conservative"], "xTB": COLOURS["reference"]}
    assert deck.plots.figure.data[0].line.color == COLOURS["conservative"]
    assert f"color:{COLOURS['conservative']}" in deck.captions["mine"].value
    deck = FlightDeck(session, {"mine": "#123456"})
    assert deck.colours == {"mine": "#123456", "xTB": COLOURS["reference"]}
    assert deck.views["mine"]._colour == "#123456"


def with_head(head):
    potential = soft()
    potential.head = head
    return potential


def test_a_drawing_that_fails_is_said_and_tried_again(monkeypatch):
    deck = FlightDeck(flights())
    draw = deck.pictures.draw
    monkeypatch.setattr(deck.pictures, "draw", lambda *_: 1 / 0)
    deck.session.start()
    wait_for(lambda: "Drawing failed, the flight goes on" in deck.status.value)
    assert deck.drawing.active
    monkeypatch.setattr(deck.pictures, "draw", draw)
    wait_for(lambda: "Drawing failed" not in deck.status.value)
    deck.session.stop()
    wait_for(lambda: not deck.drawing.active)
    assert "Paused." in deck.status.value


def test_every_control_says_what_it_does():
    deck = FlightDeck(flights())
    hidden = set()
    for view in deck.views.values():
        for child in view.children[1:]:
            hidden |= {id(widget) for widget in every_widget(child)}
    kinds = (W.Button, W.ToggleButton, W.SelectionSlider, W.Dropdown, W.BoundedIntText, W.Text, W.IntSlider, W.Play)
    controls = [w for w in every_widget(deck) if isinstance(w, (*kinds, W.Checkbox)) and id(w) not in hidden]
    assert len(controls) == 20
    for control in controls:
        words = getattr(control, "tooltip", None) or getattr(control, "description_tooltip", None)
        assert words, control
        assert 4 <= len(words.split()) <= 20, words


def test_the_cursor_stays_at_its_moment_when_a_track_is_thinned(monkeypatch):
    monkeypatch.setattr(flying, "MOST_STATES", 20)
    deck = FlightDeck(flights())
    deck.session.run(4 * 18)
    deck.draw()
    deck.go_to(0.016)
    assert deck.cursor.value == 8
    deck.session.run(8)  # every second state goes
    deck.draw()
    assert deck.cursor.value == 4
    assert cursor_places(deck) == {0.016}
    assert not deck.follow.value


def test_a_cell_that_begins_anew_takes_the_deck_along():
    deck = FlightDeck(flights(replicas=3))
    deck.replica.value = 2
    deck.measure.value = "1 2"
    deck.session.reset(rattled("H2"), replicas=1, temperature=120.0)
    deck.draw()
    assert [value for _, value in deck.replica.options] == [0]
    assert deck.temperature.value == 120.0
    assert deck.measure.value == "0 1"
    assert len(deck.views["free"].numbers) == 2
    assert deck.session.settings["temperature"] == 120.0


def test_play_and_the_slider_move_together():
    deck = FlightDeck(flights())
    deck.session.run(40)
    deck.draw()
    deck.play.value = 3
    assert (deck.cursor.value, deck.follow.value, cursor_places(deck)) == (3, False, {0.006})
    deck.cursor.value = 7
    assert deck.play.value == 7  # it would go on from here
    deck.start.click()
    wait_for(lambda: deck.cursor.max > 12)
    deck.stop.click()
    wait_for(lambda: not deck.drawing.active)
    assert deck.play.value == deck.play.max == deck.cursor.value


def test_the_status_line_says_what_there_is_to_know():
    deck = FlightDeck(flights())
    assert "Ready: press Fly." in deck.status.value
    deck.replicas.value = 5
    deck.ensemble.value = "nvt"
    assert "Waiting for Start anew: heat bath (NVT), 5 replicas." in deck.status.value
    deck.reset.click()
    assert "Waiting" not in deck.status.value
    deck.session.notice = "Interrupted by the kernel."
    deck.draw()
    assert "Interrupted by the kernel." in deck.status.value


def test_the_longest_flight_is_no_loss(monkeypatch):
    monkeypatch.setattr(flying, "LONGEST", 8)
    deck = FlightDeck(flights())
    deck.session.run(8)
    deck.draw()
    assert deck.start.disabled
    assert "The longest flight has been made." in deck.status.value
    assert "lost" not in deck.status.value


def test_a_mistake_of_a_button_says_no_name_of_a_class(monkeypatch):
    deck = FlightDeck(flights())

    def refuses(**_):
        raise ValueError("replicas=0 must be 1 or larger")

    monkeypatch.setattr(deck.session, "reset", refuses)
    deck.reset.click()
    assert "Start anew was not possible" in deck.status.value
    assert "replicas=0 must be 1 or larger" in deck.status.value
    assert "ValueError" not in deck.status.value


def test_words_of_others_are_no_html():
    name = "<script>alert(1)</script>"
    deck = FlightDeck(FlightSession({name: free()}, rattled("H2O"), replicas=1))
    assert "<script>" not in deck.captions[name].value
    deck.measure.value = "<img src=x onerror=alert(1)>"
    assert "<img" not in deck.status.value


def test_what_is_measured_agrees_with_ase():
    session = FlightSession({"free": free()}, rattled("C2H6"), replicas=1, temperature=900.0).run(40)
    track = session.tracks["free"]
    states = range(len(track.time))
    images = [Atoms(track.frame.numbers, p[0]) for p in track.positions]
    assert np.allclose(measured(track, 0, states, (0, 5)), [i.get_distance(0, 5) for i in images], atol=1e-5)
    assert np.allclose(measured(track, 0, states, (2, 0, 1)), [i.get_angle(2, 0, 1) for i in images], atol=1e-3)
    torsion = measured(track, 0, states, (2, 0, 1, 5))
    assert np.allclose(torsion % 360.0, [i.get_dihedral(2, 0, 1, 5) for i in images], atol=1e-2)
    assert np.abs(np.diff(torsion)).max() < 180.0  # a full turn is no jump
    cell = 5.0 * np.eye(3)
    crystal = replace(rattled("H2O"), cell=cell, pbc=np.array([True] * 3))
    track = FlightSession({"free": free()}, crystal, replicas=1).tracks["free"]
    track.positions[0][0, 1] += [5.0, 0.0, -5.0]
    near = Atoms(crystal.numbers, track.positions[0][0], cell=cell, pbc=True)
    assert measured(track, 0, [0], (0, 1)) == pytest.approx(near.get_distance(0, 1, mic=True), abs=1e-5)


def small_dashboard():
    from piwsl_lab.lab.panels.dashboard import Dashboard

    setup = Setup(energies=8, forces=8, test=20, channels=8, layers=1, batch_size=4, steps=50, device="cpu")
    return Dashboard(Session(setup, monitor_every=5))


def test_the_dashboard_flies_its_twins_beside_the_oracle():
    panel = small_dashboard()
    assert panel.deck is None
    panel.session.run(5)
    panel.frame_choice.value = 3
    panel.tabs.value = "Fly"
    deck = panel.deck
    assert deck.names == ["supervised", "PIWSL", "GFN2-xTB"]
    assert np.array_equal(deck.session.frame.positions, panel.session.test_frames[3].positions)
    assert (panel.face.stage.layout.display, panel.fly_tab.layout.display) == ("none", "flex")
    deck.session.run(8)
    before = deck.session.tracks["PIWSL"].forces[0]
    panel.session.run(5)  # training goes on; what flies stays as it was
    assert np.array_equal(deck.session.simulations["PIWSL"].snapshot().forces.shape, (4 * 9, 3))
    deck.reset.click()  # now with the new weights
    assert not np.array_equal(deck.session.tracks["PIWSL"].forces[0], before)
    panel.tabs.value = "Errors"
    assert (panel.face.stage.layout.display, panel.fly_tab.layout.display) == ("flex", "none")
    panel.tabs.value = "Fly"
    assert panel.deck is deck
    panel.reset.click()  # new potentials
    assert panel.deck is not deck
    assert panel.deck.session.time == 0.0
    panel.tabs.value = "Parity"
    panel.reset.click()
    assert panel.deck is None


def test_a_dashboard_that_is_made_anew_ends_the_flight_of_the_old_one():
    panel = small_dashboard()
    panel.tabs.value = "Fly"
    flight = panel.deck.session
    panel.deck.start.click()
    wait_for(lambda: flight.time > 0)
    small_dashboard()
    assert not flight.running
