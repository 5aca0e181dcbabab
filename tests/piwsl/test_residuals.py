"""PIWSL's losses against closed forms and against plain loops over one structure at a time."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from frames import dataset, frame, labelled, rattled
from hypothesis import given, settings
from hypothesis import strategies as st
from potentials import Exact, harmonic, linear, morse

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import Prediction, build
from piwsl_lab.names import GRADIENT_TEACHERS, PISC_FORMS
from piwsl_lab.piwsl.displacements import fixed_length, local, longest, uniform
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.residuals import (
    curl_loss,
    energy_loss,
    force_loss,
    gradient_consistency,
    noise_loss,
    pisc,
    pitc,
    symmetric_pitc,
    unjoin,
    weak_label_loss,
)
from piwsl_lab.piwsl.terms import terms_of

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
    start, end = unjoin(potential(graph.displaced([delta])), graph)
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
    epsilons = np.array([0.0005, 0.001, 0.002, 0.004])
    residuals = [pitc_residuals(morse(), graph, e * delta, order)[:3].abs().detach().numpy() for e in epsilons]
    for one in np.array(residuals).T:
        assert np.polyfit(np.log(epsilons), np.log(one), 1)[0] == pytest.approx(slope, abs=0.15)


def test_triangle_of_an_exact_potential_closes():
    graph = mixed_graph()
    first, second = uniform(graph, 0.1, seeded(1)), uniform(graph, 0.1, seeded(2))
    for potential, order in [(linear(torch.ones(3, dtype=torch.float64)), 1), (harmonic(HESSIAN), 2)]:
        a, c, b = unjoin(potential(graph.displaced([first, second])), graph)
        assert pisc(a, b, c, first, second, graph, order).abs().max() < 1e-11
    a, c, b = unjoin(harmonic(HESSIAN)(graph.displaced([first, second])), graph)
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
    terms = terms_of(objective, potential, graph, seeded(5))
    generator = seeded(5)
    drawn = [uniform(graph, 0.08, generator).split([3, 9, 5]) for _ in range(2)]
    slow = slow_terms(potential, frames, [(a.numpy(), b.numpy()) for a, b in zip(*drawn, strict=True)], objective)
    assert {name: float(value.detach()) for name, value in terms.items()} == pytest.approx(slow, rel=1e-8)
    total = 10 * slow["energy"] + 100 * slow["force"] + 2 * slow["pitc"] + 3 * slow["pisc"]
    assert objective.total(terms).item() == pytest.approx(total, rel=1e-8)


def test_per_atom_divides_every_energy_residual_by_the_number_of_atoms():
    frames = [labelled("H2O", 1)[0], labelled("CH3CH2OH", 1, seed=1)[0]]
    graph = GraphSet.build(dataset(*frames), 5.0, dtype=torch.float64).all()
    terms = terms_of(Objective(pitc=1.0, pisc=1.0, order=1, per_atom=True, epsilon=0.1), morse(), graph, seeded(4))
    generator = seeded(4)
    first, second = uniform(graph, 0.1, generator), uniform(graph, 0.1, generator)
    a, c, b = unjoin(morse()(graph.displaced([first, second])), graph)
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
        terms_of(objective, potential, graph, seeded())
        assert (potential.calls, sizes) == (1, [structures])


def test_a_term_that_is_off_draws_no_random_number():
    generator, untouched = seeded(9), seeded(9)
    terms_of(Objective(), morse(), mixed_graph(), generator)
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
    assert set(terms_of(Objective(pitc=1.0), morse(), graph, seeded())) == {"energy", "pitc"}


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
    for name, draw in {"uniform": uniform, "fixed_length": fixed_length, "local": local}.items():
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
        terms_of(objective, morse(), mixed_graph(), seeded())


# --- closed forms of every residual ---------------------------------------------------------------------------------


def quadratic(graph, step):
    """½ Σ δᵀHδ of every structure."""
    return graph.sum_over_atoms(0.5 * torch.einsum("na,ab,nb->n", step, HESSIAN, step))


def triangle_of(potential, graph, first, second):
    a, c, b = unjoin(potential(graph.displaced([first, second])), graph)
    return a, b, c


def symmetric_residuals(potential, graph, delta):
    centre, plus, minus = unjoin(potential(graph.displaced([delta, -delta])), graph)
    return symmetric_pitc(centre, plus, minus, delta, graph)


@pytest.mark.parametrize("form", PISC_FORMS)
def test_every_triangle_of_linear_and_harmonic_energies(form):
    graph = mixed_graph()
    first, second = uniform(graph, 0.2, seeded(1)), uniform(graph, 0.2, seeded(2))
    slope = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    for order in (1, 2):
        flat = pisc(*triangle_of(linear(slope), graph, first, second), first, second, graph, order, form)
        assert flat.abs().max() < 1e-12
    corners = triangle_of(harmonic(HESSIAN), graph, first, second)
    assert pisc(*corners, first, second, graph, 2, form).abs().max() < 1e-11
    across, along = quadratic(graph, first - second), quadratic(graph, first)
    expected = {
        "same_point": across,
        "extrapolations": across - along,
        "reverse": across,
        "all": torch.stack([across, across - along, across]),
        "two_point": along,
    }[form]
    assert torch.allclose(pisc(*corners, first, second, graph, 1, form), expected, rtol=1e-9, atol=1e-11)


def test_symmetric_residual_of_linear_and_harmonic_energies_is_nothing():
    graph = mixed_graph()
    delta = uniform(graph, 0.3, seeded())
    for potential in (linear(torch.ones(3, dtype=torch.float64)), harmonic(HESSIAN)):
        assert symmetric_residuals(potential, graph, delta).abs().max() < 1e-11


def test_cubic_energy_leaves_a_twelfth_and_a_sixth_of_the_cube():
    """E = k Σ (u·r)³/6: the trapezoid rule is wrong by −k(u·δ)³/12, the central difference by k(u·δ)³/6."""
    graph, k = mixed_graph(), 0.7
    axis = torch.tensor([0.3, -1.0, 0.7], dtype=torch.float64)
    cubic = Exact(lambda g: g.sum_over_atoms(k * (g.positions @ axis) ** 3 / 6))
    delta = uniform(graph, 0.2, seeded())
    cube = graph.sum_over_atoms((delta @ axis) ** 3)
    assert torch.allclose(pitc_residuals(cubic, graph, delta, 2), -k * cube / 12, rtol=1e-7, atol=1e-13)
    assert torch.allclose(symmetric_residuals(cubic, graph, delta), k * cube / 6, rtol=1e-7, atol=1e-13)


def morse_by_hand(positions, depth=4.0, width=1.9, rest=1.2):
    """Energy and forces of a Morse curve between all pairs of one molecule, [N, 3] → float, [N, 3]."""
    energy, forces = 0.0, np.zeros_like(positions)
    for i in range(len(positions)):
        for j in range(i):
            vector = positions[i] - positions[j]
            r = float(np.sqrt(vector @ vector))
            decay = np.exp(-width * (r - rest))
            energy += depth * (1 - decay) ** 2
            pull = -2 * depth * width * (1 - decay) * decay * vector / r
            forces[i] += pull
            forces[j] -= pull
    return energy, forces


@pytest.mark.parametrize("seed", [0, 1])
def test_every_residual_of_a_morse_potential_is_that_of_the_formula(seed):
    """The table of the module, row by row, on molecules of different size in one batch."""
    shapes = [rattled("H2", seed=3), rattled("CH4", seed=2), rattled("CO", seed=4), rattled("H2O")]
    graph = GraphSet.build(dataset(*shapes), 9.0, skin=2.0, dtype=torch.float64).all()
    first, second = uniform(graph, 0.1, seeded(seed)), uniform(graph, 0.1, seeded(seed + 9))
    a, c, b, d = unjoin(morse()(graph.displaced([first, second, -first])), graph)
    fast = {("pitc", 1): pitc(a, c, first, graph, 1), ("pitc", 2): pitc(a, c, first, graph, 2)}
    fast["pitc", "symmetric"] = symmetric_pitc(a, c, d, first, graph)
    for order in (1, 2):
        for form in ("same_point", "extrapolations", "reverse", "two_point"):
            fast[form, order] = pisc(a, b, c, first, second, graph, order, form)
        whole = pisc(a, b, c, first, second, graph, order, "all")
        assert torch.equal(whole, torch.stack([fast[form, order] for form in tuple(PISC_FORMS)[:3]]))
    sizes = [len(f.numbers) for f in shapes]
    rows = zip(shapes, first.split(sizes), second.split(sizes), strict=True)
    for number, (f, d1, d2) in enumerate(rows):
        d1, d2 = d1.numpy(), d2.numpy()
        (ea, fa), (eb, fb) = morse_by_hand(f.positions), morse_by_hand(f.positions + d2)
        (ec, fc), (ed, _) = morse_by_hand(f.positions + d1), morse_by_hand(f.positions - d1)
        s = d1 - d2
        slow = {
            ("pitc", 1): ec - (ea - (d1 * fa).sum()),
            ("pitc", 2): ec - (ea - 0.5 * (d1 * (fa + fc)).sum()),
            ("pitc", "symmetric"): 0.5 * (ec - ed) + (d1 * fa).sum(),
            ("same_point", 1): ec - (eb - (s * fb).sum()),
            ("extrapolations", 1): (ea - (d1 * fa).sum()) - (eb - (s * fb).sum()),
            ("reverse", 1): eb - (ec + (s * fc).sum()),
            ("two_point", 1): ea - (ec + (d1 * fc).sum()),
            ("same_point", 2): ec - (eb - 0.5 * (s * (fb + fc)).sum()),
            ("extrapolations", 2): (ea - 0.5 * (d1 * (fa + fc)).sum()) - (eb - 0.5 * (s * (fb + fc)).sum()),
            ("reverse", 2): eb - (ec + 0.5 * (s * (fb + fc)).sum()),
            ("two_point", 2): ea - (ec + 0.5 * (d1 * (fa + fc)).sum()),
        }
        assert set(slow) == set(fast)
        for name, value in slow.items():
            assert fast[name][number].item() == pytest.approx(value, rel=1e-9, abs=1e-12), name


def test_morse_residual_of_the_symmetric_form_grows_as_the_cube():
    graph = mixed_graph()
    delta = uniform(graph, 1.0, seeded())
    epsilons = np.array([0.0005, 0.001, 0.002, 0.004])
    residuals = [symmetric_residuals(morse(), graph, e * delta)[:3].abs().detach().numpy() for e in epsilons]
    for one in np.array(residuals).T:
        assert np.polyfit(np.log(epsilons), np.log(one), 1)[0] == pytest.approx(3.0, abs=0.15)


def test_weak_labels_count_only_structures_with_both_labels():
    """Labels of a harmonic potential, their energies off by 0.3 eV: residual 0.3 less is ½ δᵀHδ."""
    graph = mixed_graph()
    exact, delta = harmonic(HESSIAN)(graph), uniform(graph, 0.2, seeded())
    labels = dataclasses.replace(
        graph,
        energy=exact.energy.detach() - 0.3,
        forces=exact.forces.detach(),
        has_energy=torch.tensor([True, True, True, False]),
        has_forces=torch.tensor([True, False, True, True]),
    )
    end = harmonic(HESSIAN)(graph.at(graph.positions + delta))
    expected = (quadratic(graph, delta) + 0.3)[[0, 2]].square().mean()
    assert weak_label_loss(end, delta, labels).item() == pytest.approx(float(expected), rel=1e-9)


def test_gradient_consistency_is_the_mean_square_of_a_component():
    graph = mixed_graph()
    conservative = torch.randn(graph.positions.shape, generator=seeded(), dtype=torch.float64)
    push = torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64)
    prediction = Prediction(torch.zeros(4), conservative, conservative + push, conservative)
    for teacher in GRADIENT_TEACHERS:
        assert float(gradient_consistency(prediction, teacher)) == pytest.approx(0.14 / 3, rel=1e-9)


TWIST = torch.tensor([[0.4, 1.0, -0.3], [-0.2, 0.1, 0.6], [0.5, 0.2, -0.7]], dtype=torch.float64)


def field(graph_force):
    return Exact(lambda g: g.sum_over_atoms(0.0 * g.positions.sum(1)), extra=graph_force)


def test_the_curl_loss_of_a_linear_field_is_the_square_of_its_antisymmetric_part():
    """F = Ar for every atom: ‖½(A − Aᵀ)‖² a 3 degrees of freedom, whatever the structure's size; a mean of probes."""
    turning = field(lambda g: g.positions @ TWIST.T)
    exact = float((0.5 * (TWIST - TWIST.T)).square().sum()) / 3
    many = GraphSet.build(dataset(rattled("H2O"), rattled("O"), rattled("CH4")), 5.0, dtype=torch.float64)
    graph = many.batch([0, 1, 2] * 6000)
    assert curl_loss(turning, graph, seeded()).item() == pytest.approx(exact, rel=0.06)
    still = field(lambda g: g.positions @ (TWIST + TWIST.T))
    assert curl_loss(still, graph, seeded()).item() < 1e-24


def test_the_curl_loss_has_the_exact_expectation_over_its_probes(monkeypatch):
    """The mean over Gaussian probes is the sum over pairs of unit vectors, here all of them; atoms are coupled too."""
    graph = GraphSet.build(dataset(rattled("H2")), 5.0, dtype=torch.float64).all()
    jacobian = torch.randn(6, 6, generator=seeded(), dtype=torch.float64)
    coupled = field(lambda g: (g.positions.reshape(-1, 6) @ jacobian.T).reshape(-1, 3))
    units = torch.eye(6, dtype=torch.float64).view(6, 2, 3)
    total = 0.0
    for u in units:
        for v in units:
            probes = iter([u, v])
            monkeypatch.setattr(torch, "randn", lambda *_, probes=probes, **__: next(probes))
            total += curl_loss(coupled, graph, seeded()).item()
    monkeypatch.undo()
    assert total == pytest.approx(float((0.5 * (jacobian - jacobian.T)).square().sum()) / 6, rel=1e-12)


def test_conservative_forces_have_no_curl_and_a_twist_is_found_in_its_own_structure():
    assert curl_loss(morse(), mixed_graph(), seeded()).item() < 1e-20
    one = field(lambda g: torch.where((g.structure == 1)[:, None], g.positions @ TWIST.T, 0.0))
    every = field(lambda g: g.positions @ TWIST.T)
    graph = mixed_graph()
    alone = curl_loss(one, graph, seeded()).item()
    assert 0 < alone < curl_loss(every, graph, seeded()).item()


def test_the_curl_loss_reaches_the_parameters_of_a_direct_head():
    torch.manual_seed(0)
    potential = build("painn", channels=8, layers=2, radial=6, head="direct").double()
    curl_loss(potential, labelled_graph(), seeded()).backward()
    assert any(p.grad is not None and bool((p.grad != 0).any()) for p in potential.force_head.parameters())


def test_noise_loss_counts_structures_with_forces_in_units_of_epsilon():
    graph = dataclasses.replace(mixed_graph(), has_forces=torch.tensor([True, False, True, False]))
    delta = uniform(graph, 0.05, seeded())
    error = torch.tensor([0.01, -0.02, 0.0], dtype=torch.float64)
    guess = delta + torch.where(graph.has_forces[graph.structure][:, None], error, 7.0)
    assert float(noise_loss(guess, delta, graph, 0.05)) == pytest.approx((0.01**2 + 0.02**2) / 3 / 0.05**2, rel=1e-9)
    assert float(noise_loss(delta, delta, graph, 0.05)) == 0.0


def test_both_heads_of_a_prediction_are_held_against_the_force_labels():
    graph = GraphSet.build(labelled("H2O", 2).budget(2, 1), 5.0, dtype=torch.float64).all()
    known = graph.has_forces[graph.structure][:, None]
    direct, conservative = (graph.forces + torch.where(known, shift, 9.0) for shift in (0.1, 0.2))
    both = Prediction(graph.energy, conservative, direct, conservative)
    assert float(force_loss(both, graph)) == pytest.approx((0.01 + 0.04) / 2)
    assert float(force_loss(both._replace(direct=None), graph)) == pytest.approx(0.04)


@pytest.mark.parametrize("order", [1, 2])
def test_the_wrong_sign_or_the_wrong_half_would_be_seen(order):
    """Mistakes in a formula stand out of the residual of an exact potential by orders of magnitude."""
    graph = mixed_graph()
    delta = uniform(graph, 0.01, seeded())
    a, c = unjoin(morse()(graph.displaced([delta])), graph)
    right = pitc(a, c, delta, graph, order).square().mean()
    forces = a.forces if order == 1 else 0.5 * (a.forces + c.forces)
    done = graph.sum_over_atoms((forces * delta).sum(1))
    change = c.energy - a.energy
    whole = (forces * delta).sum()
    for wrong in (change - done, change + 0.5 * done, change, change + whole, change + 2 * done):
        assert wrong.square().mean() > 10 * right
