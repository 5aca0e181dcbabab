"""Packages that load a public name when it is first used, so that importing them stays instant."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package whose names live in its modules (PEP 562).

    Parameters
    ----------
    package : str
        Its `__name__`.
    homes : mapping
        The module of every public name, relative to the package: {"Setup": "setup"}. A module that is public itself
        stands for itself: {"page": "figures.page"} where the name is the last part of its home.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{homes[name]}")
        value = module if homes[name].rpartition(".")[2] == name else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__, lambda: sorted(homes)
