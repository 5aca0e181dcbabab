"""Molecular dynamics of many replicas at once, at constant energy (NVE) or in a heat bath (NVT).

| equation | here |
|---|---|
| velocity Verlet (Swope et al. 1982): v += ½ dt a; r += dt v; a = F(r)/m; v += ½ dt a | `_advance`, "nve" |
| BAOAB (Leimkuhler and Matthews 2013): its middle is r += ½ dt v; bath; r += ½ dt v | `_advance`, "nvt" |
| bath: v = c v + √(1−c²) √(kT/m) ξ, c = exp(−γ dt) | `_bath`, `friction` γ |

A replica whose forces go wild stops with a reason and the last frame that was sound. The others go on. A coordinate
that a constraint of its frame holds has no velocity and is no degree of freedom: it never moves.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import units
from numpy.typing import NDArray
from torch import Tensor

from piwsl_lab.data.frames.frame import FARTHEST
from piwsl_lab.md.constraints import degrees_of_freedom, free_coordinates, masses
from piwsl_lab.md.forces import ForceField, force_field
from piwsl_lab.md.limits import check_atoms, check_steps, checked_seeds, checked_temperatures, checked_time_step
from piwsl_lab.md.noise import Noise
from piwsl_lab.md.snapshot import TOO_LARGE, LostReplica, Snapshot, wild
from piwsl_lab.names import ENSEMBLES

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

FORCE = units.fs**2  # eV/Å/u in Å/fs²; energies of ½mv² are divided by it


class Simulation:
    """Replicas of molecules or crystals that are moved a step at a time.

    Parameters
    ----------
    source : AnyPotential, Oracle or ForceField
    frames : Dataset of S frames
        Where the replicas start; repeat a frame for more replicas of it: `frames[[0] * 8]`. Their masses and
        constraints (`Frame.masses`, `Frame.fixed`) are used.
    temperature : float or S floats, K
        Of the velocities drawn at the start (at constant energy without the drift of the centre, unless an atom is
        held) and of the bath. May be set while it runs: a bath takes it over, at constant energy the velocities are
        scaled to it.
    time_step : float, fs
        May be set while it runs.
    ensemble : "nve" or "nvt"
    friction : float, 1/ps
        γ of the bath.
    seed : int or S ints
        Of velocities and noise. Replica k of seed s has seed s + k, alone or in a batch.

    Raises
    ------
    ValueError
        A setting that makes no sense, or more atoms than fit; the message says which, and the limit.
    """

    def __init__(
        self,
        source: Any,
        frames: Dataset,
        *,
        temperature: float | Sequence[float] = 300.0,
        time_step: float = 0.5,
        ensemble: str = "nve",
        friction: float = 5.0,
        seed: int | Sequence[int] = 0,
    ) -> None:
        if ensemble not in ENSEMBLES:
            raise ValueError(f"ensemble {ensemble!r} does not exist; choose one of {', '.join(ENSEMBLES)}")
        if not len(frames):
            raise ValueError("no frame to start from: give at least one")
        if not (math.isfinite(friction) and friction > 0):
            raise ValueError(f"friction={friction} per ps must be a finite number above 0")
        sizes = [len(frame) for frame in frames]
        check_atoms(len(sizes), -(-sum(sizes) // len(sizes)))
        self.field: ForceField = force_field(source, frames)
        self.frames, self.ensemble, self.friction = self.field.frames, ensemble, friction
        graph = self.field.graph
        self.structure, self.n_replicas = graph.structure, graph.n_structures
        self.device = graph.positions.device
        self.masses = torch.tensor(np.concatenate([masses(frame) for frame in frames]), device=self.device)[:, None]
        self.sizes = sizes
        self._noise = Noise(checked_seeds(seed, len(frames)), self.sizes, self.device)
        free = np.concatenate([free_coordinates(frame) for frame in frames])
        self._free = None if free.all() else torch.tensor(free, device=self.device)  # (N, 3), None: all of them
        self._centred = [ensemble == "nve" and bool(free_coordinates(frame).all()) for frame in frames]
        freedom = [degrees_of_freedom(frame, ensemble == "nve") for frame in frames]
        self._freedom = torch.tensor(freedom, device=self.device)
        self._target = self._temperatures(temperature)
        self.time_step = time_step
        self.step_count, self.time = 0, 0.0
        self.lost: dict[int, LostReplica] = {}
        self.positions = torch.tensor(np.concatenate([f.positions for f in frames]), device=self.device)
        self.velocities = self._maxwell()
        self.heat = torch.zeros(self.n_replicas, dtype=torch.float64, device=self.device)
        self.alive = torch.ones(self.n_replicas, dtype=torch.bool, device=self.device)
        self.potential, self.forces = self._start()

    @property
    def finished(self) -> bool:
        """Whether every replica is lost."""
        return len(self.lost) == self.n_replicas

    @property
    def time_step(self) -> float:
        """Time step dt, fs; may be set while it runs, to at most the limit of `md.limits`."""
        return self._time_step

    @time_step.setter
    def time_step(self, value: float) -> None:
        self._time_step = checked_time_step(value)

    @property
    def temperature(self) -> NDArray[np.float64]:
        """Temperature of the bath, or that the velocities were last drawn or scaled for, [S], K."""
        return self._target.cpu().numpy()

    @temperature.setter
    def temperature(self, value: float | Sequence[float]) -> None:
        target, velocities, heat = self._temperatures(value), self.velocities, self.heat
        if self.ensemble == "nve":
            now = self.temperatures_now()
            factor = torch.where(now > 0, target / now.clamp(min=1e-12), 1.0)
            velocities = velocities * factor.sqrt()[self.structure][:, None]
            heat = heat + self.kinetic(velocities) - self.kinetic()
        self._target, self.velocities, self.heat = target, velocities, heat

    def kinetic(self, velocities: Tensor | None = None) -> Tensor:
        """½ Σ m v² of every replica, [S], eV."""
        v = self.velocities if velocities is None else velocities
        return self._sum((0.5 / FORCE) * self.masses[:, 0] * v.square().sum(1))

    def temperatures_now(self) -> Tensor:
        """Temperature of the present velocities, [S], K; 0 where nothing can move."""
        return 2 * self.kinetic() / (units.kB * self._freedom.clamp(min=1))

    def step(self) -> None:
        """Move every replica that is alive by one time step; the time goes on as long as one of them is.

        A step that an exception ends, or Ctrl-C, leaves all as it was: the next one has the same random numbers.
        """
        if self.finished:
            return
        noise = self._noise.mark()
        try:
            self._take_step()
        except BaseException:
            self._noise.back_to(noise)
            raise

    def _take_step(self) -> None:
        moving = self.alive[self.structure][:, None]
        positions, velocities, heat = self._advance()
        too_close = self.field.too_close(positions)
        finite = self._sum((~(positions.abs() < FARTHEST).all(1)).double()) == 0  # nan is not below
        sound = self.alive & ~too_close & finite
        positions = torch.where(sound[self.structure][:, None] & moving, positions, self.positions)
        potential, forces = self.field(positions)
        velocities = velocities + self._kick(forces)
        sound = sound & self._bounded(forces) & potential.isfinite()
        lost = self.alive & ~sound
        found = self._why_lost(lost, too_close, finite, forces) if bool(lost.any()) else {}
        keep = sound[self.structure][:, None]
        positions = torch.where(keep, positions, self.positions)
        velocities = torch.where(keep, velocities, self.velocities)
        forces = torch.where(keep, forces, self.forces)
        potential = torch.where(sound, potential, self.potential)
        heat = torch.where(sound, heat, self.heat)
        gone = self.lost | found
        time = self.time + self._time_step
        # Nothing but plain assignments from here on: Ctrl-C cannot come between them.
        self.positions, self.velocities, self.forces = positions, velocities, forces
        self.potential, self.heat, self.alive, self.lost = potential, heat, sound, gone
        self.step_count += 1
        self.time = time

    def snapshot(self) -> Snapshot:
        """The present state, on the CPU."""
        kinetic = self.kinetic()
        arrays = {
            "positions": self.positions,
            "velocities": self.velocities,
            "forces": self.forces,
            "potential": self.potential,
            "kinetic": kinetic,
            "conserved": self.potential + kinetic - self.heat,
            "temperature": self.temperatures_now(),
            "alive": self.alive,
        }
        return Snapshot(
            self.step_count, self.time, **{name: value.cpu().numpy().copy() for name, value in arrays.items()}
        )

    def _advance(self) -> tuple[Tensor, Tensor, Tensor]:
        """Positions after the step, velocities before its last half kick, and the heat so far."""
        dt, r = self._time_step, self.positions
        v = self.velocities + self._kick(self.forces)
        if self.ensemble == "nve":
            return r + dt * v, v, self.heat
        r = r + 0.5 * dt * v
        bathed = self._bath(v, math.exp(-self.friction * 1e-3 * dt))
        return r + 0.5 * dt * bathed, bathed, self.heat + self.kinetic(bathed) - self.kinetic(v)

    def _kick(self, forces: Tensor) -> Tensor:
        """Change of the velocities by forces in half a step, [N, 3], Å/fs."""
        return self._unheld(0.5 * self._time_step * FORCE * forces / self.masses)

    def _unheld(self, vectors: Tensor) -> Tensor:
        """The same with 0 for held coordinates."""
        return vectors if self._free is None else torch.where(self._free, vectors, 0.0)

    def _bath(self, velocities: Tensor, c: float) -> Tensor:
        """Velocities after the friction and the noise of a step: the exact Ornstein-Uhlenbeck process."""
        return c * velocities + self._unheld(math.sqrt(1 - c * c) * self._thermal() * self._noise.next())

    def _thermal(self) -> Tensor:
        """√(kT/m) of every atom, [N, 1], Å/fs."""
        return (units.kB * FORCE * self._target[self.structure][:, None] / self.masses).sqrt()

    def _maxwell(self) -> Tensor:
        """Velocities of the temperature, [N, 3], Å/fs; at constant energy the centre of each replica rests.

        Where a coordinate is held it need not: what holds the atom takes up momentum.
        """
        v = self._unheld(self._thermal() * self._noise.next())
        momentum = torch.stack([self._sum(p) for p in (self.masses * v).T], dim=1)
        centre = (momentum / self._sum(self.masses[:, 0])[:, None])[self.structure]
        if self.ensemble == "nvt":
            return v
        return v - torch.where(torch.tensor(self._centred, device=self.device)[self.structure][:, None], centre, 0.0)

    def _start(self) -> tuple[Tensor, Tensor]:
        """Energies and forces of the first frames; a replica that has none is lost at once, and shown with zeros."""
        potential, forces = self.field(self.positions)
        self.alive = self._bounded(forces) & potential.isfinite()
        self.potential, self.forces = potential, forces
        if not bool(self.alive.all()):
            nowhere = torch.zeros_like(self.alive)
            self.lost = self._why_lost(~self.alive, nowhere, ~nowhere, forces)
        potential = torch.where(self.alive, potential, 0.0)
        return potential, torch.where(self.alive[self.structure][:, None], forces, 0.0)

    def _why_lost(self, which: Tensor, too_close: Tensor, finite: Tensor, forces: Tensor) -> dict[int, LostReplica]:
        """Why replicas are lost, with their last sound frames."""
        found = {}
        for s in which.nonzero()[:, 0].tolist():
            atoms = self.structure == s
            frame = self.frames[s]
            if not bool(finite[s]):
                reason = f"its atoms are farther than {FARTHEST:g} Å away"
            elif bool(too_close[s]):
                reason = "two of its atoms would be on one spot"
            else:
                reason = self.field.why(s) or wild(forces[atoms].cpu().numpy(), frame)
            sound = replace(frame, positions=self.positions[atoms].cpu().numpy())
            found[s] = LostReplica(s, self.step_count, self.time, reason, sound)
        return found

    def _bounded(self, forces: Tensor) -> Tensor:
        """Which replicas have finite forces below the limit, bool [S]."""
        wild = ~(forces.abs().amax(1) < TOO_LARGE)  # also true for nan
        return self._sum(wild.double()) == 0

    def _sum(self, values: Tensor) -> Tensor:
        """Sum over the atoms of each replica, [N] → [S]."""
        return values.new_zeros(self.n_replicas).index_add(0, self.structure, values)

    def _temperatures(self, value: float | Sequence[float]) -> Tensor:
        values = checked_temperatures(value, self.n_replicas)
        return torch.tensor(values, dtype=torch.float64, device=self.device)


def fly(simulation: Simulation, steps: int, every: int = 10) -> Iterator[Snapshot]:
    """Drive a simulation: yields its state now, every `every` steps, and at the end, which may come early.

    It ends when `steps` steps are made or every replica is lost; the last state is always yielded.

    Raises
    ------
    ValueError
        `steps` is below 0 or beyond the limit, or `every` is below 1. It comes with the first state.
    """
    if steps < 0 or every < 1:
        raise ValueError(f"steps={steps} must be 0 or larger and every={every} 1 or larger")
    check_steps(steps)
    yield simulation.snapshot()
    for step in range(1, steps + 1):
        if simulation.finished:
            return
        simulation.step()
        if step % every == 0 or step == steps or simulation.finished:
            yield simulation.snapshot()
