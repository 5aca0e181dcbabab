"""The house as `docs/architecture.md` draws it: rooms, what each may import, how large its modules are.

Read from the syntax tree of every module, so that an import inside a function or for type checkers counts too.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "piwsl_lab"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What a room may import, and with it everything under that. A room is a folder, or a module that stands alone.
ROOMS: dict[str, tuple[str, ...]] = {
    "support": (),
    "names": (),
    "toys": (),
    "data.frames": ("support",),
    "data.sets": ("data.frames",),
    "data.formats": ("data.sets",),
    "data": ("data.formats",),
    "atoms": ("data",),
    "models": ("atoms", "names"),
    "piwsl": ("models",),
    "md": ("models",),
    "training": ("piwsl",),
    "analysis": ("md", "piwsl"),
    "study": ("training", "analysis"),
    "lab.quirks": ("support",),
    "lab.checks": ("toys", "support"),
    "lab.parts": ("study", "lab.quirks"),
    "lab.sessions": ("lab.parts",),
    "lab.molecule": ("lab.sessions",),
    "lab.figures": ("lab.molecule",),
    "lab.panels": ("lab.figures",),
    "lab.players": ("lab.panels", "lab.checks"),
    "lab.lesson": ("lab.players",),
    "lab": ("lab.lesson",),
    "cli": ("study", "lab.checks", "lab.quirks"),
}
# The shell starts screens too, and only when it is asked to.
INSIDE_FUNCTIONS = {"cli": "lab"}
WIDGETS = {"ipywidgets", "anywidget", "IPython", "ipykernel", "google"}
HOMES = {  # where another library may be imported
    "plotly": ("lab.figures", "lab.quirks"),
    "nglview": ("lab.molecule", "lab.quirks"),
    **dict.fromkeys(
        WIDGETS, ("lab.parts", "lab.molecule", "lab.figures", "lab.panels", "lab.players", "lab.lesson", "lab.quirks")
    ),
}
# `doctor` reads `lab.quirks` where a widget library is broken: only these, inside a function, and why.
PATCHED = {
    "ipywidgets": "`_all_states` reads its table of widgets, when a page asks",
    "ipykernel": "`mend_line` lifts the limit of its socket, where a kernel runs",
}
# Modules directly in a folder whose rooms are folders: anything else goes into one of these rooms.
CLOSED = {"lab": {"lesson", "quirks"}, "data": {"catalog", "checked", "entries", "oracle"}}
FEWEST, MOST = 2, 14  # modules of a folder
MODULE_LINES, FUNCTION_LINES = 320, 50


def dotted(path: Path) -> str:
    """Name below the package: "data.formats.io"; "" for the package itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(path): path for path in MODULES}


def room(name: str) -> str | None:
    """The room of a module: the longest name of the table that begins its own; None for the package's face."""
    while name and name not in ROOMS:
        name = name.rpartition(".")[0]
    return name or None


@cache
def under(name: str) -> frozenset[str]:
    """All rooms that a room may import from."""
    return frozenset(ROOMS[name]).union(*(under(below) for below in ROOMS[name]))


def imports(source: str, module: str, is_package: bool = False) -> list[tuple[str, bool]]:
    """Full names of all that a module imports, and whether a function does it; "from a import b" may give a.b."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(child) for function in functions for child in ast.walk(function)}
    found = []
    for node in ast.walk(tree):
        late = id(node) in inside
        if isinstance(node, ast.Import):
            found += [(alias.name, late) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                own = f"piwsl_lab.{module}".rstrip(".").split(".")
                above = own[: len(own) - node.level + is_package]
                base = ".".join([*above, base]).rstrip(".")
            found += [(f"{base}.{alias.name}", late) for alias in node.names]
    return found


def ours(source: str, module: str, is_package: bool = False) -> list[tuple[str, bool]]:
    """Modules of this package that a module imports, by their names below it."""
    found = []
    for full, late in imports(source, module, is_package):
        if full.split(".")[0] == "piwsl_lab":
            name = full.partition(".")[2]
            while name and name not in NAMES:
                name = name.rpartition(".")[0]
            found.append((name, late))
    return found


def forbidden(source: str, module: str, is_package: bool = False) -> list[str]:
    """Imports of a module that its room may not make."""
    own = room(module)
    if own is None:
        return []  # the face of the package shows names of all rooms
    allowed = under(own) | {own}
    wrong = []
    for name, late in ours(source, module, is_package):
        other = room(name)
        behind_a_door = late and own in INSIDE_FUNCTIONS and name.split(".")[0] == INSIDE_FUNCTIONS[own]
        if other is not None and other not in allowed and not behind_a_door:
            wrong.append(name)
    return wrong


def is_package(path: Path) -> bool:
    return path.name == "__init__.py"


def ids(path: Path) -> str:
    return dotted(path) or "piwsl_lab"


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_has_a_room(path):
    name = dotted(path)
    assert not name or room(name), f"{path} is in no room: give it a line in ROOMS, after reading docs/architecture.md"


def test_every_room_of_the_table_is_there():
    assert set(ROOMS) == {room(name) for name in NAMES} - {None}
    assert {below for targets in ROOMS.values() for below in targets} <= set(ROOMS)


def _ours(path: Path) -> list[tuple[str, bool]]:
    return ours(path.read_text(encoding="utf-8"), dotted(path), is_package(path))


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_imports_point_down(path):
    assert forbidden(path.read_text(encoding="utf-8"), dotted(path), is_package(path)) == []


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_other_libraries_of_the_screen_stay_in_their_rooms(path):
    roots = {name.split(".")[0] for name, _ in imports(path.read_text(encoding="utf-8"), dotted(path))}
    wrong = {library for library in roots & set(HOMES) if room(dotted(path)) not in HOMES[library]}
    assert wrong == set()


def widgets_of_quirks(source: str) -> set[str]:
    """Widget libraries that `lab.quirks` imports; "at its top" where no function does it."""
    return {
        name.split(".")[0] if late else f"{name.split('.')[0]} at its top"
        for name, late in imports(source, "lab.quirks")
        if name.split(".")[0] in WIDGETS | {"plotly", "nglview"}
    }


def test_quirks_imports_no_widget_but_what_it_patches():
    assert widgets_of_quirks(NAMES["lab.quirks"].read_text(encoding="utf-8")) == set(PATCHED)
    assert widgets_of_quirks("import ipywidgets") == {"ipywidgets at its top"}


@pytest.mark.parametrize("folder", CLOSED)
def test_no_module_is_added_beside_the_rooms(folder):
    assert {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__"} == CLOSED[folder]


def test_no_circle():
    """Depth-first search over the imports of all modules, those inside functions and for type checkers included."""
    graph = {}
    for name, path in NAMES.items():
        graph[name] = sorted({other for other, _ in _ours(path)} - {name, ""})
    state: dict[str, str] = {}

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert state.get(name) != "open", f"circle: {' -> '.join([*trail[trail.index(name) :], name])}"
        if state.get(name) == "closed":
            return
        state[name] = "open"
        for child in graph[name]:
            visit(child, (*trail, name))
        state[name] = "closed"

    for name in sorted(set(graph) - {""}):
        visit(name, ())


def test_a_folder_has_two_to_fourteen_modules():
    folders = {path.parent for path in MODULES}
    sizes = {
        str(folder.relative_to(ROOT)): len([p for p in folder.glob("*.py") if p.stem not in ("__init__", "__main__")])
        for folder in folders
    }
    assert {name: size for name, size in sizes.items() if not FEWEST <= size <= MOST} == {}


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_modules_and_functions_stay_short(path):
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MODULE_LINES, "a file that grows past that holds two ideas"
    long = {
        node.name: node.end_lineno - node.lineno + 1
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES
    }
    assert long == {}


def test_the_picture_of_the_docs_is_drawn_from_the_table():
    command = [sys.executable, str(ROOT / "tools" / "draw_house.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "docs/house.svg is current\n"), done.stderr
    assert "house.svg" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_checks_above_can_fail():
    assert forbidden("from piwsl_lab.training.trainer import fit", "piwsl.residuals") == ["training.trainer"]
    assert forbidden("from ... import study", "data.formats.io") == ["study"]
    assert forbidden("def f():\n    import piwsl_lab.lab.lesson", "study.cell") == ["lab.lesson"]
    assert forbidden("from piwsl_lab.lab import lesson", "cli.main") == ["lab.lesson"]
    assert forbidden("def f():\n    from piwsl_lab.lab import lesson", "cli.main") == []
    assert forbidden("if TYPE_CHECKING:\n    from piwsl_lab.md import fly", "training.trainer") == ["md"]
    assert forbidden("from piwsl_lab.atoms.graph import AtomGraph", "piwsl.residuals") == []


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), f"{path} has no docstring"


def test_the_package_alone_imports_nothing_heavy():
    heavy = "{'torch', 'numpy', 'ase', 'ipywidgets', 'plotly', 'nglview'}"
    code = f"import sys, piwsl_lab.cli.main; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("face", ["piwsl_lab", *(f"piwsl_lab.{name}" for name in ("study", "md", "analysis", "lab"))])
def test_public_names_are_there(face):
    package = __import__(face, fromlist=["_"])
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(package.__all__) <= set(dir(package)) | {"__version__"}
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = package.no_such_name


def test_no_file_in_git_is_over_a_megabyte():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, timeout=60, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    large = {path.name: path.stat().st_size for path in files if path.is_file() and path.stat().st_size > 1e6}
    assert large == {}
