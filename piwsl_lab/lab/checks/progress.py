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


class ProgressError(ValueError):
    """A progress file that cannot be read; the message says why and what to do."""


def read(path: str | Path) -> dict[str, Any]:
    """The content of a progress file: {"version", "name", "answers": {key: {"kind", …}}}.

    Raises
    ------
    ProgressError
        It is no progress file, or one of a later version.
    OSError
        It cannot be opened.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ProgressError(f"{path} is not JSON ({error}): move it away, and a new one is begun") from error
    answers = content.get("answers") if isinstance(content, dict) else None
    if not isinstance(answers, dict) or not all(isinstance(answer, dict) for answer in answers.values()):
        raise ProgressError(f"{path} is no progress file of piwsl-lab: it has no answers")
    if content.get("version") != VERSION:
        raise ProgressError(
            f"{path} has version {content.get('version')}, this is {VERSION}: update piwsl-lab to read it"
        )
    return content


class Progress:
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
        self._take_in()

    @classmethod
    def here(cls) -> Progress:
        """The file that the variable names, or the one in the present folder; "off" keeps no file."""
        wanted = os.environ.get(VARIABLE, "")
        return cls(None if wanted == OFF else Path(wanted or FILE).absolute())

    def note(self, key: str, **what: Any) -> dict[str, Any]:
        """Add to the answer of this key and write the file; a file that cannot be written leaves a warning."""
        self._take_in()
        answer = {**self.answers.get(key, {}), **what}
        if answer != self.answers.get(key):
            self.answers[key] = answer
            self._write()
        return answer

    def call(self, name: str) -> None:
        """Keep the learner's name."""
        self._take_in()
        self.name = name.strip()
        self._write()

    def _take_in(self) -> None:
        """Read what other notebooks have written since; what only this one knows is kept."""
        self._readable = True
        if self.path is None or not self.path.exists():
            return
        try:
            content = read(self.path)
        except (ProgressError, OSError) as error:
            self._readable, self.warning = False, f"Your answers are kept in memory only: {error}"
            return
        self.name = self.name or str(content.get("name") or "")
        self.answers = {**self.answers, **content["answers"]}

    def _write(self) -> None:
        if self.path is None or not self._readable:
            return
        try:
            write_json(self.path, {"version": VERSION, "name": self.name, "answers": self.answers})
            self.warning = ""
        except OSError as error:
            self.warning = f"Your answers are kept in memory only: {self.path} cannot be written ({error.strerror})."
