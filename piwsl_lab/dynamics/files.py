"""A trajectory file that grows while the atoms move and can be read at any moment, also after a kill."""

from __future__ import annotations

import io
from pathlib import Path
from types import TracebackType

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.io.trajectory import Trajectory

from piwsl_lab.data import Dataset
from piwsl_lab.dynamics.snapshot import Snapshot

SUFFIXES = (".extxyz", ".xyz", ".traj")


class TrajectoryFile:
    """Frames of a running simulation, one after the other in one file; a context manager.

    Every frame holds positions, velocities, energy and forces; `info` says which `replica` it is, its `time_fs`, `step`
    and `temperature_k`. A lost replica is not written any more.

    Parameters
    ----------
    path : path
        Ends in .extxyz, .xyz or .traj (ASE's own); a file that is there is an error.
    frames : Dataset of S frames
        Those of the simulation.

    Raises
    ------
    ValueError
        Another suffix, no such folder, or the file exists.
    """

    def __init__(self, path: str | Path, frames: Dataset) -> None:
        self.path, self.frames = Path(path), frames
        if self.path.suffix not in SUFFIXES:
            raise ValueError(f"{path}: cannot write {self.path.suffix!r} files; use one of {', '.join(SUFFIXES)}")
        if not self.path.parent.is_dir():
            raise ValueError(f"{path}: there is no folder {self.path.parent}; make it first")
        if self.path.exists():
            raise ValueError(f"{path} exists; choose another name or remove it")
        if self.path.suffix == ".traj":
            self._trajectory, self._text = Trajectory(str(self.path), "w"), None
        else:
            self._trajectory, self._text = None, self.path.open("wb", buffering=0)
        self._ends = np.cumsum([len(frame) for frame in frames])

    def write(self, snapshot: Snapshot) -> None:
        """Append the replicas that are alive."""
        images = [self._image(snapshot, s) for s in range(len(self.frames)) if snapshot.alive[s]]
        if self._trajectory is not None:
            for atoms in images:
                self._trajectory.write(atoms)
        elif images:
            text = io.StringIO()
            write(text, images, format="extxyz")
            self._text.write(text.getvalue().encode())  # one call, so that a kill leaves no half a frame

    def _image(self, snapshot: Snapshot, s: int) -> Atoms:
        frame = self.frames[s]
        atoms = slice(self._ends[s] - len(frame), self._ends[s])
        image = Atoms(frame.numbers, snapshot.positions[atoms], cell=frame.cell, pbc=frame.pbc)
        image.arrays["velocities_a_per_fs"] = snapshot.velocities[atoms]
        image.info |= {
            "replica": s,
            "step": snapshot.step,
            "time_fs": snapshot.time,
            "temperature_k": float(snapshot.temperature[s]),
        }
        image.calc = SinglePointCalculator(
            image, energy=float(snapshot.potential[s]), forces=snapshot.forces[atoms].copy()
        )
        return image

    def close(self) -> None:
        (self._trajectory or self._text).close()

    def __enter__(self) -> TrajectoryFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
