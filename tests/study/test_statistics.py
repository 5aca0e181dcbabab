"""What the statistics of a study say: intervals hold the truth as often as they claim, and a verdict rests on them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_ind

from piwsl_lab.study.grid import Study
from piwsl_lab.study.report import bracketed
from piwsl_lab.study.statistics import Interval, difference, interval, ratio, summarise, verdict
from piwsl_lab.study.toml_file import read

STUDIES = 4000  # simulated ones
TRUTH = 0.8  # ratio of the two methods
STUDY = """
[grid]
data = ["ethanol"]
labels = [8]
seeds = 5
[[method]]
name = "supervised"
[[method]]
name = "piwsl"
pitc = 100
"""


def by_seed(values, first: int = 0) -> dict[int, float]:
    return dict(enumerate(map(float, values), first))


# Cases done by hand


def test_the_interval_of_a_mean_is_that_of_student():
    """Of 1, 2, 3, 4, 5 the standard error is √(2.5 / 5), and t with four degrees of freedom is 2.776445."""
    assert interval([1, 2, 3, 4, 5]) == pytest.approx((3.0, 3 - 2.776445 * 0.5**0.5, 3 + 2.776445 * 0.5**0.5), rel=1e-6)
    assert interval([0.0, 1.0]) == pytest.approx((0.5, 0.5 - 12.706205 / 2, 0.5 + 12.706205 / 2), rel=1e-6)
    assert interval([2.0, 2.0, 2.0]) == Interval(2.0, 2.0, 2.0)
    many = np.random.default_rng(0).normal(size=400)
    found = interval(many)
    assert found.high - found.low == pytest.approx(2 * 1.96 * many.std() / 20, rel=0.01)


def test_one_seed_has_no_interval():
    mean, low, high = interval([5.0])
    assert (mean, math.isnan(low), math.isnan(high)) == (5.0, True, True)
    for own in ({0: 1.0}, {3: 1.0}):
        for effect in (ratio(own, {0: 2.0}), difference(own, {0: 2.0}), ratio(own, {0: 2.0, 1: 2.0})):
            assert math.isnan(effect.found.low)
            assert math.isnan(effect.found.high)
            assert effect.seeds == 1
            assert verdict(effect.found, effect.seeds) == "too few seeds"
    assert bracketed(5.0, low, high) == "5 (one seed)"
    assert bracketed(5.0, 4.0, 6.5, ".2f") == "5.00 [4.00, 6.50]"
    with pytest.raises(ValueError, match="at least one"):
        interval([])
    with pytest.raises(ValueError, match="at least one seed of each"):
        ratio({0: 1.0}, {})


def test_a_ratio_is_the_geometric_mean_over_the_seeds_that_both_have():
    rival = {0: 1.0, 1: 10.0, 2: 100.0}
    half = {seed: value / 2 for seed, value in rival.items()}
    for own in (half, half | {3: 7.0}):
        found, paired, seeds = ratio(own, rival)
        assert found == pytest.approx((0.5, 0.5, 0.5))
        assert (paired, seeds) == (True, 3)
    # ln 2 and ln 8: their mean is ln 4, their standard error ln 2.
    found = ratio({0: 2.0, 1: 8.0}, {0: 1.0, 1: 1.0}).found
    assert found == pytest.approx((4.0, 4 / 2**12.706205, 4 * 2**12.706205), rel=1e-5)


def test_seeds_that_are_not_shared_are_compared_as_welch_does():
    own, rival = [1.0, 2.0, 3.0], [8.0, 10.0, 14.0, 8.0]
    freedom = (1 / 3 + 2) ** 2 / ((1 / 3) ** 2 / 2 + 2**2 / 3)  # variances of the means: 1/3 and 8/4
    width = t.ppf(0.975, freedom) * (1 / 3 + 2) ** 0.5
    found, paired, seeds = difference(by_seed(own), by_seed(rival, 7))
    assert (paired, seeds) == (False, 3)
    assert found == pytest.approx((-8.0, -8.0 - width, -8.0 + width), rel=1e-9)
    for end in found[1:]:
        assert ttest_ind(np.array(own) - end, rival, equal_var=False).pvalue == pytest.approx(0.05, rel=1e-9)
    assert difference({0: 1.0, 1: 1.0}, {5: 3.0, 6: 3.0}).found == Interval(-2.0, -2.0, -2.0)
    elsewhere = ratio({7: 0.5, 8: 5.0, 9: 50.0}, {0: 1.0, 1: 10.0, 2: 100.0})
    assert not elsewhere.paired
    assert elsewhere.found.mean == pytest.approx(0.5)
    assert elsewhere.found.low < 0.5 < elsewhere.found.high


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_of_what_has_no_logarithm_is_refused(bad):
    for own, rival in (({0: 1.0, 4: bad}, {0: 1.0, 4: 1.0}), ({0: 1.0, 4: 1.0}, {0: 1.0, 4: bad})):
        with pytest.raises(ValueError, match=r"seed 4 has .*above 0.*difference"):
            ratio(own, rival)


def test_a_ratio_beyond_the_floats_has_ends_that_can_be_written():
    found = ratio({0: 1e-300, 1: 1e300}, {0: 1.0, 1: 1.0}).found
    assert 0 < found.low < found.mean < found.high < math.inf


def test_a_verdict_asks_that_the_interval_leaves_out_nothing_and_for_five_seeds():
    assert verdict(Interval(0.5, 0.4, 0.99), 5) == "lower"
    assert verdict(Interval(2.0, 1.01, 3.0), 5) == "higher"
    assert verdict(Interval(0.9, 0.8, 1.0), 5) == "no difference shown"  # they touch
    assert verdict(Interval(0.5, 0.4, 0.99), 4) == "too few seeds"
    assert verdict(Interval(0.5, 0.4, 0.99), 5, nothing=0.0) == "higher"
    assert verdict(Interval(-0.5, -0.9, 0.1), 5, nothing=0.0) == "no difference shown"


# How often an interval holds the truth


def studies(seeds: int, own: float = 0.1, rival: float = 0.1, common: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Errors [STUDIES, seeds] of both: log-normal, with a part that a seed does to both."""
    rng = np.random.default_rng(seeds)
    shared, mine, theirs = rng.normal(size=(3, STUDIES, seeds))
    return TRUTH * np.exp(common * shared + own * mine), np.exp(common * shared + rival * theirs)


def coverage(found, truth: float) -> float:
    """Share of the intervals that hold the truth, %."""
    low, high = np.array([(one.low, one.high) for one in found]).T
    return float(100 * np.mean((low <= truth) & (truth <= high)))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_paired_ratio_holds_the_truth_in_95_of_100_studies_and_a_bootstrap_does_not(seeds):
    own, rival = studies(seeds)
    found = [ratio(by_seed(mine), by_seed(theirs)) for mine, theirs in zip(own, rival, strict=True)]
    assert all(effect.paired and effect.seeds == seeds for effect in found)
    assert 93.5 <= coverage([effect.found for effect in found], TRUTH) <= 96.5
    # The middle 95 % of the means of resampled seeds, as it was: too narrow, because so few seeds know little of their
    # own spread.
    draws = np.random.default_rng(0).integers(0, seeds, (400, seeds))
    means = np.array([logs[draws].mean(1) for logs in np.log(own / rival)])
    low, high = np.percentile(means, [2.5, 97.5], axis=1)
    resampled = np.mean((low <= math.log(TRUTH)) & (math.log(TRUTH) <= high))
    assert 100 * resampled < 90


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("rival", [0.1, 0.4])
def test_an_unpaired_ratio_holds_the_truth_in_93_of_100_studies_at_least(seeds, rival):
    """Welch's interval is not exact; it must not be too narrow, also where the two differ in their spread."""
    own, others = studies(seeds, rival=rival, common=0.0)
    found = [ratio(by_seed(mine), by_seed(theirs, 100)) for mine, theirs in zip(own, others, strict=True)]
    assert not any(effect.paired for effect in found)
    assert coverage([effect.found for effect in found], TRUTH) >= 93


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_means_and_differences_hold_the_truth_in_95_of_100_studies(seeds):
    rng = np.random.default_rng(seeds)
    shared, mine, theirs = rng.normal(size=(3, STUDIES, seeds))
    assert 93.5 <= coverage(map(interval, 0.7 + 0.1 * mine), 0.7) <= 96.5
    pairs = zip(0.7 + 0.1 * mine + shared, 0.5 + 0.1 * theirs + shared, strict=True)
    assert 93.5 <= coverage((difference(by_seed(a), by_seed(b)).found for a, b in pairs), 0.2) <= 96.5


def test_methods_that_are_alike_are_told_apart_in_one_of_twenty_studies():
    own, rival = studies(5)
    said = [verdict(*ratio(by_seed(a / TRUTH), by_seed(b))[::2]) for a, b in zip(own, rival, strict=True)]
    assert 3.5 <= 100 * np.mean(np.isin(said, ["lower", "higher"])) <= 6.5


# In the tables


@pytest.fixture
def study(tmp_path) -> Study:
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return read(path)


def summarised(study: Study, quantity: str, supervised, piwsl) -> dict:
    """The row of the second method, from values of five seeds each."""
    place = {"data": "ethanol", "energies": 8, "forces": 8, "part": "test", "output": "direct", "core_seconds": 1.0}
    rows = [
        {**place, "method": method, "seed": seed, quantity: value}
        for method, values in (("supervised", supervised), ("piwsl", piwsl))
        for seed, value in enumerate(values)
    ]
    (found,) = [row for row in summarise(study, rows) if (row["method"], row["quantity"]) == ("piwsl", quantity)]
    return found


def test_a_share_is_compared_by_its_difference(study):
    row = summarised(study, "alive_share", [0.5, 0.25, 0.5, 0.25, 0.5], [1.0, 0.75, 1.0, 0.75, 0.75])
    assert "ratio" not in row
    assert row["difference"] == pytest.approx(0.45)
    assert row["difference_low"] == pytest.approx(0.45 - 2.776445 * 0.05, rel=1e-5)
    assert (row["paired"], row["shown"]) == ("paired", "higher")
    same = summarised(study, "alive_share", [0.0] * 5, [0.0] * 5)
    assert (same["difference"], same["shown"]) == (0.0, "no difference shown")


def test_an_error_of_zero_is_compared_by_the_difference_in_the_units_of_the_screen(study):
    row = summarised(study, "energy_mae", [0.001, 0.002, 0.001, 0.002, 0.001], [0.0, 0.001, 0.0, 0.001, 0.0])
    assert "ratio" not in row
    assert (row["unit"], row["shown"]) == ("meV", "lower")
    assert row["difference"] == pytest.approx(-1.0)
    whole = summarised(study, "energy_mae", [0.001, 0.002, 0.001, 0.002, 0.001], [0.002, 0.004, 0.002, 0.004, 0.002])
    assert "difference" not in whole
    assert whole["ratio"] == pytest.approx(2.0)


def test_a_claim_rests_on_the_seeds_that_both_have(study):
    rival = [0.001, 0.002, 0.001, 0.002, math.nan]
    row = summarised(study, "energy_mae", rival, [0.0001, 0.0002, 0.0001, 0.00021, 0.0001])
    assert (row["seeds"], row["paired"], row["shown"]) == (5, "paired", "too few seeds")
