"""Every term of many objectives has the value that is stored in `stored_terms.json`, and draws as many numbers.

The file was written before the terms became a table. `python tests/piwsl/test_stored_terms.py` writes it anew, which
is right only where a change of the numbers is meant: `RECIPE` of `piwsl_lab.study` then goes up as well.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
import torch
from frames import dataset, labelled, rattled

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.soft_modes import SoftModes
from piwsl_lab.piwsl.terms import terms_of

STORED = Path(__file__).with_name("stored_terms.json")
ALL = {"energy": 10.0, "force": 100.0, "pitc": 2.0, "pisc": 3.0, "gradient": 5.0, "curl": 0.7, "weak": 4.0}
ALL |= {"noisy": 0.3, "denoise": 1.5}
OFF = dict.fromkeys(ALL, 0.0)
CASES: dict[str, dict[str, object]] = {
    **{name: {**OFF, "energy": 1.0, name: 1.0} for name in ALL},
    **{f"order {order}": {"pitc": 1.0, "pisc": 1.0, "order": order} for order in (1, 2, "symmetric")},
    **{
        f"form {form}": {"pisc": 1.0, "pisc_form": form}
        for form in ("same_point", "extrapolations", "reverse", "all", "two_point")
    },
    **{f"teacher {one}": {"gradient": 1.0, "teacher": one} for one in ("both", "direct", "conservative")},
    **{
        f"direction {one}": {"pitc": 1.0, "pisc": 1.0, "weak": 1.0, "direction": one}
        for one in ("uniform", "fixed_length", "local", "covariance", "adversarial")
    },
    "pool": {**ALL, "centres": "pool"},
    "pool, one rival": {"pitc": 1.0, "noisy": 1.0, "centres": "pool"},
    "pool, adversarial": {"pitc": 1.0, "pisc": 1.0, "direction": "adversarial", "centres": "pool"},
    "per atom": {**ALL, "per_atom": True},
    "relative": {**ALL, "relative": True, "epsilon": 0.03},
    "no drift": {**ALL, "remove_drift": True},
    "everything": {**ALL, "order": "symmetric", "pisc_form": "all", "relative": True, "remove_drift": True},
}


def found(head: str, case: str) -> dict[str, object]:
    """Values of the terms, and the state of the random numbers afterwards."""
    options = dict(CASES[case])
    if head == "conservative":
        options["gradient"] = 0.0
    torch.manual_seed(3)
    potential = build("painn", channels=8, layers=2, radial=6, head=head, denoise=True).double()
    whole = [*labelled("H2O", 2), *labelled("CH4", 1, seed=2), *labelled("H2O", 2, seed=3)]
    alike = options.get("direction") == "covariance"
    if alike:
        whole = list(labelled("CH3OH", 5))
    keep = [("energy", "forces"), ("energy", "forces"), ("energy",), ("forces",), ()]
    frames = [
        dataclasses.replace(f, **{label: None for label in ("energy", "forces") if label not in kept})
        for f, kept in zip(whole, keep, strict=True)
    ]
    graphs = GraphSet.build(dataset(*frames), 5.0, dtype=torch.float64)
    pool = GraphSet.build(dataset(rattled("C2H4", seed=7), rattled("H2O", seed=8)), 5.0, dtype=torch.float64).all()
    modes = SoftModes.from_graphs(graphs) if alike else None
    generator = torch.Generator().manual_seed(11)
    terms = terms_of(Objective(**options), potential, graphs.all(), generator, pool, modes)
    state = hashlib.sha256(generator.get_state().numpy().tobytes()).hexdigest()
    return {"terms": {name: value.item() for name, value in terms.items()}, "random": state}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("head", ["conservative", "direct", "dual"])
def test_a_term_has_the_value_that_is_stored(head, case):
    stored, now = json.loads(STORED.read_text())[head][case], found(head, case)
    assert list(now["terms"]) == list(stored["terms"])  # their order is that of the sum
    assert now["random"] == stored["random"]
    # Another processor rounds sums another way; a wrong term is off by far more.
    assert now["terms"] == pytest.approx(stored["terms"], rel=1e-9, abs=1e-18)


if __name__ == "__main__":
    table = {head: {case: found(head, case) for case in CASES} for head in ("conservative", "direct", "dual")}
    STORED.write_text(json.dumps(table, indent=1) + "\n")
