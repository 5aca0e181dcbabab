"""How close the checks of the notebooks stand to their limits.

    python tools/margins.py [NAME …] [--all]

Runs the sources of the notebooks twice: with all that this processor can, and with its plainest arithmetic, which
rounds otherwise as another processor would. Written down are all comparisons of two numbers, and all numbers that are
printed rounded. What differs between the two runs depends on the machine. Where such a check stands within a tenth of
its limit it holds here and fails on the next machine: check something else. Exit status 1 says that there are such, or
that the two runs printed different words.

Shares: of `a < b`, the smaller over the larger, 0 for the best and 1 at the limit. Of a rounded number, how far it is
from what is printed, as a part of the way to the next printed number.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import numbers
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "notebooks" / "source"
CLOSE = 0.9
MANY_DIGITS = 4  # decimals: such a number is written for a reader to look at, where nothing compares it
PLAIN = {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"}  # arithmetic that every processor has
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
        if not _is_number(value) or _is_whole(value) or not math.isfinite(value):
            return value
        if kind in "f%" and digits.isdigit() and int(digits) < MANY_DIGITS:
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


def run_elsewhere(source: Path, arithmetic: dict[str, str]) -> tuple[str, list[Check]]:
    """What a percent script prints in a process of its own, and its checks."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "checks.json"
        command = [sys.executable, __file__, str(source), "--record", str(record)]
        place = ROOT / "notebooks"
        done = subprocess.run(command, env=os.environ | arithmetic, cwd=place, stdout=subprocess.PIPE, check=True)
        return done.stdout.decode(), [Check(**check) for check in json.loads(record.read_text(encoding="utf-8"))]


def live(here: Sequence[Check], there: Sequence[Check]) -> list[Check]:
    """The checks whose numbers depend on the machine; of both machines, the one that is closer to its limit."""
    if [(c.line, c.what) for c in here] != [(c.line, c.what) for c in there]:
        return [*here, *there]  # not even the same checks were made: all are suspected
    pairs = zip(here, there, strict=True)
    return [max(a, b, key=lambda c: c.share) for a, b in pairs if (a.value, a.limit) != (b.value, b.limit)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="for instance 00_quickstart; all by default")
    parser.add_argument("--all", action="store_true", help="list the checks that are far from their limits too")
    parser.add_argument("--record", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.record:
        checks = [asdict(check) for check in run(Path(options.names[0]))]
        Path(options.record).write_text(json.dumps(checks), encoding="utf-8")
        return 0
    failed = False
    for source in [SOURCE / f"{name}.py" for name in options.names] or sorted(SOURCE.glob("*.py")):
        (words, here), (other_words, there) = (run_elsewhere(source, arithmetic) for arithmetic in ({}, PLAIN))
        checks = live(here, there)
        near = [check for check in checks if check.share >= CLOSE]
        failed |= bool(near) or words != other_words
        print(f"{source.stem}: {len(here)} checks, {len(checks)} of them depend on the machine,", end=" ")
        print(f"{len(near)} of these within a tenth of their limits")
        for check in checks if options.all else near:
            print(f"  {check}")
        for ours, theirs in zip(words.splitlines(), other_words.splitlines(), strict=False):
            if ours != theirs:
                print(f"  printed here:  {ours}\n  printed there: {theirs}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
