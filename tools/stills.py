"""Still pictures of what moves: every widget and figure of a notebook as a PNG beside it, taken in a real JupyterLab.

A page that runs no code (GitHub, a printed lesson, a browser without JavaScript) then shows what a reader would see.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "helpers"))

from browser import browser_page, eventually, jupyter_lab, open_notebook, run_all

WIDGET, PLOTLY = "application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"
WIDTH, HEIGHT = 1280, 900  # of the window; an output is about 1000 px wide
COLOURS = 128  # of a picture: flat colours and letters need no more
SETTLE = 2500  # ms, for curves and molecules to appear


SAID = ("explain(", "progress(")  # their words say all that a picture would show, and those of a reveal say more


def moving(cell: nbformat.NotebookNode) -> bool:
    """Whether a cell has an output that a page without code leaves blank."""
    if "reveal" in cell.metadata.get("tags", []) or cell.source.startswith(SAID):
        return False
    outputs = cell.get("outputs", []) if cell.cell_type == "code" else []
    return any({WIDGET, PLOTLY} & set(output.get("data", {})) for output in outputs)


def add_stills(notebook: nbformat.NotebookNode) -> None:
    """Put a picture beside every output of an executed notebook that moves."""
    places = [k for k, cell in enumerate(notebook.cells) if moving(cell)]
    if not places:
        return
    with tempfile.TemporaryDirectory(prefix="piwsl-lab-stills-") as folder:
        nbformat.write(notebook, Path(folder, "lesson.ipynb"))
        with jupyter_lab(folder) as server, browser_page(WIDTH, HEIGHT) as page:
            open_notebook(page, server, "lesson.ipynb", 120)
            page.evaluate("""() => jupyterapp.shell.leftCollapsed
                || jupyterapp.commands.execute('application:toggle-left-area')""")
            run_all(page)
            for place in places:
                picture = _picture(page, place)
                for output in notebook.cells[place].outputs:
                    if {WIDGET, PLOTLY} & set(output.get("data", {})):
                        output.data["image/png"] = picture
                        picture = ""
                        break


def _picture(page, place: int) -> str:
    """The output of a cell as a small PNG, base64."""
    page.evaluate(
        """async (place) => {
            const notebook = jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = place;
            await notebook.scrollToItem(place, 'start');
        }""",
        place,
    )
    output = page.locator(f".jp-Cell[data-windowed-list-index='{place}'] .jp-OutputArea-output").first
    output.wait_for(state="visible", timeout=60_000)
    output.evaluate("element => element.scrollIntoView({block: 'start'})")
    eventually(page, lambda: output.bounding_box()["height"] > 40, f"the output of cell {place} is flat", 60)
    page.wait_for_timeout(SETTLE)
    return shrunk(output.screenshot())


def shrunk(png: bytes) -> str:
    """A screenshot with few colours, as base64 text."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, "PNG", optimize=True)
    return base64.b64encode(small.getvalue()).decode("ascii")
