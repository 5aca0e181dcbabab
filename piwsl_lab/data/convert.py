"""`ase.Atoms` and frames: what one knows and the other keeps."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator

from piwsl_lab.data.frame import DataError, Frame


def from_atoms(atoms: Atoms) -> Frame:
    """A frame with the labels of an `ase.Atoms`."""
    energy, forces = _calculator_labels(atoms)
    energy = atoms.info.get("energy") if energy is None else energy
    forces = atoms.arrays.get("forces") if forces is None else forces
    info = {k: v for k, v in atoms.info.items() if k != "energy" and isinstance(v, (str, int, float, np.number))}
    return Frame(atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc, energy, forces, info)


def _calculator_labels(atoms: Atoms) -> tuple[float | None, np.ndarray | None]:
    """Energy and forces that the calculator knows or can compute."""
    if atoms.calc is None:
        return None, None
    if isinstance(atoms.calc, SinglePointCalculator):
        # Stored results stop being labels once the atoms have moved.
        results = {} if atoms.calc.check_state(atoms) else atoms.calc.results
        return results.get("energy"), results.get("forces")
    try:
        return atoms.get_potential_energy(), atoms.get_forces(apply_constraint=False)
    except PropertyNotImplementedError as error:
        name = type(atoms.calc).__name__
        raise DataError(f"{name} gives no {error}; attach a calculator with energy and forces, or none") from error


def to_atoms(frame: Frame) -> Atoms:
    """An `ase.Atoms` with the labels of a frame."""
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc, info=dict(frame.info))
    labels = {"energy": frame.energy, "forces": frame.forces}
    atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in labels.items() if v is not None})
    return atoms
