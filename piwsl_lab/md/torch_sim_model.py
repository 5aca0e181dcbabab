"""A potential as a model of torch-sim: `pip install 'piwsl-lab[torch-sim]'` (Python 3.11 or later).

Import it by its full name, `piwsl_lab.md.torch_sim_model`: nothing else here needs torch-sim.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_sim.models.interface import ModelInterface
from torch_sim.state import SimState

from piwsl_lab.atoms.skin_list import SKIN
from piwsl_lab.data import Dataset, Frame
from piwsl_lab.md.forces import LearnedForces
from piwsl_lab.models.interface import AnyPotential, dtype_and_device, total_energies


class TorchSimModel(ModelInterface):  # type: ignore[misc, unused-ignore]  # Any where torch-sim is not installed
    """Total energies [S] (eV) and forces [N, 3] (eV/Å) of a potential for the states of torch-sim; no stress.

    Neighbour lists are kept while the systems are the same, and made anew where half the skin is used. Masses are those
    of the state. torch-sim 0.3 knows no constraints and moves every atom: fly held atoms with `Simulation` or ASE.

    Parameters
    ----------
    potential : AnyPotential
        On the device where torch-sim is to compute.
    dtype : torch.dtype
        Of what is answered; the potential computes in its own.
    skin : float, Å

    Raises
    ------
    ValueError
        The potential was never calibrated.
    """

    def __init__(self, potential: AnyPotential, dtype: torch.dtype = torch.float64, skin: float = SKIN) -> None:
        super().__init__()
        if getattr(potential, "reference", None) is None:
            raise ValueError("the potential has no reference energies yet: train it, or calibrate it on labels")
        self.potential, self.skin = potential, skin
        self._device, self._dtype = dtype_and_device(potential)[1], dtype
        self._compute_stress, self._compute_forces = False, True
        self._field: LearnedForces | None = None
        self._systems: tuple[Tensor, ...] | None = None

    def forward(self, state: SimState | dict[str, Any], **_: object) -> dict[str, Tensor]:
        """Energies and forces of a state."""
        state = state if isinstance(state, SimState) else SimState(**state)
        systems = state.atomic_numbers, state.system_idx, state.cell
        field = self._field
        if field is None or self._systems is None or not all(map(_same, systems, self._systems)):
            field = self._field = LearnedForces(self.potential, _frames(state), self.skin)
            self._systems = tuple(values.clone() for values in systems)
        energies, forces = field(state.positions.double())
        totals = total_energies(energies, (frame.numbers for frame in field.frames), self.potential)
        return {"energy": torch.from_numpy(totals).to(self._device, self._dtype), "forces": forces.to(self._dtype)}


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
