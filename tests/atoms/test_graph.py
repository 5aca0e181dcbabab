"""Neighbour lists and batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from frames import crystal, dataset, frame, labelled, rattled
from hypothesis import given, settings
from hypothesis import strategies as st

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.atoms.neighbours import neighbours


def brute_force(f, cutoff):
    """Every pair of an atom and an image of an atom, by plain loops."""
    reach = range(-4, 5) if f.pbc.any() else range(1)
    found = []
    for i, j in itertools.product(range(len(f.numbers)), repeat=2):
        for image in itertools.product(reach, repeat=3):
            if i == j and image == (0, 0, 0):
                continue
            vector = f.positions[j] + np.array(image) @ f.cell - f.positions[i]
            if np.linalg.norm(vector) < cutoff:
                found.append((i, j, *np.round(vector, 8)))
    return sorted(found)


@pytest.mark.parametrize("f", [rattled("CH3CH2OH"), crystal(0), crystal(1)], ids=["molecule", "crystal", "crystal-2"])
def test_neighbours_match_plain_loops(f):
    edges, shift = neighbours(f, 5.0)
    vectors = f.positions[edges[1]] + shift - f.positions[edges[0]]
    assert sorted((int(i), int(j), *np.round(v, 8)) for (i, j), v in zip(edges.T, vectors, strict=True)) == brute_force(
        f, 5.0
    )


def test_partly_periodic_cell_has_no_images_across_the_open_direction():
    f = crystal()
    slab = type(f)(f.numbers, f.positions, f.cell, np.array([True, True, False]), None, None, {})
    _, shift = neighbours(slab, 5.0)
    coefficients = np.round(shift @ np.linalg.inv(f.cell), 6)
    assert np.all(coefficients[:, 2] == 0)
    assert np.any(coefficients[:, :2] != 0)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_batch_equals_graphs_built_one_by_one(indices):
    names = ["H2O", "CH3CH2OH", "CH4", "O"]
    frames = [rattled(n, seed=k) for k, n in enumerate(names)] + [crystal(0), crystal(1)]
    whole = GraphSet.build(dataset(*frames), 4.0, dtype=torch.float64)
    batch = whole.batch(indices)
    alone = [GraphSet.build(dataset(frames[i]), 4.0, dtype=torch.float64).all() for i in indices]
    starts = np.cumsum([0] + [g.positions.shape[0] for g in alone])
    assert torch.equal(batch.positions, torch.cat([g.positions for g in alone]))
    assert torch.equal(batch.numbers, torch.cat([g.numbers for g in alone]))
    assert torch.equal(batch.edge_shift, torch.cat([g.edge_shift for g in alone]))
    edges = torch.cat([g.edge_index + int(s) for g, s in zip(alone, starts[:-1], strict=True)], dim=1)
    assert torch.equal(batch.edge_index, edges)
    assert batch.structure.tolist() == [k for k, g in enumerate(alone) for _ in range(g.positions.shape[0])]
    assert torch.equal(batch.cell, torch.cat([g.cell for g in alone]))


def test_energies_lose_their_reference_in_double_precision():
    f = rattled("CH3CH2OH")
    total = -4209.123456789
    f = frame(f.numbers, f.positions, energy=total)
    reference = {1: -13.5, 6: -1025.25, 8: -2035.5}
    offset = 6 * 13.5 + 2 * 1025.25 + 2035.5
    graphs = GraphSet.build(dataset(f), 5.0, reference, dtype=torch.float32)
    # Near -42 eV float32 resolves 4e-6 eV; near -4209 eV it would round to half a meV.
    assert float(graphs.all().energy[0]) == pytest.approx(total + offset, abs=2e-6)
    with pytest.raises(ValueError, match=r"no reference energy for the elements \[8\]"):
        GraphSet.build(dataset(f), 5.0, {1: 0.0, 6: 0.0})


def test_displaced_copies_have_the_neighbours_of_the_displaced_structure():
    f = crystal()
    graph = GraphSet.build(dataset(f, rattled("CH4")), 4.0, skin=0.6, dtype=torch.float64).all()
    generator = torch.Generator().manual_seed(0)
    delta = 0.29 * (2 * torch.rand(graph.positions.shape, generator=generator, dtype=torch.float64) - 1)
    stacked = graph.displaced([delta, -delta])
    assert stacked.n_structures == 6
    assert stacked.has_energy.tolist()[2:] == [False] * 4
    copy = stacked.structure == 2
    rebuilt = GraphSet.build(dataset(frame(f.numbers, stacked.positions[copy].numpy(), f.cell)), 4.0, skin=0.0).all()
    mine = stacked.vectors()[copy[stacked.edge_index[0]]].norm(dim=1)
    near = np.sort(mine[mine < 4.0].numpy())
    assert np.allclose(near, np.sort(rebuilt.vectors().norm(dim=1).numpy()), atol=1e-5)


def test_empty_set_is_an_error():
    with pytest.raises(ValueError, match="the data set is empty"):
        GraphSet.build(labelled("H2O", 2)[:0], 5.0)
