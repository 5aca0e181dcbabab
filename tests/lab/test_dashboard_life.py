"""How dashboards come and go without a browser: a second view, a stored run, saving, and what closing leaves behind."""

from __future__ import annotations

import gc
import re
import threading
import time
from types import SimpleNamespace

import ipywidgets as W
import pytest

from piwsl_lab.lab.panels.dashboard import LESSON, Dashboard
from piwsl_lab.lab.panels.face import FLY
from piwsl_lab.lab.panels.md import FlightDeck
from piwsl_lab.lab.parts.styles import CSS
from piwsl_lab.lab.sessions.replay import SECONDS
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup

SMALL = {"energies": 10, "forces": 10, "test": 40, "channels": 16, "layers": 1, "batch_size": 4}
SMALL |= {"model": "painn", "head": "direct"}
try:
    from ipywidgets.widgets.widget import _instances as REGISTRY
except ImportError:  # ipywidgets 7
    REGISTRY = W.Widget.widgets


def small_session(steps: int = 100_000, **objectives) -> Session:
    return Session(Setup(**SMALL, steps=steps), objectives or None, monitor_every=2)


def text(widget) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", widget.value)).strip()


def wait_for(condition, seconds: float = 60.0) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it never happened"
        time.sleep(0.005)


def ours() -> list[str]:
    """Names of the threads that a dashboard, a flight, a picture or a session has started."""
    return sorted(t.name for t in threading.enumerate() if t is not threading.main_thread() and t.daemon)


def test_a_second_dashboard_of_a_session_takes_its_place_and_training_goes_on():
    session = small_session()
    first = Dashboard(session)
    first.train.click()
    wait_for(lambda: session.step > 3)
    second = Dashboard(session)
    assert session.running
    assert first.comm is None  # its widgets are gone
    assert len(session.listeners) == 1
    step = session.step
    wait_for(lambda: session.step > step + 5)
    wait_for(lambda: f"step {step}" not in text(second.progress) and "step 0" not in text(second.progress))
    first.close()  # once more
    assert session.running
    second.stop.click()
    second.close()
    assert session.listeners == []


def test_a_dashboard_of_another_session_ends_the_loop_that_nobody_sees():
    old = Dashboard(small_session())
    old.train.click()
    wait_for(lambda: old.session.running)
    new = Dashboard(small_session(20))
    assert not old.session.running
    assert old.comm is None
    new.close()


def test_a_session_goes_on_when_its_dashboard_is_closed_and_can_be_shown_again():
    session = small_session()
    panel = Dashboard(session)
    panel.train.click()
    panel.close()
    step = session.step
    wait_for(lambda: session.step > step + 3)
    again = Dashboard(session)
    wait_for(lambda: "/s ·" in text(again.progress))
    again.stop.click()
    again.close()


def test_a_dashboard_that_cannot_be_made_says_only_why():
    """What is left of it is closed by ipywidgets; an error there would be one more message."""
    with pytest.raises(AttributeError, match="step"):
        Dashboard(SimpleNamespace())
    gc.collect()


def test_presses_that_come_after_the_end_do_nothing():
    panel = Dashboard(small_session())
    train, tabs = panel.train, panel.tabs
    panel.close()
    train.click()
    tabs.value = FLY
    panel.refresh(everything=True)
    assert panel.session.step == 0
    assert panel.deck is None


def fly(panel: Dashboard) -> FlightDeck:
    panel.tabs.value = FLY
    assert panel.deck is not None, text(panel.status)
    return panel.deck


def test_reset_and_fly_leave_no_thread_and_no_widget_behind():
    panel = Dashboard(small_session(40))
    deck = fly(panel)
    deck.start.click()
    wait_for(lambda: len(deck.session.tracks["PIWSL"].time) > 1)
    panel.reset.click()
    wait_for(lambda: not any("piwsl" in name for name in ours()))
    widgets, threads = len(REGISTRY), ours()
    for _ in range(3):
        deck = fly(panel)
        deck.start.click()
        wait_for(lambda deck=deck: len(deck.session.tracks["PIWSL"].time) > 1)
        panel.reset.click()
        assert panel.tabs.value == FLY
        assert panel.deck is not deck
        panel.tabs.value = "Errors"
    panel.reset.click()
    panel.fly_tab.close_deck()
    wait_for(lambda: set(ours()) <= set(threads))  # a short-lived one may have been there before
    panel.fly_tab.close_deck()
    assert len(REGISTRY) <= widgets
    panel.close()


def test_new_dashboards_leave_no_thread_and_no_widget_behind():
    Dashboard(small_session(20)).close()  # what a kernel keeps once: plotly.js and what belongs to it
    widgets, threads = len(REGISTRY), ours()
    for _ in range(6):
        panel = Dashboard(small_session(20))
        panel.train.click()
        wait_for(lambda panel=panel: panel.session.step > 2)
    panel.close()
    panel.session.stop()
    panel.session.wait()
    wait_for(lambda: set(ours()) <= set(threads))  # a short-lived one may have been there before
    assert len(REGISTRY) == widgets
    assert list(Dashboard._shown) == []


# -- the stored run ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lesson() -> Session:
    return Session(LESSON)


def test_the_stored_run_plays_at_once_marked_and_does_not_touch_the_session(lesson):
    panel = Dashboard(lesson)
    curves = panel._plots["Errors"]
    assert "Stored run, trained earlier on another machine" in text(panel.status)
    assert text(panel.headline).startswith("stored run")
    wait_for(lambda: len(curves.figure.data[0].x) > 10)
    # Data and words of a figure are set one after the other.
    wait_for(lambda: any("stored" in words.text for words in curves.figure.layout.annotations))
    panel.controls.physics_knobs["epsilon"].value = 0.1
    panel.controls.strip.labels.value = 200
    assert "Waiting for Reset" in text(panel.status)
    wait_for(lambda: not panel.drawing.active, SECONDS + 60)
    assert re.search(r"energy error [\d.]+× lower", text(panel.headline).replace("  ", " "))
    assert "(all 500 test frames)" in text(panel.numbers)
    assert (lesson.step, lesson.busy, lesson.error) == (0, False, None)
    assert panel.train.disabled is False
    lesson.twins[1].objective.epsilon = 0.05
    panel.close()


def test_a_page_that_comes_late_sees_the_stored_run_from_its_beginning(lesson):
    panel = Dashboard(lesson)
    panel._stored._began -= SECONDS
    wait_for(lambda: not panel.drawing.active)
    assert panel.shown.ended
    (alone, _) = panel.face.alone
    alone._handle_custom_msg({"type": "shown"}, [])
    wait_for(lambda: 0 < panel.shown.step < 300)
    panel._stored._began -= SECONDS
    wait_for(lambda: not panel.drawing.active)
    alone._handle_custom_msg({"type": "shown"}, [])  # F5: it has been seen
    assert panel.shown.ended
    assert (lesson.step, lesson.busy) == (0, False)
    panel.close()


def test_train_ends_the_stored_run_and_so_does_reset(lesson):
    panel = Dashboard(lesson)
    wait_for(lambda: panel.shown.step > 3)
    panel.train.click()
    assert panel.shown is lesson
    assert "stored" not in (text(panel.headline) + text(panel.status)).lower()
    wait_for(lambda: len(panel._plots["Errors"].figure.data[0].x) > 1)
    assert not any("stored" in words.text for words in panel._plots["Errors"].figure.layout.annotations)
    panel.stop.click()
    panel.session.wait()
    panel.reset.click()
    assert panel.shown is lesson
    assert "Press Train" in text(panel.headline)
    panel.close()
    panel = Dashboard(lesson)  # at its first step again
    assert panel.shown is not lesson
    panel.reset.click()
    assert panel.shown is lesson
    panel.close()


def test_other_settings_have_no_stored_run():
    panel = Dashboard(small_session(20))
    assert panel.shown is panel.session
    panel.close()


# -- saving ------------------------------------------------------------------------------------------------------------


def test_save_says_where_how_much_and_how_it_comes_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    panel = Dashboard(small_session(20))
    panel.session.run(6)
    panel.save.click()
    (folder,) = tmp_path.glob("piwsl-session-*")
    assert re.fullmatch(r"piwsl-session-\d{8}-\d{6}", folder.name)
    assert str(folder) in text(panel.saved)
    assert re.search(r"\d\.\d MB in \d+ files", text(panel.saved))
    line = re.search(r"session = (Session\.load\(.*?\))</code>", panel.saved.value)[1].replace("&#x27;", "'")
    back = eval(line)
    assert back.step == 6
    assert back.evaluate() == panel.session.evaluate()
    panel.close()


def test_a_save_that_fails_says_why(monkeypatch):
    panel = Dashboard(small_session(20))

    def full(folder):
        raise OSError(28, "No space left on device", str(folder))

    panel.session.save = full
    panel.save.click()
    said = text(panel.status)
    assert "Save session was not possible, nothing has changed: No space left on device: piwsl-session-" in said
    assert "OSError" not in said
    assert panel.saved.value == ""
    panel.close()


# -- words -------------------------------------------------------------------------------------------------------------


def test_a_name_is_never_html(monkeypatch):
    name = '<b onclick="x()">x</b>'
    session = small_session(20, supervised=Objective(), **{name: Objective(pitc=100.0)})
    panel = Dashboard(session)
    session.run(4)
    session.pin("<i>mine</i>")
    panel.refresh(everything=True)
    panel.right.step_choice.value = 1
    panel.copy.click()
    fly(panel)
    found = [w.value for w in REGISTRY.values() if isinstance(w, W.HTML)]
    assert any("&lt;b onclick" in value for value in found)
    for value in found:
        assert "<b onclick" not in value, value
        assert "<i>mine" not in value, value
    panel.close()


def test_errors_begin_with_words_and_name_no_button_that_is_not_there():
    panel = Dashboard(small_session(20))
    panel.controls.setup_knobs["energies"].value = panel.controls.setup_knobs["forces"].value = 0
    panel.reset.click()
    said = text(panel.status)
    assert "ValueError" not in said
    assert "Reset was not possible, nothing has changed:" in said
    assert "Then press Reset again." in said

    def broken(*_):
        raise ValueError("no oracle here")

    panel.fly_tab.open_deck = broken
    panel.tabs.value = FLY
    assert "Fly could not be opened: no oracle here." in text(panel.status)
    assert "press" not in text(panel.status).split("no oracle here.")[1].split("Waiting")[0]
    panel.close()


def test_the_notice_of_the_session_is_said():
    panel = Dashboard(small_session(20))
    panel.session.notice = "Interrupted: press Train to go on."
    panel.refresh(everything=True)
    assert text(panel.status).startswith("Interrupted: press Train to go on. Ready.")
    panel.close()


def test_words_that_change_have_a_fixed_height():
    """What stands above the curves must not push them about while it trains."""
    lines = dict(re.findall(r"^\.(piwsl-\w+) \{([^}]*)\}", CSS, re.M | re.S))
    for name in ("piwsl-headline", "piwsl-numbers", "piwsl-progress", "piwsl-status", "piwsl-moment"):
        assert re.search(r"(?<!line-)height: \d+px", lines[name]), name
