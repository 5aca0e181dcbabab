"""Displacements δ: where a consistency loss asks the model about itself.

They are constants of shape [N, 3] in Å, never differentiated. Everywhere ε is one number (Å) or a
Tensor [N] (Å per atom). Random numbers come from a generator on the CPU, so that a seed means the
same on every device.

    uniform        every component uniform in [−ε, ε]                          no atom farther than √3·ε
    fixed_length   a random direction of length ε for every atom               ε
    local          `uniform` for one atom and its neighbours, 0 for the rest   √3·ε
    covariance     along the directions in which the training frames differ    √3·ε
    adversarial    where the model's forces are wrong, or disagree with E      ε

`Displacer` is the one door to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import AnyPotential, Prediction, forces_of
from piwsl_lab.names import DIRECTIONS
from piwsl_lab.piwsl.residuals import pitc
from piwsl_lab.piwsl.soft_modes import SoftModes

LOCAL_REACH = 1.3  # times an atom's shortest distance: its first shell
LONGEST_BOND = 3.0  # Å: a neighbour farther away is no bond, and a lone atom is treated as if it had one there


def uniform(graph: AtomGraph, epsilon: float | Tensor, generator: Generator | None = None) -> Tensor:
    """Every component uniform in [−ε, ε]: noise on both sides of zero. [N, 3], Å."""
    return (2.0 * _random(torch.rand, graph, generator) - 1.0) * _column(epsilon, graph)


def fixed_length(graph: AtomGraph, epsilon: float | Tensor, generator: Generator | None = None) -> Tensor:
    """A random direction of length exactly ε for every atom. [N, 3], Å."""
    direction = _random(torch.randn, graph, generator)
    return _column(epsilon, graph) * torch.nn.functional.normalize(direction, dim=1)


def local(graph: AtomGraph, epsilon: float | Tensor, generator: Generator | None = None) -> Tensor:
    """`uniform` for one random atom of each structure and its first shell, exactly 0 for all others. [N, 3], Å.

    The shell is every neighbour within 1.3 times the centre's own shortest distance. Examples are
    the hydrogens of a methyl group and the twelve neighbours in a close-packed metal. An atom
    without neighbours moves alone.
    """
    chance = torch.rand(graph.n_structures, generator=generator, dtype=torch.float64)
    displacement = uniform(graph, epsilon, generator)
    count = torch.bincount(graph.structure, minlength=graph.n_structures)  # (S,)
    chosen = (chance.to(count.device) * count).long().clamp(max=count - 1) + count.cumsum(0) - count
    is_centre = torch.zeros_like(graph.structure, dtype=torch.bool).index_fill(0, chosen, True)
    centre, neighbour = graph.edge_index
    near = _distances(graph) <= LOCAL_REACH * shortest_bonds(graph)[centre]
    moves = is_centre.long().index_add(0, neighbour, (near & is_centre[centre]).long()) > 0
    return torch.where(moves[:, None], displacement, 0.0)


def adversarial(
    potential: AnyPotential,
    graph: AtomGraph,
    epsilon: float | Tensor,
    generator: Generator | None = None,
    prediction: Prediction | None = None,
) -> Tensor:
    """A step of length ε for every atom to where the potential is worst, after arXiv 2408.05215. [N, 3], Å.

    Where a structure has force labels: along −(F − F_label). This is the one place where a label
    steers a consistency term, as in the paper. It picks where the model is asked, never what the
    answer should be. Where there is none: along the gradient, with respect to δ and at a random δ,
    of the squared PITC residual. That residual is of second order, E(r+δ) − E(r) +
    ½ Σ δ·(F(r) + F(r+δ)). An atom whose direction is zero takes a random one.

    Parameters
    ----------
    potential : callable
        potential(graph, forces=True) → Prediction. No gradient reaches its parameters.
    graph : AtomGraph of S structures, N atoms
    epsilon : float or Tensor [N], Å
    generator : torch.Generator on the CPU
    prediction : Prediction, optional
        That of `graph`, if it is at hand; saves a call.
    """
    # Both are drawn whatever the labels are: the sequence of random numbers does not depend on a budget.
    otherwise = fixed_length(graph, 1.0, generator)
    probe = uniform(graph, epsilon, generator)
    graph = graph.at(graph.positions.detach())
    if prediction is None:
        with torch.no_grad():
            prediction = potential(graph, forces=True)
    energy, forces = prediction.energy.detach(), forces_of(prediction).detach()
    labelled = graph.has_forces[graph.structure][:, None]  # (N, 1)
    towards = torch.where(labelled, graph.forces - forces, 0.0)
    if not bool(graph.has_forces.all()):
        towards = torch.where(
            labelled, towards, _residual_gradient(potential, graph, Prediction(energy, forces), probe)
        )
    length = towards.norm(dim=1, keepdim=True)
    direction = torch.where(length > 0, towards / length.where(length > 0, 1.0), otherwise)
    return _column(epsilon, graph) * direction


def _residual_gradient(potential: AnyPotential, graph: AtomGraph, start: Prediction, displacement: Tensor) -> Tensor:
    """Gradient of the squared second-order PITC residual with respect to the displacement, [N, 3], eV²/Å.

    Scaled to a largest component of 1 in every structure, so that its square does not underflow.
    """
    with torch.enable_grad():
        delta = displacement.detach().requires_grad_()
        end = potential(graph.at(graph.positions + delta), forces=True)
        residual = pitc(start, end, delta, graph, order=2)  # (S,)
        (slope,) = torch.autograd.grad(residual.sum(), delta, allow_unused=True, materialize_grads=True)
    # d(residual²) = 2·residual·slope; its length does not matter, its sign does.
    slope = slope * residual.detach().sign()[graph.structure][:, None]
    largest = _largest(slope.abs().amax(1), graph)[graph.structure][:, None]
    return slope / largest.where(largest > 0, 1.0)


def without_drift(displacement: Tensor, graph: AtomGraph) -> Tensor:
    """Take the mean displacement of every structure away: [N, 3] → [N, 3], Å. Can lengthen one, at most to twice."""
    total = displacement.new_zeros(graph.n_structures, 3).index_add(0, graph.structure, displacement)
    return displacement - (total / graph.atoms_per_structure()[:, None])[graph.structure]


def shortest_bonds(graph: AtomGraph) -> Tensor:
    """Distance of every atom's nearest neighbour, [N], Å; infinite where the neighbour list has none."""
    far = torch.full_like(graph.positions[:, 0], math.inf).detach()
    return far.scatter_reduce(0, graph.edge_index[0], _distances(graph), "amin")


def per_atom_epsilon(graph: AtomGraph, fraction: float) -> Tensor:
    """ε of every atom as a fraction of its shortest bond, [N], Å: one setting fits hydrogen and titanium.

    A bond counts as 3 Å at most, so that an atom far from all others does not fly off. The paper
    keeps the fraction under about 0.3.
    """
    return fraction * shortest_bonds(graph).clamp(max=LONGEST_BOND)


def covariance(
    graph: AtomGraph, epsilon: float | Tensor, generator: Generator | None = None, modes: SoftModes | None = None
) -> Tensor:
    """A random combination of soft modes, as `SoftModes.draw` makes it. [N, 3], Å.

    Raises
    ------
    ValueError
        No modes are given, or the graph holds other atoms than they do.
    """
    if modes is None:
        raise ValueError(
            'the direction "covariance" needs the soft modes of the training frames, SoftModes.from_graphs(graphs): '
            'give them to a Displacer, or choose "uniform"'
        )
    return modes.draw(graph, epsilon, generator)


_UNIT_LENGTH = ("fixed_length", "adversarial")


def longest(direction: str, epsilon: float) -> float:
    """The longest displacement of one atom that a `Displacer` draws, Å: ε or √3·ε, see the table of this module.

    For an ε per atom, give the largest.
    """
    _check_direction(direction)
    return epsilon if direction in _UNIT_LENGTH else 3**0.5 * epsilon


@dataclass(frozen=True)
class Displacer:
    """Draws the displacements of a consistency loss.

    Attributes
    ----------
    direction : one of `piwsl_lab.names.DIRECTIONS`
    epsilon : float
        Size, in Å, or as a fraction of every atom's shortest bond if `relative`.
    relative : bool
    remove_drift : bool
        Take away the mean displacement of every structure, which asks an invariant energy nothing. A structure in
        which an atom would then move farther than `longest` (of its largest ε) is scaled down as a whole.
    modes : SoftModes, optional
        For the direction "covariance".
    """

    direction: str = "uniform"
    epsilon: float = 0.05
    relative: bool = False
    remove_drift: bool = False
    modes: SoftModes | None = None

    def __post_init__(self) -> None:
        _check_direction(self.direction)

    def draw(
        self,
        graph: AtomGraph,
        generator: Generator | None = None,
        potential: AnyPotential | None = None,
        prediction: Prediction | None = None,
    ) -> Tensor:
        """One displacement of every atom, [N, 3], Å, detached.

        Parameters
        ----------
        graph : AtomGraph
        generator : torch.Generator on the CPU
        potential : callable, and prediction, optional
            For the direction "adversarial".

        Raises
        ------
        ValueError
            The direction needs modes or a potential, and there are none.
        """
        epsilon = self.per_atom(graph)
        if self.direction == "covariance":
            displacement = covariance(graph, epsilon, generator, self.modes)
        elif self.direction == "adversarial":
            if potential is None:
                raise ValueError(
                    'the direction "adversarial" needs a potential: draw it with Displacer("adversarial").draw(graph, '
                    'generator, potential), or choose "uniform"'
                )
            displacement = adversarial(potential, graph, epsilon, generator, prediction)
        else:
            draw = {"uniform": uniform, "fixed_length": fixed_length, "local": local}[self.direction]
            displacement = draw(graph, epsilon, generator)
        return (self._without_drift(displacement, graph) if self.remove_drift else displacement).detach()

    def _without_drift(self, displacement: Tensor, graph: AtomGraph) -> Tensor:
        displacement = without_drift(displacement, graph)
        limit = longest(self.direction, 1.0) * _largest(_per_atom(self.per_atom(graph), graph), graph)  # (S,)
        farthest = _largest(displacement.norm(dim=1), graph)
        return displacement * (limit / farthest.clamp(min=1e-30)).clamp(max=1.0)[graph.structure][:, None]

    @property
    def other(self) -> Displacer:
        """The displacer of a second step from the same place, as a PISC triangle needs one.

        Two adversarial steps would be one and the same and close the triangle to a line. The second
        then has the same length in random directions.
        """
        return replace(self, direction="fixed_length") if self.direction == "adversarial" else self

    def per_atom(self, graph: AtomGraph) -> float | Tensor:
        """ε in Å: the number, or [N] if it is relative."""
        return per_atom_epsilon(graph, self.epsilon) if self.relative else self.epsilon

    def longest(self, graph: AtomGraph) -> float:
        """The longest displacement of one atom of a graph, Å; twice that is the skin its neighbour list needs."""
        epsilon = self.per_atom(graph)
        return longest(self.direction, float(epsilon.max()) if isinstance(epsilon, Tensor) else epsilon)


def _check_direction(name: str) -> None:
    if name not in DIRECTIONS:
        raise ValueError(f"direction={name!r} does not exist; choose one of {', '.join(DIRECTIONS)}")


def _random(draw: Callable[..., Tensor], graph: AtomGraph, generator: Generator | None) -> Tensor:
    # Drawn where the generator lives (the CPU), so that one seed means the same displacements on every device.
    numbers = draw(graph.positions.shape, generator=generator, dtype=graph.positions.dtype)
    return numbers.to(graph.positions.device)


def _column(epsilon: float | Tensor, graph: AtomGraph) -> float | Tensor:
    """ε as something that multiplies [N, 3]."""
    return _per_atom(epsilon, graph)[:, None] if isinstance(epsilon, Tensor) else epsilon


def _per_atom(epsilon: float | Tensor, graph: AtomGraph) -> Tensor:
    """ε of every atom, [N], Å."""
    like = graph.positions[:, 0].detach()
    return torch.as_tensor(epsilon, dtype=like.dtype, device=like.device).detach().expand_as(like)


def _distances(graph: AtomGraph) -> Tensor:
    distances: Tensor = graph.vectors().detach().norm(dim=1)
    return distances  # (E,)


def _largest(values: Tensor, graph: AtomGraph) -> Tensor:
    """Largest of the values ≥ 0 of the atoms of each structure: [N] → [S]."""
    return values.new_zeros(graph.n_structures).scatter_reduce(0, graph.structure, values, "amax")
