"""A potential as a model of torch-sim: `pip install 'piwsl-lab[torch-sim]'` (Python 3.11 or later).

Import it by its full name, `piwsl_lab.md.torch_sim_model`: nothing else here needs torch-sim.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from piwsl_lab.data import Dataset, Frame
from piwsl_lab.md.forces import SKIN, LearnedForces
from piwsl_lab.models import Potential


class TorchSimModel(ModelInterface):
    """Total energies [S] (eV) and forces [N, 3] (eV/Å) of a potential for the states of torch-sim; no stress.

    Neighbour lists are kept while the systems are the same, and made anew where half the skin is used. Masses are those
    of the state. torch-sim 0.3 knows no constraints and moves every atom: fly held atoms with `Simulation` or ASE.

    Parameters
    ----------
    potential : Potential
        On the device where torch-sim is to compute.
    dtype : torch.dtype
        Of what is answered; the potential computes in its own.
    skin : float, Å

    Raises
    ------
    ValueError
        The potential was never calibrated.
    """

    def __init__(self, potential: Potential, dtype: torch.dtype = torch.float64, skin: float = SKIN) -> None:
        super().__init__()
        if potential.reference is None:
            raise ValueError("the potential has no reference energies yet: train it, or calibrate it on labels")
        self.potential, self.skin = potential, skin
        self._device, self._dtype = next(potential.parameters()).device, dtype
        self._compute_stress, self._compute_forces = False, True
        self._field: LearnedForces | None = None
        self._systems: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, state: SimState | dict, **_: object) -> dict[str, Tensor]:
        """Energies and forces of a state."""
        state = state if isinstance(state, SimState) else SimState(**state)
        systems = state.atomic_numbers, state.system_idx, state.cell
        if self._systems is None or not all(_same(a, b) for a, b in zip(systems, self._systems, strict=True)):
            frames = _frames(state)
            offsets = [sum(self.potential.reference[int(z)] for z in frame.numbers) for frame in frames]
            self._offset = torch.tensor(offsets, dtype=torch.float64, device=self._device)
            self._field = LearnedForces(self.potential, frames, self.skin)
            self._systems = tuple(values.clone() for values in systems)
        energies, forces = self._field(state.positions.double())
        return {"energy": (energies + self._offset).to(self._dtype), "forces": forces.to(self._dtype)}


def _frames(state: SimState) -> Dataset:
    """The systems of a state; its cells have their vectors as columns."""
    numbers, positions = state.atomic_numbers.cpu().numpy(), state.positions.double().cpu().numpy()
    which, cells = state.system_idx.cpu().numpy(), state.cell.double().cpu().numpy().transpose(0, 2, 1)
    periodic = np.broadcast_to(np.asarray(torch.as_tensor(state.pbc).cpu()), 3)
    return Dataset(
        [
            Frame(numbers[which == s], positions[which == s], cell=cell, pbc=periodic.copy())
            for s, cell in enumerate(cells)
        ]
    )


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b))
