"""Reads the TOML file of a study.

Its tables hold fields of `Setup` and `Objective`. ``[setup]`` and ``[objective]`` are common to all
runs. The lists of ``[grid]`` are multiplied with one another, and every ``[[method]]`` overrides
what it differs in. A method that sets a field takes that field out of the grid for itself. So a
supervised method is not repeated for every ε.

    name, title, description   words for the report
    [setup] [objective]        fields common to all runs; `labels` sets energies and forces
    [grid]                     data = […], labels = [50, [200, 20]], any other field = […], seeds = 5 or [0, 1]
    [cells]                    first = [{data = …, labels = …}, …]: what to run before all else
    [[method]]                 name, title, fields; against = "its rival" or ["its rival", "another"];
                               only / skip = {data = […], labels = […]}

A data file is named relative to the TOML file, to the folder above it, or to the working directory.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.grid import FIELDS, LABELS, Cell, Method, Study, check_names, check_pattern, close_to, typed
from piwsl_lab.study.setup import MOST_SEEDS, Setup
from piwsl_lab.support.files import no_file
from piwsl_lab.support.shapes import ANYTHING, Text, require

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TABLES = ("name", "title", "description", "setup", "objective", "grid", "method", "cells")
WORDS = {"name?": Text(), "title?": Text(), "description?": Text(), "cells?": {str: ANYTHING}}
MOST_RUNS = 100_000
METHOD_KEYS = ("name", "title", "against", "only", "skip")


def read(path: Path | str) -> Study:
    """Read a study.

    Raises
    ------
    ValueError
        The file cannot be read, or a key or value in it makes no sense; the message names it and a key that is close.
    """
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited at for ever
        raise ValueError(f"{path}: {no_file(path)}; give the path of a TOML file")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: the study cannot be read ({error}); give the path of a TOML file") from None
    except (ValueError, RecursionError) as error:  # of TOML, or of a number with thousands of digits
        raise ValueError(f"{path} is not valid TOML: {error}") from None
    try:
        _check_whole_numbers(content)
        return _study(path, content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _check_whole_numbers(value: Any) -> None:
    """TOML promises whole numbers of 64 bits; Python reads longer ones, which no field here can hold."""
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ValueError(f"the whole number {str(value)[:20]}… has more than 64 bits")
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            _check_whole_numbers(item)


def _study(path: Path, content: dict[str, Any]) -> Study:
    check_names(content, TABLES, "the file")
    require(content, WORDS)
    common = {**_table(content, "setup", Setup), **_table(content, "objective", Objective)}
    axes, seeds = _axes(content.get("grid"))
    raw = content.get("method") or []
    if not isinstance(raw, list) or not raw or not all(isinstance(entry, dict) for entry in raw):
        raise ValueError('there is no [[method]]: give at least one, with name = "…"')
    methods = _methods(raw)
    first = _priorities(content.get("cells", {}))
    placed = []
    for m, (method, entry) in enumerate(zip(methods, raw, strict=True)):
        found = _cells(method, entry, common, axes, seeds)
        if not found:
            raise ValueError(f"method {method.name!r} has no cells: its only/skip leave nothing of the grid")
        placed += [((_rank(cell, first), s, block, m), cell) for s, block, cell in found]
    for pattern in first:
        if not any(cell.matches(pattern) for _, cell in placed):
            raise ValueError(f"[cells] first: {pattern} matches no cell of the grid")
    # Seed by seed inside a block of equal priority: a study that is cut short has the same seeds everywhere.
    cells = tuple(cell for _, cell in sorted(placed, key=lambda item: item[0]))
    title = content.get("title", content.get("name", path.stem))
    shown = tuple(name for name in cells[0].where if name not in ("data", "energies", "forces"))
    return Study(path, content.get("name", path.stem), title, content.get("description", ""), methods, cells, shown)


def _table(content: Mapping[str, Any], name: str, kind: type[Setup | Objective]) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise ValueError(f"[{name}] has to be a table of fields")
    check_names(table, (*FIELDS[kind], *([LABELS] if kind is Setup else [])), f"[{name}]")
    if "seed" in table:
        raise ValueError(f"[{name}] seed: write seeds = … in [grid] instead")
    return _spread(table)


def _spread(values: Mapping[str, Any]) -> dict[str, Any]:
    """With `labels` replaced by `energies` and `forces`."""
    spread = dict(values)
    if LABELS in spread:
        pair = spread.pop(LABELS)
        pair = pair if isinstance(pair, list) else [pair, pair]
        if len(pair) != 2:
            raise ValueError(f"labels = {pair}: give a number, or a pair [energies, forces]")
        spread = {"energies": pair[0], "forces": pair[1], **spread}
    return spread


def _axes(grid: Any) -> tuple[dict[str, list[Any]], list[int]]:
    """Axes of the product, and the seeds."""
    if not isinstance(grid, dict) or not grid:
        raise ValueError("[grid] is empty: give at least data = […], labels = […] and seeds = 3")
    axes = dict(grid)
    given = axes.pop("seeds", 1)
    counted = isinstance(given, int) and not isinstance(given, bool)
    seeds = list(range(min(given, MOST_SEEDS + 1))) if counted else given
    whole = isinstance(seeds, list) and all(type(seed) is int for seed in seeds)
    if not whole or not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"[grid] seeds = {given!r}: give how many, 1 or more, or a list without repeats")
    if len(seeds) > MOST_SEEDS:
        raise ValueError(f"[grid] seeds = {given if counted else len(seeds)}: give at most {MOST_SEEDS}")
    if "seed" in axes:
        raise ValueError("[grid] seed: the axis is called seeds")
    check_names(axes, (*FIELDS[Setup], *FIELDS[Objective], LABELS, "seeds"), "[grid]")
    for name, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"[grid] {name} = {values!r} is empty or no list: write {name} = [value, …]")
    runs = math.prod(map(len, axes.values())) * len(seeds)
    if runs > MOST_RUNS:
        raise ValueError(f"[grid] asks for {runs} runs of every method; at most {MOST_RUNS} are possible")
    if LABELS in axes and {"energies", "forces"} & set(axes):
        raise ValueError("[grid] labels sets energies and forces together: give either labels or those two")
    return axes, seeds


def _methods(raw: Iterable[dict[str, Any]]) -> tuple[Method, ...]:
    entries = list(raw)
    names: list[str] = []
    for k, entry in enumerate(entries):
        name = entry.get("name")
        if not isinstance(name, str) or not name:
            raise ValueError(f'[[method]] number {k + 1} has no name: write name = "…"')
        if name in names:
            raise ValueError(f"two methods are called {name!r}: give each its own name")
        names.append(name)
    rival = "supervised" if "supervised" in names else names[0]
    methods = []
    for entry in entries:
        place = f"method {entry['name']!r}"
        check_names(entry, (*METHOD_KEYS, *FIELDS[Setup], *FIELDS[Objective], LABELS), place)
        if "seed" in entry:
            raise ValueError(f"{place}: seeds belong to [grid]")
        given = entry.get("against", [] if entry["name"] == rival else rival)
        rivals: list[str] = [given] if isinstance(given, str) else given
        require(rivals, [Text()], f"{place}: against")
        require(entry, {"title?": Text()}, place)
        for against in rivals:
            if against not in names or against == entry["name"]:
                raise ValueError(f"{place}: against = {against!r} is no other method{close_to(against, names)}")
        for choice in ("only", "skip"):
            check_pattern(entry.get(choice, {}), f"{place}: {choice}")
        overrides = _spread({k: v for k, v in entry.items() if k not in METHOD_KEYS})
        first = rivals[0] if rivals else None
        methods.append(Method(entry["name"], entry.get("title", entry["name"]), first, tuple(rivals), overrides))
    return tuple(methods)


def _cells(
    method: Method,
    entry: Mapping[str, Any],
    common: Mapping[str, Any],
    axes: Mapping[str, list[Any]],
    seeds: Sequence[int],
) -> list[tuple[int, int, Cell]]:
    """Cells of one method, each with the number of its seed and of its place in the product; no run twice."""
    names = [name for axis in axes for name in (("energies", "forces") if axis == LABELS else (axis,))]
    shown = list(dict.fromkeys(["data", "energies", "forces", *names]))
    cells: dict[str, tuple[int, int, Cell]] = {}
    for block, values in enumerate(itertools.product(*axes.values())):
        place = dict(zip(axes, values, strict=True))
        chosen = {**common, **_spread(place), **method.overrides}
        for s, seed in enumerate(seeds):
            parts = {kind: {k: v for k, v in chosen.items() if k in FIELDS[kind]} for kind in (Setup, Objective)}
            try:
                setup, objective = typed(Setup, parts[Setup] | {"seed": seed}), typed(Objective, parts[Objective])
            except ValueError as error:
                raise ValueError(f"method {method.name!r} with {place}: {error}") from None
            where = {name: getattr(setup if name in FIELDS[Setup] else objective, name) for name in shown}
            cell = Cell(method.name, where, setup, objective)
            if cell.matches(entry.get("only", {})) and not (entry.get("skip") and cell.matches(entry["skip"])):
                cells.setdefault(cell.key, (s, block, cell))
    return list(cells.values())


def _priorities(cells: Any) -> list[dict[str, Any]]:
    if not isinstance(cells, dict):
        raise ValueError("[cells] is a table: write [cells] and below it first = [{data = …, labels = …}, …]")
    check_names(cells, ("first",), "[cells]")
    first = cells.get("first", [])
    if not isinstance(first, list):
        raise ValueError("[cells] first has to be a list of {key = value} tables")
    for pattern in first:
        check_pattern(pattern, "[cells] first")
    return first


def _rank(cell: Cell, first: Sequence[Mapping[str, Any]]) -> int:
    return next((k for k, pattern in enumerate(first) if cell.matches(pattern)), len(first))
