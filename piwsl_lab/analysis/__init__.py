"""How well a potential does: how long it flies, what its spectra are, whether it agrees with itself."""

from piwsl_lab.analysis.conservation import conservation
from piwsl_lab.analysis.survival import (
    Survival,
    alive_ps,
    distance_error,
    distances,
    fraction_alive,
    reference_bonds,
    spectrum,
)
from piwsl_lab.analysis.trial import Trial, try_out

__all__ = [
    "Survival",
    "Trial",
    "alive_ps",
    "conservation",
    "distance_error",
    "distances",
    "fraction_alive",
    "reference_bonds",
    "spectrum",
    "try_out",
]
