"""What a command says beside its result, if anybody is left to read it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO


def say(message: object) -> None:
    """One line on standard error, with the name of the program."""
    tell(f"piwsl-lab: {message}")


def tell(words: object, stream: TextIO | None = None, end: str = "\n") -> None:
    """Words on standard error, or another stream; nothing where nobody can read them any more.

    A terminal that was closed must not cost what the command is about to save.
    """
    stream = sys.stderr if stream is None else stream
    if stream is None or stream.closed:  # None: the process began without one
        return
    try:
        print(words, end=end, file=stream, flush=True)
    except OSError:
        silence(stream)


def silence(stream: TextIO) -> None:
    """Drop what is still in the buffer: it would raise the same error once more when Python ends."""
    with suppress(OSError, ValueError):  # no file behind it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def spell_what_can_be() -> None:
    """Let standard output and error show a question mark where the code page of a terminal has no ± and no Å."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
