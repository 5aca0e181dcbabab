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
    "conservative": "labels alone, and forces as the gradient of the energy",
    "noisy": "displaced frames that keep their labels (NoisyNodes)",
    "denoise": "guessing the displacement (DeNS)",
    "weak": "the labels' own Taylor expansion",
    "curl": "a penalty on the curl of direct forces",
    "ensemble": "forces of an ensemble where labels are missing",
}
ENSEMBLES = {"nve": "constant energy (NVE)", "nvt": "heat bath (NVT)"}

# -- what a run begins with --------------------------------------------------------------------------------------------


class Default:
    """The numbers of a run that states none: the one place where they are written; `docs/protocol.md` says why.

    How large a model is stands with its class (`Potential.standard`).
    """

    MODEL = "painn"
    HEAD = "direct"
    LABELS = 50  # energies, and frames with forces
    STEPS = 3000
    BATCH_SIZE = 8  # frames
    SCHEDULE = "cosine"
    WEIGHT_DECAY = 0.01
    AVERAGE = 0.0  # share of the mean of the weights that stays at each step
    PATIENCE = 0  # validations without a better one; 0: never end early
    ENERGY = 10.0  # 1/eV²
    FORCE = 100.0  # Å²/eV²
    EPSILON = 0.05  # Å
    ORDER = 2


# Learning rate of AdamW at the first step, by the head: forces of their own are unsteady at the rate of a gradient.
# A class may have other ones (`Potential.rates`).
RATES: dict[str, float] = {"conservative": 1e-3, "direct": 1e-3, "dual": 1e-3}
# Weights to begin with, by the head. The two outputs of a dual potential are compared directly. It has two kinds of
# force and a consistency to fit beside its energies, so that these weigh three times more.
SUITED: dict[str, dict[str, float]] = {
    "conservative": {"energy": Default.ENERGY, "pitc": 100.0, "gradient": 0.0},
    "direct": {"energy": Default.ENERGY, "pitc": 100.0, "gradient": 0.0},
    "dual": {"energy": 30.0, "pitc": 0.0, "gradient": 50.0},
}
