"""What it brings to keep the memory of a step: what glibc does by itself against `keep_memory`.

Steps of a training, and forces of 32 replicas.

    python benchmarks/memory.py [--rounds 8] [--json OUT]

A choice holds for a whole process, so each contender has one; they take turns, so a busy machine slows them alike: read
the ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from functools import partial

import torch

from piwsl_lab.data import load
from piwsl_lab.md.forces import LearnedForces
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective, suited
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import build_trainer, prepare
from piwsl_lab.support.memory import keep_memory

STEPS = 5  # of one turn


def work(data: str, what: str, contender: str) -> None:
    """Answer every line of standard input with the milliseconds of a step."""
    if contender == "kept":
        keep_memory()
    torch.set_num_threads(1)
    head = what.split()[0]
    if what == head:
        setup = Setup(data=data, head=head, steps=10**6, device="cpu")
        step = build_trainer(setup, prepare(setup), Objective(**suited(head))).step
    else:
        frames = load(data)[[0] * 32]
        forces = LearnedForces(build("painn", elements=frames.elements, head=head).calibrate(load(data)[:9]), frames)
        step = partial(forces, forces.graph.positions.double())
    for _ in sys.stdin:
        step()
        clock = time.perf_counter()
        for _ in range(STEPS):
            step()
        print(1000 * (time.perf_counter() - clock) / STEPS, flush=True)


def measure(data: str, head: str, rounds: int) -> dict[str, float | str]:
    command = [sys.executable, __file__, "--work", data, head]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = {name: subprocess.Popen([*command, name], **pipes) for name in ("given", "kept")}
    times: dict[str, list[float]] = {name: [] for name in workers}
    for _ in range(rounds + 1):
        for name, worker in workers.items():
            worker.stdin.write("\n")
            worker.stdin.flush()
            times[name].append(float(worker.stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    given, kept = (statistics.median(values[1:]) for values in times.values())
    return {"data": data, "head": head, "given_back_ms": given, "kept_ms": kept, "ratio": kept / given}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", metavar="OUT")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(*arguments.work)
        return
    found = []
    for data in ("ethanol", "aspirin"):
        for head in ("direct", "conservative", "dual", "direct forces", "conservative forces"):
            row = measure(data, head, arguments.rounds)
            found.append(row)
            times = f"{row['given_back_ms']:6.1f} → {row['kept_ms']:6.1f} ms a step"
            print(f"{data:8} {head:19} {times}, × {row['ratio']:.2f}", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
