"""`FlightSession` without a screen: it never hangs, twins stay in step, and nobody is kept."""

from __future__ import annotations

import gc
import signal
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from at_once import in_time
from frames import rattled
from potentials import Exact, morse

from piwsl_lab.lab.sessions.md import FlightSession
from piwsl_lab.models import Prediction


class Still(Exact):
    fails_at: int | None = None
    calls = 0

    def __call__(self, graph, forces=True):
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("the oracle has run out")
        energy, answer, *_ = super().__call__(graph, forces)
        return Prediction(energy.detach(), None if answer is None else answer.detach())


def bonded():
    return Still(morse(depth=1.0, width=1.0, rest=1.3).energy)


def flights(**sources):
    return FlightSession(sources or {"one": bonded(), "two": bonded()}, rattled("H2O"), replicas=2)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_a_twin_that_is_ahead_waits_for_the_one_that_failed():
    weak = bonded()
    session = flights(one=bonded(), two=weak)
    weak.fails_at = weak.calls + 7
    with pytest.raises(RuntimeError, match="run out"):
        session.run(40)
    assert not session.running
    counts = [simulation.step_count for simulation in session.simulations.values()]
    assert counts[0] > counts[1]
    session.run(40 - counts[0])
    one, two = session.tracks.values()
    assert one.time == two.time
    undisturbed = flights().run(40)
    for track, other in zip(session.tracks.values(), undisturbed.tracks.values(), strict=True):
        assert np.array_equal(track.positions[-1], other.positions[-1])
        assert len(track.positions) == len(track.alive) == len(track.time)


def test_a_listener_that_fails_is_named_and_the_flight_goes_on():
    session = flights()
    called = []
    session.listeners += [lambda: 1 / 0, lambda: called.append(1)]
    session.start()
    wait_for(lambda: session.time > 2)
    assert called == [1]
    assert "ZeroDivisionError" in session.notice
    assert in_time(session.stop, session.reset) == []
    assert session.notice == ""


def test_a_thread_that_cannot_start_leaves_a_session_at_rest(monkeypatch):
    session = flights()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", lambda self: no_thread())
        with pytest.raises(RuntimeError, match="can't start new thread"):
            session.start()
        session.stop()
        session.reset()
    assert not session.busy
    session.start()
    wait_for(lambda: session.time > 2)
    session.stop()


def no_thread():
    raise RuntimeError("can't start new thread")


def test_stop_and_reset_from_a_listener_and_from_the_flight_itself_come_back():
    session = flights()
    session.listeners.append(session.stop)
    assert in_time(session.start) == []
    wait_for(lambda: not session.running)
    session.listeners[:] = [lambda: session.reset(replicas=3)]
    assert in_time(session.start) == []
    assert session.settings["replicas"] == 3
    session.listeners.clear()

    class Meddling(Still):
        def __call__(self, graph, forces=True):
            session.stop()
            session.wait()
            return super().__call__(graph, forces)

    session = flights(one=bonded(), two=bonded())
    session = flights(one=Meddling(bonded().energy))
    session.start()
    wait_for(lambda: not session.running)
    assert session.error is None
    assert in_time(session.stop, session.reset) == []


def test_many_starts_at_once_make_one_loop():
    session = flights()
    before = threading.active_count()
    for _ in range(10):
        assert in_time(*[session.start] * 8) == []
        assert sum(thread.name == "piwsl-flight" for thread in threading.enumerate()) == 1
        assert in_time(*[session.stop] * 4) == []
        wait_for(lambda: threading.active_count() <= before)
    with pytest.raises(ValueError, match="flying already"):
        session.start() or session.run(4)
    session.stop()


def test_a_flight_that_nobody_has_is_gone_with_its_thread():
    gone = weakref.ref(flown())
    gc.collect()
    assert gone() is None


def flown():
    session = flights()
    session.start()
    wait_for(lambda: session.time > 2)
    session.stop()
    session.wait()
    return session


def test_an_interrupt_at_any_line_of_a_flight_changes_nothing():
    expected = flights().run(24)
    sources, whole = Source(None), flights()
    sys.settrace(sources.trace)
    whole.run(24)
    sys.settrace(None)
    lines = sources.seen
    interrupted = 0
    for k in range(1, lines, max(1, lines // 40)):
        session, source = flights(), Source(k)
        try:
            sys.settrace(source.trace)
            session.run(24)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(None)
        counts = {simulation.step_count for simulation in session.simulations.values()}
        assert len(counts) == 1, f"out of step after line {k}"
        session.stop()
        session.run(24 - counts.pop())
        for track, other in zip(session.tracks.values(), expected.tracks.values(), strict=True):
            assert track.time == other.time
            assert all(map(np.array_equal, track.positions, other.positions))
    assert interrupted > 30


class Source:
    """Sends an interrupt at the k-th line of the package that is run."""

    def __init__(self, k):
        self.k, self.seen = k, 0

    def trace(self, frame, event, _):
        if "/piwsl_lab/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.k:
                signal.raise_signal(signal.SIGINT)
        return self.trace
