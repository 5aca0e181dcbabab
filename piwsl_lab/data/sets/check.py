"""`Dataset.check`: what a data set holds, and what about it looks wrong, with numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from piwsl_lab.data.frames.duplicates import duplicate_groups
from piwsl_lab.data.frames.frame import Frame
from piwsl_lab.data.sets.findings import (
    Finding,
    constrained_forces,
    element_counts,
    elements,
    energies,
    extents,
    forces,
    labels,
    methods,
    net_forces,
    short_distances,
    state,
    states,
    with_counts,
    zero_forces,
)
from piwsl_lab.data.sets.relations import copies, equal_energies, units

LEVELS = ("wrong", "doubt", "note")
QUESTIONS: tuple[Callable[[Sequence[Frame]], list[Finding]], ...] = (
    states, methods, zero_forces, constrained_forces, energies, forces,
    short_distances, extents, net_forces, elements, labels,
)  # fmt: skip


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


def report_on(
    frames: Sequence[Frame],
    name: str,
    method: str = "unknown",
    isolated_energies: Mapping[int, float] | None = None,
    remarks: Sequence[str] = (),
) -> Report:
    """Look at some frames and at the relations between them; `Dataset.check` calls this.

    Parameters
    ----------
    frames : sequence of Frame
    name : str
        What the report is headed by.
    method : str
        How the labels were computed, as far as it is known.
    isolated_energies : mapping from atomic number to energy (eV), optional
    remarks : sequence of str
        What reading found: they become notes.
    """
    groups = duplicate_groups(frames)
    found = [Finding("reading", "note", remark) for remark in remarks]
    found += copies(frames, groups) + equal_energies(frames, groups)
    for question in QUESTIONS:
        found += question(frames)
    # One frame with absurd forces would hide what the others say about units.
    unlike = {i for finding in found if finding.kind in ("outliers", "place-holders") for i in finding.frames}
    found += units([frame for i, frame in enumerate(frames) if i not in unlike])
    found.sort(key=lambda finding: LEVELS.index(finding.level))
    holds = _frames_held(frames)
    holds += _labels_held(frames, method, isolated_energies or {})
    holds += _states_held(frames)
    return Report(name, tuple(holds if frames else ["no frames"]), tuple(found))


def brief(report: Report, most: int = 4) -> str:
    """The serious findings of a report in a few sentences; "" if there are none."""
    texts = [finding.text for finding in report.serious[:most]]
    more = len(report.serious) - len(texts)
    return " ".join(texts) + (f" And {more} more." if more else "")


# -- what a set holds --------------------------------------------------------------------------------------------------


def _frames_held(frames: Sequence[Frame]) -> list[str]:
    """Sizes, compositions and elements."""
    sizes = sorted(len(frame) for frame in frames) or [0]
    size = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
    formulas = len({tuple(np.sort(frame.numbers)) for frame in frames})
    counts = element_counts(frames)
    return [
        f"{len(frames)} frames of {size} atoms, {formulas} composition{'s' if formulas > 1 else ''}",
        "elements: " + ", ".join(f"{chemical_symbols[z]} (in {n} frames)" for z, n in sorted(counts.items())),
    ]


def _labels_held(frames: Sequence[Frame], method: str, isolated_energies: Mapping[int, float]) -> list[str]:
    """Energies, forces and the energies of isolated atoms."""
    n_energies = sum(frame.energy is not None for frame in frames)
    n_forces = sum(frame.forces is not None for frame in frames)
    isolated = [f"{chemical_symbols[z]} {energy:.3f} eV" for z, energy in sorted(isolated_energies.items())]
    held = [f"labels: {n_energies} energies, {n_forces} with forces; method {method}"]
    return held + ([f"isolated atoms: {', '.join(isolated)}"] if isolated else [])


def _states_held(frames: Sequence[Frame]) -> list[str]:
    """Cells, charges, constraints and masses."""
    periodic = Counter("".join(n for n, on in zip("abc", frame.pbc, strict=True) if on) for frame in frames)
    cells = [f"{n} frames {'periodic along ' + axes if axes else 'not periodic'}" for axes, n in periodic.most_common()]
    said = [f"cells: {', '.join(cells)}", "charge and multiplicity: " + with_counts(Counter(map(state, frames)))]
    fixed = sum(frame.fixed is not None and bool(frame.fixed.any()) for frame in frames)
    if fixed:
        said.append(f"constraints: atoms are held in {fixed} frames")
    own = sum(frame.masses is not None for frame in frames)
    if own:
        said.append(f"masses: {own} frames have their own")
    return said
