"""The six lessons in a real JupyterLab: run all, move knobs, look at molecules, type answers into cells.

Used by `test_browser_lessons` for three of them and by the soak for all.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import browser
import nbformat

ROOT = Path(__file__).resolve().parents[2]
LESSONS = (
    "00_quickstart",
    "01_landscapes_and_forces",
    "04_energy_forces_units",
    "05_starving_the_model",
    "06_taylors_promise",
    "07_what_the_loss_teaches",
)
# A wrong answer to every Build, and words of the hint that it must get.
WRONG = {
    "01.force": (
        "def force(r):\n    x = np.exp(-a * (r - r_e))\n    return 2 * a * D * x * (1 - x)",
        "points downhill",
    ),
    "01.slope": ("def slope(energy, r, h):\n    return (energy(r + h) - energy(r)) / h", "one side only"),
    "04.unit_factor": (
        "def unit_factor(energy_changes, work):\n    return (energy_changes @ work) / (work @ work)",
        "lowers the energy",
    ),
    "05.exponent": (
        "def exponent(labels, errors):\n    return np.polyfit(labels, errors, 1)[0]",
        "logarithms on both axes",
    ),
    "05.bootstrap": (
        "def bootstrap(errors, draws):\n    return np.percentile(errors[draws].mean(axis=1), [5, 95])",
        "leave out 10 %",
    ),
    "06.pitc": (
        "def pitc(e0, e1, f0, f1, delta, structure):\n"
        "    work = np.sum((f0 + f1) * delta, axis=1)\n"
        "    return e1 - e0 + np.bincount(structure, weights=work, minlength=len(e0))",
        "the trapezoid takes their mean",
    ),
    "07.bias": ("def bias(hessian, epsilon):\n    return epsilon**2 * np.trace(hessian) / 2", "smaller mean square"),
    "07.softness": (
        "def softness(weight, epsilon, labels):\n    return 1 / (1 + weight * epsilon**2 / (20 * labels))",
        "which power has the square",
    ),
}
# What the plots of a player hold: another text after a knob was moved.
DRAWN = """(cell) => [...cell.querySelectorAll('.js-plotly-plot')]
    .map(plot => JSON.stringify((plot.data ?? []).map(trace => [[...(trace.x ?? [])], [...(trace.y ?? [])]])))
    .join()"""
LARGE = 100  # px: a canvas of this size is a molecule


def tool(name: str):
    """A script of tools/, imported."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def solution(name: str, key: str) -> str:
    """The cell of a lesson that answers a check."""
    solved = tool("build_notebooks").converted(ROOT / "notebooks" / "source" / f"{name}.py", solved=True)
    return next(cell.source for cell in solved.cells if f"build:{key}" in cell.metadata.get("tags", []))


class Lesson:
    """A lesson that is open in a page.

    Parameters
    ----------
    page : of playwright
    name : str
    """

    def __init__(self, page, name: str) -> None:
        self.page, self.name = page, name
        self.cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells

    def run_all(self) -> None:
        browser.run_all(self.page)

    def tagged(self, kind: str) -> dict[str, int]:
        """Keys and places of the cells with a tag "kind:KEY"."""
        found = {}
        for place, cell in enumerate(self.cells):
            for tag in cell.metadata.get("tags", []):
                if tag.startswith(f"{kind}:"):
                    found[tag.removeprefix(f"{kind}:")] = place
        return found

    def cell(self, place: int):
        """A cell, scrolled into view: JupyterLab takes others out of the page."""
        self.page.evaluate(
            """async (place) => {
                const notebook = jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = place;
                await notebook.scrollToItem(place, 'start');
            }""",
            place,
        )
        found = self.page.locator(f".jp-Cell[data-windowed-list-index='{place}']")
        found.wait_for(state="attached", timeout=30_000)
        found.evaluate("element => element.scrollIntoView({block: 'start'})")
        return found

    def run(self, place: int) -> str:
        """Run one cell; returns what it says."""
        cell = self.cell(place)
        browser.command(self.page, "notebook:run-cell")
        return cell.locator(".jp-OutputArea").first.inner_text()

    def type(self, place: int, source: str) -> None:
        """Put code into a cell as hands do."""
        editor = self.cell(place).locator(".cm-content").first
        editor.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(source)
        read = "place => jupyterapp.shell.currentWidget.content.widgets[place].model.sharedModel.getSource()"
        browser.eventually(self.page, lambda: self.page.evaluate(read, place) == source, "the code as it was typed")

    def players(self) -> Iterator[int]:
        """Places of cells that show plots, molecules or both."""
        for place, cell in enumerate(self.cells):
            outputs = cell.get("outputs", [])
            widget = any("application/vnd.jupyter.widget-view+json" in o.get("data", {}) for o in outputs)
            words = " ".join(str(o.get("data", {}).get("text/plain", "")) for o in outputs)
            if widget and ("Player:" in words or words.startswith(("MoleculeView", "Dashboard"))):
                yield place

    def look(self, place: int, seconds: float = 60) -> None:
        """Everything in a cell is there: points in every plot, pixels in every molecule."""
        cell = self.cell(place)

        def complete() -> bool:
            cell.evaluate("element => element.scrollIntoView({block: 'start'})")
            empty = cell.evaluate("""cell => [...cell.querySelectorAll('.piwsl-plot')]
                .filter(e => e.clientHeight > 50).some(e => !(e.querySelector('.js-plotly-plot')?.data ?? [])
                .some(trace => (trace.x?.length ?? 0) > 0))""")
            return not empty and all(self._has_pixels(canvas) for canvas in self.molecules(cell))

        browser.eventually(self.page, complete, f"{self.name}, cell {place}: a plot or a molecule is blank", seconds)

    @staticmethod
    def molecules(cell) -> list:
        """Canvases of molecules in a cell."""
        boxes = [(canvas, canvas.bounding_box()) for canvas in cell.locator("canvas:visible").all()]
        return [canvas for canvas, box in boxes if box and min(box["width"], box["height"]) > LARGE]

    @staticmethod
    def _has_pixels(canvas) -> bool:
        stats = browser.pixel_stats(canvas)
        return stats.foreground > 0.003 * stats.total and stats.colours > 20

    def move_a_knob(self, place: int, seconds: float = 30) -> None:
        """Move the first knob of a player with the keyboard or the mouse: its figure changes."""
        cell = self.cell(place)
        before = cell.evaluate(DRAWN)
        handle = cell.locator(".piwsl-player .noUi-handle:visible").first
        if handle.count():
            handle.focus()
            for _ in range(2):
                handle.press("ArrowRight")
        else:
            cell.locator(".piwsl-player .jupyter-button:visible:not(.mod-active)").first.click()
        train = cell.get_by_role("button", name="Train")
        if train.count():  # weights act when it trains
            train.click()
        browser.eventually(
            self.page, lambda: cell.evaluate(DRAWN) != before,
            f"{self.name}, cell {place}: a knob was moved and its figure did not change", seconds,
        )  # fmt: skip

    def answer(self, key: str) -> None:
        """Two wrong answers are told the mistake; a right one passes."""
        build, check = self.tagged("build")[key], self.tagged("check")[key]
        wrong, hint = WRONG[key]
        preamble = self.cells[build].source.split("def ")[0]
        for attempt in (1, 2):
            self.type(build, f"{preamble}{wrong}  # attempt {attempt}")
            self.run(build)
            said = self.run(check)
        assert hint in said, said
        self.type(build, solution(self.name, key))
        self.run(build)
        said = self.run(check)
        assert f"{key}: passed" in said, said
