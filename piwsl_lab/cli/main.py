"""The command line: ``piwsl-lab`` opens the laboratory, its subcommands do the same work without a screen.

Every module that needs torch is imported by the command that uses it, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import piwsl_lab
from piwsl_lab.cli import check, compare, course, datasets, doctor, fly, launch, study, train
from piwsl_lab.support.files import describe_error
from piwsl_lab.support.interrupts import held
from piwsl_lab.support.memory import keep_memory
from piwsl_lab.support.signals import BAD_INPUT, FAILED, INTERRUPTED, as_interrupts, deaf_at_the_end
from piwsl_lab.support.streams import say, silence, spell_what_can_be


class Command(Protocol):
    """A module of this room that is a command: its flags, and what it does with them."""

    def add(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, arguments: argparse.Namespace) -> int: ...


COMMANDS: dict[str, tuple[Command, str]] = {
    "lab": (launch, "open the notebooks in JupyterLab"),
    "datasets": (datasets, "list the data sets"),
    "doctor": (doctor, "what is installed, what is wrong and how to mend it"),
    "train": (train, "train one potential"),
    "compare": (compare, "train with and without PIWSL on the same frames"),
    "check": (check, "what a data set holds, and what looks wrong in it"),
    "study": (study, "run many trainings of a grid, and report on them"),
    "fly": (fly, "molecular dynamics with a trained potential: does it survive?"),
    "course": (course, "for teachers: what a class has answered"),
}
NEED_TORCH = ("train", "compare", "study", "fly")
NOBODY_READS = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0 when it worked, 1 when something could not be written or has failed, 2 for bad input, 128 and the number of
        the signal when interrupted (130 for Ctrl-C), 141 when nobody reads on (`| head`).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help", "--version")):
        words.insert(0, "lab")
    spell_what_can_be()
    with as_interrupts() as stop:
        code = _answer(words)
        if code == INTERRUPTED:
            # Python ends with a code of its own where an interrupt met a text that was being executed, as imports do.
            exec("")
            deaf_at_the_end()
        return stop.code(code)


def _answer(words: list[str]) -> int:
    """Run a command; whatever a person can do something about becomes one sentence."""
    try:
        os.getcwd()
    except FileNotFoundError:  # libraries of torch would end the process without a word of ours
        say("the folder you are in no longer exists; cd to another")
        return FAILED
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _once()
            try:
                arguments = _parser().parse_args(words)
                arguments.words_given = words
                if words[0] in NEED_TORCH:
                    # C++ of other libraries aborts the process when an interrupt meets its import.
                    with held():
                        importlib.import_module("piwsl_lab.study.cell")
                keep_memory()
                return arguments.run(arguments)
            finally:
                _flush()
    except ValueError as error:
        say(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return NOBODY_READS
    except OSError as error:
        say(describe_error(error))
        return FAILED
    except MemoryError as error:
        say(f"there is not enough memory ({error or 'no details'}): ask for less, or for smaller frames")
        return FAILED


def _flush() -> None:
    """Write out what was printed, while an error can still be told."""
    if sys.stdout is None or sys.stdout.closed:
        return
    try:
        sys.stdout.flush()
    except OSError:
        silence(sys.stdout)
        raise


def _once() -> Callable[..., None]:
    """What shows a warning in one line, once a command: `compare` reads the same file for every seed."""
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in said:
            said.add(str(message))
            say(f"warning: {message}")

    return show


class _Parser(argparse.ArgumentParser):
    """A parser that says when its help cannot be written."""

    def print_help(self, file: Any = None) -> None:
        print(self.format_help(), end="", file=file)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="piwsl-lab", description=piwsl_lab.__doc__.splitlines()[0], epilog="Without a command: lab.")
    parser.add_argument("--version", action="version", version=piwsl_lab.__version__)
    commands = parser.add_subparsers(metavar="command", required=True)
    for name, (command, words) in COMMANDS.items():
        own = commands.add_parser(name, help=words)
        command.add(own)
        own.set_defaults(run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
