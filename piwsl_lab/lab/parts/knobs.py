"""One way to make every kind of knob: sliders over round values, dropdowns, checkboxes, each with words and help."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as W

from piwsl_lab.lab.quirks import tooltip_name

STRENGTHS = (0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 50, 100, 300, 1000)
HELD_OUT = "held-out frames"  # stands for None, which a Dropdown takes for "nothing chosen"


def tooltip(widget_class: type[W.Widget], text: str) -> dict[str, str]:
    """The keyword argument for a tooltip."""
    return {tooltip_name(widget_class): text}


def steps(title: str, values: Collection[float], value: float, help_text: str, off: bool = False) -> W.SelectionSlider:
    """A slider with equally spaced stops at round values; `value` is added where it is not among them."""
    options = [("off" if off and v == 0 else shown(v), v) for v in sorted({*values, value})]
    return W.SelectionSlider(
        options=options, value=value, description=title, continuous_update=True, **knob(W.SelectionSlider, help_text)
    )


def weight(title: str, value: float, help_text: str) -> W.SelectionSlider:
    """A slider for the weight of a term; its left end is "off"."""
    return steps(title, STRENGTHS, value, help_text, off=True)


def dropdown(title: str, options: Sequence[tuple[str, Any]], value: Any, help_text: str) -> W.Dropdown:
    """A dropdown of words and the values that they stand for."""
    return W.Dropdown(options=options, value=value, description=title, **knob(W.Dropdown, help_text))


def checkbox(title: str, value: bool, help_text: str) -> W.Checkbox:
    """A checkbox with its words at the right."""
    return W.Checkbox(
        value=value, description=title, indent=False, layout=W.Layout(width="98%"), **tooltip(W.Checkbox, help_text)
    )


def choice(options: Sequence[str], help_texts: Sequence[str], width: str, **more: Any) -> W.ToggleButtons:
    """A row of buttons of which one is down; each says what it shows."""
    return W.ToggleButtons(options=options, tooltips=list(help_texts), style={"button_width": width}, **more)


def button(text: str, icon: str, style: str, help_text: str) -> W.Button:
    """A button; `icon` is a name of Font Awesome, `style` is "success", "danger" or another one of ipywidgets."""
    layout = W.Layout(width="auto", flex="0 0 auto")
    return W.Button(description=text, icon=icon, button_style=style, tooltip=help_text, layout=layout)


def mark() -> W.HTML:
    """Words below a knob that follows a schedule."""
    mark = W.HTML("follows a schedule; move it to take over", layout=W.Layout(width="98%", height="14px", margin="0"))
    mark.add_class("piwsl-schedule")
    return mark


def put(knob: W.Widget, stops: Sequence[tuple[str, Any]], value: Any) -> None:
    """Move a knob; a slider without a stop at the value moves its nearest stop there."""
    if not isinstance(knob, W.SelectionSlider):
        knob.value = value
        return
    options = list(stops)
    if all(stop != value for _, stop in stops):
        # "off" stays, and so does the number of stops: somebody may be dragging the slider just now.
        nearest = min((k for k, (_, stop) in enumerate(stops) if stop), key=lambda k: abs(stops[k][1] - value))
        options[nearest] = (shown(value), value)
    with knob.hold_sync():
        if list(knob.options) != options:
            knob.options = options
        knob.value = value


def knob(widget_class: type[W.Widget], help_text: str) -> dict[str, Any]:
    """Keyword arguments that all sliders and dropdowns have in common."""
    return {
        "style": {"description_width": "142px"},
        "layout": W.Layout(width="98%"),
        **tooltip(widget_class, help_text),
    }


def compact(slider: W.Widget, words_width: str, flex: str) -> W.Widget:
    """A knob that stands beside others in one line."""
    slider.style.description_width = words_width
    slider.layout.width, slider.layout.flex, slider.layout.min_width = "auto", flex, "130px"
    slider.add_class("piwsl-knob")
    return slider


def fold(title: str, knobs: Sequence[W.Widget]) -> W.VBox:
    """Knobs in as many columns as there is room for, under a title; closed at first."""
    grid = W.Layout(display="grid", grid_template_columns="repeat(auto-fill, minmax(330px, 1fr))", width="100%")
    words = W.HTML(f'<div class="piwsl-fold-title"><b>{escape(title)}</b></div>')
    box = W.VBox([words, W.Box(list(knobs), layout=grid)], layout=W.Layout(width="auto"))
    box.add_class("piwsl-fold")
    return box


def titled(choices: Mapping[Any, str]) -> list[tuple[str, Any]]:
    """The options of a dropdown from one of the tables of `piwsl_lab.names`."""
    return [(title, choice) for choice, title in choices.items()]


def shown(value: Any) -> str:
    """A value as a knob writes it."""
    if value is None:
        return HELD_OUT
    return f"{value:g}" if isinstance(value, float) else str(value)
