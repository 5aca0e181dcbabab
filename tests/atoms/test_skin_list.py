"""The neighbour list of moving atoms, against lists that are made anew at every place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from frames import crystal, dataset, rattled

from piwsl_lab.atoms import GraphSet, SkinList

CUTOFF, SKIN = 3.0, 0.6
FRAMES = dataset(rattled("CH3CH2OH"), crystal(), rattled("H2O", seed=2))


def made(frames=FRAMES, dtype=torch.float64):
    graphs = GraphSet.build(frames, CUTOFF, skin=SKIN, dtype=dtype)
    start = torch.from_numpy(np.concatenate([frame.positions for frame in frames]))
    return SkinList(graphs, frames, SKIN), start


def bonds(graph):
    """Edges within the cutoff, with their vectors, in an order of their own."""
    vectors = graph.vectors()
    near = vectors.norm(dim=1) < CUTOFF
    rows = torch.cat([graph.edge_index[:, near].T.double(), vectors[near].round(decimals=6)], dim=1)
    return sorted(map(tuple, rows.tolist()))


@pytest.mark.parametrize("step", [0.03, 0.12, 0.4])
def test_lists_hold_all_neighbours_wherever_the_atoms_go(step):
    kept, positions = made()
    generator = torch.Generator().manual_seed(0)
    for _ in range(8):
        direction = torch.nn.functional.normalize(torch.randn(positions.shape, generator=generator).double(), dim=1)
        positions = positions + step * direction
        kept.refresh(positions)
        ends = np.cumsum([len(frame) for frame in FRAMES])[:-1]
        moved = [
            replace(frame, positions=part)
            for frame, part in zip(FRAMES, np.split(positions.numpy(), ends), strict=True)
        ]
        fresh = GraphSet.build(dataset(*moved), CUTOFF, dtype=torch.float64).all()
        here = kept.at(positions)
        assert torch.allclose(here.positions, fresh.positions, atol=1e-12)
        assert bonds(here) == bonds(fresh)
    # Half the skin is 0.3 Å: short steps seldom use it, long ones at once.
    assert kept.rebuilds < 24 if step < 0.3 else kept.rebuilds == 24


def test_only_the_structure_that_moved_is_made_anew():
    kept, positions = made()
    moved = positions.clone()
    moved[9:13] += 0.5  # the crystal
    assert kept.used_up(moved).tolist() == [False] * 9 + [True] * 4 + [False] * 3
    kept.refresh(moved)
    assert kept.rebuilds == 1
    assert not kept.used_up(moved).any()
    kept.refresh(moved + 0.1)
    assert kept.rebuilds == 1


def test_a_position_that_is_nowhere_is_named_and_changes_nothing():
    kept, positions = made()
    before = kept.graph
    lost = positions.clone()
    lost[2, 0] = torch.nan
    assert kept.used_up(lost).tolist() == [False] * 2 + [True] + [False] * 13
    with pytest.raises(ValueError, match="an atom is at nan Å"):
        kept.refresh(lost)
    assert kept.graph is before
    assert kept.rebuilds == 0


def test_far_from_the_origin_float32_keeps_its_digits():
    kept, positions = made(dtype=torch.float32)
    kept.refresh(positions + 2e5)
    lengths = kept.at(positions + 2e5).vectors().norm(dim=1).sort().values
    assert lengths.dtype == torch.float32
    again, _ = made()
    assert torch.allclose(lengths.double(), again.at(positions).vectors().norm(dim=1).sort().values, atol=1e-5)
