"""One colour for a kind of potential, the same in curves, arrows, flights, tables and studies.

Okabe and Ito's palette: told apart with every common colour blindness. Black is kept for the reference method; on a
dark page it is drawn light.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

DIRECT, DIRECT_PITC = "direct", "direct + PITC"
CONSERVATIVE, CONSERVATIVE_PITC = "conservative", "conservative + PITC"
DUAL, REFERENCE = "dual", "reference"
COLOURS = {
    DIRECT: "#D55E00",  # vermilion
    DIRECT_PITC: "#0072B2",  # blue
    CONSERVATIVE: "#E69F00",  # orange
    CONSERVATIVE_PITC: "#56B4E9",  # sky
    DUAL: "#009E73",  # green
    REFERENCE: "#000000",
}
OTHERS = ("#CC79A7", "#7F7F7F", "#8B6D00", "#5A3E99")  # a fifth kind, or the second of a kind on one page
# The same on a dark page: nothing black on black, no deep blue. Keys are upper case.
ON_DARK = {
    "#000": "#E0E0E0", "#000000": "#E0E0E0", "BLACK": "#E0E0E0", "#444": "#C0C0C0", "#444444": "#C0C0C0",
    "#555": "#B0B0B0", "#0072B2": "#4BA3DD", "#D55E00": "#F07C2A", "#009E73": "#1FBF92", "#8B6D00": "#C9A227",
    "#5A3E99": "#A48BE0", "#C00000": "#FF5A5A",
}  # fmt: skip
# Names that say what a potential is, whoever trained it.
KINDS_BY_NAME = {
    "supervised": DIRECT,
    "PIWSL": DIRECT_PITC,
    "GFN2-xTB": REFERENCE,
} | {kind: kind for kind in COLOURS}


def potential_kind(head: str, consistent: bool) -> str:
    """The kind of a potential: where its forces come from ("direct", "conservative", "dual"), and whether PIWSL
    taught it."""
    if head == "dual":
        return DUAL
    return f"{head} + PITC" if consistent else head


def assign(kinds: Mapping[str, str | None]) -> dict[str, str]:
    """A colour for every name, "#rrggbb": that of its kind; the second of a kind, or one of no kind, takes a spare."""
    spare, taken, colours = iter(OTHERS), set(), {}
    for name, kind in kinds.items():
        colour = COLOURS.get(kind or "")
        if colour is None or colour in taken:
            colour = next(spare, "#444444")
        taken.add(colour)
        colours[name] = colour
    return colours


def name_colours(names: Iterable[str], heads: Mapping[str, str] | None = None) -> dict[str, str]:
    """Colours of potentials that are known by their names; `heads` says where the forces of the others come from."""
    heads = heads or {}
    return assign({name: KINDS_BY_NAME.get(name) or heads.get(name) for name in names})


def twin_colours(twins: Iterable[Any]) -> dict[str, str]:
    """Colours of the twins of a session by their names; each twin has a `kind`."""
    return assign({twin.name: twin.kind for twin in twins})
