"""Closes widgets that are no longer shown: ipywidgets keeps each of them in memory until it is closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets as W


def close_all(*roots: W.Widget) -> None:
    """Close widgets and all widgets among their traits: children, layouts, styles; each once."""
    found: dict[int, W.Widget] = {}
    waiting = list(roots)
    while waiting:
        widget = waiting.pop()
        if id(widget) not in found:
            found[id(widget)] = widget
            waiting += [held for name in widget.keys for held in _widgets(getattr(widget, name))]
    for widget in found.values():
        widget.close()
        widget.unobserve_all()


def _widgets(value: Any) -> Iterator[W.Widget]:
    if isinstance(value, W.Widget):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _widgets(item)
