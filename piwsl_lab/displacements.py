"""Displacements δ: where a consistency loss asks the model about itself.

They are constants of shape [N, 3] in Å, never differentiated.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from piwsl_lab.graph import AtomGraph


def uniform(graph: AtomGraph, epsilon: float, generator: Generator | None = None) -> Tensor:
    """Every component uniform in [−ε, ε]: noise on both sides of zero. [N, 3], Å."""
    return (2.0 * _random(torch.rand, graph, generator) - 1.0) * epsilon


def fixed_length(graph: AtomGraph, epsilon: float, generator: Generator | None = None) -> Tensor:
    """A random direction of length exactly ε for every atom. [N, 3], Å."""
    direction = _random(torch.randn, graph, generator)
    return epsilon * torch.nn.functional.normalize(direction, dim=1)


def _random(draw: Callable[..., Tensor], graph: AtomGraph, generator: Generator | None) -> Tensor:
    # Drawn where the generator lives (the CPU), so that one seed means the same displacements on every device.
    numbers = draw(graph.positions.shape, generator=generator, dtype=graph.positions.dtype)
    return numbers.to(graph.positions.device)


DIRECTIONS: dict[str, Callable[[AtomGraph, float, Generator | None], Tensor]] = {
    "uniform": uniform,
    "fixed_length": fixed_length,
}


def longest(direction: str, epsilon: float) -> float:
    """The longest displacement of one atom, Å: √3·ε for `uniform`, ε for `fixed_length`."""
    return 3**0.5 * epsilon if direction == "uniform" else epsilon
