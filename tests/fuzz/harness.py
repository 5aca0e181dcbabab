"""Feeds a worker with files and restarts it when it dies, hangs or has run out of memory."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

TESTS = Path(__file__).resolve().parents[1]
PATIENCE = 20.0  # s of processor time for one file


class Reader:
    """A worker process and what became of every file it was given.

    Parameters
    ----------
    module : str
        What ``python -m`` starts.
    patience : float
        Seconds of processor time after which a file has made it hang; three times that by the clock.
    """

    def __init__(self, module: str = "fuzz.worker", patience: float = PATIENCE) -> None:
        self.module, self.patience = module, patience
        self.process: subprocess.Popen | None = None
        self.starts = 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def read(self, door: str, path: Path) -> dict[str, Any]:
        """Outcome of opening a file by a door."""
        if self.process is None:
            self._start()
        self.process.stdin.write(json.dumps({"door": door, "path": str(path)}) + "\n")
        self.process.stdin.flush()
        answer = self._answer(self.patience)
        if answer["outcome"] in ("died", "hang", "memory"):
            self._stop()
        return answer

    def _start(self) -> None:
        self.words = tempfile.TemporaryFile("w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", self.module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.words, text=True, encoding="utf-8",
            env=in_tests(),
        )  # fmt: skip
        self.starts += 1
        self.lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_listen, args=(self.process, self.lines), daemon=True).start()
        ready = self._answer(patience=120.0)
        if "ready" not in ready:
            raise RuntimeError(f"the worker did not start: {ready}")

    def _answer(self, patience: float) -> dict[str, Any]:
        watched = psutil.Process(self.process.pid)
        begun, spent = time.monotonic(), _spent(watched)
        while True:
            try:
                line = self.lines.get(timeout=0.2)
            except queue.Empty:
                used = _spent(watched) - spent
                if used > patience or time.monotonic() - begun > 3 * patience:
                    return {"outcome": "hang", "message": self._stack(), "warned": []}
                continue
            if line:
                return json.loads(line)
            code = self.process.wait()
            name = signal.Signals(-code).name if code < 0 else f"exit {code}"
            return {"outcome": "died", "error": name, "message": self._last_words(), "warned": []}

    def _stack(self) -> str:
        """Where it hangs."""
        self.process.send_signal(signal.SIGUSR1)
        time.sleep(0.5)
        return self._last_words()

    def _last_words(self) -> str:
        self.words.seek(0)
        return self.words.read()[-1500:]

    def _stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.words.close()
            self.process = None


def in_tests() -> dict[str, str]:
    """Environment of a process that finds the modules of the tests."""
    paths = os.pathsep.join([str(TESTS), str(TESTS / "helpers"), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def _listen(process: subprocess.Popen, lines: queue.Queue[str]) -> None:
    """Hand on what the worker writes; an empty line is its end."""
    try:
        for line in process.stdout:
            lines.put(line)
    except ValueError:  # closed while it was read
        pass
    lines.put("")


def _spent(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system
