"""A session in a folder: one readable JSON file, its curves and one checkpoint for every twin, no pickle.

`session.json` names the other files with their SHA-256, and is written last. A kill at any moment therefore leaves the
older session of a folder or the newer one, never a mixture. `read_record` reads what a screen shows and builds no
potential; `Session.load` builds on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as arrays_from_bytes
from safetensors.numpy import save as arrays_to_bytes

from piwsl_lab.data import Frame
from piwsl_lab.lab.sessions import saved_arrays as packed
from piwsl_lab.lab.sessions import saved_tables as tables
from piwsl_lab.lab.sessions.preview import Preview
from piwsl_lab.lab.sessions.saved_folder import MARK, SavedError, replace_files
from piwsl_lab.lab.sessions.twin import Predictions
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import Task, prepare
from piwsl_lab.support.device import pick_device
from piwsl_lab.support.files import without_nan
from piwsl_lab.training.checkpoint import fingerprint, pack, resume
from piwsl_lab.training.checkpoint_file import HEADER
from piwsl_lab.training.errors import Metrics
from piwsl_lab.training.record import Record
from piwsl_lab.training.trainer import Trainer

if TYPE_CHECKING:
    from piwsl_lab.lab.sessions.training import Session

FORMAT = 1
SESSION = "session.json"
CURVES = "curves"
TRIES = 5  # of a reader, while a writer replaces the folder


@dataclass
class SavedTwin:
    """What a saved session knows of a twin, but for its weights; the fields are those of `Twin`.

    Attributes
    ----------
    path : Path
        The checkpoint of the twin; it need not be there to draw the rest.
    sha256 : str
        Of that file.
    taught : bool
        Whether it counts as taught by PIWSL.
    moved : Preview or None
        The short trajectory that was made after training. `trajectory` is always None: nothing moves in a record.
    """

    name: str
    kind: str
    setup: Setup
    objective: Objective
    records: list[Record]
    points: list[tuple[int, Metrics]]
    changes: dict[int, Objective]
    snapshot: Predictions
    history: list[Predictions]
    final: Metrics | None
    moved: Preview | None
    path: Path
    sha256: str
    taught: bool
    trajectory: None = None

    @property
    def metrics(self) -> Metrics | None:
        """The latest score: on all test frames after training, on the monitored ones before."""
        return self.final or (self.points[-1][1] if self.points else None)


@dataclass
class SavedRun:
    """What a saved session shows on the screen, read without building a potential.

    Attributes
    ----------
    test_frames : list of Frame
        The monitored test frames.
    saved_at : str
        Date and time in UTC, ISO 8601.
    heads : dict of str
        The heads that the session was built with by hand.
    fingerprints : dict of str
        SHA-256 of the frames and labels of each part of its data.
    next_monitor : int
        Step of the next score.
    """

    folder: Path
    setup: Setup
    twins: list[SavedTwin]
    test_frames: list[Frame]
    pins: list[dict[str, Any]]
    saved_at: str
    heads: dict[str, str]
    fingerprints: dict[str, str]
    monitor_every: int | None
    next_monitor: int

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.setup.steps

    @property
    def step(self) -> int:
        """Steps that every twin has taken."""
        return min(len(twin.records) for twin in self.twins)


# -- writing -----------------------------------------------------------------------------------------------------------


def write(session: Session, folder: str | Path) -> list[Path]:
    """Write a session into a folder; `Session.save` explains it."""
    with session.lock:  # a copy is taken here, and written while the training goes on
        table, files = _contents(session)
    return replace_files(Path(folder).expanduser(), SESSION, table, files)


def _contents(session: Session) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What `session.json` says, and the content of the other files by their names."""
    twins, files, arrays = [], {}, packed.as_prefixed("frames.", packed.pack_frames(session.test_frames))
    for k, twin in enumerate(session.twins):
        twin.settle()
        steps, scores = zip(*twin.points, strict=True)
        arrays |= packed.as_prefixed(f"{k}.records.", packed.pack_records(twin.records))
        arrays |= packed.as_prefixed(f"{k}.history.", packed.pack_history(twin.history, twin.snapshot))
        arrays |= packed.as_prefixed(f"{k}.trajectory.", packed.pack_trajectory(twin.trajectory))
        arrays[f"{k}.points.step"] = np.array(steps, dtype=np.int64)
        arrays[f"{k}.points.metrics"] = packed.metrics_table(scores)
        twins.append(
            {
                "name": twin.name,
                "kind": twin.kind,
                "taught": session.taught[twin.name],
                "setup": tables.setup_table(twin.setup),
                "objective": tables.objective_table(twin.name, twin.objective),
                "changes": {str(step): tables.objective_table(twin.name, one) for step, one in twin.changes.items()},
                "final": asdict(twin.final) if twin.final else None,
            }
        )
        files[f"twin {twin.name}"] = pack(twin.potential, twin.trainer, {MARK: "1"}, moments=not twin.trainer.finished)
    table = {
        HEADER: "session",
        "format": FORMAT,
        "saved_at": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "step": session.step,
        "setup": tables.setup_table(session.setup),
        "heads": session.heads,
        "monitor_every": session.monitor_every,
        "next_monitor": session.next_monitor,
        "fingerprints": {name: fingerprint(part) for name, part in session.task._asdict().items()},
        "twins": twins,
        "pins": [tables.pin_table(row) for row in session.pins],
    }
    return without_nan(table), {CURVES: arrays_to_bytes(arrays, metadata={MARK: "1"}), **files}


# -- reading -----------------------------------------------------------------------------------------------------------


def read_record(folder: str | Path) -> SavedRun:
    """Everything of a saved session but its weights.

    Raises
    ------
    SavedError
        There is no saved session, it is damaged, or a newer piwsl-lab wrote it; the message names the file.
    """
    folder = Path(folder).expanduser()
    for _ in range(TRIES):
        text = _text(folder)
        try:
            return _parsed(folder, text)
        except SavedError:
            if _text(folder) == text:  # else another session was saved there meanwhile
                raise
    raise SavedError(f"{folder}: is written to again and again; read it when that has ended")


def trainers(run: SavedRun, given: dict[str, str]) -> tuple[Task, dict[str, Trainer]]:
    """The data of a saved session and its trainers by the names of the twins, exactly where they stopped.

    Parameters
    ----------
    given : dict of str
        Fields of the setup that are others here: data, test_part, device.

    Raises
    ------
    SavedError
        The data cannot be read or hold other frames, a checkpoint is damaged, or the device is not there.
    """
    setup = replace(run.setup, **given)
    try:
        task = prepare(setup)
    except (ValueError, TypeError, OSError) as error:
        raise SavedError(
            f"{run.folder}: the data of this session cannot be had: {error}. If the file has moved, say where it is: "
            f"Session.load({str(run.folder)!r}, data='…')"
        ) from error
    found = {name: fingerprint(part) for name, part in task._asdict().items()}
    if others := [name for name in found if found[name] != run.fingerprints.get(name)]:
        raise SavedError(
            f"{run.folder}: {setup.data} holds other frames or labels ({', '.join(others)}) than when the session was "
            f"saved; give the data as they were: Session.load({str(run.folder)!r}, data='…')"
        )
    return task, {twin.name: _trainer(run, twin, task, setup.device) for twin in run.twins}


def _trainer(run: SavedRun, twin: SavedTwin, task: Task, device: str) -> Trainer:
    path = twin.path
    _content(path, twin.sha256)
    try:
        pick_device(device)
    except ValueError as error:
        raise SavedError(f"{error}: Session.load({str(run.folder)!r}, device='auto')") from error
    with _damaged(path):
        trainer = resume(path, task.train, task.validation, task.pool, device)
    known = {name: getattr(twin.setup, name) for name in ("steps", "batch_size", "learning_rate", "seed")}
    if trainer.done != len(twin.records) or any(trainer.settings[name] != value for name, value in known.items()):
        raise SavedError(f"{path}: belongs to another training than {SESSION} says; save the session again")
    return trainer


def _text(folder: Path) -> str:
    path = folder / SESSION
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SavedError(f"{path}: there is no such file; give the folder that `session.save` wrote") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SavedError(f"{path}: cannot be read ({error}); save the session again") from error


def _content(path: Path, sha256: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SavedError(f"{path}: cannot be read ({error.strerror}); copy the whole folder, or save again") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise SavedError(f"{path}: is damaged, its content is not what was saved; copy it again, or save again")
    return content


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Whatever a file that is not as `write` wrote it leads to becomes one error with the path."""
    try:
        yield
    except SavedError:
        raise
    except (
        KeyError, IndexError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError, SafetensorError,
        MemoryError,
    ) as error:  # fmt: skip
        raise SavedError(f"{path}: is damaged ({type(error).__name__}: {error}); save the session again") from error


def _parsed(folder: Path, text: str) -> SavedRun:
    path = folder / SESSION
    with _damaged(path):
        table = json.loads(text)
        if table.get(HEADER) != "session":
            raise SavedError(f"{path}: is no saved session of piwsl-lab; give the folder that `session.save` wrote")
        if table["format"] > FORMAT:
            raise SavedError(f"{path}: was saved by a newer piwsl-lab (format {table['format']}); upgrade piwsl-lab")
        files = {name: (folder / _plain_name(entry["file"]), entry["sha256"]) for name, entry in table["files"].items()}
        setup = tables.setup_of(table["setup"])
        pins = [tables.pin_of(row) for row in table["pins"]]
    curves, sha256 = files[CURVES]
    content = _content(curves, sha256)
    with _damaged(curves):
        arrays = arrays_from_bytes(content)
        frames = packed.unpack_frames(packed.under(arrays, "frames."))
    with _damaged(path):
        sizes = [len(frame) for frame in frames]
        twins = []
        for k, entry in enumerate(table["twins"]):
            twins.append(_twin(entry, packed.under(arrays, f"{k}."), sizes, *files[f"twin {entry['name']}"]))
        if not twins:
            raise ValueError("it holds no twin")
        return SavedRun(
            folder=folder,
            setup=setup,
            twins=twins,
            test_frames=frames,
            pins=pins,
            saved_at=str(table["saved_at"]),
            heads={str(name): str(head) for name, head in table["heads"].items()},
            fingerprints={str(name): str(one) for name, one in table["fingerprints"].items()},
            monitor_every=tables.of_type("monitor_every", table["monitor_every"], "int | None"),
            next_monitor=tables.of_type("next_monitor", table["next_monitor"], "int"),
        )


def _twin(entry: dict[str, Any], arrays: packed.Arrays, sizes: list[int], path: Path, sha256: str) -> SavedTwin:
    scores = packed.metrics_of(arrays["points.metrics"])
    history, snapshot = packed.unpack_history(packed.under(arrays, "history."), sizes)
    return SavedTwin(
        name=tables.of_type("name", entry["name"], "str"),
        kind=tables.of_type("kind", entry["kind"], "str"),
        setup=tables.setup_of(entry["setup"]),
        objective=tables.objective_of(entry["objective"]),
        records=packed.unpack_records(packed.under(arrays, "records.")),
        points=list(zip(arrays["points.step"].tolist(), scores, strict=True)),
        changes={int(step): tables.objective_of(one) for step, one in entry["changes"].items()},
        snapshot=snapshot,
        history=history,
        final=tables.metrics_of(entry["final"]),
        moved=packed.unpack_trajectory(packed.under(arrays, "trajectory.")),
        path=path,
        sha256=sha256,
        taught=tables.of_type("taught", entry["taught"], "bool"),
    )


def _plain_name(name: Any) -> str:
    """The name of a file in the folder itself."""
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of a file in this folder")
    return name
