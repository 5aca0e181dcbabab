"""The units of the screen: meV, meV/Å and ps, where the library has eV, eV/Å and fs. Converted here and nowhere else.

Molecules show numbers too, and they stand below the figures: so this is a part that both can reach.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Number = TypeVar("Number", float, NDArray[np.float64])
PER_THOUSAND = 1000.0


def mev(energy: Number) -> Number:
    """Energies in meV, or forces in meV/Å, of eV or eV/Å."""
    return PER_THOUSAND * energy


def ps(time: Number) -> Number:
    """Times in ps, of fs."""
    return time / PER_THOUSAND


def fs(time: Number) -> Number:
    """Times in fs, of ps that were picked on the screen."""
    return PER_THOUSAND * time
