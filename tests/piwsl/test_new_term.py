"""The recipe "a new term": one row in one file, and everything that shows or stores terms knows it."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys

import pytest
import torch
from frames import labelled

from piwsl_lab.lab.parts.words import changes_in_words, knobs_in_words
from piwsl_lab.lab.sessions.twin import Twin, taught_by_piwsl
from piwsl_lab.models import build
from piwsl_lab.names import CONSISTENCY, DISPLACED_LABELS, WEIGHTS
from piwsl_lab.piwsl.objective import Objective, supervised
from piwsl_lab.piwsl.schedules import constant, ramp
from piwsl_lab.piwsl.terms import TERMS, terms_of
from piwsl_lab.study.setup import Setup
from piwsl_lab.training.trainer import Trainer

# An isolated molecule feels no net force: Σ F = 0.
MODULE = '''
"""A term of one's own."""

from piwsl_lab.piwsl.terms import FORCES, TERMS, Term

TERMS["net_force"] = Term(
    "net_force", "net force", "net force of a molecule", "(eV/Å)²", "Å²/eV²",
    needs=lambda places: {"C": FORCES},
    value=lambda places: sum(
        places.graphs["C"].sum_over_atoms(part).square().mean() for part in places.known["C"].forces.T
    ),
)
'''


@pytest.fixture
def net_force(tmp_path, monkeypatch):
    path = tmp_path / "net_force.py"
    path.write_text(MODULE, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("net_force", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "net_force", module)
    spec.loader.exec_module(module)
    yield Objective(extra={"net_force": 0.5})
    del TERMS["net_force"]


def trainer(objective):
    torch.manual_seed(0)
    potential = build("painn", elements=(1, 8), channels=8, layers=1, head="direct")
    return Trainer(potential, labelled("H2O", 8), objective, steps=20, batch_size=4, seed=0)


def test_one_row_is_a_new_term(net_force):
    training = trainer(net_force)
    records = [training.step() for _ in range(20)]
    assert all(set(record.terms) == {"energy", "force", "net_force"} for record in records)
    first = records[0]
    assert first.loss == pytest.approx(
        10 * first.terms["energy"] + 100 * first.terms["force"] + 0.5 * first.terms["net_force"], rel=1e-5
    )
    # It teaches: with its weight the net force becomes smaller than it would be without.
    strong = trainer(dataclasses.replace(net_force, extra={"net_force": 1e4}))
    stronger = [strong.step() for _ in range(20)]
    assert stronger[-1].terms["net_force"] < 0.5 * records[-1].terms["net_force"]


def test_a_new_term_counts_as_consistency(net_force):
    assert net_force.displaces
    assert net_force.is_consistent
    assert supervised(net_force) == Objective()
    net_force.override("net_force", 0.0)
    assert not net_force.displaces


def test_the_weight_of_a_new_term_follows_a_schedule(net_force):
    scheduled = dataclasses.replace(net_force, schedules={"net_force": ramp(0.0, 1.0, 4), "pitc": constant(2.0)})
    at = scheduled.at(2)
    assert (at.extra, at.pitc, at.schedules) == ({"net_force": 0.5}, 2.0, {})
    assert scheduled.at(4).extra == {"net_force": 1.0}
    training = trainer(scheduled)
    assert ["net_force" in training.step().terms for _ in range(3)] == [False, True, True]
    with pytest.raises(ValueError, match=r"'net_force' cannot follow a schedule; .* terms that have a weight in extra"):
        Objective(schedules={"net_force": constant(1.0)})


def test_a_twin_says_the_weight_of_a_new_term_that_is_in_force(net_force):
    by_hand = Twin("PIWSL", Setup(), trainer(net_force), "piwsl-direct")
    assert (by_hand.in_force("net_force"), by_hand.now) == (0.5, net_force)
    schedule = {"net_force": ramp(0.0, 1.0, 4)}
    twin = Twin("PIWSL", Setup(), trainer(dataclasses.replace(net_force, schedules=schedule)), "piwsl-direct")
    for _ in range(3):
        twin.step()
    assert twin.in_force("net_force") == 0.5
    assert twin.now == net_force
    assert taught_by_piwsl("mine", twin.objective)
    without = Twin("supervised", Setup(), trainer(Objective()), "direct")
    assert without.in_force("net_force") == 0.0


def test_a_copy_of_an_objective_has_extra_weights_of_its_own(net_force):
    copy = dataclasses.replace(net_force, energy=1.0)
    copy.extra["net_force"] = 7.0
    assert net_force.extra == {"net_force": 0.5}


def test_a_field_is_no_extra_weight():
    with pytest.raises(ValueError, match=r"extra: pitc has a field of its own; write pitc=3.0 instead"):
        Objective(extra={"pitc": 3.0})


def test_a_new_term_is_named_on_the_screen(net_force):
    go = pytest.importorskip("plotly.graph_objects")
    from piwsl_lab.lab.figures.training import LossTerms

    assert "net force 0.5" in knobs_in_words(net_force)
    assert changes_in_words(Objective(), net_force) == "net force off → 0.5"
    plot = LossTerms(["PIWSL"], live=False)
    assert isinstance(plot.figure, go.Figure)
    assert "PIWSL: net force of a molecule, (eV/Å)²" in [trace.name for trace in plot.figure.data]
    plot.close()


def test_a_weight_without_a_row_is_refused_with_the_remedy():
    graph = trainer(Objective()).graphs.all()
    with pytest.raises(ValueError, match=r"there is no term 'net_force'; choose one of energy, .*, or add a row"):
        terms_of(Objective(extra={"net_force": 1.0}), build("painn", elements=(1, 8), channels=8), graph)
    with pytest.raises(ValueError, match=r"the weight net_force=-1.0 must be a finite number"):
        Objective(extra={"net_force": -1.0})


def test_the_table_and_the_fields_of_an_objective_are_the_same():
    assert tuple(TERMS) == WEIGHTS
    assert all(term.name == name for name, term in TERMS.items())
    assert {"energy", "force"} == set(WEIGHTS) - {*CONSISTENCY, *DISPLACED_LABELS}
