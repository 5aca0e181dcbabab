"""Every choice is written down once, in `names.py`: the library, the command line and the screen offer the same."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from piwsl_lab import names
from piwsl_lab.cli import main as cli
from piwsl_lab.models import MODELS
from piwsl_lab.piwsl.objective import CHOICES, Objective
from piwsl_lab.study.compare import CHANGES

PACKAGE = Path(names.__file__).parent
TABLES = {
    name: tuple(table)
    for name, table in vars(names).items()
    if name.isupper() and isinstance(table, dict | tuple) and len(table) > 1
}


def flags_of(command: str) -> dict[str, argparse.Action]:
    commands = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return {flag: action for action in commands.choices[command]._actions for flag in action.option_strings}


def test_the_tables_are_those_of_the_library():
    assert set(names.MODELS) <= set(MODELS)  # a model without a title goes by its name
    assert tuple(names.RIVALS) == tuple(CHANGES)
    defaults = Objective()
    for field, choices in CHOICES.items():
        assert getattr(defaults, field) in choices
    fields = [field.name for field in dataclasses.fields(Objective)]
    assert tuple(fields[: len(names.WEIGHTS)]) == names.WEIGHTS


@pytest.mark.parametrize("command", ["train", "compare"])
def test_the_command_line_offers_the_tables(command):
    flags = flags_of(command)
    for flag, table in {
        "--head": names.HEADS,
        "--pisc-form": names.PISC_FORMS,
        "--direction": names.DIRECTIONS,
        "--centres": names.CENTRES,
    }.items():
        assert tuple(flags[flag].choices) == tuple(table), flag
    assert [flags["--model"].type(name) for name in names.MODELS] == list(names.MODELS)
    assert ", ".join(names.MODELS) in flags["--model"].help
    assert [flags["--order"].type(str(order)) for order in names.ORDERS] == list(names.ORDERS)


def test_rivals_and_ensembles_on_the_command_line_are_the_tables_too():
    assert tuple(flags_of("compare")["--rival"].choices) == tuple(names.RIVALS)
    assert tuple(flags_of("fly")["--ensemble"].choices) == tuple(names.ENSEMBLES)


def test_no_other_module_writes_a_table_down_again():
    copies = []
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "names.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Tuple | ast.List | ast.Set):
                values = [item.value for item in node.elts if isinstance(item, ast.Constant)]
                whole = len(values) == len(node.elts)
                copies += [
                    f"{path.relative_to(PACKAGE)}:{node.lineno} is {name}"
                    for name, table in TABLES.items()
                    if whole and len(values) > 2 and len(values) == len(table) and set(values) == set(table)
                ]
    assert copies == []


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["compare", "--help"], ["fly", "--help"]])
def test_help_needs_no_torch(words):
    code = (
        "import sys\nfrom piwsl_lab.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "print(sorted({'torch', 'numpy', 'ase'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.rstrip().splitlines()[-1] == "[]"
    assert "usage: piwsl-lab" in done.stdout
