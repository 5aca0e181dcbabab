"""Molecular dynamics at constant energy with a learned potential, many replicas at once.

Velocity Verlet (Swope et al. 1982): v ← v + ½ dt F/m; r ← r + dt v; v ← v + ½ dt F/m. Where forces have no potential
the total energy wanders off: that drift is what these runs are for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from ase import units
from ase.data import atomic_masses

from piwsl_lab.graph import AtomGraph, GraphSet
from piwsl_lab.metrics import as_graphs, jacobian_antisymmetry, loop_work

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

SKIN = 1.0  # Å of neighbour list to spare; rebuilt when an atom has used half of it
CLOSEST = 0.15  # Å: nearer than any two nuclei; frames are refused below 0.1 Å
TOO_LARGE = 100.0  # eV/Å: no bond pulls like this


@dataclass(frozen=True)
class Flight:
    """Energies of S replicas at T times.

    Attributes
    ----------
    time : array [T], fs
    total, potential : array [T, S], eV
        Total and potential energy; nan from the step on at which a replica was lost.
    alive : array [S], bool
        Whether every force stayed finite and below 100 eV/Å.
    atoms : array [S]
        Number of atoms of each replica.
    """

    time: np.ndarray
    total: np.ndarray
    potential: np.ndarray
    alive: np.ndarray
    atoms: np.ndarray

    def drift(self) -> np.ndarray:
        """Slope of the total energy against time of every replica, [S], eV per atom and ps; nan for a lost one."""
        picoseconds = self.time / 1000.0
        slopes = np.full(len(self.alive), np.nan)
        slopes[self.alive] = np.polyfit(picoseconds, self.total[:, self.alive], 1)[0]
        return slopes / self.atoms


def fly_nve(
    potential: Any,
    data: Dataset,
    temperature: float = 300.0,
    time_step: float = 0.5,
    steps: int = 1000,
    every: int = 10,
    seed: int = 0,
) -> Flight:
    """Constant-energy dynamics from every frame of a data set at once.

    Parameters
    ----------
    potential : Potential, or any module with its call, `cutoff` and `reference`
    data : Dataset of S frames
        Where the replicas start.
    temperature : float, K
        Of the velocities drawn at the start (the drift of the centre of mass removed).
    time_step : float, fs
    steps, every : int
        Length of the run, and how often energies are noted.
    seed : int
    """
    flyer = _Flyer(potential, data)
    graph = flyer.graph
    masses = torch.from_numpy(atomic_masses)[graph.numbers.cpu()].to(graph.positions)[:, None]  # (N, 1) u
    generator = torch.Generator().manual_seed(seed)
    kicks = torch.randn(graph.positions.shape, generator=generator, dtype=torch.float64).to(graph.positions)
    velocities = kicks * (units.kB * temperature / masses).sqrt()
    momentum = torch.stack([graph.sum_over_atoms(p) for p in (masses * velocities).T], dim=1)
    velocities = velocities - (momentum / graph.sum_over_atoms(masses.squeeze(1))[:, None])[graph.structure]
    dt = time_step * units.fs
    positions, (energy, forces) = graph.positions, flyer.forces(graph.positions)
    alive = _bounded(forces, graph)
    times, totals, potentials = [], [], []
    for step in range(steps + 1):
        # A lost replica stays where it was, so that it cannot spoil the neighbour search of the others.
        frozen = ~alive[graph.structure][:, None]
        velocities, forces = velocities.masked_fill(frozen, 0.0), forces.masked_fill(frozen, 0.0)
        if step:
            velocities = velocities + 0.5 * dt * forces / masses
            moved = positions + dt * velocities
            alive = alive & flyer.possible(moved)
            positions = torch.where(alive[graph.structure][:, None], moved, positions)
            energy, forces = flyer.forces(positions)
            velocities = velocities + 0.5 * dt * forces / masses
            alive = alive & _bounded(forces, graph)
        if step % every == 0:
            kinetic = graph.sum_over_atoms((0.5 * masses * velocities.square()).sum(1))
            times.append(step * time_step)
            potentials.append(energy.masked_fill(~alive, torch.nan).double().cpu().numpy())
            totals.append((energy + kinetic).masked_fill(~alive, torch.nan).double().cpu().numpy())
    atoms = graph.atoms_per_structure().cpu().numpy()
    return Flight(np.array(times), np.array(totals), np.array(potentials), alive.cpu().numpy(), atoms)


def conservation(potential: Any, data: Dataset, seed: int = 0) -> dict[str, float]:
    """How far a force field is from having a potential, in four numbers.

    Returns
    -------
    dict
        "loop_work" (eV, root mean square around random triangles of 0.1 Å), "antisymmetry" (of the force Jacobian),
        "drift" (eV per atom and ps: median size of the slope of the total energy over 1 ps at 300 K from every frame)
        and "alive" (share of those flights that kept their forces in bounds).
    """
    flight = fly_nve(potential, data, steps=2000, seed=seed)
    drift = np.abs(flight.drift()[flight.alive])
    return {
        "loop_work": loop_work(potential, data, seed=seed),
        "antisymmetry": jacobian_antisymmetry(potential, data),
        "drift": float(np.median(drift)) if len(drift) else math.nan,
        "alive": float(flight.alive.mean()),
    }


def _bounded(forces: torch.Tensor, graph: AtomGraph) -> torch.Tensor:
    """Which structures have finite forces below the limit, [S]."""
    wild = ~(forces.abs().amax(1) < TOO_LARGE)  # also true for nan
    return graph.sum_over_atoms(wild.to(graph.positions)) == 0


class _Flyer:
    """Energies and forces along a run; the neighbour lists are made anew when half the skin is used."""

    def __init__(self, potential: Any, data: Dataset) -> None:
        self.potential, self.data = potential, data.unlabelled()
        self.graph: AtomGraph = self._graphs(self.data).all()
        self.origin = self.graph.positions

    def _graphs(self, data: Dataset) -> GraphSet:
        return as_graphs(self.potential, data, SKIN)

    @torch.no_grad()
    def forces(self, positions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Energies [S] and forces [N, 3] there."""
        if not bool(((positions - self.origin).norm(dim=1) < 0.5 * SKIN).all()):
            self._rebuild(positions)
        prediction = self.potential(self.graph.at(positions))
        return prediction.energy.detach(), prediction.forces.detach()

    def _rebuild(self, positions: torch.Tensor) -> None:
        self.graph = self._graphs(self.data.moved(positions.double().cpu().numpy())).all()
        self.origin = positions

    def possible(self, positions: torch.Tensor) -> torch.Tensor:
        """Which structures could be frames, [S]: finite, and no two neighbours on one spot."""
        graph = self.graph.at(positions)
        bad = (~positions.isfinite().all(1)).to(graph.positions)
        near = graph.vectors().norm(dim=1) < CLOSEST
        bad = bad.index_add(0, graph.edge_index[0], near.to(graph.positions))
        return graph.sum_over_atoms(bad) == 0
