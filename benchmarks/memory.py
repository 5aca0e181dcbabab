"""What it brings to keep the memory of a step: training steps with glibc's own thresholds against `keep_memory`.

    python benchmarks/memory.py [--rounds 8] [--json OUT]

Both take turns inside one process, so a busy machine slows them alike: read the ratios.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import time

import torch

from piwsl_lab import memory
from piwsl_lab.objective import Objective, suited
from piwsl_lab.study import Setup, build_trainer, prepare

GLIBC = 128 * 1024  # bytes, both thresholds as glibc begins
STEPS = 5  # of one turn


def forget() -> None:
    """Give memory back at once, as glibc does when nobody asks."""
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(memory._TRIM_THRESHOLD, GLIBC)
    mallopt(memory._MMAP_THRESHOLD, GLIBC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", metavar="OUT")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for data in ("ethanol", "aspirin"):
        for head in ("direct", "conservative", "dual"):
            setup = Setup(data=data, head=head, steps=10**6, device="cpu")
            trainer = build_trainer(setup, prepare(setup), Objective(**suited(head)))
            times: dict[str, list[float]] = {"given back": [], "kept": []}
            for _ in range(arguments.rounds + 1):
                for title, choose in (("given back", forget), ("kept", memory.keep_memory.__wrapped__)):
                    choose()
                    trainer.step()
                    clock = time.perf_counter()
                    for _ in range(STEPS):
                        trainer.step()
                    times[title].append((time.perf_counter() - clock) / STEPS)
            given, kept = (1000 * statistics.median(values[1:]) for values in times.values())
            found.append({"data": data, "head": head, "given_back_ms": given, "kept_ms": kept, "ratio": kept / given})
            print(f"{data:8} {head:13} {given:6.1f} → {kept:6.1f} ms a step, × {kept / given:.2f}", flush=True)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
