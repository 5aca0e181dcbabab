"""`FlightSession`: twins and an oracle that start from one frame with the same velocities and fly side by side.

It knows nothing of widgets: a cell or a test drives it with `run(n)`, a button with `start()` and `stop()`. Whoever
wants to draw reads `tracks`, lists of plain arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from piwsl_lab.analysis.spectra import bond_lengths
from piwsl_lab.analysis.survival import Bonds, reference_bonds
from piwsl_lab.data import Dataset, Frame
from piwsl_lab.lab.sessions.loop import Driven
from piwsl_lab.md.constraints import words
from piwsl_lab.md.limits import check_atoms, check_states
from piwsl_lab.md.simulation import Simulation
from piwsl_lab.md.snapshot import Snapshot

EVERY = 4  # steps between two states that are kept
MOST_STATES = 2000  # of a track; then every second one is let go, and half as many are kept from there on
LONGEST = 200_000  # steps
STATES = ("positions", "forces", "temperature", "change", "stretch", "alive")


@dataclass
class Track:
    """What is known of one twin's flight: states at T times of S replicas with n atoms each.

    Attributes
    ----------
    time : list of float, fs
    positions : list of array [S, n, 3], Å
    forces : list of array [S, n, 3], eV/Å
    temperature : list of array [S], K
    change : list of array [S], eV
        Of the conserved energy since the start.
    stretch : list of array [S], Å
        The largest distance of a bond from its length in the reference.
    alive : list of array [S], bool
    """

    bonds: Bonds
    frame: Frame
    time: list[float] = field(default_factory=list)
    positions: list[np.ndarray] = field(default_factory=list)
    forces: list[np.ndarray] = field(default_factory=list)
    temperature: list[np.ndarray] = field(default_factory=list)
    change: list[np.ndarray] = field(default_factory=list)
    stretch: list[np.ndarray] = field(default_factory=list)
    alive: list[np.ndarray] = field(default_factory=list)
    _start: np.ndarray | None = None

    def append(self, snapshot: Snapshot) -> None:
        """Note a state."""
        for name in STATES:  # what was broken off in the middle of a state
            del getattr(self, name)[len(self.time) :]
        if self._start is None:
            self._start = snapshot.conserved
        shape = (-1, len(self.frame), 3)
        positions = snapshot.positions.reshape(shape)
        lengths = bond_lengths(positions, self.bonds.pairs, self.frame)
        self.positions.append(positions.astype(np.float32))
        self.forces.append(snapshot.forces.reshape(shape).astype(np.float32))
        self.temperature.append(snapshot.temperature)
        self.change.append(snapshot.conserved - self._start)
        self.stretch.append(np.abs(lengths - self.bonds.length).max(axis=1, initial=0.0))
        self.alive.append(snapshot.alive)
        self.time.append(snapshot.time)  # last: a reader counts the times

    def thinned(self) -> Track:
        """The same without every second state; the first and the last stay. Who reads this one is not disturbed."""
        keep = sorted({*range(0, len(self.time), 2), len(self.time) - 1})
        kept: dict[str, Any] = {name: [getattr(self, name)[k] for k in keep] for name in (*STATES, "time")}
        return replace(self, **kept)

    def at(self, time: float) -> int:
        """Index of the state nearest to a time (fs)."""
        return int(np.abs(np.asarray(self.time) - time).argmin())


class FlightSession(Driven):
    """Simulations that start alike, in turn, with or without a screen.

    Parameters
    ----------
    sources : mapping of name → Potential or Oracle, or a function that returns one
        A function is asked again at every new start: potentials that train on meanwhile fly as they are then.
    frame : Frame
        Where all start. Its masses and constraints are used.
    replicas : int
        Copies with velocities of their own, the same for every twin.
    temperature, time_step, ensemble, seed
        As for `piwsl_lab.md.Simulation`; temperature and time step may be set while it runs.
    reference : Dataset, optional
        Frames whose mean bond lengths the stretch is measured from; the frame itself by default.

    Raises
    ------
    ValueError
        Nothing to fly, a setting that makes no sense, or more atoms than fit.
    """

    BUSY: ClassVar[str] = "flying"
    THREAD: ClassVar[str] = "piwsl-flight"
    INTERRUPTED: ClassVar[str] = "Stopped by the kernel's interrupt. Fly goes on where it stopped."

    def __init__(
        self,
        sources: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
        frame: Frame,
        *,
        replicas: int = 4,
        temperature: float = 300.0,
        time_step: float = 0.5,
        ensemble: str = "nve",
        seed: int = 0,
        reference: Sequence[Frame] | None = None,
    ) -> None:
        super().__init__()
        self._sources = sources if callable(sources) else lambda: sources
        self.settings: dict[str, Any] = {
            "replicas": replicas, "temperature": temperature, "time_step": time_step, "ensemble": ensemble,
            "seed": seed,
        }  # fmt: skip
        self.frame, self.reference = frame, reference
        self.reset()

    def reset(self, frame: Frame | None = None, **settings: Any) -> None:
        """Stop, and start anew from the frame, with other settings if given; on failure all stays as it was."""
        self.stop()
        frame = frame or self.frame
        wanted = self.settings | settings
        if wanted["replicas"] < 1:
            raise ValueError(f"replicas={wanted['replicas']} must be 1 or larger")
        check_atoms(wanted["replicas"], len(frame))
        check_states(MOST_STATES, wanted["replicas"] * len(frame))
        options = {name: wanted[name] for name in ("temperature", "time_step", "ensemble", "seed")}
        starts = Dataset([frame])[[0] * wanted["replicas"]]
        sources = dict(self._sources())
        if not sources:
            raise ValueError("nothing to fly: give sources={'name': potential or oracle}")
        simulations = {name: Simulation(source, starts, **options) for name, source in sources.items()}
        same = [f.positions for f in self.reference or () if np.array_equal(f.numbers, frame.numbers)]
        bonds = reference_bonds(frame, np.stack(same) if same else None)
        tracks = {name: Track(bonds, frame) for name in simulations}
        for name, simulation in simulations.items():
            tracks[name].append(simulation.snapshot())
        with self.lock:
            self.frame, self.settings, self.every = frame, wanted, EVERY
            self.error, self.notice = None, ""
            self.simulations, self.tracks = simulations, tracks

    @property
    def finished(self) -> bool:
        """Whether every replica of every twin is lost, or the longest flight was made."""
        return all(s.finished or s.step_count >= LONGEST for s in self.simulations.values())

    @property
    def held(self) -> str:
        """Which atoms a constraint holds, in words; "" where none is."""
        return words([self.frame])

    @property
    def time(self) -> float:
        """Time of the twin that flew farthest, fs."""
        return max(simulation.time for simulation in self.simulations.values())

    def set_temperature(self, kelvin: float) -> None:
        """For all twins at once: a bath takes it over, at constant energy the velocities are scaled to it."""
        self._set("temperature", float(kelvin))

    def set_time_step(self, femtoseconds: float) -> None:
        self._set("time_step", float(femtoseconds))

    def _set(self, name: str, value: float) -> None:
        with self.lock:
            for simulation in self.simulations.values():
                setattr(simulation, name, value)
            self.settings[name] = value

    def run(self, steps: int) -> FlightSession:
        """Take steps and come back; exceptions are raised here."""
        self._run_here(self.steps_taken + steps, announce=False)
        return self

    @property
    def steps_taken(self) -> int:
        """Of the twin that flew farthest."""
        return max(simulation.step_count for simulation in self.simulations.values())

    def _advance(self, last: float) -> None:
        """A few steps of every twin, in turn, up to step `last`.

        A twin that is ahead, because the one after it failed, waits for the others.
        """
        flying = {name: one for name, one in self.simulations.items() if not one.finished}
        counts = [one.step_count for one in flying.values()]
        ahead, behind = max(counts, default=0), min(counts, default=0)
        target = min(ahead if ahead > behind else behind + self.every, last)
        for name, simulation in flying.items():
            while simulation.step_count < target and not simulation.finished:
                simulation.step()
            if self.tracks[name].time[-1] != simulation.time:
                self.tracks[name].append(simulation.snapshot())
        if max(len(track.time) for track in self.tracks.values()) >= MOST_STATES:
            self.tracks = {name: track.thinned() for name, track in self.tracks.items()}
            self.every *= 2
