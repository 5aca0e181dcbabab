"""Checks of the course: the right answer passes, every mistake is named, nothing that is wrong slips through."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from piwsl_lab.lab.checks import CHECKS, judge
from piwsl_lab.lab.checks.judge import BLANK, CHANGED, ERROR, PASSED, SHAPE, WRONG, numbers

MISTAKES = [(check, mistake) for check in CHECKS.values() for mistake in check.mistakes]


def name(value):
    return getattr(value, "key", getattr(value, "name", None))


@pytest.mark.parametrize("check", CHECKS.values(), ids=name)
def test_the_reference_passes(check):
    verdict = judge(check, check.reference)
    assert verdict.outcome == PASSED
    assert verdict.words() == verdict.words(4)  # whoever is right is told so, and nothing more


@pytest.mark.parametrize(("check", "mistake"), MISTAKES, ids=name)
def test_every_mistake_is_told_its_own_hint(check, mistake):
    verdict = judge(check, mistake.function)
    assert (verdict.outcome, verdict.mistake, verdict.hint) == (WRONG, mistake.name, mistake.hint)
    assert mistake.hint not in verdict.words(1)
    assert mistake.hint in verdict.words(2)
    assert check.formula in verdict.words(3)
    assert check.formula not in verdict.words(2)


@pytest.mark.parametrize("check", CHECKS.values(), ids=name)
def test_mistakes_differ_from_each_other_and_have_words_of_their_own(check):
    assert len(check.mistakes) >= 3
    results = [check.results(mistake.function) for mistake in check.mistakes]
    for k, one in enumerate(results):
        assert not any(check.agrees(other, one) for other in results[k + 1 :]), check.mistakes[k].name
    assert len({mistake.name for mistake in check.mistakes}) == len(check.mistakes)


@pytest.mark.parametrize("check", CHECKS.values(), ids=name)
def test_sentences_are_short_enough_for_a_learner(check):
    for text in (check.nudge, *(mistake.hint for mistake in check.mistakes)):
        for sentence in text.replace("?", ".").replace(":", ".").split(". "):
            assert len(sentence.split()) <= 20, sentence


@pytest.mark.parametrize("check", CHECKS.values(), ids=name)
def test_probes_have_values_that_single_precision_can_tell_apart(check):
    values = np.concatenate([np.ravel(value) for value in check.results(check.reference)])
    assert np.min(np.abs(values)) > 1e-3 * np.max(np.abs(values)) or check.key == "04.unit_factor"
    if check.key != "07.softness":  # a ratio of two stiffnesses
        assert min(values) < 0 < max(values)


@pytest.mark.parametrize("check", CHECKS.values(), ids=name)
@pytest.mark.parametrize("blank", [lambda *a: ..., lambda *a: None], ids=["dots", "None"])
def test_a_blank_is_no_mistake(check, blank):
    verdict = judge(check, blank)
    assert verdict.outcome == BLANK
    assert "Hint" not in verdict.words(3)


@pytest.mark.parametrize("check", CHECKS.values(), ids=name)
def test_an_error_is_reported_with_its_line(check):
    def answer(*arguments):
        return undefined_name + 1  # noqa: F821

    verdict = judge(check, answer)
    assert verdict.outcome == ERROR
    assert "NameError: name 'undefined_name' is not defined in: return undefined_name + 1" in verdict.seen


def test_a_function_with_other_arguments_is_an_error_too():
    assert "TypeError" in judge(CHECKS["06.pitc"], lambda e0: e0).seen


def test_inputs_that_are_changed_are_seen():
    def answer(e0, e1, f0, f1, delta, structure):
        f0 += f1
        return e1 - e0 + 0.5 * np.bincount(structure, weights=np.sum(f0 * delta, axis=1))

    assert judge(CHECKS["06.pitc"], answer).outcome == CHANGED


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda *a: "0.5", "a number or an array of numbers is needed, not str"),
        (lambda *a: {1.0}, "a number or an array of numbers is needed, not set"),
        (lambda *a: 1j, "a number or an array of numbers is needed, not complex"),
        (lambda *a: np.zeros((2, 2)), "the result has shape (2, 2), wanted (3,)"),
        (lambda *a: [[1.0], [1.0, 2.0]], "For three structures: "),
    ],
)
def test_a_result_of_the_wrong_kind_is_said(answer, words):
    verdict = judge(CHECKS["06.pitc"], answer)
    assert verdict.outcome == SHAPE
    assert words in verdict.seen


def test_nan_is_wrong():
    assert judge(CHECKS["07.softness"], lambda *a: float("nan")).outcome == WRONG


def loops(e0, e1, f0, f1, delta, structure):
    out = [float(b) - float(a) for a, b in zip(e0, e1, strict=True)]
    for atom, s in enumerate(structure):
        for k in range(3):
            out[s] += 0.5 * (f0[atom][k] + f1[atom][k]) * delta[atom][k]
    return out


def single(e0, e1, f0, f1, delta, structure):
    e0, e1, f0, f1, delta = (torch.tensor(a, dtype=torch.float32) for a in (e0, e1, f0, f1, delta))
    work = torch.einsum("ak,ak->a", 0.5 * (f0 + f1), delta)
    return (e1 - e0).index_add(0, torch.tensor(structure), work).requires_grad_()


def wider(energy, r, h):  # a rule of fourth order
    return (8 * (energy(r + h) - energy(r - h)) - energy(r + 2 * h) + energy(r - 2 * h)) / (12 * h)


def single_force(r):
    r = torch.as_tensor(r, dtype=torch.float32).requires_grad_()
    (4.75 * (1 - torch.exp(-1.94 * (r - 0.741))) ** 2).sum().backward()
    return -r.grad


def fitted_unit(energies, work):
    return -float(np.linalg.lstsq(work[:, None], energies, rcond=None)[0][0])


def looped_unit(energies, work):
    return -sum(e * w for e, w in zip(energies, work, strict=True)) / sum(w * w for w in work)


def slope_by_hand(labels, errors):
    x, y = (torch.tensor(a, dtype=torch.float32).log10() for a in (labels, errors))
    return ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()


def covariance_slope(labels, errors):
    matrix = np.cov(np.log2(labels), np.log2(errors))
    return matrix[0, 1] / matrix[0, 0]


def looped_interval(errors, draws):
    means = [sum(errors[i] for i in row) / len(row) for row in draws]
    return np.quantile(means, 0.025), np.quantile(means, 0.975)


def single_interval(errors, draws):
    means = torch.tensor(errors, dtype=torch.float32)[torch.tensor(draws)].mean(1)
    return torch.quantile(means, torch.tensor([0.025, 0.975]))


RIGHT = {
    "01.force": [single_force, lambda r: -9.215 * 2 * (np.exp(-1.94 * (r - 0.741)) - np.exp(-3.88 * (r - 0.741)))],
    "01.slope": [wider, lambda energy, r, h: np.float32((energy(r + h / 2) - energy(r - h / 2)) / h)],
    "04.unit_factor": [fitted_unit, looped_unit],
    "05.exponent": [slope_by_hand, covariance_slope],
    "05.bootstrap": [looped_interval, single_interval],
    "06.pitc": [loops, single],
    "07.bias": [
        lambda h, e: sum(h[k][k] for k in range(len(h))) * e * e / 6,
        lambda h, e: torch.tensor(h, dtype=torch.float32).diagonal().sum() * e**2 / 6,
    ],
    "07.softness": [
        lambda w, e, n: 20 * n / (20 * n + w * e**4),
        lambda w, e, n: torch.tensor(1 / (1 + w * e**4 / 20 / n), dtype=torch.float32),
    ],
}


@pytest.mark.parametrize(("key", "answer"), [(key, answer) for key, answers in RIGHT.items() for answer in answers])
def test_unlike_right_answers_pass(key, answer):
    verdict = judge(CHECKS[key], answer)
    assert verdict.outcome == PASSED, verdict.seen


def test_every_check_has_two_unlike_right_answers():
    assert set(RIGHT) == set(CHECKS)


# -- wrong answers that are in no list ------------------------------------------------------------------------------

FACTORS = st.sampled_from(
    [-1.0, 0.5, 2.0, 1 / 3, 3.0, 0.25, 4.0, 0.1, 10.0, 1e-3, 1e3, 27.2114, 23.0605, 0.529177, 1.01]
)


@given(key=st.sampled_from(sorted(CHECKS)), factor=FACTORS)
@settings(max_examples=200, deadline=None)
def test_a_factor_or_a_sign_never_passes(key, factor):
    check = CHECKS[key]
    assert judge(check, lambda *a: factor * numbers(check.reference(*a))).outcome == WRONG


@given(key=st.sampled_from(sorted(CHECKS)), shift=st.sampled_from([-1.0, 1.0, 0.1, -0.01]), data=st.data())
@settings(max_examples=200, deadline=None)
def test_one_element_that_is_wrong_never_passes(key, shift, data):
    check = CHECKS[key]
    sizes = [value.size for value in check.results(check.reference)]
    probe = data.draw(st.integers(0, len(sizes) - 1))
    element = data.draw(st.integers(0, sizes[probe] - 1))
    calls = iter(range(10_000))

    def answer(*arguments):
        value = numbers(check.reference(*arguments)).copy()
        if next(calls) % len(sizes) == probe:
            flat = value.reshape(-1)
            flat[element] += shift * max(abs(flat[element]), 1e-3)
        return value

    assert judge(check, answer).outcome == WRONG


@given(key=st.sampled_from(sorted(CHECKS)), data=st.data())
@settings(max_examples=300, deadline=None)
def test_arguments_that_are_confused_never_pass(key, data):
    """Two arguments exchanged, or an array whose atoms, components or structures are in another order."""
    check = CHECKS[key]
    kinds = [k for k, value in enumerate(check.probes[0].arguments) if not callable(value)]
    one = data.draw(st.sampled_from(kinds))
    other = data.draw(st.sampled_from(kinds))
    axis = data.draw(st.integers(0, 1))

    def answer(*arguments):
        arguments = list(arguments)
        if one != other:
            arguments[one], arguments[other] = arguments[other], arguments[one]
        else:
            array = np.asarray(arguments[one])
            arguments[one] = np.roll(array, 1, axis=min(axis, array.ndim - 1)) if array.ndim else array
        return check.reference(*arguments)

    unchanged = one == other and all(np.ndim(probe.arguments[one]) == 0 for probe in check.probes)
    if unchanged or _is_the_same(check, answer):
        return
    assert judge(check, answer).outcome in (WRONG, ERROR, SHAPE)


def _is_the_same(check, answer) -> bool:
    """Whether a confusion is none: the trapezoid does not mind which force is which, a mean not in which order."""
    try:
        values = [numbers(answer(*probe.fresh())) for probe in check.probes]
    except Exception:
        return False
    wanted = check.results(check.reference)
    return all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-12, atol=0) for a, b in zip(values, wanted, strict=True)
    )
