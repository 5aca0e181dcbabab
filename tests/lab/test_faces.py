"""Notebooks, README, the teacher's page and *Copy as code* import from the faces of the package alone.

A module may then move without a change to what readers have copied.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

from piwsl_lab import Schedule, ramp
from piwsl_lab.lab import Session
from piwsl_lab.lab.sessions.script import script
from piwsl_lab.study import Setup

ROOT = Path(__file__).resolve().parents[2]
FACES = (
    "piwsl_lab",
    "piwsl_lab.analysis",
    "piwsl_lab.lab",
    "piwsl_lab.lab.lesson",
    "piwsl_lab.md",
    "piwsl_lab.study",
    "piwsl_lab.toys",
)
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
SOURCES = sorted((ROOT / "notebooks" / "source").glob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def strangers(source: str) -> list[str]:
    """What a program takes from this package that is no public name of a face."""
    tree = ast.parse(source)
    found: list[str] = []
    modules: dict[str, ModuleType] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            ours = [alias for alias in node.names if alias.name.split(".")[0] == "piwsl_lab"]
            found += [alias.name for alias in ours if alias.name not in FACES]
            modules |= {
                alias.asname or "piwsl_lab": face(alias.name if alias.asname else "piwsl_lab") for alias in ours
            }
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "piwsl_lab":
            if node.module not in FACES:
                found.append(str(node.module))
                continue
            for alias in node.names:
                if alias.name not in face(node.module).__all__:
                    found.append(f"{node.module}.{alias.name}")
                elif isinstance(value := getattr(face(node.module), alias.name), ModuleType):
                    modules[alias.asname or alias.name] = value
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            module = modules[node.value.id]
            found += [] if node.attr in module.__all__ else [f"{module.__name__}.{node.attr}"]
    return found


def face(name: str) -> ModuleType:
    return importlib.import_module(name)


def without_magics(source: str) -> str:
    """A notebook's cell may begin a line with % or !, which is no Python."""
    return re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.MULTILINE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_imports_from_faces_only(path):
    source = path.read_text(encoding="utf-8")
    assert "piwsl_lab" in source
    assert strangers(without_magics(source)) == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_imports_from_faces_only(path):
    for block in BLOCK.findall(path.read_text(encoding="utf-8")):
        assert strangers(without_magics(block)) == []


def test_the_readme_has_a_block_of_python():
    assert any("piwsl_lab" in block for block in BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8")))


def test_the_code_of_a_session_imports_from_faces_only():
    setup = Setup(energies=4, forces=4, test=4, channels=8, layers=1, batch_size=2, steps=20, device="cpu")
    session = Session(setup)
    session.run(1)
    session.twins[-1].objective.schedules["epsilon"] = ramp(0.01, 0.05, 10)
    session.run(1)
    code = script(session)
    assert Schedule.__name__ in code
    assert strangers(code) == []


@pytest.mark.parametrize("name", FACES)
def test_every_public_name_of_a_face_is_there(name):
    assert [public for public in face(name).__all__ if getattr(face(name), public, None) is None] == []


@pytest.mark.parametrize(
    "source",
    [
        "from piwsl_lab.study.cell import Setup",
        "import piwsl_lab.training.trainer",
        "from piwsl_lab.lab import no_such_thing",
        "import piwsl_lab as lab\nlab.no_such_thing()",
        "from piwsl_lab.lab import page\npage.no_such_thing()",
    ],
)
def test_the_checks_above_can_fail(source):
    assert len(strangers(source)) == 1
