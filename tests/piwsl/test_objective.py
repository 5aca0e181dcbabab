"""Every term of an objective against plain loops over structures and atoms; what it reads, asks and refuses.

The slow side of this file is written from the formulas alone: positions are displaced by hand, energies and forces are
asked for one structure at a time, and every sum is a Python loop.
"""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from frames import dataset, frame, labelled, rattled
from potentials import Exact, harmonic, morse

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models import Prediction, build
from piwsl_lab.names import CONSISTENCY, DIRECTIONS, DISPLACED_LABELS, HEADS, PISC_FORMS, WEIGHTS
from piwsl_lab.piwsl.objective import Objective, supervised
from piwsl_lab.piwsl.soft_modes import SoftModes
from piwsl_lab.piwsl.terms import terms_of

EPSILON = 0.08
OFF = dict.fromkeys(WEIGHTS, 0.0)
ALL = {"energy": 10.0, "force": 100.0, "pitc": 2.0, "pisc": 3.0, "gradient": 5.0, "curl": 0.7, "weak": 4.0}
ALL |= {"noisy": 0.3, "denoise": 1.5}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def training_frames():
    """Five sizes; two structures with both labels, one with each kind alone, one with none."""
    names = ("H2O", "CH3CH2OH", "CH4", "CH3OH", "H2")
    whole = [labelled(name, 1, seed=k)[0] for k, name in enumerate(names)]
    keep = [("energy", "forces"), ("energy", "forces"), ("energy",), ("forces",), ()]
    return [
        dataclasses.replace(f, **{label: None for label in ("energy", "forces") if label not in kept})
        for f, kept in zip(whole, keep, strict=True)
    ]


def pool_frames():
    return [rattled("C2H4", seed=7), rattled("H2O", seed=8), rattled("CH4", seed=9)]


def graph_of(frames):
    return GraphSet.build(dataset(*frames), 5.0, dtype=torch.float64).all()


def model(head, **options):
    torch.manual_seed(3)
    return build("painn", channels=8, layers=2, radial=6, head=head, **options).double()


# --- the slow side --------------------------------------------------------------------------------------------------


class Slow:
    """Terms from the formulas: one structure, one atom, one component at a time.

    `wrong` names a mistake that has been made elsewhere, to show that it would not pass: "batch" takes the work of the
    whole batch, "ghosts" counts atoms of structures padded to one size, "one-sided" draws δ from [0, ε].
    """

    def __init__(self, potential, objective, frames, pool=None, wrong=""):
        self.potential, self.o, self.wrong = potential, objective, wrong
        self.frames, self.centres = frames, frames if pool is None else pool
        self.pooled = pool is not None

    def ask(self, f, shift, head=None):
        graph = graph_of([frame(f.numbers, f.positions + shift)])
        prediction = self.potential(graph) if head is None else self.potential(graph, forces="both")
        forces = prediction.forces if head is None else getattr(prediction, head)
        return float(prediction.energy.detach()), forces.detach().tolist()

    def draw(self, frames, generator):
        numbers = torch.rand((sum(len(f.numbers) for f in frames), 3), generator=generator, dtype=torch.float64)
        box = numbers * EPSILON if self.wrong == "one-sided" else (2 * numbers - 1) * EPSILON
        return [part.numpy() for part in box.split([len(f.numbers) for f in frames])]

    def size(self, frames, f):
        return max(len(g.numbers) for g in frames) if self.wrong == "ghosts" else len(f.numbers)

    def mean_square(self, frames, residuals):
        if self.wrong == "batch":
            residuals = [sum(residuals)] * len(residuals)
        if self.o.per_atom:
            residuals = [x / self.size(frames, f) for f, x in zip(frames, residuals, strict=True)]
        return sum(x * x for x in residuals) / len(residuals)

    def mean_component(self, frames, errors):
        """Errors: one list [N][3] a structure → mean square of a component over all atoms."""
        atoms = sum(self.size(frames, f) for f in frames)
        return sum(x * x for one in errors for atom in one for x in atom) / (3 * atoms)

    def terms(self, seed):
        o, generator, values = self.o, seeded(seed), {}
        rivals = any(getattr(o, name) > 0 for name in DISPLACED_LABELS)
        first = second = moved = None
        if o.pitc > 0 or o.pisc > 0 or o.gradient > 0 or o.curl > 0 or (rivals and not self.pooled):
            first = self.draw(self.centres, generator)
        if o.pisc > 0 and o.pisc_form != "two_point":
            second = self.draw(self.centres, generator)
        if rivals:
            moved = self.draw(self.frames, generator) if self.pooled else first
        if o.energy > 0:
            values["energy"] = self.energy([0.0] * len(self.frames))
        if o.force > 0:
            values["force"] = self.force([0.0] * len(self.frames))
        if o.pitc > 0:
            values["pitc"] = self.mean_square(
                self.centres, [self.pitc(f, d) for f, d in zip(self.centres, first, strict=True)]
            )
        if o.pisc > 0:
            values["pisc"] = self.pisc(first, second or first)
        if o.gradient > 0:
            values["gradient"] = self.gradient(first)
        if o.curl > 0:
            values["curl"] = self.curl(first, generator)
        if o.weak > 0:
            values["weak"] = self.weak(moved)
        if o.noisy > 0:
            values["noisy"] = o.energy * self.energy(moved) + o.force * self.force(moved)
        if o.denoise > 0:
            values["denoise"] = self.denoise(moved)
        return values

    def energy(self, shifts):
        known = [(f, s) for f, s in zip(self.frames, shifts, strict=True) if f.energy is not None]
        residuals = [self.ask(f, s)[0] - f.energy for f, s in known]
        if self.o.per_atom:
            residuals = [x / self.size([f for f, _ in known], f) for x, (f, _) in zip(residuals, known, strict=True)]
        return sum(x * x for x in residuals) / len(residuals)

    def force(self, shifts):
        known = [(f, s) for f, s in zip(self.frames, shifts, strict=True) if f.forces is not None]
        heads = ("direct", "conservative") if self.potential.head == "dual" else (None,)
        total = 0.0
        for head in heads:
            answers = [(self.ask(f, s, head)[1], f.forces.tolist()) for f, s in known]
            errors = [subtract(forces, label) for forces, label in answers]
            total += self.mean_component([f for f, _ in known], errors)
        return total / len(heads)

    def pitc(self, f, step):
        e0, f0 = self.ask(f, 0.0)
        e1, f1 = self.ask(f, step)
        if self.o.order == "symmetric":
            return 0.5 * (e1 - self.ask(f, -step)[0]) + dot(step, f0)
        if self.o.order == 1:
            return e1 - (e0 - dot(step, f0))
        return e1 - (e0 - 0.5 * (dot(step, f0) + dot(step, f1)))

    def pisc(self, first, second):
        forms = tuple(PISC_FORMS)[:3] if self.o.pisc_form == "all" else (self.o.pisc_form,)
        parts = []
        for form in forms:
            residuals = [self.triangle(form, *one) for one in zip(self.centres, first, second, strict=True)]
            parts.append(self.mean_square(self.centres, residuals))
        return sum(parts) / len(parts)

    def triangle(self, form, f, d1, d2):
        (ea, fa), (eb, fb), (ec, fc) = self.ask(f, 0.0), self.ask(f, d2), self.ask(f, d1)

        def force(here, there):
            return here if self.o.order == 1 else add(here, there, 0.5)

        if form == "same_point":
            return ec - (eb - dot(d1 - d2, force(fb, fc)))
        if form == "extrapolations":
            return (ea - dot(d1, force(fa, fc))) - (eb - dot(d1 - d2, force(fb, fc)))
        if form == "reverse":
            return eb - (ec + dot(d1 - d2, force(fc, fb)))
        return ea - (ec + dot(d1, force(fc, fa)))

    def gradient(self, shifts):
        errors = []
        for f, s in zip(self.centres, shifts, strict=True):
            errors.append(subtract(self.ask(f, s, "direct")[1], self.ask(f, s, "conservative")[1]))
        return self.mean_component(self.centres, errors)

    def curl(self, shifts, generator):
        """Directional derivatives of the forces by central differences instead of automatic ones."""
        sizes = [len(f.numbers) for f in self.centres]
        u, v = (torch.randn((sum(sizes), 3), generator=generator, dtype=torch.float64).split(sizes) for _ in range(2))
        values = []
        for f, s, a, b in zip(self.centres, shifts, u, v, strict=True):
            a, b = a.numpy(), b.numpy()
            twist = dot(a, self.slope(f, s, b)) - dot(b, self.slope(f, s, a))  # uᵀJv − vᵀJu
            values.append((0.5 * twist) ** 2 / (3 * self.size(self.centres, f)))
        return sum(values) / len(values)

    def slope(self, f, shift, along, h=1e-4):
        near = subtract(self.ask(f, shift + h * along)[1], self.ask(f, shift - h * along)[1])
        far = subtract(self.ask(f, shift + 2 * h * along)[1], self.ask(f, shift - 2 * h * along)[1])
        return add(near, far, 8 / (12 * h), -1 / (12 * h))

    def weak(self, shifts):
        residuals = [
            self.ask(f, s)[0] - (f.energy - dot(s, f.forces.tolist()))
            for f, s in zip(self.frames, shifts, strict=True)
            if f.energy is not None and f.forces is not None
        ]
        if self.wrong == "batch":
            residuals = [sum(residuals)] * len(residuals)
        return sum(x * x for x in residuals) / len(residuals)

    def denoise(self, shifts):
        errors, known = [], []
        for f, s in zip(self.frames, shifts, strict=True):
            if f.forces is not None:
                graph = graph_of([frame(f.numbers, f.positions + s)])
                answer = (EPSILON * self.potential.denoised(graph, torch.tensor(f.forces))).detach().tolist()
                errors.append([[x / EPSILON for x in atom] for atom in subtract(answer, s.tolist())])
                known.append(f)
        return self.mean_component(known, errors)


def dot(step, forces):
    return sum(float(step[k][x]) * forces[k][x] for k in range(len(forces)) for x in range(3))


def add(a, b, s, t=None):
    """s·a + t·b of two lists [N][3]; t = s if it is not given."""
    t = s if t is None else t
    return [[s * x + t * y for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]


def subtract(a, b):
    return add(a, b, 1.0, -1.0)


def fast_and_slow(potential, objective, wrong="", seed=5):
    frames, pool = training_frames(), pool_frames() if objective.centres == "pool" else None
    given = None if pool is None else graph_of(pool)
    terms = terms_of(objective, potential, graph_of(frames), seeded(seed), given)
    slow = Slow(potential, objective, frames, pool, wrong).terms(seed)
    return {name: float(value.detach()) for name, value in terms.items()}, slow, terms


def weights_for(head):
    """Everything that a head can do."""
    return ALL | ({"gradient": 0.0} if head == "conservative" else {})


# A curl is compared with finite differences, and that of a gradient is a rounding error.
NEAR = {"rel": 1e-6, "abs": 1e-12}


@pytest.mark.parametrize("per_atom", [False, True])
@pytest.mark.parametrize("centres", ["labelled", "pool"])
@pytest.mark.parametrize("head", HEADS)
def test_all_terms_at_once_match_plain_loops(head, centres, per_atom):
    order = {"conservative": 1, "direct": 2, "dual": "symmetric"}[head]
    form = "all" if per_atom else "extrapolations"
    # Whether weak labels are divided by the number of atoms is left open here.
    weights = weights_for(head) | ({"weak": 0.0} if per_atom else {})
    objective = Objective(**weights, epsilon=EPSILON, order=order, pisc_form=form, centres=centres, per_atom=per_atom)
    fast, slow, terms = fast_and_slow(model(head, denoise=True), objective)
    assert set(fast) == {name for name, weight in weights.items() if weight > 0}
    assert fast == pytest.approx(slow, **NEAR)
    total = sum(weights[name] * value for name, value in slow.items())
    assert objective.total(terms).item() == pytest.approx(total, **NEAR)


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("head", HEADS)
def test_each_term_alone_matches_plain_loops(head, name):
    if head == "conservative" and name == "gradient":
        return
    base = {"energy": 10.0, "force": 100.0} if name == "noisy" else {}
    objective = Objective(**OFF | base | {name: ALL[name]}, epsilon=EPSILON)
    fast, slow, _ = fast_and_slow(model(head, denoise=name == "denoise"), objective)
    assert set(fast) == {name, *base}
    assert fast == pytest.approx(slow, **NEAR)
    assert all(value > 1e-9 for key, value in fast.items() if key != "curl" or head == "direct")


@pytest.mark.parametrize("order", [1, 2, "symmetric"])
@pytest.mark.parametrize("form", PISC_FORMS)
def test_every_triangle_and_every_order_match_plain_loops(form, order):
    objective = Objective(**OFF | {"pitc": 1.0, "pisc": 1.0}, order=order, pisc_form=form, epsilon=EPSILON)
    fast, slow, _ = fast_and_slow(model("direct"), objective)
    assert set(fast) == {"pitc", "pisc"}
    assert fast == pytest.approx(slow, rel=1e-9)


@pytest.mark.parametrize(
    ("wrong", "per_atom", "names"),
    [
        ("batch", False, ("pitc", "pisc", "weak")),
        ("ghosts", False, ("force", "gradient", "curl", "noisy", "denoise")),
        ("ghosts", True, ("energy", "force", "pitc", "pisc", "gradient", "curl", "noisy", "denoise")),
        ("one-sided", False, ("pitc", "pisc", "gradient", "curl", "weak", "noisy", "denoise")),
    ],
)
@pytest.mark.parametrize("centres", ["labelled", "pool"])
def test_known_mistakes_would_be_seen(wrong, per_atom, names, centres):
    """What other implementations got wrong changes a term by far more than the tolerance of the tests above."""
    objective = Objective(**ALL, epsilon=EPSILON, centres=centres, per_atom=per_atom)
    fast, slow, _ = fast_and_slow(model("direct", denoise=True), objective, wrong)
    for name in names:
        assert abs(slow[name] / fast[name] - 1) > 1e3 * NEAR["rel"], name


def test_a_structure_added_to_the_batch_does_not_touch_the_residual_of_another():
    """The mean over two structures is the mean of their own values, whatever the other one's size."""
    frames = training_frames()[:2]
    objective = Objective(**OFF | {"pitc": 1.0}, order="symmetric", epsilon=EPSILON)
    for head in HEADS:
        fast = terms_of(objective, model(head), graph_of(frames), seeded(1))["pitc"].item()
        deltas = Slow(model(head), objective, frames).draw(frames, seeded(1))
        one = [Slow(model(head), objective, [f]).pitc(f, d) for f, d in zip(frames, deltas, strict=True)]
        assert fast == pytest.approx((one[0] ** 2 + one[1] ** 2) / 2, rel=1e-9)


# --- closed forms through the objective -----------------------------------------------------------------------------

HESSIAN = torch.tensor([[5.0, 0.4, -0.2], [0.4, 3.0, 0.1], [-0.2, 0.1, 2.0]], dtype=torch.float64)


class TwoHeads(Exact):
    """An exact potential with both heads: the direct one is the gradient plus `extra`."""

    head = "dual"

    def __call__(self, graph: AtomGraph, forces: bool | str = True) -> Prediction:
        extra, self.extra = self.extra, None
        exact = super().__call__(graph, bool(forces))
        self.extra = extra
        if forces != "both":
            return exact
        return exact._replace(direct=exact.forces + extra(graph), conservative=exact.forces)


def test_gradient_consistency_of_a_known_extra_force_is_its_mean_square_at_the_displaced_places():
    frames = training_frames()
    graph = graph_of(frames)
    push = torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64)
    objective = Objective(**OFF | {"gradient": 1.0}, epsilon=EPSILON)
    constant = TwoHeads(harmonic(HESSIAN).energy, extra=lambda g: push.expand_as(g.positions))
    value = terms_of(objective, constant, graph, seeded())["gradient"].item()
    assert value == pytest.approx((0.09 + 0.01 + 0.04) / 3, rel=1e-12)
    springs = TwoHeads(morse().energy, extra=lambda g: 0.5 * g.positions)
    delta = (2 * torch.rand(graph.positions.shape, generator=seeded(), dtype=torch.float64) - 1) * EPSILON
    expected = float((0.5 * (graph.positions + delta)).square().mean())
    assert terms_of(objective, springs, graph, seeded())["gradient"].item() == pytest.approx(expected, rel=1e-12)


def test_weak_and_noisy_labels_of_a_harmonic_potential_are_half_delta_h_delta():
    """With exact labels, E(r+δ) − [E − δ·F] = ½ δᵀHδ; kept labels are wrong by that less δ·F, and by −Hδ."""
    potential = harmonic(HESSIAN)
    shapes = [rattled("H2O"), rattled("CH3CH2OH", seed=1), rattled("CH4", seed=2), rattled("H2", seed=3)]
    labels = []
    for k, f in enumerate(shapes):
        answer = potential(graph_of([f]))
        keep = {"energy": k != 2, "forces": k != 3}
        energy, forces = answer.energy.item(), answer.forces.detach().numpy()
        labels.append(
            frame(
                f.numbers, f.positions,
                energy=energy if keep["energy"] else None, forces=forces if keep["forces"] else None,
            )
        )  # fmt: skip
    graph = graph_of(labels)
    delta = (2 * torch.rand(graph.positions.shape, generator=seeded(), dtype=torch.float64) - 1) * EPSILON
    parts = delta.split([len(f.numbers) for f in shapes])
    half = [float(0.5 * torch.einsum("na,ab,nb->", d, HESSIAN, d)) for d in parts]
    gain = [
        float(torch.einsum("na,ab,nb->", d, HESSIAN, torch.tensor(f.positions)))
        for d, f in zip(parts, shapes, strict=True)
    ]
    terms = terms_of(Objective(**OFF | {"weak": 1.0}, epsilon=EPSILON), potential, graph, seeded())
    assert terms["weak"].item() == pytest.approx((half[0] ** 2 + half[1] ** 2) / 2, rel=1e-9)
    objective = Objective(**OFF | {"noisy": 1.0, "energy": 2.0, "force": 3.0}, epsilon=EPSILON)
    energy = sum((half[k] + gain[k]) ** 2 for k in (0, 1, 3)) / 3
    force = float(torch.cat(parts[:3]).matmul(HESSIAN).square().mean())
    terms = terms_of(objective, potential, graph, seeded())
    assert terms["noisy"].item() == pytest.approx(2 * energy + 3 * force, rel=1e-9)
    assert terms["energy"].item() < 1e-20


def test_denoising_measures_the_guess_in_units_of_epsilon():
    class Guess(Exact):
        def denoised(self, graph, forces):
            return (graph.positions - graph_of(training_frames()).positions) / EPSILON + 0.5

    objective = Objective(**OFF | {"denoise": 1.0}, epsilon=EPSILON)
    value = terms_of(objective, Guess(morse().energy), graph_of(training_frames()), seeded())["denoise"].item()
    assert value == pytest.approx(0.25, rel=1e-9)


@pytest.mark.parametrize(
    ("teacher", "learns", "stays"), [("direct", "energy_head", "force_head"), ("conservative", "force_head", "energy")]
)
def test_a_teacher_stays_as_it_is(teacher, learns, stays):
    potential = model("dual")
    objective = Objective(**OFF | {"gradient": 1.0}, teacher=teacher)
    objective.total(terms_of(objective, potential, graph_of(training_frames()), seeded())).backward()

    def moved(prefix):
        slopes = [p.grad for name, p in potential.named_parameters() if name.startswith(prefix)]
        return any(slope is not None and bool((slope != 0).any()) for slope in slopes)

    assert moved(learns)
    assert not moved(stays)


def test_both_heads_learn_where_nobody_teaches():
    potential = model("dual")
    objective = Objective(**OFF | {"gradient": 1.0})
    objective.total(terms_of(objective, potential, graph_of(training_frames()), seeded())).backward()
    for prefix in ("energy_head", "force_head"):
        assert any(
            p.grad is not None and bool((p.grad != 0).any())
            for name, p in potential.named_parameters()
            if name.startswith(prefix)
        )


def test_noisy_labels_teach_a_direct_head_alone_whatever_other_term_is_on():
    """Gradient consistency asks for both heads' forces at the same places; the labels are not for the second."""
    both = Objective(noisy=1.0, gradient=1.0, epsilon=EPSILON)
    alone = dataclasses.replace(both, gradient=0.0)
    values = [
        terms_of(o, model("direct"), graph_of(training_frames()), seeded(1))["noisy"].item() for o in (both, alone)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


# --- labels ---------------------------------------------------------------------------------------------------------


def spoilt(graph, value, only_hidden=False):
    """Labels replaced by garbage: everywhere, or where there is none."""
    energy = torch.full_like(graph.energy, value)
    forces = torch.full_like(graph.forces, value)
    if only_hidden:
        energy = torch.where(graph.has_energy, graph.energy, energy)
        forces = torch.where(graph.has_forces[graph.structure][:, None], graph.forces, forces)
    return dataclasses.replace(graph, energy=energy, forces=forces)


@pytest.mark.parametrize("centres", ["labelled", "pool"])
@pytest.mark.parametrize("direction", [name for name in DIRECTIONS if name != "adversarial"])
def test_no_consistency_term_reads_a_label(direction, centres):
    frames = labelled("CH3CH2OH", 6)
    data = GraphSet.build(frames.budget(4, 2), 5.0, dtype=torch.float64)
    graph, pool = data.batch([0, 2, 4]), GraphSet.build(frames, 5.0, dtype=torch.float64).batch([1, 3])
    potential, modes = model("dual"), SoftModes.from_graphs(data)
    direct = model("direct")

    def values(labels, of_pool):
        on = {"pitc": 1.0, "pisc": 1.0, "gradient": 1.0, "curl": 1.0}
        objective = Objective(**OFF | on, direction=direction, centres=centres, pisc_form="all", epsilon=EPSILON)
        both = [terms_of(objective, p, labels, seeded(2), of_pool, modes) for p in (potential, direct)]
        assert all(set(terms) == set(CONSISTENCY) for terms in both)
        return [{name: value.item() for name, value in terms.items()} for terms in both]

    expected = values(graph, pool)
    assert all(math.isfinite(x) for one in expected for x in one.values())
    for garbage in (math.nan, 1e30):
        assert values(spoilt(graph, garbage), pool) == expected
        assert values(graph, spoilt(pool, garbage)) == expected
        assert values(spoilt(graph, garbage), spoilt(pool, garbage)) == expected


@pytest.mark.parametrize("direction", ["uniform", "adversarial"])
def test_labels_of_the_pool_and_hidden_labels_are_never_read_by_any_term(direction):
    """Not even to steer an adversarial step, nor to mend the labels that are there."""
    graph, pool = graph_of(training_frames()), graph_of([labelled("H2O", 1, seed=4)[0], labelled("CH4", 1, seed=5)[0]])
    assert bool(pool.has_energy.all())
    potential = model("dual", denoise=True)
    objective = Objective(**ALL, direction=direction, centres="pool", epsilon=EPSILON)

    def values(*given):
        terms = terms_of(objective, potential, given[0], seeded(2), given[1])
        return {name: value.item() for name, value in terms.items()}

    expected = values(graph, pool)
    assert values(graph, spoilt(pool, math.nan)) == expected
    assert values(graph, pool.unlabelled()) == expected
    assert values(spoilt(graph, 30.0, only_hidden=True), pool) == expected
    here = dataclasses.replace(objective, centres="labelled")
    assert {k: v.item() for k, v in terms_of(here, potential, graph, seeded(2)).items()} == {
        k: v.item() for k, v in terms_of(here, potential, spoilt(graph, 30.0, only_hidden=True), seeded(2)).items()
    }


def test_a_pool_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r'centres="pool".*give the trainer a pool'):
        terms_of(Objective(pitc=1.0, centres="pool"), model("direct"), graph_of(training_frames()), seeded())
    # Nothing asks at the pool: none is needed.
    assert set(terms_of(Objective(centres="pool"), model("direct"), graph_of(training_frames()), seeded())) == {
        "energy",
        "force",
    }


# --- cost -----------------------------------------------------------------------------------------------------------


class Counted:
    """A potential that notes every call: (forces, number of structures)."""

    def __init__(self, potential):
        self.potential, self.head, self.calls = potential, potential.head, []

    def __call__(self, graph, forces=True):
        self.calls.append((forces, graph.n_structures))
        return self.potential(graph, forces=forces)

    def denoised(self, graph, forces):
        self.calls.append(("denoised", graph.n_structures))
        return self.potential.denoised(graph, forces)


S, P = 5, 3  # structures of a batch and of a pool batch
COSTS = [
    # head, objective, calls
    ("conservative", {}, [(True, S)]),
    ("conservative", {"force": 0.0}, [(False, S)]),
    ("conservative", {"energy": 0.0}, [(True, S)]),
    ("conservative", {"energy": 0.0, "force": 0.0}, []),
    ("conservative", {"pitc": 1.0}, [(True, 2 * S)]),
    ("conservative", {"pitc": 1.0, "order": 1}, [(True, S), (False, S)]),
    ("conservative", {"pitc": 1.0, "order": "symmetric"}, [(True, S), (False, 2 * S)]),
    ("conservative", {"pitc": 1.0, "energy": 0.0, "force": 0.0}, [(True, 2 * S)]),
    ("conservative", {"pisc": 1.0}, [(True, 3 * S)]),
    ("conservative", {"pisc": 1.0, "order": 1}, [(True, 2 * S), (False, S)]),
    ("conservative", {"pisc": 1.0, "order": 1, "pisc_form": "two_point"}, [(True, 2 * S)]),
    ("conservative", {"pisc": 1.0, "order": 1, "pisc_form": "reverse"}, [(True, 2 * S), (False, S)]),
    ("conservative", {"pisc": 1.0, "pisc_form": "two_point"}, [(True, 2 * S)]),
    ("conservative", {"pisc": 1.0, "pisc_form": "all", "order": 1}, [(True, 3 * S)]),
    ("conservative", {"pitc": 1.0, "pisc": 1.0}, [(True, 3 * S)]),
    ("conservative", {"pitc": 1.0, "pisc": 1.0, "order": "symmetric"}, [(True, 3 * S), (False, S)]),
    ("conservative", {"weak": 1.0}, [(True, S), (False, S)]),
    ("conservative", {"noisy": 1.0}, [(True, 2 * S)]),
    ("conservative", {"denoise": 1.0}, [(True, S), ("denoised", S)]),
    ("conservative", {"weak": 1.0, "pitc": 1.0}, [(True, 2 * S)]),  # W is C
    ("conservative", {"pitc": 1.0, "centres": "pool"}, [(True, S + 2 * P)]),
    ("conservative", {"pitc": 1.0, "order": 1, "centres": "pool"}, [(True, S + P), (False, P)]),
    ("conservative", {"pitc": 1.0, "force": 0.0, "centres": "pool"}, [(True, 2 * P), (False, S)]),
    ("conservative", {"pitc": 1.0, "weak": 1.0, "centres": "pool"}, [(True, S + 2 * P), (False, S)]),
    ("conservative", {"noisy": 1.0, "centres": "pool"}, [(True, 2 * S)]),  # nothing to ask at the pool
    ("direct", {}, [(True, S)]),
    ("direct", {"force": 0.0}, [(True, S)]),
    ("direct", {"pitc": 1.0, "order": 1}, [(True, 2 * S)]),
    ("direct", {"pitc": 1.0, "order": "symmetric"}, [(True, 3 * S)]),
    ("direct", {"pitc": 1.0, "pisc": 1.0, "order": 1}, [(True, 3 * S)]),
    ("direct", {"gradient": 1.0}, [(True, S), ("both", S)]),
    ("direct", {"curl": 1.0}, [(True, S), (True, S)]),  # one of its own, with positions that are differentiated
    ("direct", {"weak": 1.0, "pitc": 1.0, "centres": "pool"}, [(True, 2 * S + 2 * P)]),
    ("dual", {}, [("both", S)]),
    ("dual", {"force": 0.0}, [(False, S)]),
    ("dual", {"gradient": 1.0}, [("both", 2 * S)]),
    ("dual", {"gradient": 1.0, "centres": "pool"}, [("both", S + P)]),
    ("dual", {"pitc": 1.0, "order": 1}, [("both", S), (False, S)]),
    ("dual", {"gradient": 1.0, "pitc": 1.0}, [("both", 2 * S)]),
    ("dual", {"noisy": 1.0}, [("both", 2 * S)]),
]


@pytest.mark.parametrize(("head", "options", "calls"), COSTS)
def test_what_a_term_costs(head, options, calls):
    counted = Counted(model(head, denoise="denoise" in options))
    terms_of(Objective(**options), counted, graph_of(training_frames()), seeded(), graph_of(pool_frames()))
    assert counted.calls == calls


def test_labels_that_are_hidden_are_not_asked_for():
    """Without a force in the batch nobody differentiates, without an energy either nobody asks."""
    energies = labelled("H2O", 3)
    for frames, calls in [
        (energies.budget(3, 0), [(False, 3)]),
        (energies.budget(0, 3), [(True, 3)]),
        (energies.unlabelled(), []),
    ]:
        counted = Counted(model("conservative"))
        terms_of(Objective(), counted, GraphSet.build(frames, 5.0, dtype=torch.float64).all(), seeded())
        assert counted.calls == calls


# --- fields ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf, None, "1"])
def test_every_weight_is_checked(name, value):
    with pytest.raises(ValueError, match=f"the weight {name}=.* must be a finite number, 0 .off. or larger"):
        Objective(**{name: value})


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("epsilon", 0.0, "0.01 to 0.1 Å is the useful range"),
        ("epsilon", "0.1", "0.01 to 0.1 Å is the useful range"),
        ("order", 3, "choose one of 1, 2, symmetric"),
        ("order", 1.5, "choose one of 1, 2, symmetric"),
        ("pisc_form", "square", "choose one of same_point, extrapolations, reverse, all, two_point"),
        ("teacher", "me", "choose one of both, direct, conservative"),
        ("direction", "up", "choose one of uniform, fixed_length, local, covariance, adversarial"),
        ("centres", "test", "choose one of labelled, pool"),
        ("schedules", {"direction": lambda step: "uniform"}, "only weights, epsilon and order can"),
        ("schedules", {"pitc": 3.0}, "must be a Schedule or a callable of the step"),
    ],
)
def test_every_choice_is_checked_with_its_remedy(field, value, remedy):
    with pytest.raises(ValueError, match=remedy) as caught:
        Objective(**{field: value})
    assert field.rstrip("s") in str(caught.value)
    objective = Objective(pitc=1.0)
    setattr(objective, field, value)  # a slider may write anything: the next step says so
    with pytest.raises(ValueError, match=remedy):
        terms_of(objective, morse(), graph_of(training_frames()), seeded())


@pytest.mark.parametrize(
    ("head", "options", "remedy"),
    [
        ("conservative", {"gradient": 1.0}, 'build it with head="dual"'),
        ("direct", {"denoise": 1.0}, "build a PaiNN or TensorNet with denoise=True, or set denoise=0"),
        ("direct", {"pitc": 1.0, "direction": "covariance"}, 'or choose "uniform"'),
    ],
)
def test_what_a_potential_cannot_do_names_the_remedy(head, options, remedy):
    with pytest.raises(ValueError, match=remedy):
        terms_of(Objective(**options), model(head), graph_of(training_frames()), seeded())


def test_what_an_objective_says_about_itself():
    assert not Objective().displaces
    assert not Objective().is_consistent
    for name in CONSISTENCY:
        assert Objective(**{name: 1.0}).displaces
        assert Objective(**{name: 1.0}).is_consistent
    for name in DISPLACED_LABELS:
        assert Objective(**{name: 1.0}).displaces
        assert not Objective(**{name: 1.0}).is_consistent
    everything = Objective(**ALL, epsilon=0.03, centres="pool")
    assert supervised(everything) == Objective(energy=10.0, force=100.0, epsilon=0.03, centres="pool")
    assert everything.pitc == 2.0
