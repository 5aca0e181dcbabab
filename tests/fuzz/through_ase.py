"""Files that ASE writes, with absurd contents: traj, and databases in JSON and SQLite."""

from __future__ import annotations

import json
import re
import sqlite3
import tempfile
from functools import lru_cache
from pathlib import Path
from random import Random

import ase.db
import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from frames import crystal

from fuzz.frames_in_text import cells
from fuzz.values import VALUES, damage


def atoms(random: Random | None = None) -> list[Atoms]:
    """Eight labelled frames; with `random` one of them, or all, say something absurd."""
    made = []
    for k in range(8):
        frame = crystal(k)
        one = Atoms(frame.numbers, frame.positions, cell=frame.cell, pbc=True)
        rng = np.random.default_rng(k)
        one.calc = SinglePointCalculator(one, energy=float(rng.normal()), forces=rng.normal(size=(4, 3)))
        made.append(one)
    for one in [] if random is None else made if random.random() < 0.3 else [random.choice(made)]:
        _disturb(one, random)
    return made


def _disturb(one: Atoms, random: Random) -> None:
    value = random.choice((np.nan, np.inf, 1e300, 1e7, -1e300, 0.0))
    way = random.randrange(9)
    results = one.calc.results
    if way == 0:
        one.positions[random.randrange(4), random.randrange(3)] = value
    elif way == 1:
        one.cell[:] = cells(random)
    elif way == 2:
        results["energy"] = value
    elif way == 3:
        results["forces"][random.randrange(4)] = value
    elif way == 4:
        one.numbers[random.randrange(4)] = random.choice((0, -1, 119, 300, 10**9))
    elif way == 5:
        one.info |= {"charge": random.choice((value, "x", [1, 2], None)), "spin": random.choice((1, "x", 2.5))}
    elif way == 6:
        one.set_constraint(FixAtoms([0, 1]))
        one.set_masses([value, 1, 1, 1])
    elif way == 7:
        results.pop(random.choice(("energy", "forces")))
    else:
        one.pbc = random.choice(([True, False, True], False))


def nonsense(random: Random) -> list[Atoms]:
    """Frames of which one holds what no file can mean."""
    made = atoms()
    one = random.choice(made)
    way, value = random.randrange(4), random.choice((np.nan, np.inf, 1e300, -1e150, 1e30))
    if way == 0:
        one.positions[random.randrange(4), random.randrange(3)] = value
    elif way == 1:
        one.calc.results["energy"] = np.inf if np.isnan(value) else value  # SQLite stores nan as no energy
    elif way == 2:
        one.calc.results["forces"][random.randrange(4), 0] = value
    else:
        one.cell[1] = one.cell[0] * random.choice((1.0, -2.0))
    return made


def written(suffix: str, build=None):
    """Function that writes frames with ASE and gives the bytes of the file."""

    def make(random: Random | None = None) -> bytes:
        made = (build or atoms)(random)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"a.{suffix}"
            try:
                _write(path, made)
            except (ValueError, TypeError, IndexError, OverflowError, AssertionError):  # ASE refuses to write it
                path.unlink(missing_ok=True)
                _write(path, atoms())
            return path.read_bytes()

    return make


def _write(path: Path, made: list[Atoms]) -> None:
    if path.suffix == ".traj":
        ase.io.write(path, made)
        return
    with ase.db.connect(path) as base:
        for one in made:
            base.write(one, key_value_pairs={"label": "a"}, data={"x": [1, 2]})
    # Names and times that ASE draws anew would make other bytes every time.
    if path.suffix == ".json":
        drawn = r'("(?:unique_id|ctime|mtime)": *"?)[0-9a-f.]+'
        path.write_text(re.sub(drawn, r"\g<1>1", path.read_text()))
        return
    base = sqlite3.connect(path)
    base.execute("UPDATE systems SET unique_id = id, ctime = 0, mtime = 0")
    base.commit()
    base.execute("VACUUM")
    base.close()


@lru_cache
def _json_tree() -> str:
    return written("json")().decode()


def ase_json(random: Random) -> bytes:
    """A database in JSON with something absurd in the place of a value."""
    return json.dumps(damage(json.loads(_json_tree()), random, VALUES, random.choice((1, 1, 3)))).encode()


COLUMNS = ("numbers", "positions", "cell", "pbc", "energy", "forces", "natoms", "constraints", "data", "calculator")


def ase_db(random: Random) -> bytes:
    """A database in SQLite with something absurd in a column, or without a table or column."""
    column = random.choice(COLUMNS)
    value = random.choice((None, b"", b"\x00" * 7, b"\xff" * 96, "x", 10**9, -1, 1e300, b"\x7f" * 12, "[1, 2]"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.db"
        path.write_bytes(written("db")())
        with sqlite3.connect(path) as base:
            if random.random() < 0.7:
                where = "" if random.random() < 0.5 else " WHERE id = 3"
                base.execute(f"UPDATE systems SET {column} = ?{where}", (value,))
            elif random.random() < 0.5:
                base.execute(f"DROP TABLE {random.choice(('systems', 'information', 'species', 'keys'))}")
            else:
                base.execute(f"ALTER TABLE systems RENAME COLUMN {column} TO other")
        base.close()
        return path.read_bytes()
