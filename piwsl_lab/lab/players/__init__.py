"""Small panels of the course: at most three knobs, a plot, a molecule, one line of numbers."""

from piwsl_lab.lab.players.bond import BondPlayer, SlopePlayer
from piwsl_lab.lab.players.labels import UNITS, LabelPlayer, UnitPlayer, parts_of_error
from piwsl_lab.lab.players.player import Player
from piwsl_lab.lab.players.springs import AdvicePlayer, BiasPlayer, SpringPlayer
from piwsl_lab.lab.players.statistics import CoveragePlayer, StarvingPlayer, WorstFramePlayer
from piwsl_lab.lab.players.taylor import TaylorPlayer, directions, hessian, reference_method

__all__ = [
    "UNITS",
    "AdvicePlayer",
    "BiasPlayer",
    "BondPlayer",
    "CoveragePlayer",
    "LabelPlayer",
    "Player",
    "SlopePlayer",
    "SpringPlayer",
    "StarvingPlayer",
    "TaylorPlayer",
    "UnitPlayer",
    "WorstFramePlayer",
    "directions",
    "hessian",
    "parts_of_error",
    "reference_method",
]
