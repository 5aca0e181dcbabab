"""The session: twins in turn, one code path, changes that reach the loop, errors that do not end it."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
import torch
from at_once import in_time
from potentials import Exact, linear

from piwsl_lab.lab.sessions.preview import simulate
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.lab.sessions.twin import CannotStep, Twin, nearest, thinned
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.schedules import constant, ramp
from piwsl_lab.study.setup import Setup
from piwsl_lab.support.fairlock import FairLock

SMALL = {"energies": 10, "forces": 10, "test": 40, "channels": 16, "layers": 1, "batch_size": 4}
SMALL |= {"model": "painn", "head": "direct"}


def small(steps: int = 30, monitor_every: int | None = 10, objectives=None, **changes) -> Session:
    return Session(Setup(**SMALL | changes, steps=steps), objectives, monitor_every)


def wait_for(condition, seconds: float = 20.0) -> float:
    """Seconds until a condition holds."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "it never happened"
        time.sleep(0.002)
    return time.monotonic() - began


def losses(session: Session) -> list[list[float]]:
    return [[record.loss for record in twin.records] for twin in session.twins]


def test_button_and_cell_take_the_same_steps_bit_for_bit():
    in_a_cell = small().run(13).run()
    by_button = small()
    by_button.start()
    by_button.wait()
    assert by_button.error is None
    assert losses(in_a_cell) == losses(by_button)
    for one, other in zip(in_a_cell.twins, by_button.twins, strict=True):
        assert one.points[-1] == other.points[-1]
        assert one.final == other.final
        state = other.potential.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in one.potential.state_dict().items())


def test_stopping_in_the_middle_changes_nothing():
    straight, broken = small(steps=60).run(), small(steps=60)
    broken.start()
    wait_for(lambda: broken.step >= 5)
    broken.stop()
    assert not broken.running
    assert broken.step < 60
    taken = broken.step
    time.sleep(0.05)
    assert broken.step == taken
    broken.run()
    assert losses(straight) == losses(broken)


def test_twins_start_equal_and_see_the_same_batches(monkeypatch):
    from piwsl_lab.atoms.graph_set import GraphSet

    session = small()
    first, second = (twin.potential.state_dict() for twin in session.twins)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    seen: dict[int, list[list[int]]] = {}
    batch = GraphSet.batch

    def listening(self, indices):
        if len(indices) == session.setup.batch_size:  # not the whole set, at which the energies' shift is fitted
            seen.setdefault(id(self), []).append([int(i) for i in indices])
        return batch(self, indices)

    monkeypatch.setattr(GraphSet, "batch", listening)
    session.run(9)
    supervised, piwsl = (seen[id(twin.trainer.graphs)] for twin in session.twins)
    assert len(supervised) == 9
    assert supervised == piwsl
    losses_differ = losses(session)
    assert losses_differ[0] != losses_differ[1]


def test_a_twin_without_consistency_weights_pays_for_no_displaced_copy(monkeypatch):
    from piwsl_lab.atoms.graph import AtomGraph

    asked = []  # graphs in each call of a potential
    joined = AtomGraph.joined
    monkeypatch.setattr(AtomGraph, "joined", lambda graphs: asked.append(len(graphs)) or joined(graphs))
    session = small(objectives={"supervised": Objective(), "PIWSL": Objective(pitc=0.0)})
    session.run(3)
    assert asked == [1] * 6
    assert losses(session)[0] == losses(session)[1]
    session.twins[1].objective.pitc = 10.0
    session.run(1)
    assert asked[6:] == [1, 2]
    assert set(session.twins[1].records[-1].terms) == {"energy", "force", "pitc"}


def test_a_change_reaches_the_running_loop_and_is_remembered():
    session = small(steps=100_000)
    session.start()
    wait_for(lambda: session.step >= 3)
    session.twins[1].objective.epsilon = 0.1
    assert session.twins[1].objective is session.twins[1].trainer.objective
    assert wait_for(lambda: session.twins[1].used.epsilon == 0.1) < 1.0
    session.stop()
    (begin, first), (step, changed) = session.twins[1].changes.items()
    assert (begin, first.epsilon, changed.epsilon) == (0, 0.05, 0.1)
    assert 3 <= step < session.step
    assert list(session.twins[0].changes) == [0]


def test_a_knob_moved_in_the_middle_of_a_step_waits_for_the_next(monkeypatch):
    session, undisturbed = small(), small().run(3)
    last, total = session.twins[1], Objective.total

    def meddling(objective, terms):
        if objective is last.trainer.current and len(last.records) == 2:
            last.objective.pitc = 0.0  # from a cell, without the lock
        return total(objective, terms)

    monkeypatch.setattr(Objective, "total", meddling)
    session.run(4)
    assert [r.loss for r in last.records[:3]] == [r.loss for r in undisturbed.twins[1].records]
    assert ["pitc" in r.terms for r in last.records] == [True, True, True, False]
    assert {step: one.pitc for step, one in last.changes.items()} == {0: 100.0, 3: 0.0}


def test_a_knob_moved_in_the_middle_of_a_step_does_not_decide_which_step_is_best(monkeypatch):
    session, undisturbed = small(steps=1), small(steps=1).run(1)
    last, total = session.twins[1], Objective.total

    def meddling(objective, terms):
        if objective is last.trainer.current:
            last.objective.energy = last.objective.force = 0.0  # nothing would be scored
        return total(objective, terms)

    monkeypatch.setattr(Objective, "total", meddling)
    session.run(1)
    best, expected = last.trainer.best, undisturbed.twins[1].trainer.best
    assert (best.step, best.metrics) == (expected.step, expected.metrics)
    assert best.step == 1


def test_a_slider_waits_until_the_step_is_over():
    session, begun, over = small(), threading.Event(), threading.Event()

    def step():
        with session.lock:
            begun.set()
            over.wait(20.0)

    threads = [threading.Thread(target=step)]
    threads[0].start()
    begun.wait(20.0)
    threads.append(threading.Thread(target=lambda: session.set_objective("epsilon", 0.1)))
    threads[1].start()
    threads[1].join(0.3)
    assert session.twins[1].objective.epsilon == 0.05
    over.set()
    for thread in threads:
        thread.join(20.0)
    assert session.twins[1].objective.epsilon == 0.1
    assert session.twins[0].objective.epsilon == 0.05


def test_a_schedule_drives_the_run_and_is_no_change():
    schedules = {"epsilon": ramp(0.01, 0.05, 10), "pitc": constant(30.0)}
    session = small(objectives={"PIWSL": Objective(schedules=schedules)}).run(8)
    (twin,) = session.twins
    assert list(twin.changes) == [0]
    assert twin.in_force("epsilon") == twin.trainer.current.epsilon == pytest.approx(0.01 + 0.04 * 7 / 10)
    assert "pitc" in twin.records[0].terms
    twin.objective.override("epsilon", 0.02)
    session.run(2)
    assert list(twin.changes) == [0, 8]
    assert twin.trainer.current.epsilon == 0.02
    twin.objective.schedules = {**twin.objective.schedules, "pisc": ramp(0.0, 20.0, 20)}
    assert twin.in_force("pisc") == 10.0


def test_a_dual_twin_stands_against_a_conservative_one():
    session = small(head="dual")
    assert [twin.potential.head for twin in session.twins] == ["conservative", "dual"]
    assert (session.twins[1].objective.pitc, session.twins[1].objective.gradient) == (0.0, 50.0)
    first, second = (twin.potential.state_dict() for twin in session.twins)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    session.run(3)
    assert "gradient" in session.twins[1].records[-1].terms
    shot = session.twins[1].snapshot
    forces = session.twins[1].potential.predict(session.test_frames[:1])[1]  # −∂E/∂r
    np.testing.assert_allclose(shot.forces[0], forces[0], atol=1e-5)


def test_a_twin_may_have_a_head_of_its_own():
    objectives = {"direct": Objective(pitc=1.0), "conservative": Objective()}
    session = Session(Setup(**SMALL, steps=20), objectives, heads={"conservative": "conservative"})
    assert [twin.setup.head for twin in session.twins] == ["direct", "conservative"]
    session.reset()
    assert [twin.potential.head for twin in session.twins] == ["direct", "conservative"]
    with pytest.raises(ValueError, match="no twin is called 'PIWSL'"):
        Session(Setup(**SMALL), objectives, heads={"PIWSL": "dual"})


def test_what_a_potential_cannot_follow_pauses_the_run_and_loses_nothing():
    session = small(head="conservative").run(3)
    session.twins[1].objective.gradient = 10.0
    with pytest.raises(CannotStep, match="a conservative potential has no direct head"):
        session.run(2)
    session.twins[1].objective.gradient = 0.0
    session.run()
    assert losses(session) == losses(small(head="conservative").run())


def test_an_error_in_the_loop_is_kept_and_the_next_start_works():
    session = small(steps=20)
    session.twins[1].objective.epsilon = -1.0
    session.start()
    session.wait()
    assert isinstance(session.error, ValueError)
    assert "epsilon" in str(session.error)
    assert not session.busy
    session.twins[1].objective.epsilon = 0.05
    session.start()
    session.wait()
    assert session.error is None
    # The supervised twin was a step ahead when the other failed: it must have waited.
    assert [len(twin.records) for twin in session.twins] == [20, 20]
    assert session.finished


def test_run_raises_what_went_wrong():
    session = small()
    session.twins[0].objective.order = 3
    with pytest.raises(ValueError, match="order=3"):
        session.run(5)
    assert not session.running


def test_final_score_is_that_of_the_best_weights_on_all_test_frames():
    from piwsl_lab.study.compare import compare_methods

    session = small(steps=20).run()
    result = compare_methods(session.setup, Objective(pitc=100.0), seeds=1)
    for twin, name in zip(session.twins, ("supervised", "piwsl"), strict=True):
        assert result[name]["energy_mae"] == [twin.final.energy_mae]
        assert result[name]["force_rmse"] == [twin.final.force_rmse]


def test_reset_begins_again_and_a_failed_reset_keeps_the_old_setup():
    session = small().run(7)
    before = losses(session)
    session.pin("first")
    with pytest.raises(ValueError, match="frames"):
        session.reset(Setup(**SMALL | {"energies": 10**6}))
    assert session.setup.energies == 10
    assert losses(session) == before
    session.reset()
    assert session.step == 0
    session.run(7)
    assert losses(session) == before
    assert session.pins[0]["label"] == "first"
    assert session.pins[0]["step"] == 7


def test_monitoring_costs_less_than_a_tenth_of_the_time():
    session = small(monitor_every=None, channels=64, layers=3, steps=200)
    spent = []
    look = session._monitor

    def timed(twins):
        began = time.perf_counter()
        look(twins)
        spent.append(time.perf_counter() - began)

    session._monitor = timed
    began = time.perf_counter()
    session.run(150)
    assert len(spent) > 3
    # The first score, made before a rate is known, and the last one are not paced.
    assert sum(spent[1:-1]) < 0.15 * (time.perf_counter() - began)


def test_a_snapshot_agrees_with_the_potential_and_with_its_score():
    session = small().run(10)
    twin = session.twins[1]
    energies, forces = twin.potential.predict(session.test_frames)
    labels = np.array([frame.energy for frame in session.test_frames])
    assert twin.snapshot.step == 10
    np.testing.assert_allclose(twin.snapshot.energy - twin.snapshot.reference_energy, energies - labels, atol=1e-4)
    np.testing.assert_allclose(twin.snapshot.forces[3], forces[3], atol=1e-5)
    np.testing.assert_allclose(twin.points[-1][1].energy_mae, np.abs(energies - labels).mean(), rtol=1e-3)


def test_a_snapshot_may_have_more_neighbours_than_one_call_of_a_score(monkeypatch):
    from piwsl_lab.atoms import graph_set

    expected = small().run(1).twins[0]
    monkeypatch.setattr(graph_set, "CHUNK_EDGES", 200)  # less than one molecule has with its neighbours twice
    session = small().run(1)
    assert session.twins[0].points == expected.points


def test_the_history_holds_what_the_weights_of_each_step_predicted():
    session = small(steps=60, monitor_every=5)
    kept = {}
    for step in (5, 10, 15):
        session.run(5)
        kept[step] = [copy.deepcopy(twin.potential) for twin in session.twins]
    session.run()
    for k, twin in enumerate(session.twins):
        assert [shot.step for shot in twin.history] == [step for step, _ in twin.points] == list(range(0, 61, 5))
        for step, potentials in kept.items():
            shot = twin.history[nearest(twin.history, step + 1)]
            _, forces = potentials[k].predict(session.test_frames)
            assert shot.step == step
            for stored, fresh in zip(shot.forces, forces, strict=True):
                assert stored.dtype == np.float32
                np.testing.assert_allclose(stored, fresh, atol=1e-5)
        labels = session.test_frames[2].forces
        np.testing.assert_allclose(twin.history[3].reference_forces[2], labels, atol=1e-5)
        assert all(shot.reference_forces is twin.history[0].reference_forces for shot in twin.history)
    session.reset()
    assert [len(twin.history) for twin in session.twins] == [1, 1]


def test_a_long_history_is_thinned_evenly_and_keeps_its_ends():
    (shot,) = small().twins[0].history
    history = []
    for step in range(0, 3000, 3):
        history = thinned([*history, shot._replace(step=step)], most=50)
    steps = np.array([shot.step for shot in history])
    assert len(steps) == 50
    assert (steps[0], steps[-1]) == (0, 2997)
    gaps = np.diff(steps)
    assert gaps.min() > 0
    assert gaps.max() <= 4 * 3000 / 50
    assert nearest(history, 10**6) == 49


def test_short_trajectories_come_after_training():
    session = small(steps=10)
    session.start()
    session.wait()
    for twin in session.twins:
        assert np.isfinite(twin.trajectory.positions).all()
        assert twin.trajectory.positions.shape[1:] == (9, 3)


@pytest.mark.parametrize("force", [1e3, float("nan")])
def test_a_trajectory_ends_at_once_where_forces_go_wild(force):
    start = small().test_frames[0]
    torn = simulate(linear(torch.full((3,), force, dtype=torch.float64)), start)
    assert torn.exploded
    assert torn.femtoseconds == 0.0
    np.testing.assert_array_equal(torn.positions, start.positions[None])


def test_a_trajectory_never_shows_a_place_without_a_number():
    """Atoms that pull each other ever harder fall onto one spot."""
    start = small().test_frames[0]
    fallen = simulate(Exact(lambda g: g.sum_over_atoms(_pull(g))), start)
    assert fallen.exploded
    assert 0.0 < fallen.femtoseconds < 200.0
    assert len(fallen.positions) > 1
    assert np.isfinite(fallen.positions).all()


def _pull(graph):
    """−1/r² of every pair, eV, as an energy of each atom [N]."""
    pairs = -1.0 / graph.vectors().square().sum(1)
    return torch.zeros_like(graph.positions[:, 0]).index_add(0, graph.edge_index[0], pairs)


def test_a_trajectory_of_a_spring_keeps_the_molecule_and_stops_when_told():
    start = small().test_frames[0]
    path = simulate(spring(start, 2.0), start)
    assert not path.exploded
    assert path.femtoseconds == 200.0
    assert path.label == "held together for 200 fs"
    swing = np.abs(path.positions - start.positions).max(axis=(1, 2))
    assert 0 < swing.max() < 1.0  # kT = 0.026 eV on a spring of 2 eV/Å²: tenths of an Å
    asked = []
    stopped = simulate(spring(start, 2.0), start, lambda: asked.append(1) or len(asked) == 3)
    assert (stopped.femtoseconds, stopped.exploded) == (4.0, False)
    np.testing.assert_array_equal(stopped.positions, path.positions[:3])


def test_a_molecule_without_forces_comes_apart_and_every_twin_starts_with_the_same_velocities():
    """Nothing holds it: no force is large, but the bonds grow without end."""
    start = small().test_frames[0]
    free = simulate(linear(torch.zeros(3, dtype=torch.float64)), start)
    assert free.exploded
    held = simulate(spring(start, 0.1), start)
    np.testing.assert_allclose(free.positions[1], held.positions[1], atol=1e-4)
    assert np.abs(free.positions[1] - free.positions[0]).max() > 0.01


def spring(start, stiffness: float) -> Exact:
    """Every atom on a spring (eV/Å²) to where it starts."""
    home = torch.tensor(start.positions)
    return Exact(lambda g: g.sum_over_atoms(0.5 * stiffness * (g.positions - home).square().sum(1)))


def test_the_lock_is_handed_over_to_who_waits():
    lock, waits, stop = FairLock(), [], threading.Event()

    def greedy():
        while not stop.is_set():
            with lock, lock:  # re-entrant
                time.sleep(0.01)

    loop = threading.Thread(target=greedy, daemon=True)
    loop.start()
    for _ in range(10):
        began = time.monotonic()
        with lock:
            waits.append(time.monotonic() - began)
    stop.set()
    loop.join()
    assert max(waits) < 0.1


def test_a_session_needs_no_widgets():
    widgets = "('ipywidgets', 'plotly', 'nglview')"
    program = f"import sys, piwsl_lab.lab.sessions.training; print([m for m in {widgets} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_interrupted_cell_leaves_a_session_that_goes_on():
    session = Session(Setup(**SMALL, steps=20))
    total, calls = Objective.total, []

    def interrupted(self, terms):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return total(self, terms)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Objective, "total", interrupted)
        with pytest.raises(KeyboardInterrupt):
            session.run(10)
    assert not session.running
    session.run()
    undisturbed = Session(Setup(**SMALL, steps=20)).run()
    for one, other in zip(session.twins, undisturbed.twins, strict=True):
        assert [r.loss for r in one.records] == [r.loss for r in other.records]


def test_a_pin_remembers_what_the_last_step_used():
    session = Session(Setup(**SMALL, steps=20))
    session.run(2)
    session.twins[1].objective.pitc = 0.0  # a slider moved after the last step
    assert session.pin()["twins"]["PIWSL"][0].pitc == 100.0
    session.run(1)
    objective, _, changed = session.pin()["twins"]["PIWSL"]
    assert (objective.pitc, changed) == (0.0, True)


def test_the_kind_of_a_twin_is_fixed_when_the_session_is_built():
    objectives = {
        "supervised": Objective(pitc=5.0),
        "scheduled": Objective(schedules={"pisc": ramp(0.0, 1.0, 10)}),
        "weighted": Objective(gradient=1.0),
        "plain": Objective(weak=3.0),
    }
    session = small(objectives=objectives)
    kinds = ["direct", "direct + PITC", "direct + PITC", "direct"]
    assert [twin.kind for twin in session.twins] == kinds
    session.twins[2].objective.gradient = 0.0
    session.twins[3].objective.pitc = 9.0
    session.reset()
    assert [twin.kind for twin in session.twins] == kinds
    session.reset(Setup(**SMALL | {"head": "conservative"}, steps=30))
    assert [twin.kind for twin in session.twins] == [kind.replace("direct", "conservative") for kind in kinds]
    assert [twin.kind for twin in small(objectives={"PIWSL": Objective()}).twins] == ["direct + PITC"]
    assert [twin.kind for twin in small(head="dual").twins] == ["conservative", "dual"]


# -- nothing waits in vain ---------------------------------------------------------------------------------------------


def test_a_listener_that_fails_is_named_and_training_goes_on():
    session, called = small(steps=10_000), []
    session.listeners += [lambda: 1 / 0, lambda: called.append(1)]
    session.start()
    wait_for(lambda: session.step > 2)
    assert called == [1]
    assert "ZeroDivisionError: division by zero" in session.notice
    assert in_time(session.stop) == []
    session.listeners.clear()
    session.run(1)
    assert session.notice == ""
    session.listeners.append(lambda: 1 / 0)
    session.run(1)  # a cell is not ended either
    assert "ZeroDivisionError" in session.notice
    session.reset()
    assert session.notice == ""


def test_a_thread_that_cannot_start_leaves_a_session_at_rest(monkeypatch):
    session = small(steps=20)

    def no_thread(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            session.start()
        session.stop()
        session.wait()
        session.reset()
    assert not session.busy
    session.start()
    session.wait()
    assert session.finished


@pytest.mark.parametrize("action", ["stop", "reset", "wait", "abandon", "start"])
def test_a_session_can_be_handled_from_a_listener_and_from_its_own_thread(action):
    session = small(steps=5000)
    session.listeners.append(lambda: session.stop() or getattr(session, action)())
    assert in_time(session.start) == []
    assert in_time(session.stop) == []
    session.listeners.clear()
    asked = []

    def meddle(step: int) -> float:
        if not asked:
            asked.append(step)
            getattr(session, action)()
        return 1.0

    session.twins[0].objective.schedules = {"pitc": meddle}
    session.start()
    wait_for(lambda: asked or session.error)
    assert in_time(session.stop, session.abandon) == []
    assert session.error is None
    assert in_time(lambda: session.run(2)) == []
    assert len({len(twin.records) for twin in session.twins}) == 1


def test_many_starts_at_once_make_one_loop():
    session = small(steps=100_000)
    for _ in range(8):
        assert in_time(*[session.start] * 8) == []
        assert session.running
        assert sum(thread.name == "piwsl-session" for thread in threading.enumerate()) == 1
        assert in_time(*[session.stop] * 4, session.abandon) == []
    session.start()
    with pytest.raises(ValueError, match="training already: call stop"):
        session.run(1)
    session.stop()
    assert len({len(twin.records) for twin in session.twins}) == 1


def test_five_hundred_presses_from_five_threads_end(tmp_path):
    """Whoever presses what and when: no deadlock, no error but those that say what is wrong, and twins in step."""
    session = small(steps=400, energies=10, forces=10)
    frames = session.task
    presses = 0

    def press(seed: int) -> None:
        nonlocal presses
        random = np.random.default_rng(seed)
        for _ in range(100):
            what = random.choice(["start", "stop", "pin", "save", "evaluate", "knob", "reset", "wait a moment"])
            if what == "save":
                session.save(tmp_path / "run")
            elif what == "knob":
                session.twins[-1].objective.pitc = float(random.integers(0, 9))
            elif what == "wait a moment":
                time.sleep(0.01)
            elif what == "reset" and random.random() < 0.7:
                pass  # the slowest one
            else:
                getattr(session, what)()
            presses += 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("piwsl_lab.lab.sessions.training.prepare", lambda setup: frames)
        errors = in_time(*[lambda seed=seed: press(seed) for seed in range(5)], seconds=240)
    assert errors == []
    assert presses == 500
    assert in_time(session.abandon) == []
    session.run(3) if not session.finished else None
    assert len({len(twin.records) for twin in session.twins}) == 1
    assert Session.load(tmp_path / "run").twins[0].name == "supervised"


def test_a_session_that_nobody_has_is_gone():
    gone = weakref.ref(trained_on_a_thread())
    gc.collect()
    assert gone() is None


def trained_on_a_thread() -> Session:
    session = small(steps=100_000)
    session.start()
    wait_for(lambda: session.step > 2)
    session.stop()
    session.wait()
    return session


def test_a_score_that_an_error_broke_off_is_made_up_for():
    session, whole = small(steps=30), small(steps=30).run()
    predict, calls = Twin.predict, []

    def failing(self, monitored):
        calls.append(1)
        if len(calls) == 2:  # the second twin at step 10
            raise MemoryError("no room")
        return predict(self, monitored)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Twin, "predict", failing)
        with pytest.raises(MemoryError):
            session.run()
    session.run()
    for one, other in zip(session.twins, whole.twins, strict=True):
        assert one.points == other.points
        assert [shot.step for shot in one.history] == [shot.step for shot in other.history]
