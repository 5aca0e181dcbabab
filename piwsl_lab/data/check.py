"""`Dataset.check`: what a data set holds, and what about it looks wrong, with numbers."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from piwsl_lab.data.consistency import Ratio, causes, energy_force_ratio
from piwsl_lab.data.duplicates import duplicate_groups
from piwsl_lab.data.frame import DataWarning, Frame
from piwsl_lab.data.outliers import (
    CONFORMER_GAP,
    ENERGY_GAP,
    force_outliers,
    implausible_energies,
    per_atom_deviations,
    separate_clusters,
    squeezed,
    too_close,
)

if TYPE_CHECKING:
    from piwsl_lab.data.dataset import Dataset

LEVELS = ("wrong", "doubt", "note")
FEW_FRAMES = 4  # an element in fewer frames than these cannot be trained, validated and tested
NET_FORCE = 0.05  # eV/Å; sums of rounded forces stay below it
METHOD_KEYS = ("method", "theory", "level", "level_of_theory", "functional", "xc", "basis", "code", "program", "calculator")


@dataclass(frozen=True)
class Finding:
    """One thing that was seen.

    Attributes
    ----------
    kind : str
        A word for programs, e.g. "copies" or "units".
    level : str
        "wrong": training on it teaches something false. "doubt": it may be right, look at it. "note": good to know.
    text : str
        One or two sentences with numbers.
    frames : tuple of int
        The frames it is about; empty for the whole set.
    """

    kind: str
    level: str
    text: str
    frames: tuple[int, ...] = ()


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
    findings = [Finding("reading", "note", remark) for remark in dataset.remarks]
    for look in (_copies, _equal_energies):
        findings += look(frames, groups)
    unlike: set[int] = set()
    for look in (_states, _methods, _zero_forces, _energies, _forces, _distances, _net_forces, _elements, _labels):
        found = look(frames)
        findings += found
        unlike.update(i for finding in found if finding.kind in ("outliers", "place-holders") for i in finding.frames)
    # One frame with absurd forces would hide what the others say about units.
    findings += _units([frame for i, frame in enumerate(frames) if i not in unlike])
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    return Report(dataset.metadata.name, tuple(_holds(dataset)), tuple(findings))


_told: dict[tuple, str] = {}


def warn_about(dataset: Dataset, path: str | Path) -> Dataset:
    """Warn of what looks wrong in a file that was just read, in a few words; returns the data set.

    A file is looked at once per process: a study loads the same one for every cell.
    """
    status = Path(path).stat() if Path(path).is_file() else None
    key = (str(path), len(dataset), status and (status.st_mtime_ns, status.st_size))
    if key not in _told:
        _told[key] = short(check(dataset))
    if _told[key]:
        warnings.warn(
            f"{path}: {_told[key]} `piwsl-lab check {path}` or dataset.check() says more.", DataWarning, stacklevel=3
        )
    return dataset


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
    counts = _element_counts(frames)
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
    yield "charge and multiplicity: " + _listed(Counter(map(_state, frames)))
    held = sum(frame.fixed is not None and bool(frame.fixed.any()) for frame in frames)
    if held:
        yield f"constraints: atoms are held in {held} frames"
    own = sum(frame.masses is not None for frame in frames)
    if own:
        yield f"masses: {own} frames have their own"


def _state(frame: Frame) -> str:
    spin = f", multiplicity {frame.multiplicity}" if frame.multiplicity is not None else ""
    return f"{frame.charge:+g} e{spin}" if frame.charge else f"neutral{spin}"


def _listed(counts: Counter, most: int = 4) -> str:
    names = [f"{name} ({n} frame{'s' if n > 1 else ''})" for name, n in counts.most_common(most)]
    return ", ".join(names) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _element_counts(frames: Sequence[Frame]) -> Counter:
    kinds = Counter(frame.numbers.tobytes() for frame in frames)
    return sum(
        (Counter(dict.fromkeys(np.unique(np.frombuffer(numbers, np.int64)).tolist(), n)) for numbers, n in kinds.items()),
        Counter(),
    )


def _numbers(frames: Iterable[int], most: int = 6) -> str:
    """ "frames 3, 11, 17" """
    frames = list(frames)
    word = "frame" if len(frames) == 1 else "frames"
    return f"{word} {', '.join(map(str, frames[:most]))}" + (", …" if len(frames) > most else "")


# -- relations between frames --------------------------------------------------------------------------------------------


def _copies(frames: Sequence[Frame], groups: np.ndarray) -> list[Finding]:
    """Frames of one geometry: noted, and wrong where their energies differ."""
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1) if len(order) else []
    shared = [group.tolist() for group in members if len(group) > 1]
    if not shared:
        return []
    odd, largest = [], 0.0
    for group in shared:
        energies = [frames[i].energy for i in group if frames[i].energy is not None]
        spread = max(energies) - min(energies) if energies else 0.0
        if spread > _same_energy([frames[i] for i in group]):
            odd.append(group)
            largest = max(largest, spread)
    total = sum(len(group) for group in shared)
    found = [
        Finding(
            "copies", "note",
            f"{total} frames are copies: they show {len(shared)} geometries. Copies stay on one side of a split.",
            tuple(i for group in shared for i in group),
        )
    ]  # fmt: skip
    if odd:
        why = _differing(frames, odd)
        found.append(
            Finding(
                "copies", "wrong",
                f"One geometry has two energies, {len(odd)} time{'s' if len(odd) > 1 else ''}: they differ by up to "
                f"{largest:.4g} eV (first {_numbers(odd[0])}). {why}",
                tuple(i for group in odd for i in group),
            )
        )  # fmt: skip
    return found


def _same_energy(copies: Sequence[Frame]) -> float:
    """How far energies of copies may differ, eV: atoms of copies may lie 1e-3 Å apart."""
    pull = [np.abs(frame.forces).sum() for frame in copies if frame.forces is not None]
    return 0.01 + 0.002 * max(pull, default=10.0 * len(copies[0]))


def _differing(frames: Sequence[Frame], groups: Sequence[Sequence[int]]) -> str:
    """What else differs between copies with two energies, in words."""
    known = ("charge", "spin", "multiplicity", *METHOD_KEYS)
    values: dict[str, set] = {}
    always: Counter = Counter()
    for group in groups:
        for key in {key for i in group for key in frames[i].info}:
            seen = {frames[i].info.get(key) for i in group}
            values.setdefault(key, set()).update(seen)
            always[key] += len(seen) > 1
    # A key with a new value in every frame is a number of the frame, not a reason.
    told = [key for key, n in always.items() if n == len(groups) and (len(values[key]) <= 10 or key in known)]
    told.sort(key=lambda key: (key not in known, key))
    if not told:
        return "Keep one energy for each geometry: the other may be of another method, charge or spin."
    shown = [f"{key} ({', '.join(sorted(map(str, values[key]))[:5])})" for key in told[:3]]
    return f"They also differ in {', '.join(shown)}: keep one kind in a data set."


def _equal_energies(frames: Sequence[Frame], groups: np.ndarray) -> list[Finding]:
    """One energy that many different geometries share: a place-holder, or rounded numbers."""
    first = {}
    for i, group in enumerate(groups.tolist()):
        if frames[i].energy is not None:
            first.setdefault(group, i)
    places = list(first.values())
    n = len(places)
    if n < 3:
        return []
    counts = Counter(frames[i].energy for i in places)
    value, most = counts.most_common(1)[0]
    if most == n:
        text = (
            f"All {n} energies are {value:.6g} eV though the geometries differ. This is a place-holder: "
            "give the total energies, or leave them out and train on forces."
        )
        return [Finding("place-holders", "wrong", text, tuple(places))]
    shared = tuple(i for i in places if frames[i].energy == value)
    if most >= max(5, n // 10) or (value == 0 and most > 1):
        text = (
            f"{most} different geometries share the energy {value:.6g} eV ({_numbers(shared)}), "
            "as place-holders do. Remove these energies if they are none."
        )
        return [Finding("place-holders", "doubt", text, shared)]
    if n >= 20 and len(counts) <= n // 5:
        text = (
            f"The {n} energies of different geometries take only {len(counts)} values. "
            "They are rounded: export them with at least 4 decimals (eV)."
        )
        return [Finding("rounded", "doubt", text)]
    return []


def _units(frames: Sequence[Frame]) -> list[Finding]:
    """Energies and forces that do not belong together."""
    both = [frame for frame in frames if frame.energy is not None and frame.forces is not None]
    if len(both) < 2:
        return []
    ratio = energy_force_ratio(both)
    if ratio is None or not ratio.sure:
        text = (
            f"Units of energies against forces: not tested. The {len(both)} frames with both are too few or too unlike "
            "for the forces to explain energy differences."
        )
        return [Finding("units", "note", text)]
    seen = f"{ratio.value:.3g} (99 %: {ratio.low:.3g} to {ratio.high:.3g}; 1 is right)"
    if ratio.right:
        return [Finding("units", "note", f"Energies and forces belong together: ΔE over the forces' work is {seen}.")]
    return [Finding("units", "wrong", f"Energies and forces do not belong together: {_blame(ratio, both, seen)}")]


def _blame(ratio: Ratio, frames: Sequence[Frame], seen: str) -> str:
    sizes = {len(frame) for frame in frames}
    likely = causes(ratio, sizes.pop() if len(sizes) == 1 else 0)
    text = f"ΔE over the forces' work is {seen}. "
    if ratio.value < 0:
        text += "The sign is that of gradients: store forces = −gradient. "
    if likely:
        text += f"Likely: {'; or '.join(likely)}. Convert the file to eV, eV/Å and Å."
    elif ratio.value > 0:
        text += "No usual pair of units explains it: convert the file to eV, eV/Å and Å."
    return text.strip()


# -- frames one by one ----------------------------------------------------------------------------------------------------


def _states(frames: Sequence[Frame]) -> list[Finding]:
    counts = Counter(map(_state, frames))
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    text = (
        f"Frames of different charge or multiplicity: {_listed(counts)}. No potential here sees either: "
        "keep one electronic state in a data set."
    )
    return [Finding("states", "doubt", text, tuple(i for i, frame in enumerate(frames) if _state(frame) != usual))]


def _methods(frames: Sequence[Frame]) -> list[Finding]:
    found = []
    for key in METHOD_KEYS:
        counts = Counter(str(frame.info[key]) for frame in frames if key in frame.info)
        if len(counts) > 1:
            text = f"The frames name {len(counts)} values of '{key}': {_listed(counts)}. Keep one method in a data set."
            found.append(Finding("methods", "doubt", text))
    return found


def _zero_forces(frames: Sequence[Frame]) -> list[Finding]:
    labelled = [i for i, frame in enumerate(frames) if frame.forces is not None and len(frame) > 1]
    zero = tuple(i for i in labelled if not frames[i].forces.any())
    if len(zero) < 2:
        return []
    many = "All" if len(zero) == len(labelled) else f"{len(zero)} of"
    text = f"{many} {len(labelled)} frames with forces have forces of exactly zero ({_numbers(zero)}). "
    crystals = all(frames[i].pbc.all() for i in zero)
    if crystals:
        return [Finding("zero forces", "note", text + "This is right for perfect crystals only.", zero)]
    level = "wrong" if len(zero) == len(labelled) else "doubt"
    return [Finding("place-holders", level, text + "They look like place-holders: leave the column out.", zero)]


def _energies(frames: Sequence[Frame]) -> list[Finding]:
    found = []
    absurd = implausible_energies(frames)
    if absurd:
        worst = max(absurd, key=lambda i: abs(frames[i].energy) / len(frames[i]))
        text = (
            f"{len(absurd)} frames have an energy no unit of eV makes plausible: {_numbers(absurd[:1])} has "
            f"{frames[worst].energy / len(frames[worst]):.4g} eV per atom, more than all its electrons bind. "
            "It is probably in kcal/mol or kJ/mol: convert the energies to eV."
        )
        found.append(Finding("energies", "wrong", text, absurd))
    place, deviation = per_atom_deviations(frames)
    one = len({tuple(np.sort(frames[i].numbers)) for i in place}) == 1
    off, gap = separate_clusters(deviation, CONFORMER_GAP if one else ENERGY_GAP)
    odd = tuple(i for i in place[off].tolist() if not squeezed(frames[i]))
    if odd:
        rare = len(odd) < 0.2 * len(place)
        what = "outliers" if rare else "two kinds of energies, as of two methods, units or charges"
        text = (
            f"{len(odd)} of {len(place)} energies lie apart from the others, up to {gap:.4g} eV per atom "
            f"({_numbers(odd)}): {what}. "
            + ("Remove these frames or compute them again." if rare else "Keep one kind in a data set.")
        )
        found.append(Finding("outliers", "wrong" if gap > 10 else "doubt", text, odd))
    return found


def _forces(frames: Sequence[Frame]) -> list[Finding]:
    odd, usual = force_outliers(frames)
    if not odd:
        return []
    largest = max(np.abs(frames[i].forces).max() for i in odd)
    text = (
        f"{len(odd)} frames have forces up to {largest:.4g} eV/Å that no short distance explains ({_numbers(odd)}); "
        f"half of all frames stay below {usual:.3g} eV/Å. Remove them or compute them again."
    )
    return [Finding("outliers", "wrong", text, odd)]


def _distances(frames: Sequence[Frame]) -> list[Finding]:
    near, shortest = too_close(frames)
    if not near:
        return []
    text = (
        f"In {len(near)} frames two atoms are nearer than half a bond ({_numbers(near)}; down to {shortest:.3f} Å). "
        "Remove them unless they are meant, or look whether positions are in Å."
    )
    return [Finding("distances", "doubt" if len(near) > len(frames) // 2 else "note", text, near)]


def _net_forces(frames: Sequence[Frame]) -> list[Finding]:
    net = {i: float(np.linalg.norm(f.forces.sum(axis=0))) for i, f in enumerate(frames) if f.forces is not None}
    odd = tuple(i for i, size in net.items() if size > NET_FORCE and len(frames[i]) > 1)
    if not odd:
        return []
    text = (
        f"In {len(odd)} of {len(net)} frames the forces do not add up to zero (up to {max(net.values()):.3g} eV/Å). "
        "Held atoms, an outer field or coarse grids do this; conservative potentials cannot follow it."
    )
    return [Finding("net force", "note", text, odd)]


def _elements(frames: Sequence[Frame]) -> list[Finding]:
    rare = {z: n for z, n in _element_counts(frames).items() if n < min(FEW_FRAMES, len(frames))}
    if not rare:
        return []
    told = ", ".join(f"{chemical_symbols[z]} in {n} of {len(frames)} frames" for z, n in sorted(rare.items()))
    where = tuple(i for i, frame in enumerate(frames) if set(rare) & set(frame.numbers.tolist()))
    text = f"Rare elements: {told}. That is too few to train and to test on ({_numbers(where)})."
    return [Finding("elements", "note", text, where)]


def _labels(frames: Sequence[Frame]) -> list[Finding]:
    energies = sum(frame.energy is not None for frame in frames)
    forces = sum(frame.forces is not None for frame in frames)
    bare = tuple(i for i, frame in enumerate(frames) if frame.energy is None and frame.forces is None)
    if not bare and energies in (0, len(frames)) and forces in (0, len(frames)):
        return []
    text = f"Not all frames have all labels: {energies} of {len(frames)} have an energy, {forces} have forces"
    return [Finding("labels", "note", text + (f", {len(bare)} have none." if bare else "."), bare)]
