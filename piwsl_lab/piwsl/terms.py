"""The terms of an objective on one batch: which places they ask at, one call of the potential for all, their values.

Places: "labels" is the batch; A = r the centre of the consistency terms (the batch, or a frame of the pool),
B = r + δ₂, C = r + δ₁, D = r − δ₁; W a displaced copy of the batch whose labels a rival keeps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Generator, Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import Prediction
from piwsl_lab.piwsl.residuals import (
    PotentialLike,
    curl_loss,
    energy_loss,
    force_loss,
    gradient_consistency,
    noise_loss,
    pisc,
    pitc,
    split,
    symmetric_pitc,
    weak_label_loss,
)
from piwsl_lab.piwsl.soft_modes import SoftModes

if TYPE_CHECKING:
    from piwsl_lab.piwsl.displacements import Displacer
    from piwsl_lab.piwsl.objective import Objective

ENERGY, FORCES, BOTH = range(3)  # how much of a place must be known


@dataclass
class Batch:
    """One batch and an objective; arguments as in `Objective.terms`.

    Attributes
    ----------
    places : dict of AtomGraph
        By the names above.
    steps : dict of Tensor [N, 3], Å
        The displacement that leads to a place.
    """

    objective: Objective
    potential: PotentialLike
    graph: AtomGraph
    generator: Generator | None = None
    pool: AtomGraph | None = None
    modes: SoftModes | None = None
    places: dict[str, AtomGraph] = field(default_factory=dict)
    steps: dict[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.head = getattr(self.potential, "head", "")
        self.has_energy = bool(self.graph.has_energy.any())
        self.has_forces = bool(self.graph.has_forces.any())

    def values(self) -> dict[str, Tensor]:
        """Every term that is on and finds what it needs, unweighted, by name."""
        needs = self._needs()
        self._draw(needs)
        known = self._ask(needs)
        return self._supervised(known) | self._consistency(known) | self._rivals(known)

    def _centre(self) -> AtomGraph:
        if self.objective.centres != "pool" or not self.objective.is_consistent:
            return self.graph
        if self.pool is None:
            raise ValueError(
                'centres="pool" asks at frames without labels, and there are none: give the trainer a pool=…, '
                'leave frames out of the budget, or use centres="labelled"'
            )
        return self.pool.unlabelled()

    def _draw(self, needs: dict[str, int]) -> None:
        """Draw the displacements that are needed, and no other; δ₁ first, then δ₂, then those of the rivals."""
        o, graph, centre = self.objective, self.graph, self._centre()
        displacer = o.displacer(self.modes)
        self.places |= {"labels": graph, "A": centre}
        same = centre is graph
        # The rivals displace the labelled frames: C itself where those are the centres.
        if {"C", "D"} & set(needs) or o.curl > 0 or (o.has_rivals and same):
            self._displace("C", centre, displacer)
        if "B" in needs:
            self._displace("B", centre, displacer.other)
        if "D" in needs:
            self.places["D"] = centre.at(centre.positions - self.steps["C"]).unlabelled()
        if o.has_rivals and same:
            self.places["W"], self.steps["W"] = self.places["C"], self.steps["C"]
        elif o.has_rivals:
            self._displace("W", graph, displacer)

    def _displace(self, name: str, at: AtomGraph, displacer: Displacer) -> None:
        self.steps[name] = displacer.draw(at, self.generator, self.potential)
        self.places[name] = at.at(at.positions + self.steps[name]).unlabelled()

    def _needs(self) -> dict[str, int]:
        """How much every place must know, ENERGY, FORCES or BOTH heads' forces, for the terms that are on."""
        o = self.objective
        needs: dict[str, int] = {}

        def need(**levels: int) -> None:
            for place, level in levels.items():
                needs[place] = max(needs.get(place, 0), level)

        supervised = BOTH if self.head == "dual" else FORCES
        at_end = FORCES if o.order == 2 else ENERGY
        if o.energy > 0 and self.has_energy:
            need(labels=ENERGY)
        if o.force > 0 and self.has_forces:
            need(labels=supervised)
        if o.pitc > 0:
            need(A=FORCES, C=at_end)
            if o.order == "symmetric":
                need(D=ENERGY)
        if o.pisc > 0:
            at_end = ENERGY if o.order == 1 else FORCES
            need(**{
                "same_point": {"B": FORCES, "C": at_end},
                "extrapolations": {"A": FORCES, "B": FORCES, "C": at_end},
                "reverse": {"C": FORCES, "B": at_end},
                "all": {"A": FORCES, "B": FORCES, "C": FORCES},
                "two_point": {"C": FORCES, "A": at_end},
            }[o.pisc_form])  # fmt: skip
        if o.gradient > 0:
            need(C=BOTH)
        if o.weak > 0:
            need(W=ENERGY)
        if o.noisy > 0 and (self.has_energy or self.has_forces):
            need(W=supervised if o.force > 0 and self.has_forces else ENERGY)
        return needs

    def _ask(self, needs: dict[str, int]) -> dict[str, Prediction]:
        """What the potential says at every place, in one call for each level of knowledge.

        Forces of a direct head cost next to nothing, so that its energies alone are never asked for; a gradient is.
        """
        # One place by two names is asked once.
        alias = {"A": "labels", "W": "C"} if self.places["A"] is self.graph else {}
        levels: dict[str, int] = {}
        for place, level in needs.items():
            place = alias.get(place, place)
            levels[place] = max(levels.get(place, 0), level)
        if self.head == "direct":
            levels = {place: max(level, FORCES) for place, level in levels.items()}
        known: dict[str, Prediction] = {}
        for level, forces in ((FORCES, True), (BOTH, "both"), (ENERGY, False)):
            names = [name for name in self.places if levels.get(name) == level]
            if names:
                graphs = [self.places[name] for name in names]
                known |= zip(names, split(self.potential(AtomGraph.joined(graphs), forces=forces), graphs), strict=True)
        return known | {name: known[target] for name, target in alias.items() if target in known}

    def _supervised(self, known: dict[str, Prediction]) -> dict[str, Tensor]:
        o, values = self.objective, {}
        if o.energy > 0 and self.has_energy:
            values["energy"] = energy_loss(known["labels"], self.graph, o.per_atom)
        if o.force > 0 and self.has_forces:
            values["force"] = force_loss(known["labels"], self.graph)
        return values

    def _consistency(self, known: dict[str, Prediction]) -> dict[str, Tensor]:
        o, centre, values = self.objective, self.places["A"], {}
        a, b, c, d = (known.get(place) for place in "ABCD")
        first, second = self.steps.get("C"), self.steps.get("B")
        if o.pitc > 0 and o.order == "symmetric":
            values["pitc"] = self._mean_square(symmetric_pitc(a, c, d, first, centre))
        elif o.pitc > 0:
            values["pitc"] = self._mean_square(pitc(a, c, first, centre, o.order))
        if o.pisc > 0:
            order = 1 if o.order == 1 else 2
            values["pisc"] = self._mean_square(pisc(a, b, c, first, second, centre, order, o.pisc_form))
        if o.gradient > 0:
            values["gradient"] = gradient_consistency(c, o.teacher)
        if o.curl > 0:
            values["curl"] = curl_loss(self.potential, self.places["C"], self.generator)
        return values

    def _rivals(self, known: dict[str, Prediction]) -> dict[str, Tensor]:
        o, labels, values = self.objective, self.graph, {}
        if o.weak > 0 and bool((labels.has_energy & labels.has_forces).any()):
            values["weak"] = weak_label_loss(known["W"], self.steps["W"], labels, o.per_atom)
        if o.noisy > 0 and (self.has_energy or self.has_forces):
            values["noisy"] = self._kept_labels(known["W"])
        if o.denoise > 0 and self.has_forces:
            epsilon = o.displacer().per_atom(labels)
            # The head says δ/ε, a number of order 1: in Å it would begin with an error of a hundred ε.
            scale = epsilon[:, None] if isinstance(epsilon, Tensor) else epsilon
            noise = scale * self.potential.denoised(self.places["W"], labels.forces)
            values["denoise"] = noise_loss(noise, self.steps["W"], labels, epsilon)
        return values

    def _kept_labels(self, moved: Prediction) -> Tensor:
        """NoisyNodes: the supervised losses at displaced places, as if the labels had not changed."""
        o = self.objective
        if self.head != "dual":  # another term may have asked for a gradient that nobody trains on labels
            moved = moved._replace(direct=None, conservative=None)
        value = o.energy * energy_loss(moved, self.graph, o.per_atom)
        if o.force > 0 and self.has_forces:
            value = value + o.force * force_loss(moved, self.graph)
        return value

    def _mean_square(self, residual: Tensor) -> Tensor:
        if self.objective.per_atom:
            residual = residual / self.places["A"].atoms_per_structure()
        return residual.square().mean()
