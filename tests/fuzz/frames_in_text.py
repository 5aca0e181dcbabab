"""Extended XYZ and XSF built from parts, so that a whole file can say something absurd."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np
from frames import crystal, labelled

from fuzz.values import NUMBERS, WORDS

SCALES = (0.0, 1e-12, 1e-9, 1e-3, 1e3, 1e6, 1e9, 1e20, 1e150, 1e300, -1.0)
KEYS = (
    "energy", "Energy", "free_energy", "REF_energy", "total_energy", "forces", "stress", "virial", "charge", "spin",
    "multiplicity", "config_type", "pbc", "Lattice", "Properties", "cell", "masses", "momenta", "dipole", "magmom",
    "config_type=IsolatedAtom", "constraints", "move_mask", "numbers", "positions", "calculator", "unique_id",
)  # fmt: skip
PROPERTIES = (
    "species:S:1:pos:R:3", "species:S:1:pos:R:3:forces:R:1", "species:S:1:pos:R:4:forces:R:2", "pos:R:3:forces:R:3",
    "species:S:1:pos:R:1000000000", "species:S:-1:pos:R:3", "species:X:1:pos:R:3", "species:S:1:pos:R", "", ":",
    "species",
    "species:S:1:pos:I:3:forces:R:3", "species:S:1:pos:L:3:forces:R:3", "species:S:1:pos:R:3:pos:R:3",
    "species:S:1:species:S:1:pos:R:3:forces:R:2", "Z:I:1:pos:R:3:forces:R:3", "species:S:1:pos:S:3:forces:S:3",
    "species:S:1:forces:R:3:pos:R:3", "species:S:1:pos:R:3:masses:R:1:magmoms:R:2", "species:S:0:pos:R:3",
    "species:S:1:pos:R:3:force:R:3", "species:S:1:pos:R:3:initial_charges:R:1:move_mask:L:2",
)  # fmt: skip


@dataclass
class Image:
    """One frame of a file as it is written."""

    count: str
    keys: list[list[str]]
    rows: list[list[str]]
    cell: np.ndarray | None = None

    def text(self) -> str:
        comment = " ".join(
            f'{key}="{value}"' if set(value) & set(" \t") else f"{key}={value}" for key, value in self.keys
        )
        return "\n".join([self.count, comment, *(" ".join(row) for row in self.rows)]) + "\n"

    def place(self, cell: np.ndarray) -> None:
        self.cell = cell
        self.keys = [pair for pair in self.keys if pair[0] not in ("Lattice", "pbc")]
        self.keys[:0] = [["Lattice", " ".join(f"{x:.10g}" for x in cell.ravel())], ["pbc", "T T T"]]


def images(periodic: bool) -> list[Image]:
    """Eight labelled frames of ethanol, or of a small crystal."""
    if not periodic:
        return [_image(frame) for frame in labelled("CH3CH2OH", 8)]
    made = []
    for seed in range(8):
        frame = crystal(seed)
        random = np.random.default_rng(seed)
        image = _image(frame, random.normal(size=(4, 3)), -3.0 + random.normal())
        image.place(frame.cell)
        made.append(image)
    return made


def _image(frame, forces=None, energy=None) -> Image:
    forces = frame.forces if forces is None else forces
    energy = frame.energy if energy is None else energy
    symbols = {1: "H", 6: "C", 8: "O"}
    rows = [
        [symbols[int(z)], *(f"{x:.6f}" for x in (*place, *force))]
        for z, place, force in zip(frame.numbers, frame.positions, forces, strict=True)
    ]
    return Image(str(len(rows)), [["Properties", "species:S:1:pos:R:3:forces:R:3"], ["energy", f"{energy:.6f}"]], rows)


def extxyz(made: list[Image]) -> bytes:
    return "".join(image.text() for image in made).encode("utf-8", "surrogatepass")


def cells(random: Random) -> np.ndarray:
    """A cell that no crystal has."""
    a = random.choice(SCALES) * random.choice((1.0, 3.0))
    b = random.choice((1.0, 4.0, 1e3, 1e-3, 1e6))
    return np.array(
        random.choice(
            (
                [[a, 0, 0], [0, a, 0], [0, 0, a]],
                [[a, 0, 0], [0, b, 0], [0, 0, b]],
                [[4, 0, 0], [8, 0, 0], [0, 0, 4]],
                [[4, 0, 0], [0, 4, 0], [4, 4, 0]],
                [[4, 0, 0], [4, 1e-8, 0], [0, 0, 4]],
                [[4, 0, 0], [1e5, 4, 0], [0, 0, 4]],
                [[0, 0, 0], [0, 4, 0], [0, 0, 4]],
                [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
                [[2000, 0, 0], [0, 2000, 0], [0, 0, 5]],
                [[1e5, 0, 0], [0, 3, 0], [0, 0, 3]],
                [[0, 4, 0], [4, 0, 0], [0, 0, 4]],
            )
        ),
        dtype=float,
    )


def geometry(random: Random) -> bytes:
    """A whole file whose frames cannot be: atoms far away, on one spot, in a cell without volume."""
    made = images(random.random() < 0.5)
    chosen = made if random.random() < 0.3 else [random.choice(made)]
    way = random.randrange(5)
    for image in chosen:
        row = random.choice(image.rows)
        if way == 0:
            row[random.randrange(1, 4)] = f"{random.choice((1e3, 1e4, 1e6, 6e5, 1e9, 1e18, 1e150, 1e300, -1e7)):g}"
        elif way == 1:
            image.place(cells(random))
        elif way == 2:
            scale = random.choice(SCALES)
            for row in image.rows:
                row[1:4] = [f"{scale * float(x):.10g}" for x in row[1:4]]
        elif way == 3:
            row[1:4] = [str(float(x) + random.choice((0, 1e-6, 0.05))) for x in random.choice(image.rows)[1:4]]
        else:
            image.rows = [image.rows[0]] * random.choice((1, 2, 1000))
            image.count = str(len(image.rows))
    return extxyz(made)


def labels(random: Random) -> bytes:
    """A whole file whose energies, forces and elements are none."""
    made = images(random.random() < 0.5)
    chosen = made if random.random() < 0.3 else [random.choice(made)]
    way, value = random.randrange(4), random.choice(NUMBERS)
    for image in chosen:
        row = random.choice(image.rows)
        if way == 0:
            image.keys[-1][1] = value
        elif way == 1:
            row[random.randrange(4, 7)] = value
        elif way == 2:
            row[0] = random.choice(("X", "D", "Xx", "119", "0", "-1", "8", "He2", "é", "Uuo", "Og", "C1", "1e9", ""))
        else:
            image.keys.append(["energy", value])
    return extxyz(made)


def fields(random: Random) -> bytes:
    """A whole file with keys that are missing, doubled, renamed, of another type or announce other columns."""
    made = images(random.random() < 0.5)
    chosen = made if random.random() < 0.5 else [random.choice(made)]
    way = random.randrange(6)
    key, value = (
        random.choice(KEYS),
        random.choice((*NUMBERS, *WORDS, "[1, 2]", "[[1, 2], [3]]", "T T", '{"a": 1}', "1 2 3")),
    )
    properties = random.choice(PROPERTIES)
    count = random.choice(("1000000000", "-1", "0", "1e3", "9 9", "", "x", "9" * 30, "8", "10", "3"))
    for image in chosen:
        if way == 0:
            image.keys.append([key, value])
        elif way == 1:
            image.keys[random.randrange(len(image.keys))][0] = key
        elif way == 2:
            del image.keys[random.randrange(len(image.keys))]
        elif way == 3:
            image.keys = [[k, properties if k == "Properties" else v] for k, v in image.keys]
        elif way == 4:
            image.count = count
        else:
            image.keys = [
                ["Properties", f"{image.keys[-2][1]}:{random.choice(('masses:R:1', 'move_mask:L:1'))}"],
                *image.keys[-1:],
            ]
            image.rows = [[*row, value] for row in image.rows]
    return extxyz(made)


def nonsense(random: Random, made: list[Image] | None = None) -> list[Image]:
    """Frames of which one holds what no file can mean: a reader refuses it, or warns."""
    made = made or images(random.random() < 0.5)
    image = random.choice(made)
    row = random.choice(image.rows)
    way = random.randrange(7)
    if way == 0:
        row[random.randrange(1, 4)] = random.choice(("nan", "inf", "1e300", "-1e150", "1e30"))
    elif way == 1:
        image.keys[-1][1] = random.choice(("nan", "inf", "1e300", "-1e30", "T", "True", "x", "1e400"))
    elif way == 2:
        row[random.randrange(4, 7)] = random.choice(("nan", "-inf", "1e30", "1e300", "-1e150"))
    elif way == 3:
        image.keys.append(["energy", "17.5"])
    elif way == 4:
        image.place(np.array([[4, 0, 0], random.choice(([8, 0, 0], [4, 0, 0], [4, 1e-9, 0])), [0, 0, 4]], dtype=float))
    elif way == 5:
        image.place(random.choice((1e300, 1e100, 1e-9)) * np.eye(3))
    else:
        row[0] = random.choice(("X", "Xx", "119", "0", "-1"))
    return made


def absurd(random: Random) -> bytes:
    return extxyz(nonsense(random))


def large(random: Random) -> bytes:
    """Many atoms where few are expected: sparse, dense or on a line."""
    n = random.choice((2000, 5000, 20_000))
    step = random.choice((0.2, 1.5, 6.0, 100.0))
    side = random.choice((1, round(n ** (1 / 3)) + 1))
    rows = [
        ["C", *(f"{step * x:.3f}" for x in (k // side // side, k // side % side, k % side)), "0", "0", "0"]
        for k in range(n)
    ]
    image = Image(str(n), [["Properties", "species:S:1:pos:R:3:forces:R:3"], ["energy", "1.0"]], rows)
    if random.random() < 0.5:
        image.place(step * side * np.eye(3))
    return extxyz([image])


def xsf(image: Image) -> str:
    """One image as aenet writes it."""
    energy = next((value for key, value in image.keys if key == "energy"), "")
    lines = [f"# total energy = {energy} eV", ""]
    if image.cell is not None:
        lines += ["CRYSTAL", "PRIMVEC", *(" ".join(f"{x:.10g}" for x in row) for row in image.cell)]
        lines += ["PRIMCOORD", f"{image.count} 1"]
    else:
        lines.append("ATOMS")
    return "\n".join([*lines, *(" ".join(row) for row in image.rows)]) + "\n"


def as_xsf(damaged: Callable[[Random], list[Image]]) -> Callable[[Random], bytes]:
    return lambda random: xsf(damaged(random)[0]).encode("utf-8", "surrogatepass")


def xsf_parts(random: Random) -> list[Image]:
    """One image with something wrong in its cell, count, rows or energy."""
    image = copy.deepcopy(images(random.random() < 0.7)[0])
    row = random.choice(image.rows)
    way = random.randrange(7)
    if way == 0 and image.cell is not None:
        image.cell = cells(random)
    elif way == 1:
        image.count = random.choice(NUMBERS)
    elif way == 2:
        row[random.randrange(1, 7)] = random.choice(NUMBERS)
    elif way == 3:
        image.keys[-1][1] = random.choice(NUMBERS)
    elif way == 4:
        row[0] = random.choice(("X", "0", "119", "-1", "²", "9" * 5000, "é", "Cc", "1.0"))
    elif way == 5:
        del row[random.randrange(1, 7) :]
    else:
        row[random.randrange(1, 4)] = f"{random.choice((1e4, 1e6, 1e9, 1e18, 1e300)):g}"
    return [image]
