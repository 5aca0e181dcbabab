"""The results folder of a study: one JSON file per finished run, whole or not there at all.

A file is written under a temporary name, forced to the disk and then renamed. A kill at any moment
leaves no half of a result. Only the holder of the folder's lock writes; the kernel frees the lock
when its holder dies.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from piwsl_lab.study.cell import FLIGHT, TEST, row_kind
from piwsl_lab.study.grid import Cell
from piwsl_lab.support.files import PARTIAL, write_json
from piwsl_lab.support.shapes import ANYTHING, Number, Text, read_json, require

NAMES = ("kind", "part", "output")  # of a row; all else in it are scores
FAILED = ".failed.json"
LONGEST_NAME = 150  # characters of a file's name before its key
COST = Number(0)
SCORE = Number(null=True)
RUN = {"setup": {str: ANYTHING}, "objective": {str: ANYTHING}, "wall?": COST}
RESULT = {
    "rows": [{"kind?": Text((TEST, FLIGHT)), "part": Text(), "output": Text()}],
    "seconds": COST,
    "core_seconds": COST,
    "steps": Number(0, whole=True),
    "flights?": {str: [{"ps": Number(0), "reason": Text()}]},
}


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
        self.begun = folder / "begun"

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: a second engine would repeat the same runs.

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
        """Delete what a killed engine left half-written; the lock has to be held."""
        for path in (path for folder in (self.runs, self.begun) for path in folder.glob(f".*{PARTIAL}")):
            path.unlink()

    def progress(self, cell: Cell) -> Path:
        """Where a run keeps what it has done until it is finished."""
        return self.begun / f"{cell.key}.safetensors"

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
        stored = _read(path, _check_result)
        asked, made = fields_of(cell), {kind: stored[kind] for kind in ("setup", "objective")}
        for kind, values in asked.items():
            for name in values.keys() & made[kind].keys():
                if values[name] != made[kind][name]:
                    raise ValueError(
                        f"{path} was made with {name} = {made[kind][name]!r}, which is now {values[name]!r} by "
                        f"default: write {name} into the study, or delete the file, and the run is repeated"
                    )
        for row in stored["result"]["rows"]:
            row.setdefault("kind", row_kind(row["part"]))
        return stored

    def write(self, cell: Cell, answer: Mapping[str, Any]) -> Path:
        """Store the answer of a worker, {"result": …} or {"failed": …}, with all that decided it.

        A study keeps numbers and no weights: what the run kept until now is deleted, after a divergence too.
        """
        suffix = FAILED if "failed" in answer else ".json"
        words = f"{cell.method}-{Path(cell.setup.data).name}-{cell.value('labels')}-s{cell.seed}"
        name = re.sub(r"[^A-Za-z0-9._]+", "-", words)[:LONGEST_NAME]
        path = self.runs / f"{name}-{cell.key}{suffix}"
        self.runs.mkdir(parents=True, exist_ok=True)  # somebody may have taken it away
        write_json(path, {"cell": cell.title, **fields_of(cell), **answer})
        self.progress(cell).unlink(missing_ok=True)
        with suppress(OSError):  # others have begun too
            self.begun.rmdir()
        if "failed" not in answer:
            for old in self.runs.glob(f"*-{cell.key}{FAILED}"):
                old.unlink()
        return path


def reason(path: Path) -> str:
    """Why a run failed, from its file; errors as for `Store.load`."""
    failed: str = _read(path, lambda stored: require(stored, {**RUN, "failed": Text()}))["failed"]
    return failed


def _read(path: Path, check: Callable[[Any], None]) -> dict[str, Any]:
    """The content of a run's file, looked at."""
    try:
        stored: dict[str, Any] = read_json(path.read_text(encoding="utf-8"))
        check(stored)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no result of a run ({error}): delete it, and the run is repeated") from None
    return stored


def _check_result(stored: Any) -> None:
    require(stored, {**RUN, "result": RESULT})
    if not stored["result"]["rows"]:
        raise ValueError("result.rows is empty")
    for row in stored["result"]["rows"]:
        require({k: v for k, v in row.items() if k not in NAMES}, {str: SCORE}, "a row of result.rows")


def fields_of(cell: Cell) -> dict[str, Any]:
    """Every field of the run, the size of its model too, as JSON gives it back."""
    plain: dict[str, Any] = json.loads(
        json.dumps({"setup": asdict(cell.setup.filled()), "objective": asdict(cell.objective)})
    )
    return plain
