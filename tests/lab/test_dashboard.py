"""The dashboard without a browser: what its controls do to the session, and what it says."""

from __future__ import annotations

import contextlib
import io
import re
import time

import ipywidgets as W
import numpy as np
import pytest

from piwsl_lab.lab.panels import html
from piwsl_lab.lab.panels.dashboard import TABS, Dashboard
from piwsl_lab.lab.parts.colours import twin_colours
from piwsl_lab.lab.sessions.script import script
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.models import MODELS
from piwsl_lab.piwsl.objective import CHOICES, Objective
from piwsl_lab.piwsl.schedules import constant, ramp
from piwsl_lab.study.setup import Setup

SMALL = {"energies": 10, "forces": 10, "test": 40, "channels": 16, "layers": 1, "batch_size": 4}
SMALL |= {"model": "painn", "head": "direct"}


@pytest.fixture
def panel() -> Dashboard:
    return Dashboard(Session(Setup(**SMALL, steps=100_000), monitor_every=2))


def small_panel(steps: int) -> Dashboard:
    return Dashboard(Session(Setup(**SMALL, steps=steps), monitor_every=5))


def text(widget) -> str:
    """What a reader sees of an HTML widget."""
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", widget.value)).strip()


def wait_for(condition, seconds: float = 20.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it never happened"
        time.sleep(0.005)


def at_rest(panel: Dashboard) -> bool:
    return not panel.session.busy and not panel.drawing.active


def test_train_draws_while_it_runs_and_stop_ends_it(panel):
    session, figure = panel.session, panel._plots["Errors"].figure
    assert "Press Train" in text(panel.headline)
    assert panel.stop.disabled
    panel.train.click()
    wait_for(lambda: session.step > 20 and len(figure.data[0].x) > 5)
    assert panel.train.disabled
    assert not panel.stop.disabled
    wait_for(lambda: "/s ·" in text(panel.progress))
    began = time.monotonic()
    panel.stop.click()
    assert time.monotonic() - began < 0.5
    step = session.step
    assert not session.running
    assert not panel.train.disabled
    wait_for(lambda: at_rest(panel))
    assert session.step == step
    assert "Stopped." in text(panel.status)
    assert f"step {step} of" in text(panel.progress)
    assert figure.data[0].x[-1] == figure.data[1].x[-1] == step


def test_a_knob_of_the_physics_reaches_the_running_loop(panel):
    panel.train.click()
    wait_for(lambda: panel.session.step > 2)
    panel.controls.physics_knobs["epsilon"].value = 0.1
    panel.controls.physics_knobs["pisc"].value = 1
    panel.controls.physics_knobs["order"].value = 1
    trained = panel.session.twins[1].trainer
    wait_for(lambda: (trained.objective.epsilon, trained.objective.pisc, trained.objective.order) == (0.1, 1, 1), 1.0)
    wait_for(lambda: "ε = 0.1 Å, PITC 100, PISC 1, order 1" in text(panel.status), 1.0)
    panel.stop.click()
    supervised = panel.session.twins[0].trainer.objective
    assert (supervised.pitc, supervised.pisc, supervised.epsilon) == (0, 0, 0.05)


def test_the_off_position_switches_a_term_off():
    panel = small_panel(100)
    knob = panel.controls.physics_knobs["pitc"]
    assert knob.options[0] == ("off", 0)
    knob.value = 0
    panel.session.run(3)
    wait_for(lambda: at_rest(panel))
    assert set(panel.session.twins[1].records[-1].terms) == {"energy", "force"}
    assert "labels alone" in text(panel.status)


def test_settings_wait_for_reset():
    panel = small_panel(100)
    panel.session.run(4)
    wait_for(lambda: at_rest(panel))
    knobs = panel.controls.setup_knobs
    knobs["energies"].value, knobs["head"].value = 20, "conservative"
    assert panel.session.setup.energies == 10
    assert "Waiting for Reset: energy labels 10 → 20" in text(panel.status)
    assert "piwsl-pending" in knobs["energies"]._dom_classes
    assert "piwsl-pending" not in knobs["forces"]._dom_classes
    panel.reset.click()
    assert panel.session.step == 0
    assert panel.session.task.train.n_energies == 20
    assert panel.session.twins[0].potential.head == "conservative"
    assert "piwsl-pending" not in knobs["energies"]._dom_classes
    assert "Waiting" not in text(panel.status)


def test_the_parts_of_the_chosen_data_set_are_offered_for_testing():
    panel = small_panel(100)
    test, data = panel.controls.setup_knobs["test_part"], panel.controls.setup_knobs["data"]
    assert [value for _, value in test.options] == ["held-out frames", "ethanol:300K", "ethanol:800K"]
    test.value = "ethanol:800K"
    assert panel.controls.setup(panel.session.setup).test_part == "ethanol:800K"
    data.value = "acac_pbe"
    assert panel.controls.setup(panel.session.setup).test_part is None
    assert "acac_pbe:test-600K" in [value for _, value in test.options]


def test_a_reset_that_cannot_be_done_says_why_and_train_still_works():
    panel = small_panel(20)
    panel.controls.setup_knobs["energies"].value = 0
    panel.controls.setup_knobs["forces"].value = 0
    panel.reset.click()
    assert "nothing to learn" in text(panel.status)
    panel.train.click()
    wait_for(lambda: panel.session.finished and at_rest(panel))
    assert "Finished;" in text(panel.status)


def test_an_error_in_the_loop_is_shown_and_the_next_train_works():
    panel = small_panel(30)
    trainer = panel.session.twins[1].trainer
    step, calls = trainer.step, []

    def failing():
        calls.append(1)
        if len(calls) == 5:
            raise RuntimeError("a <cosmic> ray")
        return step()

    trainer.step = failing
    panel.train.click()
    wait_for(lambda: at_rest(panel))
    assert "Training stopped:</b> a &lt;cosmic&gt; ray (RuntimeError)" in panel.status.value
    assert not panel.train.disabled
    panel.train.click()
    wait_for(lambda: panel.session.finished and at_rest(panel))
    assert "cosmic" not in panel.status.value


def test_every_tab_draws_what_the_session_knows():
    panel = small_panel(40)
    panel.session.run(20)
    wait_for(lambda: at_rest(panel))
    curves, terms, parity = (panel._plots[name].figure for name in TABS)
    for name in TABS:
        panel.tabs.value = name
        assert [other for other, plot in panel._plots.items() if plot.widget.layout.display != "none"] == [name]
    twins = panel.session.twins
    assert list(curves.data[0].x) == [0, 5, 10, 15, 20]
    assert curves.data[1].y[-1] == pytest.approx(1000 * twins[1].points[-1][1].energy_mae)
    assert curves.data[3].y[-1] == pytest.approx(1000 * twins[1].points[-1][1].force_rmse)
    drawn = {(t.name, len(t.x)) for t in terms.data if len(t.x)}
    assert drawn == {
        *(("supervised", 20), ("supervised: force", 20), ("PIWSL", 20), ("PIWSL: force", 20)),
        ("PIWSL: Taylor consistency (PITC), eV²", 20),
    }
    energy = parity.data[2]
    errors = np.abs(np.array(energy.y) - np.array(energy.x))
    assert errors.mean() == pytest.approx(curves.data[1].y[-1], rel=1e-4)
    colours = {t.line.color or t.marker.color for t in (*curves.data, *parity.data) if t.name == "PIWSL"}
    assert colours == {twin_colours(twins)["PIWSL"]}


def test_pinned_runs_are_rows_of_a_table():
    panel = small_panel(40)
    panel.session.run(5)
    panel.pin.click()
    panel.controls.physics_knobs["epsilon"].value = 0.02
    panel.session.run(5)
    panel.pin.click()
    assert panel.pins.value.count("<tr>") == 1 + 2 * 2
    assert "run 2" in panel.pins.value
    assert "ε = 0.05 Å, PITC 100" in panel.pins.value
    assert "ε = 0.02 Å, PITC 100" in panel.pins.value


@pytest.mark.parametrize("finished", [False, True])
def test_copied_code_gives_the_same_numbers_bit_for_bit(finished):
    panel = small_panel(30)
    session = panel.session
    session.run(8)
    panel.controls.physics_knobs["epsilon"].value = 0.02
    panel.controls.physics_knobs["pisc"].value = 3
    session.run(9)
    panel.controls.physics_knobs["pitc"].value = 0
    session.run() if finished else session.run(4)
    panel.copy.click()
    code = script(session)
    assert code.splitlines()[0] in panel.code.value
    assert "ipywidgets" not in code
    namespace: dict = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "copied.py", "exec"), namespace)
    assert namespace["results"] == session.evaluate()
    assert printed.getvalue().count("energy MAE") == 2
    if finished:
        assert namespace["results"]["PIWSL"] == session.twin("PIWSL").final


EVERYTHING = Objective(
    pitc=30.0, pisc=1.0, gradient=3.0, curl=0.01, weak=10.0, noisy=0.3, denoise=0.1, epsilon=0.03, order="symmetric",
    pisc_form="all", teacher="direct", direction="local", relative=True, remove_drift=True, centres="pool",
    per_atom=True, schedules={"epsilon": ramp(0.01, 0.04, 10), "order": constant(2), "force": ramp(50.0, 100.0, 5)},
)  # fmt: skip


@pytest.mark.parametrize("head", ["direct", "dual"])
def test_copied_code_knows_every_field_schedules_and_heads(head):
    objectives = {"supervised": Objective(force=90.0), "PIWSL": EVERYTHING}
    panel = Dashboard(Session(Setup(**SMALL | {"head": head}, steps=12), objectives, monitor_every=5))
    session = panel.session
    session.run(4)
    panel.controls.physics_knobs["gradient"].value = 10
    panel.controls.physics_knobs["epsilon"].value = 0.05
    session.run(3)
    panel.controls.physics_knobs["relative"].value = False
    panel.controls.physics_knobs["direction"].value = "fixed_length"
    session.run(2)
    assert list(session.twin("PIWSL").changes) == [0, 4, 7]  # a schedule is no change
    namespace: dict = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(script(session), "copied.py", "exec"), namespace)
    assert namespace["results"] == session.evaluate()


def test_a_schedule_that_cannot_be_written_down_is_said_and_nothing_is_lost():
    panel = small_panel(20)
    panel.session.twins[1].objective.schedules = {"epsilon": lambda step: 0.01 + 0.001 * step}
    panel.session.run(3)
    panel.copy.click()
    assert "the schedule of epsilon is a function of your own" in text(panel.status)
    panel.session.run(3)


def test_a_scheduled_knob_shows_the_value_in_force_until_a_hand_moves_it():
    objective = Objective(pitc=100.0, schedules={"epsilon": ramp(0.01, 0.05, 100), "pitc": ramp(0.0, 50.0, 100)})
    panel = Dashboard(Session(Setup(**SMALL, steps=200), {"supervised": Objective(), "PIWSL": objective}, 5))
    knobs, strip = panel.controls.physics_knobs, panel.controls.strip
    marks = panel.controls.marks | {"epsilon": None}

    def marked(name: str) -> bool:
        if name == "epsilon":
            return "piwsl-scheduled" in knobs["epsilon"]._dom_classes
        return marks[name].layout.display == "block"

    twin = panel.session.twins[1]
    assert (knobs["epsilon"].value, knobs["pitc"].label) == (0.01, "off")
    stops = len(knobs["epsilon"].options)
    panel.session.run(60)
    wait_for(lambda: at_rest(panel))
    assert knobs["epsilon"].value == pytest.approx(twin.trainer.current.epsilon, rel=1e-2)
    assert knobs["epsilon"].value == pytest.approx(0.01 + 0.04 * 59 / 100, rel=1e-2)
    assert len(knobs["epsilon"].options) == stops
    assert knobs["pitc"].options[0] == ("off", 0)
    assert [marked(name) for name in ("epsilon", "pitc", "pisc")] == [True, True, False]
    assert "piwsl-scheduled" in strip.weight._dom_classes
    assert strip.weight.value == knobs["pitc"].value
    assert "ε = 0.0336 Å (on a schedule), PITC 29.5 (on a schedule), PISC off" in text(panel.status)
    assert set(twin.objective.schedules) == {"epsilon", "pitc"}  # showing is not moving
    knobs["epsilon"].value = 0.08
    assert set(twin.objective.schedules) == {"pitc"}
    assert twin.objective.epsilon == 0.08
    assert not marked("epsilon")
    assert [value for _, value in knobs["epsilon"].options][-5:] == [0.06, 0.08, 0.1, 0.15, 0.2]
    panel.session.run(3)
    assert list(twin.changes) == [0, 60]
    panel.pin.click()
    assert "PITC 31 (on a schedule)" in panel.pins.value


def test_code_that_moves_a_number_moves_its_knob():
    panel = small_panel(20)
    panel.session.twins[1].objective.epsilon = 0.033
    panel.session.twins[1].objective.order = "symmetric"
    panel.session.run(2)
    wait_for(lambda: at_rest(panel))
    knobs = panel.controls.physics_knobs
    assert (knobs["epsilon"].value, knobs["order"].value) == (0.033, "symmetric")


def test_the_learning_rate_follows_architecture_and_head_until_it_is_moved(monkeypatch):
    for name, first in (("painn", 1.0), ("tensornet", 4.0)):
        rates = {"conservative": first * 1e-3, "direct": 2 * first * 1e-3, "dual": 3 * first * 1e-3}
        monkeypatch.setattr(MODELS[name], "rates", rates)
    panel = Dashboard(Session(Setup(**SMALL, steps=20)))
    model, head, rate = (panel.controls.setup_knobs[name] for name in ("model", "head", "learning_rate"))
    assert rate.value == 2e-3
    assert panel.controls.setup(panel.session.setup).learning_rate is None
    head.value = "conservative"
    assert rate.value == 1e-3
    model.value = "tensornet"
    assert rate.value == 4e-3
    assert "learning rate 0.002 → 0.004" in text(panel.status)
    panel.reset.click()
    assert [twin.setup.learning_rate for twin in panel.session.twins] == [None, None]
    assert panel.session.twins[0].trainer.settings["learning_rate"] == 4e-3
    rate.value = 1e-2
    head.value = "dual"
    assert rate.value == 1e-2  # a choice of the person stays
    panel.reset.click()
    assert panel.session.setup.learning_rate == 1e-2


def test_choosing_the_dual_head_sets_the_weights_that_suit_it_and_says_so():
    panel = small_panel(20)
    knobs, head = panel.controls.physics_knobs, panel.controls.setup_knobs["head"]
    head.value = "dual"
    assert "forces from direct → dual (sets energy weight 30, PITC off, gradient consistency 50)" in text(panel.status)
    assert (knobs["pitc"].value, knobs["gradient"].value) == (100, 0)
    panel.reset.click()
    assert (knobs["pitc"].value, knobs["gradient"].value) == (0, 50)
    assert "gradient consistency 50. All errors are those of F = −dE/dr" in text(panel.status)
    panel.session.run(3)
    panel.pin.click()
    assert "painn 16 conservative" in panel.pins.value
    assert "painn 16 dual" in panel.pins.value
    panel.tabs.value = "Loss terms"
    drawn = {t.name for t in panel._plots["Loss terms"].figure.data if len(t.x) and t.legend == "legend2"}
    assert drawn == {"PIWSL: gradient consistency, (eV/Å)²"}
    head.value = "conservative"
    panel.reset.click()
    assert (knobs["pitc"].value, knobs["gradient"].value) == (100, 0)
    knobs["pitc"].value = 30
    head.value = "dual"
    assert "sets" not in text(panel.status)
    panel.reset.click()
    assert (knobs["pitc"].value, knobs["gradient"].value) == (30, 0)  # a choice of the person stays


def test_a_gradient_weight_without_a_direct_head_pauses_and_goes_on():
    panel = Dashboard(Session(Setup(**SMALL | {"head": "conservative"}, steps=100_000), monitor_every=2))
    knob, session = panel.controls.physics_knobs["gradient"], panel.session
    knob.value = 10
    assert "Training cannot begin yet." in text(panel.status)
    knob.value = 0
    panel.train.click()
    wait_for(lambda: session.step > 3)
    knob.value = 10
    wait_for(lambda: at_rest(panel))
    assert "Training is paused, nothing is lost. PIWSL: gradient consistency" in text(panel.status)
    assert "take forces from dual and press Reset" in text(panel.status)
    step = session.step
    knob.value = 0
    assert "Stopped. PIWSL learns with" in text(panel.status)
    panel.train.click()
    wait_for(lambda: session.step > step + 2)
    panel.stop.click()
    assert abs(len(session.twins[0].records) - len(session.twins[1].records)) <= 1


def test_one_fold_is_open_at_a_time_and_epsilon_says_what_it_means():
    panel = small_panel(20)
    controls = panel.controls

    def opened() -> list[bool]:
        return [box.layout.display != "none" for box in (controls.more_box, controls.expert_box)]

    assert opened() == [False, False]
    panel.more.value = True
    assert opened() == [True, False]
    assert "piwsl-folded-out" in panel._dom_classes  # curves and molecule make room for it
    panel.expert.value = True
    assert (opened(), panel.more.value) == ([False, True], False)
    controls.physics_knobs["relative"].value = True
    assert controls.physics_knobs["epsilon"].description == "ε ÷ r"
    assert "fraction" in controls.physics_knobs["epsilon"].tooltip
    assert "ε = 0.05 of each shortest bond" in text(panel.status)
    panel.session.run(2)
    assert panel.session.twins[1].trainer.current.relative
    panel.expert.value = False
    assert opened() == [False, False]
    assert "piwsl-folded-out" not in panel._dom_classes


def test_labels_move_both_kinds_and_say_where_they_differ():
    panel = small_panel(20)
    labels, knobs = panel.controls.strip.labels, panel.controls.setup_knobs
    assert labels.value == 10
    labels.value = 200
    assert (knobs["energies"].value, knobs["forces"].value) == (200, 200)
    assert "Waiting for Reset: energy labels 10 → 200; force labels 10 → 200" in text(panel.status)
    assert "piwsl-pending" in labels._dom_classes
    knobs["forces"].value = 0
    assert labels.label == "200 / 0"
    knobs["energies"].value = 0
    assert labels.label == "0"
    labels.value = 50
    assert (knobs["energies"].value, knobs["forces"].value) == (50, 50)
    assert [word for word, _ in labels.options] == ["5", "10", "20", "50", "100", "200", "500", "1000"]
    labels.value = 10
    assert "piwsl-pending" not in labels._dom_classes


def test_labels_that_are_no_stop_of_the_slider_are_shown():
    panel = Dashboard(Session(Setup(**SMALL | {"energies": 30, "forces": 7}, steps=20)))
    labels, knobs = panel.controls.strip.labels, panel.controls.setup_knobs
    assert labels.label == "30 / 7"
    knobs["forces"].value = 20
    knobs["energies"].value = 20
    assert labels.label == "20"


def test_the_weight_is_that_of_the_leading_term():
    panel = small_panel(20)
    weight, knobs = panel.controls.strip.weight, panel.controls.physics_knobs
    assert (weight.description, weight.value) == ("PITC weight", 100)
    weight.value = 3
    assert (knobs["pitc"].value, panel.session.twins[1].objective.pitc) == (3, 3)
    knobs["pitc"].value = 0
    assert weight.label == "off"
    panel.session.twins[1].objective.pitc = 42.0
    panel.refresh()
    assert (weight.value, knobs["pitc"].value) == (42.0, 42.0)
    knobs["pitc"].value = 100
    panel.controls.setup_knobs["head"].value = "dual"
    panel.reset.click()
    assert (weight.description, weight.value) == ("grad. weight", 50)
    weight.value = 10
    assert (panel.session.twins[1].objective.gradient, panel.session.twins[1].objective.pitc) == (10, 0)


@pytest.mark.parametrize(
    ("objective", "said"),
    [
        (Objective(), ""),
        (
            Objective(gradient=100.0, teacher="direct"),
            "ε = 0.05 Å, gradient consistency 100, taught by the direct forces",
        ),
        (Objective(weak=10.0, epsilon=0.01), "ε = 0.01 Å, weak labels 10"),
        (
            Objective(pitc=1.0, order="symmetric", direction="covariance", centres="pool", remove_drift=True),
            "ε = 0.05 Å, PITC 1, PISC off, order symmetric, along soft modes of the data, no drift, "
            "at frames without labels",
        ),
        (Objective(pisc=1.0, pisc_form="two_point"), "ε = 0.05 Å, PITC off, PISC 1, order 2, PISC form two point"),
    ],
)
def test_an_objective_in_words(objective, said):
    assert html.knobs_in_words(objective) == said


def test_the_short_trajectory_is_offered_when_training_stops_and_plays_when_chosen(panel):
    choice, view = panel.right.show_choice, panel.right
    assert (choice.disabled, choice.layout.visibility) == (True, "hidden")
    panel.train.click()
    wait_for(lambda: panel.session.step > 3)
    panel.stop.click()
    wait_for(lambda: at_rest(panel))
    assert (choice.disabled, choice.layout.visibility, choice.value) == (False, "visible", "forces")
    assert text(view.words) == "forces of PIWSL now"
    choice.value = "trajectory"
    assert view.molecule.player.play.playing
    assert text(view.words) == ""
    panel.train.click()
    wait_for(lambda: panel.session.step > 5 and choice.index == 0)
    panel.stop.click()


def marker(panel: Dashboard):
    places = [line.x0 for line in panel._plots["Errors"].figure.layout.shapes if line.name == "cursor"]
    return places[0] if places else None


def test_the_slider_shows_the_forces_of_an_earlier_step_and_its_right_end_is_now():
    panel = small_panel(40)
    view, slider = panel.right, panel.right.step_choice
    assert slider.disabled
    panel.session.run(20)
    wait_for(lambda: at_rest(panel))
    twin = panel.session.twin("PIWSL")
    assert (slider.disabled, slider.max, slider.value, marker(panel)) == (False, 5, 5, None)
    assert text(view.words) == "forces of PIWSL now"
    slider.value = 2
    assert np.array_equal(view.molecule._forces, twin.history[2].forces[0])
    assert not np.allclose(view.molecule._forces, twin.snapshot.forces[0], atol=1e-4)
    assert (text(view.words), marker(panel)) == ("forces of PIWSL at step 10 of 20", 10)
    view.frame_choice.value = 3
    assert np.array_equal(view.molecule._forces, twin.history[2].forces[3])
    view.twin_choice.value = "supervised"
    assert np.array_equal(view.molecule._forces, panel.session.twin("supervised").history[2].forces[3])
    assert text(view.words) == "forces of supervised at step 10 of 20"
    slider.value = 5
    assert np.array_equal(view.molecule._forces, panel.session.twin("supervised").snapshot.forces[3])
    assert marker(panel) is None
    panel.session.run()
    wait_for(lambda: at_rest(panel))
    assert (slider.value, slider.max) == (9, 9)
    assert text(view.words) == "forces of supervised now : those of the best weights"


def test_a_pick_in_the_curves_moves_the_slider_and_reset_clears_it():
    panel = small_panel(40)
    view = panel.right
    panel.session.run(20)
    wait_for(lambda: at_rest(panel))
    view.go_to(14.0)
    assert (marker(panel), view.step_choice.value, view.cursor) == (15, 3, 14)
    panel.reset.click()
    assert (marker(panel), view.cursor, view.step_choice.disabled) == (None, None, True)
    assert text(view.words) == "forces of PIWSL now"
    panel.session.run(20)
    wait_for(lambda: at_rest(panel))
    view.go_to(20.0)
    assert (marker(panel), view.step_choice.value, view.step_choice.max) == (20, 4, 5)
    panel.session.reset()  # by a cell, which tells the panel nothing
    panel.session.run(10)
    wait_for(lambda: at_rest(panel))
    assert (marker(panel), view.cursor) == (None, None)


def test_while_it_trains_now_sends_nothing_and_the_past_stands_still(panel):
    view, sent = panel.right, []
    panel.train.click()
    wait_for(lambda: panel.session.step > 10 and not view.step_choice.disabled)
    view.step_choice.send_state = view.words.send_state = lambda key=None: sent.extend(key or ())
    step = panel.session.step
    wait_for(lambda: panel.session.step > step + 60)
    view.draw()
    assert sent == []
    twin = panel.session.twin("PIWSL")
    assert view.step_choice.value == view.step_choice.max
    view.step_choice.value = view.step_choice.max // 2  # by a hand, with as many stops as there were at the start
    assert 0.3 * step < view.cursor < 0.7 * panel.session.step
    with panel.drawing.lock, panel.session.lock:  # the loop waits
        view.draw()
        assert view.step_choice.max == len(panel.session.twin("PIWSL").history)
    view.go_to(4.0)
    assert sent  # what would have been seen
    wait_for(lambda: panel.session.step > step + 120)
    view.draw()
    assert (marker(panel), view.step_choice.value) == (4, 2)
    assert np.array_equal(view.molecule._forces, twin.history[2].forces[0])
    panel.stop.click()
    wait_for(lambda: at_rest(panel))
    assert marker(panel) == 4  # a hand looks at the past: the short trajectory waits
    assert view.show_choice.index == 0


def test_the_short_trajectory_is_that_of_now(panel):
    view = panel.right
    panel.train.click()
    wait_for(lambda: panel.session.step > 10)
    panel.stop.click()
    wait_for(lambda: at_rest(panel))
    view.go_to(4.0)
    assert (view.show_choice.index, view.step_choice.disabled, marker(panel)) == (0, False, 4)
    view.show_choice.index = 1
    assert (view.cursor, marker(panel), view.step_choice.disabled) == (None, None, True)
    view.go_to(4.0)
    assert (view.show_choice.index, view.step_choice.disabled, marker(panel)) == (0, False, 4)


def test_a_run_in_a_cell_is_drawn_too():
    panel = small_panel(40)
    panel.session.run(20)
    wait_for(lambda: at_rest(panel))
    assert "step 20 of 40" in text(panel.progress)
    assert panel._plots["Errors"].figure.data[0].x[-1] == 20


def test_a_drawing_that_fails_is_reported_and_training_goes_on(panel):
    plot = panel._plots["Errors"]
    draw, plot.draw = plot.draw, lambda session: 1 / 0
    panel.train.click()
    wait_for(lambda: "Drawing failed, training goes on: division by zero (ZeroDivisionError)" in text(panel.status))
    step = panel.session.step
    wait_for(lambda: panel.session.step > step)
    plot.draw = draw
    panel.stop.click()
    panel.session.wait()
    panel.train.click()
    wait_for(lambda: "Drawing failed" not in text(panel.status) and panel.session.running)
    panel.stop.click()


def test_a_new_dashboard_stops_the_loop_of_the_old_one(panel):
    panel.train.click()
    wait_for(lambda: panel.session.running)
    small_panel(20)
    assert not panel.session.running


def test_reprs_do_not_change_from_run_to_run():
    for _ in range(2):
        panel = small_panel(20)
        assert repr(panel) == "Dashboard(supervised and PIWSL, data ethanol)"
        assert repr(panel._plots["Errors"].widget) == "LivePlot()"
    panel.close()
    assert repr(panel) == "Dashboard(closed)"


def test_every_control_has_a_tooltip_and_what_is_unusual_is_offered_too():
    objectives = {"supervised": Objective(), "PIWSL": Objective(pitc=42.0, epsilon=0.033)}
    panel = Dashboard(Session(Setup(**SMALL, steps=77), objectives))
    knobs = {**panel.controls.setup_knobs, **panel.controls.physics_knobs}
    for name, knob in knobs.items():
        assert knob.description, name
        assert knob.tooltip, name
        # A select is about 165 pixels wide: longer words would be cut.
        if isinstance(knob, W.Dropdown) and name in CHOICES:
            assert {value for _, value in knob.options} == set(CHOICES[name]), name
            assert all(len(title) <= 28 for title, _ in knob.options), name
    assert knobs["pitc"].value == 42.0
    assert knobs["epsilon"].value == 0.033
    assert panel.controls.setup(panel.session.setup) == panel.session.setup
