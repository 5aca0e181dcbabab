"""Runs the cells of a study in worker processes, keeps every finished one and tells how far it is.

A run's numbers depend on its fields alone: each worker has one thread, and neither the number of workers nor the order
enters. The runner writes the results; a worker sends its answer through a pipe, and keeps only what it has begun.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from piwsl_lab.study.grid import Cell
from piwsl_lab.study.store import Store, fields_of

WORKER = (sys.executable, "-m", "piwsl_lab.study.worker")
THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
ATTEMPTS = 2  # a worker may die of something that is not the run's fault
TICK = 0.5  # s between two looks at the clock
PATIENCE = 30.0  # s a worker is given to end by itself: the step in hand, and the writing of what is kept


@dataclass
class Progress:
    """How far a study is: one state a run, and what the finished ones took.

    Attributes
    ----------
    cells : list of Cell
        All that were asked for, in the order they are run.
    state : dict
        "waiting", "running", "done" or "failed" by key.
    steps : dict
        (step, steps) of the running ones by key.
    seconds : dict
        Seconds from start to end of the finished ones by key.
    """

    cells: Sequence[Cell]
    state: dict[str, str]
    seconds: dict[str, float] = field(default_factory=dict)
    steps: dict[str, tuple[int, int]] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)
    workers: int = 1

    def count(self, state: str, method: str | None = None) -> int:
        """Cells in a state, of one method or of all."""
        return sum(self.state[c.key] == state and method in (None, c.method) for c in self.cells)

    def estimate(self, cell: Cell) -> float | None:
        """Seconds a run will take, from the finished ones that are most like it; None before there is any."""
        done = [c for c in self.cells if c.key in self.seconds]
        for alike in (
            [c for c in done if (c.method, c.where) == (cell.method, cell.where)],
            [c for c in done if (c.method, c.setup.data) == (cell.method, cell.setup.data)],
            [c for c in done if c.method == cell.method],
            done,
        ):
            if alike:
                return fmean(self.seconds[c.key] for c in alike)
        return None

    def seconds_left(self) -> float | None:
        """Seconds until the last run ends, if all workers stay busy; None before anything has finished."""
        total = 0.0
        for cell in {c.key: c for c in self.cells if self.state[c.key] in ("waiting", "running")}.values():
            estimate = self.estimate(cell)
            if estimate is None:
                return None
            spent = time.monotonic() - self.started[cell.key] if self.state[cell.key] == "running" else 0.0
            total += max(estimate - spent, 0.0)
        return total / self.workers


Watch = Callable[[Progress, str], None]


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    workers: int = 1,
    retry: bool = False,
    limit: float | None = None,
    watch: Watch | None = None,
    command: Sequence[str] = WORKER,
) -> Progress:
    """Run every cell that has no result yet.

    Parameters
    ----------
    cells : sequence of Cell
        In the order they are to be run.
    store : Store
    workers : int
        Processes that train at the same time.
    retry : bool
        Run those again that failed before.
    limit : float, optional
        Seconds after which the study is to stop; no run starts that would not end in time.
    watch : callable, optional
        Called as watch(progress, news) with news of one line, or "" when only time has passed.
    command : sequence of str
        Starts a worker.

    Raises
    ------
    ValueError
        Another runner holds the folder, or workers cannot be started.
    """
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    with store.lock():
        store.clean()
        progress = look(cells, store, retry)
        waiting = {c.key: c for c in cells if progress.state[c.key] == "waiting"}
        progress.workers = max(1, min(workers, len(waiting)))
        pool = _Pool(progress, store, deque(waiting.values()), watch or (lambda *_: None), command, limit)
        try:
            pool.run()
        finally:
            pool.close()
    return progress


def look(cells: Sequence[Cell], store: Store, retry: bool = False) -> Progress:
    """What is finished already, without running anything."""
    finished, failed = store.finished(), store.failed()
    progress = Progress(cells, {c.key: "waiting" for c in cells})
    for cell in cells:
        if cell.key in finished:
            progress.state[cell.key] = "done"
            stored = store.load(cell, finished[cell.key])
            if "wall" in stored:
                progress.seconds[cell.key] = stored["wall"]
        elif cell.key in failed and not retry:
            progress.state[cell.key] = "failed"
    return progress


class _Worker:
    """A worker process, and the thread that reads its answers into the pool's queue."""

    def __init__(self, command: Sequence[str], answers: queue.Queue) -> None:
        self.cell: Cell | None = None
        self.ready = False
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, encoding="utf-8",
            env={**os.environ, **THREADS},
        )  # fmt: skip
        self.thread = threading.Thread(target=self._listen, args=(answers,), daemon=True)
        self.thread.start()

    def _listen(self, answers: queue.Queue) -> None:
        try:
            for line in self.process.stdout:
                answers.put((self, json.loads(line)))
        except ValueError:
            pass  # it died in the middle of a line
        answers.put((self, None))

    def give(self, cell: Cell, progress: Path) -> None:
        """Send a run, and where it keeps what it has done."""
        self.cell = cell
        try:
            self.process.stdin.write(json.dumps({**fields_of(cell), "progress": str(progress)}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has just died: its thread will say so

    def ending(self) -> str:
        """How it died, in words: the signal or exit code, and the last line it wrote."""
        code = self.process.wait()
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").strip().splitlines()
        how = f"signal {-code}" + (", out of memory?" if code == -9 else "") if code < 0 else f"exit code {code}"
        return f"the worker ended with {how}" + (f": {lines[-1]}" if lines else "")

    def end(self) -> None:
        """Ask it to end; a run in hand is kept first. It is asked once, so that nothing breaks off the keeping."""
        if self.cell is not None:
            self.process.terminate()
            return
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def close(self) -> None:
        """Wait for a worker that was asked to end, or has died."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.thread.join(PATIENCE)
        self.process.stdout.close()
        self.log.close()


class _Pool:
    """The workers and the runs that wait for them."""

    def __init__(
        self,
        progress: Progress,
        store: Store,
        waiting: deque[Cell],
        watch: Watch,
        command: Sequence[str],
        limit: float | None,
    ) -> None:
        self.progress, self.store, self.waiting, self.watch, self.command = progress, store, waiting, watch, command
        self.deadline = None if limit is None else time.monotonic() + limit
        self.answers: queue.Queue[tuple[_Worker, dict[str, Any] | None]] = queue.Queue()
        self.workers: list[_Worker] = []
        self.attempts: dict[str, int] = {}

    def run(self) -> None:
        """Until nothing waits and nothing runs, or the time is up."""
        self.watch(self.progress, "")
        while self._has_work() and not self._time_is_up():
            while len(self.workers) < min(self.progress.workers, self._busy() + len(self.waiting)):
                self.workers.append(_Worker(self.command, self.answers))
            self._hand_out()
            try:
                worker, answer = self.answers.get(timeout=TICK)
            except queue.Empty:
                self.watch(self.progress, "")
                continue
            self.watch(self.progress, self._take(worker, answer))

    def close(self) -> None:
        """End all workers at the same time; each keeps what it has done of its run."""
        for worker in self.workers:
            worker.end()
        for worker in self.workers:
            worker.close()
        self.workers.clear()

    def _busy(self) -> int:
        return sum(worker.cell is not None for worker in self.workers)

    def _has_work(self) -> bool:
        return self._busy() > 0 or (bool(self.waiting) and self._fits(self.waiting[0]))

    def _time_is_up(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def _fits(self, cell: Cell) -> bool:
        return self.deadline is None or time.monotonic() + (self.progress.estimate(cell) or 0.0) < self.deadline

    def _hand_out(self) -> None:
        """Give every idle worker a run."""
        for worker in self.workers:
            if worker.ready and worker.cell is None and self.waiting and self._fits(self.waiting[0]):
                cell = self.waiting.popleft()
                self.progress.state[cell.key] = "running"
                self.progress.started[cell.key] = time.monotonic()
                worker.give(cell, self.store.progress(cell))

    def _take(self, worker: _Worker, answer: dict[str, Any] | None) -> str:
        """Act on one message of a worker; the news in one line, or ""."""
        if answer is None:
            return self._bury(worker)
        if "step" in answer:
            self.progress.steps[worker.cell.key] = (answer["step"], answer["steps"])
        elif "ready" in answer:
            worker.ready = True
        else:
            return self._settle(worker, answer)
        return ""

    def _settle(self, worker: _Worker, answer: dict[str, Any]) -> str:
        """Store what became of a worker's run."""
        cell, worker.cell = worker.cell, None
        seconds = time.monotonic() - self.progress.started[cell.key]
        self.progress.steps.pop(cell.key, None)
        self.store.write(cell, answer | {"wall": round(seconds, 3)})
        if "failed" in answer:
            self.progress.state[cell.key] = "failed"
            return f"{cell.title}: failed. {answer['failed']}"
        self.progress.state[cell.key] = "done"
        self.progress.seconds[cell.key] = seconds
        return f"{cell.title}: done in {seconds:.1f} s"

    def _bury(self, worker: _Worker) -> str:
        """A worker died: its run is tried once more, then it has failed."""
        self.workers.remove(worker)
        cell, ending = worker.cell, worker.ending()
        if not worker.ready:
            worker.close()
            raise ValueError(f"a worker cannot start: {ending}. Try `{' '.join(self.command)}` by hand")
        news = ""
        if cell is not None:
            self.attempts[cell.key] = self.attempts.get(cell.key, 0) + 1
            if self.attempts[cell.key] < ATTEMPTS:
                self.progress.state[cell.key] = "waiting"
                self.waiting.appendleft(cell)
                news = f"{cell.title}: tried again, {ending}"
            else:
                news = self._settle(worker, {"failed": f"{ending} ({ATTEMPTS} times)"})
        worker.close()
        return news
