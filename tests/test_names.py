"""One name, one thing: no public class or function name is defined in two rooms for two things.

A room is a folder of the package. Methods do not count: their class says what they are.
"""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "piwsl_lab"
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

# Names that mean one thing in every room that defines them, and which thing.
EXCEPTIONS = {
    "main": "starts the program of its module, which `python -m` runs",
    "read": "reads one kind of file, which its module is named after; callers write toml_file.read(path)",
    "run": "does what its room does once: a command of the shell, a cell of a study",
    "predict": "a potential predicts energies and forces; in a lesson the reader does, and the course calls it so",
    "read_table": "rows of one table of a report; those of the page also hold the colour of each method",
    "read_summary": "rows of summary.csv; those of the page also hold the colour of each method",
}


def definitions(package: Path) -> dict[str, set[str]]:
    """The rooms, "data.frames", in which each public name is defined at the top of a module."""
    found: dict[str, set[str]] = {}
    for path in sorted(package.rglob("*.py")):
        room = ".".join(path.relative_to(package).parent.parts)
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, DEFINITIONS) and not node.name.startswith("_"):
                found.setdefault(node.name, set()).add(room)
    return found


def shared(package: Path) -> dict[str, list[str]]:
    """The names that more than one room defines."""
    return {name: sorted(rooms) for name, rooms in definitions(package).items() if len(rooms) > 1}


def test_no_name_is_defined_in_two_rooms_for_two_things():
    found = {name: rooms for name, rooms in shared(PACKAGE).items() if name not in EXCEPTIONS}
    assert not found, f"rename one of each: {found}"


def test_the_lists_hold_nothing_that_was_renamed():
    assert {*EXCEPTIONS} <= {*shared(PACKAGE)}


def test_a_name_of_two_rooms_is_found(tmp_path):
    for room, text in (("one", "class Frame:\n    def add(self): ..."), ("two", "def Frame(): ...\ndef add(): ...")):
        (tmp_path / room).mkdir()
        (tmp_path / room / "module.py").write_text(text, "utf-8")
    assert shared(tmp_path) == {"Frame": ["one", "two"]}


# Names of `names.py` that another room defines too, and why.
SAME_CHOICE = {"MODELS": "the same models by the same names: words here, classes in `models`"}


def rooms_of_constants(package: Path, wanted: set[str]) -> dict[str, list[str]]:
    """The modules beside `names.py` that define one of these UPPERCASE names at their top."""
    found: dict[str, list[str]] = {}
    for path in sorted(package.rglob("*.py")):
        for name in sorted(constants(path) & wanted if path != package / "names.py" else ()):
            found.setdefault(name, []).append(path.relative_to(package).as_posix())
    return found


def constants(path: Path) -> set[str]:
    """The public UPPERCASE names that a module gives a value at its top."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
            found |= {name for name in names if name.isupper() and not name.startswith("_")}
    return found


def test_the_words_of_choices_name_nothing_else():
    found = rooms_of_constants(PACKAGE, constants(PACKAGE / "names.py"))
    assert set(found) == set(SAME_CHOICE), f"rename what is no choice of names.py: {found}"


def test_a_constant_that_takes_a_name_is_found(tmp_path):
    (tmp_path / "names.py").write_text("HEADS = 1\n", "utf-8")
    (tmp_path / "one.py").write_text("A, HEADS = 1, 2\nORDERS: int = 3\n", "utf-8")
    assert rooms_of_constants(tmp_path, {"HEADS", "ORDERS"}) == {"HEADS": ["one.py"], "ORDERS": ["one.py"]}
