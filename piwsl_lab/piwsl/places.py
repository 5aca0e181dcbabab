"""How the potential is asked at a batch: which places are drawn, and one call for all that need the same.

The places, with δ₁ and δ₂ two random displacements:

    labels  r, the batch                         A  r, a centre: a frame of the batch, or of the pool
    C       A + δ₁                               B  A + δ₂
    D       A − δ₁                               W  labels + δ, a displaced copy that keeps its labels
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Generator, Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.models.interface import AnyPotential, Prediction
from piwsl_lab.piwsl.displacements import Displacer
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.residuals import unjoin

DRAWN, ENERGY, FORCES, BOTH = range(4)  # how much a term must know of a place: where it is, E, F, F of both heads


@dataclass
class Places:
    """What a `Term` sees: a batch, its displaced copies, and what the potential says at each.

    Attributes
    ----------
    objective : Objective
        With the values in force.
    potential : callable
    graph : AtomGraph
        The batch with its labels.
    centre : AtomGraph
        Where the consistency terms ask: the batch, or frames of the pool.
    generator : torch.Generator on the CPU, optional
    graphs : dict of AtomGraph
        By the names in the table of this module.
    displacements : dict of Tensor [N, 3], Å
        What leads to a place.
    known : dict of Prediction
    """

    objective: Objective
    potential: AnyPotential
    graph: AtomGraph
    centre: AtomGraph
    generator: Generator | None
    graphs: dict[str, AtomGraph] = field(default_factory=dict)
    displacements: dict[str, Tensor] = field(default_factory=dict)
    known: dict[str, Prediction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.head: str = getattr(self.potential, "head", "")
        self.has_energy = bool(self.graph.has_energy.any())
        self.has_forces = bool(self.graph.has_forces.any())

    @property
    def supervised_forces(self) -> int:
        """What force labels teach: both heads of a dual potential, else its answer."""
        return BOTH if self.head == "dual" else FORCES

    def mean_square(self, residual: Tensor) -> Tensor:
        """Of the structures at the centre, per atom where the objective says so: [S] or [k, S] → a scalar."""
        if self.objective.per_atom:
            residual = residual / self.centre.atoms_per_structure()
        return residual.square().mean()

    def draw(self, levels: Mapping[str, int], displacer: Displacer) -> None:
        """Draw the displacements that are needed, and no other; δ₁ first, then δ₂, then those of displaced labels."""
        graph, centre = self.graph, self.centre

        def displace(place: str, at: AtomGraph, by: Displacer) -> None:
            self.displacements[place] = by.draw(at, self.generator, self.potential)
            self.graphs[place] = at.at(at.positions + self.displacements[place]).unlabelled()

        self.graphs |= {"labels": graph, "A": centre}
        same = centre is graph  # the displaced labels are then at C itself
        if "C" in levels or "D" in levels or ("W" in levels and same):
            displace("C", centre, displacer)
        if "B" in levels:
            displace("B", centre, displacer.other)
        if "D" in levels:
            self.graphs["D"] = centre.at(centre.positions - self.displacements["C"]).unlabelled()
        if "W" in levels and same:
            self.graphs["W"], self.displacements["W"] = self.graphs["C"], self.displacements["C"]
        elif "W" in levels:
            displace("W", graph, displacer)

    def ask(self, levels: Mapping[str, int]) -> None:
        """Ask the potential at every place, in one call for each level of knowledge.

        Forces of a direct head cost next to nothing, so that its energies alone are never asked for; a gradient is.
        """
        # One place by two names is asked once.
        alias = {"A": "labels", "W": "C"} if self.centre is self.graph else {}
        least = FORCES if self.head == "direct" else ENERGY
        wanted: dict[str, int] = {}
        for place, level in levels.items():
            if level > DRAWN:
                place = alias.get(place, place)
                wanted[place] = max(wanted.get(place, least), level)
        for level, forces in ((FORCES, True), (BOTH, "both"), (ENERGY, False)):
            names = [name for name in self.graphs if wanted.get(name) == level]
            if names:
                graphs = [self.graphs[name] for name in names]
                answer = self.potential(AtomGraph.joined(graphs), forces=forces)
                self.known |= zip(names, unjoin(answer, graphs), strict=True)
        self.known |= {name: self.known[target] for name, target in alias.items() if target in self.known}


def centre_of(objective: Objective, graph: AtomGraph, pool: AtomGraph | None) -> AtomGraph:
    """Where the consistency terms ask: the batch, or frames of the pool.

    Raises
    ------
    ValueError
        The objective asks at the pool, and there is none.
    """
    if objective.centres != "pool" or not objective.is_consistent:
        return graph
    if pool is None:
        raise ValueError(
            'centres="pool" asks at frames without labels, and there are none: give the trainer a pool=…, '
            'leave frames out of the budget, or use centres="labelled"'
        )
    return pool.unlabelled()
