"""Closed forms of the course, against finite differences, plain minimisation and the numbers that its text rests on."""

from __future__ import annotations

import numpy as np
import pytest

from piwsl_lab.toys import Morse, Swirl, TwoSprings

R = np.linspace(0.5, 2.5, 41)


def central(function, x, h=1e-4):
    return (function(x + h) - function(x - h)) / (2 * h)


def test_morse_derivatives_are_those_of_its_energy():
    bond = Morse()
    np.testing.assert_allclose(bond.force(R), -central(bond.energy, R), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(bond.curvature(R), -central(bond.force, R), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(bond.third_derivative(R), central(bond.curvature, R), rtol=1e-6, atol=1e-5)


def test_morse_numbers_of_the_course():
    bond = Morse()
    assert bond.force(1.0) == pytest.approx(-4.404, abs=5e-4)
    assert bond.curvature(bond.rest) == pytest.approx(35.754, abs=5e-4)
    place, pull = bond.strongest_pull
    assert (place, pull) == (pytest.approx(1.0983, abs=5e-5), pytest.approx(-4.6075, abs=5e-5))
    far = np.linspace(bond.rest, 5.0, 100_001)
    assert far[np.argmin(bond.force(far))] == pytest.approx(place, abs=1e-4)
    assert -bond.third_derivative(bond.rest) / 12 == pytest.approx(17.34, abs=5e-3)
    errors = [abs((bond.energy(1 + h) - bond.energy(1 - h)) / (2 * h) + bond.force(1.0)) for h in (0.05, 0.025)]
    assert errors == [pytest.approx(0.02491, abs=5e-5), pytest.approx(0.00621, abs=5e-5)]


def minimum(model, weight, epsilon, order, forces, conservative):
    """The same minimum by least squares over a fine grid of displacements."""
    x = model.positions
    nodes, shares = np.polynomial.legendre.leggauss(8)
    rows, right = [], []

    def row(k_energy, k_force, target, share):
        rows.append(np.sqrt(share) * np.array([k_energy, k_force]))
        right.append(np.sqrt(share) * target)

    for place in x:
        row(0.5 * place**2, 0.0, 0.5 * place**2, model.energy_weight / len(x))
        if forces:
            row(0.0, place, place, model.force_weight / len(x))
        for node, share in zip(nodes, shares, strict=True):
            delta = epsilon * node
            work = place * delta + (0.5 * delta**2 if order == 2 else 0.0)
            row(place * delta + 0.5 * delta**2, -work, 0.0, weight * 0.5 * share / len(x))
    matrix = np.array(rows)
    if conservative:
        matrix = matrix.sum(axis=1, keepdims=True)
    return np.linalg.lstsq(matrix, np.array(right), rcond=None)[0]


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("weight", "epsilon"), [(10.0, 0.05), (100.0, 0.1), (100.0, 0.2)])
@pytest.mark.parametrize("forces", [True, False])
def test_two_springs_are_the_minimum_of_their_loss(weight, epsilon, order, forces):
    model = TwoSprings()
    found = model.fit(weight, epsilon, order, forces)
    assert found == pytest.approx(minimum(model, weight, epsilon, order, forces, False), abs=1e-8)
    if forces:
        alone = model.fit_conservative(weight, epsilon, order)
        assert alone == pytest.approx(minimum(model, weight, epsilon, order, True, True)[0], abs=1e-8)


def test_two_springs_numbers_of_the_course():
    model = TwoSprings()
    assert np.mean(model.positions**2) == pytest.approx(0.0140, abs=5e-5)
    assert np.mean(model.positions**4) == pytest.approx(3.5252e-4, abs=5e-8)
    soft = [model.fit_conservative(100.0, epsilon) for epsilon in (0.05, 0.1, 0.2)]
    assert soft == [pytest.approx(value, abs=5e-5) for value in (0.9978, 0.9657, 0.6378)]
    assert model.fit(100.0, 0.1) == (pytest.approx(0.8777, abs=5e-5), pytest.approx(0.9694, abs=5e-5))
    assert model.fit(100.0, 0.1, order=2) == pytest.approx((1.0, 1.0), abs=1e-12)
    assert model.fit(10.0, 0.05, forces=False) == pytest.approx((0.9658, 0.9658), abs=5e-5)
    assert model.fit(10.0, 0.05, order=2, forces=False) == pytest.approx((1.0, 1.0), abs=1e-9)


def test_two_springs_say_what_they_cannot_fit():
    with pytest.raises(ValueError, match="order is 3: choose 1"):
        TwoSprings().fit(1.0, 0.1, order=3)
    with pytest.raises(ValueError, match="neither labels nor a consistency term"):
        TwoSprings().fit(0.0, 0.1, forces=False)


def test_a_stir_does_work_around_a_triangle():
    field = Swirl(spring=2.0, stir=0.7)
    corners = np.array([[0.2, 0.1], [0.5, 0.15], [0.1, 0.5]])
    work = 0.0
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        work += 0.5 * (field.force(start) + field.force(end)) @ (end - start)
    assert work == pytest.approx(0.0875, abs=1e-12)
    assert Swirl(stir=0.0).energy(corners).shape == (3,)
