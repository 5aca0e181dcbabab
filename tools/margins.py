"""How close the checks of the notebooks stand to their limits.

    python tools/margins.py [NAME …] [--all]

Runs the sources of the notebooks, and writes down every comparison of two numbers and every printed number that was
rounded. A check that stands within a tenth of its limit holds here and fails on the next machine: look whether what it
checks depends on the machine, and if so, check something else. Exit status 1 says that there are such.

Shares: of `a < b`, the smaller over the larger, 0 for the best and 1 at the limit. Of a rounded number, how far it is
from what is printed, as a part of the way to the next printed number.
"""

from __future__ import annotations

import argparse
import ast
import math
import numbers
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "notebooks" / "source"
CLOSE = 0.9
RECORD = "__margin__"
ORDER = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}


@dataclass(frozen=True)
class Check:
    """One comparison, or one printed number, and how close it stands to its limit."""

    line: int
    what: str
    value: float
    limit: float
    share: float

    def __str__(self) -> str:
        return (
            f"line {self.line:4}: {self.value:12.6g} against {self.limit:10.6g}, share {self.share:.2f}   {self.what}"
        )


class Recorder(ast.NodeTransformer):
    """Puts a call around every ordered comparison and every number that is written with a fixed precision."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if not all(type(operator) in ORDER for operator in node.ops):
            return self.generic_visit(node)
        sides = [self.visit(side) for side in (node.left, *node.comparators)]
        names = [ast.Constant(ORDER[type(operator)]) for operator in node.ops]
        return self._call("compared", node, [*sides, *names], ast.unparse(node))

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        spec = node.format_spec.values if isinstance(node.format_spec, ast.JoinedStr) else []
        if all(isinstance(part, ast.Constant) for part in spec) and spec:
            text = "".join(part.value for part in spec)
            node.value = self._call(
                "printed", node, [self.visit(node.value), ast.Constant(text)], ast.unparse(node.value)
            )
            return node
        return self.generic_visit(node)

    @staticmethod
    def _call(kind: str, node: ast.AST, arguments: list[ast.expr], words: str) -> ast.AST:
        function = ast.Attribute(ast.Name(RECORD, ast.Load()), kind, ast.Load())
        call = ast.Call(function, [ast.Constant(node.lineno), ast.Constant(words), *arguments], [])
        return ast.copy_location(call, node)


class Notebook:
    """What the recorded calls write into."""

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def compared(self, line: int, words: str, *arguments: Any) -> Any:
        """The value of `a < b`, or of `a < b < c`."""
        n = (len(arguments) + 1) // 2
        sides, operators = arguments[:n], arguments[n:]
        result: Any = True
        for left, operator, right in zip(sides[:-1], operators, sides[1:], strict=True):
            result = COMPARE[operator](left, right)
            if _is_number(left) and _is_number(right) and not (_is_whole(left) and _is_whole(right)):
                self.checks.append(Check(line, words, float(left), float(right), closeness(float(left), float(right))))
            if not _is_number(left) or not _is_number(right) or not result:
                break
        return result

    def printed(self, line: int, words: str, value: Any, spec: str) -> Any:
        kind = spec[-1:]
        digits = spec.partition(".")[2][:-1]
        if _is_number(value) and not _is_whole(value) and kind in "f%" and digits.isdigit() and math.isfinite(value):
            unit = 10.0 ** -(int(digits) + (2 if kind == "%" else 0))
            away = abs(float(value) / unit - round(float(value) / unit))
            self.checks.append(Check(line, f"{words}:{spec}", float(value), unit, 2 * away))
        return value


COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def closeness(a: float, b: float) -> float:
    """0 where two numbers are far apart or of different sign, 1 where they are equal."""
    if not (math.isfinite(a) and math.isfinite(b)) or a * b <= 0:
        return 1.0 if a == b else 0.0
    return min(abs(a), abs(b)) / max(abs(a), abs(b))


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    """Counts are the same everywhere."""
    return isinstance(value, numbers.Integral)


def run(source: Path) -> list[Check]:
    """Run a percent script and return its checks."""
    tree = ast.fix_missing_locations(Recorder().visit(ast.parse(source.read_text(encoding="utf-8"), str(source))))
    notebook = Notebook()
    exec(compile(tree, str(source), "exec"), {"__name__": "__main__", RECORD: notebook})
    return notebook.checks


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="for instance 00_quickstart; all by default")
    parser.add_argument("--all", action="store_true", help="list the checks that are far from their limits too")
    options = parser.parse_args(arguments)
    sources = [SOURCE / f"{name}.py" for name in options.names] or sorted(SOURCE.glob("*.py"))
    os.chdir(ROOT / "notebooks")
    close = 0
    for source in sources:
        checks = run(source)
        near = [check for check in checks if check.share >= CLOSE]
        close += len(near)
        print(f"{source.stem}: {len(checks)} checks, {len(near)} of them within a tenth of their limits")
        for check in checks if options.all else near:
            print(f"  {check}")
    return 1 if close else 0


if __name__ == "__main__":
    sys.exit(main())
