"""Build notebooks/*.ipynb from notebooks/source/*.py: blanks in place of solutions, executed, with still pictures.

    python tools/build_notebooks.py [NAME …] [--check] [--solved FOLDER] [--assignment FOLDER] [--no-stills]

The percent scripts are what people edit and review; the notebooks are what they open. A script holds the solved
lesson. Tags of its cells say what becomes of them:

* ``build:KEY``   a learner writes here: what stands between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` is cut out;
* ``check:KEY``   judges it: the solution follows, folded away, as text that is never run;
* ``plumbing``    needed, and nothing to read: folded away in JupyterLab and on Colab;
* ``reveal``      its stored output is folded until it runs: nobody shall see it before a prediction was committed.

`--check` builds nothing and says which notebooks do not hold the cells of their source. `--solved` writes the solved
notebooks into a folder, executed. `--assignment` writes them with nbgrader's marks around the solutions, for
``nbgrader generate_assignment``. Still pictures of everything that moves in a lesson need Chromium.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

import jupytext
import nbformat
from nbconvert.preprocessors import ExecutePreprocessor

from piwsl_lab.lab.checks import CHECKS

ROOT = Path(__file__).resolve().parent.parent
SOURCE, TARGET = ROOT / "notebooks" / "source", ROOT / "notebooks"
KERNEL = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_SOLUTION = re.compile(rf"^([ \t]*){BEGIN}\n(.*?)^[ \t]*{END}$", re.DOTALL | re.MULTILINE)


def converted(source: Path, solved: bool = False, marks: bool = False) -> nbformat.NotebookNode:
    """The notebook of a percent script, not executed, with cell names that stay the same from build to build.

    Parameters
    ----------
    source : Path
    solved : bool, optional
        Keep the solutions where they are.
    marks : bool, optional
        And the marks around them, which are nbgrader's.

    Raises
    ------
    ValueError
        A cell to be written has no solution in it, or a check stands before what it checks.
    """
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(KERNEL)
    cells: list[nbformat.NotebookNode] = []
    solutions: dict[str, str] = {}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        cells.append(cell)
        if key := _tagged(tags, "build"):
            written = cell.source
            cell.source, solutions[key] = _parted(written, source, solved)
            cell.source = written if marks else cell.source
        elif (key := _tagged(tags, "check")) and not solved:
            if key not in solutions:
                raise ValueError(f"{source.name}: {key} is checked before it is built")
            cells.append(nbformat.v4.new_markdown_cell(_folded(key, solutions[key])))
        cell.metadata = nbformat.from_dict(_metadata(tags))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:02d}"
    notebook.cells = cells
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def _tagged(tags: list[str], kind: str) -> str:
    """The key of the first tag of a kind: "06.pitc" of "build:06.pitc"; empty without one."""
    return next((tag.removeprefix(f"{kind}:") for tag in tags if tag.startswith(f"{kind}:")), "")


def _parted(text: str, source: Path, solved: bool) -> tuple[str, str]:
    """A cell as it is shipped, and the cell with its solution."""
    if not _SOLUTION.search(text):
        raise ValueError(f"{source.name}: a cell to be built has no {BEGIN} … {END}:\n{text}")
    whole = _SOLUTION.sub(lambda found: found[2].rstrip("\n"), text)
    blank = _SOLUTION.sub(lambda found: f"{found[1]}...  # {_lines(found[2])}", text)
    return (whole if solved else blank), whole


def _lines(solution: str) -> str:
    count = sum(bool(line.strip()) for line in solution.splitlines())
    return "one line" if count == 1 else f"about {count} lines"


def _folded(key: str, solution: str) -> str:
    return f"<details><summary>Solution of {key}</summary>\n\n```python\n{solution}\n```\n\n</details>"


def _metadata(tags: list[str]) -> dict:
    """Metadata of JupyterLab and Colab that follow from the tags of a cell."""
    if not tags:
        return {}
    found: dict = {"tags": tags}
    if "plumbing" in tags:
        found |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    if "reveal" in tags:
        found |= {"jupyter": {"outputs_hidden": True}, "collapsed": True}
    for kind in ("build", "check"):
        if key := _tagged(tags, kind):
            found["nbgrader"] = _graded(key, kind == "check")
    return found


def _graded(key: str, judges: bool) -> dict:
    """What nbgrader 0.9 must know of a cell (schema 3): a learner's is open, a check is locked and has points."""
    name = f"{key.replace('.', '-')}-{'check' if judges else 'answer'}"  # nbgrader takes no dots
    points = {"points": CHECKS[key].points} if judges else {}
    marks = {"grade": judges, "solution": not judges, "locked": judges, "task": False}
    return {"schema_version": 3, "grade_id": name, **marks, **points}


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs; it runs in this folder, and no answer of whoever builds it gets in."""
    os.environ["PIWSL_LAB_PROGRESS"] = "off"  # its kernel inherits it
    runner = ExecutePreprocessor(timeout=300, kernel_name="python3", store_widget_state=False, record_timing=False)
    runner.preprocess(notebook, {"metadata": {"path": str(folder)}})
    notebook.metadata = nbformat.from_dict(KERNEL)  # the kernel adds the version of this machine's Python
    return notebook


def build(source: Path, stills: bool = True) -> Path:
    """Convert and execute one script; the notebook is written only if every cell ran."""
    notebook = executed(converted(source), TARGET)
    target = TARGET / f"{source.stem}.ipynb"
    if stills and "piwsl_lab.lab.lesson" in source.read_text(encoding="utf-8"):
        from stills import add_stills

        add_stills(notebook)
    nbformat.write(notebook, target)
    return target


def solve(source: Path, folder: Path) -> Path:
    """Write the solved notebook of one script into a folder, executed there."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.stem}.ipynb"
    nbformat.write(executed(converted(source, solved=True), folder), target)
    return target


def assign(source: Path, folder: Path) -> Path:
    """Write the source of an nbgrader assignment into a folder: solved, with marks, not executed."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{source.stem}.ipynb"
    nbformat.write(converted(source, solved=True, marks=True), target)
    return target


def stale(source: Path) -> str | None:
    """Why the notebook of a script is not current, or None."""
    target = TARGET / f"{source.stem}.ipynb"
    if not target.exists():
        return f"{target.name} does not exist"
    built, wanted = nbformat.read(target, as_version=4), converted(source)
    if [(c.cell_type, c.source, c.metadata) for c in built.cells] != [
        (c.cell_type, c.source, c.metadata) for c in wanted.cells
    ]:
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
    parser.add_argument("--solved", type=Path, metavar="FOLDER", help="write the solved notebooks there instead")
    parser.add_argument("--assignment", type=Path, metavar="FOLDER", help="write nbgrader's sources there instead")
    parser.add_argument("--no-stills", action="store_true", help="without pictures, where there is no Chromium")
    options = parser.parse_args(arguments)
    sources = [SOURCE / f"{n}.py" for n in options.names] or sorted(SOURCE.glob("*.py"))
    reasons = []
    for source in sources:
        if options.check:
            reasons += [reason] if (reason := stale(source)) else []
        elif options.solved:
            print(solve(source, options.solved))
        elif options.assignment:
            print(assign(source, options.assignment))
        else:
            print(build(source, not options.no_stills).relative_to(ROOT))
    for reason in reasons:
        print(f"{reason}: run `make notebooks`", file=sys.stderr)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
