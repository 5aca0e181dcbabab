"""`Dataset.check`: what a data set holds, and what about it looks wrong, with numbers."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols

from piwsl_lab.data.formats.opening import files_of
from piwsl_lab.data.frames.duplicates import duplicate_groups
from piwsl_lab.data.frames.frame import DataError, DataWarning
from piwsl_lab.data.sets.findings import (
    Finding,
    constrained_forces,
    distances,
    element_counts,
    elements,
    energies,
    extents,
    forces,
    labels,
    listed,
    methods,
    net_forces,
    state,
    states,
    zero_forces,
)
from piwsl_lab.data.sets.relations import copies, equal_energies, units

if TYPE_CHECKING:
    from piwsl_lab.data.sets.dataset import Dataset

LEVELS = ("wrong", "doubt", "note")
LOOKS = (states, methods, zero_forces, constrained_forces, energies, forces)
LOOKS += (distances, extents, net_forces, elements, labels)


@dataclass(frozen=True)
class Report:
    """What `Dataset.check` found: `print` it, or go through its `findings`.

    Attributes
    ----------
    name : str
    holds : tuple of str
        What the set holds: frames, elements, labels, cells, charges.
    findings : tuple of Finding
        The worst first.
    """

    name: str
    holds: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def wrong(self) -> tuple[Finding, ...]:
        """The findings that forbid training."""
        return tuple(finding for finding in self.findings if finding.level == "wrong")

    @property
    def serious(self) -> tuple[Finding, ...]:
        """The findings a person should look at: all but notes."""
        return tuple(finding for finding in self.findings if finding.level != "note")

    def __str__(self) -> str:
        lines = [self.name, *(f"  {line}" for line in self.holds)]
        lines += [f"{finding.level:<5}  {finding.text}" for finding in self.findings]
        if not self.serious:
            lines.append("Nothing looks wrong.")
        return "\n".join(lines)


def check(dataset: Dataset) -> Report:
    """Look at the frames of a data set and at the relations between them; see `Dataset.check`."""
    frames = tuple(dataset)
    groups = duplicate_groups(frames)
    found = [Finding("reading", "note", remark) for remark in dataset.remarks]
    found += copies(frames, groups) + equal_energies(frames, groups)
    for look in LOOKS:
        found += look(frames)
    # One frame with absurd forces would hide what the others say about units.
    unlike = {i for finding in found if finding.kind in ("outliers", "place-holders") for i in finding.frames}
    found += units([frame for i, frame in enumerate(frames) if i not in unlike])
    found.sort(key=lambda finding: LEVELS.index(finding.level))
    return Report(dataset.metadata.name, tuple(_holds(dataset)), tuple(found))


class CheckWarning(DataWarning):
    """What `Dataset.check` found in a file that was just loaded."""


_looked_at: dict[tuple, Report] = {}  # a study loads one file for every cell


def warn_about(dataset: Dataset, path: Any) -> Dataset:
    """Warn in a few words of what looks wrong in a person's own data; returns the data set as it is."""
    key = _version(path)
    report = _looked_at.get(key) if key else None
    if report is None:
        report = check(dataset)
        if key:
            _looked_at[key] = report
    if report.serious:
        command = f"`piwsl-lab check {path}` or " if isinstance(path, (str, Path)) else ""
        warnings.warn(
            f"{dataset.metadata.name}: {short(report)} All of it: {command}dataset.check().",
            CheckWarning,
            stacklevel=3,
        )
    return dataset


def doubts(path: Any) -> str:
    """What loading a file warned of, as short as can be; "" if it did not, or for a data set of the catalog."""
    report = _looked_at.get(_version(path))
    return short(report, most=1) if report else ""


def _version(path: Any) -> tuple:
    """What tells one content of some files from the next; nothing where they are no files."""
    try:
        files = files_of(path)
    except DataError:  # a data set of the catalog, or files that are gone
        return ()
    if not all(file.is_file() for file in files):
        return ()
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


def short(report: Report, most: int = 4) -> str:
    """The serious findings of a report in a few sentences; "" if there are none."""
    texts = [finding.text for finding in report.serious[:most]]
    more = len(report.serious) - len(texts)
    return " ".join(texts) + (f" And {more} more." if more else "")


# -- what a set holds --------------------------------------------------------------------------------------------------


def _holds(dataset: Dataset) -> Iterable[str]:
    frames = tuple(dataset)
    if not frames:
        yield "no frames"
        return
    sizes = sorted(len(frame) for frame in frames)
    size = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    formulas = len({tuple(np.sort(frame.numbers)) for frame in frames})
    yield f"{len(frames)} frames of {size} atoms, {formulas} composition{'s' if formulas > 1 else ''}"
    counts = element_counts(frames)
    yield "elements: " + ", ".join(f"{chemical_symbols[z]} (in {n} frames)" for z, n in sorted(counts.items()))
    yield f"labels: {dataset.n_energies} energies, {dataset.n_forces} with forces; method {dataset.metadata.method}"
    if dataset.isolated_energies:
        yield "isolated atoms: " + ", ".join(
            f"{chemical_symbols[z]} {energy:.3f} eV" for z, energy in sorted(dataset.isolated_energies.items())
        )
    periodic = Counter("".join(n for n, on in zip("abc", frame.pbc, strict=True) if on) for frame in frames)
    yield "cells: " + ", ".join(
        f"{n} frames {'periodic along ' + axes if axes else 'not periodic'}" for axes, n in periodic.most_common()
    )
    yield "charge and multiplicity: " + listed(Counter(map(state, frames)))
    held = sum(frame.fixed is not None and bool(frame.fixed.any()) for frame in frames)
    if held:
        yield f"constraints: atoms are held in {held} frames"
    own = sum(frame.masses is not None for frame in frames)
    if own:
        yield f"masses: {own} frames have their own"
