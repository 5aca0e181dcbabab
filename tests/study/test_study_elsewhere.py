"""A cell of a study, and every rival, on a device that is not the CPU: the same rows as on the CPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
from frames import file_of, labelled
from other_device import ELSEWHERE, Elsewhere, other_device

from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.cell import run, train
from piwsl_lab.study.compare import CHANGES, compare_methods, rival
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import prepare

PIWSL = Objective(pitc=50.0, pisc=1.0, epsilon=0.03)


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    path = file_of(tmp_path_factory.mktemp("data") / "mine.xyz", labelled("H2O", 24))
    sizes = {"channels": 4, "layers": 1, "steps": 2, "test": 4, "batch_size": 4, "energies": 6, "forces": 4}
    return Setup(data=path, head="direct", **sizes)


@pytest.mark.parametrize("name", CHANGES)
def test_every_rival_trains_elsewhere_as_it_does_here(setup, name):
    own, goal = rival(name, setup, PIWSL)
    here = []
    train(own, prepare(own), goal, lambda record: here.append((record.loss, record.terms)))
    with other_device():
        there = []
        trainer, _ = train(own, prepare(own), goal, lambda record: there.append((record.loss, record.terms)))
        assert all(isinstance(value, Elsewhere) for value in trainer.potential.state_dict().values())
    assert len(here) == 2 * (1 + own.teachers)
    assert here == there


def test_a_comparison_and_a_cell_run_elsewhere(setup):
    own = replace(setup, head="dual", flight_ps=0.002)
    rows = run(own, replace(PIWSL, gradient=1.0))["rows"]
    with other_device():
        assert repr(run(own, replace(PIWSL, gradient=1.0))["rows"]) == repr(rows)
        compared = compare_methods(setup, PIWSL, seeds=1)
    assert compared["config"]["device"] == str(ELSEWHERE)
