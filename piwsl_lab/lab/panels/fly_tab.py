"""`FlyTab`: the tab of a dashboard where its potentials move a molecule, side by side."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import ipywidgets as W

from piwsl_lab.data import Oracle
from piwsl_lab.data.oracle import METHODS
from piwsl_lab.lab.panels.md import FlightDeck
from piwsl_lab.lab.sessions.md import FlightSession
from piwsl_lab.lab.sessions.training import Session


class FlyTab(W.VBox):
    """Empty until it is opened; then it holds a `FlightDeck`.

    Attributes
    ----------
    deck : FlightDeck or None
    """

    children: tuple[W.Widget, ...]

    def __init__(self) -> None:
        super().__init__(layout=W.Layout(width="100%", overflow="hidden"))
        self.deck: FlightDeck | None = None

    def open_deck(self, session: Session, k: int) -> None:
        """Let the twins of a session start at its test frame k, and the method that made the labels with them."""
        if self.deck is None:
            flight = FlightSession(partial(_pilots, session), session.test_frames[k], reference=list(session.task.test))
            self.deck = FlightDeck(flight)
            self.children = (self.deck,)

    def close_deck(self) -> None:
        """Stop the flight and take it from the screen; `open_deck` makes a new one."""
        if self.deck is not None:
            self.children = ()
            self.deck.close()
            self.deck = None


def _pilots(session: Session) -> dict[str, Any]:
    """Copies of the potentials as they are now: training may go on while they fly."""
    with session.lock:
        pilots: dict[str, Any] = {
            twin.name: copy.deepcopy(twin.potential).eval().requires_grad_(False) for twin in session.twins
        }
    method = session.task.test.metadata.method
    if method in METHODS.values():
        pilots[method] = Oracle(method)
    return pilots
