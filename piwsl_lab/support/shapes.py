"""Whether values that were read from a file have the shape they were written in; where not, a sentence that says so."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

LONGEST = 60  # characters of a value that a message shows


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`; `whole` ones only, and nan or nothing where allowed."""

    low: float = -1e300
    high: float = 1e300
    whole: bool = False
    nan: bool = False
    null: bool = False

    def __str__(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        return kind if self == Number(whole=self.whole) else f"{kind} from {self.low:g} to {self.high:g}"

    def holds(self, value: Any) -> bool:
        """Whether a value is such a number."""
        if value is None:
            return self.null
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.low <= value <= self.high or (self.nan and isinstance(value, float) and math.isnan(value))


@dataclass(frozen=True)
class Text:
    """Words; one of some, where there is a choice; nothing where allowed."""

    choices: tuple[str, ...] = ()
    null: bool = False

    def __str__(self) -> str:
        return f"one of {', '.join(self.choices)}" if self.choices else "a text"

    def holds(self, value: Any) -> bool:
        """Whether a value is such a text."""
        if value is None:
            return self.null
        return isinstance(value, str) and _can_be_written(value) and (not self.choices or value in self.choices)


def _can_be_written(text: str) -> bool:
    """JSON can spell half a character, "\\ud800", which no file and no screen takes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


ANYTHING: Any = object()
FLAG: Any = bool


def require(value: Any, shape: Any, where: str = "") -> None:
    """Refuse a value that has not the shape.

    Parameters
    ----------
    value : plain values, as JSON or TOML hold them
    shape : Number, Text, FLAG, ANYTHING, a list or a dict
        [shape] is a list of such; {"a": shape, "b?": shape} has a, may have b, and may have others; {str: shape} has
        any keys.
    where : str
        The place in the file, for the message.

    Raises
    ------
    ValueError
        Names the place and what was expected there.
    """
    if isinstance(shape, Number | Text):
        _refuse_unless(shape.holds(value), value, str(shape), where)
    elif shape is FLAG:
        _refuse_unless(isinstance(value, bool), value, "true or false", where)
    elif isinstance(shape, list):
        _refuse_unless(isinstance(value, list), value, "a list", where)
        for number, item in enumerate(value):
            require(item, shape[0], f"{where}[{number}]")
    elif isinstance(shape, dict):
        _refuse_unless(isinstance(value, dict), value, "a table", where)
        for name, inner in _entries(value, shape, where):
            require(value[name], inner, f"{where}.{name}" if where else name)


def _entries(value: Mapping[str, Any], shape: Mapping[Any, Any], where: str) -> list[tuple[str, Any]]:
    """Names that have to be looked at, each with its shape."""
    if str in shape:
        return [(name, shape[str]) for name in value]
    found = []
    for given, inner in shape.items():
        name = given.removesuffix("?")
        if name in value:
            found.append((name, inner))
        elif name == given:
            raise ValueError(f"{f'{where} has' if where else 'it has'} no {name!r}")
    return found


def _refuse_unless(right: bool, value: Any, expected: str, where: str) -> None:
    if not right:
        shown = repr(value)
        shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
        raise ValueError(f"{where or 'it'} is {shown} and should be {expected}")


def read_json(text: str, nan: bool = False) -> Any:
    """Plain values from JSON.

    Raises
    ------
    ValueError
        It is no JSON, is nested without end, or holds NaN or Infinity where `nan` does not allow them.
    """
    try:
        return json.loads(text, parse_constant=None if nan else _no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is no number that JSON knows")
