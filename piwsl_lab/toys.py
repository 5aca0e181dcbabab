"""Closed-form surfaces of the course: everything about them can be written down, so a learner's answer can be judged.

Lengths are in Å, energies in eV, forces in eV/Å. Nothing of the package is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Morse", "Swirl", "TwoSprings"]


@dataclass(frozen=True)
class Morse:
    """A bond that can break: E(r) = D (1 − x)², x = exp(−a (r − rₑ)). The defaults are the hydrogen molecule.

    Parameters
    ----------
    depth : float
        D, the energy that breaks the bond, eV.
    width : float
        a, 1/Å: the larger, the narrower the well.
    rest : float
        rₑ, the length at rest, Å.

    Notes
    -----
    P. M. Morse, Phys. Rev. 34, 57 (1929). All methods take a length or an array of lengths in Å.
    """

    depth: float = 4.75
    width: float = 1.94
    rest: float = 0.741

    def _decay(self, r: Any) -> Any:
        return np.exp(-self.width * (np.asarray(r, dtype=float) - self.rest))

    def energy(self, r: Any) -> Any:
        """Energy, eV; zero at rest, `depth` far out."""
        return self.depth * (1.0 - self._decay(r)) ** 2

    def force(self, r: Any) -> Any:
        """Force along the bond, eV/Å: F = −dE/dr = −2 a D x (1 − x). Negative pulls the atoms together."""
        x = self._decay(r)
        return -2.0 * self.width * self.depth * x * (1.0 - x)

    def curvature(self, r: Any) -> Any:
        """Second derivative of the energy, eV/Å²: 2 a² D x (2x − 1)."""
        x = self._decay(r)
        return 2.0 * self.width**2 * self.depth * x * (2.0 * x - 1.0)

    def third_derivative(self, r: Any) -> Any:
        """Third derivative of the energy, eV/Å³: −2 a³ D x (4x − 1)."""
        x = self._decay(r)
        return -2.0 * self.width**3 * self.depth * x * (4.0 * x - 1.0)

    @property
    def strongest_pull(self) -> tuple[float, float]:
        """Where the bond pulls hardest, Å, and how hard, eV/Å (negative): rₑ + ln 2 / a and −aD/2."""
        return self.rest + float(np.log(2.0)) / self.width, -0.5 * self.width * self.depth


@dataclass(frozen=True)
class TwoSprings:
    """The smallest model with two outputs: E = ½ k_E x² and F = −k_F x, taught by labels of a spring with k = 1 eV/Å².

    Labels lie at x in [−reach, reach]. Every fit below is the exact minimum of its loss, so weights and ε act at once.

    Parameters
    ----------
    reach : float
        Largest displacement with a label, Å.
    labels : int
        How many labels.
    energy_weight, force_weight : float
        Weights of the mean squared errors of energies (per eV²) and forces (per (eV/Å)²).
    """

    reach: float = 0.2
    labels: int = 41
    energy_weight: float = 1.0
    force_weight: float = 1.0

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the labels lie, Å, shape [labels]."""
        return np.linspace(-self.reach, self.reach, self.labels)

    @property
    def label_curvatures(self) -> tuple[float, float]:
        """What labels weigh: w_E ⟨x⁴⟩/4 for (k_E − 1)² and w_F ⟨x²⟩ for (k_F − 1)²."""
        x = self.positions
        return self.energy_weight * float(np.mean(x**4)) / 4.0, self.force_weight * float(np.mean(x**2))

    @property
    def stiffness_of_labels(self) -> float:
        """L of the closed forms: both label terms act on the one k of a conservative model, Å² (for w_E = w_F = 1)."""
        return sum(self.label_curvatures)

    def fit(self, weight: float, epsilon: float, order: int = 1, forces: bool = True) -> tuple[float, float]:
        """Direct head: (k_E, k_F) that minimise labels + weight ⟨PITC residual²⟩, eV/Å².

        δ is uniform in [−ε, ε]. At order 1 the residual is E(x + δ) − E(x) + F(x) δ =
        (k_E − k_F) x δ + ½ k_E δ². At order 2 it has the mean of both forces (trapezoid):
        (k_E − k_F)(x δ + ½ δ²).

        Parameters
        ----------
        weight : float
            Of the PITC term.
        epsilon : float
            Largest displacement, Å.
        order : int
            1 or 2.
        forces : bool
            Whether there are force labels.

        Raises
        ------
        ValueError
            Another order; or neither force labels nor PITC, which leave k_F open.
        """
        _known_order(order)
        energies, pull = self.label_curvatures
        pull = pull if forces else 0.0
        square, fourth = epsilon**2 / 3.0, epsilon**4 / 5.0
        crossed = weight * float(np.mean(self.positions**2)) * square
        own = 0.25 * weight * fourth
        # Of ½ loss, in (k_E, k_F): labels pull both to 1, the residual is a quadratic form.
        matrix = np.array([[energies + crossed + own, -crossed], [-crossed, pull + crossed]])
        if order == 2:
            matrix += own * np.array([[0.0, -1.0], [-1.0, 1.0]])
        if abs(np.linalg.det(matrix)) < 1e-30:
            raise ValueError("k_F has neither labels nor a consistency term: set a weight, or give force labels")
        k_energy, k_force = np.linalg.solve(matrix, [energies, pull])
        return float(k_energy), float(k_force)

    def fit_conservative(self, weight: float, epsilon: float, order: int = 1) -> float:
        """Conservative head, k_E = k_F: k = 1/(1 + w ε⁴ / 20 L) at first order, exactly 1 at order 2, eV/Å²."""
        _known_order(order)
        if order == 2:
            return 1.0
        return 1.0 / (1.0 + weight * epsilon**4 / (20.0 * self.stiffness_of_labels))


@dataclass(frozen=True)
class Swirl:
    """A force field in a plane that no energy has: F = −k r + c ẑ×r, that is a spring and a stir.

    Parameters
    ----------
    spring : float
        k, eV/Å².
    stir : float
        c, eV/Å²; work around a closed path is 2c times its area.
    """

    spring: float = 2.0
    stir: float = 0.7

    def force(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Forces [..., 2] at positions [..., 2], eV/Å."""
        at = np.asarray(positions, dtype=np.float64)
        across = np.stack([-at[..., 1], at[..., 0]], axis=-1)
        pull: NDArray[np.float64] = -self.spring * at + self.stir * across
        return pull

    def energy(self, positions: ArrayLike) -> NDArray[np.float64]:
        """Energy of the spring alone [...], eV: the stir has none."""
        square = np.sum(np.asarray(positions, dtype=np.float64) ** 2, axis=-1)
        return np.asarray(0.5 * self.spring * square, dtype=np.float64)


def _known_order(order: int) -> None:
    if order not in (1, 2):
        raise ValueError(f"order is {order}: choose 1 (force at the start) or 2 (mean of both forces)")
