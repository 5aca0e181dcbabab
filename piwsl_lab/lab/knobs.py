"""One way to make every kind of knob: sliders over round values, dropdowns, checkboxes, each with words and help."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets as W

STRENGTHS = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 50, 100, 300, 1000)
HELD_OUT = "held-out frames"  # stands for None, which a Dropdown takes for "nothing chosen"


def tooltip(widget_class: type[W.Widget], text: str) -> dict[str, str]:
    """The keyword for a tooltip: it has another name in ipywidgets 7 (Google Colab)."""
    return {"tooltip" if widget_class.class_traits().get("tooltip") else "description_tooltip": text}


def steps(title: str, values: Sequence[float], value: float, help_text: str, off: bool = False) -> W.SelectionSlider:
    """A slider over round values, a logarithmic scale to the hand; `value` is added where it is not among them."""
    options = [("off" if off and v == 0 else shown(v), v) for v in sorted({*values, value})]
    return W.SelectionSlider(
        options=options, value=value, description=title, continuous_update=True, **knob(W.SelectionSlider, help_text)
    )


def weight(title: str, value: float, help_text: str) -> W.SelectionSlider:
    return steps(title, STRENGTHS, value, help_text, off=True)


def dropdown(title: str, options: Sequence[tuple[str, Any]], value: Any, help_text: str) -> W.Dropdown:
    return W.Dropdown(options=options, value=value, description=title, **knob(W.Dropdown, help_text))


def checkbox(title: str, value: bool, help_text: str) -> W.Checkbox:
    return W.Checkbox(
        value=value, description=title, indent=False, layout=W.Layout(width="98%"), **tooltip(W.Checkbox, help_text)
    )


def mark() -> W.HTML:
    """Words below a knob that moves by itself."""
    mark = W.HTML("follows a schedule; move it to take over", layout=W.Layout(width="98%", height="14px", margin="0"))
    mark.add_class("piwsl-schedule")
    return mark


def put(knob: W.Widget, stops: Sequence[tuple[str, Any]], value: Any) -> None:
    """Move a knob; a slider without a stop at the value gives up its nearest one for it."""
    if not isinstance(knob, W.SelectionSlider):
        knob.value = value
        return
    options = list(stops)
    if all(stop != value for _, stop in stops):
        # Never "off", and never one more stop: what a hand is doing just now keeps its meaning.
        nearest = min((k for k, (_, stop) in enumerate(stops) if stop), key=lambda k: abs(stops[k][1] - value))
        options[nearest] = (shown(value), value)
    with knob.hold_sync():
        if list(knob.options) != options:
            knob.options = options
        knob.value = value


def knob(widget_class: type[W.Widget], help_text: str) -> dict[str, Any]:
    return {
        "style": {"description_width": "122px"},
        "layout": W.Layout(width="98%"),
        **tooltip(widget_class, help_text),
    }


def group(title: str, knobs: list[W.Widget]) -> W.VBox:
    box = W.VBox(
        [W.HTML(f"<b>{title}</b>"), *knobs], layout=W.Layout(flex="1 1 300px", margin="2px", min_width="290px")
    )
    box.add_class("piwsl-group")
    return box


def titled(names: Sequence[str], titles: dict[str, str]) -> list[tuple[str, str]]:
    return [(titles.get(name, name), name) for name in names]


def shown(value: Any) -> str:
    if value is None:
        return HELD_OUT
    return f"{value:g}" if isinstance(value, float) else str(value)
