"""What may be wrong between the frames of a data set: copies, place-holders, units of energies against forces."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from piwsl_lab.data.frames.duplicates import SAME_GEOMETRY, bridges, close_pairs, shared
from piwsl_lab.data.frames.frame import Frame, required_energy
from piwsl_lab.data.sets.consistency import SOFTENED, Ratio, WorkComparison, causes
from piwsl_lab.data.sets.findings import METHOD_KEYS, Finding, numbered


def copies(frames: Sequence[Frame], groups: np.ndarray) -> list[Finding]:
    """Frames of one geometry: noted, and wrong where their energies differ."""
    several = [group.tolist() for group in shared(groups)]
    if not several:
        return []
    odd, largest = [], 0.0
    for group in several:
        unlike, gap = _unlike_energies(frames, group)
        if unlike:
            odd.append(unlike)
            largest = max(largest, gap)
    where = tuple(i for group in several for i in group)
    text = f"{len(where)} frames are copies: they show {len(several)} geometries. Copies stay on one side of a split."
    out = len(bridges(frames, groups))
    if out:
        text = (
            f"{len(where)} frames are copies of others, within {SAME_GEOMETRY:.2g} Å. Some form long chains, as frames "
            f"of a trajectory do that are stored often. A split cuts the chains and leaves {out} frames out."
        )
    found = [Finding("copies", "note", text, where)]
    if odd:
        text = (
            f"One geometry has two energies, {len(odd)} time{'s' if len(odd) > 1 else ''}: they differ by up to "
            f"{largest:.4g} eV (first {numbered(odd[0])}). {_differing(frames, odd)}"
        )
        found.append(Finding("copies", "wrong", text, tuple(i for group in odd for i in group)))
    return found


def _unlike_energies(frames: Sequence[Frame], group: Sequence[int]) -> tuple[list[int], float]:
    """The frames of a group whose energies the forces do not explain, and the largest difference, eV."""
    known = sorted((i for i in group if frames[i].energy is not None), key=lambda i: required_energy(frames[i]))
    if len(known) < 2:
        return [], 0.0
    gap = 0.0
    pairs = close_pairs([frames[i] for i in known]).tolist()
    whole = pairs == [[0, len(known) - 1]]
    unlike: set[int] = set()
    for a, b in ((known[a], known[b]) for a, b in pairs):
        apart = abs(required_energy(frames[b]) - required_energy(frames[a]))
        if apart > _same_energy([frames[a], frames[b]]):
            unlike |= set(group) if whole else {a, b}
            gap = max(gap, apart)
    return sorted(unlike), gap


def _same_energy(copies: Sequence[Frame]) -> float:
    """How far energies of copies may differ, eV: no distance of theirs differs by more than the tolerance."""
    pull = [float(np.abs(frame.forces).sum()) for frame in copies if frame.forces is not None]
    return 0.01 + float(SAME_GEOMETRY) * max(pull, default=10.0 * len(copies[0]))


def _differing(frames: Sequence[Frame], groups: Sequence[Sequence[int]]) -> str:
    """What else differs between copies with two energies, in words."""
    known = ("charge", "spin", "multiplicity", *METHOD_KEYS)
    values: dict[str, set[float | str | None]] = {}
    always: Counter[str] = Counter()
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


def equal_energies(frames: Sequence[Frame], groups: np.ndarray) -> list[Finding]:
    """One energy that many different geometries share: a place-holder, or rounded numbers."""
    first: dict[int, int] = {}
    for i, group in enumerate(groups.tolist()):
        if frames[i].energy is not None:
            first.setdefault(group, i)
    shown = list(first.values())  # one frame of each geometry
    n = len(shown)
    if n < 3:
        return []
    counts = Counter(required_energy(frames[i]) for i in shown)
    (value, most), *others = counts.most_common(2)
    if most == n:
        text = (
            f"All {n} energies are {value:.6g} eV though the geometries differ. This is a place-holder: "
            "give the total energies, or leave them out and train on forces."
        )
        return [Finding("place-holders", "wrong", text, tuple(shown))]
    alike = tuple(i for i in shown if frames[i].energy == value)
    # Rounded energies are shared, too, but not one of them by far more frames than the next.
    if most >= max(5, n // 10, 5 * others[0][1]) or (value == 0 and most >= 2 * others[0][1]):
        text = (
            f"{most} different geometries share the energy {value:.6g} eV ({numbered(alike)}), "
            "as place-holders do. Remove these energies if they are none."
        )
        return [Finding("place-holders", "doubt", text, alike)]
    if n >= 20 and len(counts) <= n // 5:
        text = (
            f"The {n} energies of different geometries take only {len(counts)} values. "
            "They are rounded: export them with at least 4 decimals (eV)."
        )
        return [Finding("rounded", "doubt", text)]
    return []


def units(frames: Sequence[Frame]) -> list[Finding]:
    """Energies and forces that do not belong together."""
    both = [frame for frame in frames if frame.energy is not None and frame.forces is not None]
    if len(both) < 2:
        return []
    compared = WorkComparison(both)
    ratio = compared.ratio()
    if ratio is None or not ratio.sure:
        missed = compared.unexplained()
        if missed:
            text = (
                f"The forces do not explain the energies: {missed}. Look for labels of other frames, for a sign or "
                "unit that changes within the set, and for atoms in another order."
            )
            return [Finding("units", "doubt", text)]
        text = (
            f"Units of energies against forces: not tested. The {len(both)} frames with both are too few or too unlike "
            "for the forces to explain energy differences."
        )
        return [Finding("units", "note", text)]
    seen = f"{ratio.value:.3g} (99 %: {ratio.low:.3g} to {ratio.high:.3g}; 1 is right)"
    if ratio.rough:
        text = (
            f"Units of energies against forces: tested roughly. ΔE over the forces' work is {seen}. The frames lie far "
            f"apart. Forces that change along the way lower this number, or raise it by a factor of up to {SOFTENED:g}."
        )
        return [Finding("units", "note", text)]
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
