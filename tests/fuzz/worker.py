"""Opens files one after the other and says what became of each: ``python -m fuzz.worker`` with requests on stdin."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from address_space import limit

ORDER = ("ok", "refused", "unnamed", "traceback", "memory")  # from best to worst


def attempt(step: Callable[[], object], path: Path) -> dict[str, Any]:
    """Outcome of one step, and what it said."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            step()
            outcome, said = "ok", {}
        except MemoryError as error:
            outcome, said = "memory", _told(error)
        except Exception as error:  # whatever comes is the finding
            outcome, said = judge(error, path), _told(error)
    warned = sorted({f"{one.category.__name__}: {one.message}"[:300] for one in heard})
    ours = any(parent.__name__ == "DataWarning" for one in heard for parent in one.category.__mro__)
    return {"outcome": outcome, **said, "warned": warned, "spoke": outcome == "refused" or ours}


def judge(error: Exception, path: Path) -> str:
    """A refusal is a ValueError of ours that names the file or, for a saved session, its folder."""
    ours = isinstance(error, ValueError) and (
        type(error) is ValueError or type(error).__module__.startswith("piwsl_lab")
    )
    if not ours:
        return "traceback"
    folder = path.parent.name if path.name == "session.json" else path.name
    return "refused" if path.name in str(error) or folder in str(error) else "unnamed"


def _told(error: BaseException) -> dict[str, str]:
    trail = [f for f in traceback.extract_tb(error.__traceback__) if "piwsl_lab" in f.filename] or [None]
    where = f"{Path(trail[-1].filename).name}:{trail[-1].lineno}" if trail[-1] else ""
    deepest = traceback.extract_tb(error.__traceback__)[-1]
    return {
        "error": type(error).__name__,
        "message": str(error)[:600],
        "where": where,
        "deepest": f"{Path(deepest.filename).name}:{deepest.lineno}",
    }


def worst(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The worst of several outcomes, with the warnings of all, and whether the first said that something is wrong.

    The first step is the one that a person begins with. A later one may ask for more than the file has.
    """
    chosen = max(found, key=lambda one: ORDER.index(one["outcome"]))
    warned = sorted({text for one in found for text in one["warned"]})
    return chosen | {"warned": warned, "spoke": found[0]["spoke"]}


def serve(doors: dict[str, Callable[[Path], list[Callable[[], object]]]]) -> None:
    """Answer every request {"door": …, "path": …} with one line of JSON, until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # a library that prints must not be taken for an answer
    faulthandler.register(signal.SIGUSR1)  # asked for when a file makes it hang
    answers.write(json.dumps({"ready": os.getpid()}) + "\n")
    for line in sys.stdin:
        request = json.loads(line)
        path = Path(request["path"])
        found = worst([attempt(step, path) for step in doors[request["door"]](path)])
        answers.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    from fuzz.doors import DOORS, warm_up

    warm_up()
    limit()
    serve(DOORS)
