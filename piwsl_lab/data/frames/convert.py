"""`ase.Atoms` and frames: what one knows and the other keeps, and what is passed over by name."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from ase import Atoms
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixCartesian

from piwsl_lab.data.frames.electrons import charge_and_multiplicity
from piwsl_lab.data.frames.frame import DataError, DataWarning, Frame
from piwsl_lab.data.frames.held import held_coordinates, own_masses
from piwsl_lab.data.frames.keys import (
    choose,
    gradient_remarks,
    label_kind,
    looks_like_label,
    say_passed_over,
    with_text_keys,
)
from piwsl_lab.data.frames.stated import Stated, factors, names_unit, stated
from piwsl_lab.data.frames.weights import without_weight

Made = TypeVar("Made")


@dataclass
class Notes:
    """What is said at the end, counted over the frames of one source."""

    passed_over: Counter[str] = field(default_factory=Counter)
    stale: set[str] = field(default_factory=set)
    differing: Counter[str] = field(default_factory=Counter)
    stale_frames: int = 0

    def remarks(self) -> list[str]:
        """Sentences on all that was counted, in the order of the alphabet."""
        said = say_passed_over(self.passed_over) + gradient_remarks(self.passed_over)
        return said + [f"{number} frames: {what}." for what, number in sorted(self.differing.items())]


def frames_of(images: Iterable[Atoms], source: str = "atoms") -> tuple[list[Frame], list[str]]:
    """Frames of one source, and remarks on the names of their labels and on what was passed over.

    Labels come from the calculator, ``info`` and ``arrays``, under the names of `piwsl_lab.data.frames.keys`.
    Constraints, masses, total charge and multiplicity are kept.

    Warns
    -----
    DataWarning
        Labels that no longer belong to their geometry; names of labels that differ between frames.

    Raises
    ------
    DataError
        With the frame's index and `source`.
    """
    notes = Notes()
    images = list(images)
    labels = [_numbered(_labels, i, source, atoms, notes) for i, atoms in enumerate(images)]
    units = [_numbered(_units, i, source, atoms, notes, labels[i]) for i, atoms in enumerate(images)]
    choice = choose(labels, source)
    frames = [
        _numbered(_frame, i, source, atoms, notes, found, taken, units[i])
        for i, (atoms, found, taken) in enumerate(zip(images, labels, choice.taken, strict=True))
    ]
    remarks = choice.remarks + notes.remarks()
    if notes.stale_frames:
        changed = ", ".join(sorted(notes.stale))
        remarks.append(
            f"{source}: {notes.stale_frames} frames had labels that no longer belong to their geometry "
            f"({changed} changed after the calculation); they were left out. Change atoms first and compute "
            "then, or store the labels in info['energy'] and arrays['forces']"
        )
        warnings.warn(remarks[-1], DataWarning, stacklevel=3)
    return frames, remarks


def _numbered(make: Callable[..., Made], index: int, source: str, *arguments: Any) -> Made:
    try:
        return make(*arguments)
    except DataError as error:
        raise DataError(f"frame {index} of {source}: {error}") from error


def _labels(atoms: Atoms, notes: Notes) -> dict[str, Any]:
    """Everything that may be a label of this frame, by its name; what cannot be one is noted."""
    found = {
        **with_text_keys(atoms.info),
        **{name: atoms.arrays[name] for name in atoms.arrays if name not in ("numbers", "positions")},
    }
    for name, value in _calculator_results(atoms, notes).items():
        if name in found and label_kind(name) and not np.array_equal(found[name], value):
            notes.differing[f"'{name}' of info or arrays differs from the calculator's, which was taken"] += 1
        found[name] = value
    labels = {name: value for name, value in found.items() if label_kind(name) and value is not None}
    labels, said = without_weight(atoms, labels)
    notes.differing.update(said)
    for name, value in found.items():
        unknown = looks_like_label(name) or (name in atoms.arrays and np.shape(value) == (len(atoms), 3))
        if not label_kind(name) and unknown and not _empty(name, value):
            notes.passed_over[name] += 1
    return labels


def _units(atoms: Atoms, notes: Notes, labels: dict[str, Any]) -> Stated:
    """Units that ``info`` states; labels are converted in place to eV and eV/Å."""
    about = {key: value for key, value in atoms.info.items() if names_unit(key)}
    if not about or not isinstance(atoms.calc, (SinglePointCalculator, type(None))):
        return Stated()  # a calculator that computes now does so in eV and Å
    units = stated(about)
    kinds = {name: kind for name in labels if (kind := label_kind(name)) is not None}
    found = factors(units, "energy" in kinds.values(), "forces" in kinds.values())
    for name, kind in kinds.items():
        if getattr(found, kind) != 1.0 and np.asarray(labels[name]).dtype.kind in "fiu":
            labels[name] = labels[name] * getattr(found, kind)
    if found != Stated():
        listed = ", ".join(f"{kind} in {unit}" for kind, unit in units.items())
        keys = ", ".join(f"'{key}'" for key in about)
        notes.differing[f"{keys} states {listed}, which was converted to eV and Å"] += 1
    return found


def _empty(name: str, value: Any) -> bool:
    """Tags and magnetic moments of zero say nothing; charges of atoms are summed up elsewhere."""
    return value is None or name == "initial_charges" or (name in ("tags", "initial_magmoms") and not np.any(value))


def _calculator_results(atoms: Atoms, notes: Notes) -> Mapping[str, Any]:
    """What the calculator knows or can compute; nothing once the atoms have moved away from it."""
    if atoms.calc is None:
        return {}
    if isinstance(atoms.calc, SinglePointCalculator):
        changed = atoms.calc.check_state(atoms)
        if not changed:
            results: Mapping[str, Any] = atoms.calc.results
            return results
        if any(label_kind(name) for name, value in atoms.calc.results.items() if value is not None):
            notes.stale.update(changed)
            notes.stale_frames += 1
        return {}
    try:
        return {"energy": atoms.get_potential_energy(), "forces": atoms.get_forces(apply_constraint=False)}
    except PropertyNotImplementedError as error:
        name = type(atoms.calc).__name__
        raise DataError(f"{name} gives no {error}; attach a calculator with energy and forces, or none") from error


def _frame(atoms: Atoms, notes: Notes, labels: Mapping[str, Any], taken: Mapping[str, str], units: Stated) -> Frame:
    values = {kind: _checked(name, labels[name]) for kind, name in taken.items()}
    info, said = charge_and_multiplicity(atoms)
    fixed, refused = held_coordinates(atoms)
    notes.differing.update(said)
    notes.passed_over.update(refused)
    # A second energy left in info would be taken for the label when the frame is written and read again.
    kept: dict[str, Any] = {
        name: value
        for name, value in with_text_keys(atoms.info).items()
        if isinstance(value, (str, int, float, np.number)) and not label_kind(name) and not names_unit(name)
    }
    return Frame(
        atoms.numbers,
        atoms.positions * units.length,
        atoms.cell.array * units.length,
        atoms.pbc,
        values.get("energy"),
        values.get("forces"),
        {**kept, **info},
        own_masses(atoms),
        fixed,
    )


def _checked(name: str, value: Any) -> Any:
    if np.asarray(value).dtype == bool:
        raise DataError(f"'{name}' is {value}, true or false and no number; correct or remove the frame")
    return value


def to_atoms(frame: Frame) -> Atoms:
    """An `ase.Atoms` with the labels, the masses and the constraints of a frame; charge and multiplicity in info."""
    atoms = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=frame.pbc, info=dict(frame.info))
    if frame.masses is not None:
        atoms.set_masses(frame.masses)
    if frame.fixed is not None:
        atoms.set_constraint(_constraints(frame.fixed))
    labels = {"energy": frame.energy, "forces": frame.forces}
    atoms.calc = SinglePointCalculator(atoms, **{k: v for k, v in labels.items() if v is not None})
    return atoms


def _constraints(fixed: np.ndarray) -> list[FixAtoms | FixCartesian]:
    whole = fixed.all(axis=1)
    found: list[FixAtoms | FixCartesian] = [FixAtoms(mask=whole)] if whole.any() else []
    for mask in np.unique(fixed[fixed.any(axis=1) & ~whole], axis=0):
        found.append(FixCartesian(np.flatnonzero((fixed == mask).all(axis=1)), mask))
    return found
