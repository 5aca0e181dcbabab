"""A look at the first answers of a potential in training: what it lacks is said in words, not by torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import Prediction


def require_module(potential: object) -> None:
    """Raise a ValueError for what has no weights to train."""
    if not isinstance(potential, nn.Module):
        raise ValueError(
            f"a {type(potential).__name__} cannot be trained: a potential in training is a torch.nn.Module, "
            "so write a class of that kind around it"
        )


@contextmanager
def answers_checked(potential: nn.Module, wanted: bool) -> Iterator[None]:
    """Inside the block, look at every answer of the potential if that is `wanted`. It is not asked once more for it.

    Raises
    ------
    ValueError
        An answer is no `Prediction`, has a wrong shape, or has forces that training cannot change.
    """
    if not wanted:
        yield
        return
    hook = potential.register_forward_hook(_look, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def _look(potential: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any], answer: object) -> None:
    graph = given[0] if given else named.get("graph")
    if not isinstance(graph, AtomGraph):
        return
    forces = given[1] if len(given) > 1 else named.get("forces", True)
    check_answer(answer, graph, bool(forces), any(weight.requires_grad for weight in potential.parameters()))


def check_answer(answer: object, graph: AtomGraph, forces: bool, trained: bool) -> None:
    """Raise a ValueError unless an answer to a graph can be trained on.

    Parameters
    ----------
    answer : object
        What the potential returned.
    graph : AtomGraph of S structures with N atoms
    forces : bool
        Whether forces were asked for.
    trained : bool
        Whether the potential has weights that are trained.
    """
    if not isinstance(answer, Prediction):
        raise ValueError(
            f"the potential answered with a {type(answer).__name__}: return piwsl_lab.models.Prediction(energy, forces)"
        )
    _check_shape("energy", answer.energy, (graph.n_structures,), "one number per structure")
    if not forces:
        return
    if answer.forces is None:
        raise ValueError("the potential answered without forces: it must give them where it is asked with forces=True")
    _check_shape("forces", answer.forces, tuple(graph.positions.shape), "three numbers per atom")
    if trained and torch.is_grad_enabled() and not answer.forces.requires_grad:
        raise ValueError(
            "the forces of the potential have no gradient, and a term of the objective trains them: "
            "return them without detach(), and compute −dE/dr with create_graph=True"
        )


def _check_shape(name: str, value: object, shape: tuple[int, ...], meaning: str) -> None:
    found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    if found != shape:
        raise ValueError(f"the potential answered with {name} of shape {found}: it must be {shape}, {meaning}")
