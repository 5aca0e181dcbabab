"""Files of our own that are damaged: each is named, with what is wrong in it, and nothing is thrown at a person."""

from __future__ import annotations

import json
import math
import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from frames import labelled
from safetensors import safe_open
from safetensors.torch import save_file

from piwsl_lab.cli import main as cli
from piwsl_lab.lab.figures import page as evidence
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.cell import train
from piwsl_lab.study.engine import progress_of
from piwsl_lab.study.report import write_report
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.store import Store
from piwsl_lab.study.tables import own_test, read_table
from piwsl_lab.study.task import prepare
from piwsl_lab.study.toml_file import read
from piwsl_lab.training import checkpoint
from piwsl_lab.training.checkpoint_file import HEADER, CheckpointError
from piwsl_lab.training.kept import Kept
from piwsl_lab.training.trainer import Trainer

TOML = """name = "s"
title = "a study"
[setup]
channels = 8
steps = 20
test = 20
[objective]
epsilon = 0.05
[grid]
data = ["ethanol"]
labels = [8, [12, 6]]
seeds = 2
[[method]]
name = "supervised"
title = "labels alone"
[[method]]
name = "piwsl"
title = "with Taylor consistency"
pitc = 100
schedules = {epsilon = {kind = "ramp", start = 0.01, end = 0.05, steps = 10}}
"""
VALUES = (None, True, -1, 0, 3.5, 10**9, 10**400, 1e308, math.nan, math.inf, "", "x" * 400, [], [1], {}, {"a": []})
TRIES = 12


def mutate_value(value: Any, chance: random.Random) -> Any:
    """The same with one entry exchanged, taken away or doubled, somewhere inside."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(sorted(value))
        kind = chance.randrange(6)
        if kind == 0:
            return {k: v for k, v in value.items() if k != name}
        if kind == 1:
            return {**value, name: chance.choice(VALUES)}
        return {**value, name: mutate_value(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [*value[:place], mutate_value(value[place], chance), *value[place + 1 :]]
    return chance.choice(VALUES)


def mutate_bytes(content: bytes, chance: random.Random) -> bytes:
    """Bytes with some changed, cut off, doubled or put in."""
    start, length = chance.randrange(len(content)), chance.randrange(1, 12)
    end = min(len(content), start + length)
    return chance.choice(
        [
            content[:start] + bytes(chance.randrange(256) for _ in range(length)) + content[end:],
            content[:start],
            content[:start] + content[end:],
            content[:end] + content[start:],
            content[:start]
            + chance.choice([b"inf", b"nan", b"-1", b"1e999", b'"', b"[" * 3000, b"9" * 5000, b",,"])
            + content[end:],
        ]
    )


def refused_by_name(path: Path, action: Callable[[], Any]) -> bool:
    """Whether an action refuses a file: only ever by a ValueError with the file's name in it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            action()
        said = None
    except ValueError as error:
        said = str(error)
    assert said is None or path.name in said, said
    return said is not None


# Studies


@pytest.mark.parametrize("seed", range(TRIES))
def test_f10_a_damaged_study_is_named(seed, tmp_path, monkeypatch):
    """F10: 24 of 260 mutated TOML files gave tracebacks."""
    chance = random.Random(seed)
    path = tmp_path / "study.toml"

    def use():
        study = read(path)
        monkeypatch.chdir(tmp_path)
        write_report(study, Store(tmp_path / "out"))

    for _ in range(10):
        path.write_bytes(mutate_bytes(TOML.encode(), chance))
        refused_by_name(path, use)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"a study"', "inf", "title is inf and should be a text"),
        ('"labels alone"', "3", "title is 3 and should be a text"),
        ('name = "s"', "name = 1979-05-27", "name is .* and should be a text"),
        ("seeds = 2", "seeds = 10000000", "seeds = 10000000: give at most 1000"),
        ("seeds = 2", "seeds = [[1]]", "give how many"),
        ("seeds = 2", "seeds = [9999999999]", "seed=9999999999 must be from 0 to 4294967295"),
        ("seeds = 2", "seeds = [99999999999999999999]", "has more than 64 bits"),
        ("pitc = 100", f"pitc = {'9' * 400}", "has more than 64 bits"),
        ("labels = [8, [12, 6]]", f"labels = {list(range(1, 60_000))}", "at most 100000 are possible"),
        ("channels = 8", "channels = 1000000000", "channels=1000000000 must be from 1 to 8192"),
        ("steps = 20\ntest", "learning_rate = inf\ntest", "learning_rate=inf must be from 1e-12"),
        ("epsilon = 0.05\n", "epsilon = 1e9\n", "at most 5.0 Å"),
        ("schedules = {", "schedules = 3 # {", "schedules = 3 has to be a table"),
        ("pitc = 100", f"pitc = {'9' * 5000}", "is not valid TOML"),
        ("pitc = 100", f"pitc = {'[' * 5000}", "is not valid TOML"),
        ('[[method]]\nname = "supervised"\ntitle = "labels alone"', "[method]", r"there is no \[\[method\]\]"),
    ],
)
def test_f10_what_is_wrong_in_a_study_is_said_when_it_is_read(old, new, message, tmp_path):
    assert old in TOML
    path = tmp_path / "study.toml"
    text = TOML.replace(old, new, 1)
    path.write_text(text.partition("[[method]]")[0] if new == "[method]" else text)
    with pytest.raises(ValueError, match=f"study.toml.*{message}" if new != "[method]" else message):
        read(path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--seed", "99999999999999999999"], "seed=99999999999999999999 must be from 0 to 4294967295"),
        (["compare", "--seeds", "10000000"], "at most 1000"),
        (["train", "--steps", "10000000000"], "must be from 1 to 1000000000"),
        (["train", "--epsilon", "1e9"], "at most 5.0 Å"),
        (["train", "--teachers", "100000", "--forces", "3"], "teachers=100000 must be from 0 to 1000"),
    ],
)
def test_f16_numbers_without_limit_are_refused_with_the_limit(words, message, capsys):
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err


# Results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A study with results that nobody trained."""
    folder = tmp_path_factory.mktemp("results")
    path = folder / "study.toml"
    path.write_text(TOML.replace('"ethanol"', '"gone.xyz"').replace("labels alone", "labels | alone <b>\\n# [a](b)"))
    study = read(path)
    store = Store(study.folder)
    for number, cell in enumerate(study.cells):
        row = {"part": "gone.xyz", "output": "direct", "energy_mae": 0.1 + number, "energy_rmse": None}
        row |= {"force_mae": 0.2, "force_rmse": 0.3 + 0.1 * number}
        flown = {
            "part": "flight at 300 K",
            "output": "direct",
            "alive_ps": 0.5,
            "alive_share": 0.5,
            "flight_drift": 0.0,
        }
        result = {"rows": [row, flown], "seconds": 1.5, "core_seconds": 1.0, "steps": 20, "counts": {}}
        result["flights"] = {"300": [{"ps": 0.5, "reason": "the bond 0-1 broke"}, {"ps": 1.0, "reason": ""}]}
        store.write(cell, {"result": result, "warnings": [], "versions": {}, "wall": 2.0})
    write_report(study, store)
    return study, store


@pytest.mark.parametrize("seed", range(TRIES))
def test_f10_a_damaged_run_is_named(seed, results, tmp_path):
    """F10: 27 of 160 mutated run files gave tracebacks."""
    study, whole = results
    chance = random.Random(seed)
    store = Store(tmp_path / "copy")
    path = next(iter(sorted(whole.runs.glob("*.json"))))
    content = path.read_bytes()
    store.runs.mkdir(parents=True)
    copy = store.runs / path.name

    def use():
        progress_of(study.cells, store)
        write_report(study, store)

    for _ in range(10):
        if chance.random() < 0.5:
            copy.write_bytes(mutate_bytes(content, chance))
        else:
            copy.write_text(json.dumps(mutate_value(json.loads(content), chance)))
        refused_by_name(copy, use)


def test_f10_a_damaged_failure_is_named(results, tmp_path):
    study, _ = results
    store = Store(tmp_path)
    path = store.write(study.cells[0], {"failed": "ValueError: no", "wall": 1.0})
    write_report(study, store)
    path.write_text("[1]")
    assert refused_by_name(path, lambda: write_report(study, store))


@pytest.mark.parametrize("seed", range(TRIES))
@pytest.mark.parametrize("name", ["summary.csv", "duels.csv", "flights.csv"])
def test_f10_a_damaged_table_is_named(seed, name, results, tmp_path):
    """F10: 13 of 100 mutated tables gave tracebacks."""
    _, whole = results
    chance = random.Random(seed)
    for other in ("summary.csv", "flights.csv", "duels.csv", "summary.md"):
        (tmp_path / other).write_bytes((whole.folder / other).read_bytes())
    content = (whole.folder / name).read_bytes()

    def use():
        from piwsl_lab.lab.figures import survival as study_flights

        rows = evidence.read_summary(tmp_path)
        evidence.figures([row for row in rows if row["kind"] == "test"])
        study_flights.survival(read_table(tmp_path / "flights.csv"))
        evidence.tally([r for r in read_table(tmp_path / "duels.csv") if math.isfinite(r["ratio"])])

    for _ in range(3):
        (tmp_path / name).write_bytes(mutate_bytes(content, chance))
        refused_by_name(tmp_path / name, use)


def test_f12_a_study_on_a_file_that_has_moved_is_drawn(results):
    """F12: `own_test` looked for the file."""
    _, store = results
    rows = evidence.read_summary(store.folder)
    assert {row["part"] for row in own_test(rows)} == {"gone.xyz"}
    assert evidence.main([str(store.folder)]) == 0
    assert (store.folder / "figures.html").stat().st_size > 1000


def test_f13_titles_are_words_and_no_markup(results):
    """F13: summary.md took titles raw."""
    _, store = results
    text = (store.folder / "summary.md").read_text()
    line = next(line for line in text.splitlines() if "alone" in line)
    assert "labels \\| alone \\<b> # [a\\](b)" in line
    assert sum("alone" in line for line in text.splitlines()) == text.count("alone")  # no title breaks a line


def test_a_report_without_a_title_is_drawn(results, tmp_path):
    _, store = results
    (tmp_path / "summary.csv").write_bytes((store.folder / "summary.csv").read_bytes())
    (tmp_path / "summary.md").write_text("")
    assert evidence.main([str(tmp_path)]) == 0
    (tmp_path / "summary.md").write_bytes(b"# \xff")
    assert evidence.main([str(tmp_path)]) == 2


def test_f8_a_method_with_a_name_of_300_letters_is_stored(tmp_path):
    """F8: it failed after the cell's training."""
    path = tmp_path / "study.toml"
    path.write_text(TOML.replace('"piwsl"', f'"{"p" * 300}"'))
    study = read(path)
    store = Store(tmp_path / "out")
    cell = next(cell for cell in study.cells if cell.method != "supervised")
    store.write(cell, {"failed": "no", "wall": 1.0})
    assert list(store.failed()) == [cell.key]


# Checkpoints


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint with a trainer, its header and its tensors."""
    path = tmp_path_factory.mktemp("saved") / "a.safetensors"
    torch.manual_seed(0)
    potential = build("schnet", elements=[1, 8], channels=8, layers=1, radial=6, head="direct")
    trainer = Trainer(
        potential, labelled("H2O", 6), Objective(pitc=1.0), validation=labelled("H2O", 3, seed=9), steps=6
    )
    for _ in range(3):
        trainer.step()
    checkpoint.save(path, potential, trainer)
    with safe_open(path, framework="pt") as file:
        return path, json.loads(file.metadata()[HEADER]), {name: file.get_tensor(name) for name in file.keys()}


def use_checkpoint(path: Path) -> None:
    checkpoint.load_potential(path)
    trainer = checkpoint.resume(path, labelled("H2O", 6), labelled("H2O", 3, seed=9))
    if not trainer.finished:
        trainer.step()


@pytest.mark.parametrize("seed", range(TRIES))
def test_f10_a_damaged_checkpoint_is_named(seed, saved, tmp_path):
    """F10: 11 of 320 mutated checkpoints gave tracebacks."""
    whole, header, tensors = saved
    use_checkpoint(whole)
    chance, path = random.Random(seed), tmp_path / "a.safetensors"
    content = whole.read_bytes()
    for k in range(8):
        if k % 4 == 0:
            path.write_bytes(mutate_bytes(content, chance))
        elif k % 4 == 1:
            changed = dict(tensors)
            name = chance.choice(sorted(changed))
            changed[name] = chance.choice(
                [
                    changed[name].flatten()[:-1].clone(),
                    changed[name].double() * math.nan,
                    torch.full((3,), 10**6),
                    torch.zeros(()),
                ]
            )
            save_file(changed, path, {HEADER: json.dumps(header)})
        else:
            changed = {HEADER: json.dumps(mutate_value(header, chance))}
            save_file(tensors, path, changed)
        refused_by_name(path, lambda: use_checkpoint(path))


@pytest.mark.parametrize(
    ("name", "value", "limit"),
    [
        ("cutoff", 1e9, "from 0.001 to 50"),
        ("channels", 10**9, "from 1 to 8192"),
        ("layers", 10**6, "from 1 to 100"),
        ("radial", 10**9, "from 1 to 1000"),
        ("elements", [10**9], "from 1 to 118"),
        ("channels", 8000, "should have"),  # within the limit, and other weights than the file holds
    ],
)
def test_f7_a_checkpoint_that_asks_for_too_much_is_refused_before_there_is_memory(
    name, value, limit, saved, tmp_path, monkeypatch
):
    """F7: `cutoff: 1e9` filled the memory."""
    _, header, tensors = saved
    path = tmp_path / "a.safetensors"
    save_file(
        tensors, path, {HEADER: json.dumps({**header, "hyperparameters": {**header["hyperparameters"], name: value}})}
    )
    inner = build

    def only_a_plan(*given, **options):
        assert torch.zeros(()).device.type == "meta"
        return inner(*given, **options)

    monkeypatch.setattr("piwsl_lab.training.checkpoint_file.build", only_a_plan)
    with pytest.raises(CheckpointError, match=f"a.safetensors: .*{limit}"):
        checkpoint.load_potential(path)


def test_weights_that_are_not_finite_are_refused(saved, tmp_path):
    _, header, tensors = saved
    path = tmp_path / "a.safetensors"
    name = next(name for name in tensors if name.startswith("potential.") and tensors[name].ndim == 2)
    save_file({**tensors, name: tensors[name] / 0}, path, {HEADER: json.dumps(header)})
    with pytest.raises(CheckpointError, match=rf"{re.escape(name.removeprefix('potential.'))} holds \d+ number"):
        checkpoint.load_potential(path)


@pytest.mark.parametrize("seed", range(10))
def test_f10_a_damaged_progress_file_is_named(seed, tmp_path):
    from commands import write_small

    write_small(tmp_path)
    setup = Setup(
        data=str(tmp_path / "small.xyz"),
        energies=6,
        forces=3,
        teachers=1,
        channels=8,
        layers=1,
        steps=4,
        model="schnet",
    )
    task, path = prepare(setup), tmp_path / "kept.safetensors"

    def stop(record):
        if record.step == 3 and stop.teacher_done:
            raise KeyboardInterrupt
        stop.teacher_done |= record.step == 4

    stop.teacher_done = False
    with pytest.raises(KeyboardInterrupt):
        train(setup, task, Objective(), stop, Kept(path), "it")
    chance, content = random.Random(seed), path.read_bytes()

    def use():
        kept = Kept(path)
        kept.open()
        train(setup, task, Objective(), None, kept, "it")

    for _ in range(4):
        path.write_bytes(mutate_bytes(content, chance))
        refused_by_name(path, use)
