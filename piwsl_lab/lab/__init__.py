"""The laboratory on the screen: sessions, figures, molecules, panels. Only this package imports widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piwsl_lab.support.faces import lazy

if TYPE_CHECKING:
    from piwsl_lab.lab.figures import page
    from piwsl_lab.lab.molecule.view import MoleculeView
    from piwsl_lab.lab.panels.dashboard import Dashboard
    from piwsl_lab.lab.panels.md import FlightDeck
    from piwsl_lab.lab.panels.study import StudyFilter
    from piwsl_lab.lab.parts.colours import name_colours
    from piwsl_lab.lab.players.bond import BondPlayer, SlopePlayer
    from piwsl_lab.lab.players.labels import UNITS, LabelPlayer, UnitPlayer, parts_of_error
    from piwsl_lab.lab.players.springs import AdvicePlayer, BiasPlayer, SpringPlayer
    from piwsl_lab.lab.players.statistics import CoveragePlayer, StarvingPlayer, WorstFramePlayer
    from piwsl_lab.lab.players.taylor import TaylorPlayer
    from piwsl_lab.lab.sessions.md import FlightSession
    from piwsl_lab.lab.sessions.replay import Replay
    from piwsl_lab.lab.sessions.training import Session

__all__ = [
    "UNITS",
    "AdvicePlayer",
    "BiasPlayer",
    "BondPlayer",
    "CoveragePlayer",
    "Dashboard",
    "FlightDeck",
    "FlightSession",
    "LabelPlayer",
    "MoleculeView",
    "Replay",
    "Session",
    "SlopePlayer",
    "SpringPlayer",
    "StarvingPlayer",
    "StudyFilter",
    "TaylorPlayer",
    "UnitPlayer",
    "WorstFramePlayer",
    "name_colours",
    "page",
    "parts_of_error",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        **dict.fromkeys(("BondPlayer", "SlopePlayer"), "players.bond"),
        **dict.fromkeys(("LabelPlayer", "UNITS", "UnitPlayer", "parts_of_error"), "players.labels"),
        **dict.fromkeys(("AdvicePlayer", "BiasPlayer", "SpringPlayer"), "players.springs"),
        **dict.fromkeys(("CoveragePlayer", "StarvingPlayer", "WorstFramePlayer"), "players.statistics"),
        "TaylorPlayer": "players.taylor",
        "Dashboard": "panels.dashboard",
        "FlightDeck": "panels.md",
        "FlightSession": "sessions.md",
        "MoleculeView": "molecule.view",
        "Replay": "sessions.replay",
        "Session": "sessions.training",
        "StudyFilter": "panels.study",
        "name_colours": "parts.colours",
        "page": "figures.page",
    },
)
