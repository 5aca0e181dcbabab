"""Bars over trainings that end early are full at the end, and the table says why it came so soon."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from ase.io import write
from frames import labelled
from patient import impatient
from tqdm import tqdm

from piwsl_lab.cli import main as cli
from piwsl_lab.cli.hand_over import StepBar

FLAGS = "--data small.xyz --energies 8 --batch-size 2 --device cpu --model schnet --steps 20 --json a.json"


@pytest.fixture
def bars(monkeypatch, tmp_path):
    """The bars of the commands, as a terminal would show them."""
    write(tmp_path / "small.xyz", labelled("CH3CH2OH", 20).to_atoms())
    monkeypatch.chdir(tmp_path)
    shown = []

    def bar_of(total, kept):
        shown.append(tqdm(total=total, initial=sum(kept.steps.values()), file=io.StringIO()))
        return shown[-1]

    for command in ("train", "compare"):
        monkeypatch.setattr(f"piwsl_lab.cli.{command}.bar_of", bar_of)
    return shown


def run(command, *words, capsys):
    assert cli.main([command, *FLAGS.split(), *words]) == 0
    return capsys.readouterr().out


def test_a_training_that_ends_early_has_a_full_bar_and_a_reason(bars, monkeypatch, capsys):
    impatient(monkeypatch, lambda *_: 7)
    out = run("train", "--forces", "8", capsys=capsys)
    (bar,) = bars
    assert (bar.n, bar.total) == (7, 7)
    assert "100%" in bar.fp.getvalue().split("\r")[-1]
    assert out.splitlines()[1] == "the training ended at step 7 of 20: 6 validations were no better than at step 1"


def test_a_training_that_takes_all_its_steps_says_nothing_of_it(bars, capsys):
    out = run("train", "--forces", "8", capsys=capsys)
    (bar,) = bars
    assert (bar.n, bar.total) == (20, 20)
    assert "ended" not in out


def test_teachers_that_end_early_come_off_the_total(bars, monkeypatch, capsys):
    impatient(monkeypatch, lambda setup, _: 5 if setup.seed >= 1000 else 0)
    totals = []
    step = StepBar.step
    monkeypatch.setattr(StepBar, "step", lambda self, *given: step(self, *given) or totals.append(self.bar.total))
    run("train", "--forces", "4", "--teachers", "2", capsys=capsys)
    (bar,) = bars
    assert totals == [60] * 5 + [45] * 5 + [30] * 20
    assert (bar.n, bar.total) == (30, 30)


@pytest.mark.parametrize("flags", [[], ["--equal-time"]])
def test_a_comparison_says_how_many_steps_each_took(flags, bars, monkeypatch, capsys):
    impatient(monkeypatch, lambda setup, objective: 9 + setup.seed if objective.pitc else 6)
    monkeypatch.setattr("piwsl_lab.study.compare.steps_in", lambda seconds, setup, *_: setup.steps + 10)
    out = run("compare", "--forces", "8", "--seeds", "2", *flags, capsys=capsys)
    (bar,) = bars
    assert (bar.n, bar.total) == (31, 31)
    assert out.splitlines()[1] == "steps until validation got no better, or the last: supervised 6, 6; PIWSL 9, 10"
    result = json.loads(Path("a.json").read_text("utf-8"))
    assert (result["supervised"]["steps"], result["piwsl"]["steps"]) == ([6, 6], [9, 10])


def test_a_comparison_of_whole_trainings_says_nothing_of_it(bars, capsys):
    out = run("compare", "--forces", "8", "--seeds", "1", capsys=capsys)
    (bar,) = bars
    assert (bar.n, bar.total) == (40, 40)
    assert "steps until" not in out
