"""Graphs on a device that is not the CPU: built, cut into batches, displaced and made anew as on the CPU."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from frames import crystal, dataset, labelled, rattled
from other_device import ELSEWHERE, MixedDevices, numbers, other_device

from piwsl_lab.atoms import AtomGraph, GraphSet, SkinList, graph_set

FRAMES = dataset(*labelled("H2O", 3), crystal(), rattled("CH4"))


def tensors(graph):
    return [getattr(graph, f.name) for f in fields(AtomGraph) if f.name != "n_structures"]


def same(here, there):
    assert all(part.device == ELSEWHERE for part in tensors(there))
    return here.n_structures == there.n_structures and all(
        torch.equal(a, numbers(b)) for a, b in zip(tensors(here), tensors(there), strict=True)
    )


def test_batches_of_indices_from_anywhere_are_those_of_the_cpu(monkeypatch):
    here = GraphSet.build(FRAMES, 4.0)
    with other_device() as device:
        there = GraphSet.build(FRAMES, 4.0, device=device)
        assert same(here.all(), there.all())
        assert there.device == ELSEWHERE
        assert all(part.device == ELSEWHERE for part in (there.atom_start, there.edge_start, there.taken))
        wanted = [4, 0, 3, 3]
        for indices in (wanted, torch.tensor(wanted), torch.tensor(wanted, device=device)):
            assert same(here.batch(wanted), there.batch(indices))
        monkeypatch.setattr(graph_set, "CHUNK_EDGES", 20)
        found = there.all().has_energy.nonzero()[:, 0]
        for indices in (range(3), torch.arange(3), found):
            for size in (1, 2, 8):
                chunks = list(there.chunks(indices, size))
                assert [chunk.tolist() for chunk in chunks] == [chunk.tolist() for chunk in here.chunks(range(3), size)]
                assert torch.cat([numbers(there.batch(chunk).energy) for chunk in chunks]).equal(here.graph.energy[:3])


def test_copies_and_sums_stay_where_the_graph_is():
    here = GraphSet.build(FRAMES, 4.0).all()
    with other_device() as device:
        there = here.to(device, torch.float64)
        assert same(here.to(dtype=torch.float64), there)
        there = here.to(device)
        step = torch.full_like(here.positions, 0.1)
        assert same(here.displaced([step, -step]), there.displaced([step.to(device), -step.to(device)]))
        assert torch.equal(numbers(there.vectors()), here.vectors())
        assert torch.equal(numbers(there.atoms_per_structure()), here.atoms_per_structure())
        with pytest.raises(MixedDevices, match="on the CPU"):
            there.displaced([step])
        with pytest.raises(MixedDevices, match="on the CPU"):
            AtomGraph.joined([here, there])


def test_lists_of_moving_atoms_are_made_anew_elsewhere():
    graphs = GraphSet.build(FRAMES, 3.0, skin=0.6, dtype=torch.float64)
    here, moved = SkinList(graphs, FRAMES, 0.6), graphs.all().positions.clone()
    moved[:9] += 0.4 * torch.arange(27).view(9, 3).sin()
    here.refresh(moved)
    with other_device() as device:
        there = SkinList(GraphSet.build(FRAMES, 3.0, skin=0.6, dtype=torch.float64, device=device), FRAMES, 0.6)
        places = moved.to(device)
        there.refresh(places)
        assert same(here.at(moved), there.at(places))
        assert same(here.at(moved), there.at(moved))  # as ASE asks: with positions from the CPU
        assert here.rebuilds == there.rebuilds > 0
