"""Twins of which one ends early: the other learns on, and words, scores and files say so."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from patient import impatient

from piwsl_lab.lab.panels import html
from piwsl_lab.lab.sessions.replay import SECONDS, Replay
from piwsl_lab.lab.sessions.saved import read_record
from piwsl_lab.lab.sessions.script import script
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.lab.sessions.verdict import BETTER, UNDECIDED, Verdicts
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.training.errors import Metrics, evaluate

SETUP = Setup(
    energies=10, forces=10, test=30, model="painn", head="direct", channels=8, layers=1, batch_size=4, steps=12,
    device="cpu",
)  # fmt: skip
WORDS = "supervised ended at step 5 of 12: 4 validations were no better than at step 1."


def of(supervised, piwsl):
    """At which step each twin ends; 0 for the last."""
    return lambda setup, objective: piwsl if objective.pitc else supervised


def session(monitor_every=2, steps=12):
    objectives = {"supervised": Objective(), "PIWSL": Objective(pitc=9.0)}
    return Session(replace(SETUP, steps=steps), objectives, monitor_every)


def lengths(run):
    return [len(twin.records) for twin in run.twins]


@pytest.mark.parametrize("monitor_every", [2, None])
def test_one_ends_and_the_other_goes_on(monitor_every, monkeypatch):
    impatient(monkeypatch, of(5, 0))
    run = session(monitor_every)
    run.run(5)
    assert (lengths(run), run.step, run.finished) == ([5, 5], 5, False)
    run.run(3)
    assert (lengths(run), run.step, run.finished) == ([5, 8], 8, False)
    assert WORDS in html.status(run, [])
    assert [twin.final for twin in run.twins] == [None, None]
    run.run()
    assert (lengths(run), run.step, run.finished) == ([5, 12], 12, True)
    for twin in run.twins:
        assert twin.final == evaluate(twin.potential, run.task.test)
        assert twin.points[-1][0] == twin.history[-1].step == len(twin.records)
        assert twin.trainer.best.step == 1
    assert "step 12 of 12" in html.progress_text(run)
    assert [twin.early_end for twin in run.twins] == [WORDS, ""]


def test_a_twin_that_ended_does_not_keep_the_other_from_its_scores(monkeypatch):
    impatient(monkeypatch, of(2, 0))
    run = session(None, steps=60)
    scored = []
    look = run._monitor
    run._monitor = lambda twins: scored.extend(twin.name for twin in twins) or look(twins)
    run.run(40)
    assert scored.count("PIWSL") > 1
    assert scored.count("supervised") <= 2 + scored[:5].count("supervised")


@pytest.mark.parametrize("by_button", [False, True])
def test_both_end_before_the_last_step(by_button, monkeypatch):
    impatient(monkeypatch, of(4, 6))
    run = session()
    if by_button:
        run.start()
        run.wait()
    else:
        run.run()
    assert run.error is None
    assert (lengths(run), run.step, run.finished) == ([4, 6], 6, True)
    assert all(twin.final for twin in run.twins)
    words = html.status(run, [])
    assert "Finished; Reset begins anew" in words
    for name, step, vain in (("supervised", 4, 3), ("PIWSL", 6, 5)):
        assert f"{name} ended at step {step} of 12: {vain} validations were no better than at step 1." in words
    assert "step 6 of 12" in html.progress_text(run)
    run.run()
    assert lengths(run) == [4, 6]


@pytest.mark.parametrize("at", [3, 5, 8, 12])
def test_a_saved_session_knows_who_has_ended(at, monkeypatch, tmp_path):
    impatient(monkeypatch, of(5, 0))
    whole, run = session().run(), session().run(at)
    run.save(tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert (record.step, record.steps) == (at, 12)
    again = Session.load(tmp_path / "run")
    assert (lengths(again), again.step, again.finished) == ([min(at, 5), at], at, at == 12)
    assert [twin.early_end for twin in again.twins] == [WORDS if at >= 5 else "", ""]
    again.run()
    assert lengths(again) == [5, 12]
    for one, other in zip(again.twins, whole.twins, strict=True):
        assert [r.loss for r in one.records] == [r.loss for r in other.records]
        assert one.final == other.final


def test_a_stored_run_shows_both_at_the_same_step(monkeypatch, tmp_path):
    impatient(monkeypatch, of(5, 0))
    session().run().save(tmp_path / "run")
    replay = Replay(tmp_path / "run")
    for seconds, shown in ((0.0, [0, 0]), (SECONDS / 4, [3, 3]), (SECONDS / 2, [5, 6]), (SECONDS, [5, 12])):
        replay.advance(seconds)
        assert ([twin.step for twin in replay.twins], replay.step) == (shown, shown[1])


@pytest.mark.parametrize("at", [8, 12])
def test_copied_code_ends_where_the_session_did(at, monkeypatch):
    impatient(monkeypatch, of(5, 0))
    run = session().run(at)
    space: dict = {}
    exec(script(run), space)
    assert space["results"] == run.evaluate()


def twin(name, points, ended, longest):
    return SimpleNamespace(
        name=name, snapshot=None, final=None, ended=ended, records=list(range(longest)),
        points=[(step, Metrics(energy_mae=e, force_rmse=e)) for step, e in points],
    )  # fmt: skip


def verdict_of(one, other):
    shown = SimpleNamespace(twins=[one, other], test_frames=[None] * 24, task=SimpleNamespace(test=[None] * 500))
    ((_, energy, _),) = Verdicts().of(shown)
    return energy


def curve(first, last, error):
    return [(0, 1.0), *((step, error) for step in range(first, last + 1, 10))]


def test_a_verdict_holds_the_last_score_of_who_has_ended():
    """PIWSL at 0.5 for 40 scores, and supervised at 1.0 until it ended at its tenth."""
    early, late = twin("supervised", curve(10, 100, 1.0), True, 100), twin("PIWSL", curve(10, 400, 0.5), False, 400)
    found = verdict_of(early, late)
    assert (found.state, found.scores) == (BETTER, 20)
    assert found.ratio == pytest.approx(2.0)
    late_rival = twin("supervised", curve(10, 400, 1.0), False, 400)
    found = verdict_of(late_rival, twin("PIWSL", curve(10, 100, 0.5), True, 100))
    assert (found.state, found.scores) == (BETTER, 20)


def test_a_verdict_waits_for_the_last_score_of_who_has_ended():
    early, late = twin("supervised", curve(10, 100, 1.0), True, 107), twin("PIWSL", curve(10, 400, 0.5), False, 400)
    assert verdict_of(early, late).scores == 9
    assert verdict_of(replaced(early, ended=False), late).scores == 9
    assert verdict_of(late, twin("PIWSL", [(0, 1.0)], True, 3)).state == UNDECIDED


def replaced(one, **changes):
    return SimpleNamespace(**{**vars(one), **changes})


def test_scores_that_come_one_by_one_are_read_once():
    """The judge sees the same ratios whether it looks at every score or at the end."""
    rng = np.random.default_rng(0)
    errors = np.exp(rng.normal(0.0, 0.1, 40))
    points = [(0, 1.0), *((10 * k + 10, float(e)) for k, e in enumerate(errors))]
    early, late = twin("supervised", curve(10, 100, 1.0), True, 100), twin("PIWSL", points[:2], False, 20)
    shown = SimpleNamespace(twins=[late, early], test_frames=[None] * 24, task=SimpleNamespace(test=[None] * 500))
    verdicts = Verdicts()
    for count in range(2, len(points) + 1):
        late.points = [(s, Metrics(energy_mae=e, force_rmse=e)) for s, e in points[:count]]
        ((_, found, _),) = verdicts.of(shown)
    ((_, at_once, _),) = Verdicts().of(shown)
    assert found == at_once
