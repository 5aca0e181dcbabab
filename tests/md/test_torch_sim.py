"""The adapter to torch-sim: the same trajectory as our own simulation. Skipped where torch-sim is not installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import units
from ase.data import atomic_masses
from frames import dataset, rattled
from test_simulation import crystal, network

from piwsl_lab.data import Dataset
from piwsl_lab.md import Simulation
from piwsl_lab.models import PaiNN

ts = pytest.importorskip("torch_sim", reason="torch-sim is not installed: pip install 'piwsl-lab[torch-sim]'")


def state_of(frames: Dataset) -> ts.SimState:
    """The frames as one state of torch-sim, whose cells have their vectors as columns."""
    numbers = np.concatenate([frame.numbers for frame in frames])
    return ts.SimState(
        positions=torch.from_numpy(np.concatenate([frame.positions for frame in frames])),
        masses=torch.from_numpy(atomic_masses[numbers]),
        cell=torch.from_numpy(np.stack([frame.cell.T for frame in frames])).contiguous(),
        pbc=bool(np.any(frames[0].pbc)),
        atomic_numbers=torch.from_numpy(numbers),
        system_idx=torch.repeat_interleave(torch.tensor([len(frame) for frame in frames])),
    )


@pytest.mark.parametrize("head", ["conservative", "direct"])
@pytest.mark.parametrize("starts", [lambda: dataset(rattled("CH3CH2OH"), rattled("H2O")), lambda: dataset(crystal())])
def test_torch_sim_flies_the_same_trajectory(head, starts):
    from torch_sim.integrators import nve

    from piwsl_lab.md.torch_sim_model import TorchSimModel

    frames, potential = starts(), network(head)
    simulation = Simulation(potential, frames, temperature=1000.0, time_step=0.5)
    model = TorchSimModel(potential, skin=0.2)
    state = state_of(frames)
    start, step = nve(model, dt=torch.tensor(0.5 * units.fs, dtype=torch.float64), kT=torch.tensor(0.0))
    state = start(state)
    state.momenta = simulation.masses * simulation.velocities / units.fs
    references = [sum(potential.reference[int(z)] for z in frame.numbers) for frame in frames]
    for _ in range(50):
        state = step(state)
        simulation.step()
        now = simulation.snapshot()
        moved = state.positions.numpy() - now.positions
        for frame, atoms in zip(frames, np.split(moved, np.cumsum([len(f) for f in frames])[:-1]), strict=True):
            if np.any(frame.pbc):  # torch-sim wraps
                atoms = atoms @ np.linalg.inv(frame.cell)
                atoms -= np.round(atoms)
            assert np.abs(atoms).max() < 1e-10
        assert np.allclose(state.energy.numpy(), now.potential + references, atol=1e-10, rtol=0)


def test_a_potential_without_reference_energies_is_refused():
    from piwsl_lab.md.torch_sim_model import TorchSimModel

    with pytest.raises(ValueError, match="no reference energies yet"):
        TorchSimModel(PaiNN(channels=8, layers=1))
