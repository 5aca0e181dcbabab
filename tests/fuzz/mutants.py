"""Every damaged file by its name: "npz-headers-0007" is made of the same bytes whenever it is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

from fuzz import archives, frames_in_text, in_hdf5, own_files, through_ase
from fuzz.raw import BYTES, TEXT, Damage
from fuzz.values import as_toml

Files = dict[str, bytes]
WRONG = ("unnamed", "traceback", "memory", "died", "hang")


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

    def wrong(self, answer: dict[str, Any]) -> str:
        """What is wrong with what became of it, or nothing. What no file can mean must not pass without a word."""
        if answer["outcome"] in WRONG:
            return answer["outcome"]
        return "silent" if self.kind.damage == "absurd" and not answer["spoke"] else ""

    def files(self) -> Files:
        """Its bytes, and what belongs beside it."""
        made = self.kind.make(Random(self.name))
        return dict(self.kind.beside()) | (made if isinstance(made, dict) else {self.kind.file: made})

    def write(self, folder: Path) -> Path:
        """Write it, and what belongs beside it, into a folder; the path of the file to open."""
        for name, content in self.files().items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return folder / self.kind.file


def _raw(whole: Callable[[Random], bytes], ways: dict[str, Damage]) -> dict[str, Callable[[Random], bytes]]:
    return {name: lambda random, way=way: way(whole(random), random) for name, way in ways.items()}


def _molecules(random: Random) -> bytes:
    return frames_in_text.extxyz(frames_in_text.images(random.random() < 0.5))


def _one_xsf(random: Random) -> bytes:
    return frames_in_text.xsf(frames_in_text.images(random.random() < 0.7)[0]).encode()


def _one_absurd(random: Random) -> list:
    made = frames_in_text.images(random.random() < 0.7)[:1]
    before = frames_in_text.xsf(made[0])
    while frames_in_text.xsf(made[0]) == before:  # a second energy has no place in this format
        frames_in_text.nonsense(random, made)
    return made


@lru_cache
def kinds() -> tuple[Kind, ...]:
    """All formats and ways."""
    made: list[Kind] = []

    def add(format: str, door: str, file: str, ways: dict, beside: Callable = tuple) -> None:
        made.extend(Kind(format, name, door, file, make, beside) for name, make in ways.items())

    text, box = frames_in_text, archives
    built = {"geometry": text.geometry, "labels": text.labels, "fields": text.fields, "large": text.large}
    add("extxyz", "data", "frames.xyz", _raw(_molecules, TEXT) | built | {"absurd": text.absurd})
    built = {"arrays": box.npz_arrays, "headers": box.npz_headers, "absurd": box.npz_absurd}
    add("npz", "data", "frames.npz", _raw(lambda _: box.npz(box.arrays()), BYTES) | built)
    built = {"parts": text.as_xsf(text.xsf_parts), "absurd": text.as_xsf(_one_absurd)}
    add("xsf", "data", "frame.xsf", _raw(_one_xsf, TEXT) | built)
    add("tar", "data", "frames.tar.gz", _raw(lambda _: box.tar_gz(), BYTES) | {"members": box.tar_gz})
    for suffix in box.PACK:
        add(suffix, "data", f"frames.xyz.{suffix}", {"packed": box.packed(suffix)})
    more = {"json": {"tree": through_ase.ase_json}, "db": {"columns": through_ase.ase_db}, "traj": {}}
    for suffix, ways in (("traj", BYTES), ("json", TEXT), ("db", BYTES)):
        whole, absurd = through_ase.written(suffix), through_ase.written(suffix, through_ase.nonsense)
        built = _raw(lambda _, whole=whole: whole(), ways) | {"atoms": whole, "absurd": absurd} | more[suffix]
        add(f"ase{suffix}", "data", f"frames.{suffix}", built)
    if find_spec("h5py") is not None:
        built = _raw(lambda _: in_hdf5.whole(), BYTES) | {"tree": in_hdf5.tree, "absurd": in_hdf5.absurd}
        add("hdf5", "data", "frames.h5", built)
    _own(add)
    return tuple(made)


def _own(add: Callable[..., None]) -> None:
    own = own_files
    built = {"heads": own.tensor_heads, "header": own.header, "weights": own.weights, "absurd": own.absurd_weights}
    add("safetensors", "checkpoint", "potential.safetensors", _raw(lambda _: own.checkpoint(), BYTES) | built)
    whole = _raw(lambda r: r.choice((own.STUDY.encode(), as_toml(own.tomllib.loads(own.STUDY)))), TEXT)
    add("toml", "study", "small.toml", {**whole, "tree": own.study})
    for name, end in (("run", ".json"), ("failed", ".failed.json")):
        file = own.run_file(end)
        ways = _raw(lambda _, file=file: dict(own.results())[file], TEXT)
        add(name, "run", file, ways | {"tree": lambda r, file=file: own.run(r, file)}, own.results)
    for name in ("summary", "duels", "results", "flights"):
        file = f"small/{name}.csv"
        ways = _raw(lambda _, file=file: dict(own.results())[file], TEXT)
        add(name, "table", file, ways | {"table": lambda r, file=file: own.table(r, file)}, own.results)
    add("answers", "answers", "piwsl-progress.json", {"tree": own.answers})
    session = {name: lambda r, way=way: _with_index(way, r) for name, way in TEXT.items()}
    session |= {"index": own.session_index, "arrays": own.session_arrays}
    add("session", "session", "session.json", session)


def _with_index(way: Damage, random: Random) -> Files:
    files = dict(own_files.session())
    return files | {"session.json": way(files["session.json"], random)}


def all_mutants(end: int, start: int = 0) -> list[Mutant]:
    """Those of every kind with the seeds from `start` on, before `end`."""
    return [Mutant(kind, seed) for seed in range(start, end) for kind in kinds()]


def named(name: str) -> Mutant:
    """The mutant of a name."""
    format, damage, seed = name.rsplit("-", 2)
    kind = next(kind for kind in kinds() if (kind.format, kind.damage) == (format, damage))
    return Mutant(kind, int(seed))


def digests() -> dict[str, str]:
    """A hash of the first mutant of every kind."""
    return {one.name: hashlib.sha256(repr(sorted(one.files().items())).encode()).hexdigest() for one in all_mutants(1)}


if __name__ == "__main__":  # in another process, at another time
    print(json.dumps(digests()))
