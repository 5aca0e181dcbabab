"""``piwsl-lab course``: what a class has answered, from the progress files that learners hand in.

`add` hooks the command into the command line. Files are read and nothing of them is run, since
anybody may have written them. Only words and numbers that this version knows are counted.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LARGEST = 5_000_000  # bytes; a whole course makes some 100 kB
OUT = Path("piwsl-course.csv")
FIRST_COLUMNS = ("name", "file", "points", "points_possible", "predictions_made", "explanations")
MOST_EXPLANATIONS = 100  # columns: a file can hold any number of keys, and a spreadsheet cannot
MOST_MISTAKES = 3  # of a check, in the table
LONGEST = 32_000  # characters of a cell; spreadsheets stop at 32,767
_FORMULA = "=+-@＝＋－＠"  # what a spreadsheet takes for the beginning of a formula


def add(parser: argparse.ArgumentParser) -> None:
    """Add the only action, ``collect``, and its flags."""
    actions = parser.add_subparsers(metavar="action", required=True)
    collect = actions.add_parser(
        "collect",
        help="a table of the progress files that learners handed in",
        description="Read the progress files (piwsl-progress.json, or any other name that ends in .json) in a folder "
        "and in all folders in it. Notebooks are not read, and no code of a learner is run. Print the commonest "
        "mistakes and the predictions; write a CSV with a row for every learner. Learners can edit their files: "
        "points are those of this version, but that a check was passed is what the file says.",
    )
    collect.add_argument("folder", type=Path, metavar="FOLDER", help="where the files lie")
    collect.add_argument(
        "--out", type=Path, default=OUT, metavar="FILE.csv", help=f"written anew each time ({OUT} in this folder)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Collect, write the CSV, print two tables; 0 when it worked, 1 when a file could not be read.

    Raises
    ------
    ValueError
        There is no progress file, or the CSV cannot be written.
    """
    from piwsl_lab.support.files import write_whole
    from piwsl_lab.support.outputs import check_outputs
    from piwsl_lab.support.streams import say

    folder, out = arguments.folder, arguments.out
    if not folder.is_dir():
        raise ValueError(f"{_shown(folder)} is no folder: name the one that the progress files lie in")
    if out.suffix.lower() != ".csv":
        raise ValueError(f"--out {_shown(out)}: the name has to end in .csv")
    check_outputs({"--out": out}, {})
    class_ = collect(folder)
    for line in (*class_.problems, *class_.remarks):
        say(line)
    if not class_.learners:
        raise ValueError(
            f"{_shown(folder)} holds no progress file that can be read: looked in all its folders for *.json as "
            "piwsl-lab keeps them, such as piwsl-progress.json; unpack archives first"
        )
    try:
        write_whole(out, "\ufeff" + table(class_.learners))
    except OSError as error:
        raise ValueError(f"{_shown(out)} cannot be written ({error.strerror}): choose another --out") from error
    print("\n".join([*mistakes(class_.learners), "", *predictions(class_.learners), ""]))
    print(f"{len(class_.learners)} learner(s): {_shown(out)}")
    return 1 if class_.problems else 0


@dataclass
class Learner:
    """What one progress file says, without anything that is of the wrong type or unknown.

    Parameters
    ----------
    name, file : str
    passed : set of str
        Keys of checks.
    tried : dict of key → int
        How many different answers were given.
    mistakes : dict of key → set of str
        Names of known mistakes that were made.
    predictions, explanations : dict of key → str
    """

    name: str
    file: str
    passed: set[str] = field(default_factory=set)
    tried: dict[str, int] = field(default_factory=dict)
    mistakes: dict[str, set[str]] = field(default_factory=dict)
    predictions: dict[str, str] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)


@dataclass
class Class:
    """All learners of a folder, what could not be read, and what a teacher should look at."""

    learners: list[Learner] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def collect(folder: Path) -> Class:
    """Read all progress files of a folder and of the folders in it."""
    from piwsl_lab.lab.checks.progress import OtherFile, ProgressError, read_progress

    class_ = Class()
    others: list[str] = []
    for path in _json_files(folder, class_.problems):
        file = path.relative_to(folder).as_posix()
        try:
            about = path.stat()
            # A pipe would be waited for without end.
            if not stat.S_ISREG(about.st_mode):
                class_.problems.append(f"{_shown(file)} is no ordinary file: take it away")
            elif about.st_size > LARGEST:
                size = f"{about.st_size / 1e6:.1f} MB"
                class_.problems.append(f"{_shown(file)} has {size}, more than any progress file: ask for it again")
            else:
                class_.learners.append(learner(read_progress(path), file, folder.resolve().name))
        except OtherFile:
            others.append(_shown(file))
        except ProgressError as error:
            class_.problems.append(_shown(error))
        except OSError as error:
            class_.problems.append(f"{_shown(file)} cannot be opened ({error.strerror}): see who may read it")
    if others:
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        class_.remarks.append(f"left out, no progress files: {', '.join(others[:3])}{more}")
    class_.remarks += _namesakes(class_.learners)
    return class_


def learner(content: dict[str, Any], file: str, folder: str) -> Learner:
    """What a progress file says, as far as it has the right types.

    Parameters
    ----------
    content : dict
        As `read_progress` gives it.
    file : str
        Its name, from the folder of the class on.
    folder : str
        Name of the folder of the class.
    """
    from piwsl_lab.lab.checks import CHECKS, QUESTIONS
    from piwsl_lab.lab.checks.progress import CHECK, EXPLANATION, PREDICTION, counted, texts

    name = content.get("name")
    found = Learner(_plain(name) if isinstance(name, str) else "", file)
    found.name = found.name or _plain(_unnamed(file, folder))
    for key, answer in content["answers"].items():
        kind = answer.get("kind")
        if kind == CHECK and key in CHECKS:
            attempts = counted(answer.get("attempts"))
            if answer.get("passed") is True:
                found.passed.add(key)
            elif not attempts:
                continue
            found.tried[key] = attempts
            known = {mistake.name for mistake in CHECKS[key].mistakes}
            found.mistakes[key] = known & set(texts(answer.get("mistakes")))
        elif kind == PREDICTION and key in QUESTIONS and (text := _said(answer, PREDICTION)):
            found.predictions[key] = text
        elif kind == EXPLANATION and key not in CHECKS and (text := _said(answer, "text")):
            found.explanations[key] = text
    return found


def table(learners: Sequence[Learner]) -> str:
    """The CSV: a row for every learner, a column for every check and every explanation."""
    from piwsl_lab.lab.checks import CHECKS

    # The commonest keys, so that one odd file cannot push out those of the class.
    common = Counter(key for one in learners for key in one.explanations).most_common(MOST_EXPLANATIONS)
    explained = sorted(key for key, _ in common)
    possible = sum(check.points for check in CHECKS.values())
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*FIRST_COLUMNS, *CHECKS, *map(cell, explained)])
    for one in learners:
        points = sum(CHECKS[key].points for key in one.passed)
        row = [cell(one.name), cell(one.file), points, possible, len(one.predictions), len(one.explanations)]
        row += [
            "passed" if key in one.passed else f"tried {one.tried[key]}" if key in one.tried else "" for key in CHECKS
        ]
        writer.writerow([*row, *(cell(one.explanations.get(key, "")) for key in explained)])
    return text.getvalue()


def cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: in one line, and with an apostrophe where it looks like one."""
    text = _plain(text)[:LONGEST]
    # Where a semicolon parts cells, as in German Excel, a formula could stand behind one.
    text = re.sub(rf";\s*(?=[{re.escape(_FORMULA)}])", ", ", text)
    return f"'{text}" if text.startswith(tuple(_FORMULA)) else text


def mistakes(learners: Sequence[Learner]) -> list[str]:
    """Lines of the table of mistakes: first the check whose commonest mistake most learners have made."""
    from piwsl_lab.lab.checks import CHECKS

    rows = []
    for key in CHECKS:
        tried = [one for one in learners if key in one.tried]
        made = Counter(name for one in tried for name in sorted(one.mistakes[key])).most_common(MOST_MISTAKES)
        passed = sum(key in one.passed for one in tried)
        if tried:
            named = ", ".join(f"{name} ({number})" for name, number in made)
            rows.append((-(made[0][1] if made else 0), key, f"{len(tried):>5}{passed:>8}  {named or '-'}"))
    title = f"{'check':<18}{'tried':>5}{'passed':>8}  commonest mistakes (learners)"
    return [title, *(f"{key:<18}{words}" for _, key, words in sorted(rows))] if rows else ["No check was tried."]


def predictions(learners: Sequence[Learner]) -> list[str]:
    """Lines of the table of predictions: how many learners chose each option."""
    from piwsl_lab.lab.checks import QUESTIONS

    lines = []
    for key, question in QUESTIONS.items():
        made = Counter(one.predictions[key] for one in learners if key in one.predictions)
        chosen = [(option.text, made.pop(option.text, 0)) for option in question.options]
        others = made.total()
        if others or any(number for _, number in chosen):
            chosen += [("in words that this version does not have", others)] if others else []
            lines += [f"{key if k == 0 else '':<18}{number:>5}  {text}" for k, (text, number) in enumerate(chosen)]
    title = f"{'prediction':<18}{'chose':>5}  option"
    return [title, *lines] if lines else ["No prediction was made."]


def _json_files(folder: Path, problems: list[str]) -> Iterator[Path]:
    """All *.json in a folder, in the order of their names; what programs keep for themselves is left out."""

    def say(error: OSError) -> None:
        problems.append(f"{_shown(error.filename)} cannot be opened ({error.strerror}): see who may read it")

    for place, folders, files in os.walk(folder, onerror=say):
        # .ipynb_checkpoints holds an older copy of the same file, and macOS puts its own notes into archives.
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if name.lower().endswith(".json") and not name.startswith("."):
                yield Path(place, name)


def _unnamed(file: str, folder: str) -> str:
    """A name for whoever gave none: that of the file, or of its folder where the file has the usual name."""
    from piwsl_lab.lab.checks.progress import FILE

    path = Path(file)
    if path.name != FILE:
        return path.stem
    return folder if path.parent == Path() else path.parent.as_posix()


def _namesakes(learners: Iterable[Learner]) -> list[str]:
    """A line for every name that stands in more than one file."""
    files: dict[str, list[Learner]] = {}
    for one in learners:
        files.setdefault(unicodedata.normalize("NFKC", one.name).casefold(), []).append(one)
    return [
        f"{' and '.join(_shown(one.file) for one in same)} have the same name {_shown(same[0].name)!r}: both are "
        "counted; take one away, or change a name in it"
        for same in files.values()
        if len(same) > 1
    ]


def _said(answer: dict[str, Any], what: str) -> str:
    text = answer.get(what)
    return _plain(text) if isinstance(text, str) else ""


def _plain(text: str) -> str:
    """One line without control characters and halves of characters, which no CSV and no terminal should get."""
    kept = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return " ".join(kept.split())


def _shown(text: object) -> str:
    """Words for a terminal: the name of a file may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
