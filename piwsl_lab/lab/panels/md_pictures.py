"""The molecules of a flight side by side: a caption above each, one row of switches and one legend for all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import ipywidgets as W
import numpy as np
from ase.geometry import wrap_positions

from piwsl_lab.analysis.spectra import bond_lengths
from piwsl_lab.data import Frame
from piwsl_lab.lab.figures.md import BROKEN
from piwsl_lab.lab.molecule import scene
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.panels.md_controls import line, row, words_line
from piwsl_lab.lab.parts.colours import REFERENCE, name_colours
from piwsl_lab.lab.parts.knobs import tooltip
from piwsl_lab.lab.parts.units import ps
from piwsl_lab.lab.sessions import md_views
from piwsl_lab.lab.sessions.md import FlightSession, Track
from piwsl_lab.md.forces import LearnedForces, OracleForces

HEIGHT = "var(--piwsl-deck-view, 160px)"
SUBTRACTED = "predicted − reference force"
SWITCHES = {  # of every picture at once: name in `MoleculeView`, words, at the start, help
    "atom_labels": ("atom labels", False, "Symbol and number at every atom, such as O2."),
    "show_predicted": ("predicted force", True, "Arrows of the predicted forces, in the colour of the pilot."),
    "show_reference": ("reference force (wide, pale)", True, "Wide, pale arrows: the forces of the reference method."),
    "colour_by_error": ("colour by force error", False, "Dark atoms have a large force error; off: element colours."),
    "colour_by_energy": (
        "colour by energy",
        True,
        "Red atoms have gained energy since the start, blue ones lost.",
    ),
}


class FlightPictures:
    """Every pilot of a session at one moment of its flight.

    Parameters
    ----------
    session : FlightSession
    colours : mapping of name → "#rrggbb"

    Attributes
    ----------
    grid, switch_row : ipywidgets
        The molecules in equal columns; what is shown of all of them, and what it means.
    """

    def __init__(self, session: FlightSession, colours: Mapping[str, str]) -> None:
        self.session, self.colours, self.contents = session, colours, md_views.Views(session)
        frame = session.frame
        self.views = {
            name: MoleculeView(frame.numbers, frame.positions, frame.cell, frame.pbc, HEIGHT, bare=True)
            for name in colours
        }
        self.captions = {name: words_line(width="100%") for name in colours}
        self.switches = {
            name: W.Checkbox(
                value=on, description=title, indent=False,
                layout=W.Layout(flex="0 0 auto", width="auto", margin="2px 12px 2px 2px"),
                **tooltip(W.Checkbox, help_text),
            )
            for name, (title, on, help_text) in SWITCHES.items()
        }  # fmt: skip
        self.legend = words_line(flex="1 1 250px")
        self.legend.layout.height = "32px"
        columns = []
        for name, view in self.views.items():
            box = W.Layout(min_width="0", overflow="hidden")
            columns.append(W.VBox([self.captions[name], view], layout=box))
        grid = W.Layout(width="100%", grid_template_columns=f"repeat({len(colours)}, minmax(0, 1fr))", grid_gap="0 6px")
        self.grid, self.switch_row = W.GridBox(columns, layout=grid), row([*self.switches.values(), self.legend])
        for name, switch in self.switches.items():
            self.switch(name, switch.value)

    def on_pick(self, callback: Callable[[int], object]) -> None:
        """Call back with the index of an atom that was clicked in any picture."""
        for view in self.views.values():
            view.on_pick(callback)

    def switch(self, name: str, on: bool) -> None:
        """Turn one of `SWITCHES` on or off in all pictures."""
        for view in self.views.values():
            getattr(view, name).value = on

    def draw(self, tracks: Mapping[str, Track], moment: float, replica: int, quantity: str) -> None:
        """Show one replica of every track at a time (fs), as one of `md_views.TITLES`."""
        marked = False
        for name, view in self.views.items():
            track = tracks[name]
            k, frame = track.at(moment), track.frame
            if not np.array_equal(view.numbers, frame.numbers):
                view.set_molecule(frame.numbers, frame.positions, frame.cell, frame.pbc)
            drawn = self.contents.of(name, track, k, replica, quantity)
            length = bond_lengths(track.positions[k][replica : replica + 1], track.bonds.pairs, frame)[0]
            broken = track.bonds.pairs, np.abs(length - track.bonds.length) > BROKEN
            marked |= bool(broken[1].any())
            view.show(track.positions[k][replica] + _wrap(frame), colour=self.colours[name], broken=broken, **drawn)
            self.captions[name].value = line(self._caption(name, track, k, replica), "piwsl-caption")
        self._draw_switches(quantity, marked)

    def _caption(self, name: str, track: Track, k: int, replica: int) -> str:
        """The pilot's colour, name and state; how it was lost, if it was."""
        words = f"{track.temperature[k][replica]:.0f} K, bond {track.stretch[k][replica]:.2f} Å off"
        if not track.alive[k][replica]:
            loss = self.session.simulations[name].lost[replica]
            words = f'<b class="piwsl-error">lost</b> at {ps(loss.time):.3f} ps: {escape(loss.reason)}'
        return f'<span style="color:{self.colours[name]}">■</span> <b>{escape(name)}</b> {words}'

    def _draw_switches(self, quantity: str, broken: bool) -> None:
        """Offer the switches of what can be seen, and say what is."""
        there = {
            "atom_labels": True,
            "show_predicted": True,
            "show_reference": quantity == md_views.BESIDE,
            "colour_by_error": quantity in md_views.NEED_REFERENCE,
            "colour_by_energy": quantity == md_views.ENERGIES,
        }
        for name, switch in self.switches.items():
            switch.layout.display = "" if there[name] else "none"
        predicted = self.switches["show_predicted"]
        predicted.description = SUBTRACTED if quantity == md_views.DIFFERENCE else SWITCHES["show_predicted"][0]
        self.legend.value = shared_legend({name for name in there if there[name] and self.switches[name].value}, broken)

    def close(self) -> None:
        """Take the pictures from page and kernel; the deck closes `grid` and `switch_row`."""
        for view in self.views.values():
            view.close()
        del self.session, self.contents  # the flight must not stay in memory with a closed deck


def pilot_colours(session: FlightSession) -> dict[str, str]:
    """Colours of pilots by their names: where its forces come from decides, unless its name does."""
    heads = {}
    for name, simulation in session.simulations.items():
        field = simulation.field
        potential = field.potential if isinstance(field, LearnedForces) else None
        heads[name] = REFERENCE if isinstance(field, OracleForces) else getattr(potential, "head", "")
    return name_colours(heads, heads)


def shared_legend(seen: set[str], broken: bool) -> str:
    """What the switches do not say, for all pictures: scale of the arrows, broken bonds; below it the atom colours."""
    words = ["arrows in the pilot's colour"] if "show_predicted" in seen else []
    if seen & {"show_predicted", "show_reference"}:
        words.append(f"1 eV/Å is {scene.ARROW_SCALE:g} Å long")
    words += [f'<span style="color:{scene.BROKEN_COLOUR}">▬</span> broken bond'] if broken else []
    bars = ""
    if "colour_by_error" in seen:
        bars += "atoms, error in eV/Å: " + _bar(scene.ERROR_EDGES, scene.ERROR_COLOURS)
    if "colour_by_energy" in seen:
        bars += "atoms, meV since the start: " + _bar(scene.ENERGY_EDGES, scene.ENERGY_COLOURS)
    lines = [line(part, "piwsl-legend") for part in (" · ".join(words), bars) if part]
    return f'<div class="piwsl-legends">{"".join(lines)}</div>'


def _bar(edges: tuple[float, ...], colours: tuple[str, ...]) -> str:
    """Colours in a row with the edges between them."""
    words = ["", *(f" {edge:g} " for edge in edges)]
    return "".join(f'{word}<span style="color:{colour}">██</span>' for word, colour in zip(words, colours, strict=True))


def _wrap(frame: Frame) -> np.ndarray:
    """What brings the first positions into their cell, [n, 3], Å; atoms that leave it later keep their bonds."""
    if not np.any(frame.pbc):
        return np.zeros_like(frame.positions)
    return wrap_positions(frame.positions, frame.cell, frame.pbc) - frame.positions
