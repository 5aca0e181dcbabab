"""Molecular dynamics: replicas in one batch against ASE's own driver with the same potential.

    python benchmarks/dynamics.py [--threads 1] [--rounds 12] [--device cpu] [--replicas 32 256 2048] [--json OUT]

Batch and ASE take turns inside one process: read the ratios. `--threads 1` is one core. ASE moves one molecule through
`Calculator`, as a user would. It is slow on a busy machine: stop other work first.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from ase import units
from ase.md.verlet import VelocityVerlet

from piwsl_lab.data import Dataset, load
from piwsl_lab.md import Calculator, Simulation
from piwsl_lab.models import Potential, build

TIME_STEP = 0.5  # fs
STEPS = 10  # of one turn
SMALL_FORCES = 0.01  # of a potential that was never trained: the molecule keeps its shape, and its neighbours


def seconds(action: Callable[[], object]) -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    clock = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - clock


def potential_of(data: Dataset, head: str, device: str) -> Potential:
    torch.manual_seed(0)
    potential = build("painn", elements=data.elements, head=head).calibrate(data[:50])
    potential.scale.fill_(SMALL_FORCES)
    return potential.eval().requires_grad_(False).to(device)


def batch(potential: Potential, data: Dataset, replicas: int) -> Callable[[], object]:
    """One turn of all replicas."""
    simulation = Simulation(potential, data[[0] * replicas], temperature=300.0, time_step=TIME_STEP)
    return lambda: [simulation.step() for _ in range(STEPS)]


def ase(potential: Potential, data: Dataset) -> Callable[[], object]:
    """One turn of one molecule."""
    (atoms,) = data[:1].to_atoms()
    atoms.calc = Calculator(potential)
    spread = np.sqrt(units.kB * 300.0 / atoms.get_masses())[:, None]
    atoms.set_velocities(spread * np.random.default_rng(0).normal(size=(len(atoms), 3)))
    driver = VelocityVerlet(atoms, timestep=TIME_STEP * units.fs)
    return lambda: driver.run(STEPS)


def measure(name: str, head: str, replicas: list[int], rounds: int, device: str) -> list[dict[str, float | str]]:
    """Atom-steps a second of every contender; medians over turns taken in rotation."""
    data = load(name)
    potential = potential_of(data, head, device)
    contenders = {"ASE": (1, ase(potential, data))}
    contenders |= {f"{n} replicas": (n, batch(potential, data, n)) for n in replicas}
    for _, turn in contenders.values():
        turn()
    times: dict[str, list[float]] = {title: [] for title in contenders}
    for _ in range(rounds):
        for title, (_, turn) in contenders.items():
            times[title].append(seconds(turn))
    rates = {title: n * len(data[0]) * STEPS / statistics.median(times[title]) for title, (n, _) in contenders.items()}
    return [
        {"data": name, "head": head, "what": title, "atom_steps_per_second": rate, "times_ase": rate / rates["ASE"]}
        for title, rate in rates.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--replicas", type=int, nargs="+", default=[32])
    parser.add_argument("--json", metavar="OUT")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found = []
    for name in ("ethanol", "aspirin"):
        for head in ("conservative", "direct"):
            for row in measure(name, head, arguments.replicas, arguments.rounds, arguments.device):
                found.append(row)
                print(
                    f"{row['data']:8} {row['head']:13} {row['what']:14} {row['atom_steps_per_second']:>12,.0f} "
                    f"atom-steps/s  {row['times_ase']:6.2f} × ASE",
                    flush=True,
                )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"threads": arguments.threads, "device": arguments.device, "rows": found}, file, indent=1)


if __name__ == "__main__":
    main()
