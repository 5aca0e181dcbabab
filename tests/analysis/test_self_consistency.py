"""Agreement of a potential with itself, against closed forms and potentials whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from frames import dataset, rattled
from potentials import Exact, harmonic, morse

from piwsl_lab.analysis.self_consistency import force_jacobian, jacobian_antisymmetry, loop_work, pitc_residual
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import build
from piwsl_lab.piwsl.displacements import uniform

CURL = torch.tensor([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


def swirl(strength: float) -> Exact:
    """Springs to the origin (k = 2 eV/Å²) and a force field that turns around z: −k r + s z × r."""
    return Exact(
        harmonic(2 * torch.eye(3, dtype=torch.float64)).energy,
        extra=lambda g: strength * g.positions @ CURL.to(g.positions.dtype).T,
    )


def test_residual_against_epsilon_has_the_slope_of_its_order():
    data = dataset(*(rattled("CH3CH2OH", seed=k) for k in range(4)))
    epsilons = [0.005, 0.01, 0.02]
    for order in (1, 2):
        residual = pitc_residual(morse(), data, epsilons, order=order)
        slope = np.polyfit(np.log(epsilons), np.log(residual), 1)[0]
        assert slope == pytest.approx(order + 1, abs=0.15)


def test_loop_work_of_a_curl_is_twice_the_area_times_its_strength():
    """Stokes: the loop integral of s z × r around a triangle is 2 s times its area in the xy plane."""
    data = dataset(*(rattled("H2O", seed=k) for k in range(5)))
    graph = GraphSet.build(data, 5.0, dtype=torch.float64).all()
    generator = torch.Generator().manual_seed(0)
    a, b = uniform(graph, 0.1, generator), uniform(graph, 0.1, generator)
    area = 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])
    expected = float(graph.sum_over_atoms(2 * 0.7 * area).square().mean().sqrt())
    assert loop_work(swirl(0.7), data, epsilon=0.1) == pytest.approx(expected, rel=1e-9)
    assert loop_work(swirl(0.0), data, epsilon=0.1) < 1e-12


def test_antisymmetry_of_a_known_jacobian():
    """J = −2·1 + s·C with C antisymmetric: ‖J − Jᵀ‖ / ‖J + Jᵀ‖ = s √2 / (2 √3)."""
    data = dataset(rattled("H2O"))
    for strength in (0.0, 0.7):
        assert jacobian_antisymmetry(swirl(strength), data) == pytest.approx(strength * 2**0.5 / (2 * 3**0.5), abs=1e-6)


def test_conservative_models_have_a_symmetric_jacobian_and_direct_ones_do_not():
    data = dataset(rattled("H2O"), rattled("CH4"))
    measured = {}
    for head in ("conservative", "direct"):
        torch.manual_seed(0)
        measured[head] = jacobian_antisymmetry(build("painn", channels=8, layers=2, head=head).double(), data)
    assert measured["conservative"] < 1e-10
    assert measured["direct"] > 1e-2


def test_jacobian_is_minus_the_hessian():
    hessian = torch.tensor([[5.0, 0.4, -0.2], [0.4, 3.0, 0.1], [-0.2, 0.1, 2.0]], dtype=torch.float64)
    graph = GraphSet.build(dataset(rattled("H2O")), 5.0, dtype=torch.float64).all()
    expected = -torch.block_diag(hessian, hessian, hessian)
    assert torch.allclose(force_jacobian(harmonic(hessian), graph), expected, atol=1e-12)
