"""Players of the lessons: every knob does something, every function can be drawn, numbers are those of the text."""

from __future__ import annotations

import json
import threading

import ipywidgets as W
import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances

import piwsl_lab
from piwsl_lab.lab.checks import CHECKS
from piwsl_lab.lab.checks.springs import softness
from piwsl_lab.lab.figures.players import YOURS, Line, Panel, Panels
from piwsl_lab.lab.players import (
    UNITS,
    AdvicePlayer,
    BiasPlayer,
    BondPlayer,
    CoveragePlayer,
    LabelPlayer,
    SlopePlayer,
    SpringPlayer,
    StarvingPlayer,
    TaylorPlayer,
    UnitPlayer,
    WorstFramePlayer,
    hessian,
    parts_of_error,
    reference_method,
)
from piwsl_lab.lab.players.player import Player
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import prepare

ETHANOL = piwsl_lab.load("ethanol")
FRAME, OTHER = ETHANOL[0], ETHANOL[100]
BOTH = "the mean of both forces"


class Guess:
    """A potential that is always wrong in the same way."""

    def predict(self, frames):
        return np.zeros(len(frames)), [0.9 * frame.forces for frame in frames]


# How each player is made with a learner's function, and the key of its check.
WITH_FUNCTION = {
    "bond": (BondPlayer, "01.force"),
    "slope": (SlopePlayer, "01.slope"),
    "unit": (lambda f: UnitPlayer(FRAME, f), "04.unit_factor"),
    "starving": (StarvingPlayer, "05.exponent"),
    "coverage": (lambda f: CoveragePlayer(f, experiments=50), "05.bootstrap"),
    "taylor": (lambda f: TaylorPlayer(FRAME, f, rule=BOTH), "06.pitc"),
    "bias": (lambda f: BiasPlayer(FRAME, f, draws=5), "07.bias"),
    "spring": (SpringPlayer, "07.softness"),
}
WITHOUT = {
    "advice": lambda f: AdvicePlayer(),
    "worst": lambda f: WorstFramePlayer(Guess(), ETHANOL[:20]),
}
MAKERS = {name: maker for name, (maker, _) in WITH_FUNCTION.items()} | WITHOUT


@pytest.fixture
def shown():
    """A function that makes a player; all of them are closed at the end."""
    made = []

    def make(name, function=None):
        made.append(MAKERS[name](function))
        return made[-1]

    yield make
    for player in made:
        player.close()


def drawing(player):
    """All that the plot of a player holds."""
    return json.dumps([[list(map(str, t.x)), list(map(str, t.y)), t.line.color] for t in player.plot.figure.data])


def own(player):
    """Traces of the learner's function."""
    return [trace for trace in player.plot.figure.data if trace.name == "yours"]


def other_value(knob):
    """A value that a knob does not have."""
    if hasattr(knob, "options"):
        values = [option[1] if isinstance(option, tuple) else option for option in knob.options]
        return next(value for value in values if value != knob.value)
    return knob.min if knob.value != knob.min else knob.max


@pytest.mark.parametrize("name", MAKERS)
def test_every_knob_changes_what_is_shown_at_once(shown, name):
    player = shown(name)
    assert 1 <= len(player.knobs) <= 3
    for knob in player.knobs.values():
        before = drawing(player), player.numbers.value
        knob.value = other_value(knob)
        assert (drawing(player), player.numbers.value) != before, knob.description


@pytest.mark.parametrize("name", MAKERS)
def test_a_page_without_widgets_has_all_the_words(shown, name):
    player = shown(name)
    bundle = player._repr_mimebundle_()
    assert bundle["text/plain"] == repr(player)
    assert type(player).__name__ in repr(player)
    assert len(repr(player)) > 40
    assert "  " not in player._said


@pytest.mark.parametrize("name", WITH_FUNCTION)
def test_a_right_function_is_drawn_on_the_truth(shown, name):
    _, key = WITH_FUNCTION[name]
    player = shown(name, CHECKS[key].reference)
    (line,) = own(player)
    assert line.line.color == YOURS
    assert len(line.x) >= 2
    assert np.isfinite(np.asarray(line.y, dtype=float)).all()
    if name in ("bond", "slope", "coverage", "bias", "spring", "taylor"):
        names = {"bond": "force", "slope": "both sides", "coverage": "bootstrap", "spring": "first force",
                 "bias": "exact mean", "taylor": "left over, negative"}  # fmt: skip
        truth = [trace for trace in player.plot.figure.data if trace.name == names[name]][-1]
        np.testing.assert_allclose(np.sort(line.y), np.sort(truth.y), rtol=1e-9, atol=1e-9)


WRONG_ANSWERS = {
    "blank": (lambda *a: ..., "returns nothing yet"),
    "None": (lambda *a: None, "returns nothing yet"),
    "stops": (lambda *a: 1 / 0, "ZeroDivisionError"),
    "text": (lambda *a: "0.5", "cannot be drawn"),
    "other arguments": (lambda: 1.0, "TypeError"),
    "nan": (lambda *a: float("nan"), ""),
    "array": (lambda *a: np.zeros((2, 3)), ""),
    "empty": (lambda *a: np.zeros(0), ""),
}


@pytest.mark.parametrize("wrong", WRONG_ANSWERS)
@pytest.mark.parametrize("name", WITH_FUNCTION)
def test_any_answer_can_be_looked_at(shown, name, wrong):
    """A figure is looked at before the check: nothing that a learner writes may end it."""
    function, words = WRONG_ANSWERS[wrong]
    player = shown(name, function)
    assert words in player._said
    for knob in player.knobs.values():
        knob.value = other_value(knob)
    assert words in player._said
    truths = [trace for trace in player.plot.figure.data if trace.name != "yours"]
    assert any(len(trace.x) for trace in truths)


def test_an_interrupt_is_not_kept_from_the_learner(shown):
    def endless(*arguments):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shown("spring", endless)


@pytest.mark.parametrize("name", MAKERS)
def test_a_closed_player_leaves_no_widget_behind(name):
    W.Layout()  # ipywidgets makes some of its own at the first use
    MAKERS[name](None).close()
    before = set(_instances)
    MAKERS[name](None).close()
    left = [_instances[key] for key in set(_instances) - before]
    assert [type(widget).__name__ for widget in left] == []


def test_a_player_has_at_most_three_knobs():
    knobs = {str(k): W.FloatSlider() for k in range(4)}
    with pytest.raises(ValueError, match="at most 3 knobs, not 4"):
        Player(knobs, Panels([Panel("y")]))


def test_what_is_not_positive_is_left_out_of_a_logarithmic_plot():
    plot = Panels([Panel("y", "x", "xy"), Panel("y", "x")], columns=2)
    plot.draw([
        Line(0, "a", [1, 0, 2], [1, 1, -1], dash="", marker="circle"),
        Line(0, "b", [1, 2, 3], [1, -1, 2]),
        Line(1, "c", [0, 1], [-1, 1]),
    ])  # fmt: skip
    points, line, plain = plot.figure.data
    assert list(points.x) == [1]
    assert np.isnan(line.y[1])  # a gap, and no bridge over it
    assert list(plain.y) == [-1, 1]
    plot.close()


# -- the numbers of the text (targets A to F of the course) ----------------------------------------------------------


def test_e_remainders_of_ethanol(shown):
    player = shown("taylor")
    left = {
        e: [1000 * player.remainder("random step 1", e, order) for order in (1, 2)] for e in (0.01, 0.02, 0.04, 0.08)
    }
    first, both = np.array(list(left.values())).T
    np.testing.assert_allclose(first, [11.09, 44.97, 184.94, 784.09], atol=0.006)
    np.testing.assert_allclose(both, [-0.0748, -0.6151, -5.222, -46.937], atol=0.0006)
    np.testing.assert_allclose(first[1:] / first[:-1], [4.05, 4.11, 4.24], atol=0.006)
    assert abs(player.remainder("a shift of the whole molecule", 0.1, 1)) < 1e-6
    assert player.remainder("a turn of the whole molecule", 0.05, 1) > 1e-4  # a turn along straight lines is none


def test_e_the_hunt_ends_along_the_softest_direction():
    player = TaylorPlayer(OTHER)
    soft = "the softest direction"
    unit = 1 / np.linalg.norm(player.directions[soft])
    left = [1000 * player.remainder(soft, length * unit, 1) for length in (0.05, 0.10, 0.15)]
    np.testing.assert_allclose(left, [-3.9, -13.3, -22.0], atol=0.06)
    assert np.linalg.eigvalsh(hessian(player.oracle, OTHER))[0] == pytest.approx(-3.25, abs=0.01)
    for name, step in player.directions.items():  # ε means the same size for all
        assert np.sqrt(np.mean(step**2)) == pytest.approx(1 / np.sqrt(3), rel=0.25), name
    player.knobs["direction"].value = soft
    assert any(trace.name == "left over, negative" and len(trace.x) for trace in player.plot.figure.data)
    player.close()


def test_e_mean_of_random_steps_is_the_trace(shown):
    player = BiasPlayer(FRAME)
    assert np.trace(player.hessian) == pytest.approx(598.9, abs=0.1)
    assert player.left(0.05).mean() == pytest.approx(0.2496, rel=0.15)
    assert (player.left(0.05) > 0).all()
    player.close()


def test_f_two_springs(shown):
    player = shown("spring")
    for weight, wanted in ((100.0, (0.9978, 0.9657, 0.6378)), (10.0, (0.9998, 0.9965, 0.9463))):
        found = [player.stiffness(weight, epsilon, 1) for epsilon in (0.05, 0.1, 0.2)]
        np.testing.assert_allclose(found, wanted, atol=6e-5)
        labels = player.springs.stiffness_of_labels
        np.testing.assert_allclose([softness(weight, e, labels) for e in (0.05, 0.1, 0.2)], found, rtol=1e-12)
    softening = [1 / player.stiffness(100.0, e, 1) - 1 for e in (0.05, 0.1, 0.2)]
    np.testing.assert_allclose(np.divide(softening[1:], softening[:-1]), 16.0, rtol=1e-9)
    assert player.stiffness(100.0, 0.2, 2) == 1.0


@pytest.mark.parametrize("unit", UNITS)
def test_c_the_unit_of_forces_is_found_to_one_percent(shown, unit):
    player = shown("unit")
    reference = CHECKS["04.unit_factor"].reference
    assert reference(*player.pairs(unit)) == pytest.approx(UNITS[unit], rel=0.01)
    assert abs(reference(*player.pairs(unit, 0.05, both=False)) / UNITS[unit] - 1) > 0.3  # curvature looks like a unit


def test_c_forces_of_a_frame_are_not_all_free():
    assert abs(FRAME.forces.sum(axis=0)).max() < 1e-6
    assert abs(np.cross(FRAME.positions, FRAME.forces).sum(axis=0)).max() < 2e-5


def test_d_exponents_of_the_stored_study(shown):
    player = shown("starving")
    exponent = CHECKS["05.exponent"].reference
    found = [
        exponent(*player.means(method, quantity))
        for method in ("labels alone", "with PITC")
        for quantity in ("energy error", "force error")
    ]
    np.testing.assert_allclose(found, [-0.50, -0.53, -0.30, -0.54], atol=0.016)
    errors = player.errors("labels alone", "energy error")
    assert list(errors) == [25, 50, 100, 200, 500, 1000]
    assert all(len(values) == 5 for values in errors.values())
    every = np.stack(np.meshgrid(*[range(5)] * 5), axis=-1).reshape(-1, 5)
    np.testing.assert_allclose(CHECKS["05.bootstrap"].reference(errors[50.0], every), [65.30, 86.86], atol=0.05)


def test_d_coverage_of_few_seeds():
    player = CoveragePlayer()
    np.testing.assert_allclose([player.coverage(n) for n in player.SEEDS], [75, 84, 90, 93], atol=3)
    player.close()


def test_advice_of_both_kinds_is_held_against_the_same_seed(shown):
    player = shown("advice")
    first, both = (player.ratios(order, "energy_mae") for order in (1, 2))
    assert list(first) == list(both) == [0.003, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2]
    assert all(len(values) >= 2 for values in (*first.values(), *both.values()))
    assert np.mean(first[0.1]) > 1 > np.mean(both[0.1])


def test_studies_that_are_not_there_are_said(monkeypatch):
    for room in ("springs", "statistics"):
        monkeypatch.setattr(f"piwsl_lab.lab.players.{room}.find_studies", lambda: None)
    for player in (AdvicePlayer, StarvingPlayer):
        with pytest.raises(ValueError, match="the stored studies are not here"):
            player()


def test_frames_stand_in_the_order_of_their_errors(shown):
    player = shown("worst")
    assert (np.diff(player.errors[player.order]) <= 0).all()
    player.knobs["rank"].value = 20
    assert f"Test frame {player.order[-1]}" in player._said


def test_the_parts_of_an_error():
    offset, spread = parts_of_error(np.array([1.0, 3.0]), np.array([0.0, 0.0]))
    assert (offset, spread) == (2.0, 1.0)


def test_the_reference_method_of_this_machine_is_a_quantum_method():
    assert reference_method().label(FRAME.numbers, FRAME.positions).energy == pytest.approx(FRAME.energy, abs=1e-4)


# -- the player that trains ------------------------------------------------------------------------------------------


@pytest.fixture
def trained():
    setup = Setup(data="ethanol", energies=10, forces=10, channels=8, layers=1, steps=6, test=24, head="conservative")
    objectives = {"forces only": Objective(energy=0.0), "energies only": Objective(force=0.0), "both": Objective()}
    session = Session(setup, objectives, monitor_every=2)
    player = LabelPlayer(session)
    yield session, player
    player.close()


def test_curves_grow_while_it_trains_and_the_thread_ends(trained):
    session, player = trained
    before = drawing(player)
    session.run()
    for thread in threading.enumerate():
        if thread.name == "piwsl-lesson-drawing":
            thread.join(10)
    assert drawing(player) != before
    assert "Step 6 of 6" in player._said
    assert not player.drawing.active
    points = [len(trace.x) for trace in player.plot.figure.data]
    assert min(points) >= 3


def test_train_begins_anew_with_the_weights_of_the_knobs(trained):
    session, player = trained
    session.run()
    player.knobs["energy"].value, player.knobs["force"].value = 1.0, 1000.0
    player.train.click()
    session.wait()
    assert session.step == 6
    assert session.error is None
    used = session.twins[-1].trainer.objective
    assert (used.energy, used.force) == (1.0, 1000.0)
    assert session.twins[0].trainer.objective.energy == 0.0


def test_nothing_to_learn_is_said_and_loses_nothing(trained):
    session, player = trained
    session.run()
    player.knobs["energy"].value = player.knobs["force"].value = 0.0
    player.train.click()
    assert "both weights are off" in player._said
    assert session.step == 6


def test_a_closed_player_stops_its_session(trained):
    session, player = trained
    player.close()
    assert player.drawing.start not in session.listeners
    session.run()  # and the session can still be used


def test_the_words_of_the_player_hold_no_number_that_depends_on_time(trained):
    _, player = trained
    assert repr(player) == "LabelPlayer: forces only, energies only, both; press Train."


@pytest.mark.slow
def test_c_what_each_label_teaches():
    """Forces give the shape and no height; energies give rough slopes. Order only: defaults may become better."""
    objectives = {"forces": Objective(energy=0.0), "energies": Objective(force=0.0), "both": Objective()}
    setup = Setup(
        data="ethanol", energies=50, forces=50, channels=32, layers=2, steps=400, head="conservative", test=200
    )
    for seed in (0, 1):
        session = Session(Setup(**{**vars(setup), "seed": seed}), objectives).run()
        labels = [frame.energy for frame in prepare(setup).test]
        parts = {t.name: parts_of_error(t.potential.predict(session.task.test)[0], labels) for t in session.twins}
        assert abs(parts["forces"][0]) > 3 * parts["forces"][1]
        assert parts["forces"][1] < 2 * parts["both"][1]
        assert parts["energies"][1] > 1.5 * parts["both"][1]
        forces = {t.name: t.final.force_rmse for t in session.twins}
        guess = np.sqrt(np.mean([frame.forces**2 for frame in session.task.test]))
        assert 0.33 * guess < forces["energies"] < 0.97 * guess
        assert forces["both"] < 0.33 * guess


def test_a_slow_function_is_counted_with_fewer_experiments():
    """A loop over a thousand draws is a natural first answer: the figure must not take minutes."""
    calls = []

    def slow(errors, draws):
        calls.append(len(errors))
        threading.Event().wait(0.02)
        return np.percentile(errors[draws].mean(axis=1), [2.5, 97.5])

    player = CoveragePlayer()
    assert len(player.intervals(5, slow)) == 100
    assert len(player.intervals(5)) == 2000  # the exact one: the same number on every machine
    player.close()
