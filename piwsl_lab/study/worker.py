"""One worker of a study, at both ends of its pipes: the process, and the `Worker` by which the engine holds it.

``python -m piwsl_lab.study.worker`` reads runs as JSON lines, trains, and answers in JSON lines. It
writes one file: what its run has done so far. It ends with the process that started it. When that
one is gone, however it went, the pipe on standard input is closed. A thread that waits for this
sends the worker a SIGTERM. A SIGTERM ends it as Ctrl-C ends a command: what its run has done is
kept first.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piwsl_lab.support.memory import keep_memory
from piwsl_lab.support.signals import INTERRUPTED, as_interrupts

if TYPE_CHECKING:
    from piwsl_lab.training.record import Record

WORKER = (sys.executable, "-m", "piwsl_lab.study.worker")
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
REPORT_EVERY = 0.5  # s between two notes of progress
PATIENCE = 30.0  # s that a step and the writing of what is kept may take at the end
Answer = dict[str, Any]


class Worker:
    """A worker process, and the thread that reads its answers into a queue.

    Parameters
    ----------
    command : sequence of str
        Starts it.
    answers : Queue
        Gets (worker, answer) for each answer, and (worker, None) when the process has died.

    Attributes
    ----------
    ready : bool
        Whether it has said that it waits for a run.
    """

    def __init__(self, command: Sequence[str], answers: queue.Queue[tuple[Worker, Answer | None]]) -> None:
        self.ready = False
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, encoding="utf-8",
            env={**os.environ, **THREADS},
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self._thread = threading.Thread(target=self._listen, args=(answers,), daemon=True)
        self._thread.start()

    def _listen(self, answers: queue.Queue[tuple[Worker, Answer | None]]) -> None:
        with suppress(ValueError):  # it died in the middle of a line
            for line in self._answers:
                answers.put((self, json.loads(line)))
        answers.put((self, None))

    def give(self, job: Mapping[str, Any]) -> None:
        """Send a run."""
        with suppress(BrokenPipeError):  # it has just died: its thread will say so
            self._questions.write(json.dumps(job) + "\n")
            self._questions.flush()

    def ending(self) -> str:
        """How it died, in words: the signal or exit code, and the last line it wrote."""
        code = self._process.wait()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" + (", out of memory?" if code == -9 else "") if code < 0 else f"exit code {code}"
        return f"the worker ended with {how}" + (f": {lines[-1]}" if lines else "")

    def end(self, busy: bool) -> None:
        """Ask it to end; a run in hand is kept first. It is asked once, so that nothing breaks off the keeping."""
        if busy:
            self._process.terminate()
        else:
            self._close_questions()

    def close(self) -> None:
        """Wait for a worker that was asked to end, or has died."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close_questions()
        self._thread.join(PATIENCE)
        self._answers.close()
        self._log.close()

    def _close_questions(self) -> None:
        with suppress(BrokenPipeError):
            self._questions.close()


def main() -> int:
    """Answer {"ready"} and then one {"result"} or {"failed"} a run, with {"step"} in between.

    Returns
    -------
    int
        128 and the number of the signal that ended it.
    """
    # An interrupt reaches the whole process group: the engine decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get between the answers
    runs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(runs,), daemon=True).start()

    def say(**message: Any) -> None:
        with suppress(BrokenPipeError):  # the engine is gone: `_listen` ends this process, and the run is kept first
            answers.write(json.dumps(message) + "\n")

    import torch

    import piwsl_lab.study.cell  # noqa: F401 - slow to import, so before the first run is timed

    torch.set_num_threads(1)
    keep_memory()
    # From here on: an interrupt that meets the import of torch would end in a crash.
    with as_interrupts() as stop:
        try:
            say(ready=os.getpid())
            while True:
                job = runs.get()
                say(**_answer(job, say))
        except KeyboardInterrupt:
            return stop.code(INTERRUPTED)


def _listen(runs: queue.Queue[dict[str, Any]]) -> None:
    try:
        for line in sys.stdin:
            runs.put(json.loads(line))
    finally:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        time.sleep(PATIENCE)
        os._exit(1)


def _answer(job: dict[str, Any], say: Callable[..., None]) -> dict[str, Any]:
    """Train one potential. A ValueError is the answer to a bad question; anything else ends the worker."""
    import torch

    import piwsl_lab
    from piwsl_lab.piwsl.objective import Objective
    from piwsl_lab.study.cell import run
    from piwsl_lab.study.grid import typed
    from piwsl_lab.study.setup import Setup
    from piwsl_lab.support.files import without_nan

    if "folder" in job:
        os.chdir(job["folder"])
    setup, objective = typed(Setup, job["setup"]), typed(Objective, job["objective"])
    said = time.monotonic()

    def on_step(record: Record) -> None:
        nonlocal said
        if time.monotonic() - said > REPORT_EVERY:
            said = time.monotonic()
            say(step=record.step, steps=setup.steps)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = run(setup, objective, on_step, _progress(job.get("progress")))
        except ValueError as error:
            return {"failed": f"{type(error).__name__}: {error}"}
    versions = {"piwsl-lab": piwsl_lab.__version__, "torch": torch.__version__, "python": platform.python_version()}
    words = sorted({str(warning.message) for warning in caught})
    return {"result": without_nan(result), "warnings": words, "versions": versions}


def _progress(path: str | None) -> Any:
    """What the run kept before it was broken off; a file that is of no use is passed over in words."""
    from piwsl_lab.training.checkpoint_file import CheckpointError
    from piwsl_lab.training.kept import Kept

    kept = Kept(None if path is None else Path(path))
    if kept.is_kept:
        try:
            kept.open()
        except CheckpointError as error:
            warnings.warn(f"begun anew: {error}", stacklevel=1)
            return Kept(kept.path)
    return kept


if __name__ == "__main__":
    sys.exit(main())
