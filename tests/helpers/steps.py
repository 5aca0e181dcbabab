"""Objectives of every kind, what they are evaluated with, and one step of a training by hand, on any device."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from frames import dataset, labelled, rattled
from torch import Generator, Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import Potential, build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.soft_modes import SoftModes
from piwsl_lab.piwsl.terms import terms_of

ALL = {"energy": 10.0, "force": 100.0, "pitc": 2.0, "pisc": 3.0, "gradient": 5.0, "curl": 0.7, "weak": 4.0}
ALL |= {"noisy": 0.3, "denoise": 1.5}
OFF = dict.fromkeys(ALL, 0.0)
CASES: dict[str, dict[str, Any]] = {
    **{name: {**OFF, "energy": 1.0, name: 1.0} for name in ALL},
    **{f"order {order}": {"pitc": 1.0, "pisc": 1.0, "order": order} for order in (1, 2, "symmetric")},
    **{
        f"form {form}": {"pisc": 1.0, "pisc_form": form}
        for form in ("same_point", "extrapolations", "reverse", "all", "two_point")
    },
    **{f"teacher {one}": {"gradient": 1.0, "teacher": one} for one in ("both", "direct", "conservative")},
    **{
        f"direction {one}": {"pitc": 1.0, "pisc": 1.0, "weak": 1.0, "direction": one}
        for one in ("uniform", "fixed_length", "local", "covariance", "adversarial")
    },
    "pool": {**ALL, "centres": "pool"},
    "pool, one rival": {"pitc": 1.0, "noisy": 1.0, "centres": "pool"},
    "pool, adversarial": {"pitc": 1.0, "pisc": 1.0, "direction": "adversarial", "centres": "pool"},
    "per atom": {**ALL, "per_atom": True},
    "relative": {**ALL, "relative": True, "epsilon": 0.03},
    "no drift": {**ALL, "remove_drift": True},
    "everything": {**ALL, "order": "symmetric", "pisc_form": "all", "relative": True, "remove_drift": True},
}


class Question(NamedTuple):
    """All that the terms of an objective are evaluated with."""

    objective: Objective
    potential: Potential
    graph: AtomGraph
    generator: Generator
    pool: AtomGraph
    modes: SoftModes | None

    def terms(self) -> dict[str, Tensor]:
        """Values of the terms."""
        return terms_of(*self)


def question(head: str, case: str, device: str | torch.device = "cpu") -> Question:
    """A case of `CASES` for a PaiNN in double precision, and frames of which some lack a label."""
    options = dict(CASES[case])
    if head == "conservative":
        options["gradient"] = 0.0
    torch.manual_seed(3)
    potential = (
        build("painn", channels=8, layers=2, radial=6, basis="bessel", head=head, denoise=True).double().to(device)
    )
    whole = [*labelled("H2O", 2), *labelled("CH4", 1, seed=2), *labelled("H2O", 2, seed=3)]
    alike = options.get("direction") == "covariance"
    if alike:
        whole = list(labelled("CH3OH", 5))
    keep = [("energy", "forces"), ("energy", "forces"), ("energy",), ("forces",), ()]
    frames = [
        dataclasses.replace(f, **{label: None for label in ("energy", "forces") if label not in kept})
        for f, kept in zip(whole, keep, strict=True)
    ]
    graphs = GraphSet.build(dataset(*frames), 5.0, dtype=torch.float64, device=device)
    strangers = dataset(rattled("C2H4", seed=7), rattled("H2O", seed=8))
    pool = GraphSet.build(strangers, 5.0, dtype=torch.float64, device=device).all()
    modes = SoftModes.from_graphs(graphs) if alike else None
    return Question(Objective(**options), potential, graphs.all(), torch.Generator().manual_seed(11), pool, modes)


def step(asked: Question) -> tuple[dict[str, Tensor], Tensor, list[Tensor]]:
    """Terms, the norm of the gradient and the weights after one step of AdamW, as `Trainer` takes it."""
    weights = list(asked.potential.parameters())
    optimiser = torch.optim.AdamW(weights, lr=1e-3, fused=True)
    terms = asked.terms()
    torch.autograd.backward(asked.objective.total(terms))
    norm = torch.nn.utils.clip_grad_norm_(weights, 10.0)
    optimiser.step()
    return terms, norm, weights
