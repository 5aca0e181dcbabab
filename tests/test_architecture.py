"""Choices flow down, results flow up: an import of this package points down the house's picture, never up.

Read from the syntax tree of every module, so that an import inside a function counts too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "piwsl_lab"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "notebooks" not in path.parts)
WIDGET_LIBRARIES = {"ipywidgets", "plotly", "nglview", "anywidget", "IPython", "ipykernel", "google"}

# The picture, from the ground up. A module may import from its own layer and from those before it.
LAYERS = (
    ("support", "toys"),
    ("data",),
    ("neighbours", "graph", "memory", "batches", "device"),
    ("models",),
    ("displacements", "soft_modes", "losses", "terms", "objective", "schedules"),
    (
        "metrics",
        "best_step",
        "attempt",
        "training",
        "checkpoint_file",
        "checkpoint",
        "progress",
        "runs",
        "study",
        "comparison",
        "dynamics",
        "selection",
        "softening",
    ),
    ("grid",),
    ("launch", "doctor", "cli", "cli_check", "cli_train", "cli_study", "cli_fly", "cli_course"),
    ("lab",),
)
# The shell looks after the patches of other libraries, and reads what learners answered; both lie in the front room.
DOORS = {"doctor": "piwsl_lab.lab.quirks", "cli_course": "piwsl_lab.lab.checks"}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(source: str, module: str, is_package: bool = False) -> list[str]:
    """Full names of all that a module imports; "from a import b" gives both a and a.b."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".") if is_package else module.split(".")[:-1]
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, base]).rstrip(".")
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found


def layer(name: str) -> str | None:
    """First part below the package: "piwsl_lab.data.formats.io" → "data"."""
    parts = name.split(".")
    return parts[1] if parts[0] == "piwsl_lab" and len(parts) > 1 else None


def upward(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of a module that point up."""
    own, door = LEVEL[layer(module)], DOORS.get(layer(module), "")
    found = imports(source, module, is_package)
    if any(name.startswith(door) for name in found) and door:
        found = [name for name in found if not f"{name}.".startswith(f"{door}.") and name != door.rpartition(".")[0]]
    return [name for name in found if LEVEL.get(layer(name), -1) > own]


def ids(path: Path) -> str:
    return dotted(path)


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_has_its_place_in_the_picture(path):
    name = layer(dotted(path))
    assert name is None or name in LEVEL, f"{path} is in no layer: give it a line in LAYERS, after reading house.md"


@pytest.mark.parametrize("path", [path for path in MODULES if layer(dotted(path))], ids=ids)
def test_imports_point_down(path):
    assert upward(path.read_text(), dotted(path), path.name == "__init__.py") == []


@pytest.mark.parametrize("path", [path for path in MODULES if layer(dotted(path)) != "lab"], ids=ids)
def test_no_widget_outside_the_front_room(path):
    roots = {name.split(".")[0] for name in imports(path.read_text(), dotted(path))}
    assert roots & WIDGET_LIBRARIES == set()


def test_losses_know_nothing_of_training_and_training_nothing_of_the_command_line():
    for name, forbidden in (("losses", {"training", "metrics", "study"}), ("training", {"study", "cli"})):
        source = (PACKAGE / f"{name}.py").read_text()
        assert {layer(found) for found in imports(source, f"piwsl_lab.{name}")} & forbidden == set()


def test_no_circle():
    """Depth-first search over the modules' imports, those for type checkers left out."""
    names = {dotted(path): path for path in MODULES}
    graph = {name: sorted(_runtime_imports(path) & set(names) - {name}) for name, path in names.items()}
    state: dict[str, str] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != "open", f"circle: {' -> '.join([*trail, name])}"
        if state.get(name) == "closed":
            return
        state[name] = "open"
        for child in graph[name]:
            visit(child, (*trail, name))
        state[name] = "closed"

    for name in graph:
        visit(name, ())


def _runtime_imports(path: Path) -> set[str]:
    """Imports at the top of a module; a package is left out where one of its modules is named."""
    tree = ast.parse(path.read_text())
    top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
    found = imports(ast.unparse(top), dotted(path), path.name == "__init__.py")
    return {name for name in found if name != "piwsl_lab"}


def test_the_checks_above_can_fail():
    assert upward("from piwsl_lab.training import fit", "piwsl_lab.piwsl.residuals") == [
        "piwsl_lab.training",
        "piwsl_lab.training.trainer.fit",
    ]
    assert upward("from .. import study", "piwsl_lab.data.formats.io") == ["piwsl_lab.study"]
    assert upward("def f():\n    import piwsl_lab.lab.panels.dashboard", "piwsl_lab.study") == [
        "piwsl_lab.lab.panels.dashboard"
    ]
    assert upward("from piwsl_lab.atoms.graph import AtomGraph", "piwsl_lab.piwsl.residuals") == []


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_the_package_alone_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'ase', 'ipywidgets', 'plotly', 'nglview'}"
    code = f"import sys, piwsl_lab.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_there():
    import piwsl_lab

    for name in piwsl_lab.__all__:
        assert getattr(piwsl_lab, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = piwsl_lab.no_such_name


def test_no_file_in_git_is_over_a_megabyte():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    large = {path.name: path.stat().st_size for path in files if path.is_file() and path.stat().st_size > 1e6}
    assert large == {}
