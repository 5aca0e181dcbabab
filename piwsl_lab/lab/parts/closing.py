"""Widgets that nobody shows any more: ipywidgets keeps each of them alive until it is closed, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets as W


def close_all(*roots: W.Widget) -> None:
    """Close widgets with everything they hold: children, layouts, styles; each once, also one that holds itself."""
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
