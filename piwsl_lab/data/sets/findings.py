"""What may be wrong with the frames of a data set, looked at one by one; `Dataset.check` asks all questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from ase.data import chemical_symbols

from piwsl_lab.data.frames.frame import Frame, required_energy, required_forces
from piwsl_lab.data.sets.outliers import (
    CONFORMER_GAP,
    ENERGY_GAP,
    force_outliers,
    implausible_energies,
    per_atom_deviations,
    separate_clusters,
    squeezed,
    too_close,
)

FEW_FRAMES = 4  # an element in fewer frames than these cannot be trained, validated and tested
WIDE = 1000.0  # Å: no molecule or slab that a potential is trained on is as large
NET_FORCE = 0.05  # eV/Å; sums of rounded forces stay below it
METHOD_KEYS = (
    "method", "theory", "level", "level_of_theory", "functional", "xc", "basis", "code", "program", "calculator"
)  # fmt: skip


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


def states(frames: Sequence[Frame]) -> list[Finding]:
    """Frames of different charge or spin multiplicity."""
    counts = Counter(map(state, frames))
    if len(counts) < 2:
        return []
    usual = counts.most_common(1)[0][0]
    text = (
        f"Frames of different charge or multiplicity: {with_counts(counts)}. No potential here sees either: "
        "keep one electronic state in a data set."
    )
    return [Finding("states", "doubt", text, tuple(i for i, frame in enumerate(frames) if state(frame) != usual))]


def methods(frames: Sequence[Frame]) -> list[Finding]:
    """Frames whose ``info`` names different methods."""
    found = []
    for key in METHOD_KEYS:
        counts = Counter(str(frame.info[key]) for frame in frames if key in frame.info)
        if len(counts) > 1:
            values = f"{len(counts)} values of '{key}': {with_counts(counts)}"
            text = f"The frames name {values}. Keep one method in a data set."
            found.append(Finding("methods", "doubt", text))
    return found


def zero_forces(frames: Sequence[Frame]) -> list[Finding]:
    """Frames with more than one atom whose forces are all exactly zero."""
    labelled = [i for i, frame in enumerate(frames) if frame.forces is not None and len(frame) > 1]
    zero = tuple(i for i in labelled if not required_forces(frames[i]).any())
    if len(zero) < 2:
        return []
    many = "All" if len(zero) == len(labelled) else f"{len(zero)} of"
    text = f"{many} {len(labelled)} frames with forces have forces of exactly zero ({numbered(zero)}). "
    crystals = all(frames[i].pbc.all() for i in zero)
    if crystals:
        return [Finding("zero forces", "note", text + "This is right for perfect crystals only.", zero)]
    level = "wrong" if len(zero) == len(labelled) else "doubt"
    return [Finding("place-holders", level, text + "They look like place-holders: leave the column out.", zero)]


def constrained_forces(frames: Sequence[Frame]) -> list[Finding]:
    """Held atoms whose forces are exactly zero in every frame though other atoms have some."""
    where, most = [], 0
    for members in same_atoms(frames):
        forces = np.stack([required_forces(frames[i]) for i in members])
        zero = (forces == 0).all(axis=0)
        fixed = np.any([zero & False if (mask := frames[i].fixed) is None else mask for i in members], axis=0)
        rows = fixed.any(axis=1) & (zero | ~fixed).all(axis=1)
        # Symmetry puts some forces to zero, too, but then those that are left add up to zero.
        unbalanced = (np.linalg.norm(forces.sum(axis=1), axis=1) > NET_FORCE).mean() > 0.5
        if unbalanced and len(members) >= FEW_FRAMES:
            rows |= zero.all(axis=1)
        if rows.any() and not zero.all():
            where += members
            most = max(most, int(rows.sum()))
    if not where:
        return []
    text = (
        f"In {len(where)} frames the forces on the same atoms, up to {most} atoms a frame, are exactly zero "
        f"({numbered(sorted(where))}). These are constrained forces, not those of the energy: export the forces on "
        "held atoms too (ASE: get_forces(apply_constraint=False))."
    )
    return [Finding("constrained forces", "doubt", text, tuple(sorted(where)))]


def same_atoms(frames: Sequence[Frame]) -> list[list[int]]:
    """Frames with forces, two and more of the same atoms in the same order."""
    kinds: dict[bytes, list[int]] = {}
    for i, frame in enumerate(frames):
        if frame.forces is not None:
            kinds.setdefault(frame.numbers.tobytes(), []).append(i)
    return [members for members in kinds.values() if len(members) > 1]


def energies(frames: Sequence[Frame]) -> list[Finding]:
    """Energies that no electrons can bind, and energies that lie apart from the others."""
    found = []
    absurd = implausible_energies(frames)
    if absurd:
        per_atom = {i: required_energy(frames[i]) / len(frames[i]) for i in absurd}
        worst = max(absurd, key=lambda i: abs(per_atom[i]))
        text = (
            f"{len(absurd)} frames have an energy no unit of eV makes plausible: {numbered(absurd[:1])} has "
            f"{per_atom[worst]:.4g} eV per atom, more than all its electrons bind. "
            "It is probably in kcal/mol or kJ/mol: convert the energies to eV."
        )
        found.append(Finding("energies", "wrong", text, absurd))
    labelled, deviation = per_atom_deviations(frames)
    one = len({tuple(np.sort(frames[i].numbers)) for i in labelled}) == 1
    off, gap = separate_clusters(deviation, CONFORMER_GAP if one else ENERGY_GAP)
    odd = tuple(i for i in labelled[off].tolist() if not squeezed(frames[i]))
    if odd:
        rare = len(odd) < 0.2 * len(labelled)
        what = "outliers" if rare else "two kinds of energies, as of two methods, units or charges"
        text = (
            f"{len(odd)} of {len(labelled)} energies lie apart from the others, up to {gap:.4g} eV per atom "
            f"({numbered(odd)}): {what}. "
            + ("Remove these frames or compute them again." if rare else "Keep one kind in a data set.")
        )
        found.append(Finding("outliers", "wrong" if gap > 10 else "doubt", text, odd))
    return found


def forces(frames: Sequence[Frame]) -> list[Finding]:
    """Huge forces between atoms that are not near each other."""
    odd, usual = force_outliers(frames)
    if not odd:
        return []
    largest = max(np.abs(required_forces(frames[i])).max() for i in odd)
    text = (
        f"{len(odd)} frames have forces up to {largest:.4g} eV/Å that no short distance explains ({numbered(odd)}); "
        f"half of all frames stay below {usual:.3g} eV/Å. Remove them or compute them again."
    )
    return [Finding("outliers", "wrong", text, odd)]


def short_distances(frames: Sequence[Frame]) -> list[Finding]:
    """Atoms that are nearer than half the sum of their covalent radii."""
    near, shortest = too_close(frames)
    if not near:
        return []
    text = (
        f"In {len(near)} frames two atoms are nearer than half a bond ({numbered(near)}; down to {shortest:.3f} Å). "
        "Remove them unless they are meant, or look whether positions are in Å."
    )
    return [Finding("distances", "doubt" if len(near) > len(frames) // 2 else "note", text, near)]


def extents(frames: Sequence[Frame]) -> list[Finding]:
    """Frames that reach far where nothing repeats: a lost decimal point does that."""
    reach = {i: float(np.ptp(f.positions, axis=0)[~f.pbc].max(initial=0.0)) for i, f in enumerate(frames)}
    wide = tuple(i for i, size in reach.items() if size > WIDE)
    if not wide:
        return []
    text = (
        f"In {len(wide)} frames the atoms spread over up to {max(reach.values()):.3g} Å ({numbered(wide)}). "
        "Look for a lost decimal point, or for positions that are not in Å."
    )
    return [Finding("extents", "doubt", text, wide)]


def net_forces(frames: Sequence[Frame]) -> list[Finding]:
    """Frames whose forces do not add up to zero."""
    net = {i: float(np.linalg.norm(f.forces.sum(axis=0))) for i, f in enumerate(frames) if f.forces is not None}
    odd = tuple(i for i, size in net.items() if size > NET_FORCE and len(frames[i]) > 1)
    if not odd:
        return []
    text = (
        f"In {len(odd)} of {len(net)} frames the forces do not add up to zero (up to {max(net.values()):.3g} eV/Å). "
        "Held atoms, an outer field or coarse grids do this; conservative potentials cannot follow it."
    )
    return [Finding("net force", "note", text, odd)]


def elements(frames: Sequence[Frame]) -> list[Finding]:
    """Elements that too few frames hold."""
    rare = {z: n for z, n in element_counts(frames).items() if n < min(FEW_FRAMES, len(frames))}
    if not rare:
        return []
    told = ", ".join(f"{chemical_symbols[z]} in {n} of {len(frames)} frames" for z, n in sorted(rare.items()))
    where = tuple(i for i, frame in enumerate(frames) if set(rare) & set(frame.numbers.tolist()))
    text = f"Rare elements: {told}. That is too few to train and to test on ({numbered(where)})."
    return [Finding("elements", "note", text, where)]


def labels(frames: Sequence[Frame]) -> list[Finding]:
    """Frames that lack a label which others have."""
    energies = sum(frame.energy is not None for frame in frames)
    forces = sum(frame.forces is not None for frame in frames)
    bare = tuple(i for i, frame in enumerate(frames) if frame.energy is None and frame.forces is None)
    if not bare and energies in (0, len(frames)) and forces in (0, len(frames)):
        return []
    text = f"Not all frames have all labels: {energies} of {len(frames)} have an energy, {forces} have forces"
    return [Finding("labels", "note", text + (f", {len(bare)} have none." if bare else "."), bare)]


# -- words -------------------------------------------------------------------------------------------------------------


def state(frame: Frame) -> str:
    """Charge and multiplicity of a frame, in words."""
    spin = f", multiplicity {frame.multiplicity}" if frame.multiplicity is not None else ""
    return f"{frame.charge:+g} e{spin}" if frame.charge else f"neutral{spin}"


def with_counts(counts: Counter[str], most: int = 4) -> str:
    """The most common names with their numbers of frames, in words."""
    names = [f"{name} ({n} frame{'s' if n > 1 else ''})" for name, n in counts.most_common(most)]
    return ", ".join(names) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def element_counts(frames: Sequence[Frame]) -> Counter[int]:
    """In how many frames each element is, by atomic number."""
    counts: Counter[int] = Counter()
    for numbers, n in Counter(frame.numbers.tobytes() for frame in frames).items():
        counts.update(dict.fromkeys(np.unique(np.frombuffer(numbers, np.int64)).tolist(), n))
    return counts


def numbered(frames: Iterable[int], most: int = 6) -> str:
    """The first of some frames, in words: "frames 3, 11, 17, …"."""
    frames = list(frames)
    word = "frame" if len(frames) == 1 else "frames"
    return f"{word} {', '.join(map(str, frames[:most]))}" + (", …" if len(frames) > most else "")
