"""Numbers for the screen are converted in one module: eV → meV, fs → ps."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import piwsl_lab.lab
from piwsl_lab.lab.parts import units

LAB = Path(piwsl_lab.lab.__file__).parent
# Sessions show nothing; checks and lessons ask for units, and toys of them are their subject.
ROOMS = ("figures", "molecule", "panels", "parts", "players")


def conversions(source: str) -> list[int]:
    """Lines that multiply or divide by a thousand."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div)
        for side in (node.left, node.right)
        if isinstance(side, ast.Constant) and side.value in (1000, 0.001)
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_no_other_module_converts(room):
    paths = [path for path in sorted((LAB / room).glob("*.py")) if path.name != "units.py"]
    assert {path.name: lines for path in paths if (lines := conversions(path.read_text(encoding="utf-8")))} == {}


def test_the_check_above_can_fail():
    assert conversions("x = 1000.0 * y\nz = y / 1e3") == [1, 2]


def test_energies_forces_and_times():
    assert units.mev(0.0042) == pytest.approx(4.2)
    assert np.allclose(units.mev(np.array([0.1, -0.2])), [100.0, -200.0])
    assert units.ps(250.0) == 0.25
    assert units.fs(units.ps(0.7)) == pytest.approx(0.7)
