"""Every term, order, form, direction and schedule learns on a device that is not the CPU what it learns on the CPU."""

from __future__ import annotations

import pytest
import torch
from other_device import ELSEWHERE, MixedDevices, numbers, other_device
from steps import CASES, OFF, question, step

from piwsl_lab.names import CENTRES, DIRECTIONS, ORDERS, PISC_FORMS, SCHEDULE_KINDS
from piwsl_lab.piwsl.displacements import Displacer
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.residuals import gradient_consistency
from piwsl_lab.piwsl.schedules import Schedule
from piwsl_lab.piwsl.terms import DRAWN, FORCES, TERMS, Term

NO_GRADIENT = [("conservative", case) for case in ("gradient", *(case for case in CASES if case.startswith("teacher")))]


def test_the_cases_hold_everything_that_can_be_chosen():
    choices = {"order": ORDERS, "pisc_form": PISC_FORMS, "direction": DIRECTIONS, "centres": CENTRES}
    for field, words in choices.items():
        assert {case.get(field, getattr(Objective(), field)) for case in CASES.values()} == set(words)
    for flag in ("per_atom", "relative", "remove_drift"):
        assert any(case.get(flag) for case in CASES.values())
    assert set(TERMS) == {name for case in CASES.values() for name, weight in case.items() if name in OFF and weight}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("head", ["conservative", "direct", "dual"])
def test_a_step_elsewhere_is_the_step_here(head, case):
    here, drawn = numbers(step(asked := question(head, case))), asked.generator.get_state()
    with other_device() as device:
        there = step(asked := question(head, case, device))
        assert all(value.device == ELSEWHERE for value in [*there[0].values(), there[1], *there[2]])
        there = numbers(there)
    assert list(here[0]) == list(there[0])
    assert [value.item() for value in here[0].values()] == [value.item() for value in there[0].values()]
    assert here[1] == there[1]
    assert all(map(torch.equal, here[2], there[2]))
    assert torch.equal(drawn, asked.generator.get_state())


@pytest.mark.parametrize("kind", SCHEDULE_KINDS)
def test_schedules_are_followed_elsewhere(kind):
    schedules = {
        "pitc": Schedule(kind, 0.5, 2.0, 4),
        "epsilon": Schedule(kind, 0.01, 0.05, 4),
        "order": lambda at: 1 if at < 2 else 2,
    }
    found = []
    for at in (0, 3):
        objective = Objective(pitc=1.0, pisc=1.0, schedules=schedules).at(at)
        here = step(question("dual", "pool")._replace(objective=objective))
        with other_device() as device:
            there = numbers(step(question("dual", "pool", device)._replace(objective=objective)))
        assert all(map(torch.equal, here[2], there[2]))
        found.append(there[0]["pitc"].item())
    assert found[0] != found[1]


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("relative", [False, True])
def test_displacements_are_the_same_on_every_device(direction, relative):
    drawn = []
    for there in (False, True):
        options = {"epsilon": 0.05, "relative": relative, "remove_drift": True}
        if not there:
            asked = question("dual", "direction covariance")
            by = Displacer(direction, modes=asked.modes, **options)
            drawn.append((by.draw(asked.graph, asked.generator, asked.potential), by.longest(asked.graph)))
            continue
        with other_device() as device:
            asked = question("dual", "direction covariance", device)
            by = Displacer(direction, modes=asked.modes, **options)
            moved = by.draw(asked.graph, asked.generator, asked.potential)
            assert moved.device == ELSEWHERE
            drawn.append((numbers(moved), by.longest(asked.graph)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert drawn[0][1] == drawn[1][1]
    assert drawn[0][0].norm(dim=1).max() > 0


# -- whether all of this could fail ------------------------------------------------------------------------------------

CARELESS = {
    "forces weighed by axis": (FORCES, lambda places: (places.known["C"].forces * torch.ones(3)).square().mean()),
    "a target of zeros": (
        FORCES,
        lambda places: (places.known["C"].forces.mean(0) - torch.zeros(3)).square().sum(),
    ),
    "a sum of its own": (
        FORCES,
        lambda places: (
            torch.zeros(places.graph.n_structures)
            .double()
            .index_add(0, places.graph.structure, places.known["C"].forces[:, 0])
            .square()
            .mean()
        ),
    ),
    "probes drawn there": (
        FORCES,
        lambda places: (places.known["C"].forces * torch.randn_like(places.known["C"].forces)).square().mean(),
    ),
    "probes left here": (
        FORCES,
        lambda places: (places.known["C"].forces * torch.randn(places.known["C"].forces.shape)).square().mean(),
    ),
    "values of two devices together": (
        DRAWN,
        lambda places: torch.stack([torch.zeros(()).double(), places.displacements["C"].square().mean()]).mean(),
    ),
}


@pytest.mark.parametrize("name", CARELESS)
def test_a_careless_term_is_found_out(name, monkeypatch):
    level, value = CARELESS[name]
    term = Term("careless", "careless", "careless", "eV²", "1/eV²", needs=lambda places: {"C": level}, value=value)
    monkeypatch.setitem(TERMS, "careless", term)
    objective = Objective(extra={"careless": 1.0})
    step(question("dual", "energy")._replace(objective=objective))  # nothing is wrong here
    with other_device() as device, pytest.raises(MixedDevices, match=r"CPU"):
        step(question("dual", "energy", device)._replace(objective=objective))


def test_a_head_that_was_left_behind_is_found_out():
    with other_device() as device:
        known = question("dual", "gradient", device)
        answer = known.potential(known.graph, forces="both")
        with pytest.raises(MixedDevices, match="on the CPU"):
            gradient_consistency(answer._replace(direct=numbers(answer.direct)))
