"""The results folder of a study: one JSON file a finished run, whole or not there at all.

A file is written under a temporary name, forced to the disk and then renamed, so that a kill at any moment leaves no
half of a result. Only the holder of the folder's lock writes; the kernel frees the lock when its holder dies.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from piwsl_lab.grid import Cell

PARTIAL = ".tmp"
FAILED = ".failed.json"


class Store:
    """Results of a study in a folder.

    Parameters
    ----------
    folder : Path
        Made when the first result is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runs = folder / "runs"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: a second runner would repeat the same runs.

        Raises
        ------
        ValueError
            Another process holds it.
        """
        import fcntl  # not on Windows, where reports can still be made

        self.runs.mkdir(parents=True, exist_ok=True)
        with open(self.folder / ".lock", "a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise ValueError(
                    f"{self.folder} is in use by another `piwsl-lab study` (process {holder}): wait for it or stop it, "
                    "or give this one another folder with --out"
                ) from None
            file.truncate(0)
            file.write(f"{os.getpid()}\n")
            file.flush()
            yield

    def clean(self) -> None:
        """Delete what a killed runner left half-written; the lock has to be held."""
        for path in self.runs.glob(f"*{PARTIAL}"):
            path.unlink()

    def finished(self) -> dict[str, Path]:
        """Files of the finished runs by key, whether or not the study still asks for them."""
        return {p.stem.rpartition("-")[2]: p for p in self.runs.glob("*.json") if not p.name.endswith(FAILED)}

    def failed(self) -> dict[str, Path]:
        """Files of the failed runs by key; a run that succeeded since is not among them."""
        finished = self.finished()
        keys = {p.name.removesuffix(FAILED).rpartition("-")[2]: p for p in self.runs.glob(f"*{FAILED}")}
        return {key: path for key, path in keys.items() if key not in finished}

    def load(self, cell: Cell, path: Path) -> dict[str, Any]:
        """What was stored for a cell.

        Raises
        ------
        ValueError
            The file cannot be read, or was made when the defaults of the library were others.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            asked, made = fields_of(cell), {kind: stored[kind] for kind in ("setup", "objective")}
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{path} is no result of a run ({error!r}): delete it, and the run is repeated") from None
        for kind, values in asked.items():
            for name in values.keys() & made[kind].keys():
                if values[name] != made[kind][name]:
                    raise ValueError(
                        f"{path} was made with {name} = {made[kind][name]!r}, which is now {values[name]!r} by "
                        f"default: write {name} into the study, or delete the file, and the run is repeated"
                    )
        return stored

    def write(self, cell: Cell, answer: Mapping[str, Any]) -> Path:
        """Store the answer of a worker, {"result": …} or {"failed": …}, with all that decided it."""
        suffix = FAILED if "failed" in answer else ".json"
        words = f"{cell.method}-{Path(cell.setup.data).name}-{cell.value('labels')}-s{cell.seed}"
        path = self.runs / f"{re.sub(r'[^A-Za-z0-9._]+', '-', words)}-{cell.key}{suffix}"
        content = {"cell": cell.title, **fields_of(cell), **answer}
        write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")
        if "failed" not in answer:
            for old in self.runs.glob(f"*-{cell.key}{FAILED}"):
                old.unlink()
        return path


def fields_of(cell: Cell) -> dict[str, Any]:
    """Every field of the run, as JSON gives it back."""
    return json.loads(json.dumps({"setup": asdict(cell.setup), "objective": asdict(cell.objective)}))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a kill or a power cut."""
    partial = path.with_name(f"{path.name}{PARTIAL}")
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)
