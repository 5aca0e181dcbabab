"""Runs the cells of a study in worker processes, keeps every finished one and tells how far it is.

A run's numbers depend on its fields alone: each worker has one thread, and neither the number of workers nor the order
enters. The engine writes the results; a worker sends its answer through a pipe, and keeps only what it has begun.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from piwsl_lab.study.grid import Cell, data_folder
from piwsl_lab.study.store import Store, fields_of
from piwsl_lab.study.worker import WORKER, Answer, Worker

ATTEMPTS = 2  # a worker may die of something that is not the run's fault
TICK = 0.5  # s between two looks at the clock


@dataclass
class StudyProgress:
    """How far a study is: one state per run, and what the finished ones took.

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


Watch = Callable[[StudyProgress, str], None]


def run_cells(
    cells: Sequence[Cell],
    store: Store,
    *,
    workers: int = 1,
    retry: bool = False,
    limit: float | None = None,
    watch: Watch | None = None,
    command: Sequence[str] = WORKER,
    study: Path | None = None,
) -> StudyProgress:
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
    study : Path, optional
        The TOML file, by which data files are found that are named relative to it (`data_folder`).

    Raises
    ------
    ValueError
        Another engine holds the folder, or workers cannot be started.
    """
    if workers < 1:
        raise ValueError(f"workers={workers} must be at least 1")
    with store.lock():
        store.clean()
        progress = progress_of(cells, store, retry)
        waiting = {c.key: c for c in cells if progress.state[c.key] == "waiting"}
        progress.workers = max(1, min(workers, len(waiting)))
        pool = _Pool(progress, store, deque(waiting.values()), watch or (lambda *_: None), command, limit, study)
        try:
            pool.run()
        finally:
            pool.close()
    return progress


def progress_of(cells: Sequence[Cell], store: Store, retry: bool = False) -> StudyProgress:
    """What is finished already, without running anything."""
    finished, failed = store.finished(), store.failed()
    progress = StudyProgress(cells, {c.key: "waiting" for c in cells})
    for cell in cells:
        if cell.key in finished:
            progress.state[cell.key] = "done"
            stored = store.load(cell, finished[cell.key])
            if "wall" in stored:
                progress.seconds[cell.key] = stored["wall"]
        elif cell.key in failed and not retry:
            progress.state[cell.key] = "failed"
    return progress


class _Pool:
    """The workers and the runs that wait for them."""

    def __init__(
        self,
        progress: StudyProgress,
        store: Store,
        waiting: deque[Cell],
        watch: Watch,
        command: Sequence[str],
        limit: float | None,
        study: Path | None,
    ) -> None:
        self.progress, self.store, self.waiting, self.watch, self.command = progress, store, waiting, watch, command
        self.study = study
        self.deadline = None if limit is None else time.monotonic() + limit
        self.answers: queue.Queue[tuple[Worker, Answer | None]] = queue.Queue()
        self.workers: list[Worker] = []
        self.in_hand: dict[Worker, Cell] = {}
        self.attempts: dict[str, int] = {}

    def run(self) -> None:
        """Until nothing waits and nothing runs, or the time is up."""
        self.watch(self.progress, "")
        while self._has_work() and not self._time_is_up():
            while len(self.workers) < min(self.progress.workers, len(self.in_hand) + len(self.waiting)):
                self.workers.append(Worker(self.command, self.answers))
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
            worker.end(busy=worker in self.in_hand)
        for worker in self.workers:
            worker.close()
        self.workers.clear()

    def _has_work(self) -> bool:
        return bool(self.in_hand) or (bool(self.waiting) and self._fits(self.waiting[0]))

    def _time_is_up(self) -> bool:
        return self.deadline is not None and time.monotonic() > self.deadline

    def _fits(self, cell: Cell) -> bool:
        return self.deadline is None or time.monotonic() + (self.progress.estimate(cell) or 0.0) < self.deadline

    def _hand_out(self) -> None:
        """Give every idle worker a run."""
        for worker in self.workers:
            if worker.ready and worker not in self.in_hand and self.waiting and self._fits(self.waiting[0]):
                cell = self.waiting.popleft()
                self.progress.state[cell.key] = "running"
                self.progress.started[cell.key] = time.monotonic()
                self.in_hand[worker] = cell
                folder = data_folder(cell.setup, self.study) if self.study else Path.cwd()
                where = {"progress": str(self.store.progress(cell).absolute()), "folder": str(folder)}
                worker.give({**fields_of(cell), **where})

    def _take(self, worker: Worker, answer: Answer | None) -> str:
        """Act on one message of a worker; the news in one line, or ""."""
        if answer is None:
            return self._bury(worker)
        if "ready" in answer:
            worker.ready = True
        elif "step" in answer:
            self.progress.steps[self.in_hand[worker].key] = (answer["step"], answer["steps"])
        else:
            return self._settle(self.in_hand.pop(worker), answer)
        return ""

    def _settle(self, cell: Cell, answer: Answer) -> str:
        """Store what became of a run."""
        seconds = time.monotonic() - self.progress.started[cell.key]
        self.progress.steps.pop(cell.key, None)
        self.store.write(cell, answer | {"wall": round(seconds, 3)})
        if "failed" in answer:
            self.progress.state[cell.key] = "failed"
            return f"{cell.title}: failed. {answer['failed']}"
        self.progress.state[cell.key] = "done"
        self.progress.seconds[cell.key] = seconds
        return f"{cell.title}: done in {seconds:.1f} s"

    def _bury(self, worker: Worker) -> str:
        """A worker died: its run is tried once more, then it has failed."""
        self.workers.remove(worker)
        cell, ending = self.in_hand.pop(worker, None), worker.ending()
        worker.close()
        if not worker.ready:
            raise ValueError(f"a worker cannot start: {ending}. Try `{' '.join(self.command)}` by hand")
        if cell is None:
            return ""
        self.attempts[cell.key] = self.attempts.get(cell.key, 0) + 1
        if self.attempts[cell.key] >= ATTEMPTS:
            return self._settle(cell, {"failed": f"{ending} ({ATTEMPTS} times)"})
        self.progress.state[cell.key] = "waiting"
        self.waiting.appendleft(cell)
        return f"{cell.title}: tried again, {ending}"
