"""The stored run of notebook 00: what it holds, and that it is shown as a session would be, bit by bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from piwsl_lab.lab.parts.colours import COLOURS, DIRECT, DIRECT_PITC, twin_colours
from piwsl_lab.lab.sessions.replay import SECONDS, STORED, Replay
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl.objective import Objective

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def lesson() -> dict:
    """`setup` and `objectives` as the cell of notebook 00 makes them."""
    source = (ROOT / "notebooks" / "source" / "00_quickstart.py").read_text(encoding="utf-8")
    (cell,) = [cell for cell in source.split("\n# %%") if "\nsession = Session(" in cell]
    names: dict = {}
    lines = [
        "from piwsl_lab.piwsl.objective import Objective",
        "from piwsl_lab.study.setup import Setup",
        *cell.splitlines()[1:],
    ]
    exec("\n".join(line for line in lines if not line.startswith("session =")), names)
    return names


@pytest.fixture
def replay(lesson) -> Replay:
    return Replay.of(lesson["setup"], lesson["objectives"])


def test_notebook_00_has_a_stored_run_that_answers_its_question(replay):
    replay.advance(SECONDS)
    labels_only, piwsl = (twin.final for twin in replay.twins)
    assert labels_only.energy_mae > 2 * piwsl.energy_mae
    assert [twin.name for twin in replay.twins] == ["supervised", "PIWSL"]


def test_other_settings_have_no_stored_run(lesson):
    setup, objectives = lesson["setup"], lesson["objectives"]
    assert Replay.of(replace(setup, device="cpu"), objectives) is not None  # which processor is no matter
    for change in ({"seed": 1}, {"steps": 601}, {"energies": 51}, {"head": "conservative"}):
        assert Replay.of(replace(setup, **change), objectives) is None
    assert Replay.of(setup, objectives | {"PIWSL": Objective(pitc=30.0)}) is None
    assert Replay.of(setup, dict(reversed(objectives.items()))) is None
    assert Replay.of(setup, {"PIWSL": objectives["PIWSL"]}) is None
    assert Replay.of(setup, objectives, heads={"PIWSL": "conservative"}) is None
    assert Replay.of(setup, objectives, heads={"PIWSL": "direct"}) is not None


def test_it_begins_with_the_first_score_alone(replay):
    assert (replay.step, replay.ended, replay.finished, replay.busy, replay.running) == (0, False, False, True, False)
    for twin in replay.twins:
        assert [step for step, _ in twin.points] == [0]
        assert [shot.step for shot in twin.history] == [0]
        assert twin.records == []
        assert (twin.final, twin.trajectory, twin.obstacle) == (None, None, "")
        assert twin.snapshot is twin.history[0]
        assert twin.metrics is twin.points[0][1]


@pytest.mark.parametrize("seconds", [0.0, 0.31, 4.999, 9.99, SECONDS])
def test_nothing_of_the_future_is_known(replay, seconds):
    replay.advance(seconds)
    assert replay.step == round(seconds / SECONDS * replay.steps)
    for twin in replay.twins:
        assert [record.step for record in twin.records] == list(range(1, replay.step + 1))
        assert max(step for step, _ in twin.points) <= replay.step
        assert max(shot.step for shot in twin.history) == twin.snapshot.step <= replay.step
        assert (twin.final is not None) == (seconds == SECONDS)


def test_it_grows_and_ends_and_can_begin_again(replay):
    counts = []
    for seconds in np.linspace(0.0, SECONDS + 5, 31):
        replay.advance(seconds)
        counts.append([len(twin.points) for twin in replay.twins])
    assert (np.diff(counts, axis=0) >= 0).all()
    assert counts[-1] > counts[0]
    assert (replay.step, replay.ended, replay.busy, replay.activity) == (replay.steps, True, False, "idle")
    replay.advance(0.0)
    assert (replay.step, replay.ended, replay.activity) == (0, False, "replaying")
    with pytest.raises(ValueError, match="seconds"):
        replay.advance(-1.0)
    with pytest.raises(ValueError, match="supervised"):
        replay.twin("nobody")


def test_it_has_what_a_session_has_for_those_who_draw(replay, lesson):
    session = Session(lesson["setup"], lesson["objectives"])
    replay.advance(SECONDS)
    assert len(replay.test_frames) == len(session.test_frames)
    assert len(replay.task.test) == len(session.task.test)
    assert twin_colours(replay.twins) == twin_colours(session.twins)
    assert list(twin_colours(replay.twins).values()) == [COLOURS[DIRECT], COLOURS[DIRECT_PITC]]
    for stored, live in zip(replay.twins, session.twins, strict=True):
        assert (stored.name, stored.kind, stored.setup.head) == (live.name, live.kind, live.setup.head)
        assert stored.objective == live.objective
        assert stored.now == live.now
        assert stored.in_force("pitc") == live.in_force("pitc")
        assert stored.records[0].terms.keys() == ({"energy", "force"} | ({"pitc"} if live.objective.pitc else set()))
        # The labels beside the predictions are those of the frames that are drawn.
        shot = stored.history[len(stored.history) // 2]
        assert np.allclose(shot.reference_energy, live.snapshot.reference_energy, atol=1e-3)
        for forces, frame in zip(shot.reference_forces, replay.test_frames, strict=True):
            assert np.allclose(forces, frame.forces, atol=5e-3)
        assert {forces.shape for forces in shot.forces} == {(len(replay.test_frames[0].numbers), 3)}


def test_its_scores_are_those_of_its_snapshots(replay):
    """Thinned and rounded, the snapshots still say what the curves say."""
    replay.advance(SECONDS)
    for twin in replay.twins:
        scores = dict(twin.points)
        for shot in twin.history[1:]:
            metrics = scores[shot.step]
            assert np.abs(shot.energy - shot.reference_energy).mean() == pytest.approx(metrics.energy_mae, rel=0.02)
            error = np.concatenate([f - r for f, r in zip(shot.forces, shot.reference_forces, strict=True)])
            assert np.sqrt((error.astype(float) ** 2).mean()) == pytest.approx(metrics.force_rmse, rel=0.02)


def test_it_is_small_and_holds_no_weights():
    files = [file for file in STORED.rglob("*") if file.is_file()]
    assert {file.name for file in files} == {"session.json", "curves.safetensors"}
    assert sum(file.stat().st_size for file in files) < 400_000
