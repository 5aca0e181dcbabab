"""How much the weights of energies and forces matter to a conservative potential with 50 labels (lesson 04).

    python benchmarks/label_weights.py

Ethanol, the settings of the lesson, three seeds. All weights see the same frames and begin with the same parameters.
The errors are those of test frames, so no default may be chosen by them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from piwsl_lab.lab.players import parts_of_error
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup

WEIGHTS = ((10.0, 100.0), (1.0, 100.0), (0.1, 100.0), (100.0, 100.0), (10.0, 10.0), (10.0, 1.0))
SETUP = Setup(data="ethanol", energies=50, forces=50, channels=32, layers=2, steps=500, head="conservative")


def main() -> None:
    """Print a row for every pair of weights, with a number for each seed."""
    rows: dict[str, list[tuple[float, float]]] = {f"{energy:g} | {force:g}": [] for energy, force in WEIGHTS}
    for seed in range(3):
        objectives = {f"{energy:g} | {force:g}": Objective(energy=energy, force=force) for energy, force in WEIGHTS}
        session = Session(replace(SETUP, seed=seed), objectives).run()
        labels = np.array([frame.energy for frame in session.task.test])
        for twin in session.twins:
            rest = parts_of_error(twin.potential.predict(session.task.test)[0], labels)[1]
            rows[twin.name].append((1000 * rest, 1000 * twin.final.force_rmse))
    print("| energy weight, 1/eV² | force weight, Å²/eV² | rest of the energy error, meV | force RMSE, meV/Å |")
    print("|---|---|---|---|")
    for name, found in rows.items():
        rest, force = (", ".join(f"{value:.0f}" for value in column) for column in zip(*found, strict=True))
        print(f"| {name} | {rest} | {force} |")


if __name__ == "__main__":
    main()
