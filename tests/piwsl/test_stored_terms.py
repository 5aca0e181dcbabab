"""Every term of many objectives has the value that is stored in `stored_terms.json`, and draws as many numbers.

The file was written before the terms became a table. `python tests/piwsl/test_stored_terms.py` writes it anew, which
is right only where a change of the numbers is meant: `RECIPE` of `piwsl_lab.study` then goes up as well.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from steps import CASES, question

STORED = Path(__file__).with_name("stored_terms.json")


def found(head: str, case: str) -> dict[str, object]:
    """Values of the terms, and the state of the random numbers afterwards."""
    asked = question(head, case)
    terms = asked.terms()
    state = hashlib.sha256(asked.generator.get_state().numpy().tobytes()).hexdigest()
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
