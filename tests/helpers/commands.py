"""The command line in a process of its own, watched and ended as a person or a batch system does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from ase.io import write
from safetensors.torch import load_file

from piwsl_lab.data import load

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
# A small data set from a file of its own, so that hundreds of frames need not be scored.
SMALL = "--data small.xyz --energies 8 --forces 8 --batch-size 2 --device cpu --model schnet"
SIGNALS = {"INT": signal.SIGINT, "TERM": signal.SIGTERM, "HUP": signal.SIGHUP, "KILL": signal.SIGKILL}
CODES = {"INT": 130, "TERM": 143, "HUP": 129, "KILL": -9}

ANEW = "begins at its first step"  # what --resume says where nothing is kept


def write_small(folder: Path) -> None:
    """A file of 20 labelled frames."""
    write(folder / "small.xyz", load("ethanol")[:20].to_atoms())


def start(folder: Path, *words: str, **options: Any) -> subprocess.Popen:
    """Begin a command in a folder."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENV, "preexec_fn": listen}
    command = [sys.executable, "-m", "piwsl_lab.cli", *words]
    return subprocess.Popen(command, cwd=folder, text=True, encoding="utf-8", **pipes | options)


def listen() -> None:
    """Signals as a terminal gives them: what runs in the background has some ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


# A system whose files may not grow beyond so many bytes: what a full disk does, and needs no disk.
LIMITED = """
import resource, sys
from piwsl_lab.cli import main as cli
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(cli.main(sys.argv[2:]))
"""


def run_limited(folder: Path, size: int, *words: str) -> tuple[int, str, str]:
    """Run a command in a folder, where no file may have more than so many bytes; as `finish`."""
    command = [sys.executable, "-c", LIMITED, str(size), *words]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, timeout=200, check=False)
    return done.returncode, done.stdout, done.stderr


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    """Wait for a command; its exit code and what it printed."""
    out, error = process.communicate(timeout=200)
    return process.returncode, out, error


def kept_in(folder: Path) -> list[Path]:
    """What interrupted runs have left."""
    return sorted((folder / "piwsl-lab-runs").glob("*.safetensors"))


def wait_for_progress(process: subprocess.Popen, folder: Path, moves: int = 1) -> None:
    """Until a run has saved itself so many times."""
    seen, deadline = set(), time.monotonic() + 120
    while len(seen) < moves:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing was kept"
        seen |= {path.stat().st_mtime_ns for path in kept_in(folder)}
        time.sleep(0.002)


def numbers(folder: Path, name: str) -> dict[str, Any]:
    """The JSON of a command without what a clock has measured."""
    result = json.loads((folder / name).read_text())

    def timeless(value: Any) -> Any:
        return {k: timeless(v) for k, v in value.items() if k != "seconds"} if isinstance(value, dict) else value

    return timeless(result)


def same_weights(one: Path, other: Path) -> bool:
    a, b = load_file(one), load_file(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def table_of(printed: str) -> list[str]:
    """The printed table without its line of seconds."""
    return [line for line in printed.splitlines() if not line.startswith("training, s")]
