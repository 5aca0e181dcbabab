"""Which frames splits, budgets and runs draw from the catalogued sets; `python tests/helpers/draws.py` stores them.

The stored file belongs to the trained numbers of `studies/`: whoever changes it makes them those of other frames.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from piwsl_lab.data import Dataset, datasets, load
from piwsl_lab.study import task
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import prepare
from piwsl_lab.study.toml_file import read

STORED = Path(__file__).with_name("draws.json")
NAMES = [f"{entry.name}:{part}" for entry in datasets() for part in entry.parts]
SIZES = [(10, 4, None), (50, 10, 100), (200, 40, 300)]  # train, val, test
BUDGETS = [(5, 5), (8, 2), (3, None)]  # energies, forces
SEEDS = [0, 1, 7]
# A few numbers of labels, for every set; those of `studies/` are in `asked`.
RUNS = [{"energies": 10, "forces": 10}, {"energies": 50, "forces": 50}, {"energies": 100, "forces": 0}]
RUNS += [{"energies": 50, "forces": 10, "test": 100}, {"energies": 200, "forces": 200, "validation": 20}]
DRAWN_BY = ("energies", "forces", "test", "test_part", "validation")  # beside data set and seed


def numbered(data: Dataset) -> Dataset:
    """The same set, whose frames carry their number in `info`."""
    frames = [replace(frame, info={**frame.info, "number": i}) for i, frame in enumerate(data)]
    return Dataset(frames, data.metadata, data.isolated_energies, data.remarks)


def drawn(*parts: Dataset) -> str:
    """Numbers and kept labels of the frames of parts, as a short hash."""
    frames = [
        [(int(frame.info["number"]), frame.energy is not None, frame.forces is not None) for frame in part]
        for part in parts
    ]
    return hashlib.sha256(json.dumps(frames).encode()).hexdigest()[:16]


def splits(name: str) -> dict[str, str]:
    """Splits and budgets of one part of a catalogued set."""
    data, found = numbered(load(name)), {}
    for seed in SEEDS:
        for train, val, test in SIZES:
            if train + val + (test or 1) <= len(data):
                found[f"split {train} {val} {test} seed {seed}"] = drawn(*data.split(train, val, test, seed=seed))
        for energies, forces in BUDGETS:
            if (forces or 0) <= data.n_forces:
                found[f"budget {energies} {forces} seed {seed}"] = drawn(data.budget(energies, forces, seed=seed))
    return found


@cache
def asked() -> list[tuple[str, dict[str, object]]]:
    """What the studies of `studies/` draw with their first seed: the data set and the rest of the setup, each once."""
    found = []
    for path in sorted(STORED.parents[2].glob("studies/*.toml")):
        for cell in read(path).cells:
            fields = {
                key: getattr(cell.setup, key) for key in ("energies", "forces", "test", "test_part", "validation")
            }
            if not cell.setup.seed and (cell.setup.data, fields) not in found:
                found.append((cell.setup.data, fields))
    return found


def runs(name: str, patch: Callable[[str, object], None]) -> dict[str, str]:
    """What `prepare` draws for runs on a data set; `patch` sets an attribute of `piwsl_lab.study.task`."""
    sets: dict[str, Dataset] = {}

    def once(part: str) -> Dataset:
        return sets[part] if part in sets else sets.setdefault(part, numbered(load(part)))

    patch("load", once)
    found = {}
    for seed in SEEDS:
        for run in RUNS:
            setup = Setup(data=name, seed=seed, **run)
            if setup.forces <= once(name).n_forces:
                found[f"{run} seed {seed}"] = drawn(*prepare(setup))
    for data, fields in asked():
        if data.partition(":")[0] == name:
            found[f"study of {data} {fields}"] = drawn_or_refused(Setup(data=data, **fields))
    return found


def drawn_or_refused(setup: Setup) -> str:
    """A study may ask for more labels than a set has; that has to stay so too."""
    try:
        return drawn(*prepare(setup))
    except ValueError:
        return "refused"


if __name__ == "__main__":
    stored = {"splits": {name: splits(name) for name in NAMES}}
    stored["runs"] = {e.name: runs(e.name, lambda key, value: setattr(task, key, value)) for e in datasets()}
    STORED.write_text(json.dumps(stored, indent=0) + "\n", "utf-8")
