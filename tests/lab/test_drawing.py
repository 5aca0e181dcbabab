"""The drawing thread of a panel, its pace, and what tells a person's moves from those of the panel."""

from __future__ import annotations

import threading
import time

import pytest

from piwsl_lab.lab.panels.drawing import Drawing, OwnMoves, Pace, guarded

NAME = "a drawing of a test"


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def until(done, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_it_draws_until_nothing_changes_and_starts_again():
    pauses: list[float | None] = [0.0, 0.0, None, None]
    drawing = Drawing(NAME, lambda: pauses.pop(0))
    drawing.start()
    until(lambda: not drawing.active)
    assert len(pauses) == 1
    drawing.start()
    until(lambda: not drawing.active)
    assert pauses == []
    until(lambda: not threads())


def test_there_is_one_thread_and_its_end_is_waited_for():
    drawn, go = [], threading.Event()

    def draw() -> float:
        drawn.append(threading.current_thread())
        go.wait(20)
        return 60.0  # the end does not wait for this

    drawing = Drawing(NAME, draw)
    drawing.start()
    until(lambda: drawn)
    assert len(threads()) == 1
    assert drawing.active
    go.set()
    drawing.start()
    began = time.monotonic()
    drawing.end()
    assert time.monotonic() - began < 20
    assert (threads(), drawing.active, drawing.ended) == ([], False, True)
    drawing.start()  # a panel that is closed draws no more
    drawing.end()
    assert len(drawn) == 1


def test_a_drawing_may_end_itself():
    drawing = Drawing(NAME, lambda: drawing.end() or 0.0)
    drawing.start()
    until(lambda: not drawing.active)
    until(lambda: not threads())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_drawing_that_fails_leaves_no_thread_behind_and_can_start_again():
    calls = []

    def draw() -> None:
        calls.append(0)
        if len(calls) == 1:
            raise RuntimeError("not drawn")

    drawing = Drawing(NAME, draw)
    for count in (1, 2):
        drawing.start()
        until(lambda: not drawing.active)
        assert len(calls) == count


def test_moves_of_the_panel_are_told_from_those_of_a_person():
    moves = OwnMoves(threading.RLock())
    assert moves.by_hand
    with moves.own():
        assert not moves.by_hand
        with moves.own():
            assert not moves.by_hand
        assert not moves.by_hand
    assert moves.by_hand
    with pytest.raises(KeyError), moves.own():
        raise KeyError
    assert moves.by_hand


def test_something_is_due_once_a_period():
    pace = Pace()
    assert pace.due("plot", 60.0)
    assert not pace.due("plot", 60.0)
    assert pace.due("molecule", 60.0)
    assert pace.due("plot", 0.0)


def test_a_failure_becomes_words_and_a_success_none():
    assert guarded(lambda: None, str) == ""
    assert guarded(lambda: int("x"), lambda error: type(error).__name__) == "ValueError"
