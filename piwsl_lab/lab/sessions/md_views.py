"""What a view of a flight can show besides the atoms: forces beside a reference, their error, energies of atoms.

A reference force costs a call of the oracle, so it is computed for the moments that are looked at only.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from piwsl_lab.data import DataError, Dataset
from piwsl_lab.lab.sessions.md import FlightSession, Track
from piwsl_lab.md.forces import LearnedForces, OracleForces, electronic_state
from piwsl_lab.models.interface import as_graphs

FORCES, BESIDE, DIFFERENCE, ENERGIES = "forces", "reference", "difference", "energies"
TITLES = {
    FORCES: "predicted forces",
    BESIDE: "predicted and reference forces",
    DIFFERENCE: "difference, predicted − reference",
    ENERGIES: "energies of the atoms",
}
NEED_REFERENCE = (BESIDE, DIFFERENCE)
NO_REFERENCE = "no reference method flies here: take data that GFN2-xTB labelled, such as ethanol"
KEPT = 500  # answers that are remembered


class Views:
    """Arguments for `MoleculeView.show` at moments of a flight.

    Parameters
    ----------
    session : FlightSession
    """

    def __init__(self, session: FlightSession) -> None:
        self.session = session
        self._known: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    @property
    def has_reference(self) -> bool:
        """Whether an oracle flies with the twins, whose forces can be asked for anywhere."""
        return self._oracle() is not None

    def of(self, name: str, track: Track, state: int, replica: int, view: str) -> dict[str, Any]:
        """What to draw of a twin in one of the states of its track, for one of `TITLES`.

        Raises
        ------
        ValueError
            The view needs a reference, and no oracle flies.
        """
        forces = track.forces[state][replica].astype(float)
        if view == FORCES:
            return {"forces": forces}
        if view == ENERGIES:
            return {"forces": forces, "atom_energy": self._energies(name, track, state, replica)}
        reference = self._reference(name, track, state, replica)
        if view == BESIDE:
            return {"forces": forces, "reference_forces": reference}
        error = np.linalg.norm(forces - reference, axis=1)
        return {"forces": forces - reference, "atom_error": error, "what": "predicted − reference"}

    def _oracle(self) -> Any:
        fields = [simulation.field for simulation in self.session.simulations.values()]
        return next((field.oracle for field in fields if isinstance(field, OracleForces)), None)

    def _reference(self, name: str, track: Track, state: int, replica: int) -> np.ndarray:
        """Forces of the oracle [n, 3], eV/Å; nan where it finds none."""
        oracle = self._oracle()
        if oracle is None:
            raise ValueError(NO_REFERENCE)
        frame = track.frame
        positions = track.positions[state][replica].astype(float)

        def ask() -> np.ndarray:
            try:
                return oracle.label(frame.numbers, positions, frame.cell, frame.pbc, **electronic_state(frame)).forces
            except DataError:  # atoms on one spot: no arrow is drawn for it
                return np.full_like(positions, np.nan)

        return self._remembered(("reference", name, state, replica, positions.tobytes()), ask)

    def _energies(self, name: str, track: Track, state: int, replica: int) -> np.ndarray | None:
        """Change of the energy of every atom since the start, [n], eV; None where the twin knows no such energies."""
        field = self.session.simulations[name].field
        potential = field.potential if isinstance(field, LearnedForces) else None
        energies_of_atoms = getattr(potential, "energies_of_atoms", None)
        if energies_of_atoms is None:
            return None
        frames = [replace(track.frame, positions=track.positions[k][replica].astype(float)) for k in (0, state)]

        def ask() -> np.ndarray:
            with torch.no_grad():
                graph = as_graphs(potential, Dataset(frames).unlabelled()).all()
                before, now = energies_of_atoms(graph).double().cpu().numpy().reshape(2, -1)
            return now - before

        key = ("energies", name, state, replica, id(field), frames[1].positions.tobytes())
        return self._remembered(key, ask)

    def _remembered(self, key: tuple[Any, ...], ask: Any) -> Any:
        if key not in self._known:
            self._known[key] = ask()
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[key]
