"""Displacements: their size on both sides of zero, what they leave alone, and where the clever ones point."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import pytest
import torch
from ase.build import molecule
from frames import crystal, dataset, frame, labelled, rattled
from hypothesis import given, settings
from hypothesis import strategies as st
from potentials import Exact, harmonic, morse
from scipy.spatial.transform import Rotation

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import build
from piwsl_lab.names import DIRECTIONS
from piwsl_lab.piwsl.displacements import (
    Displacer,
    adversarial,
    covariance,
    fixed_length,
    local,
    longest,
    per_atom_epsilon,
    shortest_bonds,
    uniform,
    without_drift,
)
from piwsl_lab.piwsl.residuals import pitc, unjoin
from piwsl_lab.piwsl.soft_modes import SoftModes

MIXED = ("H2O", "CH3CH2OH", "CH4", "O", "H2")
SIZES = [3, 9, 5, 1, 2]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def graphs_of(*frames, dtype=torch.float64):
    return GraphSet.build(dataset(*frames), 5.0, skin=2.0, dtype=dtype)


def mixed_graph(first="H2O"):
    return graphs_of(*(rattled(name, seed=k) for k, name in enumerate((first, *MIXED[1:])))).all()


@functools.cache
def ethanol(n_frames=12, dtype=torch.float64):
    return GraphSet.build(labelled("CH3CH2OH", n_frames), 5.0, dtype=dtype)


@functools.cache
def ethanol_modes():
    return SoftModes.from_graphs(ethanol())


def displacer(direction, **options):
    return Displacer(direction, modes=ethanol_modes() if direction == "covariance" else None, **options)


def residuals(potential, graph, delta):
    start, end = unjoin(potential(graph.displaced([delta])), graph)
    return pitc(start, end, delta, graph, order=2).detach()


def curled(strength=0.3):
    """A Morse potential whose forces hold a part that no energy knows of, another one in every structure."""

    def push(graph):
        axis = torch.tensor([0.3, -1.0, 0.7]).to(graph.positions)
        return strength * torch.linalg.cross(graph.positions, axis.expand_as(graph.positions))

    return Exact(morse().energy, extra=push)


# --- size, sides, seeds ---------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=80)
@given(
    direction=st.sampled_from(sorted(DIRECTIONS)),
    epsilon=st.floats(1e-3, 0.3),
    relative=st.booleans(),
    remove_drift=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_no_atom_moves_farther_than_longest(direction, epsilon, relative, remove_drift, seed):
    graph = ethanol().batch([3, 0, 7]) if direction == "covariance" else mixed_graph()
    one = displacer(direction, epsilon=epsilon, relative=relative, remove_drift=remove_drift)
    delta = one.draw(graph, seeded(seed), curled())
    assert delta.shape == graph.positions.shape
    assert not delta.requires_grad
    assert delta.isfinite().all()
    assert delta.norm(dim=1).max() <= one.longest(graph) * (1 + 1e-9)
    if not relative:
        assert one.longest(graph) == pytest.approx(longest(direction, epsilon))
    elif not remove_drift:
        limit = longest(direction, 1.0) * per_atom_epsilon(graph, epsilon)
        assert (delta.norm(dim=1) <= limit * (1 + 1e-9)).all()


@pytest.mark.parametrize("direction", ["uniform", "fixed_length", "local", "covariance"])
def test_displacements_fall_on_both_sides_of_zero(direction):
    graph = ethanol(200).all()
    delta = torch.stack([displacer(direction).draw(graph, seeded(s)) for s in range(20)])  # (20, N, 3)
    moved = delta[delta != 0]
    assert abs(float((moved > 0).double().mean()) - 0.5) < 0.02
    assert float(delta.mean().abs()) < 0.02 * float(delta.std())


@pytest.mark.parametrize("direction", ["uniform", "fixed_length", "covariance"])
def test_a_component_is_as_large_as_one_of_uniform(direction):
    delta = displacer(direction, epsilon=0.06).draw(ethanol(200).all(), seeded())
    # The few combinations that are scaled down make `covariance` a little smaller.
    assert float(delta.square().mean().sqrt()) == pytest.approx(0.06 / 3**0.5, rel=0.12)


@pytest.mark.parametrize("direction", sorted(DIRECTIONS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_seed_gives_one_displacement_in_the_dtype_of_the_positions(direction, dtype):
    graph = ethanol(4, dtype).all()
    one = displacer(direction)
    first, again, other = (one.draw(graph, seeded(s), curled(0.1)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert first.dtype == dtype
    assert direction == "adversarial" or not torch.allclose(first, other)


def test_random_numbers_of_a_plain_epsilon_are_those_of_the_first_release():
    graph = mixed_graph().to(dtype=torch.float32)
    shape, generator = graph.positions.shape, seeded(4)
    assert torch.equal(uniform(graph, 0.05, seeded(4)), (2.0 * torch.rand(shape, generator=generator) - 1.0) * 0.05)
    arrows = torch.nn.functional.normalize(torch.randn(shape, generator=seeded(4)), dim=1)
    assert torch.equal(fixed_length(graph, 0.05, seeded(4)), 0.05 * arrows)


@pytest.mark.parametrize("direction", sorted(DIRECTIONS))
def test_a_tensor_of_epsilons_is_one_for_every_atom(direction):
    graph = ethanol(3).all()
    ones = torch.ones(27, dtype=torch.float64)

    def draw(epsilon):
        if direction == "covariance":
            return covariance(graph, epsilon, seeded(), ethanol_modes())
        if direction == "adversarial":
            return adversarial(curled(), graph, epsilon, seeded())
        return Displacer(direction, epsilon).draw(graph, seeded())

    assert torch.allclose(draw(0.04), draw(0.04 * ones))
    still = ones.index_fill(0, torch.arange(9), 0.0)
    delta = draw(0.04 * still)
    assert (delta[:9] == 0).all()
    assert (delta[9:] != 0).any()


def test_longest_knows_every_direction():
    assert {name: longest(name, 2.0) for name in DIRECTIONS} == {
        "uniform": pytest.approx(2 * 3**0.5),
        "fixed_length": 2.0,
        "local": pytest.approx(2 * 3**0.5),
        "covariance": pytest.approx(2 * 3**0.5),
        "adversarial": 2.0,
    }
    for call in (lambda: longest("up", 1.0), lambda: Displacer("up")):
        with pytest.raises(ValueError, match=r"direction='up'.*choose one of uniform, fixed_length, local"):
            call()


# --- structures, drift, bonds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["uniform", "fixed_length", "local", "adversarial"])
@pytest.mark.parametrize("relative", [False, True])
def test_a_structure_of_the_batch_does_not_touch_another(direction, relative):
    """The first structure changes its shape: all others are displaced as before."""
    graph, generator = mixed_graph(), np.random.default_rng(0)
    noise = torch.zeros_like(graph.positions)
    noise[:3] = torch.from_numpy(generator.uniform(-0.2, 0.2, (3, 3)))
    one = Displacer(direction, 0.05, relative=relative, remove_drift=True)
    before, after = (one.draw(g, seeded(3), curled()) for g in (graph, graph.at(graph.positions + noise)))
    assert torch.allclose(before[3:], after[3:], atol=1e-13)
    if direction == "adversarial" or relative:
        assert not torch.allclose(before[:3], after[:3])


def test_the_modes_of_one_structure_are_turned_by_its_own_frame_alone():
    graph, modes = ethanol().batch([1, 2]), ethanol_modes()
    turn = torch.from_numpy(Rotation.from_rotvec([0.4, -1.0, 0.3]).as_matrix())
    turned = graph.positions.clone()
    turned[:9] = turned[:9] @ turn + 3.0
    before, after = (modes.draw(graph.at(r), 0.05, seeded()) for r in (graph.positions, turned))
    assert torch.allclose(before[:9] @ turn, after[:9], atol=1e-12)
    assert torch.equal(before[9:], after[9:])


@settings(deadline=None, max_examples=40)
@given(
    direction=st.sampled_from(["uniform", "fixed_length", "local", "adversarial"]),
    relative=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_every_structure_keeps_its_place_without_drift(direction, relative, seed):
    graph = mixed_graph()
    delta = Displacer(direction, 0.1, relative=relative, remove_drift=True).draw(graph, seeded(seed), curled())
    for part in delta.split(SIZES):
        assert part.mean(0).abs().max() < 1e-15
    assert (delta[17:18] == 0).all()  # an atom alone has nowhere to go
    raw = uniform(graph, 0.1, seeded(seed))
    for part, bare in zip(without_drift(raw, graph).split(SIZES), raw.split(SIZES), strict=True):
        assert torch.allclose(part, bare - bare.mean(0))


def test_a_structure_without_drift_is_scaled_down_only_where_an_atom_goes_too_far():
    graph, epsilon = mixed_graph(), 0.1
    one, shrunk = Displacer("fixed_length", epsilon, remove_drift=True), 0
    for seed in range(20):
        bare = without_drift(fixed_length(graph, epsilon, seeded(seed)), graph)
        for drawn, part in zip(one.draw(graph, seeded(seed)).split(SIZES), bare.split(SIZES), strict=True):
            farthest = float(part.norm(dim=1).max())
            assert torch.allclose(drawn, part * min(1.0, epsilon / max(farthest, 1e-9)))
            shrunk += farthest > epsilon
    assert 0 < shrunk < 80


def test_drift_of_two_structures_is_not_that_of_the_batch():
    graph = graphs_of(rattled("H2"), rattled("H2", seed=1)).all()
    apart = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)[:, None].expand(4, 3)
    assert (without_drift(apart, graph) == 0).all()


def test_epsilon_is_a_fraction_of_the_shortest_bond():
    graph = graphs_of(frame([1, 8, 1], [[0, 0, 0], [0, 0, 1.0], [0, 0, 2.5]]), frame([8], [[0, 0, 0]])).all()
    assert shortest_bonds(graph).tolist() == pytest.approx([1.0, 1.0, 1.5, math.inf])
    assert per_atom_epsilon(graph, 0.1).tolist() == pytest.approx([0.1, 0.1, 0.15, 0.3])
    delta = Displacer("fixed_length", 0.1, relative=True).draw(graph, seeded())
    assert delta.norm(dim=1).tolist() == pytest.approx([0.1, 0.1, 0.15, 0.3])
    far = graphs_of(frame([1, 1], [[0, 0, 0], [0, 0, 4.9]])).all()
    assert per_atom_epsilon(far, 0.1).tolist() == pytest.approx([0.3, 0.3])  # not a bond: it counts as 3 Å


def test_relative_epsilon_scales_with_the_structure_and_sees_periodic_images():
    small, large = crystal(), crystal()
    large = frame(large.numbers, 1.1 * large.positions, 1.1 * large.cell)
    one = Displacer("uniform", 0.05, relative=True)
    first, second = (one.draw(graphs_of(f).all(), seeded(2)) for f in (small, large))
    assert torch.allclose(1.1 * first, second)
    # One atom in a cubic box of 2.8 Å: its image is its nearest neighbour.
    alone = graphs_of(frame([8], [[0, 0, 0]], 2.8 * np.eye(3))).all()
    assert per_atom_epsilon(alone, 0.1).tolist() == pytest.approx([0.28])


# --- local ----------------------------------------------------------------------------------------------------------


def test_local_moves_one_atom_and_its_first_shell():
    graph = graphs_of(*(frame(*_water_methane(name)) for name in ("H2O", "CH4", "H2O"))).all()
    seen = {"H2O": set(), "CH4": set()}
    for seed in range(60):
        moved = (local(graph, 0.05, seeded(seed)) != 0).all(1)
        still = (local(graph, 0.05, seeded(seed)) == 0).all(1)
        assert (moved | still).all()
        for name, part in zip(("H2O", "CH4", "H2O"), moved.split([3, 5, 3]), strict=True):
            seen[name].add(tuple(part.nonzero().flatten().tolist()))
    # Atom 0 is the heavy one: it takes all hydrogens along, a hydrogen takes only the heavy atom.
    assert seen["H2O"] == {(0, 1, 2), (0, 1), (0, 2)}
    assert seen["CH4"] == {(0, 1, 2, 3, 4), (0, 1), (0, 2), (0, 3), (0, 4)}


def _water_methane(name):
    atoms = molecule(name)
    return atoms.numbers, atoms.positions


def test_local_moves_an_atom_without_neighbours_and_takes_every_centre_equally_often():
    alone = graphs_of(frame([8], [[0, 0, 0]])).all()
    assert (local(alone, 0.05, seeded()) != 0).all()
    # Pairs far from each other: which pair moves tells which atom was the centre.
    pairs = np.array([[0, 0, z + 20 * k] for k in range(4) for z in (0.0, 0.7)])
    graph = graphs_of(frame([1] * 8, pairs)).all()
    counts = sum((local(graph, 1.0, seeded(seed)) != 0).all(1).view(4, 2).all(1).long() for seed in range(800))
    assert int(counts.sum()) == 800
    assert (counts - 200).abs().max() < 5 * (800 * 0.25 * 0.75) ** 0.5


# --- covariance -----------------------------------------------------------------------------------------------------


def bending(n_frames=40, amplitude=0.1, seed=0, second=0.0):
    """Rotated, shifted copies of ethanol displaced along known vectors, and the first of those vectors [9, 3]."""
    atoms, rng = molecule("CH3CH2OH"), np.random.default_rng(seed)
    rest = atoms.positions - atoms.positions.mean(0)
    shifts = [np.tile(axis, (9, 1)) for axis in np.eye(3)]
    turns = [np.cross(axis, rest) for axis in np.eye(3)]
    rigid = np.array([*shifts, *turns]).reshape(6, 27)
    modes = np.linalg.qr(np.concatenate([rigid, rng.normal(size=(2, 27))]).T)[0].T[6:].reshape(2, 9, 3)
    steps = rng.uniform(-1, 1, (n_frames, 2)) * (amplitude, second)
    frames = [
        frame(atoms.numbers, (rest + np.tensordot(step, modes, 1)) @ Rotation.from_quat(rng.normal(size=4)).as_matrix()
              + rng.normal(size=3))
        for step in steps
    ]  # fmt: skip
    return frames, modes, rest, steps


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_soft_modes_find_the_direction_in_which_the_frames_differ(dtype):
    frames, (mode, _), rest, steps = bending()
    soft = SoftModes.from_graphs(graphs_of(*frames, dtype=dtype))
    turn = Rotation.align_vectors(soft.mean.numpy(), rest)[0].as_matrix().T  # rest @ turn ≈ mean
    overlap = float((soft.modes[0].numpy() * (mode @ turn)).sum())
    assert abs(overlap) == pytest.approx(1.0, abs=1e-3)
    assert float(soft.deviations[0]) == pytest.approx(steps[:, 0].std(), rel=1e-2)
    # Along one direction the frames turn a little too: that is all of the rest.
    assert (soft.deviations[1:] < 0.02 * soft.deviations[0]).all()


def test_soft_modes_hold_no_translation_and_no_rotation_and_are_orthonormal():
    soft = SoftModes.from_graphs(ethanol(60), keep=30)
    assert len(soft.modes) == 21  # 3·9 − 6
    flat = soft.modes.flatten(1)
    assert torch.allclose(flat @ flat.T, torch.eye(21, dtype=torch.float64), atol=1e-10)
    assert soft.modes.sum(1).abs().max() < 1e-10
    torque = torch.linalg.cross(soft.mean.expand_as(soft.modes), soft.modes).sum(1)
    assert torque.abs().max() < 1e-9
    assert (soft.deviations.diff() <= 0).all()


def test_a_draw_follows_the_mode_and_turns_with_the_frame():
    frames, (mode, _), rest, _ = bending(amplitude=0.05)
    soft = SoftModes.from_graphs(graphs_of(*frames), keep=1)
    graph = graphs_of(*frames).batch([5, 0, 17])
    delta = soft.draw(graph, 0.05, seeded(2))
    for part, positions in zip(delta.split(9), graph.positions.split(9), strict=True):
        turn = Rotation.align_vectors((positions - positions.mean(0)).numpy(), rest)[0].as_matrix().T
        along = float((part.numpy() * (mode @ turn)).sum()) / float(part.norm())
        assert abs(along) == pytest.approx(1.0, abs=5e-3)
        assert part.mean(0).abs().max() < 1e-12


def test_a_draw_weighs_the_modes_by_their_deviation():
    frames, _, _, _ = bending(200, amplitude=0.06, second=0.02)
    soft = SoftModes.from_graphs(graphs_of(*frames), keep=2)
    same = graphs_of(frame([6, 6, 8, 1, 1, 1, 1, 1, 1], soft.mean.numpy()))
    graph = same.batch([0] * 2000)
    parts = soft.draw(graph, 1e-3, seeded()).view(2000, 27) @ soft.modes.flatten(1).T  # (2000, 2)
    # The median of a ratio of two normal numbers; scaling a structure down does not touch it.
    ratio = float((parts[:, 1] / parts[:, 0]).abs().median())
    assert ratio == pytest.approx(float(soft.deviations[1] / soft.deviations[0]), rel=0.1)
    assert abs(float((parts[:, 0] > 0).double().mean()) - 0.5) < 0.05


def test_a_mirror_image_is_never_used_to_align():
    """A chiral molecule and its mirror image differ; a reflection would make them one."""
    left = rattled("CH3CH2OH", amplitude=0.3).positions
    numbers = molecule("CH3CH2OH").numbers
    mirrored = frame(numbers, left * [1.0, 1.0, -1.0])
    soft = SoftModes.from_graphs(graphs_of(frame(numbers, left), mirrored))
    assert len(soft.modes) == 1
    assert float(soft.deviations[0]) > 0.1


def test_diatomic_and_linear_molecules_have_modes():
    stretched = [frame([6, 8], [[0, 0, 0], [0, 0, 1.1 + 0.05 * k]]) for k in range(-2, 3)]
    soft = SoftModes.from_graphs(graphs_of(*stretched))
    assert len(soft.modes) == 1
    assert soft.modes[0].abs()[:, 2].tolist() == pytest.approx([0.5**0.5] * 2)
    delta = soft.draw(graphs_of(*stretched).all(), 0.05, seeded())
    assert delta.isfinite().all()
    assert delta[:, :2].abs().max() < 1e-12
    triple = [frame([8, 6, 8], [[0, 0, -1.2 - 0.03 * k], [0, 0, 0.02 * k * k], [0, 0, 1.2]]) for k in range(4)]
    assert len(SoftModes.from_graphs(graphs_of(*triple)).modes) == 2  # two stretches, no bend was seen


def _two_waters():
    water = rattled("H2O")
    return water, frame(water.numbers[::-1].copy(), water.positions[::-1].copy())


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (lambda: [rattled("H2O"), rattled("CH4")], "same atoms"),
        (lambda: [rattled("H2O"), rattled("CH4"), rattled("O")], "same atoms"),
        (_two_waters, "same order"),
        (lambda: [crystal(0), crystal(1)], "cell"),
        (lambda: [rattled("H2O")], "one and the same"),
        (lambda: [rattled("O"), rattled("O", seed=1)], "one and the same"),
        (lambda: bending(4, amplitude=0.0)[0], "one and the same"),
    ],
)
def test_unsuited_sets_name_the_remedy(frames, why):
    with pytest.raises(ValueError, match=f'{why}.*choose "uniform"'):
        SoftModes.from_graphs(graphs_of(*frames()))


def test_another_molecule_than_that_of_the_modes_is_refused():
    with pytest.raises(ValueError, match=r"other atoms.*choose \"uniform\""):
        displacer("covariance").draw(mixed_graph(), seeded())
    with pytest.raises(ValueError, match=r"needs the soft modes.*choose \"uniform\""):
        Displacer("covariance").draw(ethanol().all(), seeded())


# --- adversarial ----------------------------------------------------------------------------------------------------


def test_with_labels_every_atom_steps_against_its_force_error():
    graph = ethanol(3).all()
    potential = curled()
    error = (potential(graph).forces - graph.forces).detach()
    delta = adversarial(potential, graph, 0.05, seeded())
    assert torch.allclose(delta, -0.05 * error / error.norm(dim=1, keepdim=True))


def test_a_step_against_the_force_error_finds_more_inconsistency_than_a_random_one():
    """An exact energy, labels of its gradient, and wrong forces: the residual is the work of the error."""
    rest = labelled("CH3CH2OH", 6)
    graph = GraphSet.build(rest, 5.0, skin=1.0, dtype=torch.float64).all()
    truth = morse()(graph).forces.detach()
    graph = dataclasses.replace(graph, forces=truth)
    worst = residuals(curled(), graph, Displacer("adversarial", 0.02).draw(graph, seeded(), curled())).abs()
    for seed in range(10):
        assert (residuals(curled(), graph, fixed_length(graph, 0.02, seeded(seed))).abs() < worst).all()


@pytest.mark.parametrize("make", [curled, morse], ids=["curl", "curvature"])
def test_without_labels_it_climbs_the_residual(make):
    graph, potential = mixed_graph(), make()
    size = 0.05

    def rms(draws):
        return torch.stack([residuals(potential, graph, d).square() for d in draws]).mean(0).sqrt()

    worst = rms([adversarial(potential, graph, size, seeded(s)) for s in range(8)])
    random = rms([fixed_length(graph, size, seeded(s)) for s in range(8)])
    interacting = [0, 1, 2, 4]  # structure 3 is one atom: nothing to be wrong about but the wrong force
    assert (worst[interacting] > 1.5 * random[interacting]).all()


def test_labels_that_are_not_there_are_not_read():
    graph = ethanol(4).all()
    graph = dataclasses.replace(graph, has_forces=torch.tensor([True, False, True, False]))
    hidden = ~graph.has_forces[graph.structure]
    poisoned = dataclasses.replace(
        graph,
        forces=graph.forces.masked_fill(hidden[:, None], math.nan),
        energy=torch.full_like(graph.energy, math.nan),
        has_energy=torch.zeros_like(graph.has_energy),
    )
    delta = adversarial(curled(), poisoned, 0.05, seeded())
    assert torch.equal(delta, adversarial(curled(), graph, 0.05, seeded()))
    assert torch.allclose(delta.norm(dim=1), torch.full((36,), 0.05, dtype=torch.float64))
    # Where labels are, they steer; where there are none, the residual does.
    assert torch.equal(delta[hidden], adversarial(curled(), graph.unlabelled(), 0.05, seeded())[hidden])
    error = (curled()(graph).forces - graph.forces).detach()
    assert ((delta * error).sum(1)[~hidden] < 0).all()


def test_nothing_to_climb_gives_a_random_direction():
    graph = mixed_graph()
    flat = harmonic(torch.zeros(3, 3, dtype=torch.float64))
    assert torch.equal(adversarial(flat, graph, 0.05, seeded(1)), fixed_length(graph, 1.0, seeded(1)) * 0.05)
    perfect = ethanol(2).all()
    perfect = dataclasses.replace(perfect, forces=morse()(perfect).forces.detach())
    assert torch.equal(adversarial(morse(), perfect, 0.05, seeded(1)), fixed_length(perfect, 1.0, seeded(1)) * 0.05)


@pytest.mark.parametrize("head", ["conservative", "direct", "dual"])
def test_a_network_is_asked_but_not_touched(head):
    torch.manual_seed(0)
    potential = build("painn", channels=8, layers=2, radial=6, head=head)
    graph = GraphSet.build(labelled("CH3CH2OH", 3).budget(3, 1), potential.cutoff).all()
    with torch.no_grad():  # the caller's mode does not matter
        quiet = adversarial(potential, graph, 0.05, seeded())
    delta = adversarial(potential, graph, 0.05, seeded())
    assert torch.equal(delta, quiet)
    assert torch.allclose(delta.norm(dim=1), torch.full((27,), 0.05))
    assert not delta.requires_grad
    assert all(parameter.grad is None for parameter in potential.parameters())
    known = adversarial(potential, graph, 0.05, seeded(), prediction=potential(graph))
    assert torch.allclose(delta, known, atol=1e-5)


def test_random_numbers_do_not_depend_on_the_labels():
    graph, first, second = ethanol(3).all(), seeded(), seeded()
    adversarial(curled(), graph, 0.05, first)
    adversarial(curled(), graph.unlabelled(), 0.05, second)
    assert torch.equal(first.get_state(), second.get_state())


def test_a_second_adversarial_step_is_a_random_one():
    graph = ethanol(3).all()
    one = Displacer("adversarial", 0.05)
    first, second = one.draw(graph, seeded(), curled()), one.other.draw(graph, seeded(), curled())
    assert not torch.allclose(first, second)
    assert second.norm(dim=1).max() <= one.longest(graph) * (1 + 1e-9)
    assert Displacer("local").other == Displacer("local")
    with pytest.raises(ValueError, match=r"needs a potential.*choose \"uniform\""):
        one.draw(graph, seeded())
