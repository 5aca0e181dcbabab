"""The contract: our own models keep it, and for each of its lines there is a broken model that fails it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from frames import crystal, dataset, frame, rattled
from potentials import Exact

import piwsl_lab
from piwsl_lab.models import HEADS, MODELS, Prediction, build, check_potential
from piwsl_lab.models.radial import envelope

FRAMES = dataset(rattled("CH3CH2OH"), crystal(), rattled("H2O", seed=2))
LINES = [
    *(
        f"{name}, {what}"
        for name in ("rotation", "reflection", "translation", "permutation", "batch", "longer list")
        for what in ("energy", "forces")
    ),
    "finite differences", "second derivative", "cutoff, energy", "cutoff, forces", "lone atom, forces", "float64",
]  # fmt: skip
EXACT = ("rotation", "reflection", "translation", "permutation", "batch", "longer list")


@pytest.mark.parametrize(("model", "head"), list(itertools.product(MODELS, HEADS)))
def test_our_models_keep_the_contract(model, head):
    torch.manual_seed(7)
    potential = build(model, head=head, channels=8, layers=2, radial=6, cutoff=4.0)
    report = check_potential(potential, FRAMES, seed=1)
    assert report.passed, report
    assert [line.name for line in report.lines] == LINES
    # Our own are held to less than the contract leaves to models of thousands of electronvolts.
    exact = [line for line in report.lines if line.unit in ("eV", "eV/Å") and line.name.partition(",")[0] in EXACT]
    assert len(exact) == 2 * len(EXACT)
    assert max(line.value for line in exact) < 1e-10, report
    assert report["finite differences"].value < 1e-7
    assert ("not asked" in report["finite differences"].note) == (head == "direct")
    assert next(potential.parameters()).dtype == torch.float32  # the copy was converted, not the original
    forces = potential(potential.graphs(FRAMES).all()).forces
    assert float(forces.detach().abs().max()) > 1e-3  # a model that says nothing would pass


def pair(graph, shape=lambda r: torch.exp(-r), smooth=True):
    """Energies [S] of a sum over pairs; it ends smoothly at 5 Å if asked to."""
    r = graph.vectors().square().sum(1).add(1e-20).sqrt()
    energies = shape(r) * envelope(r, 5.0) if smooth else shape(r)
    return of_structures(graph, energies)


def of_structures(graph, edges):
    return graph.sum_over_atoms(torch.zeros_like(graph.positions[:, 0]).index_add(0, graph.edge_index[0], edges))


def along_x(graph):
    return pair(graph) + of_structures(
        graph, graph.vectors()[:, 0].square() * envelope(graph.vectors().norm(dim=1), 5.0)
    )


def handed(graph):
    """Three sums of directions span a volume, which a mirror turns round."""
    vectors = graph.vectors()
    r = vectors.norm(dim=1, keepdim=True)
    sides = [
        torch.zeros_like(graph.positions).index_add(
            0, graph.edge_index[0], vectors / r * torch.exp(-k * r) * envelope(r, 5.0)
        )
        for k in (0.3, 1.0, 3.0)
    ]
    return pair(graph) + graph.sum_over_atoms(100 * torch.linalg.det(torch.stack(sides, dim=1)))


def by_number(graph):
    """The first atoms of a structure weigh less."""
    sizes = graph.structure.bincount(minlength=graph.n_structures)
    rank = torch.arange(len(graph.numbers)) - (sizes.cumsum(0) - sizes)[graph.structure]
    r = graph.vectors().norm(dim=1)
    return of_structures(graph, torch.exp(-r) * envelope(r, 5.0) * (1 + rank[graph.edge_index[0]]))


def beyond(graph):
    """Counts its neighbours to the end of the list, however far that is."""
    far = graph.vectors().norm(dim=1) > 5.0
    return pair(graph) + of_structures(graph, torch.where(far, 0.1 * graph.vectors().norm(dim=1), 0.0))


def sharp(graph):
    r = graph.vectors().norm(dim=1)
    return of_structures(graph, torch.where(r < 5.0, torch.exp(-r), 0.0))


def kinked(graph):
    r = graph.vectors().norm(dim=1)
    return of_structures(graph, (1 - r / 5.0).clamp(min=0.0))


def single(graph):
    return pair(graph.at(graph.positions.float().double() + 0 * graph.positions)).float().double()


class Wrong(Exact):
    """An exact potential whose answer is changed."""

    def __init__(self, change, energy=pair):
        super().__init__(energy)
        self.change = change

    def __call__(self, graph, forces=True):
        return self.change(super().__call__(graph, forces), graph)


def pushed(prediction, graph):
    """A force on atoms without neighbours."""
    lone = torch.bincount(graph.edge_index[0], minlength=len(graph.numbers)) == 0
    return prediction._replace(forces=prediction.forces + 0.1 * lone[:, None])


def needs_company(prediction, graph):
    if not graph.edge_index.numel():
        raise RuntimeError("no edges")
    return prediction


ENERGY_AND_FORCES = {
    "rotation": Exact(along_x),
    "reflection": Exact(handed),
    "translation": Exact(lambda g: pair(g) + g.sum_over_atoms(0.1 * g.positions.square().sum(1))),
    "permutation": Exact(by_number),
    "batch": Exact(lambda g: pair(g) * (1 + 0.1 * g.n_structures)),
    "longer list": Exact(beyond),
}


def test_an_exact_potential_keeps_it():
    report = check_potential(Exact(pair), FRAMES)
    assert report.passed, report
    assert str(report).startswith("Exact keeps the contract\n  rotation, energy ")


# An axis is another one in a mirror, and the same holds for a centre; two atoms apart have a number less, or more.
ALSO = {
    "rotation": {"reflection, energy", "reflection, forces"},
    "translation": {"rotation, energy", "rotation, forces", "reflection, energy", "reflection, forces",
                    "cutoff, energy", "lone atom, forces"},
}  # fmt: skip


@pytest.mark.parametrize("line", ENERGY_AND_FORCES)
def test_an_energy_that_breaks_one_symmetry_fails_its_line(line):
    failed = set(check_potential(ENERGY_AND_FORCES[line], FRAMES).failed)
    assert {f"{line}, energy", f"{line}, forces"} <= failed
    assert failed <= {f"{line}, energy", f"{line}, forces"} | ALSO.get(line, set())


@pytest.mark.parametrize(
    ("potential", "failed"),
    [
        (Wrong(lambda p, g: p._replace(forces=1.1 * p.forces)), {"finite differences"}),
        (Wrong(lambda p, g: p._replace(forces=p.forces.detach())), {"second derivative"}),
        (Wrong(lambda p, g: p._replace(forces=p.forces.detach() + 0 * g.positions)), {"second derivative"}),
        (Exact(sharp), {"cutoff, energy", "cutoff, forces"}),
        (Exact(kinked), {"cutoff, energy", "cutoff, forces"}),
        # Beyond the cutoff each of two atoms is alone as well.
        (Wrong(pushed), {"cutoff, forces", "lone atom, forces"}),
        (Wrong(needs_company), {"cutoff, energy", "cutoff, forces", "lone atom, forces"}),
    ],
)
def test_a_potential_with_one_fault_fails_that_line(potential, failed):
    report = check_potential(potential, dataset(rattled("CH3CH2OH"), rattled("H2O", seed=2)))
    assert set(report.failed) == failed
    assert "fails in" in str(report)
    assert "FAILS" in str(report)


def test_a_potential_that_computes_in_float32_is_found_out():
    assert "float64" in check_potential(Exact(single), FRAMES).failed
    short = Wrong(lambda p, g: Prediction(p.energy.float(), p.forces))
    line = check_potential(short, FRAMES)["float64"]
    assert not line.passed
    assert "answered in float32" in line.note


def test_what_a_line_raises_is_its_note():
    line = check_potential(Wrong(needs_company), FRAMES)["lone atom, forces"]
    assert np.isnan(line.value)
    assert line.note == "FAILS: RuntimeError: no edges"


def test_a_direct_head_is_not_asked_for_a_gradient():
    swirl = Wrong(lambda p, g: p._replace(forces=1.1 * p.forces))
    swirl.head = "direct"
    report = check_potential(swirl, FRAMES)
    assert report.passed, report


class NoCutoff(Exact):
    cutoff = None


@pytest.mark.parametrize(
    ("potential", "frames", "message"),
    [
        (Exact(pair), [], "at least one frame with two atoms"),
        (Exact(pair), [frame([1], [[0.0, 0, 0]])], "at least one frame with two atoms"),
        (NoCutoff(pair), FRAMES, "needs an attribute `cutoff`"),
        (build("painn", elements=[6], channels=4, layers=1), FRAMES, "never saw the elements"),
        (Wrong(lambda p, g: tuple(p)), FRAMES, "answered with a tuple: it must be a Prediction"),
        (Wrong(lambda p, g: p._replace(energy=p.energy.sum())), FRAMES, r"energies \[\] and forces \[9, 3\]"),
        (Wrong(lambda p, g: p._replace(forces=None)), FRAMES, "answered without forces"),
        (Wrong(lambda p, g: p.nothing), FRAMES, "cannot be asked about its first frame: AttributeError"),
    ],
)
def test_what_cannot_be_asked_is_said(potential, frames, message):
    with pytest.raises(ValueError, match=message):
        check_potential(potential, frames)


def test_a_reader_finds_it_at_the_front_door():
    assert piwsl_lab.check_potential is check_potential
