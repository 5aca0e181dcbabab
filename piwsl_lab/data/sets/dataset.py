"""Frames, their labels, and the budgets and splits that decide who sees which label.

Everything here is numpy in float64, in eV and Å, and immutable. A split or a budget is a new
`Dataset` that shares the arrays of the old one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, overload

import numpy as np
from ase import Atoms

from piwsl_lab.data.frames.convert import frames_of, to_atoms
from piwsl_lab.data.frames.duplicates import bridges, duplicate_groups, shuffled
from piwsl_lab.data.frames.frame import DataError, Frame
from piwsl_lab.data.frames.isolated import set_apart
from piwsl_lab.data.sets.check import Report, report_on


@dataclass(frozen=True)
class Metadata:
    """Where the numbers come from. `units` are those of the file: in memory everything is eV and Å."""

    name: str
    method: str = "unknown"
    units: str = "eV, Å"
    origin: str = ""
    licence: str = ""
    citation: str = ""
    note: str = ""


class Split(NamedTuple):
    """Disjoint parts of one data set."""

    train: Dataset
    val: Dataset
    test: Dataset


class Dataset(Sequence[Frame]):
    """An immutable sequence of frames with one origin.

    Parameters
    ----------
    frames : iterable of Frame
        May be a generator that builds frames: a `DataError` it raises is raised again with the frame's index.
    metadata : Metadata, optional
    isolated_energies : mapping from atomic number to energy (eV), optional
        Energies of isolated atoms by the same method.
    remarks : sequence of str, optional
        What reading found: which names labels had, what was passed over. Every part of the set keeps them.
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        metadata: Metadata | None = None,
        isolated_energies: Mapping[int, float] | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        self.remarks = tuple(remarks)
        self.metadata = metadata or Metadata("frames")
        self.isolated_energies = MappingProxyType(dict(isolated_energies or {}))
        self._frames = tuple(_numbered(frames, self.metadata.name))

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> Frame: ...

    @overload
    def __getitem__(self, index: slice | Sequence[int] | np.ndarray) -> Dataset: ...

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Frame | Dataset:
        """A frame for an integer; a `Dataset` for a slice, an integer array or a boolean mask."""
        if isinstance(index, (int, np.integer)):
            return self._frames[index]
        if isinstance(index, (list, tuple)) and not index:
            index = slice(0)  # numpy reads an empty list as floats, which index nothing
        return self._with(self._frames[i] for i in np.arange(len(self))[index])

    def __repr__(self) -> str:
        return (
            f"Dataset({self.metadata.name!r}, {len(self)} frames, {self.n_energies} energies, "
            f"{self.n_forces} forces, {self.metadata.method})"
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "isolated_energies": dict(self.isolated_energies)}  # a view cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, isolated_energies=MappingProxyType(state["isolated_energies"]))

    def _with(self, frames: Iterable[Frame]) -> Dataset:
        return Dataset(frames, self.metadata, self.isolated_energies, self.remarks)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers that occur, sorted."""
        return tuple(sorted({int(z) for frame in self for z in frame.numbers}))

    @property
    def n_energies(self) -> int:
        """How many frames have an energy."""
        return sum(frame.energy is not None for frame in self)

    @property
    def n_forces(self) -> int:
        """How many frames have forces."""
        return sum(frame.forces is not None for frame in self)

    def labelled(self) -> Dataset:
        """The frames with at least one label."""
        return self._with(f for f in self if f.energy is not None or f.forces is not None)

    def unlabelled(self) -> Dataset:
        """The same geometries with every label hidden."""
        return self._with(frame.with_labels(None, None) for frame in self)

    @classmethod
    def from_atoms(cls, images: Iterable[Atoms], metadata: Metadata | None = None, name: str = "atoms") -> Dataset:
        """Frames from `ase.Atoms` (eV, Å).

        Labels come from the calculator, ``info`` and ``arrays``, under the names that files use too; either may
        be missing. `remarks` says which names were taken. Isolated atoms become `isolated_energies`.
        """
        metadata = metadata or Metadata(name)
        frames, remarks = frames_of(images, metadata.name)
        frames, energies, said = set_apart(frames)
        return cls(frames, metadata, energies, [*remarks, *said])

    def to_atoms(self) -> list[Atoms]:
        """`ase.Atoms` whose `SinglePointCalculator` holds the labels there are."""
        return [to_atoms(frame) for frame in self]

    def split(self, train: int, val: int = 0, test: int | None = None, seed: int = 0) -> Split:
        """Disjoint random parts; copies of one geometry never end up in two of them.

        The test frames are drawn first, then validation, then training, along one permutation. So the test
        set does not depend on the size of the training set, and a larger training set contains the smaller.
        Frames left over when a group of copies is cut at the end of a part belong to no part. Nor do those that
        `without_bridges` leaves out.

        Parameters
        ----------
        train, val, test : int
            Number of frames; ``test=None`` takes every frame that the other two leave.
        seed : int

        Raises
        ------
        DataError
            When more frames are asked for than there are.
        """
        if min(train, val, test or 0) < 0:
            raise DataError(f"split sizes {train}, {val}, {test} must not be negative")
        data, groups = self.without_bridges()
        queue = shuffled(groups, seed)
        parts = {}
        sizes = {"val": val, "train": train} if test is None else {"test": test, "val": val, "train": train}
        for name, size in sizes.items():
            if size > len(queue):
                asked = train + val + (test or 0)
                raise DataError(
                    f"{asked} frames asked for (train {train}, val {val}, test {test}), "
                    f"but {self.metadata.name} has {len(self)} "
                    f"({len(np.unique(groups))} different geometries); ask for fewer"
                )
            parts[name] = data[queue[:size]]
            queue = queue[size:][~np.isin(groups[queue[size:]], groups[queue[:size]])]
        parts.setdefault("test", data[queue])
        return Split(**parts)

    def without_bridges(self) -> tuple[Dataset, np.ndarray]:
        """The set without the frames that join unlike ones to a long chain of copies, and its groups of copies (S,).

        A trajectory whose frames move by less than the tolerance of copies from one to the next could not be split
        otherwise: see `duplicates.bridges`. Other sets stay as they are.
        """
        groups = duplicate_groups(self)
        out = bridges(self, groups)
        if not len(out):
            return self, groups
        data = self[np.delete(np.arange(len(self)), out)]
        return data, duplicate_groups(data)

    def budget(self, energies: int | None = None, forces: int | None = None, seed: int = 0) -> Dataset:
        """The same frames with all but a number of labels hidden.

        Nested: with one seed, a larger budget contains the smaller. Of the two lists of labelled
        frames (energies, forces), the shorter is part of the longer wherever the labels allow it.

        Parameters
        ----------
        energies, forces : int, optional
            How many labels to keep; None keeps all.
        seed : int

        Raises
        ------
        DataError
            When there are fewer labels than asked for, or nothing is asked for.
        """
        has_energy = np.array([f.energy is not None for f in self], dtype=bool)
        has_forces = np.array([f.forces is not None for f in self], dtype=bool)
        kept = {}
        order = np.random.default_rng(seed).permutation(len(self))
        both = (has_energy & has_forces)[order]
        # Frames with both labels first, else the shorter list might not be part of the longer one.
        order = np.concatenate([order[both], order[~both]])
        for name, asked, has in (("energies", energies, has_energy), ("forces", forces, has_forces)):
            there = int(has.sum())
            if asked is not None and not 0 <= asked <= there:
                raise DataError(
                    f"a budget of {asked} {name} does not fit {self.metadata.name}: its {len(self)} frames "
                    f"have {there}; ask for 0 to {there} or for a larger split"
                )
            kept[name] = set(order[has[order]][:asked].tolist())
        if not kept["energies"] and not kept["forces"]:
            raise DataError("a budget of 0 energies and 0 forces leaves nothing to learn from; keep one or more")
        return self._with(
            frame.with_labels(
                frame.energy if i in kept["energies"] else None, frame.forces if i in kept["forces"] else None
            )
            for i, frame in enumerate(self)
        )

    def check(self) -> Report:
        """Look for what is wrong with these frames and between them, with numbers: ``print(dataset.check())``.

        Copies with two energies, energies and forces of different units or sign, place-holders, outliers, mixed
        charges and methods, and what reading passed over.
        """
        about = self.metadata
        return report_on(self._frames, about.name, about.method, self.isolated_energies, self.remarks)

    def reference_energies(self) -> dict[int, float]:
        """Energy of each element (eV), to be subtracted from total energies before they become float32.

        The isolated atoms where the set has all of them; else the least-squares fit ``E ≈ Σ_atoms
        e(element)`` to the labelled energies of this very data set. It is that of minimum norm
        where the compositions do not determine it. One composition determines only the sum. Without
        any energy there is nothing to fit: zeros.
        """
        elements = self.elements
        if elements and all(z in self.isolated_energies for z in elements):
            return {z: self.isolated_energies[z] for z in elements}
        labelled = [frame for frame in self if frame.energy is not None]
        if not labelled:
            return dict.fromkeys(elements, 0.0)
        counts = np.array([[np.sum(f.numbers == z) for z in elements] for f in labelled], dtype=np.float64)
        solution = np.linalg.lstsq(counts, np.array([f.energy for f in labelled]), rcond=None)[0]
        return dict(zip(elements, solution.tolist(), strict=True))


def require_disjoint(**parts: Dataset) -> None:
    """Refuse parts that share a geometry: ``require_disjoint(train=a, test=b)``.

    Raises
    ------
    DataError
        Names one frame of each part that are copies of each other.
    """
    owners = [(name, i) for name, part in parts.items() for i in range(len(part))]
    groups = duplicate_groups([frame for part in parts.values() for frame in part])
    first: dict[int, tuple[str, int]] = {}
    for (name, i), group in zip(owners, groups.tolist(), strict=True):
        other, j = first.setdefault(group, (name, i))
        if other != name:
            raise DataError(
                f"splits overlap: frame {j} of {other} and frame {i} of {name} are one geometry; "
                f"use Dataset.split, which keeps copies together, or remove the frame from {name}"
            )


def _numbered(frames: Iterable[Frame], name: str) -> Iterator[Frame]:
    """The frames one by one; a DataError raised while frame i is being built says so."""
    iterator, index = iter(frames), 0
    while True:
        try:
            frame = next(iterator)
        except StopIteration:
            return
        except DataError as error:
            raise DataError(f"frame {index} of {name}: {error}") from error
        yield frame
        index += 1
