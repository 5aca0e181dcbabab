"""What our own models do beyond the contract of any potential, which test_contract.py puts them through."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from frames import crystal, dataset, frame, labelled, rattled
from scipy.spatial.transform import Rotation

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import HEADS, MODELS, build
from piwsl_lab.models.radial import envelope, geometry
from piwsl_lab.models.tensornet import Parts, normalised, product, traceless_patterns

CASES = [pytest.param(m, h, id=f"{m}-{h}") for m, h in itertools.product(MODELS, HEADS)]
EVERY = pytest.mark.parametrize(("model", "head"), CASES)
WITH_DIRECT_HEAD = pytest.mark.parametrize(("model", "head"), [c for c in CASES if c.values[1] != "conservative"])


def make(model, head, channels=8, layers=2, **kwargs):
    torch.manual_seed(7)
    potential = build(model, head=head, channels=channels, layers=layers, radial=6, cutoff=4.0, **kwargs)
    return potential.double()


def graph_of(*frames, skin=0.5):
    return GraphSet.build(dataset(*frames), 4.0, skin=skin, dtype=torch.float64).all()


def answer(potential, *frames):
    prediction = potential(graph_of(*frames))
    return prediction.energy.detach().numpy(), prediction.forces.detach().numpy()


def moved(f, positions):
    return frame(f.numbers, positions, f.cell if f.pbc.any() else None)


@EVERY
def test_wrapped_equals_unwrapped(model, head):
    potential, f = make(model, head), crystal()
    far = f.positions + np.array([[0, 0, 0], [1, 0, 0], [0, -2, 0], [3, 1, -1]]) @ f.cell
    for one, other in zip(answer(potential, f), answer(potential, moved(f, far)), strict=True):
        assert np.allclose(one, other, atol=1e-10)


@EVERY
def test_small_cell_equals_its_supercell(model, head):
    """The cell is shorter than the cutoff, so atoms see their own images; a 2 × 2 × 2 supercell spells them out."""
    potential, f = make(model, head), crystal()
    images = list(itertools.product(range(2), repeat=3))
    big = frame(np.tile(f.numbers, 8), np.concatenate([f.positions + np.array(i) @ f.cell for i in images]), 2 * f.cell)
    energy, forces = answer(potential, f)
    big_energy, big_forces = answer(potential, big)
    assert np.allclose(8 * energy, big_energy, atol=1e-9)
    assert np.allclose(np.tile(forces, (8, 1)), big_forces, atol=1e-9)


@EVERY
def test_energy_without_forces_is_the_same(model, head):
    potential, graph = make(model, head), graph_of(rattled("CH3CH2OH"))
    assert potential(graph, forces=False).forces is None
    assert torch.allclose(potential(graph, forces=False).energy, potential(graph).energy, atol=1e-12)


@WITH_DIRECT_HEAD
@pytest.mark.parametrize("training", [True, False])
def test_asking_for_one_head_or_both_gives_the_same_answers(model, head, training):
    potential, graph = make(model, head), graph_of(rattled("CH3CH2OH"), rattled("H2O", seed=2))
    with torch.set_grad_enabled(training):
        fast, both, own = potential(graph, forces="direct"), potential(graph, forces="both"), potential(graph)
    assert both.forces.requires_grad == both.direct.requires_grad == both.conservative.requires_grad == training
    assert torch.allclose(fast.forces, both.direct, atol=1e-12)
    assert torch.allclose(own.forces, both.direct if head == "direct" else both.conservative, atol=1e-12)
    assert torch.equal(both.forces, both.direct if head == "direct" else both.conservative)
    positions = graph.positions.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(potential(graph.at(positions), forces=False).energy.sum(), positions)
    assert torch.allclose(both.conservative, -gradient, atol=1e-12)
    assert not torch.allclose(both.direct, both.conservative, atol=1e-3)  # two outputs, not one under two names
    for prediction in (fast, both, own):
        assert torch.allclose(prediction.energy, fast.energy, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("forces", ["direct", "both"])
def test_a_conservative_potential_has_no_direct_forces_to_give(model, forces):
    potential = make(model, "conservative")
    assert not potential.has_direct_head
    with pytest.raises(ValueError, match=f"forces='{forces}' needs a direct head.*build it with head=\"dual\""):
        potential(graph_of(rattled("H2O")), forces=forces)


def test_a_misspelt_kind_of_forces_is_not_taken_for_the_direct_ones():
    potential = make("painn", "dual")
    with pytest.raises(ValueError, match="forces='conservative' does not exist; use True"):
        potential(graph_of(rattled("H2O")), forces="conservative")


def test_tensornet_features_are_a_scalar_a_polar_vector_and_a_rank_2_tensor():
    potential, graph = make("tensornet", "conservative", layers=3), graph_of(rattled("CH3CH2OH"))
    matrix = torch.from_numpy(-Rotation.random(random_state=3).as_matrix())  # a turn and an inversion
    elements = potential.rows[graph.numbers]

    def features(positions):
        _, scalar, vector, tensor = potential.features(elements, geometry(graph.at(positions), potential.cutoff))
        return scalar, vector, torch.matmul(normalised(potential.patterns), tensor).unflatten(1, (3, 3))

    scalar, vector, tensor = features(graph.positions)
    turned_scalar, turned_vector, turned_tensor = features(graph.positions @ matrix.T)
    assert torch.allclose(scalar, turned_scalar, atol=1e-12)
    assert torch.allclose(torch.einsum("ab,nbf->naf", matrix, vector), turned_vector, atol=1e-12)
    assert torch.allclose(torch.einsum("ab,nbcf,dc->nadf", matrix, tensor, matrix), turned_tensor, atol=1e-12)
    assert torch.allclose(tensor, tensor.transpose(1, 2), atol=1e-12)
    assert torch.allclose(torch.einsum("naaf->nf", tensor), torch.zeros(()).double(), atol=1e-12)
    assert min(float(part.detach().abs().max()) for part in (scalar, vector, tensor)) > 1e-3


@pytest.mark.parametrize("model", ["painn", "tensornet"])
def test_what_the_denoising_head_says_turns_with_the_atoms(model):
    potential, graph = make(model, "direct", denoise=True), graph_of(rattled("CH3CH2OH"))
    forces = torch.randn(graph.positions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrix = torch.from_numpy(-Rotation.random(random_state=3).as_matrix())  # a turn and an inversion
    noise = potential.denoised(graph, forces)
    turned = potential.denoised(graph.at(graph.positions @ matrix.T), forces @ matrix.T)
    assert torch.allclose(noise @ matrix.T, turned, atol=1e-12)
    assert not torch.allclose(noise, potential.denoised(graph, 2 * forces), atol=1e-3), "it was told no force"


@pytest.mark.parametrize("model", ["painn", "tensornet"])
def test_a_denoising_head_changes_no_other_answer(model):
    torch.manual_seed(0)
    plain = build(model, head="dual", channels=8, layers=2).state_dict()
    torch.manual_seed(0)
    more = build(model, head="dual", channels=8, layers=2, denoise=True)
    assert all(torch.equal(more.state_dict()[name], value) for name, value in plain.items())
    assert more.hyperparameters["denoise"] is True


def test_tensornet_multiplies_parts_as_symmetrised_matrices():
    """½(XY + YX) with 3 × 3 matrices written out, for two tensors and for one with itself."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(4, 2), (4, 3, 2), (4, 5, 2)]
    x, y = (Parts(*(torch.randn(s, dtype=torch.float64, generator=generator) for s in shapes)) for _ in range(2))
    basis = normalised(traceless_patterns().double())
    assert torch.allclose(basis.T @ basis, torch.eye(5, dtype=torch.float64), atol=1e-14)
    cross = torch.zeros(3, 3, 3, dtype=torch.float64)  # [a]× = Σ_k a_k cross[:, :, k]
    for a, b, c in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        cross[a, b, c], cross[b, a, c] = -1.0, 1.0

    def matrix(parts):  # (N, F, 3, 3)
        tensor = torch.matmul(basis, parts.tensor).unflatten(1, (3, 3)).permute(0, 3, 1, 2)
        identity = torch.eye(3, dtype=torch.float64) * parts.scalar[..., None, None]
        return identity + torch.einsum("abk,nkf->nfab", cross, parts.vector) + tensor

    for left, right in ((x, y), (x, x)):
        expected = (matrix(left) @ matrix(right) + matrix(right) @ matrix(left)) / 2
        assert torch.allclose(matrix(product(left, right, basis)), expected, atol=1e-12)
    assert torch.allclose(sum(x.squared_norms()), matrix(x).square().sum((2, 3)), atol=1e-12)


@pytest.mark.parametrize(("model", "sees"), [("schnet", False), ("painn", False), ("tensornet", True)])
def test_one_layer_with_l_2_tells_a_square_from_a_tetrahedron(model, sees):
    """Four H at 3 Å around an O: distances and the sum of directions agree, the H do not see each other."""
    square = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]])
    tetrahedron = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    frames = [frame([8, 1, 1, 1, 1], 3.0 * np.vstack([np.zeros(3), corners])) for corners in (square, tetrahedron)]
    energy, _ = answer(make(model, "conservative", layers=1), *frames)
    assert (abs(energy[0] - energy[1]) > 1e-6) == sees


@EVERY
def test_parameter_gradient_of_a_force_loss(model, head):
    """The double backward that training runs, against finite differences in one weight of every tensor."""
    potential, graph = make(model, head, channels=4), graph_of(rattled("CH4"))
    target = torch.randn(graph.positions.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def loss():
        said = potential(graph, forces="both" if head == "dual" else True)
        wrong = (said.forces - target).square().sum() + said.energy.square().sum()
        return wrong + (said.direct + target).square().sum() if head == "dual" else wrong

    parameters = [p for p in potential.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
    step = 1e-6
    for parameter, gradient in zip(parameters, gradients, strict=True):
        flat = parameter.data.view(-1)
        index = int(gradient.abs().argmax())
        flat[index] += step
        above = float(loss().detach())
        flat[index] -= 2 * step
        below = float(loss().detach())
        flat[index] += step
        assert (above - below) / (2 * step) == pytest.approx(float(gradient.view(-1)[index]), rel=1e-5, abs=1e-7)


@EVERY
def test_smooth_to_zero_through_the_cutoff(model, head):
    """Two atoms drawn apart: interaction, force and its slope vanish at 4 Å, and stay zero beyond."""
    potential = make(model, head)
    pair = [frame([8, 1], [[0, 0, 0], [r, 0, 0]]) for r in (3.9, 3.99, 3.999, 4.0, 4.2)]
    lone = answer(potential, rattled("O"), rattled("H"))[0].sum()
    energy, forces = answer(potential, *pair)
    interaction = np.abs(energy - lone)
    pull = np.abs(forces).reshape(-1, 6).max(axis=1)
    assert interaction[0] > 1e-8  # the model does see its neighbour near the cutoff
    # The envelope falls as (r_c − r)³: a distance ten times smaller, a thousand times less.
    assert interaction[1] < 2e-3 * interaction[0]
    assert interaction[2] < 2e-3 * interaction[1] + 1e-12
    # Forces: (r_c − r)² for a gradient, (r_c − r)³ for a direct head.
    assert pull[1] < 2e-2 * pull[0]
    assert pull[2] < 2e-2 * pull[1] + 1e-12
    assert interaction[3:].max() < 1e-12
    assert pull[3:].max() < 1e-12


def test_envelope_and_its_two_derivatives_vanish_at_the_cutoff():
    r = torch.tensor([4.0 - 1e-9], dtype=torch.float64, requires_grad=True)
    value = envelope(r, 4.0)
    (first,) = torch.autograd.grad(value, r, create_graph=True)
    (second,) = torch.autograd.grad(first, r)
    assert float(envelope(torch.zeros(1), 4.0)) == 1.0
    for derivative in (value, first, second):
        assert abs(derivative.item()) < 1e-6


@EVERY
def test_float32_agrees_with_float64(model, head):
    potential, f = make(model, head), rattled("CH3CH2OH")
    energy, forces = answer(potential, f)
    single = potential.float()(graph_of(f).to(dtype=torch.float32))
    assert single.energy.dtype == torch.float32
    assert np.allclose(single.energy.detach(), energy, atol=1e-4)
    assert np.allclose(single.forces.detach(), forces, atol=1e-4)


@EVERY
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU on this machine")
def test_cuda_agrees_with_cpu(model, head):
    potential, f = make(model, head), rattled("CH3CH2OH")
    energy, forces = answer(potential, f)
    there = potential.cuda()(graph_of(f).to("cuda"))
    assert np.allclose(there.energy.detach().cpu(), energy, atol=1e-10)
    assert np.allclose(there.forces.detach().cpu(), forces, atol=1e-10)


@EVERY
def test_unknown_element_is_named(model, head):
    potential = make(model, head, elements=(1, 6))
    with pytest.raises(ValueError, match=r"never saw the elements \[8\].*make a potential with elements"):
        answer(potential, rattled("H2O"))
    with pytest.raises(ValueError, match=r"never saw the elements \[8\]"):
        potential.graphs(dataset(rattled("H2O")))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"head": "both"}, "head 'both' does not exist"),
        ({"elements": ()}, "at least one element"),
        ({"channels": 0}, "channels=0"),
        ({"cutoff": -1.0}, "cutoff=-1.0"),
    ],
)
def test_impossible_hyperparameters_are_errors(bad, message):
    with pytest.raises(ValueError, match=message):
        build("painn", **bad)
    with pytest.raises(ValueError, match="no model is called 'gap'"):
        build("gap")


def test_calibration_uses_the_labels_that_are_there():
    train = labelled("CH3CH2OH", 20)
    potential = build("painn").calibrate(train)
    offset = sum(potential.reference[int(z)] for z in train[0].numbers)
    assert offset == pytest.approx(np.mean([f.energy for f in train]), abs=1e-9)
    rms = np.sqrt(np.mean(np.concatenate([f.forces for f in train]) ** 2))
    assert float(potential.scale) == pytest.approx(rms, rel=1e-6)
    assert float(build("painn").calibrate(train.budget(10, 0)).scale) == 1.0


def test_a_fitted_shift_takes_the_constant_error_and_nothing_else():
    """Two compositions whose labels are off by 0.3 eV a hydrogen and -0.2 an oxygen are told apart."""
    both = dataset(*labelled("H2O", 5), *labelled("H2O2", 6, seed=1))
    potential = make("painn", "dual").calibrate(both)
    exact, forces = potential.predict(both)
    wrong = [
        replace(f, energy=float(e) + 0.3 * sum(f.numbers == 1) - 0.2 * sum(f.numbers == 8))
        for f, e in zip(both, exact, strict=True)
    ]
    # A frame without an energy, however far its place is off, does not count.
    wrong.append(replace(labelled("H2O", 1, seed=7)[0], energy=None))
    potential.fit_shift(potential.graphs(dataset(*wrong)).all())
    assert dict(zip(potential.elements, potential.shift.tolist(), strict=True)) == pytest.approx(
        {1: 0.3, 6: 0.0, 8: -0.2}, abs=1e-8
    )
    shifted, same = potential.predict(both)
    assert np.allclose(shifted, [f.energy for f in wrong[:-1]], atol=1e-8)
    assert all(np.array_equal(a, b) for a, b in zip(forces, same, strict=True))


@pytest.mark.parametrize("per_atom", [False, True])
def test_a_shift_of_one_composition_is_the_mean_error(per_atom):
    train = labelled("CH3CH2OH", 8)
    potential = make("painn", "direct").calibrate(train)
    before = potential.predict(train)[0] - np.array([f.energy for f in train])
    potential.fit_shift(potential.graphs(train).all(), per_atom)
    after = potential.predict(train)[0] - np.array([f.energy for f in train])
    assert abs(before.mean()) > 1e-3
    assert np.allclose(after, before - before.mean(), atol=1e-8)


def test_a_shift_per_atom_weighs_large_structures_less():
    """One lone hydrogen labelled 1 eV and four labelled 0 in all: (1 − u)² + (4u)², or (1 − u)² + u² per atom."""
    small, large = frame([1], [[0.0, 0, 0]], energy=1.0), frame([1] * 4, 20.0 * np.eye(4)[:, :3], energy=0.0)
    for per_atom, expected in ((False, 1 / 17), (True, 1 / 2)):
        potential = make("painn", "direct")
        potential.reference = dict.fromkeys(potential.elements, 0.0)
        potential.fit_shift(potential.graphs(dataset(small, large)).all(), per_atom)
        lone = potential.predict(dataset(small))[0][0]
        assert lone == pytest.approx(expected, abs=1e-9)


@EVERY
def test_predict_gives_total_energies(model, head):
    train = labelled("CH3CH2OH", 5)
    potential = make(model, head).calibrate(train)
    energies, forces = potential.predict(train, batch_size=2)
    graph = potential.graphs(train).all()
    offset = sum(potential.reference[int(z)] for z in train[0].numbers)
    assert np.allclose(energies, potential(graph).energy.detach().numpy() + offset, atol=1e-9)
    assert np.allclose(np.concatenate(forces), potential(graph).forces.detach().numpy(), atol=1e-9)
