"""Names under which files hold labels, and the rule that decides when there are several.

A name is a family, a word and nothing else: ``REF_energy`` and ``energy_ref`` are the word ``energy`` of the family
``ref``. Case and separators do not count.

1. The first family wins that a frame has: ``ref``, then ``dft`` and its like, then none (``energy``, ``forces``), then
   the name of a method (``pbe_energy``). Energy and forces come from one family; another one only adds what it has
   alone.
2. Inside a family ``energy`` comes before ``total_energy`` and the like, and ``free_energy`` last.
3. Where two families compete anywhere in a file, the later one is used in no frame of it.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from piwsl_lab.data.frames.frame import DataError, DataWarning

FAMILIES = (
    ("ref", "reference"),
    ("dft", "qm", "label", "target", "true", "abinitio"),
    ("",),
    (
        *("lda", "pbe", "pbe0", "pbesol", "rpbe", "revpbe", "blyp", "bp86", "b3lyp", "tpss", "m062x", "scan", "r2scan"),
        *("hse", "hse06", "wb97x", "wb97xd", "wb97xd3", "wb97xdz", "wb97xtz", "wb97m", "hf", "mp2", "ccsd", "ccsdt"),
        *("pbed3", "b3lypd3", "wb97xd4", "wb97xv", "wb97mv", "wb97md3", "wb97md3bj", "pbe0mbd", "vasp", "orca", "cp2k"),
    ),
)
ENERGY_WORDS = ("energy", "totalenergy", "totenergy", "energytotal", "etot", "toten", "potentialenergy", "epot")
FORCE_WORDS = ("forces", "force")
FREE = "freeenergy"
UNITS_STATED = {"energy": ("ev",), "forces": ("evang", "evangstrom", "eva", "ev")}
LABEL_LIKE = re.compile(
    r"energ|forc|grad|stress|virial|dipole|quadrupole|hessian|polari|magmom|charges|momenta|velocit|^vel$|^tags$"
    r"|toten|etot|epot|entropy|enthalpy|^born|potential$|^(e|e0|u|u0|h298|g298|u298|pe|f|fx|fy|fz)$"
)
GRADIENT = re.compile(r"grad|^d_?e(nergy)?_?(/|_|by)?_?d_?(r|x|pos|xyz|coords?|positions?)$")
PASSED_OVER = re.compile(r"'([^']+)' was passed over")
HARMLESS = re.compile(r"unit|source|method|_id$|converged|weight|temperature")


class Name(NamedTuple):
    """A name that means a label: what kind, how early its family and its word come."""

    kind: str  # "energy" or "forces"
    rank: int  # of the family
    family: str
    word: int  # position among the words of the family
    text: str  # as it stands in the file


def with_text_keys(info: Mapping[Any, Any]) -> dict[str, Any]:
    """What stands in ``info``; keys may be numbers or tuples there, and names are texts."""
    return {str(key): value for key, value in info.items()}


def plain_key(text: str) -> str:
    """Small letters and digits only: "REF_Energy" and "ref energy" are one name."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


@lru_cache(maxsize=4096)
def meaning(text: str) -> Name | None:
    """What a name means as a label; None where it means none, or something else than a total energy or forces."""
    short = plain_key(text.removeprefix("data."))
    for kind, words in (("energy", (*ENERGY_WORDS, FREE)), ("forces", FORCE_WORDS)):
        # "energy_eV" and "forces_eV_A" state the unit that is read anyway.
        bare = next((short.removesuffix(unit) for unit in UNITS_STATED[kind] if short.endswith(unit)), short)
        for position, word in enumerate(words):
            rests = {bare.removesuffix(word)} if bare.endswith(word) else set()
            rests |= {bare.removeprefix(word)} if bare.startswith(word) else set()
            for rank, families in enumerate(FAMILIES):
                found = rests & set(families)
                if found:
                    return Name(kind, rank, found.pop(), position, text)
    return None


def label_kind(text: str) -> str | None:
    """ "energy", "forces", or None for a name that means no label."""
    name = meaning(text)
    return None if name is None else name.kind


@lru_cache(maxsize=4096)
def looks_like_label(text: str) -> bool:
    """Whether a name that is not read may hold a label, so that it has to be named."""
    return bool(LABEL_LIKE.search(text.lower()) or GRADIENT.search(text.lower())) and not HARMLESS.search(text.lower())


def passed_over(name: str, where: str = "") -> str:
    """The sentence, without its end, that says so of a name; `names_passed_over` finds the name in it."""
    return f"'{name}' was passed over" + (f" ({where})" if where else "")


def names_passed_over(remarks: Iterable[str]) -> list[str]:
    """The names that some remarks say were passed over."""
    return [name for remark in remarks for name in PASSED_OVER.findall(remark)]


def say_passed_over(counts: Mapping[str, int]) -> list[str]:
    """A sentence for each name that was passed over, by how many frames had it."""
    return [f"{passed_over(name, f'{number} frames')}." for name, number in sorted(counts.items())]


def gradient_remarks(names: Iterable[str]) -> list[str]:
    """What to do with gradients among the names that were passed over."""
    return [
        f"'{name}' is the negative of the forces: turn its sign and call it 'forces'."
        for name in sorted(names)
        if GRADIENT.search(name.lower())
    ][:1]


@dataclass
class Choice:
    """Which name each frame takes its labels from, and what there is to say about it."""

    taken: list[dict[str, str]]
    remarks: list[str]


def choose(frames: Sequence[Mapping[str, Any]], source: str) -> Choice:
    """Decide for every frame of one source which of its names are its labels.

    Parameters
    ----------
    frames : sequence of mappings
        For every frame the names that mean labels, with their values: energies in eV, or (N, 3) forces.
    source : str
        File or list, for messages.

    Raises
    ------
    DataError
        Energies of two methods, neither of which says that it is the reference.
    """
    named = [[name for text in frame if (name := meaning(text))] for frame in frames]
    chosen_names = [_choose_one(names, frame) for names, frame in zip(named, frames, strict=True)]
    losing = _losing_families(named, chosen_names)
    _refuse_two_methods(named, source)
    _refuse_two_values(named, frames, source)
    left_out = Counter(
        name.text for chosen in chosen_names for kind, name in chosen.items() if (kind, name.family) in losing
    )
    taken = [
        {kind: name.text for kind, name in chosen.items() if (kind, name.family) not in losing}
        for chosen in chosen_names
    ]
    counts = {kind: Counter(one[kind] for one in taken if kind in one) for kind in ("energy", "forces")}
    remarks = _say_taken(counts)
    if left_out:
        remarks.append(
            f"{source}: frames have labels only under names that stand beside a reference in other frames "
            f"({_listed(sorted(left_out.items()))}); they were left out there: give these frames the reference too, or "
            "remove them"
        )
        warnings.warn(remarks[-1], DataWarning, stacklevel=2)
    if len(counts["energy"]) > 1:
        remarks.append(
            f"{source}: energies have different names ({_listed(counts['energy'].items())}); if they are of different "
            "methods, keep one kind, or write all as 'energy'"
        )
        warnings.warn(remarks[-1], DataWarning, stacklevel=2)
    return Choice(taken, remarks + _say_passed_over(frames, named, taken))


def _listed(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"'{text}' in {number} frames" for text, number in counts)


def _choose_one(names: Sequence[Name], values: Mapping[str, Any]) -> dict[str, Name]:
    """Energy and forces of one frame."""
    order = sorted(names, key=lambda name: (name.rank, name.word))
    chosen: dict[str, Name] = {}
    kinds = {family: {name.kind for name in order if name.family == family} for family in {n.family for n in order}}
    for name in order:
        first = not chosen or name.family == order[0].family
        # A family that has both labels belongs together: half of it would mix two methods.
        adds = len(kinds[name.family]) == 1 or _one_calculation(name, order, values, chosen)
        if name.kind not in chosen and (first or adds):
            chosen[name.kind] = name
    return chosen


def _one_calculation(name: Name, names: Sequence[Name], values: Mapping[str, Any], chosen: Mapping[str, Name]) -> bool:
    """Whether forces are of the chosen energy after all, because their own energy has the same value."""
    own = [n.text for n in names if n.kind == "energy" and n.family == name.family]
    return "energy" in chosen and any(_gap(values[text], values[chosen["energy"].text]) == 0 for text in own)


def _gap(a: Any, b: Any) -> float | None:
    """Distance of two energies, eV; None where one is no number, which is refused where it is used."""
    try:
        return abs(float(a) - float(b))
    except (TypeError, ValueError):
        return None


def _losing_families(
    named: Sequence[Sequence[Name]], chosen_names: Sequence[Mapping[str, Name]]
) -> set[tuple[str, str]]:
    """Kind and family of names that stand beside an earlier family in at least one frame."""
    losing = set()
    for names, chosen in zip(named, chosen_names, strict=True):
        losing |= {(n.kind, n.family) for n in names if n.kind in chosen and n.family != chosen[n.kind].family}
    return losing


def _refuse_two_methods(named: Sequence[Sequence[Name]], source: str) -> None:
    last = len(FAMILIES) - 1
    for i, names in enumerate(named):
        energies = [name for name in names if name.kind == "energy"]
        if len({n.family for n in energies}) > 1 and all(n.rank == last for n in energies):
            listed = ", ".join(f"'{n.text}'" for n in energies)
            raise DataError(f"frame {i} of {source}: energies of several methods ({listed}); call one of them 'energy'")


def _refuse_two_values(named: Sequence[Sequence[Name]], frames: Sequence[Mapping[str, Any]], source: str) -> None:
    """Names like "energy" and "Energy" are one name: nothing says which of two values is meant."""
    for i, (names, frame) in enumerate(zip(named, frames, strict=True)):
        first: dict[tuple[str, int, str, int], Name] = {}
        for name in names:
            other = first.setdefault((name.kind, name.rank, name.family, name.word), name)
            if name.kind == "energy" and name is not other and _gap(frame[name.text], frame[other.text]) != 0:
                raise DataError(
                    f"frame {i} of {source}: '{other.text}' is {frame[other.text]} and '{name.text}' is "
                    f"{frame[name.text]}; they are one name: keep the right one"
                )


def _say_taken(counts: Mapping[str, Counter[str]]) -> list[str]:
    said = []
    for kind, word in (("energy", "Energies"), ("forces", "Forces")):
        if counts[kind]:
            listed = ", ".join(f"'{text}' ({number} frames)" for text, number in counts[kind].items())
            said.append(f"{word} were read from {listed}.")
    return said


def _say_passed_over(
    frames: Sequence[Mapping[str, Any]], named: Sequence[Sequence[Name]], taken: Sequence[Mapping[str, str]]
) -> list[str]:
    """Labels that another label has displaced, and by how many eV energies differ."""
    number: Counter[str] = Counter()
    apart: dict[str, tuple[float, str]] = {}
    for frame, names, one in zip(frames, named, taken, strict=True):
        for name in names:
            if name.text in one.values():
                continue
            number[name.text] += 1
            if name.kind == "energy" and "energy" in one:
                gap = _gap(frame[name.text], frame[one["energy"]])
                if gap is None:
                    continue
                apart[name.text] = max(gap, apart.get(name.text, (0.0, ""))[0]), one["energy"]
    said = []
    for text, count in number.items():
        farthest = f", up to {apart[text][0]:.3g} eV from '{apart[text][1]}'" if text in apart else ""
        said.append(f"{passed_over(text, f'{count} frames{farthest}')}.")
    return said
