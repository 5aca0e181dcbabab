"""How ``train`` and ``compare`` keep what they have done, show it, and hand their result over."""

from __future__ import annotations

import argparse
import shlex
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piwsl_lab.support.files import describe_error
from piwsl_lab.support.signals import FAILED, INTERRUPTED
from piwsl_lab.support.streams import say

if TYPE_CHECKING:
    from piwsl_lab.training.kept_run import KeptRun

# Row of the table, key in the JSON, factor from the eV and seconds of the library to the unit shown.
ROWS = (
    ("energy MAE, meV", "energy_mae", 1000.0),
    ("energy RMSE, meV", "energy_rmse", 1000.0),
    ("force MAE, meV/Å", "force_mae", 1000.0),
    ("force RMSE, meV/Å", "force_rmse", 1000.0),
    ("training, s", "seconds", 1.0),
)


def kept_for(command: str, arguments: argparse.Namespace, asked: dict[str, Any]) -> KeptRun:
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


def bar_of(total: int | None, kept: KeptRun) -> Any:
    """A bar of so many steps, those that are kept already behind it."""
    from tqdm import tqdm

    return tqdm(total=total, initial=sum(kept.steps.values()), unit="step", disable=None)


class StepBar:
    """A bar over trainings that follow each other; what one that ends early has not needed comes off the total.

    Parameters
    ----------
    bar : tqdm
        Of all steps, as `bar_of` makes it.
    longest : int
        Steps of the longest training.
    """

    def __init__(self, bar: Any, longest: int) -> None:
        self.bar, self.longest, self._last = bar, longest, 0

    def step(self, number: int, what: str = "") -> None:
        """A training has taken its step of that number; one that is no larger than the last is of another training."""
        if number <= self._last and self.bar.total is not None:
            self.bar.total -= self.longest - self._last
        self._last = number
        if what:
            self.bar.set_description(what, refresh=False)
        self.bar.update()

    def end(self) -> None:
        """All trainings have ended: the bar is full."""
        self.bar.total = self.bar.n
        self.bar.refresh()


def hand_over(arguments: argparse.Namespace, kept: KeptRun, writers: Sequence[Callable[[], Path]], printed: str) -> int:
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


def interrupted(arguments: argparse.Namespace, kept: KeptRun) -> int:
    """Say what is kept of an interrupted run, and what goes on with it; the exit code."""
    if kept.is_kept:
        say(f"interrupted at step {sum(kept.steps.values())}, kept in {kept.path}. Go on with: {_again(arguments)}")
    else:
        say(f"interrupted, nothing is kept{f' ({kept.failure})' if kept.failure else ''}")
    return INTERRUPTED


def _again(arguments: argparse.Namespace) -> str:
    """The command that goes on."""
    words = [word for word in arguments.words_given if word != "--resume"]
    return f"piwsl-lab {shlex.join([*words, '--resume'])}"


def table_of(columns: dict[str, dict[str, list[float]]]) -> str:
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
