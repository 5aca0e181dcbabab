"""`Player`: at most three knobs, plots beside a molecule, and a line of numbers; it answers at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import ipywidgets as W
import numpy as np

from piwsl_lab.lab.checks.judge import attempt
from piwsl_lab.lab.figures.live import LivePlot
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.parts.closing import close_all
from piwsl_lab.lab.quirks import whole_words

MOST_KNOBS = 3
_STYLE = """<style>
.piwsl-player {color: var(--jp-ui-font-color1, #212121);}
.piwsl-player .widget-html-content {white-space: normal; line-height: 1.4; font-size: 14px; width: 100%;}
.piwsl-player-numbers {font-variant-numeric: tabular-nums; min-height: 20px; margin: 2px 0;}
.piwsl-player .widget-toggle-buttons {margin-right: 14px;}
.piwsl-player .widget-readout {min-width: 44px; max-width: 72px;}
</style>"""


def spread(knob: W.Widget, words: str, most: int) -> None:
    """Let a knob take the room that a line has, up to `most` px; `words` is the CSS width of its description."""
    knob.style.description_width = words
    # Field by field: another Layout would leave the old one behind for ever.
    knob.layout.width, knob.layout.flex = "auto", "1 1 220px"
    knob.layout.min_width, knob.layout.max_width = "200px", f"{most}px"


class Player(W.VBox):
    """A small panel of a lesson.

    Parameters
    ----------
    knobs : mapping of name → widget with a `value`
        At most three.
    plot : LivePlot
    molecule : MoleculeView, optional
        Beside the plot; `legend` says in words what it shows.
    legend : str, optional
    shares : pair of int, optional
        Widths of plot and molecule.

    Raises
    ------
    ValueError
        More than three knobs.
    """

    _closed = True  # until it is made: ipywidgets closes what an error left half made

    def __init__(
        self, knobs: Mapping[str, W.Widget], plot: LivePlot, molecule: MoleculeView | None = None,
        legend: str = "", shares: tuple[int, int] = (14, 10),
    ) -> None:  # fmt: skip
        if len(knobs) > MOST_KNOBS:
            raise ValueError(f"a player has at most {MOST_KNOBS} knobs, not {len(knobs)}")
        self.knobs, self.plot, self._molecule = dict(knobs), plot, molecule
        self._guard = threading.RLock()
        self.numbers = W.HTML(layout=W.Layout(width="100%", margin="0 2px"))
        self._said = ""
        row = W.Layout(display="flex", flex_flow="row wrap", width="100%", overflow="hidden", align_items="center")
        stage = [W.VBox([plot.widget], layout=W.Layout(flex=f"{shares[0]} 1 380px", min_width="300px"))]
        if molecule is not None:
            words = W.HTML(f'<span style="font-size:12.5px">{legend}</span>', layout=W.Layout(margin="0 4px"))
            layout = W.Layout(flex=f"{shares[1]} 1 260px", min_width="220px", overflow="hidden")
            stage.append(W.VBox([molecule, words], layout=layout))
        super().__init__(
            [
                W.HTML(_STYLE, layout=W.Layout(display="none")),
                W.Box(list(self.knobs.values()), layout=row),
                self.numbers,
                W.Box(stage, layout=W.Layout(display="flex", flex_flow="row wrap", width="100%", overflow="hidden")),
            ],
            layout=W.Layout(width="100%", overflow="hidden"),
        )
        self._closed = False
        self.add_class("piwsl-player")
        for knob in self.knobs.values():
            knob.observe(lambda _: self.draw(), "value")
        self.draw()

    def __repr__(self) -> str:
        """What it shows, in words: a page without widgets has them too."""
        return f"{type(self).__name__}: {self._said}"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """As of ipywidgets, which cuts the words after 110 letters."""
        return whole_words(self, super()._repr_mimebundle_(**options))

    @property
    def molecule(self) -> MoleculeView:
        """The molecule beside the plot.

        Raises
        ------
        ValueError
            This player has none.
        """
        if self._molecule is None:
            raise ValueError(f"{type(self).__name__} shows no molecule")
        return self._molecule

    def value(self, name: str) -> Any:
        """Where a knob stands."""
        return self.knobs[name].value

    def draw(self) -> None:
        """Show what the knobs say; called whenever one moves."""
        with self._guard:
            self.say(self.show())

    def show(self) -> str:
        """Draw plots and molecule; returns the line of numbers."""
        raise NotImplementedError

    def say(self, words: str) -> None:
        """Put words into the line of numbers."""
        self._said = words
        self.numbers.value = f'<div class="piwsl-player-numbers">{escape(words)}</div>'

    def close(self) -> None:
        """Take the player from the screen and its state from the kernel."""
        if self._closed:
            return
        self._closed = True
        children = self.children
        self.plot.close()
        if self._molecule is not None:
            self._molecule.close()
        super().close()
        close_all(self.layout, *children)


class Yours:
    """A learner's function as a figure needs it: it may be blank, fail, or give another shape.

    Parameters
    ----------
    function : callable or None

    Attributes
    ----------
    words : str
        Why nothing can be drawn; empty where something can.
    """

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self.function, self.words = function, ""

    def __call__(self, *arguments: Any) -> np.ndarray | None:
        """Its result as a float array, or None, with a reason in `words`."""
        if self.function is None:
            return None
        value, self.words = attempt(self.function, *arguments)
        return value

    def said(self, value: np.ndarray | None, unit: str = "", form: str = ".4g", name: str = "") -> str:
        """What to add to the line of numbers: the learner's own number, or why there is none."""
        if self.function is None:
            return ""
        if value is None:
            return f" {self.words}"
        number = "not one number" if np.ndim(value) and np.size(value) != 1 else f"{float(np.ravel(value)[0]):{form}}"
        return f" Yours: {name}{number}{unit}."

    def over(self, points: Sequence[Any]) -> np.ndarray:
        """Its results for one point after the other; nan where there is none."""
        found = [self(*point) for point in points]
        return np.array([np.nan if value is None or np.ndim(value) else float(value) for value in found], dtype=float)
