"""How long does it hold? Survival of replicas as the field measures it (Fu et al. 2022, "Forces are not enough").

A replica ends when a bond is farther than Δ from its mean length in the reference trajectory,
|r_ij(t) − b_ij| > Δ. It also ends when its temperature or its conserved energy runs away, or when
it is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import units
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.stats import binomtest

from piwsl_lab.analysis.spectra import bond_lengths
from piwsl_lab.atoms.neighbours import neighbours
from piwsl_lab.data import Frame
from piwsl_lab.md.constraints import degrees_of_freedom
from piwsl_lab.md.trajectory import Trajectory

BONDED = 1.3  # times the sum of two covalent radii
BOND_TOLERANCE = 0.5  # Å, Δ of Fu et al.
HOT = 10.0  # times the temperature it was set to: no fluctuation, also not of a molecule of two atoms


@dataclass(frozen=True)
class Bonds:
    """The bonds of a molecule and their mean lengths in a reference trajectory.

    Attributes
    ----------
    pairs : int array [B, 2]
    length : array [B], Å
    """

    pairs: NDArray[np.int64]
    length: NDArray[np.float64]


@dataclass(frozen=True)
class Survival:
    """How long a replica was alive, ps, and why it was not for longer ("" if it still is)."""

    ps: float
    reason: str


def reference_bonds(frame: Frame, positions: NDArray[np.float64] | None = None) -> Bonds:
    """Pairs nearer than 1.3 times their covalent radii in a frame, and their mean lengths over reference positions.

    Parameters
    ----------
    frame : Frame of n atoms
    positions : array [T, n, 3], Å, optional
        A trajectory of the oracle; without it the lengths are those of the frame.
    """
    radii = covalent_radii[frame.numbers]
    (i, j), shift = neighbours(frame, 2 * BONDED * radii.max())
    length = np.linalg.norm(frame.positions[j] + shift - frame.positions[i], axis=1)
    bonded = (i < j) & (length < BONDED * (radii[i] + radii[j]))
    pairs = np.unique(np.stack([i[bonded], j[bonded]], axis=1), axis=0)  # two atoms may meet through several walls
    places = frame.positions[None] if positions is None else np.asarray(positions)
    return Bonds(pairs, bond_lengths(places, pairs, frame).mean(axis=0))


def bond_errors(trajectory: Trajectory, replica: int, bonds: Bonds) -> NDArray[np.float64]:
    """|r_ij(t) − b_ij| of every bond of a replica, [T, B], Å."""
    places = trajectory.positions[:, trajectory.atoms(replica)]
    return np.abs(bond_lengths(places, bonds.pairs, trajectory.frames[replica]) - bonds.length)


def alive_ps(
    trajectory: Trajectory,
    bonds: Bonds | Sequence[Bonds],
    temperature: float | Sequence[float],
    tolerance: float = BOND_TOLERANCE,
    *,
    energy: bool = True,
) -> list[Survival]:
    """How long every replica was stable, ps, whatever ended it first.

    A bond farther than `tolerance` (Å) from its reference length. A temperature of ten times the
    one it was set to. A conserved energy that changed by more than the thermal energy of all free
    coordinates, ½ k T each. Or the loss of the replica.

    Parameters
    ----------
    trajectory : Trajectory of S replicas
    bonds : Bonds, or S of them
    temperature : float or S floats, K
    tolerance : float, Å
    energy : bool
        Whether a conserved energy that runs away is an end. A bath can take up what wrong forces put in: there the
        molecule may live on, and the drift of the conserved energy is a number of its own.
    """
    replicas = len(trajectory.frames)
    bonds = [bonds] * replicas if isinstance(bonds, Bonds) else list(bonds)
    kelvin = np.broadcast_to(np.asarray(temperature, dtype=float), (replicas,))
    last = float(trajectory.time[-1])
    survivals = []
    for s in range(replicas):
        time, reason = min(_endings(trajectory, s, bonds[s], kelvin[s], tolerance, energy), default=(last, ""))
        survivals.append(Survival(time / 1000.0, reason))
    return survivals


def _endings(
    trajectory: Trajectory, s: int, bonds: Bonds, kelvin: float, tolerance: float, energy: bool
) -> Iterator[tuple[float, str]]:
    """Every way in which a replica ended, with its time in fs."""
    if s in trajectory.lost:
        yield trajectory.lost[s].time, trajectory.lost[s].reason
    error, hottest = bond_errors(trajectory, s, bonds), trajectory.temperature[:, s]
    at = _first(error.max(axis=1, initial=0.0) > tolerance)
    if at is not None:
        a, b = bonds.pairs[error[at].argmax()]
        yield float(trajectory.time[at]), f"the bond {a}-{b} is off by {error[at].max():.2f} Å"
    if kelvin == 0:
        return
    at = _first(hottest > HOT * kelvin)
    if at is not None:
        yield float(trajectory.time[at]), f"the temperature is {hottest[at]:.0f} K"
    change = np.abs(trajectory.conserved[:, s] - trajectory.conserved[0, s])
    at = _first(change > 0.5 * degrees_of_freedom(trajectory.frames[s], False) * units.kB * kelvin)
    if energy and at is not None:
        yield float(trajectory.time[at]), f"the conserved energy changed by {change[at]:.2f} eV"


def _first(flags: NDArray[np.bool_]) -> int | None:
    return int(flags.argmax()) if flags.any() else None


def fraction_alive(
    survivals: Sequence[Survival], times: NDArray[np.float64], level: float = 0.95
) -> NDArray[np.float64]:
    """Share of replicas alive at every time (ps) and its Wilson interval: [len(times), 3], share, low, high."""
    n, rows = len(survivals), []
    for time in times:
        k = sum(not s.reason or s.ps > time for s in survivals)
        interval = binomtest(k, n).proportion_ci(level, method="wilson")
        rows.append((k / n, interval.low, interval.high))
    return np.array(rows)
