"""The stored notebooks are those of their sources, and `pytest --nbval` has something to compare."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import nbformat
import pytest

from piwsl_lab.lab.parts.colours import COLOURS, CONSERVATIVE, DIRECT, DIRECT_PITC, DUAL, REFERENCE, name_colours

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
EVERY = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def tool(name: str):
    """A script of tools/, imported."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


build_notebooks, margins = tool("build_notebooks"), tool("margins")


def code_cells(source: Path) -> list[nbformat.NotebookNode]:
    notebook = nbformat.read(ROOT / "notebooks" / f"{source.stem}.ipynb", as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_is_a_source_for_every_notebook():
    assert [p.stem for p in SOURCES] == sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
    assert "00_quickstart" in [p.stem for p in SOURCES]


@EVERY
def test_notebook_is_current(source):
    assert build_notebooks.stale(source) is None, "run `make notebooks`"


@EVERY
def test_at_least_half_of_the_code_cells_have_an_output_that_nbval_compares(source):
    cells = code_cells(source)
    compared = [c for c in cells if c.outputs and "nbval-ignore-output" not in c.metadata.get("tags", [])]
    assert len(compared) >= len(cells) / 2


@EVERY
def test_no_error_and_no_warning_is_stored(source):
    for cell in code_cells(source):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


def test_a_changed_source_is_noticed(tmp_path, monkeypatch):
    """The check itself can fail: one changed character is enough."""
    source = SOURCES[0]
    changed = tmp_path / source.name
    changed.write_text(source.read_text(encoding="utf-8").replace("energy", "enargy", 1), encoding="utf-8")
    assert "does not hold the cells" in build_notebooks.stale(changed)
    monkeypatch.setattr(build_notebooks, "TARGET", tmp_path)
    assert "does not exist" in build_notebooks.stale(source)


SCRIPT = """
error, limit, frames = 0.095, 0.1, 500
print(error < limit, frames > 400, 0.0 <= error < 5.0 * limit, error == limit)
print(f"{1000 * error:.0f} meV, {error:.2f} eV, {frames:.0f} frames, {error:{'.1f'}}")
if not (limit > error):
    raise ValueError
"""


def test_margins_are_those_of_every_comparison_and_every_rounded_number(tmp_path, capsys):
    source = tmp_path / "script.py"
    source.write_text(SCRIPT, encoding="utf-8")
    checks = margins.run(source)
    assert capsys.readouterr().out.startswith("True True True False\n95 meV, 0.10 eV, 500 frames, 0.1")
    found = [(check.line, check.what, round(check.share, 2)) for check in checks]
    assert found == [
        (3, "error < limit", 0.95),
        (3, "0.0 <= error < 5.0 * limit", 0.0),
        (3, "0.0 <= error < 5.0 * limit", 0.19),
        (4, "1000 * error:.0f", 0.0),
        (4, "error:.2f", 1.0),
        (5, "limit > error", 0.95),
    ]


MACHINE = """
import os
plain = os.environ.get("ATEN_CPU_CAPABILITY") == "default"
error = 0.05 if plain else {here}
print(0.0994 < 0.1, error < 0.1)
"""


@pytest.mark.parametrize(
    ("here", "status", "words"),
    [
        (0.0994, 1, "2 checks, 1 of them depend on the machine, 1 of these within a tenth of their limits"),
        (0.06, 0, "2 checks, 1 of them depend on the machine, 0 of these"),
        (0.05, 0, "2 checks, 0 of them depend on the machine"),
        (0.2, 1, "printed here:  True False"),
    ],
)
def test_margins_names_checks_that_are_close_and_depend_on_the_machine(
    tmp_path, monkeypatch, capsys, here, status, words
):
    monkeypatch.setattr(margins, "SOURCE", tmp_path)
    (tmp_path / "script.py").write_text(MACHINE.format(here=here), encoding="utf-8")
    assert margins.main(["script"]) == status
    assert words in capsys.readouterr().out


def test_session_and_view_stand_in_two_cells_and_the_laboratory_comes_before_any_training():
    """Making a view anew must not train anew, and Run All must reach the dashboard within seconds."""
    for source in SOURCES:
        for cell in code_cells(source):
            makes = re.findall(r"\b(Dashboard|FlightDeck|Session|FlightSession)\(", cell.source)
            assert len(makes) <= 1, cell.source
    cells = [cell.source for cell in code_cells(ROOT / "notebooks" / "source" / "00_quickstart.py")]
    (dashboard,) = [k for k, source in enumerate(cells) if re.search(r"\bDashboard\(", source)]
    assert cells[dashboard].strip() == "Dashboard(session)"
    assert not any(re.search(r"\b(compare|build_trainer|fit)\(", source) for source in cells)


@EVERY
def test_no_colour_is_written_in_a_notebook(source):
    """Colours of potentials come from one table."""
    assert not re.findall(r"[\"']#[0-9A-Fa-f]{3,8}[\"']", source.read_text(encoding="utf-8"))


def lines_in(source: Path) -> list[tuple[str, str]]:
    """Names and colours of the lines of all stored figures of a notebook; a panel's title names a nameless line."""
    found = []
    for cell in code_cells(source):
        for output in cell.outputs:
            figure = output.get("data", {}).get("application/vnd.plotly.v1+json", {"data": [], "layout": {}})
            titles = [note["text"] for note in figure["layout"].get("annotations", [])]
            for trace in figure["data"]:
                panel = titles[int(trace["xaxis"].removeprefix("x") or 1) - 1] if len(titles) > 1 else ""
                if colour := trace.get("line", {}).get("color"):
                    found.append((trace.get("name") or panel, colour))
    return found


def test_a_potential_has_one_colour_in_all_figures_of_notebook_09():
    wanted = {
        "direct + PITC": COLOURS[DIRECT_PITC],
        "direct, PITC": COLOURS[DIRECT_PITC],
        "direct": COLOURS[DIRECT],
        "conservative": COLOURS[CONSERVATIVE],
        "dual": COLOURS[DUAL],
        "GFN2-xTB": COLOURS[REFERENCE],
    }
    seen = set()
    for name, colour in lines_in(ROOT / "notebooks" / "source" / "09_does_it_fly.py"):
        potential = next((start for start in wanted if name.startswith(start)), None)
        if potential:  # the panel of spectra is of no potential
            assert colour == wanted[potential], name
            seen.add(potential)
    assert seen == wanted.keys()
    assert name_colours(["direct", "direct + PITC", "GFN2-xTB"]).items() <= wanted.items()  # the deck's
