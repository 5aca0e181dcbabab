"""Ctrl-C and other errors at any moment: twins, weights, random numbers and records stay in step."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import time
import warnings

import pytest
import torch
from frames import labelled
from jupyter_client.manager import KernelManager

from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.support import interrupts
from piwsl_lab.support.fairlock import FairLock
from piwsl_lab.training.trainer import Trainer

SMALL = {"energies": 10, "forces": 10, "test": 30, "channels": 8, "layers": 1, "batch_size": 4}
SMALL |= {"model": "painn", "head": "direct"}
PACKAGE = "/piwsl_lab/"
SIGNALS = ("interrupts.py", "fairlock.py")  # what holds real signals back has no answer to an error out of nowhere


def ours(name):
    return PACKAGE in name and not name.endswith(SIGNALS)


def loop_only(name):
    """The files that keep twins in step, so that the k-th line is seldom one of the model."""
    return name.endswith(("sessions/training.py", "twin.py", "loop.py", "trainer.py", "attempt.py", "answer.py"))


def optimiser(name):
    return "/torch/optim/" in name


def small(steps=6):
    return Session(Setup(**SMALL, steps=steps), {"labels": Objective(), "PIWSL": Objective(pitc=9.0)}, 2)


def told(session):
    return [
        {
            "records": [(r.step, r.loss, r.terms, r.metrics) for r in twin.records],
            "scores": {step: repr(metrics) for step, metrics in twin.points if step % 2 == 0},
            "shots": {s.step: s.energy.tolist() for s in twin.history if s.step % 2 == 0},
            "noise": twin.trainer.noise.get_state().tolist(),
            "final": repr(twin.final),
            "weights": {name: value.tolist() for name, value in twin.potential.state_dict().items()},
        }
        for twin in session.twins
    ]


class At:
    """Does something at the k-th line that is run in some files, once; counts the lines."""

    def __init__(self, action, k=None, where=loop_only):
        self.action, self.k, self.where, self.seen = action, k, where, 0

    def __enter__(self):
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(None)

    def _trace(self, frame, event, _):
        if not self.where(frame.f_code.co_filename):
            return None
        if event == "line":
            self.seen += 1
            if self.seen == self.k:
                sys.settrace(None)
                self.action()
        return self._trace


def raise_signal():
    signal.raise_signal(signal.SIGINT)


def raise_error():
    raise KeyboardInterrupt


def spread(lines, most):
    """Line numbers from the first to the last, all residues of the loop's length among them."""
    return sorted({1, lines, *(1 + (97 * k) % lines for k in range(most))})


@pytest.mark.parametrize("action", [raise_signal, raise_error])
def test_an_interrupt_at_any_line_of_a_run_changes_nothing(action, monkeypatch):
    whole = small()
    with At(lambda: None) as counted:
        whole.run()
    expected = told(whole)
    built = small()
    monkeypatch.setattr(Session, "_built", lambda self, setup, objectives: built_again(built, setup))
    interrupted = 0
    for k in spread(counted.seen, 60):
        session = small()
        try:
            with At(action, k):
                session.run()
        except KeyboardInterrupt:
            interrupted += 1
        if action is raise_signal:
            assert len({len(twin.records) for twin in session.twins}) == 1, f"out of step after line {k}"
        for twin in session.twins:
            assert twin.trainer.done == len(twin.records), f"records and weights differ after line {k}"
        session.stop()  # never in vain
        assert not session.busy
        session.run()
        assert told(session) == expected, f"another run after an interrupt at line {k} of {counted.seen}"
    assert interrupted > 40


def built_again(built, setup):
    """Data and twins as `Session._built` makes them, without reading the data once more."""
    from piwsl_lab.lab.sessions.training import _Built
    from piwsl_lab.lab.sessions.twin import Twin
    from piwsl_lab.study.task import build_trainer

    twins = []
    for twin in built.twins:
        trainer = build_trainer(twin.setup, built.task, Objective(pitc=twin.objective.pitc))
        twins.append(Twin(twin.name, twin.setup, trainer, twin.kind))
    again = _Built(setup, built.task, twins)
    for twin in twins:
        twin.monitor(again.monitored)
    return again


@pytest.mark.parametrize("action", [raise_signal, raise_error])
@pytest.mark.parametrize("where", [ours, optimiser])
def test_an_interrupt_anywhere_in_a_step_of_a_trainer_changes_nothing(action, where):
    """Also inside the model and inside the optimiser, which moves the weights."""
    whole, lines, expected = trainer(), [], []
    for _ in range(6):
        with At(lambda: None, where=where) as counted:
            expected.append(whole.step())
        lines.append(counted.seen)
    for k in spread(lines[-1], 25):
        broken, records, step = trainer(), [], 0
        while len(records) < 6:
            step += 1
            try:
                with At(action if step in (2, 4) else lambda: None, k, where):
                    records.append(broken.step())
            except KeyboardInterrupt:
                if broken.done > len(records):
                    records.append(broken.last)
        found = [(r.step, r.loss, r.terms, r.metrics) for r in records]
        assert found == [(r.step, r.loss, r.terms, r.metrics) for r in expected], f"line {k} of {lines[-1]}"
        assert broken.noise.get_state().equal(whole.noise.get_state())
        for one, other in zip(
            broken.potential.state_dict().values(), whole.potential.state_dict().values(), strict=True
        ):
            assert torch.equal(one, other)


def trainer():
    torch.manual_seed(0)
    potential = build("painn", channels=8, layers=1, radial=6, head="direct")
    data, validation = labelled("CH3CH2OH", 10), labelled("CH3CH2OH", 4, seed=1)
    return Trainer(potential, data, Objective(pitc=9.0), validation=validation, steps=6, batch_size=4, validate_every=2)


def test_gradients_switched_off_by_the_caller_do_not_matter():
    with torch.no_grad():
        record = trainer().step()
    assert record == trainer_step_with_seconds(record)


def trainer_step_with_seconds(record):
    other = trainer().step()
    return type(other)(other.step, other.loss, other.terms, record.seconds, other.metrics)


def test_a_validation_that_fails_loses_no_step(monkeypatch):
    """The weights have moved by then: the next call books that step, and the run is as if nothing had been."""
    whole = trainer()
    expected = [whole.step() for _ in range(6)]
    broken, records = trainer(), []
    validate = Trainer.validate
    monkeypatch.setattr(Trainer, "validate", lambda self: raise_memory())
    records.append(broken.step())
    with pytest.raises(MemoryError):
        broken.step()
    with pytest.raises(MemoryError):
        broken.step()
    assert broken.done == 1
    monkeypatch.setattr(Trainer, "validate", validate)
    while len(records) < 6:
        records.append(broken.step())
    assert [(r.step, r.loss, r.metrics) for r in records] == [(r.step, r.loss, r.metrics) for r in expected]


def raise_memory():
    raise MemoryError("no room for the validation")


def test_an_interrupt_waits_for_the_lock_to_be_given_back():
    lock, seen = FairLock(), []
    with pytest.raises(KeyboardInterrupt):
        hold_and_interrupt(lock, seen)
    assert seen == ["inside"]
    with lock:
        seen.append("free again")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def hold_and_interrupt(lock, seen):
    with lock, lock:
        raise_signal()
        seen.append("inside")
    seen.append("never")


def test_the_main_thread_that_waits_for_the_lock_can_be_interrupted():
    lock, begun, done = FairLock(), threading.Event(), threading.Event()

    def hold():
        with lock:
            begun.set()
            done.wait(20.0)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(20.0)
    timer = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt), lock:
        pass
    done.set()
    holder.join()
    with lock:
        pass


def test_what_another_handler_does_is_left_to_it():
    calls = []
    before = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        with interrupts.held() as deliver:
            raise_signal()
            assert calls == []
            deliver()
            assert calls == [1]
            raise_signal()
        assert calls == [1, 1]
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interrupts.held():
            raise_signal()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


# -- the kernel --------------------------------------------------------------------------------------------------------

CELL = """
import time
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.lab.sessions.md import FlightSession
from piwsl_lab.study.setup import Setup
session = Session(Setup(energies=10, forces=10, test=30, channels=8, layers=1, batch_size=4, steps=100000))
flight = FlightSession(lambda: {t.name: t.potential for t in session.twins}, session.test_frames[0], replicas=1)
"""
STATE = "print(session.running, session.step, repr(session.notice), flight.running, repr(flight.notice))"
WORDS = "Stopped by the kernel's interrupt."


class Kernel:
    """A kernel as Jupyter starts it."""

    def __enter__(self):
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(env={**os.environ, "OMP_NUM_THREADS": "1"})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        del self.client, self.manager
        with warnings.catch_warnings():  # jupyter_client leaves sockets and a loop to the garbage collector
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def run(self, code, interrupt_after=None):
        """What a cell printed, or the name of its error."""
        said = []

        def hook(message):
            content = message["content"]
            said.append(content.get("text", content.get("ename", "")))

        if interrupt_after is not None:
            threading.Timer(interrupt_after, self.manager.interrupt_kernel).start()
        self.client.execute_interactive(code, output_hook=hook, timeout=180)
        return "".join(said).strip()

    def wait(self, condition):
        return self.run(f"for _ in range(600):\n    if {condition}: break\n    time.sleep(0.05)\nprint({condition})")


def test_the_square_of_the_tool_bar_stops_what_trains_and_flies():
    with Kernel() as kernel:
        assert kernel.run(CELL) == ""
        for _ in range(2):  # while no cell runs
            kernel.run("session.start(); flight.start()")
            assert kernel.run("print(repr(session.notice))") == "''"
            assert kernel.wait("session.step % 7 == 3 and flight.time > 0") == "True"
            kernel.manager.interrupt_kernel()
            assert kernel.wait("not session.running and not flight.running") == "True"
            assert kernel.run(STATE).count(WORDS) == 2
        kernel.run("session.start()")
        assert kernel.run("time.sleep(30)", interrupt_after=1.0) == "KeyboardInterrupt"
        assert kernel.wait("not session.running") == "True"
        assert WORDS in kernel.run("print(session.notice)")
        kernel.run("session.start()")  # a cell that waits for something else
        assert "Cancelled" in kernel.run("import asyncio; await asyncio.sleep(30)", interrupt_after=1.0)
        assert kernel.wait("not session.running") == "True"
        # A start from another thread, as from a button of ipykernel 7.
        kernel.run("import threading; t = threading.Thread(target=session.start); t.start(); t.join()")
        time.sleep(0.5)
        kernel.manager.interrupt_kernel()
        assert kernel.wait("not session.running") == "True"
        # A cell that trains itself is ended, and goes on.
        before = int(kernel.run("print(session.step)"))
        assert kernel.run("session.run()", interrupt_after=1.0) == "KeyboardInterrupt"
        lengths = kernel.run("print([len(t.records) - t.trainer.done for t in session.twins], session.step)")
        assert lengths.startswith("[0, 0]")
        assert int(lengths.split()[-1]) > before


def test_watching_keeps_no_session_and_nothing_happens_outside_jupyter():
    from piwsl_lab.lab.sessions import interrupt

    handler = signal.getsignal(signal.SIGINT)
    session = small()
    interrupt.watch(session)
    assert signal.getsignal(signal.SIGINT) is handler
    assert interrupt._watched == ()
