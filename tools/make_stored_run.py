"""Train the run that notebook 00 shows before anybody has pressed Train, and keep it in piwsl_lab/lab/stored/.

    python tools/make_stored_run.py

It has the settings of notebook 00 and is saved as `Session.save` saves, without weights, and with few snapshots.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from piwsl_lab.lab.sessions.replay import STORED
from piwsl_lab.lab.sessions.saved import CURVES, SESSION
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup

NAME = "quickstart"
SETUP = Setup(data="ethanol", energies=50, forces=50, channels=32, steps=600)
OBJECTIVES = {"supervised": Objective(), "PIWSL": Objective(pitc=100.0, epsilon=0.05)}
EVERY = 4  # steps between two scores
SNAPSHOTS = 40  # of each twin
MOST_BYTES = 400_000


def trained() -> Session:
    """The whole run, on one thread and with scores at fixed steps, so that one machine makes the same file twice."""
    torch.set_num_threads(1)
    session = Session(SETUP, OBJECTIVES, monitor_every=EVERY).run()
    for twin in session.twins:
        kept = np.linspace(0, len(twin.history) - 1, SNAPSHOTS).round().astype(int)
        twin.history = [twin.history[k] for k in kept]
    return session


def main() -> int:
    session = trained()
    with tempfile.TemporaryDirectory() as folder:
        session.save(folder)
        target = STORED / NAME
        target.mkdir(parents=True, exist_ok=True)
        for file in (SESSION, f"{CURVES}.safetensors"):
            shutil.copy(Path(folder) / file, target / file)
    size = sum(file.stat().st_size for file in target.iterdir())
    for twin in session.twins:
        energy, force = 1000 * twin.final.energy_mae, 1000 * twin.final.force_rmse
        print(f"{twin.name}: energy error {energy:.1f} meV per molecule, force error {force:.0f} meV/Å")
    print(f"{target}: {size / 1000:.0f} kB")
    if size > MOST_BYTES:
        print(f"more than {MOST_BYTES / 1000:.0f} kB: keep fewer snapshots", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
