"""What a picture of a molecule consists of, as plain numbers: balls, arrows, colours, box, legend.

No widget in here: `Picture` puts this on the screen.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from ase.data import covalent_radii
from ase.data.colors import jmol_colors
from ase.symbols import Symbols

from piwsl_lab.lab.parts.colours import COLOURS, DIRECT, ON_DARK
from piwsl_lab.lab.parts.units import mev

PREDICTED_COLOUR = COLOURS[DIRECT]
REFERENCE_COLOUR = "#444444"
# Viridis from light to dark: on white, darker reads as more. The edges (eV/Å) never move, so that colours of
# different steps, runs and molecules may be compared.
ERROR_EDGES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
ERROR_COLOURS = ("#fde725", "#90d743", "#35b779", "#21918c", "#31688e", "#443983", "#440154")
# From blue (fell) to red (rose): energies of atoms since the start, meV.
ENERGY_EDGES = (-300.0, -100.0, -30.0, 30.0, 100.0, 300.0)
ENERGY_COLOURS = ("#2166ac", "#67a9cf", "#d1e5f0", "#f7f7f7", "#fddbc7", "#ef8a62", "#b2182b")
BROKEN_COLOUR = "#c00000"
NO_VALUE = "#bbbbbb"
ARROW_SCALE = 0.5  # Å on the screen for 1 eV/Å
LONGEST_ARROW = 3.0  # Å: an untrained or diverged potential must not fill the screen
SMALLEST_ARROW = 0.02  # Å: what is shorter is not drawn
LARGEST_FORCE = 1e100  # eV/Å: its square is a number
FARTHEST = 1e6  # Å: single precision of the page tells no bond farther out
AIR = 0.4  # Å around the molecule, for the arrows
# A box is seen a little from above and from the side.
_ABOUT_X, _ABOUT_Y = np.radians([20.0, -28.0])
TILT = np.array(
    [[1, 0, 0], [0, np.cos(_ABOUT_X), -np.sin(_ABOUT_X)], [0, np.sin(_ABOUT_X), np.cos(_ABOUT_X)]]
) @ np.array([[np.cos(_ABOUT_Y), 0, np.sin(_ABOUT_Y)], [0, 1, 0], [-np.sin(_ABOUT_Y), 0, np.cos(_ABOUT_Y)]])


def flat(array: np.ndarray) -> list[float]:
    """Return an array as a flat list, rounded to 1e-4 Å: what goes over the wire."""
    return np.round(array, 4).ravel().tolist()


def hex_number(colour: str) -> int:
    """Return "#rrggbb" as the integer 0xrrggbb that NGL takes."""
    return int(colour.lstrip("#"), 16)


def on_dark(colour: str) -> str:
    """The colour "#rrggbb" that stands for another one where the page is dark."""
    return ON_DARK.get(colour.upper(), colour)


def _shades(colour: str) -> dict[str, list[float]]:
    """Red, green and blue in [0, 1] on a light and on a dark page."""
    return {
        name: [((hex_number(shade) >> shift) & 255) / 255 for shift in (16, 8, 0)]
        for name, shade in (("colour", colour), ("dark", on_dark(colour)))
    }


def packed(state: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Move the numbers of a state out of it.

    Parameters
    ----------
    state : as `MoleculeView` describes what moves; lists of floats are "positions", "colours" and the points of arrows.

    Returns
    -------
    state : the same with [first, count] for every list.
    values : bytes of the numbers behind each other, float32, little endian. Colours 0xrrggbb are exact in float32.
    """
    values: list[float] = []

    def append(numbers: list[float]) -> list[int]:
        values.extend(numbers)
        return [len(values) - len(numbers), len(numbers)]

    ranges: dict[str, Any] = {}
    for name, value in state.items():
        if name in ("positions", "colours"):
            ranges[name] = append(value)
        elif isinstance(value, dict):
            ranges[name] = {k: append(v) if k in ("start", "neck", "tip") else v for k, v in value.items()}
        else:
            ranges[name] = value
    return ranges, np.asarray(values, dtype="<f4").tobytes()


def ball_radii(numbers: np.ndarray) -> np.ndarray:
    """Radii [N] (Å) of the balls: hydrogen 0.23, carbon 0.34, titanium 0.55."""
    return 0.15 + 0.25 * covalent_radii[numbers]


def element_colours(numbers: np.ndarray) -> list[int]:
    """Usual element colours [N], 0xrrggbb; hydrogen is light grey instead of white, for the page is white."""
    return [int(r) << 16 | int(g) << 8 | int(b) for r, g, b in element_rgb(numbers)]


def element_rgb(numbers: np.ndarray) -> np.ndarray:
    """The same as red, green and blue, 0 to 255, int [N, 3]; elements beyond meitnerium have the colour of it."""
    known = jmol_colors[numbers.clip(max=len(jmol_colors) - 1)]
    return np.round(255 * np.where(numbers[:, None] == 1, 0.86, known)).astype(int)


def error_colours(error: np.ndarray) -> list[int]:
    """Colours [N], 0xrrggbb, of force errors [N] in eV/Å; an error on an edge belongs to the larger bin."""
    return _binned(error, ERROR_EDGES, ERROR_COLOURS)


def energy_colours(energy: np.ndarray) -> list[int]:
    """Colours [N], 0xrrggbb, of changes of atomic energies [N] in eV."""
    return _binned(mev(energy), ENERGY_EDGES, ENERGY_COLOURS)


def _binned(values: np.ndarray, edges: tuple[float, ...], colours: tuple[str, ...]) -> list[int]:
    bins = np.searchsorted(edges, values, side="right")
    return [
        hex_number(colours[b]) if known else hex_number(NO_VALUE)
        for b, known in zip(bins.clip(max=len(edges)), np.isfinite(values), strict=True)
    ]


def drawable(positions: np.ndarray, instead: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions [N, 3] that can be drawn, Å, and which atoms have none, bool [N]; those stand where `instead` says."""
    lost = ~(np.abs(positions) <= FARTHEST).all(axis=1)  # also true for nan
    return np.where(lost[:, None], instead, positions), lost


def gone(numbers: np.ndarray, lost: np.ndarray) -> str:
    """What cannot be drawn, in words; "" where all can."""
    if not len(numbers):
        return "There is no atom to draw."
    names = [name for name, is_lost in zip(atom_labels(numbers), lost, strict=True) if is_lost]
    if not names:
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"No place to draw {', '.join(names[:3])}{more}: its position is no number. Grey: where it was last."


def arrow_points(
    origins: np.ndarray, forces: np.ndarray, radii: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where arrows begin, where their heads begin and where they end.

    Parameters
    ----------
    origins : [N, 3] atom positions, Å.
    forces : [N, 3] eV/Å. A force that is zero or not finite gets an arrow hidden in its atom.
    radii : [N] Å of the balls. Arrows start at the surface, so that small forces are not hidden inside.

    Returns
    -------
    start, neck, tip : [N, 3] each, Å; |tip - start| is `ARROW_SCALE` times the force, at most `LONGEST_ARROW`.
    """
    finite = np.isfinite(forces).all(axis=1, keepdims=True)  # (N, 1)
    forces = forces.clip(-LARGEST_FORCE, LARGEST_FORCE)
    size = np.linalg.norm(forces, axis=1, keepdims=True)  # (N, 1)
    length = np.minimum(ARROW_SCALE * size, LONGEST_ARROW)
    drawn = finite & (length > SMALLEST_ARROW)
    # Hidden arrows are a dot inside the ball: the number of arrows, and with it every buffer, never changes.
    direction = np.where(drawn, np.where(drawn, forces, 1.0) / np.where(drawn, size, 1.0), [1.0, 0.0, 0.0])
    start = origins + np.where(drawn, radii[:, None], 0.0) * direction
    length = np.where(drawn, length, 0.01)
    head = np.minimum(0.25, 0.5 * length)
    return start, start + (length - head) * direction, start + length * direction


def arrows(
    origins: np.ndarray, forces: np.ndarray, radii: np.ndarray, colour: str, radius: float, opacity: float
) -> dict:
    """Return the arrows of all atoms as viewer.js takes them; arguments as in `arrow_points`, `radius` in Å."""
    start, neck, tip = arrow_points(origins, forces, radii)
    points = {"start": flat(start), "neck": flat(neck), "tip": flat(tip)}
    return points | _shades(colour) | {"radius": radius, "opacity": opacity}


def rods(origins: np.ndarray, pairs: np.ndarray, drawn: np.ndarray, colour: str) -> dict:
    """Return rods between pairs [B, 2] of atoms as viewer.js takes them; those not `drawn` [B] hide in their atom."""
    start, end = origins[pairs[:, 0]], origins[pairs[:, 1]]
    end = np.where(drawn[:, None], end, start + np.array([0.01, 0.0, 0.0]))
    return {"start": flat(start), "neck": flat(end), "radius": 0.15, "opacity": 0.5} | _shades(colour)


def box_edges(cell: np.ndarray) -> list[list[list[float]]]:
    """Twelve edges [12][2][3] (Å) of a cell [3, 3] in any orientation (NGL's own box assumes a along x)."""
    edges = []
    for corner in itertools.product((0, 1), repeat=3):
        for axis in range(3):
            if not corner[axis]:
                start = np.array(corner) @ cell
                edges.append([flat(start), flat(start + cell[axis])])
    return edges


def long_side_across(positions: np.ndarray) -> np.ndarray:
    """Rotation [3, 3] that shows positions [N, 3] from their widest side, the longest axis across the screen."""
    # Full matrices: three axes even for one or two atoms.
    if not len(positions):
        return np.eye(3)
    axes = np.linalg.svd(positions - positions.mean(axis=0), full_matrices=True)[2]  # (3, 3)
    return np.array([axes[0], axes[1], np.cross(axes[0], axes[1])])


def molecule(numbers: np.ndarray, positions: np.ndarray, cell: np.ndarray, periodic: bool) -> dict:
    """Return what viewer.js loads once: atoms as PDB text (NGL infers bonds from it), radii, box and extent."""
    corners = np.array(list(itertools.product((0, 1), repeat=3))) @ cell if periodic else positions
    ends = corners if len(corners) else np.zeros((1, 3))
    centre = 0.5 * (ends.min(axis=0) + ends.max(axis=0))
    everything = np.concatenate([corners, positions]) - centre
    # PDB has room for ±999 Å; the true positions follow with the first state.
    inside = (positions - centre).clip(-999.0, 999.0)
    lines = [
        f"HETATM{index % 100000:5d} {symbol:>2}   MOL A   1    {x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00{symbol:>12}"
        for index, (symbol, (x, y, z)) in enumerate(zip(Symbols(numbers), inside, strict=True), 1)
    ]
    return {
        "name": formula(numbers),
        "text": "\n".join([*lines, "END", ""]),
        "radii": flat(ball_radii(numbers)),
        "elements": element_colours(numbers),
        "labels": atom_labels(numbers),
        "box": box_edges(cell) if periodic else [],
        "centre": flat(centre),
        "orientation": (TILT if periodic else long_side_across(positions)).tolist(),
        "reach": float(np.linalg.norm(everything, axis=1).max(initial=0.0) + AIR),  # Å
    }


def atom_labels(numbers: np.ndarray) -> list[str]:
    """Symbol and index of every atom, such as "O2"; the first index is 0."""
    return [f"{symbol}{index}" for index, symbol in enumerate(Symbols(numbers))]


def formula(numbers: np.ndarray) -> str:
    """Return the sum formula, such as C2H6O."""
    return Symbols(numbers).get_chemical_formula()


def legend(
    predicted: str | None, reference: bool, error: bool, energy: bool = False, broken: bool = False,
    what: str = "predicted force", gone: str = "",
) -> str:  # fmt: skip
    """Return HTML that says in words what is drawn: arrows of a colour, reference arrows, broken bonds, colours.

    `gone` says what cannot be drawn, and stands first.
    """
    words = [f'<b style="color:{BROKEN_COLOUR}">{gone}</b>'] if gone else []
    words += [f"{_sign('➜', predicted)} {what}"] if predicted else []
    words += [f"{_sign('➜', REFERENCE_COLOUR)} reference force (wide, pale)"] if reference else []
    if predicted or reference:
        words.append(f"1&nbsp;eV/Å is drawn {ARROW_SCALE:g}&nbsp;Å long (a C–H bond is 1.1&nbsp;Å)")
    words += [f"{_sign('▬', BROKEN_COLOUR)} broken bond"] if broken else []
    bars = _bar("atom colour: force error in eV/Å", ERROR_EDGES, ERROR_COLOURS) if error else ""
    bars += _bar("atom colour: its energy since the start, meV", ENERGY_EDGES, ENERGY_COLOURS) if energy else ""
    line = " ".join(f'<span style="display:inline-block;margin-right:1em">{word}</span>' for word in words)
    return f'<div style="font-size:12px;line-height:16px;max-width:60em">{line}{bars}</div>'


def _sign(sign: str, colour: str) -> str:
    """A coloured sign; the style sheet of the viewer shows the one of its two colours that suits the page."""
    spans = [
        f'<span class="piwsl-on-{theme}" style="color:{shade};font-size:1.3em">{sign}</span>'
        for theme, shade in (("light", colour), ("dark", on_dark(colour)))
    ]
    return "".join(spans)


def _bar(title: str, edges: tuple[float, ...], colours: tuple[str, ...]) -> str:
    """Colours and what they stand for, in a row."""
    number = "{:g}".format
    middle = [f"{number(low)}–{number(high)}" if low >= 0 else f"{number(low)}…{number(high)}"
              for low, high in itertools.pairwise(edges)]  # fmt: skip
    labels = [f"&lt; {number(edges[0])}", *middle, f"&gt; {number(edges[-1])}"]
    swatch = (
        '<span style="flex:1;text-align:center;white-space:nowrap">'
        '<span style="display:block;height:0.9em;background:{}"></span>{}</span>'
    )
    row = "".join(swatch.format(colour, label) for colour, label in zip(colours, labels, strict=True))
    return f'<div style="margin-top:0.3em">{title}</div><div style="display:flex;font-size:0.85em">{row}</div>'
