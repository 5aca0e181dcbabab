"""The terms of an objective: a table with one `Term` per row, and `terms_of`, which evaluates all that are on.

A new term is one more row. Its weight is a field of `Objective` or an entry of `Objective.extra`; curves, records and
sentences take its name and its unit from here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Generator, Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import AnyPotential
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.places import BOTH, DRAWN, ENERGY, FORCES, Places, centre_of
from piwsl_lab.piwsl.residuals import (
    curl_loss,
    energy_loss,
    force_loss,
    gradient_consistency,
    noise_loss,
    pisc,
    pitc,
    symmetric_pitc,
    weak_label_loss,
)
from piwsl_lab.piwsl.soft_modes import SoftModes


@dataclass(frozen=True)
class Term:
    """One row: a term of the loss.

    Attributes
    ----------
    name : str
        Of its weight.
    short, title : str
        What knobs and sentences call it, and its full name in a plot.
    unit, weight_unit : str
        Of its value, and of its weight.
    needs : function of Places → dict of place → DRAWN, ENERGY, FORCES or BOTH
        What it must know. It is called before anything is drawn.
    value : function of Places → Tensor, a scalar, or None
        Its value without the weight; None where no label is found.
    """

    name: str
    short: str
    title: str
    unit: str
    weight_unit: str
    needs: Callable[[Places], Mapping[str, int]]
    value: Callable[[Places], Tensor | None]


def terms_of(
    objective: Objective,
    potential: AnyPotential,
    graph: AtomGraph,
    generator: Generator | None = None,
    pool: AtomGraph | None = None,
    modes: SoftModes | None = None,
) -> dict[str, Tensor]:
    """Unweighted values of the terms whose weight is above 0 and that find a label, by name, each a scalar.

    All places that need the same (energies alone, forces, or the forces of both heads) go through the potential in
    one call.

    Parameters
    ----------
    objective : Objective
    potential : callable
        potential(graph, forces=True) → Prediction.
    graph : AtomGraph of S structures
    generator : torch.Generator on the CPU
        Draws the displacements.
    pool : AtomGraph, optional
        Frames for the consistency terms where `centres` is "pool"; their labels are not read.
    modes : SoftModes, optional
        Soft directions of the training frames, for direction "covariance".

    Raises
    ------
    ValueError
        A field of the objective makes no sense, or the potential cannot do what a term asks; the message says which.
    """
    objective.check()
    if unknown := [name for name in objective.extra if name not in TERMS]:
        raise ValueError(f"extra: there is no term {unknown[0]!r}; choose one of {', '.join(TERMS)}, or add a row")
    places = Places(objective, potential, graph, centre_of(objective, graph, pool), generator)
    on = [term for term in TERMS.values() if objective.weight(term.name) > 0]
    levels: dict[str, int] = {}
    for term in on:
        for place, level in term.needs(places).items():
            levels[place] = max(levels.get(place, DRAWN), level)
    places.draw(levels, objective.displacer(modes))
    places.ask(levels)
    values = {term.name: term.value(places) for term in on}
    return {name: value for name, value in values.items() if value is not None}


# -- labels ------------------------------------------------------------------------------------------------------------


def _energy(places: Places) -> Tensor | None:
    if not places.has_energy:
        return None
    return energy_loss(places.known["labels"], places.graph, places.objective.per_atom)


def _force(places: Places) -> Tensor | None:
    return force_loss(places.known["labels"], places.graph) if places.has_forces else None


# -- consistency -------------------------------------------------------------------------------------------------------


def _pitc_needs(places: Places) -> dict[str, int]:
    order = places.objective.order
    needs = {"A": FORCES, "C": FORCES if order == 2 else ENERGY}
    return needs | {"D": ENERGY} if order == "symmetric" else needs


def _pitc(places: Places) -> Tensor:
    known, step, order = places.known, places.displacements["C"], places.objective.order
    if order == "symmetric":
        return places.mean_square(symmetric_pitc(known["A"], known["C"], known["D"], step, places.centre))
    return places.mean_square(pitc(known["A"], known["C"], step, places.centre, 1 if order == 1 else 2))


def _pisc_needs(places: Places) -> dict[str, int]:
    end = ENERGY if places.objective.order == 1 else FORCES
    return {
        "same_point": {"B": FORCES, "C": end},
        "extrapolations": {"A": FORCES, "B": FORCES, "C": end},
        "reverse": {"C": FORCES, "B": end},
        "all": {"A": FORCES, "B": FORCES, "C": FORCES},
        "two_point": {"C": FORCES, "A": end},
    }[places.objective.pisc_form]


def _pisc(places: Places) -> Tensor:
    # A corner that the form does not read was not asked; any stands in for it.
    c, first = places.known["C"], places.displacements["C"]
    a, b, second = places.known.get("A", c), places.known.get("B", c), places.displacements.get("B", first)
    order = 1 if places.objective.order == 1 else 2
    return places.mean_square(pisc(a, b, c, first, second, places.centre, order, places.objective.pisc_form))


def _curl(places: Places) -> Tensor:
    return curl_loss(places.potential, places.graphs["C"], places.generator)


# -- labels at displaced places ----------------------------------------------------------------------------------------


def _weak(places: Places) -> Tensor | None:
    if not bool((places.graph.has_energy & places.graph.has_forces).any()):
        return None
    return weak_label_loss(places.known["W"], places.displacements["W"], places.graph, places.objective.per_atom)


def _noisy_needs(places: Places) -> dict[str, int]:
    if places.objective.force > 0 and places.has_forces:
        return {"W": places.supervised_forces}
    return {"W": ENERGY if places.has_energy or places.has_forces else DRAWN}


def _noisy(places: Places) -> Tensor | None:
    """NoisyNodes: the supervised losses at displaced places, as if the labels had not changed."""
    if not places.has_energy and not places.has_forces:
        return None
    objective, moved = places.objective, places.known["W"]
    if places.head != "dual":  # another term may have asked for a gradient that nobody trains on labels
        moved = moved._replace(direct=None, conservative=None)
    value = objective.energy * energy_loss(moved, places.graph, objective.per_atom)
    if objective.force > 0 and places.has_forces:
        value = value + objective.force * force_loss(moved, places.graph)
    return value


def _denoise(places: Places) -> Tensor | None:
    if not places.has_forces:
        return None
    denoised = getattr(places.potential, "denoised", None)
    if denoised is None:
        raise ValueError(
            "denoise: this potential has no head for it; build a PaiNN or TensorNet with denoise=True, or set denoise=0"
        )
    epsilon = places.objective.displacer().per_atom(places.graph)
    # The head says δ/ε, a number of order 1: in Å it would begin with an error of a hundred ε.
    scale = epsilon[:, None] if isinstance(epsilon, Tensor) else epsilon
    noise = scale * denoised(places.graphs["W"], places.graph.forces)
    return noise_loss(noise, places.displacements["W"], places.graph, epsilon)


TERMS: dict[str, Term] = {
    term.name: term
    for term in (
        Term(
            "energy", "energy weight", "energy", "eV²", "1/eV²",
            needs=lambda places: {"labels": ENERGY} if places.has_energy else {}, value=_energy,
        ),
        Term(
            "force", "force weight", "force", "(eV/Å)²", "Å²/eV²",
            needs=lambda places: {"labels": places.supervised_forces} if places.has_forces else {}, value=_force,
        ),
        Term("pitc", "PITC", "Taylor consistency (PITC)", "eV²", "1/eV²", needs=_pitc_needs, value=_pitc),
        Term("pisc", "PISC", "spatial consistency (PISC)", "eV²", "1/eV²", needs=_pisc_needs, value=_pisc),
        Term(
            "gradient", "gradient consistency", "gradient consistency", "(eV/Å)²", "Å²/eV²",
            needs=lambda places: {"C": BOTH},
            value=lambda places: gradient_consistency(places.known["C"], places.objective.teacher),
        ),
        Term("curl", "curl", "curl", "(eV/Å²)²", "Å⁴/eV²", needs=lambda places: {"C": DRAWN}, value=_curl),
        Term("weak", "weak labels", "weak labels", "eV²", "1/eV²", needs=lambda places: {"W": ENERGY}, value=_weak),
        Term("noisy", "noisy copies", "noisy copies", "weighted", "", needs=_noisy_needs, value=_noisy),
        Term("denoise", "denoising", "denoising", "ε²", "", needs=lambda places: {"W": DRAWN}, value=_denoise),
    )
}  # fmt: skip
