"""Seconds per frame, and memory above the imported library, of what is done with large periodic frames.

    python benchmarks/large_frames.py

Every line is measured in a process of its own, one thread, on four rattled frames of rock salt with labels. Except in
the first, these frames are there already when the clock starts and the memory is read.
"""

from __future__ import annotations

import argparse
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from piwsl_lab.atoms.neighbours import neighbours
from piwsl_lab.data import load
from piwsl_lab.md.forces import LearnedForces
from piwsl_lab.models import PaiNN

SIDES = {1000: 5, 5000: 9}  # cells of 8 atoms along each side, which are cut to so many atoms
FRAMES = 4
CUTOFF = 5.5  # Å
TASKS = ("read", "split", "budget", "copy", "pickle", "neighbours", "rebuild")


def salt(atoms: int) -> list[Atoms]:
    """Labelled frames of so many atoms, as ASE has them."""
    crystal = (bulk("NaCl", "rocksalt", a=5.64, cubic=True) * ((SIDES[atoms],) * 3))[:atoms]
    images = []
    for seed in range(FRAMES):
        image = crystal.copy()
        image.rattle(0.05, seed=seed)
        image.calc = SinglePointCalculator(image, energy=-3.0 * atoms - seed, forces=np.zeros((atoms, 3)))
        images.append(image)
    return images


def measured(task: str, path: str) -> tuple[float, float]:
    """Seconds per frame of one task, and MB that the process grew by."""
    torch.set_num_threads(1)
    data = None if task == "read" else load(path)
    work: dict[str, Callable[[], object]] = {
        "read": lambda: load(path),
        "split": lambda: data.split(2, 1),
        "budget": lambda: data.budget(2, 1),
        "copy": lambda: data.unlabelled(),
        "pickle": lambda: pickle.loads(pickle.dumps(data)),
        "neighbours": lambda: [neighbours(frame, CUTOFF) for frame in data],
    }
    if task == "rebuild":
        potential = PaiNN(elements=data.elements, channels=8, layers=1)
        potential.reference = dict.fromkeys(data.elements, 0.0)
        field = LearnedForces(potential, data)
        here = field.origin + 1.0
        work["rebuild"] = lambda: field.refresh(here)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    kept = work[task]()
    seconds = time.perf_counter() - start
    del kept
    return seconds / FRAMES, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)  # in the processes that this one starts
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(*measured(arguments.task, arguments.file))
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    print("| task | atoms | seconds per frame | MB above the import |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for atoms in SIDES:
            path = Path(folder) / f"salt-{atoms}.xyz"
            write(path, salt(atoms), format="extxyz")
            for task in TASKS:
                command = [sys.executable, __file__, "--task", task, "--file", str(path)]
                done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
                seconds, mb = (float(word) for word in done.stdout.split()[-2:])
                print(f"| {task} | {atoms} | {seconds:.3f} | {mb:.0f} |", flush=True)


if __name__ == "__main__":
    main()
