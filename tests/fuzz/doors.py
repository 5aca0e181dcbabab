"""What a person does with a file, by the kind of file: every door is a list of steps."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from frames import labelled

import piwsl_lab as lab
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.cli import main as cli
from piwsl_lab.lab.figures import page as evidence
from piwsl_lab.lab.panels.study import StudyFilter
from piwsl_lab.lab.sessions.saved import read_record
from piwsl_lab.lab.sessions.training import Session
from piwsl_lab.models import build
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.engine import progress_of
from piwsl_lab.study.report import write_report
from piwsl_lab.study.setup import Setup
from piwsl_lab.study.store import Store
from piwsl_lab.study.task import build_trainer, prepare
from piwsl_lab.study.toml_file import read
from piwsl_lab.training.checkpoint import load_potential, resume
from piwsl_lab.training.record import TrainingDiverged
from piwsl_lab.training.trainer import Trainer

CUTOFF = 5.5  # Å
Step = Callable[[], object]


def data(path: Path) -> list[Step]:
    """Load, look through, split, budget, find neighbours, train for a step; then again as a start structure."""

    def labelled_frames() -> None:
        frames = lab.load(str(path))
        _use(frames)
        str(frames.check())
        frames.reference_energies()
        half = len(frames) // 2
        frames.split(train=half, val=len(frames) - half)

    def task() -> None:
        small = {"channels": 8, "layers": 1, "steps": 2, "batch_size": 2, "device": "cpu"}
        setup = Setup(data=str(path), energies=3, forces=3, validation=2, test=2, **small)
        found = prepare(setup)
        GraphSet.build(found.train, CUTOFF, found.train.reference_energies())
        trainer = build_trainer(setup, found, Objective())
        with contextlib.suppress(TrainingDiverged):  # says what to do with the training, not with the file
            trainer.step()
        lab.evaluate(trainer.potential, found.test)

    def start() -> None:
        _use(lab.load(str(path), labels=False))

    def twice() -> None:
        if path.stat().st_size < 100_000:
            _use(lab.load([str(path), str(path)]))

    return [labelled_frames, task, start, twice]


def warm_up() -> None:
    """Let torch import what it imports late, before the memory is counted."""
    trainer = Trainer(build("painn", channels=8, layers=1), labelled("H2O", 2), Objective(), steps=1, device="cpu")
    trainer.step()


def _use(frames: lab.Dataset) -> None:
    repr(frames)
    [repr(frame) for frame in frames]
    frames.to_atoms()
    GraphSet.build(frames, CUTOFF)


def checkpoint(path: Path) -> list[Step]:
    """Read a potential and evaluate it, resume its training for a step, fly with it."""
    frames = labelled("CH3CH2OH", 8)

    def evaluate() -> None:
        potential = load_potential(path)
        lab.evaluate(potential, frames[:2])

    def go_on() -> None:
        trainer = resume(path, frames[:5], frames[5:], device="cpu")
        with contextlib.suppress(TrainingDiverged):
            if not trainer.finished:
                trainer.step()

    def fly() -> None:
        _shell("fly", path, "--replicas", 1, "--ps", 0.005, "--device", "cpu")

    return [evaluate, go_on, fly]


def study(path: Path) -> list[Step]:
    """Read a study, list it, choose from it, report on it and store a result."""

    def report() -> None:
        made = read(path)
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            progress = progress_of(made.cells, store)
            [f"{cell.title}{progress.state[cell.key]}" for cell in made.cells]
            made.select(["seed=0,1,2"])
            write_report(made, store)
            store.runs.mkdir()
            store.write(made.cells[0], {"failed": "x", "wall": 1.0})
            write_report(made, store)

    return [report]


def run(path: Path) -> list[Step]:
    """List the study whose run it is, and report on it."""
    file = path.parents[2] / "small.toml"

    def report() -> None:
        made = read(file)
        progress_of(made.cells, Store(made.folder))
        write_report(made, Store(made.folder))

    def load() -> None:
        made = read(file)
        store = Store(made.folder)
        finished = store.finished()
        [store.load(cell, finished[cell.key]) for cell in made.cells if cell.key in finished]

    return [report, load]


def table(path: Path) -> list[Step]:
    """Read a table and draw all that is drawn of it."""

    def draw() -> None:
        rows = evidence.read_table(path)
        if path.name == "flights.csv":
            evidence.survival(rows).to_json()
        elif path.name == "results.csv":
            _of_rows(path, lambda: evidence.seed_factor(rows, "energy_mae"))
        else:
            scores = [row for row in rows if not row["part"].startswith("flight at ")]
            [figure.to_json() for figure in evidence.figures(scores)]
            evidence.side_by_side(scores, ["energy_mae", "force_mae"]).to_json()
            evidence.tally([row for row in scores if row["quantity"] == "energy_mae" and row["against"]])
            StudyFilter({"small": scores}, live=False)

    def say() -> None:
        evidence.duels(path.parent, "piwsl", "supervised", "energy_mae", "direct")

    return [draw, say]


def _of_rows(path: Path, ask: Callable[[], object]) -> None:
    """Ask rows a question; rows do not know their file, so an answer that they are too few need not name it."""
    try:
        ask()
    except ValueError as error:
        if "needs more runs" not in str(error):
            raise
        raise ValueError(f"{path}: {error}") from error


def session(path: Path) -> list[Step]:
    """Read a saved session as a picture and as a training."""
    return [lambda: repr(read_record(path.parent)), lambda: repr(Session.load(path.parent))]


def answers(path: Path) -> list[Step]:
    """Collect what a class has answered."""
    return [lambda: _shell("course", "collect", path.parent, "--out", path.with_suffix(".csv"))]


def _shell(*words: object) -> None:
    """Run a command; what it says on failing has to name the file, as an error would."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = cli.main([str(word) for word in words])
    if code:
        raise ValueError(said.getvalue())


DOORS: dict[str, Callable[[Path], list[Step]]] = {
    "data": data,
    "checkpoint": checkpoint,
    "study": study,
    "run": run,
    "table": table,
    "session": session,
    "answers": answers,
}
