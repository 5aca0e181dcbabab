"""PIWSL's losses against closed forms and against plain loops over one structure at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from frames import dataset, frame, labelled, rattled
from hypothesis import given, settings
from hypothesis import strategies as st
from potentials import Exact, harmonic, linear, morse

from piwsl_lab.displacements import SIMPLE, fixed_length, longest, uniform
from piwsl_lab.graph import GraphSet
from piwsl_lab.losses import energy_loss, force_loss, pisc, pitc, split
from piwsl_lab.models import Prediction, build
from piwsl_lab.objective import Objective

HESSIAN = torch.tensor([[5.0, 0.4, -0.2], [0.4, 3.0, 0.1], [-0.2, 0.1, 2.0]], dtype=torch.float64)


def mixed_graph(skin=2.0):
    """Structures of different size, so that a sum over the batch instead of the structure shows."""
    frames = [rattled("H2O"), rattled("CH3CH2OH", seed=1), rattled("CH4", seed=2), rattled("O")]
    return GraphSet.build(dataset(*frames), 5.0, skin=skin, dtype=torch.float64).all()


def labelled_graph():
    frames = [labelled("H2O", 1)[0], labelled("CH3CH2OH", 1, seed=1)[0], labelled("CH4", 1, seed=2)[0]]
    return GraphSet.build(dataset(*frames), 5.0, skin=2.0, dtype=torch.float64).all()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pitc_residuals(potential, graph, delta, order):
    start, end = split(potential(graph.displaced([delta])), graph)
    return pitc(start, end, delta, graph, order)


@settings(deadline=None, max_examples=20)
@given(order=st.sampled_from([1, 2]), epsilon=st.floats(1e-3, 0.3), seed=st.integers(0, 100))
def test_linear_energy_is_consistent_exactly(order, epsilon, seed):
    graph, potential = mixed_graph(), linear(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    delta = uniform(graph, epsilon, seeded(seed))
    assert pitc_residuals(potential, graph, delta, order).abs().max() < 1e-12


@settings(deadline=None, max_examples=20)
@given(epsilon=st.floats(1e-3, 0.3), seed=st.integers(0, 100))
def test_harmonic_energy_leaves_half_delta_h_delta_at_first_order_and_nothing_at_second(epsilon, seed):
    graph, potential = mixed_graph(), harmonic(HESSIAN)
    delta = uniform(graph, epsilon, seeded(seed))
    expected = graph.sum_over_atoms(0.5 * torch.einsum("na,ab,nb->n", delta, HESSIAN, delta))
    first = pitc_residuals(potential, graph, delta, 1)
    assert torch.allclose(first, expected, rtol=1e-9, atol=1e-12)
    assert (first > 0).all()  # the bias that makes a large ε soften the surface
    assert pitc_residuals(potential, graph, delta, 2).abs().max() < 1e-11


@pytest.mark.parametrize(("order", "slope"), [(1, 2.0), (2, 3.0)])
def test_morse_residual_grows_as_a_power_of_epsilon(order, slope):
    graph = mixed_graph()
    delta = uniform(graph, 1.0, seeded())
    epsilons = np.array([0.002, 0.004, 0.008, 0.016])
    residuals = [pitc_residuals(morse(), graph, e * delta, order)[:3].abs().detach().numpy() for e in epsilons]
    for one in np.array(residuals).T:
        assert np.polyfit(np.log(epsilons), np.log(one), 1)[0] == pytest.approx(slope, abs=0.15)


def test_triangle_of_an_exact_potential_closes():
    graph = mixed_graph()
    first, second = uniform(graph, 0.1, seeded(1)), uniform(graph, 0.1, seeded(2))
    for potential, order in [(linear(torch.ones(3, dtype=torch.float64)), 1), (harmonic(HESSIAN), 2)]:
        a, c, b = split(potential(graph.displaced([first, second])), graph)
        assert pisc(a, b, c, first, second, graph, order).abs().max() < 1e-11
    a, c, b = split(harmonic(HESSIAN)(graph.displaced([first, second])), graph)
    step = first - second
    expected = graph.sum_over_atoms(0.5 * torch.einsum("na,ab,nb->n", step, HESSIAN, step))
    assert torch.allclose(pisc(a, b, c, first, second, graph, 1), expected, rtol=1e-9)


def slow_terms(potential, frames, deltas, objective):
    """Every term, one structure at a time and one atom at a time."""
    sums = {"energy": [], "force": [], "pitc": [], "pisc": []}
    for f, (first, second) in zip(frames, deltas, strict=True):

        def ask(shift, f=f):
            graph = GraphSet.build(
                dataset(frame(f.numbers, f.positions + shift)), potential.cutoff, dtype=torch.float64
            ).all()
            prediction = potential(graph)
            return float(prediction.energy.detach()[0]), prediction.forces.detach().numpy()

        (ea, fa), (ec, fc), (eb, fb) = ask(0.0), ask(first), ask(second)
        sums["energy"].append((ea - f.energy) ** 2)
        sums["force"] += [(fa[k, x] - f.forces[k, x]) ** 2 for k in range(len(fa)) for x in range(3)]
        if objective.order == 1:
            along, across = fa, fb
        else:
            along, across = (fa + fc) / 2, (fb + fc) / 2
        there = sum(first[k] @ along[k] for k in range(len(fa)))
        sums["pitc"].append((ec - (ea - there)) ** 2)
        path = sum((first - second)[k] @ across[k] for k in range(len(fa)))
        sums["pisc"].append((ec - (eb - path)) ** 2)
    return {name: np.mean(values) for name, values in sums.items()}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("head", ["conservative", "direct"])
def test_terms_match_plain_loops_over_structures(order, head):
    frames = [labelled("H2O", 1)[0], labelled("CH3CH2OH", 1, seed=1)[0], labelled("CH4", 1, seed=2)[0]]
    torch.manual_seed(3)
    potential = build("painn", channels=8, layers=2, radial=6, head=head).double()
    graph = GraphSet.build(dataset(*frames), potential.cutoff, dtype=torch.float64).all()
    objective = Objective(pitc=2.0, pisc=3.0, epsilon=0.08, order=order)
    terms = objective.terms(potential, graph, seeded(5))
    generator = seeded(5)
    drawn = [uniform(graph, 0.08, generator).split([3, 9, 5]) for _ in range(2)]
    slow = slow_terms(potential, frames, [(a.numpy(), b.numpy()) for a, b in zip(*drawn, strict=True)], objective)
    assert {name: float(value.detach()) for name, value in terms.items()} == pytest.approx(slow, rel=1e-8)
    total = 10 * slow["energy"] + 100 * slow["force"] + 2 * slow["pitc"] + 3 * slow["pisc"]
    assert objective.total(terms).item() == pytest.approx(total, rel=1e-8)


def test_per_atom_divides_every_energy_residual_by_the_number_of_atoms():
    frames = [labelled("H2O", 1)[0], labelled("CH3CH2OH", 1, seed=1)[0]]
    graph = GraphSet.build(dataset(*frames), 5.0, dtype=torch.float64).all()
    terms = Objective(pitc=1.0, pisc=1.0, order=1, per_atom=True, epsilon=0.1).terms(morse(), graph, seeded(4))
    generator = seeded(4)
    first, second = uniform(graph, 0.1, generator), uniform(graph, 0.1, generator)
    a, c, b = split(morse()(graph.displaced([first, second])), graph)
    atoms = torch.tensor([3.0, 9.0], dtype=torch.float64)
    expected = {
        "energy": ((a.energy - graph.energy) / atoms).square().mean(),
        "force": force_loss(a, graph),
        "pitc": (pitc(a, c, first, graph, 1) / atoms).square().mean(),
        "pisc": (pisc(a, b, c, first, second, graph, 1) / atoms).square().mean(),
    }
    assert {k: v.item() for k, v in terms.items()} == pytest.approx({k: v.item() for k, v in expected.items()})


def test_one_call_for_all_copies_and_none_for_a_term_that_is_off():
    graph, potential = labelled_graph(), morse()
    sizes = []
    energy = potential.energy
    potential.energy = lambda g: sizes.append(g.n_structures) or energy(g)
    for objective, structures in [
        (Objective(), 3),
        (Objective(pitc=1.0), 6),
        (Objective(pisc=1.0), 9),
        (Objective(pitc=1.0, pisc=1.0), 9),
    ]:
        potential.calls = 0
        sizes.clear()
        objective.terms(potential, graph, seeded())
        assert (potential.calls, sizes) == (1, [structures])


def test_a_term_that_is_off_draws_no_random_number():
    generator, untouched = seeded(9), seeded(9)
    Objective().terms(morse(), mixed_graph(), generator)
    assert torch.equal(generator.get_state(), untouched.get_state())


def test_labels_that_are_hidden_do_not_count():
    whole = labelled("CH3CH2OH", 6)
    graph = GraphSet.build(whole.budget(4, 2), 5.0, dtype=torch.float64).all()
    energy, forces = torch.randn(6, dtype=torch.float64), torch.randn(54, 3, dtype=torch.float64)
    prediction = Prediction(energy, forces)
    mine = [(i, f) for i, f in enumerate(whole.budget(4, 2))]
    expected_energy = np.mean([(float(energy[i]) - f.energy) ** 2 for i, f in mine if f.energy is not None])
    expected_force = np.mean(
        [(forces[9 * i : 9 * i + 9].numpy() - f.forces) ** 2 for i, f in mine if f.forces is not None]
    )
    assert float(energy_loss(prediction, graph)) == pytest.approx(expected_energy)
    assert float(energy_loss(prediction, graph, per_atom=True)) == pytest.approx(expected_energy / 81)
    assert float(force_loss(prediction, graph)) == pytest.approx(expected_force)


def test_a_batch_without_a_label_leaves_the_term_out():
    graph = GraphSet.build(labelled("H2O", 3).budget(3, 0), 5.0, dtype=torch.float64).all()
    assert set(Objective(pitc=1.0).terms(morse(), graph, seeded())) == {"energy", "pitc"}


def test_disagreement_between_energy_and_force_shows():
    """A constant force the energy knows nothing of is found by both consistency losses."""
    graph = mixed_graph()
    wrong = Exact(morse().energy, extra=lambda g: torch.full_like(g.positions, 0.3))
    delta = uniform(graph, 0.01, seeded())
    difference = pitc_residuals(wrong, graph, delta, 2) - pitc_residuals(morse(), graph, delta, 2)
    assert torch.allclose(difference, graph.sum_over_atoms(0.3 * delta.sum(1)), atol=1e-12)


def test_displacements_are_two_sided_and_of_the_stated_size():
    graph = GraphSet.build(labelled("CH3CH2OH", 200), 5.0, dtype=torch.float64).all()
    box = uniform(graph, 0.05, seeded())
    assert box.abs().max() <= 0.05
    assert abs(float(box.mean())) < 5 * 0.05 / 3**0.5 / box.numel() ** 0.5  # one-sided noise would have mean 0.025
    assert float(box.std()) == pytest.approx(0.05 / 3**0.5, rel=0.02)
    arrows = fixed_length(graph, 0.05, seeded())
    assert torch.allclose(arrows.norm(dim=1), torch.full((1800,), 0.05, dtype=torch.float64))
    assert arrows.mean(0).abs().max() < 5 * 0.05 / 3**0.5 / 1800**0.5
    for name, draw in SIMPLE.items():
        assert draw(graph, 0.05, seeded(1)).norm(dim=1).max() <= longest(name, 0.05) + 1e-12
        assert torch.equal(draw(graph, 0.05, seeded(1)), draw(graph, 0.05, seeded(1)))


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("epsilon", 0.0, "larger than 0"),
        ("epsilon", -0.1, "larger than 0"),
        ("epsilon", float("nan"), "larger than 0"),
        ("pitc", -1.0, "must be a finite number"),
        ("pisc", None, "must be a finite number"),
        ("force", float("inf"), "must be a finite number"),
        ("order", 3, "choose one of 1, 2"),
        ("direction", "up", "choose one of uniform"),
    ],
)
def test_impossible_objectives_name_their_field(field, value, remedy):
    with pytest.raises(ValueError, match=f"{field}.*{remedy}"):
        Objective(**{field: value})
    objective = Objective()
    setattr(objective, field, value)  # a slider may write anything: the next step says so
    with pytest.raises(ValueError, match=f"{field}.*{remedy}"):
        objective.terms(morse(), mixed_graph(), seeded())
