"""What dashboards leave behind: threads, widgets and memory after many of them, and after many flights.

    python benchmarks/leaks.py --dashboards 20 --flights 50

Prints one line before, on the way and after; the numbers at the end are those of F3 in the note.
"""

from __future__ import annotations

import argparse
import gc
import os
import threading
import time
from pathlib import Path

import ipywidgets as W
import psutil

from piwsl_lab.lab.panels.dashboard import Dashboard
from piwsl_lab.lab.panels.face import FLY
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.study.setup import Setup

SMALL = {"energies": 10, "forces": 10, "test": 40, "channels": 16, "layers": 1, "batch_size": 4, "steps": 40}


def widgets() -> int:
    """Widgets that ipywidgets keeps alive."""
    try:
        from ipywidgets.widgets.widget import _instances
    except ImportError:  # ipywidgets 7
        return len(W.Widget.widgets)
    return len(_instances)


def megabytes() -> float:
    gc.collect()
    return psutil.Process(os.getpid()).memory_info().rss / 1e6


def report(what: str) -> tuple[int, int, float]:
    """Print and return threads, widgets and MB as they are now."""
    time.sleep(1.0)  # threads that were told to end
    now = len(threading.enumerate()), widgets(), megabytes()
    print(f"{what:32} {now[0]:4d} threads  {now[1]:5d} widgets  {now[2]:7.1f} MB", flush=True)
    return now


def fly(panel: Dashboard) -> None:
    """Open the Fly tab and let the twins take a few steps."""
    panel.tabs.value = FLY
    if panel.deck is None:
        raise RuntimeError(f"the Fly tab did not open: {panel.status.value}")
    panel.deck.start.click()
    while len(panel.deck.session.tracks["PIWSL"].time) < 2:
        time.sleep(0.01)


def dashboard() -> Dashboard:
    """A new dashboard of a new session that has taken a few steps."""
    panel = Dashboard(Session(Setup(**SMALL), monitor_every=2))
    panel.train.click()
    while panel.session.step < 3:
        time.sleep(0.01)
    return panel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dashboards", type=int, default=20, help="new sessions with new dashboards")
    parser.add_argument("--flights", type=int, default=50, help="times Reset, then Fly")
    options = parser.parse_args()
    if not Path("/proc").is_dir():
        print("memory is read differently here: expect other numbers")
    for _ in range(3):  # what libraries keep once
        panel = dashboard()
        fly(panel)
        panel.reset.click()
        panel.tabs.value = "Errors"
    begin = report("after three of both")
    for k in range(options.flights):
        panel.reset.click()
        fly(panel)
        panel.reset.click()
        panel.tabs.value = "Errors"
        if (k + 1) % 10 == 0:
            report(f"{k + 1} × (Reset, Fly)")
    for k in range(options.dashboards):
        panel = dashboard()
        if (k + 1) % 10 == 0:
            report(f"{k + 1} new dashboards")
    panel.session.stop()
    panel.session.wait()
    panel.reset.click()
    end = report("the end")
    print(
        "difference: {:+d} threads, {:+d} widgets, {:+.1f} MB".format(*(b - a for a, b in zip(begin, end, strict=True)))
    )


if __name__ == "__main__":
    main()
