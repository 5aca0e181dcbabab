"""Nothing that took a minute is lost: signals, kills, divergence and full disks, and `--resume` afterwards."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from commands import (
    ANEW,
    CODES,
    ENV,
    SIGNALS,
    SMALL,
    finish,
    kept_in,
    listen,
    numbers,
    run_limited,
    same_weights,
    start,
    table_of,
    wait_for_progress,
    write_small,
)
from safetensors import safe_open
from safetensors.torch import save_file

from piwsl_lab.cli import main as cli
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study import cell as study
from piwsl_lab.study import compare as comparison
from piwsl_lab.study.cell import run, train
from piwsl_lab.study.compare import compare_methods
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import build_trainer, prepare
from piwsl_lab.support.interrupts import held
from piwsl_lab.support.signals import as_interrupts
from piwsl_lab.training.checkpoint import load_potential
from piwsl_lab.training.checkpoint_file import HEADER, CheckpointError
from piwsl_lab.training.errors import evaluate
from piwsl_lab.training.kept import MARK, Kept
from piwsl_lab.training.kept_run import KeptRun
from piwsl_lab.training.record import TrainingDiverged
from piwsl_lab.training.trainer import Trainer

TRAIN = f"train {SMALL} --steps 60 --save a.safetensors --json a.json".split()
COMPARE = f"compare {SMALL} --seeds 2 --steps 20 --json a.json".split()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    write_small(folder)
    code, out, error = finish(start(folder, *TRAIN))
    assert code == 0, error
    assert sorted(path.name for path in folder.iterdir()) == ["a.json", "a.safetensors", "small.xyz"]
    return folder, table_of(out)


@pytest.mark.parametrize("name", SIGNALS)
def test_f2_train_goes_on_bit_for_bit_after_a_signal(name, tmp_path, undisturbed):
    """F2: `train` kept nothing until the very end."""
    write_small(tmp_path)
    process = start(tmp_path, *TRAIN)
    wait_for_progress(process, tmp_path, moves=2)
    process.send_signal(SIGNALS[name])
    code, out, error = finish(process)
    assert (code, out) == (CODES[name], "")
    assert "Traceback" not in error
    (kept,) = kept_in(tmp_path)
    assert not (tmp_path / "a.json").exists()
    load_potential(kept)
    if name != "KILL":
        assert f"kept in {kept.relative_to(tmp_path)}. Go on with: piwsl-lab train --data small.xyz" in error
        assert error.strip().endswith("--json a.json --resume")
    code, out, error = finish(start(tmp_path, *TRAIN, "--resume"))
    assert code == 0, error
    assert ANEW not in error
    assert table_of(out) == undisturbed[1]
    assert numbers(tmp_path, "a.json") == numbers(undisturbed[0], "a.json")
    assert same_weights(tmp_path / "a.safetensors", undisturbed[0] / "a.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "a.safetensors", "small.xyz"]


def test_f2_compare_goes_on_bit_for_bit(tmp_path, capsys, monkeypatch):
    """F2: finished twins and seeds were lost with the rest."""
    write_small(tmp_path)
    monkeypatch.chdir(tmp_path)
    process = start(tmp_path, *COMPARE)
    wait_for_progress(process, tmp_path, moves=50)  # of about 85: in the second seed
    process.kill()
    finish(process)
    assert kept_in(tmp_path)
    assert cli.main(["compare", *COMPARE[1:], "--resume", "--json", "resumed.json"]) == 0
    printed = capsys.readouterr()
    assert ANEW not in printed.err
    resumed = table_of(printed.out)
    assert cli.main(COMPARE) == 0
    assert table_of(capsys.readouterr().out) == resumed
    assert numbers(tmp_path, "a.json") == numbers(tmp_path, "resumed.json")
    assert not kept_in(tmp_path)


# In one process: an interrupt after so many steps


class After:
    """An `on_step` that presses Ctrl-C at one step of all."""

    def __init__(self, step: int) -> None:
        self.left = step

    def __call__(self, *_: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def small(tmp_path, monkeypatch):
    write_small(tmp_path)
    monkeypatch.chdir(tmp_path)
    fields = {"model": "schnet", "channels": 8, "layers": 1, "batch_size": 2, "device": "cpu", "steps": 20}
    return lambda **other: Setup(**{"data": "small.xyz", "energies": 8, "forces": 8, **fields, **other})


def opened(path: Path) -> Kept:
    kept = Kept(path)
    if kept.is_kept:
        kept.open()
    return kept


@pytest.mark.parametrize("steps", [[7, 3], [20, 1, 1], [33], [59]])
def test_teachers_and_students_go_on_where_they_were(small, steps, tmp_path):
    setup, objective = small(forces=3, teachers=2), Objective(pitc=10.0)
    task = prepare(setup)
    whole, _ = train(setup, task, objective)
    for step in steps:
        with pytest.raises(KeyboardInterrupt):
            train(setup, task, objective, After(step), opened(tmp_path / "kept.safetensors"), "it")
    done = []
    again, seconds = train(setup, task, objective, done.append, opened(tmp_path / "kept.safetensors"), "it")
    assert len(done) == 60 - sum(steps)
    assert seconds > again.seconds
    for name, value in whole.potential.state_dict().items():
        assert value.equal(again.potential.state_dict()[name])


@pytest.mark.parametrize("options", [{}, {"equal_time": True}, {"against": "ensemble"}])
def test_twins_go_on_where_they_were(small, options, tmp_path, monkeypatch):
    monkeypatch.setattr("piwsl_lab.study.compare.PILOT_STEPS", 3)
    measured, inner = [], comparison.steps_in
    # Whatever the clock says, no two measurements give the same number.
    monkeypatch.setattr(comparison, "steps_in", lambda *a: measured.append(inner(*a) + len(measured)) or measured[-1])
    setup, objective = small(forces=3, steps=6), Objective(pitc=10.0)
    path, count = tmp_path / "kept.safetensors", 0
    while True:
        count += 1
        kept = opened(path)
        try:
            found = compare_methods(setup, objective, 2, After(7), kept=kept, **options)
        except KeyboardInterrupt:
            continue
        break
    assert count > 3
    if "equal_time" not in options:
        whole = compare_methods(setup, objective, 2, **options)
        for name in found.keys() - {"config"}:
            assert found[name] | {"seconds": 0} == whole[name] | {"seconds": 0}
        assert found["config"] == whole["config"]
    else:
        # The steps were measured once a seed, from the seconds of the twin that was finished before.
        assert found["supervised"]["steps"] == measured
        assert len(measured) == 2
        assert found["piwsl"]["seconds"] == [kept.value(f"piwsl, seed {seed}")["seconds"] for seed in (0, 1)]


def test_a_cell_of_a_study_goes_on_and_counts_all_its_core_time(small, tmp_path):
    whole = run(small(), Objective())
    path = tmp_path / "begun" / "key.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run(small(), Objective(), After(13), opened(path))
    kept, done = opened(path), []
    found = run(small(), Objective(), done.append, kept)
    assert len(done) == 7
    assert found["rows"] == whole["rows"]
    assert found["core_seconds"] > kept.earlier > 0


def test_core_seconds_of_a_broken_off_process_are_those_of_training(small, monkeypatch, tmp_path):
    """Those of a resumed cell counted the loading of its data, those of an unbroken one did not."""
    path, spent = tmp_path / "key.safetensors", 5.0

    def slowly(setup):
        until = time.process_time() + spent
        while time.process_time() < until:
            pass
        return prepare(setup)

    monkeypatch.setattr(study, "prepare", slowly)
    with pytest.raises(KeyboardInterrupt):
        run(small(), Objective(), After(3), opened(path))
    assert 0 < opened(path).earlier < spent


def test_other_frames_are_not_gone_on_with(small, tmp_path):
    path = tmp_path / "kept.safetensors"
    with pytest.raises(KeyboardInterrupt):
        compare_methods(small(), Objective(), 1, After(25), kept=opened(path))
    from ase.io import read, write

    frames = read("small.xyz", ":")
    frames[3].positions += 0.01
    write("small.xyz", frames)
    with pytest.raises(ValueError, match=r"the run began with other frames or labels.*delete it and begin anew"):
        compare_methods(small(), Objective(), 1, kept=opened(path))


# Signals


def test_a_stop_signal_goes_the_way_of_ctrl_c_and_what_was_ignored_stays_so():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a shell, for what runs in the background
        with as_interrupts() as stop:
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert (stop.number, stop.code(130), stop.code(2)) == (signal.SIGTERM, 143, 2)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize("inside", ["raise", "return 130"], ids=["passed on", "caught"])
def test_an_interrupt_of_executed_text_does_not_change_the_exit_code(inside, tmp_path):
    """Python remembers an interrupt that met such text, as of a dataclass, and `python -m` then ends by SIGINT."""
    lines = ["import sys", "from piwsl_lab.cli import doctor, main as cli", "def stopped(_):", "    try:"]
    lines += ["        exec('raise KeyboardInterrupt')", "    except KeyboardInterrupt:"]
    lines += [f"        {inside}", "doctor.run = stopped"]
    (tmp_path / "stopped.py").write_text("\n".join([*lines, "sys.exit(cli.main(['doctor']))"]))
    env = {**ENV, "PYTHONPATH": os.pathsep.join([str(tmp_path), ENV.get("PYTHONPATH", "")])}
    assert subprocess.run([sys.executable, "-m", "stopped"], check=False, env=env).returncode == 130


@pytest.mark.parametrize("second", ["INT", "TERM"])
def test_a_second_signal_does_not_break_off_the_end(second):
    """It met the end of Python, whose libraries then printed tracebacks."""
    lines = ["import atexit, signal, sys", "from piwsl_lab.cli import doctor, main as cli"]
    lines += [f"atexit.register(lambda: [signal.raise_signal(signal.SIG{second}), print('whole')])"]
    lines += ["doctor.run = lambda _: signal.raise_signal(signal.SIGTERM)", "sys.exit(cli.main(['doctor']))"]
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, check=False, env=ENV, capture_output=True, text=True, preexec_fn=listen)
    assert (done.returncode, done.stdout, done.stderr) == (143, "whole\n", "piwsl-lab: interrupted\n")


def test_an_interrupt_waits_for_the_import_of_torch(monkeypatch):
    seen = []

    def importing(name):
        signal.raise_signal(signal.SIGINT)
        seen.append(name)

    monkeypatch.setattr(cli.importlib, "import_module", importing)
    monkeypatch.setattr(cli.train, "run", lambda _: pytest.fail("it went on"))
    assert cli.main(["train"]) == 130
    assert seen == ["piwsl_lab.study.cell"]


@pytest.mark.parametrize("command", ["train", "compare", "study", "fly"])
def test_what_is_imported_before_a_command_brings_torch_with_it(command):
    """The face of a package imports nothing, and an interrupt then met the import of torch inside the command."""
    lines = ["import sys", "from piwsl_lab.cli import main as cli", f"from piwsl_lab.cli import {command}"]
    lines += [f"{command}.run = lambda _: print('torch' in sys.modules)"]
    lines += [f"cli.main([{command!r}, *{{'study': ['a.toml'], 'fly': ['a']}}.get({command!r}, [])])"]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=ENV, capture_output=True, text=True, check=False
    )
    assert done.stdout == "True\n", done.stderr


def broken_off(done: list[str]) -> None:
    with as_interrupts(), held():
        signal.raise_signal(signal.SIGTERM)
        done.append("step")
    done.append("too late")


def test_a_stop_signal_waits_where_ctrl_c_does():
    done = []
    with pytest.raises(KeyboardInterrupt):
        broken_off(done)
    assert done == ["step"]


# Where it lies


def interrupted(monkeypatch, step: int, *words: str) -> int:
    """A command that is interrupted at a step, in this process."""
    inner, press = Trainer.step, After(step)

    def step_and_press(trainer):
        record = inner(trainer)
        press()
        return record

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step_and_press)
        return cli.main(words)


SHORT = ["--steps", "10", *SMALL.split()]


def test_a_run_of_another_command_is_never_overwritten(small, monkeypatch, capsys, tmp_path):
    for words in (["train"], ["train", "--seed", "1"], ["compare"], ["train"], ["train", "--pitc", "1"]):
        assert interrupted(monkeypatch, 6, *words, *SHORT) == 130
    error = capsys.readouterr().err
    assert len(kept_in(tmp_path)) == 5
    assert error.count("holds this very run, interrupted: --resume would go on with it") == 1
    assert cli.main(["train", *SHORT, "--resume"]) == 0
    assert cli.main(["train", *SHORT, "--seed", "1", "--resume"]) == 0
    assert len(kept_in(tmp_path)) == 3
    capsys.readouterr()
    assert cli.main(["train", *SHORT, "--seed", "2", "--resume"]) == 0
    assert f"nothing is kept of this run in piwsl-lab-runs: it {ANEW}" in capsys.readouterr().err


def test_two_at_once_do_not_touch_each_other(tmp_path):
    write_small(tmp_path)
    words = ["train", *SMALL.split(), "--steps", "20"]
    both = [start(tmp_path, *words, "--json", f"{k}.json") for k in (0, 1)]
    for process in both:
        assert finish(process)[0] == 0
    assert numbers(tmp_path, "0.json") == numbers(tmp_path, "1.json")
    assert not (tmp_path / "piwsl-lab-runs").exists()


def test_a_run_in_hand_is_not_gone_on_with_by_another(small, tmp_path):
    one = KeptRun("train", {"a": 1}, [Path()])
    task = prepare(small())
    with pytest.raises(KeyboardInterrupt):
        train(small(), task, Objective(), After(3), one, "it")
    other = KeptRun("train", {"a": 1}, [Path()])
    assert not other.find()
    with pytest.raises(KeyboardInterrupt):
        train(small(), task, Objective(), After(3), other, "it")
    assert len(kept_in(tmp_path)) == 2
    assert one.path != other.path
    assert not KeptRun("train", {"a": 2}, [Path()]).left_behind()


def test_what_is_kept_is_written_again_where_its_folder_was_taken_away(small):
    trainer, kept = build_trainer(small(), prepare(small()), Objective()), KeptRun("train", {"a": 1}, [Path()])
    trainer.step()
    kept.keep("it", trainer)
    shutil.rmtree(kept.path.parent)
    kept.keep("it", trainer)
    assert kept.is_kept
    assert not kept.failure


def test_a_damaged_file_is_not_held(small, monkeypatch, capsys, tmp_path):
    """Its lock lay beside it for ever."""
    assert interrupted(monkeypatch, 6, "train", *SHORT) == 130
    (path,) = kept_in(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    assert cli.main(["train", *SHORT, "--resume"]) == 2
    assert [other.name for other in path.parent.iterdir()] == [path.name]


# Divergence


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, _: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_the_best_weights_are_saved_where_nobody_reads_on(small, monkeypatch):
    """The words came first, and their error was the end."""
    inner = Trainer._descend
    monkeypatch.setattr(
        Trainer, "_descend", lambda t, loss, b: inner(t, loss * float("nan") if t.done == 7 else loss, b)
    )
    monkeypatch.setattr(sys, "stderr", Gone())
    assert cli.main(["train", *SHORT, "--save", "best.safetensors"]) == 2
    load_potential("best.safetensors")


def test_best_weights_of_an_unknown_step_are_saved_too(small, monkeypatch, capsys):
    """A training that an older version kept has best weights and no number of their step."""
    inner = Trainer._descend

    def bursts(trainer, loss, begun):
        if trainer.done == 7:
            trainer.best = dataclasses.replace(trainer.best, step=0)
        inner(trainer, loss * float("nan") if trainer.done == 7 else loss, begun)

    monkeypatch.setattr(Trainer, "_descend", bursts)
    assert cli.main(["train", *SHORT, "--save", "best.safetensors"]) == 2
    error = capsys.readouterr().err
    assert "those of an earlier validation are the best" in error
    assert "best.safetensors holds the weights, the best so far" in error
    load_potential("best.safetensors")


def test_f11_after_divergence_the_best_weights_are_saved(small, monkeypatch, capsys, tmp_path):
    """F11: the last weights were left, and nothing was saved."""
    inner = Trainer._descend

    def bursts(trainer, loss, begun):
        inner(trainer, loss * float("nan") if trainer.done == 7 else loss, begun)

    monkeypatch.setattr(Trainer, "_descend", bursts)
    task, validated = prepare(small()), {}
    with pytest.raises(
        TrainingDiverged,
        match=r"at step 8: lower the learning rate.*objective \(energy=10, force=100\).*of step \d are",
    ) as caught:
        train(small(), task, Objective(), lambda record: validated.update({record.step: record.metrics}))
    assert 0 < caught.value.best_step <= 7
    assert evaluate(caught.value.potential, task.validation) == validated[caught.value.best_step]
    assert cli.main(["train", *SHORT, "--save", "best.safetensors"]) == 2
    assert "best.safetensors holds the weights of step" in capsys.readouterr().err
    load_potential("best.safetensors")
    assert cli.main(["train", *SHORT]) == 2
    (best,) = kept_in(tmp_path)
    load_potential(best)
    monkeypatch.setattr(
        Trainer,
        "_descend",
        lambda t, loss, begun: inner(t, loss * float("nan") if t.done == 7 and t.settings["seed"] else loss, begun),
    )
    assert cli.main(["compare", *SHORT, "--seeds", "2"]) == 2
    error = capsys.readouterr().err
    assert "supervised, seed 1: the loss became nan at step 8" in error
    assert "1 seed(s) are finished:" in error


# Places that cannot be written to


def full_disk(folder: Path) -> Path:
    """A file system of 64 kB in a folder."""
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    return folder


@pytest.fixture
def disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    yield full_disk(folder)
    os.chdir(tmp_path)
    subprocess.run(["umount", str(folder)], check=True)


def test_f8_a_full_disk_costs_no_result(small, disk, capsys, tmp_path, monkeypatch):
    """F8: a full disk ended in a traceback, and the training was lost."""
    (disk / "junk").write_bytes(b"x" * 40_000)
    words = ["train", *SHORT, "--save", str(disk / "a.safetensors"), "--json", "a.json"]
    assert cli.main(words) == 1
    printed = capsys.readouterr()
    assert "energy MAE" in printed.out
    assert "a.safetensors: cannot be written (No space left on device); free some space" in printed.err
    assert "--resume writes it" in printed.err
    assert [path.name for path in disk.iterdir()] == ["junk"]
    assert json.loads(Path("a.json").read_text())["energy_mae"]
    monkeypatch.setattr(Trainer, "step", lambda _: pytest.fail("it trained once more"))
    words[words.index(str(disk / "a.safetensors"))] = "elsewhere.safetensors"
    assert cli.main([*words, "--resume"]) == 0
    load_potential("elsewhere.safetensors")
    assert not kept_in(tmp_path)


@pytest.fixture
def read_only(disk):
    """A folder with `small.xyz` where nothing can be written."""
    write_small(disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    return disk


@pytest.mark.parametrize(
    "words", [["train", "--save", "a.safetensors"], ["train", "--json", "a.json"], ["compare", "--json", "a.json"]]
)
def test_f8_a_read_only_place_is_refused_before_the_training(words, read_only, capsys, monkeypatch):
    monkeypatch.chdir(read_only)
    monkeypatch.setattr("piwsl_lab.study.task.prepare", lambda _: pytest.fail("it began"))
    assert cli.main([words[0], *SHORT, *words[1:]]) == 2
    assert f"{words[-1]}: {read_only} does not exist or cannot be written to; choose" in capsys.readouterr().err
    assert [path.name for path in read_only.iterdir()] == ["small.xyz"]


@pytest.mark.parametrize("command", ["train", "compare"])
def test_f8_in_a_read_only_folder_progress_goes_beside_the_files(command, read_only, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(read_only)
    words = [command, *SHORT, "--json", str(tmp_path / "a.json")]
    assert interrupted(monkeypatch, 6, *words) == 130
    assert f"kept in {kept_in(tmp_path)[0]}" in capsys.readouterr().err
    assert cli.main([*words, "--resume"]) == 0
    assert ANEW not in capsys.readouterr().err
    assert json.loads((tmp_path / "a.json").read_text())
    assert not kept_in(tmp_path)
    assert [path.name for path in read_only.iterdir()] == ["small.xyz"]


@pytest.mark.filterwarnings("default:what this run has done cannot be kept:UserWarning")
def test_f8_where_nothing_can_be_kept_the_run_goes_on_and_says_so(small, disk, capsys, monkeypatch):
    """Progress goes beside the files where the working folder is full; where all is full, one warning."""
    (disk / "junk").write_bytes(b"x" * 60_000)
    monkeypatch.setattr("piwsl_lab.data.catalog.pooch.os_cache", lambda _: str(disk))
    data = str(Path("small.xyz").resolve())
    words = ["train", *SHORT, "--data", data]
    other = Path("beside").resolve()
    other.mkdir()
    monkeypatch.chdir(disk)
    assert cli.main(words) == 0
    printed = capsys.readouterr()
    assert "energy MAE" in printed.out
    assert printed.err.count("cannot be kept") == 1
    assert [path.name for path in disk.iterdir()] == ["junk"]
    assert interrupted(monkeypatch, 6, *words) == 130
    assert "interrupted, nothing is kept (" in capsys.readouterr().err
    assert interrupted(monkeypatch, 6, *words, "--save", str(other / "a.safetensors")) == 130
    assert len(kept_in(other)) == 1
    assert cli.main([*words, "--save", str(other / "a.safetensors"), "--resume"]) == 0
    assert [path.name for path in other.iterdir()] == ["a.safetensors"]


def test_f8_files_that_may_not_grow_are_said_and_never_torn(tmp_path):
    write_small(tmp_path)
    words = ["train", *SHORT, "--save", "a.safetensors", "--json", "a.json"]
    code, out, error = run_limited(tmp_path, 20_000, *words)
    assert code == 1, error
    assert "energy MAE" in out
    assert "a.safetensors: cannot be written (File too large)" in error
    assert "Traceback" not in error
    assert {path.name for path in tmp_path.rglob("*")} == {"small.xyz", "a.json"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--json", "x" * 300], "File name too long; choose a shorter name"),
        (["--save", f"{'x' * 300}.safetensors"], "File name too long"),
        (["--json", "small.xyz/out.json"], "Not a directory; name a folder that is there"),
        (["--save", "small.xyz/out.safetensors"], "Not a directory"),
    ],
)
def test_f8_a_place_that_cannot_be_is_refused_before_the_training(words, message, small, monkeypatch, capsys):
    monkeypatch.setattr("piwsl_lab.study.task.prepare", lambda _: pytest.fail("it began"))
    assert cli.main(["train", *SHORT, *words]) == 2
    assert message in capsys.readouterr().err


def test_f8_a_folder_that_vanishes_costs_no_result(small, monkeypatch, capsys):
    Path("out").mkdir()
    inner = study.evaluate
    monkeypatch.setattr(
        "piwsl_lab.training.errors.evaluate", lambda *a: (Path("out").exists() and Path("out").rmdir(), inner(*a))[1]
    )
    assert cli.main(["train", *SHORT, "--json", "out/a.json"]) == 1
    printed = capsys.readouterr()
    assert "energy MAE" in printed.out
    assert "out/a.json: No such file or directory; make the folder first" in printed.err


@pytest.mark.parametrize("words", [["datasets"], ["--help"], ["train", "--help"], ["train", *SHORT]])
def test_f8_a_full_standard_output_is_said(words, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    write_small(tmp_path)
    with open("/dev/full", "w") as full:
        process = start(tmp_path, *words, stdout=full, stderr=subprocess.PIPE)
        code, _, error = finish(process)
    assert code == 1
    assert "No space left on device" in error
    assert "Traceback" not in error
    assert "Exception ignored" not in error
    assert len(kept_in(tmp_path)) == (words == ["train", *SHORT])


@pytest.mark.parametrize(
    ("coding", "words"),
    [
        ("gbk", ["train", *SHORT]),
        ("ascii", ["train", *SHORT]),
        ("cp1252", ["train", "--help"]),
        ("ascii", ["--help"]),
        ("ascii", ["datasets"]),
        ("gbk", ["doctor"]),
    ],
)
def test_case_37_a_terminal_of_another_code_page(coding, words, tmp_path):
    write_small(tmp_path)
    code, out, error = finish(
        start(tmp_path, *words, env={**ENV, "PYTHONIOENCODING": coding}, errors="replace"),
    )
    assert "Traceback" not in error
    assert code == 0 or words == ["doctor"], error
    assert any(word in out for word in ("force MAE, meV/", "usage: piwsl-lab", "ethanol:500K", "torch"))


# F2, F6: what was kept is not what this command left


def rewritten(path: Path, change: Callable[[dict, dict], object], tensors: Mapping[str, torch.Tensor] = {}) -> None:
    """The kept file with its header and its mark changed, and other tensors where some are given."""
    with safe_open(path, framework="pt") as file:
        marks, held = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    header, mark = json.loads(marks[HEADER]), json.loads(marks[MARK])
    change(header, mark)
    save_file({**held, **tensors}, path, {**marks, HEADER: json.dumps(header), MARK: json.dumps(mark)})


def in_trainer(where: str, name: str, value: object) -> Callable[[dict, dict], None]:
    return lambda header, _: header["trainer"][where].__setitem__(name, value)


def finished_early(header: dict, mark: dict) -> None:
    header["trainer"]["settings"]["steps"] = header["trainer"]["done"]


def counted_on(header: dict, mark: dict) -> None:
    header["trainer"]["done"] = 20


OTHER_RUNS = {
    "steps": (finished_early, "steps 7, asked 20"),
    "rate": (in_trainer("settings", "learning_rate", 1e3), "learning_rate 1000.0, asked 0.001"),
    "batch": (in_trainer("settings", "batch_size", 3), "batch_size 3, asked 2"),
    "seed": (in_trainer("settings", "seed", 9), "seed 9, asked"),
    "validation": (in_trainer("settings", "validate_every", 7), "validate_every 7, asked 1"),
    "decay": (in_trainer("settings", "weight_decay", 0.5), "weight_decay 0.5, asked 0.01"),
    "schedule": (in_trainer("settings", "schedule", "constant"), "schedule constant, asked cosine"),
    "pitc": (in_trainer("objective", "pitc", 77.0), "pitc 77.0, asked"),
    "epsilon": (in_trainer("objective", "epsilon", 0.01), "epsilon 0.01, asked 0.05"),
    "scheduled": (
        in_trainer("objective", "schedules", {"pitc": {"kind": "constant", "start": 1.0}}),
        "pitc",
    ),
    "done": (counted_on, "20 steps of it"),
    "cutoff": (lambda header, _: header["hyperparameters"].__setitem__("cutoff", 4.0), "cutoff 4.0, asked 5.0"),
    "reference": (lambda header, _: header["reference"].__setitem__("1", 5.0), "reference energies"),
    "best": (lambda header, _: header["trainer"].__setitem__("best_step", 19), "best_step is 19"),
}


@pytest.mark.parametrize("name", OTHER_RUNS)
@pytest.mark.parametrize("step", [7, 27], ids=["teacher", "student"])
def test_f2_a_kept_training_of_another_run_is_refused(name, step, small, tmp_path):
    """F2: settings and objective of the file were taken, and the numbers were those of another run."""
    setup, objective, path = small(forces=3, teachers=1), Objective(pitc=10.0), tmp_path / "kept.safetensors"
    task = prepare(setup)
    with pytest.raises(KeyboardInterrupt):
        train(setup, task, objective, After(step), opened(path), "it")
    change, words = OTHER_RUNS[name]
    rewritten(path, change)
    if step == 7 and name == "done":
        words = "20 steps of it teacher 0"
    with pytest.raises(CheckpointError, match=f"kept.safetensors: .*{words}") as refused:
        train(setup, task, objective, lambda _: pytest.fail("it went on"), opened(path), "it")
    assert "asked" not in words or "is not what this command left" in str(refused.value)


def test_f2_resume_of_a_shortened_run_is_one_sentence(small, monkeypatch, capsys, tmp_path):
    assert interrupted(monkeypatch, 7, "train", *SHORT[2:], "--steps", "20") == 130
    (kept,) = kept_in(tmp_path)
    rewritten(kept, finished_early)
    capsys.readouterr()
    assert cli.main(["train", *SHORT[2:], "--steps", "20", "--resume"]) == 2
    printed = capsys.readouterr()
    name = kept.relative_to(tmp_path)
    assert printed.out == ""
    assert f"{name}: is not what this command left (steps 7, asked 20); delete it and begin anew\n" in printed.err
    kept.unlink()
    assert cli.main(["train", *SHORT[2:], "--steps", "20", "--resume"]) == 0


DAMAGES = {
    "values": lambda _, mark: mark.__setitem__("values", [5]),
    "data": lambda _, mark: mark["values"].__setitem__("data of seed 0", 5),
    "data list": lambda _, mark: mark["values"].__setitem__("data of seed 0", [5]),
    "data null": lambda _, mark: mark["values"].__setitem__("data of seed 0", None),
    "twin": lambda _, mark: mark["values"].__setitem__("supervised, seed 0", {"energy_mae": "x"}),
    "twin list": lambda _, mark: mark["values"].__setitem__("supervised, seed 0", [1]),
    "twin nothing": lambda _, mark: mark["values"].__setitem__("supervised, seed 0", {}),
    "twin steps": lambda _, mark: mark["values"]["supervised, seed 0"].__setitem__("steps", -1),
    "twin seconds": lambda _, mark: mark["values"]["supervised, seed 0"].__setitem__("seconds", math.nan),
    "steps": lambda _, mark: mark["steps"].__setitem__("piwsl, seed 0", 10**300),
    "steps text": lambda _, mark: mark["steps"].__setitem__("piwsl, seed 0", "5"),
    "steps half": lambda _, mark: mark["steps"].__setitem__("piwsl, seed 0", 5.5),
    "steps less": lambda _, mark: mark["steps"].__setitem__("piwsl, seed 0", 4),
    "core nan": lambda _, mark: mark.__setitem__("core_seconds", math.nan),
    "core infinite": lambda _, mark: mark.__setitem__("core_seconds", math.inf),
    "core negative": lambda _, mark: mark.__setitem__("core_seconds", -1.0),
    "core flag": lambda _, mark: mark.__setitem__("core_seconds", True),
    "part": lambda _, mark: mark.__setitem__("part", 3),
    "nothing": lambda _, mark: mark.clear(),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A comparison that was interrupted in its second twin."""
    folder = tmp_path_factory.mktemp("begun")
    write_small(folder)
    fields = {"model": "schnet", "channels": 8, "layers": 1, "batch_size": 2, "device": "cpu", "steps": 6}
    setup = Setup(data=str(folder / "small.xyz"), energies=8, forces=8, **fields)
    with pytest.raises(KeyboardInterrupt):
        compare_methods(setup, Objective(pitc=10.0), 1, After(9), kept=Kept(folder / "kept.safetensors"))
    return setup, (folder / "kept.safetensors").read_bytes()


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_mark_is_called_damage(name, begun, tmp_path):
    """F6: it was taken for changed data, or accepted."""
    setup, content = begun
    path = tmp_path / "kept.safetensors"
    path.write_bytes(content)
    rewritten(path, DAMAGES[name])
    words = r"kept.safetensors: is not what an interrupted run left \(.*\); delete it and begin anew"
    with pytest.raises(CheckpointError, match=words):
        compare_methods(setup, Objective(pitc=10.0), 1, kept=opened(path))


def test_what_was_not_damaged_goes_on(begun, tmp_path):
    setup, content = begun
    path, done = tmp_path / "kept.safetensors", []
    path.write_bytes(content)
    rewritten(path, lambda *_: None)
    compare_methods(setup, Objective(pitc=10.0), 1, lambda *given: done.append(given), kept=opened(path))
    assert len(done) == 3


@pytest.mark.parametrize("wrong", [torch.ones(24, 9, 3).sum(0).long(), torch.ones(7), torch.ones(7, 3)])
def test_forces_of_a_teacher_have_their_shape(wrong, small, tmp_path):
    setup, path = small(forces=3, teachers=1), tmp_path / "kept.safetensors"
    task = prepare(setup)
    with pytest.raises(KeyboardInterrupt):
        train(setup, task, Objective(), After(27), opened(path), "it")
    rewritten(path, lambda *_: None, {"kept.it teacher 0": wrong})
    with pytest.raises(CheckpointError, match="the numbers of it teacher 0 are missing or no forces"):
        train(setup, task, Objective(), None, opened(path), "it")
    rewritten(path, lambda _, mark: mark["values"].__setitem__("it teacher 0", "fast"))
    with pytest.raises(CheckpointError, match="it teacher 0 is 'fast' and should be a number"):
        train(setup, task, Objective(), None, opened(path), "it")
