"""``piwsl-lab train`` and ``piwsl-lab compare``: one potential, or twins with and without PIWSL.

Both keep what they have done at every validation and when they are interrupted, and ``--resume`` goes on with it.
"""

from __future__ import annotations

import argparse
import re
import shlex
import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piwsl_lab.support.files import describe_error, write_json
from piwsl_lab.support.outputs import check_outputs
from piwsl_lab.support.signals import BAD_INPUT, FAILED, INTERRUPTED
from piwsl_lab.support.streams import say

if TYPE_CHECKING:
    from piwsl_lab.piwsl.objective import Objective
    from piwsl_lab.study.setup import Setup
    from piwsl_lab.study.task import Task
    from piwsl_lab.training.kept_run import KeptRun
    from piwsl_lab.training.record import Record, TrainingDiverged

# Spelt out here, so that --help needs no torch; a test holds them against the library.
PISC_FORMS = ("same_point", "extrapolations", "reverse", "all", "two_point")
DIRECTIONS = ("uniform", "fixed_length", "local", "covariance", "adversarial")
RIVALS = ("supervised", "noisy", "denoise", "weak", "curl", "ensemble")

# Row of the table, key in the JSON, factor from the eV and seconds of the library to the unit shown.
ROWS = (
    ("energy MAE, meV", "energy_mae", 1000.0),
    ("energy RMSE, meV", "energy_rmse", 1000.0),
    ("force MAE, meV/Å", "force_mae", 1000.0),
    ("force RMSE, meV/Å", "force_rmse", 1000.0),
    ("training, s", "seconds", 1.0),
)
TRAINING = "training"  # what `train` calls its only part


def add(commands: Any) -> None:
    """Add the commands ``train`` and ``compare`` to the subparsers of a command line."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    train = commands.add_parser("train", help="train one potential", formatter_class=formatter)
    _add_training_flags(train)
    train.add_argument("--seed", type=int, default=0, help="of the split, the weights and the batches")
    train.add_argument("--save", type=Path, metavar="FILE.safetensors", help="write the potential here")
    train.set_defaults(run=main_train)

    compare = commands.add_parser(
        "compare", help="train with and without PIWSL on the same frames", formatter_class=formatter
    )
    _add_training_flags(compare)
    compare.add_argument("--seeds", type=int, default=3, help="repeat with this many seeds")
    compare.add_argument(
        "--rival", choices=RIVALS, default="supervised",
        help="what PIWSL is held against; with --head dual its head is conservative",
    )  # fmt: skip
    compare.add_argument(
        "--equal-time", action="store_true", help="train the rival for as long as the PIWSL twin took, by the clock"
    )
    compare.set_defaults(run=main_compare)


def _add_training_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", default="ethanol", metavar="NAME|FILE", help="see `piwsl-lab datasets`")
    parser.add_argument("--energies", type=int, default=50, help="energy labels to train on")
    parser.add_argument("--forces", type=int, default=50, help="frames with force labels to train on")
    parser.add_argument("--model", choices=("painn", "schnet", "tensornet"), default="painn", help="architecture")
    parser.add_argument(
        "--head", choices=("direct", "conservative", "dual"), default="direct",
        help="where forces come from: a head of their own, the gradient of the energy, or both tied together",
    )  # fmt: skip
    parser.add_argument(
        "--pitc", type=float, metavar="W", help="weight of the Taylor consistency (default: 100, with --head dual 0)"
    )
    parser.add_argument("--pisc", type=float, default=0.0, metavar="W", help="weight of the spatial consistency")
    parser.add_argument("--pisc-form", choices=PISC_FORMS, default="same_point", help="which paths PISC compares")
    parser.add_argument(
        "--gradient-consistency", type=float, metavar="W", dest="gradient",
        help="weight of direct forces = −gradient at displaced places (default: 0, with --head dual 50)",
    )  # fmt: skip
    parser.add_argument("--epsilon", type=float, default=0.05, help="size of the displacements, Å")
    parser.add_argument("--order", type=_order, default=2, metavar="1|2|symmetric", help="order of the Taylor step")
    parser.add_argument("--direction", choices=DIRECTIONS, default="uniform", help="how displacements are drawn")
    parser.add_argument(
        "--relative", action="store_true", help="epsilon is a fraction of every atom's shortest bond instead of Å"
    )
    parser.add_argument(
        "--centres", choices=("labelled", "pool"), default="labelled",
        help="ask the model about itself at the labelled frames, or at those that got no label",
    )  # fmt: skip
    parser.add_argument(
        "--teachers", type=int, default=0, metavar="N",
        help="potentials trained on the labels first, whose mean forces stand in for missing force labels",
    )  # fmt: skip
    parser.add_argument("--steps", type=int, default=3000, help="training steps")
    parser.add_argument("--batch-size", type=int, default=8, help="frames in a step")
    parser.add_argument("--device", type=_device, default="auto", help="auto, cpu or cuda")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result here, in eV and eV/Å")
    parser.add_argument(
        "--resume", action="store_true", help="go on with this command where it was interrupted or killed"
    )


def _order(text: str) -> int | str:
    if text not in ("1", "2", "symmetric"):
        raise argparse.ArgumentTypeError(f"{text!r} is none of 1, 2, symmetric")
    return text if text == "symmetric" else int(text)


def _device(text: str) -> str:
    """Checked here, because torch's own message lists devices that nothing in this package was tried on."""
    if text not in ("auto", "cpu", "cuda") and not re.fullmatch(r"cuda:\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, cpu, cuda, cuda:1")
    return text


def main_train(arguments: argparse.Namespace) -> int:
    """Train one potential, score it, write the files, print a table."""
    from piwsl_lab.study.task import prepare

    _check_files(arguments)
    if arguments.save and arguments.save.suffix != ".safetensors":
        raise ValueError(f"--save {arguments.save}: the name has to end in .safetensors")
    setup, objective = choices(arguments, arguments.seed)
    task = prepare(setup)
    for remark in task.train.remarks:
        say(remark)
    with closing(_kept("train", arguments, _config(setup, objective))) as kept:
        return _train(arguments, setup, objective, task, kept)


def _train(arguments: argparse.Namespace, setup: Setup, objective: Objective, task: Task, kept: KeptRun) -> int:
    from piwsl_lab.study.cell import train
    from piwsl_lab.training.checkpoint import save
    from piwsl_lab.training.errors import evaluate
    from piwsl_lab.training.record import TrainingDiverged

    kept.same_data("of the run", task)
    try:
        with _bar(setup.steps * (1 + setup.teachers), kept) as bar:
            trainer, seconds = train(setup, task, objective, lambda record: bar.update(), kept, TRAINING)
        scores = asdict(evaluate(trainer.potential, task.test)) | {"seconds": seconds}
    except KeyboardInterrupt:
        return _interrupted(arguments, kept)
    except TrainingDiverged as error:
        return _diverged(arguments, kept, error)
    result = {key: [scores[key]] for _, key, _ in ROWS}
    writers: list[Callable[[], Path]] = []
    if arguments.save:
        writers.append(lambda: save(arguments.save, trainer.potential))
    if arguments.json:
        writers.append(lambda: write_json(arguments.json, {"config": _config(setup, objective), **result}))
    head = f"{setup.data}: {setup.energies} energies, {setup.forces} forces; {len(task.test)} test frames"
    return _deliver(arguments, kept, writers, f"{head}\n{_table({'result': result})}")


def main_compare(arguments: argparse.Namespace) -> int:
    """Train twins for every seed, write the file, print a table."""
    from piwsl_lab.data.catalog import load, own_files
    from piwsl_lab.study.compare import rival

    _check_files(arguments)
    setup, objective = choices(arguments, seed=0)
    for remark in load(setup.data).remarks if own_files(setup.data) else ():
        say(remark)
    other = rival(arguments.rival, setup, objective)[0]
    names = {name: getattr(arguments, name) for name in ("seeds", "rival", "equal_time")}
    with closing(_kept("compare", arguments, _config(setup, objective) | names)) as kept:
        return _compare(arguments, setup, objective, other, kept)


def _compare(arguments: argparse.Namespace, setup: Setup, objective: Objective, other: Setup, kept: KeptRun) -> int:
    from piwsl_lab.study.compare import compare_methods
    from piwsl_lab.training.record import TrainingDiverged

    total = arguments.seeds * setup.steps * (2 + setup.teachers + other.teachers)
    try:
        # With --equal-time nobody knows beforehand how many steps the rival makes.
        with _bar(None if arguments.equal_time else total, kept) as bar:

            def advance(twin: str, seed: int, record: Record) -> None:
                bar.set_description(f"seed {seed}, {twin}", refresh=False)
                bar.update()

            result = compare_methods(
                setup, objective, arguments.seeds, advance, arguments.rival, arguments.equal_time, kept
            )
    except KeyboardInterrupt:
        return _interrupted(arguments, kept)
    except TrainingDiverged as error:
        raise ValueError(f"{error.part}: {error}{_finished(arguments, kept)}") from None
    config = result["config"]
    writers = [lambda: write_json(arguments.json, result)] if arguments.json else []
    head = (
        f"{setup.data}: {setup.energies} energies, {setup.forces} forces; {setup.model} {setup.head}"
        + (f" against {other.head}" if other.head != setup.head else "")
        + f"; {config['seeds']} seed(s), {config['test_frames']} test frames"
    )
    table = _table({arguments.rival: result[arguments.rival], "PIWSL": result["piwsl"]})
    return _deliver(arguments, kept, writers, f"{head}\n{table}")


def _config(setup: Setup, objective: Objective) -> dict[str, Any]:
    return asdict(setup) | {"objective": asdict(objective)}


def _kept(command: str, arguments: argparse.Namespace, asked: dict[str, Any]) -> KeptRun:
    """What the run keeps; with --resume what it kept before."""
    from piwsl_lab.data.catalog import cache_folder
    from piwsl_lab.study.setup import RECIPE
    from piwsl_lab.training.kept_run import KeptRun

    files = [getattr(arguments, name, None) for name in ("save", "json")]
    kept = KeptRun(
        command, {"recipe": RECIPE, **asked}, [Path(), *(path.parent for path in files if path), cache_folder()]
    )
    if arguments.resume and not kept.find():
        say(f"nothing is kept of this run in {kept.folders[0]}: it begins at its first step")
    elif not arguments.resume and (left := kept.left_behind()):
        say(f"{left[0]} holds this very run, interrupted: --resume would go on with it")
    return kept


def _bar(total: int | None, kept: KeptRun) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=sum(kept.steps.values()), unit="step", disable=None)


def _deliver(arguments: argparse.Namespace, kept: KeptRun, writers: Sequence[Callable[[], Path]], printed: str) -> int:
    """Files first: a reader of the table may have gone away. What is kept goes when the result has arrived."""
    failures = []
    for write in writers:
        try:
            write()
        except OSError as error:
            failures.append(describe_error(error, arguments.json))
        except ValueError as error:  # of a checkpoint, with its path
            failures.append(str(error))
    if writers and not failures:
        kept.remove()
    try:
        print(printed, flush=True)
    except OSError:
        if kept.is_kept:
            say(f"the result is kept in {kept.path}: {_again(arguments)} shows it")
        raise
    if failures:
        say("; ".join(failures))
        if kept.is_kept:
            say(f"the result is kept in {kept.path}: {_again(arguments)} writes it")
        return FAILED
    kept.remove()
    return 0


def _interrupted(arguments: argparse.Namespace, kept: KeptRun) -> int:
    if kept.is_kept:
        say(f"interrupted at step {sum(kept.steps.values())}, kept in {kept.path}. Go on with: {_again(arguments)}")
    else:
        say(f"interrupted, nothing is kept{f' ({kept.failure})' if kept.failure else ''}")
    return INTERRUPTED


def _diverged(arguments: argparse.Namespace, kept: KeptRun, error: TrainingDiverged) -> int:
    """Save the best weights of a training that has diverged; training on would end at the same step."""
    from piwsl_lab.training.checkpoint import save

    best = ""
    if error.part == TRAINING and error.best_step:
        folder = kept.path.parent if kept.path else Path()
        try:
            target = save(arguments.save or folder / f"best-of-{kept.name}.safetensors", error.potential)
        except ValueError as unsaved:  # of a checkpoint, with its path; what is kept of the run stays
            best = f"the best weights so far are not saved: {unsaved}"
        else:
            best = f"{target} holds the weights of step {error.best_step}, the best so far"
            kept.remove()
    say(error)
    if best:
        say(best)
    return BAD_INPUT


def _finished(arguments: argparse.Namespace, kept: KeptRun) -> str:
    """The seeds whose twins are both there, as a table."""
    from piwsl_lab.study.compare import TWIN, twin_part

    twins = (arguments.rival, "piwsl")
    found = [[kept.value(twin_part(name, seed), TWIN) for name in twins] for seed in range(arguments.seeds)]
    whole = [pair for pair in found if all(pair)]
    if not whole:
        return ""
    columns = {name: {key: [pair[k][key] for pair in whole] for _, key, _ in ROWS} for k, name in enumerate(twins)}
    return f"\n{len(whole)} seed(s) are finished:\n{_table(columns)}"


def _again(arguments: argparse.Namespace) -> str:
    """The command that goes on."""
    words = [word for word in arguments.words_given if word != "--resume"]
    return f"piwsl-lab {shlex.join([*words, '--resume'])}"


def choices(arguments: argparse.Namespace, seed: int) -> tuple[Setup, Objective]:
    """The flags as the two objects that the library takes."""
    from piwsl_lab.piwsl.objective import Objective, suited
    from piwsl_lab.study.setup import Setup

    flags = vars(arguments)
    setup_names = ("data", "energies", "forces", "model", "head", "teachers", "steps", "batch_size", "device")
    objective_names = ("pisc", "pisc_form", "epsilon", "order", "direction", "relative", "centres")
    given = {name: flags[name] for name in ("pitc", "gradient") if flags[name] is not None}
    return (
        Setup(seed=seed, **{name: flags[name] for name in setup_names}),
        Objective(**suited(flags["head"]) | given, **{name: flags[name] for name in objective_names}),
    )


def _table(columns: dict[str, dict[str, list[float]]]) -> str:
    """Mean ± standard deviation over the seeds; with two columns, how many times lower the second is."""
    pair = len(columns) == 2
    lines = [f"{'':<18}" + "".join(f"{name:>18}" for name in columns) + (f"{'ratio':>9}" if pair else "")]
    for title, key, factor in ROWS:
        line = f"{title:<18}" + "".join(f"{_spread(column[key], factor):>18}" for column in columns.values())
        if pair:
            first, second = (statistics.fmean(column[key]) for column in columns.values())
            line += f"{first / second if second else float('nan'):>9.2f}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _spread(values: Sequence[float], factor: float) -> str:
    mean = statistics.fmean(values) * factor
    return f"{mean:.1f} ± {statistics.stdev(values) * factor:.1f}" if len(values) > 1 else f"{mean:.1f}"


def _check_files(arguments: argparse.Namespace) -> None:
    """Fail before the training, not after it, and never write over what is read or kept."""
    from piwsl_lab.data.catalog import own_files
    from piwsl_lab.training.kept_run import FOLDER

    outputs = {f"--{name}": getattr(arguments, name, None) for name in ("save", "json")}
    check_outputs(outputs, {"--data": own_files(arguments.data)})
    for flag, path in outputs.items():
        if path is not None and path.resolve().parent.name == FOLDER:
            raise ValueError(f"{flag} {path}: interrupted runs are kept in that folder; choose another")
