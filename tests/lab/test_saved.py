"""A session in a folder: it goes on bit for bit, it is there whole or not at all, and damage is said in words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import numpy as np
import pytest
import torch
from ase.io import write
from frames import dataset, frame, labelled
from safetensors.torch import save_file

from piwsl_lab.lab.sessions import saved
from piwsl_lab.lab.sessions.saved import read_record
from piwsl_lab.lab.sessions.saved_folder import SavedError
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.models import MODELS
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.schedules import cosine, ramp
from piwsl_lab.study.setup import Setup

SMALL = {"energies": 10, "forces": 10, "test": 30, "channels": 16, "layers": 1, "batch_size": 4}
SMALL |= {"model": "painn", "head": "direct"}


def small(steps=40, monitor_every=10, objectives=None, **changes):
    return Session(Setup(**SMALL | changes, steps=steps), objectives, monitor_every)


def told(session):
    """Everything a run has written down, but the seconds."""
    return [
        {
            "records": [(r.step, r.loss, r.terms, r.metrics) for r in twin.records],
            "points": [(step, repr(metrics)) for step, metrics in twin.points],
            "history": [(s.step, s.energy.tolist(), [f.tolist() for f in s.forces]) for s in twin.history],
            "changes": twin.changes,
            "final": repr(twin.final),
        }
        for twin in session.twins
    ]


def assert_same_weights(one, other):
    for mine, yours in zip(one.twins, other.twins, strict=True):
        state = yours.potential.state_dict()
        assert all(torch.equal(value, state[name]) for name, value in mine.potential.state_dict().items())


@pytest.mark.parametrize("head", ["direct", "dual", "conservative"])
def test_forty_steps_are_twenty_saved_loaded_and_twenty(tmp_path, head):
    straight, half = small(head=head).run(20).run(), small(head=head).run(20)
    half.save(tmp_path / "run")
    rest = Session.load(tmp_path / "run")
    assert not rest.busy
    assert told(rest) == told(half)
    assert [twin.kind for twin in rest.twins] == [twin.kind for twin in half.twins]
    rest.run()
    assert told(rest) == told(straight)
    assert_same_weights(rest, straight)
    half.run()  # that it was saved changed nothing
    assert told(half) == told(straight)


def test_a_session_goes_on_at_its_own_learning_rate_when_a_model_has_another_one_today(tmp_path, monkeypatch):
    straight, half = small().run(20).run(), small().run(20)
    half.save(tmp_path / "run")
    monkeypatch.setattr(MODELS["painn"], "rates", dict.fromkeys(MODELS["painn"].rates, 0.5))
    rest = Session.load(tmp_path / "run").run()
    assert told(rest) == told(straight)


def test_knobs_schedules_and_what_was_moved_come_back(tmp_path):
    objectives = {
        "labels": Objective(),
        "moved": Objective(
            pitc=5.0, epsilon=0.25, schedules={"pisc": ramp(0.0, 5.0, 30), "force": cosine(1.0, 9.0, 20)}
        ),
    }

    def begun():
        session = small(objectives=objectives).run(10)
        session.twins[1].objective.epsilon = 0.02  # neighbour lists that reached far once go on reaching far
        return session.run(10)

    first = begun()
    first.twins[1].objective.pitc = 7.0  # a knob that no step has used yet
    first.save(tmp_path)
    again = Session.load(tmp_path)
    assert again.twins[1].objective == first.twins[1].objective
    assert again.twins[1].trainer.objective == first.twins[1].trainer.objective
    assert again.twins[1].trainer.graphs.radius == pytest.approx(first.twins[1].trainer.graphs.radius)
    assert again.monitor_every == 10
    assert told(again.run()) == told(first.run())
    assert sorted(again.twins[1].changes) == [0, 10, 20]
    again.reset()
    assert again.twins[0].kind == "direct"
    assert again.twins[1].objective == first.twins[1].objective


def test_scores_pins_heads_and_trajectories_come_back(tmp_path):
    objectives = {"direct": Objective(pitc=1.0), "calm": Objective()}
    session = Session(Setup(**SMALL, steps=12), objectives, 5, heads={"calm": "conservative"})
    session.run(6)
    session.pin("half <way>")
    session.start()
    session.wait()
    session.pin()
    session.save(tmp_path)
    again = Session.load(tmp_path)
    assert told(again) == told(session)
    assert again.finished
    assert repr(again.pins) == repr(session.pins)
    assert again.heads == {"calm": "conservative"}
    for one, other in zip(session.twins, again.twins, strict=True):
        assert np.array_equal(one.trajectory.positions, other.trajectory.positions)
        assert one.trajectory.label == other.trajectory.label
        assert np.array_equal(one.snapshot.energy, other.snapshot.energy)
        assert all(map(np.array_equal, one.snapshot.forces, other.snapshot.forces))
    assert_same_weights(session, again)
    assert repr(again.evaluate()) == repr(session.evaluate())
    again.reset()
    assert again.run(12).twins[0].records[-1].loss == session.twins[0].records[-1].loss


def test_a_record_is_read_without_a_potential(tmp_path):
    session = small(steps=20).run()
    for path in session.save(tmp_path):
        if path.suffix == ".safetensors" and not path.name.startswith("curves"):
            path.unlink()
    code = (
        "import sys, piwsl_lab.models.potential as p\n"
        "p.Potential.__init__ = None\n"
        "from piwsl_lab.lab.sessions.saved import read_record\n"
        f"r = read_record({str(tmp_path)!r})\n"
        "print(r.step, r.steps, r.twins[1].name, r.twins[1].kind, r.twins[1].metrics == r.twins[1].final)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split(maxsplit=3) == ["20", "20", "PIWSL", "direct + PITC True\n"]
    run = read_record(tmp_path)
    assert run.setup == session.setup
    assert told(run) == told(session)
    for stored, used in zip(run.test_frames, session.test_frames, strict=True):
        for name in ("numbers", "positions", "cell", "pbc"):
            assert np.array_equal(getattr(stored, name), getattr(used, name))
    assert all(twin.trajectory is None for twin in run.twins)
    assert {shot.forces[0].dtype for twin in run.twins for shot in twin.history} == {np.dtype("float32")}
    with pytest.raises(SavedError, match=r"supervised\.safetensors: cannot be read.*copy the whole folder"):
        Session.load(tmp_path)


def test_the_default_lesson_is_small_and_nothing_is_pickled(tmp_path):
    session = Session(Setup(channels=32, steps=600), monitor_every=2)
    # As many scores as a run can have, and moments of the optimiser, which an unfinished run needs.
    for twin in session.twins:
        shot, point = twin.history[0], twin.points[0][1]
        twin.history = [shot._replace(step=k) for k in range(150)]
        twin.points = [(k, point) for k in range(150)]
    session.run(3)
    paths = session.save(tmp_path)
    assert {path.suffix for path in paths} == {".json", ".safetensors"}
    assert sorted(paths) == sorted(tmp_path.iterdir())
    assert [path.name for path in paths] == [
        "session.json", "curves.safetensors", "supervised.safetensors", "PIWSL.safetensors",
    ]  # fmt: skip
    assert sum(path.stat().st_size for path in paths) < 3e6


def test_a_session_that_trains_is_saved_and_goes_on(tmp_path):
    session = small(steps=100_000)
    session.start()
    while session.step < 5:
        time.sleep(0.01)
    session.save(tmp_path)
    saved_at = read_record(tmp_path).step
    assert session.running
    while session.step < saved_at + 5:
        time.sleep(0.01)
    session.stop()
    again = Session.load(tmp_path)
    assert again.step == saved_at
    assert [len(twin.records) for twin in again.twins] == [saved_at] * 2
    again.run(5)
    assert [r.loss for r in again.twins[1].records] == [r.loss for r in session.twins[1].records[: saved_at + 5]]


NAMES = ["a/b", "../../out", "curves", "CURVES", "session", "", "Ünïcode <b>", "x" * 300, "twin", ".hidden", "a.2"]


def test_twins_of_any_name_stay_in_the_folder(tmp_path):
    session = small(steps=5, objectives=dict.fromkeys(NAMES, Objective())).run(2)
    for _ in range(3):
        paths = session.save(tmp_path / "deep" / "run")
        assert sorted(paths) == sorted((tmp_path / "deep" / "run").iterdir())
    assert len({path.name.casefold() for path in paths}) == len(NAMES) + 2
    assert list(tmp_path.iterdir()) == [tmp_path / "deep"]
    again = Session.load(tmp_path / "deep" / "run")
    assert [twin.name for twin in again.twins] == NAMES
    assert told(again.run(1)) == told(session.run(1))


def test_a_folder_with_other_things_is_refused_and_an_older_session_is_replaced(tmp_path):
    session = small(steps=10).run(2)
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    (thesis / "chapter.txt").write_text("mine")
    save_file({"weight": torch.zeros(3)}, thesis / "PIWSL.safetensors")
    with pytest.raises(
        ValueError, match=r"thesis: holds other things \(PIWSL.safetensors, chapter.txt\).*another folder"
    ):
        session.save(thesis)
    assert sorted(path.name for path in thesis.iterdir()) == ["PIWSL.safetensors", "chapter.txt"]
    session.save(tmp_path / "run")
    other = small(steps=10, objectives={"alone": Objective()}).run(3)
    paths = other.save(tmp_path / "run")
    assert sorted((tmp_path / "run").iterdir()) == sorted(paths)
    assert Session.load(tmp_path / "run").step == 3
    (tmp_path / "run" / "notes.txt").write_text("mine too")
    with pytest.raises(ValueError, match=r"holds other things \(notes.txt\)"):
        session.save(tmp_path / "run")
    assert read_record(tmp_path / "run").step == 3
    with pytest.raises(ValueError, match=r"chapter.txt: is a file.*choose another name"):
        session.save(thesis / "chapter.txt")
    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "session.json").write_text('{"theirs": 1}')
    with pytest.raises(ValueError, match=r"holds other things \(session.json\)"):
        session.save(tmp_path / "stranger")


def test_a_disk_that_fails_leaves_the_older_session(tmp_path, monkeypatch):
    session = small(steps=20).run(2)
    session.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    session.run(2)
    real = os.fsync
    for failing in range(4):
        calls = []

        def fsync(handle, calls=calls, failing=failing):
            calls.append(handle)
            if len(calls) > 2 * failing:  # a file and its folder each time
                raise OSError(28, "No space left on device")
            real(handle)

        monkeypatch.setattr(os, "fsync", fsync)
        with pytest.raises(ValueError, match=r"No space left on device.*choose another folder"):
            session.save(tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
        assert read_record(tmp_path).step == 2
    monkeypatch.undo()
    session.save(tmp_path)
    assert read_record(tmp_path).step == 4


KILLED = """
import os, sys
from piwsl_lab.lab.sessions.training import Session
session, real, calls = Session.load(sys.argv[1]), os.replace, []
session.run(2)
for name in ("replace", "fsync", "unlink"):
    def kill(*given, real=getattr(os, name), **named):
        calls.append(1)
        if len(calls) > int(sys.argv[2]):
            os.kill(os.getpid(), 9)
        return real(*given, **named)
    setattr(os, name, kill)
session.save(sys.argv[1])
"""


# The last moment is that of Path.unlink, which Python 3.10 does not let a test watch.
LAST = pytest.param(13, marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="Path.unlink cannot be watched"))


@pytest.mark.parametrize("moment", [0, 5, 12, LAST])
def test_a_kill_leaves_the_old_session_or_the_new_one(tmp_path, moment):
    session = small(steps=20).run(2)
    session.save(tmp_path)
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path, str(moment)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    again = Session.load(tmp_path)
    assert again.step in (2, 4)
    # What the killed one left behind goes with the next save.
    paths = again.run(1).save(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_kill_in_the_first_save_leaves_a_folder_that_can_be_saved_into(tmp_path):
    session = small(steps=20).run(2)
    session.save(tmp_path / "one")
    (tmp_path / "one" / "session.json").unlink()
    (tmp_path / "one" / f".curves.safetensors.{'0' * 16}.part").write_bytes(b"half")
    paths = session.save(tmp_path / "one")
    assert sorted((tmp_path / "one").iterdir()) == sorted(paths)


def test_two_that_save_into_one_folder_leave_one_whole_session(tmp_path):
    sessions = [small(steps=20).run(k) for k in (1, 2, 3)]
    errors = []

    def press(session):
        try:
            for _ in range(8):
                session.save(tmp_path)
                read_record(tmp_path)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=press, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Session.load(tmp_path).step in (1, 2, 3)
    assert len(list(tmp_path.iterdir())) == 4


def own_file(path, seed=0):
    write(path, labelled("CH3CH2OH", 60, seed=seed).to_atoms())
    return str(path)


def test_data_that_moved_or_changed_are_named_with_the_remedy(tmp_path):
    file = own_file(tmp_path / "mine.xyz")
    session = small(steps=20, data=file, test=10).run(3)
    session.save(tmp_path / "run")
    assert Session.load(tmp_path / "run").step == 3
    os.rename(file, tmp_path / "moved.xyz")
    with pytest.raises(
        SavedError, match=r"run: the data of this session.*mine\.xyz.*Session\.load\(.*run', data='…'\)"
    ):
        Session.load(tmp_path / "run")
    again = Session.load(tmp_path / "run", data=str(tmp_path / "moved.xyz"))
    assert told(again.run(2)) == told(session.run(2))
    own_file(tmp_path / "mine.xyz", seed=1)
    with pytest.raises(SavedError, match=r"mine\.xyz holds other frames or labels \(train.*than when.*saved"):
        Session.load(tmp_path / "run")
    os.unlink(file)
    file = own_file(tmp_path / "mine.xyz")
    changed = [frame(f.numbers, f.positions, energy=f.energy + 1e-3, forces=f.forces) for f in labelled("CH3CH2OH", 60)]
    write(file, dataset(*changed).to_atoms())
    with pytest.raises(SavedError, match="holds other frames or labels"):
        Session.load(tmp_path / "run")


def test_missing_newer_foreign_and_mixed_files_are_named(tmp_path):
    session = small(steps=10).run(2)
    with pytest.raises(SavedError, match=r"nowhere.session\.json: there is no such file; give the folder"):
        Session.load(tmp_path / "nowhere")
    session.save(tmp_path)
    path = tmp_path / "session.json"
    text = path.read_text()
    path.write_text(text.replace('"format": 1', '"format": 9'))
    with pytest.raises(SavedError, match=r"session\.json: was saved by a newer piwsl-lab \(format 9\); upgrade"):
        read_record(tmp_path)
    path.write_text('{"results": []}')
    with pytest.raises(SavedError, match=r"session\.json: is no saved session"):
        read_record(tmp_path)
    path.write_text(text[: len(text) // 2])
    with pytest.raises(SavedError, match=r"session\.json: is damaged .*save the session again"):
        read_record(tmp_path)
    path.write_text(text.replace("supervised.safetensors", "../supervised.safetensors"))
    with pytest.raises(SavedError, match="no name of a file in this folder"):
        read_record(tmp_path)
    path.write_text(text)
    curves = tmp_path / "curves.safetensors"
    content = curves.read_bytes()
    curves.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SavedError, match=r"curves\.safetensors: is damaged, its content is not what was saved"):
        read_record(tmp_path)
    curves.write_bytes(content)
    weights = tmp_path / "PIWSL.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(SavedError, match=r"PIWSL\.safetensors: is damaged"):
        Session.load(tmp_path)
    assert read_record(tmp_path).step == 2


def _is_refused(folder):
    """Whether a record cannot be read, and says so in words that name a file; any other error fails the test."""
    try:
        read_record(folder)
    except SavedError as error:
        return "session.json" in str(error) or ".safetensors" in str(error)
    return False


def test_a_damaged_table_never_gives_another_error(tmp_path):
    """Every entry of session.json, one after the other, becomes something else."""
    session = small(steps=10).run(2)
    session.pin()
    session.save(tmp_path)
    path = tmp_path / "session.json"
    whole = json.loads(path.read_text())

    def places(value, trail=()):
        yield trail
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            yield from places(child, (*trail, key))

    refused = 0
    for trail in [t for t in places(whole) if t]:
        for wrong in (None, -1, "?", [], {"?": 1}, 1e400, True):
            table = json.loads(json.dumps(whole))
            holder = table
            for key in trail[:-1]:
                holder = holder[key]
            holder[trail[-1]] = wrong
            path.write_text(json.dumps(table))
            refused += _is_refused(tmp_path)
    assert refused > 300


def test_a_schedule_of_ones_own_cannot_be_saved(tmp_path):
    session = small(objectives={"mine": Objective(schedules={"pitc": lambda step: 1.0 * step})})
    with pytest.raises(SavedError, match="mine: the schedule of pitc is a function"):
        session.save(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA GPU")
def test_a_device_that_is_not_there_has_a_remedy(tmp_path):
    session = small(steps=10).run(1)
    session.save(tmp_path)
    path = tmp_path / "session.json"
    path.write_text(path.read_text().replace('"device": "auto"', '"device": "cuda"'))
    with pytest.raises(SavedError, match=r"CUDA.*Session\.load\(.*device='auto'\)"):
        Session.load(tmp_path)
    assert Session.load(tmp_path, device="cpu").step == 1


def test_settings_of_the_file_are_readable(tmp_path):
    session = small(steps=10).run(2)
    session.save(tmp_path)
    table = json.loads((tmp_path / "session.json").read_text())
    assert table["setup"] == asdict(session.setup)
    assert [twin["name"] for twin in table["twins"]] == ["supervised", "PIWSL"]
    assert table["step"] == 2
    assert saved.read_record(tmp_path).saved_at == table["saved_at"]
