"""The laboratory's own files: checkpoints, studies and their runs, tables, saved sessions; whole and damaged."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import struct
import sys
import tempfile
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from frames import labelled
from safetensors.numpy import load as tensors_of
from safetensors.numpy import save as bytes_of

from fuzz.values import DATES, NUMBERS, VALUES, WORDS, as_json, as_toml, damage
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.report import write_report
from piwsl_lab.study.store import Store
from piwsl_lab.study.toml_file import read
from piwsl_lab.training.checkpoint import pack
from piwsl_lab.training.trainer import Trainer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STUDY = """
name = "small"
title = "A small study"
description = "Two methods."
[setup]
channels = 8
layers = 1
steps = 20
test = 20
flight_ps = 1.0
device = "cpu"
[objective]
order = 1
[grid]
data = ["ethanol"]
labels = [8, [12, 6]]
seeds = 3
[cells]
first = [{data = "ethanol", labels = 8}]
[[method]]
name = "supervised"
title = "labels alone"
[[method]]
name = "piwsl"
title = "with Taylor consistency"
pitc = 100
epsilon = 0.01
against = "supervised"
skip = {labels = [[12, 6]]}
"""
Files = dict[str, bytes]


@lru_cache
def trained() -> tuple[Any, Trainer]:
    """A small potential after four steps, and its trainer."""
    data = labelled("CH3CH2OH", 8)
    torch.manual_seed(0)
    potential = build("painn", head="direct", channels=8, layers=1)
    trainer = Trainer(potential, data[:5], Objective(), validation=data[5:], steps=8, batch_size=2, device="cpu")
    for _ in range(4):
        trainer.step()
    trainer.seconds = 0.5  # the same bytes every time
    return trainer.potential, trainer


@lru_cache
def checkpoint(resumable: bool = True) -> bytes:
    potential, trainer = trained()
    return pack(potential, trainer if resumable else None)


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Head and body of a safetensors file."""
    size = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def join(head: bytes, body: bytes, size: int | None = None) -> bytes:
    return struct.pack("<Q", (len(head) if size is None else size) % 2**64) + head + body


def in_order(content: bytes) -> bytes:
    """The same file with its entries of metadata in their order, for which safetensors draws one at random."""
    head, body = split(content)
    head["__metadata__"] = dict(sorted(head.get("__metadata__", {}).items()))
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    return join(text + b" " * (-len(text) % 8), body)


def tensor_heads(random: Random, content: bytes | None = None) -> bytes:
    """A checkpoint whose head lies: about its length, about types, shapes and places of tensors."""
    head, body = split(content or checkpoint())
    if random.random() < 0.2:
        return join(as_json(head), body, random.choice((0, 1, 2, 10**6, 2**40, 2**63, -1, len(body))))
    return join(as_json(damage(head, random, (*VALUES, "I64", "F64", "BF16", "U8", [5, 5]))), body)


def header(random: Random) -> bytes:
    """A checkpoint whose description of model and training has something absurd at any place."""
    head, body = split(checkpoint(random.random() < 0.8))
    told = json.loads(head["__metadata__"]["piwsl_lab"])
    head["__metadata__"]["piwsl_lab"] = as_json(damage(told, random, VALUES, random.choice((1, 1, 2)))).decode()
    return join(as_json(head), body)


def weights(random: Random, content: bytes | None = None) -> bytes:
    """A checkpoint whose tensors have other values, types, shapes or names."""
    content = content or checkpoint(random.random() < 0.7)
    tensors = {name: array.copy() for name, array in tensors_of(content).items()}
    name = random.choice(sorted(tensors))
    array = tensors[name]
    way = random.randrange(6)
    if way == 0 and array.size:
        array.reshape(-1)[random.randrange(array.size)] = random.choice(
            (np.nan, np.inf, 1e30) if array.dtype.kind == "f" else (0, 255)
        )
    elif way == 1:
        tensors[name] = array.astype(random.choice((np.float64, np.float16, np.int64, np.uint8, bool)))
    elif way == 2:
        tensors[name] = random.choice(
            (np.atleast_1d(array)[:0], array.reshape(-1), array[None], np.zeros((), array.dtype), np.tile(array, 3))
        )
    elif way == 3:
        del tensors[name]
    elif way == 4:
        tensors[random.choice(("x", "", "optimiser.x.y", "optimiser.1", "best.x", "potential.", "é"))] = tensors.pop(
            name
        )
    else:
        tensors = {key: np.full_like(one, np.nan) if one.dtype.kind == "f" else one for key, one in tensors.items()}
    told = split(content)[0].get("__metadata__")
    return in_order(bytes_of({key: np.ascontiguousarray(one) for key, one in tensors.items()}, metadata=told))


def absurd_weights(random: Random) -> bytes:
    """A potential of which one weight is no number."""
    tensors = {name: array.copy() for name, array in tensors_of(checkpoint()).items()}
    floats = [
        name
        for name, array in sorted(tensors.items())
        if name.startswith("potential.") and array.dtype.kind == "f" and array.size
    ]
    array = tensors[random.choice(floats)]
    array.reshape(-1)[random.randrange(array.size)] = random.choice((np.nan, np.inf, -np.inf))
    return in_order(bytes_of(tensors, metadata=split(checkpoint())[0]["__metadata__"]))


def answers(random: Random) -> bytes:
    """A learner's progress file with something absurd at any place."""
    one = {"kind": "check", "passed": True, "attempts": 3, "mistakes": ["a"]}
    why = {"kind": "explanation", "text": "it bends"}
    guess = {"kind": "prediction", "choice": 1, "text": "four times"}
    tree = {"version": 1, "name": "Ada", "answers": {"06.pitc": one, "06.why": why, "06.double": guess}}
    return as_json(damage(tree, random, VALUES, random.choice((1, 1, 2))))


def study(random: Random) -> bytes:
    """A study whose tables hold something absurd at any place."""
    table = damage(tomllib.loads(STUDY), random, (*VALUES, *DATES, 10**7, "piwsl"), random.choice((1, 1, 1, 2)))
    if random.random() < 0.3:
        place = random.choice(("setup", "objective", "grid"))
        key = random.choice(
            ("channels", "steps", "batch_size", "learning_rate", "epsilon", "order", "teachers", "head", "model",
             "data", "energies", "energy", "force", "seeds", "labels", "test", "flight_ps", "device", "validation",
             "schedules")
        )  # fmt: skip
        value = random.choice((*VALUES, *DATES, 10**7))
        if isinstance(table.get(place), dict):
            table[place][key] = [value] if place == "grid" and random.random() < 0.8 else value
    return as_toml(table)


@lru_cache
def results() -> tuple[tuple[str, bytes], ...]:
    """Files of a study of which every cell has a result, and its report."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "small.toml").write_text(STUDY)
        made = read(folder / "small.toml")
        store = Store(made.folder)
        store.runs.mkdir(parents=True)
        for cell in made.cells[:-1]:
            store.write(cell, {"result": _result(cell), "warnings": [], "versions": {"torch": "2"}, "wall": 3.0})
        store.write(made.cells[-1], {"failed": "TrainingError: the loss is nan", "wall": 1.0})
        write_report(made, store)
        # The report names the folder, which is another one every time.
        return tuple(
            (str(path.relative_to(folder)), path.read_bytes().replace(place.encode(), b"studies"))
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        )


def _result(cell: Any) -> dict[str, Any]:
    error = (1 + 0.1 * cell.seed) * (0.5 if cell.method == "piwsl" else 1.0) / cell.setup.energies
    row = {
        "part": "ethanol",
        "output": "direct",
        "energy_mae": error,
        "energy_rmse": error,
        "force_mae": 2 * error,
        "force_rmse": None,
    }
    flown = {
        "part": "flight at 300 K",
        "output": "direct",
        "alive_ps": 0.9,
        "alive_share": 0.5,
        "flight_drift": 1e-5,
        "distance_error": 0.1,
    }
    flights = {"300": [{"ps": 1.0, "reason": ""}, {"ps": 0.8, "reason": "the bond 0-1 is off by 0.57 Å"}]}
    cost = {"seconds": 2.0, "core_seconds": 2.5, "steps": 20, "counts": {"train_frames": 8}}
    return {"rows": [row, flown], **cost, "flights": flights}


def run_file(end: str) -> str:
    """Name of the first run's file that ends so."""
    return next(name for name, _ in results() if name.endswith(end) and not name.endswith(f".failed{end}"))


def run(random: Random, name: str) -> bytes:
    """A run's file with something absurd at any place."""
    return as_json(damage(json.loads(dict(results())[name]), random, VALUES, random.choice((1, 1, 2))))


def table(random: Random, name: str) -> bytes:
    """A table with cells, columns or rows that are missing, doubled or absurd."""
    rows = list(csv.reader(io.StringIO(dict(results())[name].decode())))
    way = random.randrange(8)
    k, column = random.randrange(1, len(rows)), random.randrange(len(rows[0]))
    value = random.choice((*NUMBERS, *WORDS, "", "text"))
    if way == 0:
        rows = [row[:column] + row[column + 1 :] for row in rows]
    elif way == 1:
        rows[0][column] = random.choice((value, rows[0][0]))
    elif way == 2:
        rows = [row if i == 0 else [*row[:column], value, *row[column + 1 :]] for i, row in enumerate(rows)]
    elif way == 3:
        rows[k] = rows[k][: random.randrange(len(rows[k]))]
    elif way == 4:
        rows[k] = rows[k] + ["1"] * random.choice((1, 1000))
    elif way == 5:
        rows = random.choice((rows[:1], rows[1:], rows[:2], rows + rows, []))
    else:
        rows[k][column] = value
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode("utf-8", "surrogatepass")


@lru_cache
def session() -> tuple[tuple[str, bytes], ...]:
    """Files of a saved session: two twins, ten steps each."""
    from piwsl_lab.lab.sessions.training import Session
    from piwsl_lab.study.setup import Setup

    setup = Setup(energies=10, forces=10, test=10, channels=8, layers=1, batch_size=4, steps=20, device="cpu")
    day = SimpleNamespace(now=lambda zone: datetime(2026, 1, 1, tzinfo=zone))
    # Clocks that stand still: the same bytes every time.
    with (
        patch("piwsl_lab.training.trainer.time", SimpleNamespace(perf_counter=lambda: 0.5)),
        patch("piwsl_lab.lab.sessions.saving.datetime", day),
        tempfile.TemporaryDirectory() as folder,
    ):
        Session(setup, monitor_every=5).run(10).save(folder)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    for name in files.keys() - {"session.json"}:
        _exchange(files, name, in_order(files[name]))
    return tuple(files.items())


def _exchange(files: Files, name: str, content: bytes) -> None:
    """Another content of a file of a session, of which the index knows."""
    before, after = (hashlib.sha256(one).hexdigest().encode() for one in (files[name], content))
    files |= {name: content, "session.json": files["session.json"].replace(before, after)}


def session_index(random: Random) -> Files:
    """A saved session whose index has something absurd at any place."""
    files = dict(session())
    files["session.json"] = as_json(damage(json.loads(files["session.json"]), random, VALUES, random.choice((1, 1, 2))))
    return files


def session_arrays(random: Random) -> Files:
    """A saved session whose curves or weights have other values, shapes or names, and the index knows them."""
    files = dict(session())
    name = random.choice([name for name in files if name != "session.json"])
    _exchange(files, name, random.choice((weights, tensor_heads))(random, files[name]))
    return files
