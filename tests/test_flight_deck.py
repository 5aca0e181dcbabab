"""Flights on the screen: twins that start alike, one cursor for plots and views, knobs that act while it flies."""

from __future__ import annotations

import time
from dataclasses import replace

import ase.io
import numpy as np
import pytest
from frames import labelled, rattled
from potentials import Exact, morse

from piwsl_lab.data import Dataset, Oracle
from piwsl_lab.lab import flying, looks
from piwsl_lab.lab.export import save_flight
from piwsl_lab.lab.flight_deck import FlightDeck
from piwsl_lab.lab.flying import FlightSession
from piwsl_lab.lab.panel import Dashboard
from piwsl_lab.lab.session import Session
from piwsl_lab.models import Prediction
from piwsl_lab.study import Setup


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
    (line,) = deck.plots.figure.select_shapes({"name": "cursor"})
    assert (line.x0, line.x1) == (0.006, 0.006)
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
    wait_for(lambda: deck._drawer is None)
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
    assert deck.plots.figure.layout.yaxis4.title.text == "distance<br>0-1, Å"
    deck.views["free"]._on_message(None, {"type": "piwsl_picked", "atom": 2}, None)
    assert deck.measure.value == "0 1 2"
    a, b, c = (track.positions[1][0, i].astype(float) for i in range(3))
    cosine = (a - b) @ (c - b) / np.linalg.norm(a - b) / np.linalg.norm(c - b)
    assert curves[1].y[1] == pytest.approx(np.degrees(np.arccos(cosine)), abs=1e-3)
    deck._pick(1)
    assert deck.measure.value == "0 2"
    for wrong in ("0 7", "1 1", "one two"):
        deck.measure.value = wrong
        assert "two to four different atoms, numbers from 0 to 2" in deck.status.value
    deck.measure.value = ""
    assert len(curves[1].y) == 0


def test_a_cursor_that_is_dragged_moves_the_views():
    deck = FlightDeck(flights())
    deck.session.run(40)
    deck.draw()
    (line,) = deck.plots.figure.select_shapes({"name": "cursor"})
    line.update(x0=0.0081, x1=0.0081, y0=0.1, y1=1.1)
    deck.plots._dragged(deck.go_to)  # what the page's change calls
    assert deck.cursor.value == 4
    (line,) = deck.plots.figure.select_shapes({"name": "cursor"})
    assert (line.x0, line.y0, line.y1) == (0.008, 0, 1)


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
    deck.look.value = looks.BESIDE
    assert np.allclose(view._reference, truth)
    assert np.allclose(view._forces, predicted)
    assert np.allclose(view._error, np.linalg.norm(predicted - truth, axis=1))
    deck.look.value = looks.DIFFERENCE
    assert np.allclose(view._forces, predicted - truth)
    assert "predicted − reference" in view._legend.value
    assert np.allclose(deck.views["xTB"]._error, 0.0, atol=1e-3)
    deck.look.value = looks.ENERGIES
    before, now = potential.predict(Dataset([frame, replace(frame, positions=places)]).unlabelled())[0]
    assert view._energy.sum() == pytest.approx(now - before, abs=1e-4)
    assert deck.views["xTB"]._energy is None
    deck = FlightDeck(FlightSession({"twin": potential}, frame, replicas=1))
    assert not deck.looks.has_reference
    deck.look.value = looks.BESIDE
    assert "no reference method flies here" in deck.status.value


def test_a_broken_bond_is_marked():
    deck = FlightDeck(FlightSession({"free": free()}, rattled("H2O"), replicas=1, temperature=3000.0))
    view = deck.views["free"]
    assert not view._broken[1].any()
    assert "broken bond" not in view._legend.value
    deck.session.run(400)
    deck.draw()
    assert view._broken[1].any()
    assert "broken bond" in view._legend.value
    rods = view._state()["broken"]
    b = int(np.flatnonzero(view._broken[1])[0])
    assert np.allclose(rods["neck"][3 * b : 3 * b + 3], view._positions[view._broken[0][b, 1]], atol=1e-3)


def test_a_flight_is_saved_for_other_programs_and_for_a_browser(tmp_path):
    session = flights().run(20)
    deck = FlightDeck(session)
    paths = save_flight(session, tmp_path / "out", 1, deck.plots.figure)
    assert [p.name for p in paths] == ["bonded.extxyz", "bonded.html", "free.extxyz", "free.html", "curves.html"]
    images = ase.io.read(paths[0], ":")
    track = session.tracks["bonded"]
    assert [image.info["time_fs"] for image in images] == track.time
    assert np.allclose(images[-1].positions, track.positions[-1][1], atol=1e-6)
    page = paths[1].read_text(encoding="utf-8")
    assert "src=" not in page.split("<body>")[1][:2000]  # the library is inside
    assert '"0.010"' in page
    with pytest.raises(ValueError, match="not an empty folder"):
        save_flight(session, tmp_path / "out")
    with pytest.raises(ValueError, match="replicas 0 to 1"):
        save_flight(session, tmp_path / "other", 2)


def test_the_save_button_says_where(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deck = FlightDeck(flights())
    deck.save.click()
    (folder,) = tmp_path.iterdir()
    assert f"Saved 5 files in {folder.name}." in deck.status.value


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
    wait_for(lambda: deck._drawer is None)
    assert "The flight stopped: the disk is full" in deck.status.value


def small_dashboard():
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
    assert (panel.right.layout.display, panel.hangar.layout.display) == ("none", "")
    deck.session.run(8)
    before = deck.session.tracks["PIWSL"].forces[0]
    panel.session.run(5)  # training goes on; what flies stays as it was
    assert np.array_equal(deck.session.simulations["PIWSL"].snapshot().forces.shape, (4 * 9, 3))
    deck.reset.click()  # now with the new weights
    assert not np.array_equal(deck.session.tracks["PIWSL"].forces[0], before)
    panel.tabs.value = "Errors"
    assert (panel.right.layout.display, panel.hangar.layout.display) == ("", "none")
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
