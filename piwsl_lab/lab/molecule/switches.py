"""What a `MoleculeView` offers beside its picture: switches, a legend, the player of a movie."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Protocol

import ipywidgets as W

from piwsl_lab.lab.parts.knobs import tooltip
from piwsl_lab.lab.quirks import play_name

PREDICTED = "predicted force"
# By the names of `MoleculeView`: words, at the start, help.
SWITCHES = {
    "atom_labels": ("atom labels", False, "Write symbol and number at every atom, such as O2."),
    "show_predicted": (PREDICTED, True, "Arrows of the force that this potential predicts."),
    "show_reference": ("reference force", True, "Wide, pale arrows of the force that is aimed at."),
    "colour_by_error": (
        "colour by force error",
        False,
        "Colour the atoms by the error of their force instead of their element.",
    ),
    "colour_by_energy": (
        "colour by energy of the atom",
        True,
        "Colour the atoms by how much their energy has changed.",
    ),
}


class Switch(Protocol):
    """What a view knows of a switch or of words: a widget, or `Unseen`."""

    value: Any
    description: str
    layout: Any


class Unseen:
    """A switch or words that stand nowhere on the page: it holds a value as a widget does, and costs no model."""

    def __init__(self, value: Any, changed: Callable[[], object] = lambda: None) -> None:
        self._value, self._changed = value, changed
        self.description, self.layout = "", SimpleNamespace(display="none")

    @property
    def value(self) -> Any:
        """As of a widget; `changed` is called when it becomes another one."""
        return self._value

    @value.setter
    def value(self, value: Any) -> None:
        before, self._value = self._value, value
        if value != before:
            self._changed()


def switches(changed: Callable[[], object]) -> dict[str, W.Checkbox]:
    """The checkboxes of a view, by the keys of `SWITCHES`; `changed` is called when one moves."""
    boxes = {}
    for name, (text, on, help_text) in SWITCHES.items():
        box = W.Checkbox(value=on, description=text, indent=False, **tooltip(W.Checkbox, help_text))
        box.layout.width, box.layout.margin = "auto", "0 10px 0 0"
        box.observe(lambda _: changed(), names="value")
        boxes[name] = box
    return boxes


def unseen_switches(changed: Callable[[], object]) -> dict[str, Unseen]:
    """The same without a widget."""
    return {name: Unseen(on, changed) for name, (_, on, _) in SWITCHES.items()}


def legend_below() -> W.HTML:
    """Words below the picture, with room for two lines, used or not: nothing below moves when arrows appear."""
    words = W.HTML()
    words.layout.min_height, words.layout.margin = "36px", "0"
    return words


class MoviePlayer(W.HBox):
    """Play, loop and a slider over the frames of a movie; hidden while there is none.

    Parameters
    ----------
    picture : ipywidgets.Widget
        Its `frame` follows the slider in the page, so that the movie plays while the kernel is busy.
    """

    def __init__(self, picture: W.Widget) -> None:
        self.play = W.Play(interval=80, **tooltip(W.Play, "Play, pause and stop the movie."))
        self._set("repeat", True)
        self.slider = W.IntSlider(
            description="frame", min=0, **tooltip(W.IntSlider, "Which frame of the movie is shown.")
        )
        self.slider.layout.min_width = "200px"
        self.words = W.Label()
        super().__init__([self.words, self.play, self.slider])
        self.layout.flex_flow, self.layout.display = "row wrap", "none"
        self.links = [
            W.jslink((self.play, "value"), (self.slider, "value")),
            W.jslink((self.slider, "value"), (picture, "frame")),
        ]

    def offer(self, frames: int, words: str) -> None:
        """Stand at the first of so many frames."""
        self.run(False)
        self.slider.max = self.play.max = frames - 1
        self.slider.value = self.play.value = 0
        self.words.value = words
        self.layout.display = ""

    def run(self, on: bool) -> None:
        """Play, or pause."""
        self._set("playing", on)

    def hide(self) -> None:
        """Pause, and leave the page."""
        self.run(False)
        self.layout.display = "none"

    def _set(self, name: str, value: bool) -> None:
        setattr(self.play, play_name(self.play, name), value)
