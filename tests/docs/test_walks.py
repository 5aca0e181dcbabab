"""The walks of docs/architecture.md: every name is there, and the program calls them one after the other."""

from __future__ import annotations

import importlib
import re
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import CodeType
from typing import Any

import ase.io
import pytest

import piwsl_lab as lab

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
TINY = {"energies": 8, "forces": 8, "validation": 4, "test": 8, "steps": 4, "channels": 8}
STUDY = """
name = "walk"
title = "A walk"
[setup]
test = 8
validation = 4
steps = 3
channels = 8
[grid]
data = ["ethanol"]
labels = [8]
seeds = 1
[[method]]
name = "pitc"
title = "PITC"
pitc = 100.0
"""


def walks() -> dict[str, list[str]]:
    """Dotted names by heading."""
    text = PAGE.read_text(encoding="utf-8")
    return {
        title: names.split() for title, names in re.findall(r"^####? ([^\n]*)\n\n```text\n(.*?)```", text, re.M | re.S)
    }


def resolved(name: str) -> Any:
    """The object of a dotted name: the longest part that is a module is imported, the rest are attributes."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError as error:
            if not module.startswith(f"{error.name}"):
                raise
            continue
        for part in parts[end:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


def code_of(name: str) -> CodeType:
    """The code of a function, a method or a property."""
    found = resolved(name)
    for inner in ("fget", "func", "__wrapped__"):
        found = getattr(found, inner, found)
    return found.__code__


def calls_of(action: Callable[[], object], chosen: set[CodeType]) -> list[CodeType]:
    """The calls of these functions that an action makes, in every thread."""
    calls: list[CodeType] = []

    def note(frame: Any, event: str, _argument: Any) -> None:
        if event == "call" and frame.f_code in chosen:
            calls.append(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return calls


def file_to_curve(folder: Path) -> Callable[[], object]:
    from piwsl_lab.lab import Dashboard, Session
    from piwsl_lab.study import Setup

    ase.io.write(folder / "mine.xyz", lab.load("ethanol")[:40].to_atoms())

    def walk() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the check may doubt what forty frames hold
            session = Session(Setup(data=str(folder / "mine.xyz"), **TINY))
        dashboard = Dashboard(session)
        session.run(2)
        dashboard.refresh(everything=True)
        dashboard.close()

    return walk


def slider_to_displacement(_folder: Path) -> Callable[[], object]:
    from piwsl_lab.lab import Dashboard, Session
    from piwsl_lab.study import Setup

    session = Session(Setup(data="ethanol", **TINY))
    dashboard = Dashboard(session)

    def walk() -> None:
        knob = dashboard.controls.physics_knobs["epsilon"]
        knob.index = 5 if knob.index != 5 else 6
        session.run(1)
        dashboard.close()

    return walk


def cell_of_a_study(folder: Path) -> Callable[[], object]:
    """The commands of a study and of its report; a worker trains the cell in a process of its own."""
    from piwsl_lab.cli import study
    from piwsl_lab.cli.main import main

    path = folder / "walk.toml"
    path.write_text(STUDY, encoding="utf-8")

    def walk() -> None:
        assert main(["study", str(path), "--workers", "1"]) == 0
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(study, "find_spec", lambda _: None)  # the walk ends with the tables
            assert main(["study", "report", str(path)]) == 0

    return walk


def cell_in_its_worker(folder: Path) -> Callable[[], object]:
    """What a worker does with what comes through its pipe, in this process."""
    from piwsl_lab.study import read, worker

    (folder / "walk.toml").write_text(STUDY, encoding="utf-8")
    (cell,) = read(folder / "walk.toml").cells
    job = {"setup": asdict(cell.setup), "objective": asdict(cell.objective)}
    return lambda: worker._answer(job, lambda **_: None)


def flight(folder: Path) -> Callable[[], object]:
    from piwsl_lab.cli.main import main

    frames = lab.load("ethanol")[:20]
    lab.save(folder / "mine.safetensors", lab.PaiNN(channels=8, elements=frames.elements).calibrate(frames))
    return lambda: main(["fly", str(folder / "mine.safetensors"), "--ps", "0.01", "--replicas", "2"])


def check_of_a_lesson(_folder: Path) -> Callable[[], object]:
    from piwsl_lab.lab.lesson import check

    def pitc(energy, moved, forces, displacement, structure, n_structures):
        return moved - energy

    return lambda: check("06.pitc", pitc)


ACTIONS = {
    "A frame's energy, from file to curve": file_to_curve,
    "ε, from slider to δ": slider_to_displacement,
    "One cell of a study": cell_of_a_study,
    "The same cell, in its worker": cell_in_its_worker,
    "One flight": flight,
    "One check of a lesson": check_of_a_lesson,
}


def test_there_are_five_walks():
    assert list(walks()) == list(ACTIONS)


@pytest.mark.parametrize("title", ACTIONS)
def test_a_walk_is_taken_in_its_order(title, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = walks()[title]
    assert len(names) >= 5
    codes = [code_of(name) for name in names]
    calls = iter(calls_of(ACTIONS[title](tmp_path), set(codes)))
    for name, code in zip(names, codes, strict=True):
        assert code in calls, f"{name} is not called after the names before it"
