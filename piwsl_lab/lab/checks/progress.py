"""The progress file of a learner: what was predicted, answered and explained, in one JSON file beside the notebooks.

It is read again before every write, so that several notebooks can be open at once.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from piwsl_lab.support.files import write_json

FILE, VARIABLE, OFF = "piwsl-progress.json", "PIWSL_LAB_PROGRESS", "off"
VERSION = 1
PREDICTION, CHECK, EXPLANATION = "prediction", "check", "explanation"
MOST_ATTEMPTS = 10_000  # nobody tries more often; a larger number was not counted by a check
_REPAIR = "put an intact copy in its place, or move it away"


class ProgressError(ValueError):
    """A progress file that cannot be read; the message says why and what to do."""


class OtherFile(ProgressError):
    """JSON that something else has written."""


def read_progress(path: str | Path) -> dict[str, Any]:
    """The content of a progress file: {"version", "name", "answers": {key: {"kind", …}}}.

    Learners can edit the file: what stands in an answer may have any type. See `counted` and `texts`.

    Raises
    ------
    ProgressError
        It is damaged or of a later version.
    OtherFile
        It is no progress file.
    OSError
        It cannot be opened.
    """
    data = Path(path).read_bytes()
    try:
        content = json.loads(data.decode("utf-8-sig"))  # some editors put a mark before the first byte
    except (ValueError, RecursionError) as error:  # a number of 5000 digits is a ValueError too
        raise ProgressError(f"{path} is not JSON ({error}): {_REPAIR}") from error
    if not isinstance(content, dict) or not {"version", "answers"} <= content.keys():
        raise OtherFile(f"{path} is no progress file of piwsl-lab: it has no version and answers")
    if content["version"] != VERSION:
        raise ProgressError(
            f"{path} has version {content['version']!r:.20}, this is {VERSION}: update piwsl-lab to read it"
        )
    answers = content["answers"]
    if not isinstance(answers, dict) or not all(isinstance(answer, dict) for answer in answers.values()):
        raise ProgressError(f"{path} has damaged answers: {_REPAIR}")
    return content


def counted(value: Any) -> int:
    """A number of attempts as it stands in a file; 0 where it is none."""
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST_ATTEMPTS
    return value if is_one else 0


def texts(value: Any) -> list[str]:
    """A list of words as it stands in a file; without what is no word."""
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


class ProgressFile:
    """Answers of one learner, in memory and in a file.

    Parameters
    ----------
    path : path or None
        None keeps them in memory only.

    Attributes
    ----------
    warning : str
        Why the file does not have the last answer; empty where it has, or where no file is wanted.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = Path(path) if path is not None else None
        self.name = ""
        self.answers: dict[str, dict[str, Any]] = {}
        self.warning = ""
        # What the file does not have yet: it counts more than what the file says.
        self._unwritten: set[str] = set()
        self._renamed = False
        self.refresh()

    @classmethod
    def here(cls) -> ProgressFile:
        """The file that the variable names, or the one in the present folder; "off" keeps no file."""
        wanted = os.environ.get(VARIABLE, "").strip()
        return cls(None if wanted.lower() == OFF else Path(wanted or FILE).absolute())

    def refresh(self) -> None:
        """Read what other notebooks have written since; what only this one knows is kept."""
        self._readable = True
        if self.path is None:
            return
        try:
            content = read_progress(self.path)
        except FileNotFoundError:
            content = {"answers": {}}
        except (ProgressError, OSError) as error:
            self._readable, self.warning = False, f"Your answers are kept in memory only: {error}"
            return
        if not self._renamed:
            name = content.get("name")
            self.name = name if name and isinstance(name, str) else self.name
        own = {key: self.answers[key] for key in self._unwritten}
        self.answers = {**self.answers, **content["answers"], **own}
        if not (own or self._renamed):
            self.warning = ""

    def answer(self, key: str) -> dict[str, Any]:
        """The answer of this key, with what other notebooks have written since; empty where there is none."""
        self.refresh()
        return self.answers.get(key, {})

    def note(self, key: str, **what: Any) -> dict[str, Any]:
        """Add to the answer of this key and write the file; a file that cannot be written leaves a warning."""
        before = self.answer(key)
        answer = {**before, **what}
        if answer != before or self._unwritten:
            self.answers[key] = answer
            self._unwritten.add(key)
            self._write()
        return answer

    def call(self, name: str) -> None:
        """Keep the learner's name."""
        self.refresh()
        self.name, self._renamed = name.strip(), True
        self._write()

    def _write(self) -> None:
        if self.path is None or not self._readable:
            return
        try:
            write_json(self.path, {"version": VERSION, "name": self.name, "answers": self.answers})
        except (OSError, ValueError, RecursionError) as error:  # also half a character, or a list in a list in a list …
            why = getattr(error, "strerror", None) or error
            self.warning = f"Your answers are kept in memory only: {self.path} cannot be written ({why})."
            return
        self.warning, self._renamed = "", False
        self._unwritten.clear()
