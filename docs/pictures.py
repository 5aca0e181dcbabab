"""What the site shows of a notebook's stored outputs: still pictures, and plots that move without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import plotly
from plotly.io import to_html

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WIDGET, PLOT = "application/vnd.jupyter.widget-view+json", "application/vnd.plotly.v1+json"
# The page of a notebook lies one folder below the root of the site.
LIBRARY = "../_static/plotly.min.js"
NO_PICTURE = "<p><em>A widget: it appears when the notebook runs.</em></p>"


def read(text: str) -> nbformat.NotebookNode:
    """The notebook, its plots as HTML and its widgets as their pictures."""
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        _fold(cell)
        for output in cell.get("outputs", []):
            if "data" in output:
                output["data"] = shown(output["data"])
    return notebook


def shown(data: dict[str, Any]) -> dict[str, Any]:
    """What a page can show of one output."""
    if PLOT in data:
        figure = {key: value for key, value in data[PLOT].items() if key in ("data", "layout", "frames")}
        plot = to_html(
            json.loads(json.dumps(figure)), include_plotlyjs=LIBRARY, full_html=False, validate=False,
            config={"displaylogo": False, "responsive": True},
        )  # fmt: skip
        return {"text/html": plot}
    if WIDGET not in data:
        return data
    pictures = {kind: content for kind, content in data.items() if kind.startswith("image/")}
    return pictures or {"text/html": NO_PICTURE}


def _fold(cell: nbformat.NotebookNode) -> None:
    """Fold on the page what JupyterLab folds: plumbing, and measurements before a prediction."""
    folded = cell.metadata.get("jupyter", {})
    tags = [tag for key, tag in (("source_hidden", "hide-input"), ("outputs_hidden", "hide-output")) if folded.get(key)]
    if tags:
        cell.metadata["tags"] = [*cell.metadata.get("tags", []), *tags]


def _lay_library(app: Sphinx, problem: Exception | None) -> None:
    """Copy plotly.js, which every plot loads, from the Python package."""
    if problem is None and app.builder.format == "html":
        source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
        shutil.copy(source, Path(app.outdir) / "_static" / source.name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("build-finished", _lay_library)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
