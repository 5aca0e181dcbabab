"""The words that are chosen from: what a model, an objective, a study or a flight may be told.

Every table maps a choice, as code, TOML files and the command line write it, to one line that says what it is. The
order is the one in which choices are offered. This module imports nothing, so that `--help` answers at once.
"""

from __future__ import annotations

# -- potentials --------------------------------------------------------------------------------------------------------

# Titles of the models that come with the package; what can be built is a row of `piwsl_lab.models.MODELS`.
MODELS = {"painn": "PaiNN", "schnet": "SchNet", "tensornet": "TensorNet"}
HEADS = {
    "conservative": "conservative: F = −dE/dr",
    "direct": "direct: F is an output",
    "dual": "dual: both at once",
}
# Functions of a distance that filters are made of.
BASES = {
    "bessel": "Bessel functions sin(nπr/r_c)/r, as in PaiNN",
    "gaussian": "Gaussians of r, as in SchNet",
    "exponential": "Gaussians of exp(−5r/r_c), as in PhysNet and TensorNet",
}

# -- objectives --------------------------------------------------------------------------------------------------------

CONSISTENCY = ("pitc", "pisc", "gradient", "curl")  # ask the model about itself, read no label
DISPLACED_LABELS = ("weak", "noisy", "denoise")  # put labels on displaced frames
WEIGHTS = ("energy", "force", *CONSISTENCY, *DISPLACED_LABELS)
ORDERS: dict[int | str, str] = {
    1: "1: Taylor, as in the paper",
    2: "2: trapezoid rule",
    "symmetric": "symmetric: r + δ and r − δ",
}
PISC_FORMS = {
    "same_point": "one point, two paths",
    "extrapolations": "two extrapolations",
    "reverse": "the leg back",
    "all": "all three of these",
    "two_point": "back to the start",
}
# The head that stays as it is in gradient consistency, and what learns from it.
GRADIENT_TEACHERS = {"both": "both, they meet", "direct": "only −dE/dr", "conservative": "only the direct forces"}
DIRECTIONS = {
    "uniform": "uniform in a cube",
    "fixed_length": "fixed length",
    "local": "one atom and its neighbours",
    "covariance": "along soft modes of the data",
    "adversarial": "where the model is worst",
}
CENTRES = {"labelled": "labelled frames", "pool": "frames without labels"}
SCHEDULE_KINDS = ("constant", "ramp", "cosine")  # how a field of the objective follows the step

# -- training, studies, molecular dynamics -----------------------------------------------------------------------------

LEARNING_RATES = ("cosine", "constant")  # how the learning rate follows the step
RIVALS = {
    "supervised": "labels alone",
    "noisy": "displaced frames that keep their labels (NoisyNodes)",
    "denoise": "guessing the displacement (DeNS)",
    "weak": "the labels' own Taylor expansion",
    "curl": "a penalty on the curl of direct forces",
    "ensemble": "forces of an ensemble where labels are missing",
}
ENSEMBLES = {"nve": "constant energy (NVE)", "nvt": "heat bath (NVT)"}
