"""Reading a saved session; `saving.py` says what lies in its folder.

`read_record` reads what a screen shows and builds no potential; `twins_of` builds on it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load as arrays_from_bytes

from piwsl_lab.data import Frame
from piwsl_lab.lab.sessions import packed
from piwsl_lab.lab.sessions.preview import Preview
from piwsl_lab.lab.sessions.saved_folder import SavedError
from piwsl_lab.lab.sessions.twin import Predictions, Twin
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.task import Task, prepare
from piwsl_lab.support.device import pick_device
from piwsl_lab.training.checkpoint import fingerprint, resume
from piwsl_lab.training.checkpoint_file import HEADER
from piwsl_lab.training.errors import Metrics
from piwsl_lab.training.record import Record
from piwsl_lab.training.trainer import Trainer

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
        """Steps that every twin has taken that had not ended; of the longest where all had."""
        counts = [len(twin.records) for twin in self.twins]
        if all(twin.final for twin in self.twins):
            return max(counts)
        return min(count for count in counts if count >= max(counts) - 1)  # they learn in turn: who lags has ended


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


def elsewhere(setup: Setup, given: Mapping[str, str]) -> Setup:
    """A setup with its files, or its device, where they are now; `given` may hold data, test_part and device."""
    return replace(
        setup,
        data=given.get("data", setup.data),
        test_part=given.get("test_part", setup.test_part),
        device=given.get("device", setup.device),
    )


def twins_of(run: SavedRun, given: Mapping[str, str]) -> tuple[Task, list[Twin]]:
    """The data of a saved session and its twins, exactly where they stopped.

    Parameters
    ----------
    given : mapping of str
        Fields of the setup that are others here: data, test_part, device.

    Raises
    ------
    SavedError
        The data cannot be read or hold other frames, a checkpoint is damaged, or the device is not there.
    """
    setup = elsewhere(run.setup, given)
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
    twins = [
        Twin(
            twin.name, elsewhere(twin.setup, given), _trainer(run, twin, task, setup.device), twin.kind, twin.records,
            twin.points, twin.changes, twin.snapshot, twin.history, twin.final, twin.moved,
        )
        for twin in run.twins
    ]  # fmt: skip
    return task, twins


def _trainer(run: SavedRun, twin: SavedTwin, task: Task, device: str) -> Trainer:
    path = twin.path
    _content(path, twin.sha256)
    try:
        pick_device(device)
    except ValueError as error:
        raise SavedError(f"{error}: Session.load({str(run.folder)!r}, device='auto')") from error
    with _damaged(path):
        trainer = resume(path, task.train, task.validation, task.pool, device)
        trainer.objective = twin.objective  # earlier versions kept the knobs apart from what the last step used
    names = ("steps", "batch_size", "learning_rate", "schedule", "weight_decay", "average", "seed")
    # What a setup leaves to its model, a later version may choose otherwise; the checkpoint says what it was.
    known = {name: value for name in names if (value := getattr(twin.setup, name)) is not None}
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
        setup = packed.setup_of(table["setup"])
        pins = [packed.pin_of(row) for row in table["pins"]]
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
            monitor_every=packed.of_type("monitor_every", table["monitor_every"], "int | None"),
            next_monitor=packed.of_type("next_monitor", table["next_monitor"], "int"),
        )


def _twin(entry: dict[str, Any], arrays: packed.Arrays, sizes: list[int], path: Path, sha256: str) -> SavedTwin:
    scores = packed.unpack_metrics(arrays["points.metrics"])
    history, snapshot = packed.unpack_history(packed.under(arrays, "history."), sizes)
    return SavedTwin(
        name=packed.of_type("name", entry["name"], "str"),
        kind=packed.of_type("kind", entry["kind"], "str"),
        setup=packed.setup_of(entry["setup"]),
        objective=packed.objective_of(entry["objective"]),
        records=packed.unpack_records(packed.under(arrays, "records.")),
        points=list(zip(arrays["points.step"].tolist(), scores, strict=True)),
        changes={int(step): packed.objective_of(one) for step, one in entry["changes"].items()},
        snapshot=snapshot,
        history=history,
        final=packed.metrics_of(entry["final"]),
        moved=packed.unpack_trajectory(packed.under(arrays, "trajectory.")),
        path=path,
        sha256=sha256,
        taught=packed.of_type("taught", entry["taught"], "bool"),
    )


def _plain_name(name: Any) -> str:
    """The name of a file in the folder itself."""
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of a file in this folder")
    return name
