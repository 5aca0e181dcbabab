"""One worker of a study: reads runs as JSON lines, trains, answers in JSON lines. ``python -m piwsl_lab.study.worker``.

It writes one file: what its run has done so far. It ends with the process that started it: when that one is gone,
however it went, the pipe on standard input is closed, and a thread that waits for this sends the worker a SIGTERM.
A SIGTERM ends it as Ctrl-C ends a command: what its run has done is kept first.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from piwsl_lab.support.signals import INTERRUPTED, as_interrupts

REPORT_EVERY = 0.5  # s between two notes of progress
PATIENCE = 30.0  # s that a step and the writing of what is kept may take at the end


def main() -> int:
    """Answer {"ready"} and then one {"result"} or {"failed"} a run, with {"step"} in between.

    Returns
    -------
    int
        128 and the number of the signal that ended it.
    """
    # An interrupt reaches the whole process group: the runner decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what a library prints must not get between the answers
    runs: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(runs,), daemon=True).start()

    def say(**message: Any) -> None:
        with suppress(BrokenPipeError):  # the runner is gone: `_listen` ends this process, and the run is kept first
            answers.write(json.dumps(message) + "\n")

    import torch

    from piwsl_lab.study import grid  # noqa: F401 - slow to import, so before the first run is timed

    torch.set_num_threads(1)
    # From here on: an interrupt that meets the import of torch would end in a crash.
    with as_interrupts() as stop:
        try:
            say(ready=os.getpid())
            while True:
                job = runs.get()
                say(**_answer(job, say))
        except KeyboardInterrupt:
            return stop.code(INTERRUPTED)


def _listen(runs: queue.Queue) -> None:
    try:
        for line in sys.stdin:
            runs.put(json.loads(line))
    finally:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
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

    setup, objective = typed(Setup, job["setup"]), typed(Objective, job["objective"])
    said = time.monotonic()

    def on_step(record: Any) -> None:
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
