"""Processor seconds per frame, and memory above the imported library, of what is done with large periodic frames.

    python benchmarks/large_frames.py

Every number is measured in a process of its own, one thread, on six rattled frames of rock salt with the labels of
springs. Except for reading, these frames are there already when the clock starts. The peak of the memory is cleared
then (Linux only), so that nothing hides below what loading took.
"""

from __future__ import annotations

import argparse
import os
import pickle
import re
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
from piwsl_lab.data import read
from piwsl_lab.md.forces import LearnedForces
from piwsl_lab.models import PaiNN

SIDES = {1000: 5, 5000: 9}  # cells of 8 atoms along each side, which are cut to so many atoms
FRAMES = 6
SPRING = 5.0  # eV/Å², of every atom to its site
CUTOFF = 5.5  # Å
TASKS = {
    "read": "read from extxyz",
    "check": "`Dataset.check`",
    "split": "split, copies looked for",
    "budget": "budget of labels",
    "copy": "hide labels",
    "pickle": "pickle and back",
    "neighbours": f"neighbours within {CUTOFF} Å",
    "rebuild": "neighbours of moving atoms made anew",
}


def salt(atoms: int) -> list[Atoms]:
    """Labelled frames of so many atoms, as ASE has them."""
    crystal = (bulk("NaCl", "rocksalt", a=5.64, cubic=True) * ((SIDES[atoms],) * 3))[:atoms]
    images = []
    for seed in range(FRAMES):
        image = crystal.copy()
        image.rattle(0.05, seed=seed)
        moved = image.positions - crystal.positions
        energy = -3.0 * atoms + 0.5 * SPRING * float((moved**2).sum())
        image.calc = SinglePointCalculator(image, energy=energy, forces=-SPRING * moved)
        images.append(image)
    return images


def measured(task: str, path: str) -> tuple[float, float]:
    """Seconds per frame of one task, and MB that the process grew by."""
    torch.set_num_threads(1)
    data = None if task == "read" else read(path)
    work: dict[str, Callable[[], object]] = {
        "read": lambda: read(path),
        "check": lambda: data.check(),
        "split": lambda: data.split(2, 1),
        "budget": lambda: data.budget(2, 1),
        "copy": lambda: data.unlabelled(),
        "pickle": lambda: pickle.loads(pickle.dumps(data)),
        "neighbours": lambda: [neighbours(frame, CUTOFF) for frame in data],
    }
    if task == "rebuild":
        potential = PaiNN(elements=data.elements, channels=8, layers=1)
        potential.reference = dict.fromkeys(data.elements, 0.0)
        lists = LearnedForces(potential, data).neighbours
        moved = torch.from_numpy(np.concatenate([frame.positions for frame in data])) + 1.0
        work["rebuild"] = lambda: lists.refresh(moved)
    before = peak(clear=True)
    start = time.process_time()
    kept = work[task]()
    seconds = time.process_time() - start
    del kept
    return seconds / FRAMES, peak() - before


def peak(clear: bool = False) -> float:
    """The most memory that this process held, MB; since now where `clear` is asked for."""
    if clear:
        Path("/proc/self/clear_refs").write_text("5")  # see proc(5): the peak becomes what is held now
    held = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(held[1]) / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)  # in the processes that this one starts
    parser.add_argument("--file", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(*measured(arguments.task, arguments.file))
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    sizes = " | ".join(f"{atoms} atoms, s | MB" for atoms in SIDES)
    print(f"| task | {sizes} |\n|---{'|---' * 2 * len(SIDES)}|")
    with tempfile.TemporaryDirectory() as folder:
        files = {atoms: str(Path(folder) / f"salt-{atoms}.xyz") for atoms in SIDES}
        for atoms, path in files.items():
            write(path, salt(atoms), format="extxyz")
        for task, title in TASKS.items():
            found = [run(task, path, environment) for path in files.values()]
            print(f"| {title} | {' | '.join(found)} |", flush=True)


def run(task: str, path: str, environment: dict[str, str]) -> str:
    """Seconds and MB of a task, as cells of the table."""
    command = [sys.executable, __file__, "--task", task, "--file", path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    seconds, mb = (float(word) for word in done.stdout.split()[-2:])
    return f"{'below 0.001' if seconds < 0.0005 else f'{seconds:.3f}'} | {mb:.0f}"


if __name__ == "__main__":
    main()
