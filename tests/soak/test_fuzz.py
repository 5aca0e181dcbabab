"""More than a thousand damaged files of every format, read by one worker with little memory."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from fuzz.harness import Reader
from fuzz.mutants import all_mutants, kinds

SEEDS = 10  # of every kind, beginning where those of `make test` end
FIRST = 1000
FORMATS = tuple(dict.fromkeys(kind.format for kind in kinds()))


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the worker limits its memory as Linux does")


@pytest.fixture(scope="module")
def reader():
    with Reader() as one:
        yield one


def test_there_are_a_thousand():
    assert SEEDS * len(kinds()) >= 1000


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", FORMATS)
def test_every_damaged_file_is_read_or_refused_by_its_name(name, reader, capsys):
    found: Counter[str] = Counter()
    wrong = {}
    for mutant in all_mutants(FIRST + SEEDS, FIRST):
        if mutant.kind.format != name:
            continue
        with tempfile.TemporaryDirectory() as folder:
            answer = reader.read(mutant.kind.door, mutant.write(Path(folder)))
        found[mutant.wrong(answer) or answer["outcome"]] += 1
        if mutant.wrong(answer):
            wrong[mutant.name] = answer
    with capsys.disabled():
        print(f"\n{name}: {', '.join(f'{count} {outcome}' for outcome, count in found.most_common())}", end="")
    assert not wrong
