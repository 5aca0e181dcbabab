"""150 damaged files: each is read, or refused by its name; none ends in a traceback, a crash, a hang or no memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.harness import Reader, in_tests
from fuzz.mutants import all_mutants, digests, named

CHOSEN = (Path(__file__).with_name("chosen.txt")).read_text(encoding="utf-8").split()


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the worker limits its memory as Linux does")


@pytest.fixture(scope="module")
def reader():
    with Reader() as one:
        yield one


@pytest.mark.parametrize("name", CHOSEN)
def test_a_damaged_file_is_read_or_refused_by_its_name(name, reader, tmp_path):
    if name.startswith("hdf5"):
        pytest.importorskip("h5py")
    mutant = named(name)
    answer = reader.read(mutant.kind.door, mutant.write(tmp_path))
    assert not mutant.wrong(answer), answer


def test_the_choice_holds_every_format_and_is_large_enough():
    assert len(CHOSEN) == len(set(CHOSEN)) >= 150
    assert {name.partition("-")[0] for name in CHOSEN} >= {mutant.kind.format for mutant in all_mutants(1)}


def test_a_mutant_is_the_same_whenever_it_is_made():
    """In another process and some seconds later: gzip wrote the time, a session its day, safetensors any order."""
    environment = in_tests() | {"PYTHONHASHSEED": "1"}
    command = [sys.executable, "-m", "fuzz.mutants"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == digests()


@pytest.mark.parametrize(
    ("door", "outcome", "words"),
    [
        ("good", "ok", None),
        ("warning", "ok", None),
        ("doubting", "ok", None),
        ("printing", "ok", None),
        ("refusing", "refused", "OurError"),
        ("late", "refused", "OurError"),
        ("plain", "refused", "ValueError"),
        ("unnamed", "unnamed", "ValueError"),
        ("decoding", "traceback", "UnicodeDecodeError"),
        ("raising", "traceback", "KeyError"),
        ("greedy", "memory", "MemoryError"),
        ("dying", "died", "SIGFPE"),
        ("leaving", "died", "exit 3"),
        ("hanging", "hang", None),
    ],
)
def test_the_harness_notices(door, outcome, words, tmp_path):
    file = tmp_path / "a.xyz"
    file.write_bytes(b"1")
    with Reader("fuzz.bad_doors", patience=2.0) as reader:
        answer = reader.read(door, file)
        assert (answer["outcome"], answer.get("error")) == (outcome, words)
        assert (answer["warned"] == ["UserWarning: large"]) == (door == "warning")
        assert answer.get("spoke", False) == (door in ("doubting", "refusing", "plain"))
        # It goes on, with another worker where the first one is gone.
        assert reader.read("good", file)["outcome"] == "ok"
        assert reader.starts == 1 + (outcome in ("memory", "died", "hang"))


def test_a_word_is_missing_where_nonsense_passes():
    absurd, other = named("extxyz-absurd-0000"), named("extxyz-flip-0000")
    quiet, spoke, hung = ({"outcome": a, "spoke": b} for a, b in (("ok", False), ("ok", True), ("hang", False)))
    assert [absurd.wrong(answer) for answer in (quiet, spoke, hung)] == ["silent", "", "hang"]
    assert [other.wrong(answer) for answer in (quiet, spoke, hung)] == ["", "", "hang"]
