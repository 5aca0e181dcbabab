"""How well a potential does: how long it flies, what its spectra are, whether it agrees with itself."""

from piwsl_lab.analysis.conservation import conservation
from piwsl_lab.analysis.self_consistency import force_jacobian, jacobian_antisymmetry, loop_work, pitc_residual
from piwsl_lab.analysis.spectra import bond_lengths, distance_error, distances, spectrum
from piwsl_lab.analysis.survival import Bonds, Survival, alive_ps, bond_errors, fraction_alive, reference_bonds
from piwsl_lab.analysis.trial import Trial, try_out

__all__ = [
    "Bonds",
    "Survival",
    "Trial",
    "alive_ps",
    "bond_errors",
    "bond_lengths",
    "conservation",
    "distance_error",
    "distances",
    "force_jacobian",
    "fraction_alive",
    "jacobian_antisymmetry",
    "loop_work",
    "pitc_residual",
    "reference_bonds",
    "spectrum",
    "try_out",
]
