"""Build notebooks/*.ipynb from notebooks/source/*.py: convert, execute, store outputs without widget state.

    python tools/build_notebooks.py [NAME …] [--check]

The percent scripts are what people edit and review; the notebooks are what they open. `--check` builds nothing and
says which notebooks do not hold the cells of their source.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import jupytext
import nbformat
from nbconvert.preprocessors import ExecutePreprocessor

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = ROOT / "notebooks" / "source", ROOT / "notebooks"
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}


def converted(source: Path) -> nbformat.NotebookNode:
    """The notebook of a percent script, not executed, with cell names that stay the same from build to build."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(KERNEL)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def build(source: Path) -> Path:
    """Convert and execute one script; the notebook is written only if every cell ran."""
    notebook = converted(source)
    runner = ExecutePreprocessor(timeout=300, kernel_name="python3", store_widget_state=False, record_timing=False)
    runner.preprocess(notebook, {"metadata": {"path": str(TARGET)}})
    notebook.metadata = nbformat.from_dict(KERNEL)  # the kernel adds the version of this machine's Python
    target = TARGET / f"{source.stem}.ipynb"
    nbformat.write(notebook, target)
    return target


def stale(source: Path) -> str | None:
    """Why the notebook of a script is not current, or None."""
    target = TARGET / f"{source.stem}.ipynb"
    if not target.exists():
        return f"{target.name} does not exist"
    built, wanted = nbformat.read(target, as_version=4), converted(source)
    if [(c.cell_type, c.source) for c in built.cells] != [(c.cell_type, c.source) for c in wanted.cells]:
        return f"{target.name} does not hold the cells of {source.name}"
    if any(c.cell_type == "code" and c.execution_count is None for c in built.cells):
        return f"{target.name} has cells that were never executed"
    if "widgets" in built.metadata:
        return f"{target.name} stores widget state"
    return None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="for instance 00_quickstart; all by default")
    parser.add_argument("--check", action="store_true", help="say which notebooks are not current, and build none")
    options = parser.parse_args(arguments)
    sources = [SOURCE / f"{n}.py" for n in options.names] or sorted(SOURCE.glob("*.py"))
    reasons = []
    for source in sources:
        if options.check:
            reasons += [reason] if (reason := stale(source)) else []
        else:
            print(build(source).relative_to(ROOT))
    for reason in reasons:
        print(f"{reason}: run `make notebooks`", file=sys.stderr)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
