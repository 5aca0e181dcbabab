"""``piwsl-lab compare``: a rival and PIWSL, trained on the same frames for several seeds.

It keeps what it has done at every validation and when it is interrupted, and ``--resume`` goes on with it.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from typing import TYPE_CHECKING

from piwsl_lab.cli.flags import add_training_flags, check_files, choices, config_of, meanings
from piwsl_lab.cli.hand_over import ROWS, StepBar, bar_of, hand_over, interrupted, kept_for, table_of
from piwsl_lab.names import RIVALS
from piwsl_lab.support.files import write_json
from piwsl_lab.support.streams import say

if TYPE_CHECKING:
    from piwsl_lab.piwsl.objective import Objective
    from piwsl_lab.study.setup import Setup
    from piwsl_lab.training.kept_run import KeptRun
    from piwsl_lab.training.record import Record


def add(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the command."""
    add_training_flags(parser)
    parser.add_argument("--seeds", type=int, default=3, help="repeat with this many seeds")
    parser.add_argument(
        "--rival", choices=tuple(RIVALS), default="supervised",
        help=f"what PIWSL is held against: {meanings(RIVALS)}; with --head dual its head is conservative",
    )  # fmt: skip
    parser.add_argument(
        "--equal-time", action="store_true", help="train the rival for as long as the PIWSL twin took, by the clock"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train twins for every seed, write the file, print a table."""
    from piwsl_lab.data.catalog import load, own_files
    from piwsl_lab.study.compare import rival

    check_files(arguments)
    setup, objective = choices(arguments, seed=0)
    for remark in load(setup.data).remarks if own_files(setup.data) else ():
        say(remark)
    other = rival(arguments.rival, setup, objective)[0]
    own = {name: getattr(arguments, name) for name in ("seeds", "rival", "equal_time")}
    with closing(kept_for("compare", arguments, config_of(setup, objective) | own)) as kept:
        return _compare(arguments, setup, objective, other, kept)


def _compare(arguments: argparse.Namespace, setup: Setup, objective: Objective, other: Setup, kept: KeptRun) -> int:
    from piwsl_lab.study.compare import compare_methods
    from piwsl_lab.training.record import TrainingDiverged

    total = arguments.seeds * setup.steps * (2 + setup.teachers + other.teachers)
    try:
        # With --equal-time nobody knows beforehand how many steps the rival makes.
        with bar_of(None if arguments.equal_time else total, kept) as bar:
            steps = StepBar(bar, setup.steps)

            def advance(twin: str, seed: int, record: Record) -> None:
                steps.step(record.step, f"seed {seed}, {twin}")

            result = compare_methods(
                setup, objective, arguments.seeds, advance, arguments.rival, arguments.equal_time, kept
            )
            steps.end()
    except KeyboardInterrupt:
        return interrupted(arguments, kept)
    except TrainingDiverged as error:
        raise ValueError(f"{error.part}: {error}{_finished(arguments, kept)}") from None
    config = result["config"]
    writers = [lambda: write_json(arguments.json, result)] if arguments.json else []
    head = (
        f"{setup.data}: {setup.energies} energies, {setup.forces} forces; {setup.model} {setup.head}"
        + (f" against {other.head}" if other.head != setup.head else "")
        + f"; {config['seeds']} seed(s), {config['test_frames']} test frames"
    )
    columns = {arguments.rival: result[arguments.rival], "PIWSL": result["piwsl"]}
    if any(min(column["steps"]) < setup.steps for column in columns.values()):
        taken = "; ".join(f"{name} {', '.join(map(str, column['steps']))}" for name, column in columns.items())
        head += f"\nsteps until validation got no better, or the last: {taken}"
    table = table_of(columns)
    return hand_over(arguments, kept, writers, f"{head}\n{table}")


def _finished(arguments: argparse.Namespace, kept: KeptRun) -> str:
    """The seeds whose twins are both there, as a table."""
    from piwsl_lab.study.compare import TWIN, twin_part

    twins = (arguments.rival, "piwsl")
    found = [[kept.value(twin_part(name, seed), TWIN) for name in twins] for seed in range(arguments.seeds)]
    whole = [pair for pair in found if all(pair)]
    if not whole:
        return ""
    columns = {name: {key: [pair[k][key] for pair in whole] for _, key, _ in ROWS} for k, name in enumerate(twins)}
    return f"\n{len(whole)} seed(s) are finished:\n{table_of(columns)}"
