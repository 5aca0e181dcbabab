"""A trajectory file that grows while the atoms move and can be read at any moment, also after a kill."""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from ase.io.trajectory import TrajectoryWriter

from piwsl_lab.data import Dataset
from piwsl_lab.data.frames.convert import to_atoms
from piwsl_lab.md.snapshot import Snapshot

SUFFIXES = (".extxyz", ".xyz", ".traj")
HEAD = 56  # bytes at the beginning of a .traj that say how many frames it has and where they are listed


class TrajectoryFile:
    """Frames of a running simulation, one after the other in one file; a context manager.

    Every frame holds positions, velocities, energy and forces, and masses, constraints and charge
    of its start. Its `info` says which `replica` it is, its `time_fs`, `step` and `temperature_k`.
    A lost replica is no longer written.

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
        self._ends = np.cumsum([len(frame) for frame in frames])
        # Exclusive: a link of that name is not followed, and no file of another flight is emptied.
        self._text = self.path.open("xb", buffering=0)
        self._trajectory: TrajectoryWriter | None = None
        self._empty = True
        if self.path.suffix == ".traj":
            self._text.close()
            self._trajectory = TrajectoryWriter(str(self.path), "w")

    def write(self, snapshot: Snapshot) -> None:
        """Append the replicas that are alive: all of them, or none.

        Raises
        ------
        OSError
            The disk is full or gone. The file then ends with the frames before, and can be read.
        """
        images = [self._image(snapshot, s) for s in range(len(self.frames)) if snapshot.alive[s]]
        if not images:
            return
        if self._trajectory is not None:
            self._append_images(self._trajectory, images)
        else:
            text = io.StringIO()
            write(text, images, format="extxyz")
            self._append_text(text.getvalue().encode())
        self._empty = False

    def _append_text(self, content: bytes) -> None:
        end, rest = self._text.tell(), memoryview(content)
        try:
            while rest:  # a full disk takes a part
                rest = rest[self._text.write(rest) :]
        except BaseException:  # Ctrl-C too
            self._text.truncate(end)
            self._text.seek(end)
            raise

    def _append_images(self, trajectory: TrajectoryWriter, images: list[Atoms]) -> None:
        size = self.path.stat().st_size
        with self.path.open("rb") as file:
            head = file.read(HEAD)
        try:
            for atoms in images:
                trajectory.write(atoms)
        except BaseException:
            with suppress(OSError):  # it tries to write once more what did not fit
                trajectory.backend.fd.close()
            with self.path.open("r+b", buffering=0) as file:
                file.truncate(size)
                file.write(head)
            self._trajectory = TrajectoryWriter(str(self.path), "a")
            raise

    def _image(self, snapshot: Snapshot, s: int) -> Atoms:
        frame = self.frames[s]
        atoms = slice(self._ends[s] - len(frame), self._ends[s])
        image = to_atoms(frame)
        image.positions = snapshot.positions[atoms]  # this way no constraint is asked
        image.info = {name: frame.info[name] for name in ("charge", "multiplicity") if name in frame.info}
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
        """End the file; one without a frame is removed."""
        (self._text if self._trajectory is None else self._trajectory).close()
        if self._empty:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> TrajectoryFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
