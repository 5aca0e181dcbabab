"""Writing a session into a folder: one readable JSON file, its curves and one checkpoint for every twin, no pickle.

`session.json` names the other files with their SHA-256, and is written last. A kill at any moment therefore leaves the
older session of a folder or the newer one, never a mixture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from safetensors.numpy import save as arrays_to_bytes

from piwsl_lab.data import Frame
from piwsl_lab.lab.sessions import packed
from piwsl_lab.lab.sessions.saved import CURVES, FORMAT, SESSION
from piwsl_lab.lab.sessions.saved_folder import MARK, replace_files
from piwsl_lab.lab.sessions.twin import Twin
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import Task
from piwsl_lab.support.fairlock import FairLock
from piwsl_lab.support.files import without_nan
from piwsl_lab.training.checkpoint import fingerprint, pack
from piwsl_lab.training.checkpoint_file import HEADER


class Saveable(Protocol):
    """What is saved of a session: the attributes of `Session`."""

    lock: FairLock
    setup: Setup
    task: Task
    twins: list[Twin]
    taught: dict[str, bool]
    heads: dict[str, str]
    pins: list[dict[str, Any]]
    monitor_every: int | None
    next_monitor: int

    @property
    def test_frames(self) -> Sequence[Frame]: ...

    @property
    def step(self) -> int: ...


def write(session: Saveable, folder: str | Path) -> list[Path]:
    """Write a session into a folder; `Session.save` explains it."""
    with session.lock:  # a copy is taken here, and written while the training goes on
        table, files = _contents(session)
    return replace_files(Path(folder).expanduser(), SESSION, table, files)


def _contents(session: Saveable) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What `session.json` says, and the content of the other files by their names."""
    twins, files, arrays = [], {}, packed.as_prefixed("frames.", packed.pack_frames(session.test_frames))
    for k, twin in enumerate(session.twins):
        twin.settle()
        steps, scores = zip(*twin.points, strict=True)
        arrays |= packed.as_prefixed(f"{k}.records.", packed.pack_records(twin.records))
        arrays |= packed.as_prefixed(
            f"{k}.history.", packed.pack_history(twin.history, twin.snapshot or twin.history[-1])
        )
        arrays |= packed.as_prefixed(f"{k}.trajectory.", packed.pack_trajectory(twin.trajectory))
        arrays[f"{k}.points.step"] = np.array(steps, dtype=np.int64)
        arrays[f"{k}.points.metrics"] = packed.pack_metrics(scores)
        twins.append(
            {
                "name": twin.name,
                "kind": twin.kind,
                "taught": session.taught[twin.name],
                "setup": packed.setup_table(twin.setup),
                "objective": packed.objective_table(twin.name, twin.objective),
                "changes": {str(step): packed.objective_table(twin.name, one) for step, one in twin.changes.items()},
                "final": asdict(twin.final) if twin.final else None,
            }
        )
        files[f"twin {twin.name}"] = pack(twin.potential, twin.trainer, {MARK: "1"}, moments=not twin.trainer.finished)
    table = {
        HEADER: "session",
        "format": FORMAT,
        "saved_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "step": session.step,
        "setup": packed.setup_table(session.setup),
        "heads": session.heads,
        "monitor_every": session.monitor_every,
        "next_monitor": session.next_monitor,
        "fingerprints": {name: fingerprint(part) for name, part in session.task._asdict().items()},
        "twins": twins,
        "pins": [packed.pin_table(row) for row in session.pins],
    }
    return without_nan(table), {CURVES: arrays_to_bytes(arrays, metadata={MARK: "1"}), **files}
