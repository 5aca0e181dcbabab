"""Values that no file should hold, and ways to put them somewhere into a tree of lists and tables."""

from __future__ import annotations

import copy
import datetime
import json
import math
from random import Random
from typing import Any

NUMBERS = (
    "nan", "inf", "-inf", "1e300", "-1e300", "1e308", "1e400", "-0.0", "0", "-1", "1e9", "1000000000", "1e-9", "1e-300",
    "9" * 25, "9" * 400, "1e30", "2.5", "0x10", "1_000", "١٢", "1,5", "1.2.3", "1e", "--1", "T", "True", "none",
    "*****",
)  # fmt: skip
WORDS = (
    "", " ", "nan", "T", "é", "日本", "\u0000", "\ufeff", "\u202e", "x" * 300, "x" * 100_000, "../../etc/passwd",
    "[" * 50, "'", '"', "{}", "\\", "%s", "=", "1e9", "<script>",
)  # fmt: skip
# As JSON can say them: nan and inf are its usual lie.
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2.5, -0.0, 1e9, 1e300, -1e300, 1e-300, math.nan, math.inf, -math.inf, 10**9, 2**63,
    10**25, -(10**25), 10**400, "", "x", "nan", "1e9", "é\u202e", "\u0000", "\ud800", "y" * 300, "z" * 100_000, [],
    {}, [[]], [1], [[1, 2], [3]], [None], ["a", 1], {"a": {}}, {"": None}, [0] * 1000,
)  # fmt: skip
DATES = (datetime.date(2021, 11, 21), datetime.datetime(2021, 11, 21, 7, 0), datetime.time(7, 0))


def paths(tree: Any, above: tuple = ()) -> list[tuple]:
    """The place of every value in a tree, as the keys that lead there."""
    found = [above] if above else []
    if isinstance(tree, dict):
        return found + [place for key, value in tree.items() for place in paths(value, (*above, key))]
    if isinstance(tree, list):
        return found + [place for key, value in enumerate(tree) for place in paths(value, (*above, key))]
    return found


def holder(tree: Any, place: tuple) -> Any:
    """The list or table that a place is in."""
    for key in place[:-1]:
        tree = tree[key]
    return tree


def damage(tree: Any, random: Random, values: tuple[Any, ...] = VALUES, times: int = 1) -> Any:
    """A copy of a tree with something wrong at `times` random places."""
    tree = copy.deepcopy(tree)
    for _ in range(times):
        places = paths(tree)
        if not places:
            return tree
        _once(tree, pick_place(places, random), random, values)
    return tree


def pick_place(places: list[tuple], random: Random) -> tuple:
    """A place at random; one level down is as likely as another, however many values it holds."""
    depth = random.choice(sorted({len(place) for place in places}))
    return random.choice([place for place in places if len(place) == depth])


def _once(tree: Any, place: tuple, random: Random, values: tuple[Any, ...]) -> None:
    inside, key = holder(tree, place), place[-1]
    way = random.choice(("replace",) * 6 + ("delete", "rename", "wrap", "twice", "deep", "swap"))
    if way == "replace":
        inside[key] = copy.deepcopy(random.choice(values))
    elif way == "delete":
        del inside[key]
    elif way == "rename" and isinstance(inside, dict):
        inside[random.choice(("x", "", "é", key * 40, key.upper()))] = inside.pop(key)
    elif way == "wrap":
        inside[key] = random.choice(([inside[key]], {"value": inside[key]}, str(inside[key])))
    elif way == "twice" and isinstance(inside, list):
        inside.insert(key, copy.deepcopy(inside[key]))
    elif way == "deep":
        inside[key] = nested(200)
    else:
        other = random.choice(list(inside)) if isinstance(inside, dict) else random.randrange(len(inside))
        inside[key], inside[other] = inside[other], inside[key]


def nested(depth: int) -> list:
    """A list in a list in a list."""
    tree: list = []
    for _ in range(depth):
        tree = [tree]
    return tree


def as_json(tree: Any) -> bytes:
    """JSON as Python writes it, with NaN and lone surrogates as escapes."""
    return json.dumps(tree).encode()


def as_toml(table: dict[str, Any]) -> bytes:
    """TOML with one line a key; None, which TOML has not, becomes a word."""
    return "\n".join(f"{_key(key)} = {_toml(value)}" for key, value in table.items()).encode("utf-8", "surrogatepass")


def _key(key: str) -> str:
    return json.dumps(str(key), ensure_ascii=False)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return json.dumps("nil" if value is None else value)
