"""The command line: ``piwsl-lab`` opens the laboratory, its subcommands do the same work without a screen.

Every module that needs torch is imported by the command that uses it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import statistics
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import piwsl_lab
from piwsl_lab import cli_course, cli_fly, cli_study

if TYPE_CHECKING:
    from piwsl_lab.objective import Objective
    from piwsl_lab.study import Setup
    from piwsl_lab.training import Record

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


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it worked, 2 for bad input, 130 when interrupted, 141 when nobody reads on (`| head`)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "lab")
    arguments = _parser().parse_args(words)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            code = arguments.run(arguments)
            sys.stdout.flush()
            return code
    except ValueError as error:
        print(f"piwsl-lab: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("piwsl-lab: interrupted, nothing was written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # What is still in the buffer would raise the same error once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"piwsl-lab: warning: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="piwsl-lab", description=piwsl_lab.__doc__.splitlines()[0], epilog="Without a command: lab."
    )
    parser.add_argument("--version", action="version", version=piwsl_lab.__version__)
    commands = parser.add_subparsers(metavar="command", required=True)

    lab = commands.add_parser("lab", help="open the notebooks in JupyterLab")
    lab.add_argument("--no-browser", action="store_true", help="print the address, open no window")
    lab.add_argument("--port", type=int, help="port on 127.0.0.1 (8888, or the next that is free)")
    lab.set_defaults(run=_lab)

    datasets = commands.add_parser("datasets", help="list the data sets")
    datasets.set_defaults(run=_datasets)

    doctor = commands.add_parser("doctor", help="what is installed, what is wrong and how to mend it")
    doctor.set_defaults(run=_doctor)

    formatter = argparse.ArgumentDefaultsHelpFormatter
    train = commands.add_parser("train", help="train one potential", formatter_class=formatter)
    _add_training_flags(train)
    train.add_argument("--seed", type=int, default=0, help="of the split, the weights and the batches")
    train.add_argument("--save", type=Path, metavar="FILE.safetensors", help="write the potential here")
    train.set_defaults(run=_train)

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
    compare.set_defaults(run=_compare)

    cli_study.add(commands)
    cli_fly.add(commands)
    cli_course.add(commands)
    return parser


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


def _order(text: str) -> int | str:
    if text not in ("1", "2", "symmetric"):
        raise argparse.ArgumentTypeError(f"{text!r} is none of 1, 2, symmetric")
    return text if text == "symmetric" else int(text)


def _device(text: str) -> str:
    """Checked here, because torch's own message lists devices that nothing in this package was tried on."""
    if text not in ("auto", "cpu", "cuda") and not re.fullmatch(r"cuda:\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, cpu, cuda, cuda:1")
    return text


def _lab(arguments: argparse.Namespace) -> int:
    from piwsl_lab.launch import launch

    return launch(browser=not arguments.no_browser, port=arguments.port)


def _doctor(arguments: argparse.Namespace) -> int:
    from piwsl_lab import doctor

    return doctor.report(doctor.examine())


def _datasets(arguments: argparse.Namespace) -> int:
    from piwsl_lab.data.catalog import datasets

    for entry in datasets():
        place = "embedded" if entry.embedded else f"download, {entry.size_mb:.1f} MB"
        print(f"{entry.name:<16} {entry.title} ({entry.frames} frames, {place})")
        print(f"{'':<16} {entry.method} · {entry.licence} · {entry.origin}")
        print(f"{'':<16} parts: {', '.join(_part_names(entry))}\n")
    return 0


def _part_names(entry: Any) -> list[str]:
    remarks = {entry.default: " (default)", entry.test: " (test)"}
    return [f"{entry.name}:{part}{remarks.get(part, '')}" for part in entry.parts]


def _train(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from piwsl_lab.checkpoint import save
    from piwsl_lab.metrics import evaluate
    from piwsl_lab.study import prepare, train

    _check_writable(arguments.json, arguments.save)
    if arguments.save and arguments.save.suffix != ".safetensors":
        raise ValueError(f"--save {arguments.save}: the name has to end in .safetensors")
    setup, objective = _choices(arguments, arguments.seed)
    task = prepare(setup)
    with tqdm(total=setup.steps * (1 + setup.teachers), unit="step", disable=None) as bar:
        trainer, seconds = train(setup, task, objective, on_step=lambda record: bar.update())
    scores = dataclasses.asdict(evaluate(trainer.potential, task.test)) | {"seconds": seconds}
    result = {key: [scores[key]] for _, key, _ in ROWS}
    # Files first: a reader of the table may have gone away.
    if arguments.save:
        save(arguments.save, trainer.potential)
    if arguments.json:
        config = dataclasses.asdict(setup) | {"objective": dataclasses.asdict(objective)}
        _write_json(arguments.json, {"config": config, **result})
    print(f"{setup.data}: {setup.energies} energies, {setup.forces} forces; {len(task.test)} test frames")
    print(_table({"result": result}))
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from piwsl_lab.comparison import compare, rival

    _check_writable(arguments.json)
    setup, objective = _choices(arguments, seed=0)
    other = rival(arguments.rival, setup, objective)[0]
    total = arguments.seeds * setup.steps * (2 + setup.teachers + other.teachers)
    # With --equal-time nobody knows beforehand how many steps the rival makes.
    with tqdm(total=None if arguments.equal_time else total, unit="step", disable=None) as bar:

        def advance(twin: str, seed: int, record: Record) -> None:
            bar.set_description(f"seed {seed}, {twin}", refresh=False)
            bar.update()

        result = compare(setup, objective, arguments.seeds, advance, arguments.rival, arguments.equal_time)
    config = result["config"]
    if arguments.json:
        _write_json(arguments.json, result)
    print(
        f"{setup.data}: {setup.energies} energies, {setup.forces} forces; {setup.model} {setup.head}"
        + (f" against {other.head}" if other.head != setup.head else "")
        + f"; {config['seeds']} seed(s), {config['test_frames']} test frames"
    )
    print(_table({arguments.rival: result[arguments.rival], "PIWSL": result["piwsl"]}))
    return 0


def _choices(arguments: argparse.Namespace, seed: int) -> tuple[Setup, Objective]:
    """The flags as the two objects that the library takes."""
    from piwsl_lab.objective import Objective, suited
    from piwsl_lab.study import Setup

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


def _check_writable(*paths: Path | None) -> None:
    """Fail before the training, not after it."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise ValueError(f"{path} is a folder; name a file in it")
        if not os.access(path.resolve().parent, os.W_OK):
            raise ValueError(f"{path.resolve().parent} does not exist or cannot be written to; choose another folder")


def _write_json(path: Path, result: dict[str, Any]) -> None:
    from piwsl_lab.metrics import without_nan

    partial = path.with_name(f"{path.name}.partial")
    text = json.dumps(without_nan(result), indent=2, ensure_ascii=False, allow_nan=False)
    partial.write_text(text + "\n", encoding="utf-8")
    os.replace(partial, path)


if __name__ == "__main__":
    sys.exit(main())
