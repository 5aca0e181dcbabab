"""Draw docs/house.svg, the rooms of the package, from the table of imports in tests/test_architecture.py.

``python tools/draw_house.py`` writes it; ``--check`` says whether it is current.
"""

from __future__ import annotations

import sys
from functools import cache
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from test_architecture import ROOMS  # noqa: E402  (the table lies with the tests)

PICTURE = ROOT / "docs" / "house.svg"
WIDTH, HEIGHT = 104, 30  # of a room, px
STEP, FLOOR = 128, 64  # from one room to the next, and from one floor to the next, px
ACROSS = 5  # rooms in a row
BASEMENT = ("support", "names", "toys")  # arrows to it are pale
SAYS = {
    "lab": "SHOW",
    "study": "REPEAT",
    "training": "LEARN, TEST",
    "data": "HAVE",
}


def main() -> int:
    drawn = picture()
    if "--check" in sys.argv:
        current = PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == drawn
        print("docs/house.svg is current" if current else "docs/house.svg is old: python tools/draw_house.py")
        return 0 if current else 1
    PICTURE.write_text(drawn, encoding="utf-8")
    return 0


def family(room: str) -> str:
    """The folder that a room lies in: "data" of "data.formats"."""
    return room.partition(".")[0]


@cache
def height(name: str) -> int:
    """How many rooms lie one above the other below a room."""
    return 1 + max(map(height, ROOMS[name]), default=-1)


@cache
def floor(name: str) -> int:
    """How many folders lie one above the other below a folder."""
    below = {family(two) for one in ROOMS if family(one) == name for two in ROOMS[one]} - {name}
    return 1 + max(map(floor, below), default=-1)


def places() -> dict[str, tuple[float, float]]:
    """Middle of every room, px: folders one above the other, their rooms from left to right and from the top down."""
    found: dict[str, tuple[float, float]] = {}
    row = 0
    for level in range(max(map(floor, map(family, ROOMS))), -1, -1):
        rooms = sorted((room for room in ROOMS if floor(family(room)) == level), key=height, reverse=True)
        for k, room in enumerate(rooms):
            column = ACROSS - 1 if room == "cli" else k % ACROSS  # the second door, away from the stairs of the first
            found[room] = (100 + STEP * (column + 0.5), 24 + FLOOR * (row + k // ACROSS))
        row += -(-len(rooms) // ACROSS)
    return found


def picture() -> str:
    """The whole drawing as SVG."""
    where = places()
    right = max(x for x, _ in where.values()) + WIDTH / 2 + 10
    bottom = max(y for _, y in where.values()) + HEIGHT / 2 + 14
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {bottom:.0f}" role="img" '
        'font-family="DejaVu Sans, sans-serif" font-size="13">',
        "<title>The rooms of piwsl_lab and what each imports</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#777"/></marker></defs>',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    edges = sorted(
        ((one, two) for one, below in ROOMS.items() for two in below), key=lambda edge: edge[1] not in BASEMENT
    )
    lines += [_arrow(where[one], where[two], "#ccc" if two in BASEMENT else "#777") for one, two in edges]
    lines += [_room(name, x, y) for name, (x, y) in where.items()]
    heights = {family(name): y for name, (_, y) in reversed(where.items())}
    lines += [
        f'<text x="8" y="{heights[name] + 4:.0f}" fill="#777" font-size="11">{escape(says)}</text>'
        for name, says in SAYS.items()
    ]
    return "\n".join([*lines, "</svg>", ""])


def _room(name: str, x: float, y: float) -> str:
    return (
        f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="5" '
        f'fill="#eaf2f8" stroke="#0072b2"/><text x="{x:.0f}" y="{y + 4:.0f}" text-anchor="middle" fill="#222">'
        f"{escape(name)}</text>"
    )


def _arrow(start: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    """From a room to one that it imports: sideways within a floor, else down."""
    (x1, y1), (x2, y2) = start, end
    if y1 == y2:
        side = WIDTH / 2 if x1 > x2 else -WIDTH / 2
        points = f"{x1 - side:.0f},{y1:.0f} {x2 + side:.0f},{y2:.0f}"
    else:
        points = f"{x1:.0f},{y1 + HEIGHT / 2:.0f} {x2:.0f},{y2 - HEIGHT / 2:.0f}"
    return f'<polyline points="{points}" fill="none" stroke="{colour}" marker-end="url(#tip)"/>'


if __name__ == "__main__":
    sys.exit(main())
