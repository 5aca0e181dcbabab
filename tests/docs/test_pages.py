"""The pages: their examples run, nothing is missing from the site, and README.md stays short."""

from __future__ import annotations

import doctest
import importlib
import re
import shlex
from pathlib import Path

import pytest

from piwsl_lab.cli.main import _parser

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "piwsl_lab"
FACES = (
    "piwsl_lab", "piwsl_lab.data", "piwsl_lab.models", "piwsl_lab.md", "piwsl_lab.analysis", "piwsl_lab.study",
    "piwsl_lab.lab", "piwsl_lab.lab.lesson", "piwsl_lab.toys",
)  # fmt: skip
# Modules with an example in a docstring.
EXAMPLES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


def read(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text(encoding="utf-8")


def test_readme_is_short():
    assert len(read("README.md").split()) < 900


def test_the_example_of_the_readme_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", read("README.md"), re.DOTALL)
    short = code.replace("validation=validation)", "validation=validation, steps=2, device='cpu')")
    assert short != code
    exec(compile(short, "README.md", "exec"), {})
    assert "energy_mae" in capsys.readouterr().out


@pytest.mark.parametrize("page", ["README.md", "docs/start.md"])
def test_the_commands_of_a_page_are_commands(page):
    commands = re.findall(r"^piwsl-lab (\w.*?)(?:\s+#.*)?$", read(page), re.MULTILINE)
    assert len(commands) > 3
    for command in commands:
        _parser().parse_args(shlex.split(command))


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_the_docstrings_run(module):
    failed, tried = doctest.testmod(importlib.import_module(module))
    assert tried > 0, f"{module}: every example is skipped, so none is tested"
    assert failed == 0


def test_every_page_stands_in_the_contents():
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "docs").glob("*.md")}
    pages |= {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "docs" / "api").glob("*.md")}
    pages |= {path.relative_to(ROOT).with_suffix("").as_posix() for path in (ROOT / "notebooks").glob("*.ipynb")}
    pages |= {"CONTRIBUTING", "CHANGELOG", "notebooks/README"}
    contents = read("docs/contents.md")
    listed = {line for line in contents.splitlines() if line and not line.startswith((":", "`"))}
    assert listed == pages - {"docs/contents"}


def test_every_face_has_a_page_with_all_its_names():
    """What is left out of a page is described on another one."""
    documented: dict[str, set[str]] = {}
    for page in (ROOT / "docs" / "api").glob("*.md"):
        for module, rest in re.findall(r"^\.\. automodule:: (\S+)\n((?:   .*\n)*)", page.read_text(), re.MULTILINE):
            left_out = re.findall(r":exclude-members: (.*)", rest)
            documented[module] = {name.strip() for names in left_out for name in names.split(",")}
    assert set(FACES) < set(documented)
    for module, left_out in documented.items():
        others = [importlib.import_module(other) for other in documented if other != module]
        elsewhere = {name for other in others for name in getattr(other, "__all__", dir(other))}
        assert left_out <= elsewhere, f"{module}: {left_out - elsewhere} stand on no page"


@pytest.mark.parametrize("face", [face for face in FACES if face != "piwsl_lab.toys"])
def test_a_face_says_what_is_public(face):
    assert importlib.import_module(face).__all__


def test_what_is_checked_before_a_commit_is_what_make_lint_checks():
    makefile = read("Makefile")
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines()]
    hooks = re.findall(r"^\s+entry: (.*)$", read(".pre-commit-config.yaml"), re.MULTILINE)
    assert hooks == commands
    assert re.search(r"^test: lint docs$", makefile, re.MULTILINE)


def test_no_type_is_ignored_without_a_reason():
    """`# type: ignore[code]  # the reason in words`."""
    good = re.compile(r"# type: ignore\[[\w, -]+\]\s+# \S+ \S+")
    bad = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"#\s*(type:\s*ignore|mypy:)", line) and not good.search(line)
    ]
    assert bad == []
