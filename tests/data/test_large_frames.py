"""The benchmark of large frames does what it says, here with small ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from ase.io import write

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "large_frames.py"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory is cleared as Linux does")


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("large_frames", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(threads)


def test_every_task_can_be_measured(benchmark, tmp_path):
    path = tmp_path / "salt.xyz"
    write(path, benchmark.salt(1000), format="extxyz")
    for task in benchmark.TASKS:
        seconds, mb = benchmark.measured(task, str(path))
        assert seconds >= 0
        assert mb >= 0


def test_the_peak_is_that_of_the_task(benchmark):
    """What was freed before the clock started is not seen, what the task takes is."""
    before = bytearray(b"x" * 200_000_000)
    del before
    start = benchmark.peak(clear=True)
    assert benchmark.peak() - start < 20
    held = bytearray(b"x" * 50_000_000)
    assert 40 < benchmark.peak() - start < 120
    del held
