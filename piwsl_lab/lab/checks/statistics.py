"""Lesson 05: how fast errors fall with labels, and how sure five seeds make us."""

from __future__ import annotations

import numpy as np

from piwsl_lab.lab.checks.judge import Exercise, Mistake, Probe

_LABELS = np.array([25.0, 50.0, 100.0, 200.0])
_FALLING = np.array([101.0, 73.1, 55.0, 33.7])  # meV
_SLOWER = np.array([240.0, 181.0, 118.0, 101.0])  # meV/Å


def exponent(labels, errors):
    """Slope of log(error) against log(labels), by least squares."""
    return np.polyfit(np.log(labels), np.log(errors), 1)[0]


EXPONENT = Exercise(
    key="05.exponent",
    points=1,
    reference=exponent,
    probes=(
        Probe("energy errors", (_LABELS, _FALLING)),
        Probe("force errors", (_LABELS, _SLOWER)),
        Probe("errors that grow with the square root", (_LABELS, np.sqrt(_LABELS))),
    ),
    mistakes=(
        Mistake(
            "no logarithms",
            lambda n, e: np.polyfit(n, e, 1)[0],
            "This is a slope in meV per label. A power law is a line only with logarithms on both axes.",
        ),
        Mistake(
            "one logarithm",
            lambda n, e: np.polyfit(n, np.log(e), 1)[0],
            "Only the errors are logarithms here: that is an exponential law, not a power law.",
        ),
        Mistake(
            "labels as logarithm",
            lambda n, e: np.polyfit(np.log(n), e, 1)[0],
            "Only the labels are logarithms here. Take the logarithm of the errors too.",
        ),
        Mistake(
            "mixed bases",
            lambda n, e: np.polyfit(np.log10(n), np.log(e), 1)[0],
            "Two bases are mixed, log10 and ln: the slope is wrong by 2.3.",
        ),
        Mistake(
            "mixed bases, other way",
            lambda n, e: np.polyfit(np.log(n), np.log10(e), 1)[0],
            "Two bases are mixed, ln and log10: the slope is wrong by 2.3.",
        ),
        Mistake(
            "ends only",
            lambda n, e: np.log(e[-1] / e[0]) / np.log(n[-1] / n[0]),
            "Only the first and the last point count here. A fit uses all of them.",
        ),
        Mistake("sign", lambda n, e: -exponent(n, e), "Errors that fall have a negative exponent: keep the sign."),
        Mistake(
            "turned round",
            lambda n, e: np.polyfit(np.log(e), np.log(n), 1)[0],
            "You fitted labels against errors. Turn the two round.",
        ),
    ),
    nudge="For errors that are √labels the exponent is 0.5: what does yours give?",
    formula="exponent = slope of … against log(labels)",
)

_ERRORS = np.array([70.6, 97.7, 60.6, 74.1, 70.5])
_DRAWS = np.random.default_rng(5).integers(0, 5, (400, 5))
_SEVEN = np.array([-1.2, 3.4, 0.9, -2.0, 1.7, 4.1, -0.4])
_OTHERS = np.random.default_rng(6).integers(0, 7, (300, 7))


def bootstrap_interval(errors, draws):
    """Ends [2] of the 95 % bootstrap interval of the mean: percentiles 2.5 and 97.5 of the means of all draws."""
    return np.percentile(errors[draws].mean(axis=1), [2.5, 97.5])


BOOTSTRAP = Exercise(
    key="05.bootstrap",
    points=1,
    reference=bootstrap_interval,
    probes=(
        Probe("five seeds", (_ERRORS, _DRAWS), "meV"),
        Probe("seven differences", (_SEVEN, _OTHERS), "meV"),
    ),
    mistakes=(
        Mistake(
            "90 %",
            lambda e, d: np.percentile(e[d].mean(axis=1), [5, 95]),
            "5 and 95 leave out 10 %. For 95 % leave 2.5 % out at each end.",
        ),
        Mistake(
            "of the data",
            lambda e, d: np.percentile(e[d].ravel(), [2.5, 97.5]),
            "This is where single errors lie. Take the mean of every draw first.",
        ),
        Mistake(
            "no draws",
            lambda e, d: np.percentile(e, [2.5, 97.5]),
            "The draws are not used: these are percentiles of the seeds themselves.",
        ),
        Mistake(
            "width zero",
            lambda e, d: np.array([np.mean(e), np.mean(e)]),
            "Every draw has the same mean: seeds must be drawn with putting them back.",
        ),
        Mistake(
            "wrong axis",
            lambda e, d: np.percentile(e[d].mean(axis=0), [2.5, 97.5]),
            "The mean runs over the draws here. One row of `draws` is one draw: take the mean along it.",
        ),
        Mistake(
            "medians",
            lambda e, d: np.percentile(np.median(e[d], axis=1), [2.5, 97.5]),
            "These are medians of the draws. The claim is about the mean.",
        ),
        Mistake(
            "normal",
            lambda e, d: np.mean(e) + np.array([-1.96, 1.96]) * np.std(e, ddof=1) / np.sqrt(len(e)),
            "This is the formula for normal errors. The bootstrap uses the means of the draws instead.",
        ),
        Mistake(
            "turned round",
            lambda e, d: bootstrap_interval(e, d)[::-1],
            "Give the lower end first.",
        ),
    ),
    nudge="Use the rows of `draws` as they are, and no new random numbers. np.percentile takes [2.5, 97.5].",
    formula="percentiles 2.5 and 97.5 of errors[draws].mean(…)",
)
