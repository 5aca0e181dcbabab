"""The knobs of a flight deck and its lines of words; `FlightDeck` connects them to a flight."""

from __future__ import annotations

import re
from typing import Any

import ipywidgets as W

from piwsl_lab.lab.parts.colours import ON_DARK
from piwsl_lab.lab.parts.knobs import button, dropdown, put, shown, steps, tooltip
from piwsl_lab.lab.sessions import md_views
from piwsl_lab.names import ENSEMBLES

TEMPERATURES = (50, 100, 200, 300, 400, 500, 700, 1000)
TIME_STEPS = (0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
MOST_REPLICAS = 64
_DARK = 'body[data-jp-theme-light="false"] .piwsl-deck'
# Pictures and curves follow the height of the window: a projector has 720 lines, a desk more.
# Every line of words has its height from the start: longer words end in "…", and their tooltip says all of them.
CSS = f"""<style>
.piwsl-deck {{--piwsl-error: #b00020; --piwsl-warn: #a65200; --piwsl-deck-view: clamp(150px, 22vh, 320px);
  --piwsl-deck-plots: clamp(226px, 36vh, 440px);}}
.piwsl-deck.piwsl-more {{--piwsl-deck-plots: clamp(226px, 31.5vh, 440px);}}
{_DARK} button:disabled {{color: #fff;}}
{_DARK} {{--piwsl-error: #ff8a80; --piwsl-warn: #ffb74d;}}
{"".join(f'{_DARK} [style*="color:{light}" i] {{color: {dark} !important;}}' for light, dark in ON_DARK.items())}
.piwsl-deck .piwsl-line {{display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; height: 18px;
  line-height: 18px; font-size: 13px; font-variant-numeric: tabular-nums; cursor: default;}}
.piwsl-deck .piwsl-caption {{font-size: 12px;}}
.piwsl-deck .piwsl-legends {{display: flex; flex-direction: column; justify-content: center; height: 32px;}}
.piwsl-deck .piwsl-legend {{height: 16px; line-height: 16px; font-size: 12px;}}
.piwsl-deck .widget-readout {{min-width: 34px; width: 34px; margin: 0 6px 0 4px;}}
.piwsl-deck .widget-html {{min-width: 0;}}
.piwsl-deck .widget-html-content {{flex: 1 1 auto; width: 100%; line-height: 16px; min-width: 0;}}
.piwsl-deck .widget-button, .piwsl-deck .widget-toggle-button {{padding: 0 7px;}}
.piwsl-deck.jupyter-widgets-disconnected::before {{display: block; font: 600 14px/20px sans-serif !important;
  content: "The kernel has ended or was restarted: run the cells again." !important; padding: 6px 10px;
  background: #ffe9b8; color: #3d2b00;}}
.piwsl-dashboard .piwsl-deck.jupyter-widgets-disconnected::before {{display: none;}}
</style>"""


def line(words: str, kind: str = "") -> str:
    """Words (HTML) in one line of fixed height; what does not fit is in its tooltip."""
    plain = re.sub(r"<[^>]+>", "", words).replace('"', "&quot;")
    return f'<div class="piwsl-line {kind}" title="{plain}">{words}</div>'


class FlightControls:
    """The knobs of a deck, in three rows: `strip` is always there, `extra` opens below it, `time` says what is shown.

    Parameters
    ----------
    settings : dict
        Of a `FlightSession`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.start = button("Fly", "play", "success", "Let all pilots fly, or fly on.")
        self.stop = button("Pause", "pause", "danger", "Stop after the present steps; Fly goes on from there.")
        self.reset = button("Start anew", "refresh", "", "Back to the first frame, with new potentials and settings.")
        self.save = button("Save", "download", "", "Write frames, movie and curves of this replica into a new folder.")
        self.more = W.ToggleButton(
            description="More", icon="sliders", layout=W.Layout(width="auto"),
            **tooltip(W.ToggleButton, "Ensemble, number of replicas, what the arrows show, what is measured."),
        )  # fmt: skip
        self.temperature = steps(
            "temperature, K", TEMPERATURES, settings["temperature"],
            "Acts at once: a heat bath is set to it; at constant energy the velocities are scaled.",
        )  # fmt: skip
        self.time_step = steps(
            "time step, fs", TIME_STEPS, settings["time_step"], "Acts at once. Hydrogen wants 0.5 fs or less."
        )
        self._make_extra(settings)
        self._make_time(settings)
        self.status = words_line(width="100%")
        self._arrange()

    def _make_extra(self, settings: dict[str, Any]) -> None:
        """The knobs that *More* opens."""
        titles = [(title, name) for name, title in ENSEMBLES.items()]
        self.ensemble = dropdown("ensemble", titles, settings["ensemble"], "Acts when you press Start anew.")
        self.replicas = W.BoundedIntText(
            value=settings["replicas"], min=1, max=MOST_REPLICAS, description="replicas",
            style={"description_width": "60px"}, layout=W.Layout(),
            **tooltip(W.BoundedIntText, "How many copies fly at once; acts when you press Start anew."),
        )  # fmt: skip
        titles = [(title, name) for name, title in md_views.TITLES.items()]
        self.quantity = dropdown(
            "show",
            titles,
            md_views.FORCES,
            "Arrows and colours; reference forces come from the method that flies along.",
        )  # fmt: skip
        self.measure = W.Text(
            description="measure atoms", placeholder="click 2 to 4 atoms, or type 0 2", continuous_update=False,
            style={"description_width": "108px"}, layout=W.Layout(),
            **tooltip(W.Text, "Two atoms: distance, three: angle, four: dihedral angle. Click them or type numbers."),
        )  # fmt: skip

    def _make_time(self, settings: dict[str, Any]) -> None:
        """Which moment of which replica is shown."""
        self.replica = dropdown(
            "replica", replica_options(settings["replicas"]), 0, "Which copy is shown; each began with its own speeds."
        )
        self.play = W.Play(
            interval=80, min=0, max=0, show_repeat=False, layout=W.Layout(flex="0 0 auto"),
            **tooltip(W.Play, "Play what has been flown; the square goes back to the start."),
        )  # fmt: skip
        self.cursor = W.IntSlider(
            min=0, max=0, description="time", readout=False, style={"description_width": "40px"},
            layout=W.Layout(flex="1 1 200px", width="auto", min_width="120px"),
            **tooltip(W.IntSlider, "Which moment is shown. A click into a curve goes there too."),
        )  # fmt: skip
        self.follow = W.Checkbox(
            value=True, description="newest moment", indent=False, layout=W.Layout(flex="0 0 auto", width="auto"),
            **tooltip(W.Checkbox, "Always show the newest moment; moving the time switches this off."),
        )  # fmt: skip
        self.moment = words_line(flex="0 0 84px")
        self.moment.layout.margin = "0 0 0 10px"  # the handle of the slider is wide

    def show(self, settings: dict[str, Any]) -> None:
        """Put the knobs where a session is: a cell may have changed it, or begun anew."""
        if len(self.replica.options) != settings["replicas"]:
            self.replica.options = replica_options(settings["replicas"])
            self.replicas.value = settings["replicas"]
        for knob, name, stops in (
            (self.temperature, "temperature", TEMPERATURES),
            (self.time_step, "time_step", TIME_STEPS),
        ):
            if knob.value != settings[name]:
                put(knob, [(shown(stop), stop) for stop in stops], settings[name])

    def pending(self, settings: dict[str, Any]) -> str:
        """Which knobs wait for *Start anew*, as a sentence; "" where none does."""
        waiting = []
        if self.ensemble.value != settings["ensemble"]:
            waiting.append(ENSEMBLES[self.ensemble.value])
        if self.replicas.value != settings["replicas"]:
            waiting.append(f"{self.replicas.value} replicas")
        return f"Waiting for Start anew: {', '.join(waiting)}." if waiting else ""

    def _arrange(self) -> None:
        sizes = {
            self.temperature: ("102px", "1 1 220px", "220px"),
            self.time_step: ("82px", "1 1 200px", "200px"),
            self.replica: ("48px", "0 0 106px", "100px"),
            self.ensemble: ("64px", "1 1 220px", "200px"),
            self.replicas: ("60px", "0 0 130px", "120px"),
            self.quantity: ("44px", "1 1 230px", "200px"),
            self.measure: ("108px", "1 1 200px", "190px"),
        }
        for knob, (words, flex, least) in sizes.items():
            knob.style.description_width = words
            knob.layout.flex, knob.layout.min_width, knob.layout.width = flex, least, "auto"
        self.strip = row([self.start, self.stop, self.reset, self.save, self.more, self.temperature, self.time_step])
        self.extra = row([self.ensemble, self.replicas, self.quantity, self.measure])
        self.extra.layout.display = "none"
        self.time = row([self.play, self.cursor, self.moment, self.follow, self.replica])


def replica_options(count: int) -> list[tuple[str, int]]:
    """Options of a dropdown: the numbers of all replicas."""
    return [(str(k), k) for k in range(count)]


def words_line(**layout: str) -> W.HTML:
    """A line of words that keeps its height."""
    return W.HTML(layout=W.Layout(height="18px", margin="0", min_width="0", overflow="hidden", **layout))


def row(widgets: list[W.Widget]) -> W.Box:
    """Widgets side by side; where a page is too narrow for them they go on below."""
    box = W.Box(widgets, layout=W.Layout(display="flex", flex_flow="row wrap", width="100%", align_items="center"))
    box.add_class("piwsl-deck-row")
    return box
