"""The grid of a study: its methods and cells, each cell a run with a key made of all that decides its result."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from piwsl_lab.data.formats.opening import exists, is_pattern
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import RECIPE, Setup

LABELS = "labels"  # stands for `energies` and `forces` together: a number, or a pair [energies, forces]
Made = TypeVar("Made", Setup, Objective)
FIELDS: dict[type[Setup | Objective], dict[str, Field[Any]]] = {
    kind: {f.name: f for f in fields(kind)} for kind in (Setup, Objective)
}


@dataclass(frozen=True)
class Method:
    """One way of training that the study compares.

    Attributes
    ----------
    name, title : str
        Short name, and words for the legend.
    against : str or None
        The method its errors are divided by.
    overrides : dict
        Fields of Setup and Objective that it sets, whatever the grid says.
    """

    name: str
    title: str
    against: str | None
    rivals: tuple[str, ...]
    overrides: dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run of the grid.

    Attributes
    ----------
    method : str
    where : dict
        Value of every axis, with data, energies and forces always among them.
    setup, objective : what is trained
    """

    method: str
    where: dict[str, Any]
    setup: Setup
    objective: Objective

    @property
    def seed(self) -> int:
        """Seed of the run."""
        return self.setup.seed

    @cached_property
    def key(self) -> str:
        """Hash of every field that is not at its default: neither titles nor the order of the file change it.

        Defaults are left out so that a field which the library gains later does not orphan finished runs. The store
        compares the full fields, so that a default which has changed is noticed.
        """
        chosen: dict[str, Any] = {kind: _without_defaults(getattr(self, kind)) for kind in ("setup", "objective")}
        chosen["recipe"] = RECIPE
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """The cell in words: "piwsl ethanol 50 labels order=1 seed 0"."""
        others = [f"{k}={text(v)}" for k, v in self.where.items() if k not in ("data", "energies", "forces")]
        return " ".join([self.method, self.setup.data, self.value(LABELS), "labels", *others, f"seed {self.seed}"])

    def value(self, name: str) -> str:
        """Text of a field of this cell, of "method", "seed" or "labels"."""
        if name == "method":
            return self.method
        if name == LABELS:
            return text([self.setup.energies, self.setup.forces])
        return text(getattr(self.setup if name in FIELDS[Setup] else self.objective, name))

    def matches(self, pattern: Mapping[str, Any]) -> bool:
        """Whether every key of a pattern has this cell's value, or a list that holds it."""
        return all(
            self.value(name) in [text(v, name) for v in (allowed if isinstance(allowed, list) else [allowed])]
            for name, allowed in pattern.items()
        )


@dataclass(frozen=True)
class Study:
    """A study as its file describes it; `cells` are in the order they are run."""

    path: Path
    name: str
    title: str
    description: str
    methods: tuple[Method, ...]
    cells: tuple[Cell, ...]
    axes: tuple[str, ...] = field(default=())

    @property
    def folder(self) -> Path:
        """Where its results are kept by default: next to the file, without its suffix."""
        return self.path.with_suffix("")

    def method(self, name: str) -> Method:
        """The method of that name."""
        return next(m for m in self.methods if m.name == name)

    def select(self, patterns: Sequence[str]) -> list[Cell]:
        """Cells that match every "key=value" or "key=value,value".

        Raises
        ------
        ValueError
            A pattern has no "=", names no field, or nothing matches.
        """
        wanted: dict[str, Any] = {}
        for pattern in patterns:
            name, equals, values = pattern.partition("=")
            if not equals or not values:
                raise ValueError(f"--only {pattern}: write it as key=value or key=value,value")
            wanted[name] = [*wanted.get(name, []), *values.split(",")]
        check_pattern(wanted, "--only")
        cells = [cell for cell in self.cells if cell.matches(wanted)]
        if not cells:
            raise ValueError(f"--only {' '.join(patterns)} matches none of the {len(self.cells)} cells of {self.path}")
        return cells


def text(value: Any, name: str = "") -> str:
    """How a value is written and compared: 50, "50" and 50.0 alike; labels [50, 50] are 50 and [50, 10] are 50/10."""
    if isinstance(value, list | tuple):
        if name in ("", LABELS) and len(value) == 2 and all(isinstance(v, int) for v in value):
            return text(value[0]) if value[0] == value[1] else "/".join(text(v) for v in value)
        return "+".join(text(v) for v in value)
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, str):
        try:
            return text(float(value))
        except ValueError:
            return value
    return f"{value:.12g}" if isinstance(value, int | float) else json.dumps(value, sort_keys=True, default=str)


def typed(kind: type[Made], values: Mapping[str, Any]) -> Made:
    """A Setup or Objective from values as TOML or JSON hold them: 100 is 100.0 where a float is meant.

    Raises
    ------
    ValueError
        A value is of the wrong kind, or the class itself refuses it.
    """
    made = kind(**{name: _typed(FIELDS[kind][name], value) for name, value in values.items()})
    made.check()
    return made


def _typed(f: Field[Any], value: Any) -> Any:
    # Annotations are text, "str | None": modules import annotations from the future.
    kinds = {kind.strip() for kind in str(f.type).split("|")}
    if "float" in kinds and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    simple = {"int": int, "float": float, "str": str, "bool": bool, "None": type(None)}
    if kinds <= set(simple) and type(value) not in [simple[kind] for kind in kinds]:
        raise ValueError(f"{f.name} = {value!r} has the wrong type; give {' or '.join(sorted(kinds - {'None'}))}")
    if f.name == "schedules" and not (isinstance(value, dict) and all(isinstance(v, dict) for v in value.values())):
        raise ValueError(f"schedules = {value!r} has to be a table of tables, such as epsilon = {{kind = …}}")
    return tuple(value) if isinstance(value, list) and any(k.startswith("tuple") for k in kinds) else value


def _without_defaults(made: Setup | Objective) -> dict[str, Any]:
    defaults = {
        f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in FIELDS[type(made)].values()
    }
    return {name: value for name, value in asdict(made).items() if value != defaults[name]}


def data_folder(setup: Setup, study: Path) -> Path:
    """The folder from which a run reads files: that of the study's file, the one above it, or the working directory.

    The first in which the run's data or its test part is found counts, so that a study runs from anywhere.

    Parameters
    ----------
    setup : Setup
    study : Path
        The TOML file.
    """
    names = [name for name in (setup.data, setup.test_part) if name and not Path(name).is_absolute()]
    here = study.absolute().parent
    for folder in (here, here.parent):
        if any(exists(folder / name) or (is_pattern(name) and any(folder.glob(name))) for name in names):
            return folder
    return Path.cwd()


def check_pattern(pattern: Any, place: str) -> None:
    """Raise a ValueError unless it is a table whose keys a cell has."""
    if not isinstance(pattern, dict):
        raise ValueError(f"{place}: {pattern!r} has to be a table {{key = value}}")
    check_names(pattern, ("method", LABELS, *FIELDS[Setup], *FIELDS[Objective]), place)


def check_names(given: Iterable[str], known: Iterable[str], place: str) -> None:
    """Raise a ValueError that names the first key that is not known, and the one it is close to."""
    known = list(known)
    for name in given:
        if name not in known:
            raise ValueError(f"{place}: there is no key {name!r}{close_to(name, known)}")


def close_to(name: Any, known: Sequence[str]) -> str:
    """End of a message about an unknown name: what may have been meant."""
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; choose one of {', '.join(known)}"
