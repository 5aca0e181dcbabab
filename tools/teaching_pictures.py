"""Pictures of docs/teaching.md: the players of the lessons 06 and 07 as a class will see them, in a real JupyterLab.

    python tools/teaching_pictures.py

Right answers, two wrong ones to project, and what the text points at. Needs Chromium; writes docs/teaching/*.png.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent))

from build_notebooks import ROOT, executed
from stills import add_stills

TARGET = ROOT / "docs" / "teaching"
LARGEST, ALL = 60_000, 300_000  # bytes of one picture, and of all
# The wrong answers are those that the checks know, so the pictures fit the hints. Along the second random step the work
# keeps its sign: their curves have no dip.
BEGINNING = """
import piwsl_lab
from piwsl_lab.lab.checks import CHECKS
from piwsl_lab.lab.players import AdvicePlayer, SpringPlayer, TaylorPlayer

ethanol = piwsl_lab.load("ethanol")
pitc = CHECKS["06.pitc"].reference
wrong = {mistake.name: mistake.function for mistake in CHECKS["06.pitc"].mistakes}
BOTH = "the mean of both forces"
"""
PICTURES = {
    "06_right": "TaylorPlayer(ethanol[0], pitc, rule=BOTH)",
    "06_missing_half": 'TaylorPlayer(ethanol[0], wrong["half"], "random step 2", BOTH)',
    "06_wrong_sign": 'TaylorPlayer(ethanol[0], wrong["sign"], "random step 2", BOTH)',
    "06_hunt": 'TaylorPlayer(ethanol[100], direction="the softest direction", epsilon=0.05)',
    "07_first_force": "SpringPlayer(epsilon=0.2)",
    "07_mean_of_both": """
player = SpringPlayer(epsilon=0.2)
player.knobs["order"].value = "mean of both forces"
player""",
    "07_twins_energy": "AdvicePlayer()",
    "07_twins_force": """
twins = AdvicePlayer()
twins.knobs["quantity"].value = "force error"
twins""",
}


def pictures() -> dict[str, bytes]:
    """Every picture by its name, as PNG.

    Raises
    ------
    ValueError
        One is too large for a page that is read over a slow line, or all are together.
    """
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell.strip()) for cell in (BEGINNING, *PICTURES.values())]
    with tempfile.TemporaryDirectory(prefix="piwsl-lab-teaching-") as folder:
        notebook = executed(notebook, Path(folder))
    add_stills(notebook)
    found = {}
    for name, cell in zip(PICTURES, notebook.cells[1:], strict=True):
        (text,) = [o.data["image/png"] for o in cell.outputs if "image/png" in o.get("data", {})]
        found[name] = base64.b64decode(text)
        if len(found[name]) > LARGEST:
            raise ValueError(f"{name}.png has {len(found[name])} bytes, {LARGEST} are the most: show less of it")
    if (size := sum(map(len, found.values()))) > ALL:
        raise ValueError(f"the pictures have {size} bytes together, {ALL} are the most: leave one out")
    return found


def main() -> int:
    """Take all pictures; they are written only if each of them came out."""
    found = pictures()
    TARGET.mkdir(parents=True, exist_ok=True)
    for name, picture in found.items():
        target = TARGET / f"{name}.png"
        target.write_bytes(picture)
        print(f"{target.relative_to(ROOT)}: {len(picture)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
