"""The walk of ε through the house, read from a running program: it meets one objective."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import piwsl_lab
from piwsl_lab.lab.panels.dashboard import Dashboard
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl import displacements
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.training.trainer import Trainer

PACKAGE = Path(piwsl_lab.__file__).parent
PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
(FOUND,) = re.findall(r"^### ε, from slider to δ\n\n```text\n(.*?)```", PAGE.read_text("utf-8"), re.M | re.S)
EPSILON = FOUND.split()


class Walk:
    """The functions of this package that a block calls, by their dotted names, and the trainers' objectives."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self.read: set[int] = set()

    def __enter__(self) -> Walk:
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _see(self, frame, event, _argument) -> None:
        path = Path(frame.f_code.co_filename)
        if event != "call" or PACKAGE not in path.parents:
            return
        owner = frame.f_locals.get("self")
        module = frame.f_globals["__name__"]
        name = frame.f_code.co_name
        if owner is not None:
            made = next((c for c in type(owner).__mro__ if name in vars(c)), type(owner))
            name = f"{made.__name__}.{name}"
        self.passed.append(f"{module}.{name}")
        if isinstance(owner, Trainer):
            self.read.add(id(owner.objective))


def in_order(wanted: list[str], passed: list[str]) -> list[str]:
    """What is missing of a list of names that must be passed one after the other."""
    missing, rest = [], iter(passed)
    for name in wanted:
        if name not in rest:  # takes names from `rest` until it is found
            missing.append(name)
            rest = iter(())
    return missing


def test_the_walk_of_epsilon_meets_one_objective(monkeypatch):
    setup = Setup(energies=8, forces=8, test=10, channels=8, layers=1, batch_size=4, steps=20)
    panel = Dashboard(Session(setup, {"PIWSL": Objective(pitc=100.0, epsilon=0.01)}, monitor_every=100))
    (twin,) = panel.session.twins
    panel.session.run(1)
    written, drawn = set(), []
    draw = displacements.uniform

    def write(objective, name, value):
        if sys._getframe(1).f_code.co_name not in ("__init__", "__post_init__"):
            written.add(id(objective))
        object.__setattr__(objective, name, value)

    monkeypatch.setattr(Objective, "__setattr__", write)
    walk = Walk()
    with walk:
        panel.controls.physics_knobs["epsilon"].value = 0.1
        monkeypatch.setattr(displacements, "uniform", lambda *given: drawn.append(draw(*given)) or drawn[-1])
        panel.session.run(1)
    assert in_order(EPSILON, walk.passed) == [], "\n".join(dict.fromkeys(walk.passed))
    # One objective: what the slider wrote is what the trainer read, and there is no other.
    assert written == walk.read == {id(twin.objective)}
    assert twin.objective is twin.trainer.objective
    assert len(drawn) == 1
    assert 0.09 < float(drawn[0].abs().max()) <= 0.1
    assert twin.used.epsilon == 0.1
    panel.close()


def test_a_walk_that_goes_another_way_is_seen():
    assert in_order(["a", "c"], ["a", "b", "c"]) == []
    assert in_order(["c", "a"], ["a", "b", "c"]) == ["a"]
    assert in_order(["a", "d", "c"], ["a", "b", "c"]) == ["d", "c"]
