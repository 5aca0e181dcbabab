"""Every damaged file by its name: "npz-headers-0007" is made of the same bytes whenever it is asked for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

from fuzz import containers, frames_in_text, own_files
from fuzz.raw import BYTES, TEXT, Damage
from fuzz.values import as_toml

Files = dict[str, bytes]


@dataclass(frozen=True)
class Kind:
    """One way to damage one format: which door opens the file, and its name."""

    format: str
    damage: str
    door: str
    file: str
    make: Callable[[Random], bytes | Files]
    beside: Callable[[], Iterable[tuple[str, bytes]]] = tuple


@dataclass(frozen=True)
class Mutant:
    """A damaged file: one kind, one seed."""

    kind: Kind
    seed: int

    @property
    def name(self) -> str:
        return f"{self.kind.format}-{self.kind.damage}-{self.seed:04d}"

    def write(self, folder: Path) -> Path:
        """Write it, and what belongs beside it, into a folder; the path of the file to open."""
        made = self.kind.make(Random(self.name))
        files = dict(self.kind.beside()) | (made if isinstance(made, dict) else {self.kind.file: made})
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder / self.kind.file


def _raw(whole: Callable[[Random], bytes], ways: dict[str, Damage]) -> dict[str, Callable[[Random], bytes]]:
    return {name: lambda random, way=way: way(whole(random), random) for name, way in ways.items()}


def _molecules(random: Random) -> bytes:
    return frames_in_text.extxyz(frames_in_text.images(random.random() < 0.5))


def _one_xsf(random: Random) -> bytes:
    return frames_in_text.xsf(frames_in_text.images(random.random() < 0.7)[0]).encode()


@lru_cache
def kinds() -> tuple[Kind, ...]:
    """All formats and ways."""
    made: list[Kind] = []

    def add(format: str, door: str, file: str, ways: dict, beside: Callable = tuple) -> None:
        made.extend(Kind(format, name, door, file, make, beside) for name, make in ways.items())

    text, box = frames_in_text, containers
    built = {"geometry": text.geometry, "labels": text.labels, "fields": text.fields, "large": text.large}
    add("extxyz", "data", "frames.xyz", {**_raw(_molecules, TEXT), **built})
    add("npz", "data", "frames.npz", {**_raw(lambda _: box.npz(box.arrays()), BYTES), "arrays": box.npz_arrays, "headers": box.npz_headers})
    add("xsf", "data", "frame.xsf", {**_raw(_one_xsf, TEXT), "parts": text.as_xsf(text.xsf_parts)})
    add("tar", "data", "frames.tar.gz", {**_raw(lambda _: box.tar_gz(), BYTES), "members": box.tar_gz})
    add("traj", "data", "frames.traj", {**_raw(lambda _: box.through_ase("traj")(), BYTES), "atoms": box.through_ase("traj")})
    add("asejson", "data", "frames.json", {**_raw(lambda _: box.through_ase("json")(), TEXT), "atoms": box.through_ase("json"), "tree": box.ase_json})
    add("asedb", "data", "frames.db", {**_raw(lambda _: box.through_ase("db")(), BYTES), "atoms": box.through_ase("db"), "columns": box.ase_db})
    for suffix in box.PACK:
        add(suffix, "data", f"frames.xyz.{suffix}", {"packed": box.packed(suffix)})
    _own(add)
    return tuple(made)


def _own(add: Callable[..., None]) -> None:
    own = own_files
    built = {"heads": own.tensor_heads, "header": own.header, "weights": own.weights}
    add("safetensors", "checkpoint", "potential.safetensors", {**_raw(lambda _: own.checkpoint(), BYTES), **built})
    whole = _raw(lambda r: r.choice((own.STUDY.encode(), as_toml(own.tomllib.loads(own.STUDY)))), TEXT)
    add("toml", "study", "small.toml", {**whole, "tree": own.study})
    for file in dict.fromkeys(own.run_file(Random(k)) for k in range(40)):
        short = "failed" if "failed" in file else file.rsplit("-", 2)[1]
        ways = {"tree": lambda r, f=file: own.run(r, f), **_raw(lambda _, f=file: dict(own.results())[f], TEXT)}
        add(f"run_{short}", "run", file, ways, own.results)
    for file in ("summary", "duels", "results", "flights"):
        path = f"small/{file}.csv"
        ways = {"table": lambda r, p=path: own.table(r, p), **_raw(lambda _, p=path: dict(own.results())[p], TEXT)}
        add(f"csv_{file}", "table", path, ways, own.results)
    session = {"index": own.session_index, "arrays": own.session_arrays}
    for name, way in TEXT.items():
        session[name] = lambda r, w=way: dict(own.session()) | {"session.json": w(dict(own.session())["session.json"], r)}
    add("session", "session", "session.json", session)


def all_mutants(seeds: int) -> list[Mutant]:
    """`seeds` of every kind."""
    return [Mutant(kind, seed) for seed in range(seeds) for kind in kinds()]


def named(name: str) -> Mutant:
    """The mutant of a name."""
    format, damage, seed = name.rsplit("-", 2)
    kind = next(kind for kind in kinds() if (kind.format, kind.damage) == (format, damage))
    return Mutant(copy.copy(kind), int(seed))
