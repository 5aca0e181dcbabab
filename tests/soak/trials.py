"""A trial of the soak: what a panel must show, how long that may take, what is noted of it."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import NamedTuple

import browser
from playwright.sync_api import Error as PageError
from playwright.sync_api import TimeoutError as PageTimeout

FEW = 6  # points: fewer are no curve
MISSING = ("model not found", "Error displaying widget", "Error creating widget", "Failed to create view")
# What goes wrong on a page or in a kernel that does not answer; everything else is a mistake of these tests.
FAILURES = (AssertionError, PageError, RuntimeError, TimeoutError, queue.Empty)


def until(condition: Callable[[], object], otherwise: str, seconds: float) -> None:
    """Look three times a second; AssertionError when the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{otherwise} (waited {seconds:.0f} s)")
        time.sleep(0.3)


class Trial(NamedTuple):
    """What came of one trial: seconds until all was right, points in the page and in Python, or what was wrong."""

    scene: str
    number: int
    seconds: float
    page: str
    python: str
    wrong: str

    def line(self) -> str:
        """One line for a reader."""
        said = f"WRONG: {self.wrong}" if self.wrong else "right"
        return f"{self.scene} {self.number}: {said} after {self.seconds:.1f} s, {self.page} points of {self.python}"


class Panel(NamedTuple):
    """A panel in a notebook of two cells, and how Python is asked about it."""

    cells: tuple[str, str]
    name: str
    plots: str
    button: str

    def points(self, kernel: browser.Kernel) -> int:
        """Points of the curves on show, all traces together."""
        return kernel.value(f"sum(len(t.x) if t.x is not None else 0 for t in {self.plots}.figure.data)")

    def running(self, kernel: browser.Kernel) -> bool:
        """Whether it trains or flies."""
        return kernel.value(f"bool({self.name}.session.running)")

    def start(self, kernel: browser.Kernel, page=None) -> None:
        """Train or fly from here on: by its button where a page shows it, by code elsewhere."""
        if page is None:
            kernel.run(f"{self.name}.session.running or {self.name}.session.start()")
        else:
            page.locator("button:visible", has_text=self.button).first.click(timeout=30_000)
        until(lambda: self.running(kernel), f"{self.button} was pressed, and nothing runs", 30)

    def stop(self, kernel: browser.Kernel) -> None:
        """Stop; what is in Python stands still from here on."""
        kernel.run(f"{self.name}.session.stop()")
        until(lambda: not self.running(kernel), "it does not stop", 60)
        # The last drawing comes after the last step.
        until(lambda: kernel.value(f"not {self.name}.drawing.active"), "the drawing does not end", 60)


class Trials:
    """Trials of one scene: one that fails does not stop the others."""

    def __init__(self, scene: str, count: int, patience: float, record: Callable[[Trial], None]) -> None:
        self.scene, self.count, self.patience, self._record = scene, count, patience, record
        self.failed: list[str] = []

    def run(self, attempt: Callable[[Trials], None]) -> None:
        """Try so many times; fails at the end, with how often."""
        for number in range(1, self.count + 1):
            self.page = self.python = "?"
            self.began, self.took, wrong = time.monotonic(), 0.0, ""
            try:
                attempt(self)
            except FAILURES as error:
                wrong = str(error).splitlines()[0] if str(error) else type(error).__name__
                self.failed.append(f"{number}: {wrong}")
            seconds = self.took or time.monotonic() - self.began
            self._record(Trial(self.scene, number, seconds, self.page, self.python, wrong))
        assert not self.failed, f"{len(self.failed)} of {self.count} wrong: " + "; ".join(self.failed)

    def begin(self) -> None:
        """The clock starts: what comes now is what a reader waits for."""
        self.began = time.monotonic()

    def check(self, page, kernel: browser.Kernel, panel: Panel, least: int) -> None:
        """All is there while it runs, and once it stands still page and Python agree to a point.

        The patience begins when the notebook is in the page: how long JupyterLab takes to load is not ours.
        """
        deadline = time.monotonic() + self.patience

        def left() -> float:
            return max(1.0, deadline - time.monotonic())

        def seen() -> int:
            points = browser.points_in_page(page)
            self.page = " + ".join(map(str, points)) or "no plot"
            return sum(points)

        try:
            until(lambda: seen() >= max(FEW, least), f"less than {max(FEW, least)} points in the page", left())
        except AssertionError as error:
            raise AssertionError("; ".join([str(error), *missing(page)])) from error
        until(lambda: has_molecules(page), "a molecule without pixels, or no picture to be had of it", left())
        self.took = time.monotonic() - self.began
        assert panel.running(kernel), "it stopped by itself"
        panel.stop(kernel)
        self.python = str(panel.points(kernel))
        until(lambda: seen() == int(self.python), "the page and Python have different points", 30)
        assert not missing(page), missing(page)


def missing(page) -> list[str]:
    """What the page says of widgets that it does not find."""
    words = page.evaluate("() => document.body.innerText")
    return [text for text in MISSING if text in words]


def has_molecules(page) -> bool:
    """Whether every picture on show has something in it; a page too busy to be photographed is asked again."""
    boxes = [(canvas, canvas.bounding_box()) for canvas in page.locator("canvas:visible").all()]
    large = [canvas for canvas, box in boxes if box and min(box["width"], box["height"]) > 100]
    try:
        stats = [browser.pixel_stats(canvas) for canvas in large]
    except PageTimeout:
        return False
    return bool(stats) and all(s.foreground > 0.005 * s.total and s.colours > 20 for s in stats)
