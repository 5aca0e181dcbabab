"""A training with a mean of its weights is killed again and again, and ends as if nothing had been."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import killed
import pytest
import torch
from safetensors import safe_open

KILLS = 10


@pytest.fixture
def server():
    """It forks the trainings, so that each begins at once; its own process ends with the test."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    command, pipe = [sys.executable, killed.__file__], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as process:
        yield process
        process.stdin.close()


def begin(server, folder: Path) -> int:
    """Let a training begin or go on in a folder; its process number."""
    print(folder, file=server.stdin, flush=True)
    return int(server.stdout.readline())


def ended(server) -> int:
    """The exit code of the training, when it has ended."""
    return int(server.stdout.readline())


def content(path: Path) -> tuple[dict, dict]:
    """What a checkpoint says, but for its seconds, and its tensors."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["piwsl_lab"])
        del header["trainer"]["seconds"]
        return header, {name: file.get_tensor(name) for name in file.keys()}


def stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork and no SIGKILL")
def test_ten_kills_change_no_bit(server, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    begin(server, whole)
    assert ended(server) == 0
    draw, kept, stopped_at = random.Random(), broken / "kept.safetensors", []
    for _ in range(KILLS):
        before, number = stamp(kept), begin(server, broken)
        for _ in range(draw.randint(1, 4)):
            while stamp(kept) == before:
                time.sleep(0.0005)
            before = stamp(kept)
        time.sleep(draw.uniform(0.0, 0.01))  # somewhere in the steps after it, or while it is kept again
        os.kill(number, signal.SIGKILL)
        assert ended(server) == -signal.SIGKILL, f"it ended before it was killed so often: {stopped_at}"
        stopped_at.append(content(kept)[0]["trainer"]["done"])
    assert stopped_at == sorted(stopped_at)
    begin(server, broken)
    assert ended(server) == 0
    (header, tensors), (expected, others) = content(broken / "ended.safetensors"), content(whole / "ended.safetensors")
    assert header == expected
    assert header["trainer"]["done"] == killed.STEPS
    assert tensors.keys() == others.keys()
    assert [name for name in others if name.startswith("learner.")]
    assert [name for name, value in others.items() if not torch.equal(tensors[name], value)] == []
