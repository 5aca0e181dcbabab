"""The lines of the contract of a potential, measured; `contract` puts them together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.data import Dataset, Frame
from piwsl_lab.models.interface import AnyPotential, Prediction, dtype_and_device, forces_of, require_gradients

Floats = NDArray[np.float64]
SAME = 1e-8  # eV, eV/Å: rounding of float64 in thousands of electronvolts stays below
SLOPE = 1e-6  # eV/Å: what central differences leave of a smooth energy
CURVATURE = 1e-4  # eV/Å²
STEP = 2e-4  # Å of the finite differences
EDGE = 1e-6  # Å on either side of the cutoff
EDGE_FORCE = 1e-4  # eV/Å across it: a slope that goes to zero in the last 1e-6 Å may have this left
SKIN = 1.0  # Å of neighbours beyond the cutoff
NOISE = 1e-10  # eV: float32 has 1e-7 of an electronvolt


class ContractLine(NamedTuple):
    """One line of a contract: a number that must not exceed its limit.

    Attributes
    ----------
    name, unit : str
    value, limit : float
        In the unit; a value of nan is never within the limit.
    note : str
        Why there is no number, or why the line was not asked.
    """

    name: str
    value: float
    unit: str
    limit: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the value is within its limit; nan never is."""
        return self.value <= self.limit

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILS"
        return f"{self.name:<28}{self.value:>9.1e} {self.unit:<6} at most {self.limit:.0e}  {self.note or verdict}"


class Asked:
    """A potential in float64, and how its energies and the forces of its H outputs are asked for."""

    def __init__(self, potential: AnyPotential, frames: Sequence[Frame], seed: int) -> None:
        if not frames or max(len(frame) for frame in frames) < 2:
            raise ValueError("give at least one frame with two atoms or more: forces of lone atoms say nothing")
        cutoff = getattr(potential, "cutoff", None)
        if not isinstance(cutoff, int | float) or not cutoff > 0:
            raise ValueError(f"the potential needs an attribute `cutoff` (Å) above 0, and has {cutoff!r}: set it")
        require_gradients(potential)
        self.frames, self.cutoff = list(frames), float(cutoff)
        self.elements = sorted({int(z) for frame in frames for z in frame.numbers})
        if hasattr(potential, "check_elements"):
            potential.check_elements(self.elements)
        self.head: str = getattr(potential, "head", "conservative")
        self.potential = copy.deepcopy(potential).double().eval() if isinstance(potential, nn.Module) else potential
        self.device = dtype_and_device(potential)[1]
        self.random = np.random.default_rng(seed)
        self._look_at_its_answer(type(potential).__name__)

    def _look_at_its_answer(self, name: str) -> None:
        graph = self.graph(self.frames[:1])
        try:
            with torch.enable_grad():
                answer = self.potential(graph)
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise ValueError(f"{name} cannot be asked about its first frame: {words}") from error
        if not isinstance(answer, Prediction):
            raise ValueError(f"{name} answered with a {type(answer).__name__}: it must be a Prediction(energy, forces)")
        found = list(answer.energy.shape), list(forces_of(answer).shape)
        if found != ([1], list(graph.positions.shape)):
            raise ValueError(
                f"{name} answered one frame of {len(self.frames[0])} atoms with energies {found[0]} and forces "
                f"{found[1]}; they must have the shapes [structures] and [atoms, 3]"
            )

    def graph(self, frames: Sequence[Frame], skin: float = 0.0) -> AtomGraph:
        """The float64 graph of frames, with neighbours up to the cutoff and `skin` (Å)."""
        return GraphSet.build(Dataset(frames), self.cutoff, None, skin, torch.float64, self.device).all()

    def outputs(self, graph: AtomGraph) -> tuple[Tensor, Tensor]:
        """Energies [S], and the forces of every output: [N, H, 3]; not detached."""
        with torch.enable_grad():
            answers: list[Prediction] = [self.potential(graph)]
            if self.head == "dual":
                answers.append(self.potential(graph, forces="direct"))
        return answers[0].energy, torch.stack([forces_of(answer) for answer in answers], dim=1)

    def __call__(self, frames: Sequence[Frame], skin: float = 0.0) -> tuple[Floats, Floats]:
        energies, forces = self.outputs(self.graph(frames, skin))
        return energies.detach().double().cpu().numpy(), forces.detach().double().cpu().numpy()

    def direction(self, frame: Frame) -> Floats:
        """A random displacement of all atoms, of length 1 Å in all, [n, 3]."""
        vector = self.random.standard_normal((len(frame), 3))
        return vector / np.linalg.norm(vector)


def _measured(
    names: Sequence[tuple[str, str, float]], measure: Callable[[], Sequence[float]]
) -> Iterable[ContractLine]:
    """Lines of name, unit and limit, with the numbers of a measurement; without numbers where it raises."""
    try:
        values, note = list(measure()), ""
    except Exception as error:
        values, note = [np.nan] * len(names), f"FAILS: {type(error).__name__}: {error}"
    return [
        ContractLine(name, float(value), unit, limit, note)
        for (name, unit, limit), value in zip(names, values, strict=True)
    ]


def _both(name: str) -> list[tuple[str, str, float]]:
    return [(f"{name}, energy", "eV", SAME), (f"{name}, forces", "eV/Å", SAME)]


def _largest(values: NDArray[Any]) -> float:
    return float(np.abs(values).max(initial=0.0))


def _moved(frame: Frame, positions: Floats, cell: Floats | None = None) -> Frame:
    return Frame(frame.numbers, positions, frame.cell if cell is None else cell, frame.pbc)


def symmetries(asked: Asked) -> Iterable[ContractLine]:
    """Energies stay and forces follow where a frame is turned, mirrored, moved or numbered anew."""
    turn = np.linalg.qr(asked.random.standard_normal((3, 3)))[0]
    turn = turn * np.sign(np.linalg.det(turn))
    far = asked.random.uniform(-10.0, 10.0, 3)
    orders = [asked.random.permutation(len(frame)) for frame in asked.frames]
    starts = np.cumsum([0, *(len(frame) for frame in asked.frames)])
    order = np.concatenate([start + own for start, own in zip(starts[:-1], orders, strict=True)])

    def compared(frames: list[Frame], matrix: Floats, places: NDArray[np.int64]) -> list[float]:
        (energy, forces), (other_energy, other_forces) = asked(asked.frames), asked(frames)
        return [_largest(other_energy - energy), _largest(other_forces - (forces @ matrix.T)[places])]

    as_they_are = np.arange(starts[-1])
    for name, matrix in (("rotation", turn), ("reflection", -turn)):
        turned = [_moved(f, f.positions @ matrix.T, f.cell @ matrix.T) for f in asked.frames]
        yield from _measured(_both(name), partial(compared, turned, matrix, as_they_are))
    shifted = [_moved(f, f.positions + far) for f in asked.frames]
    yield from _measured(_both("translation"), partial(compared, shifted, np.eye(3), as_they_are))
    numbered = [
        Frame(f.numbers[own], f.positions[own], f.cell, f.pbc) for f, own in zip(asked.frames, orders, strict=True)
    ]
    yield from _measured(_both("permutation"), partial(compared, numbered, np.eye(3), order))


def lists(asked: Asked) -> Iterable[ContractLine]:
    """Neither company in a batch nor neighbours beyond the cutoff change an answer."""

    def batch() -> list[float]:
        # A frame alone would have no company.
        frames = [*asked.frames, *(_moved(f, f.positions + 0.02 * asked.direction(f)) for f in asked.frames)]
        energies, forces = asked(frames)
        alone = [asked([frame]) for frame in frames]
        return [
            _largest(energies - np.concatenate([one for one, _ in alone])),
            _largest(forces - np.concatenate([one for _, one in alone])),
        ]

    def longer() -> list[float]:
        (energy, forces), (other_energy, other_forces) = asked(asked.frames), asked(asked.frames, SKIN)
        return [_largest(other_energy - energy), _largest(other_forces - forces)]

    yield from _measured(_both("batch"), batch)
    yield from _measured(_both("longer list"), longer)


def derivatives(asked: Asked) -> Iterable[ContractLine]:
    """Forces are the slope of the energy, and what training differentiates is the slope of the forces."""
    directions = [asked.direction(frame) for frame in asked.frames]
    flat = np.concatenate(directions)
    graph = asked.graph(asked.frames)
    structure = graph.structure.cpu().numpy()

    def along(step: float) -> tuple[Floats, Floats]:
        return asked([_moved(f, f.positions + step * d) for f, d in zip(asked.frames, directions, strict=True)])

    def slopes() -> tuple[Floats, Floats]:
        """Of energies [S] and forces [N, H, 3] along the directions, from four places."""
        near, far = ([along(sign * step) for sign in (1, -1)] for step in (STEP, 2 * STEP))
        energy, forces = ((8 * (near[0][k] - near[1][k]) - (far[0][k] - far[1][k])) / (12 * STEP) for k in range(2))
        return energy, forces

    def first() -> list[float]:
        forces = asked(asked.frames)[1][:, 0]
        work = np.bincount(structure, (forces * flat).sum(1), minlength=len(asked.frames))
        return [_largest(work + slopes()[0])]

    def second() -> list[float]:
        positions = graph.positions.detach().requires_grad_()
        forces = asked.outputs(graph.at(positions))[1]
        weights = torch.from_numpy(asked.random.uniform(-1.0, 1.0, tuple(forces.shape))).to(forces)
        (gradient,) = torch.autograd.grad((weights * forces).sum(), positions)
        told = (gradient.cpu().numpy() * flat).sum(1) - (weights.cpu().numpy() * slopes()[1]).sum((1, 2))
        return [_largest(np.bincount(structure, told, minlength=len(asked.frames)))]

    if asked.head == "direct":
        yield ContractLine("finite differences", 0.0, "eV/Å", SLOPE, "not asked: direct forces are no gradient")
    else:
        yield from _measured([("finite differences", "eV/Å", SLOPE)], first)
    yield from _measured([("second derivative", "eV/Å²", CURVATURE)], second)


def edges(asked: Asked) -> Iterable[ContractLine]:
    """Two atoms part smoothly at the cutoff; one atom alone has no force."""

    def cutoff() -> list[float]:
        pairs = [(a, b) for k, a in enumerate(asked.elements) for b in asked.elements[k:]]
        inside, outside = ([_dimer(pair, asked.cutoff + side * EDGE) for pair in pairs] for side in (-1, 1))
        (energy, forces), (other_energy, other_forces) = asked(inside), asked(outside)
        return [_largest(other_energy - energy), _largest(other_forces - forces)]

    def alone() -> list[float]:
        atoms = [_free([z], np.zeros((1, 3))) for z in asked.elements]
        answers = [asked([atom]) for atom in atoms]
        if not all(np.isfinite(energy).all() for energy, _ in answers):
            raise ValueError("its energy is not a number")
        return [max(_largest(forces) for _, forces in answers)]

    yield from _measured([("cutoff, energy", "eV", SAME), ("cutoff, forces", "eV/Å", EDGE_FORCE)], cutoff)
    yield from _measured([("lone atom, forces", "eV/Å", SAME)], alone)


def _free(numbers: Sequence[int], positions: Floats) -> Frame:
    return Frame(np.array(numbers), positions, np.zeros((3, 3)), np.zeros(3, dtype=bool))


def _dimer(elements: Sequence[int], distance: float) -> Frame:
    return _free(elements, np.array([[0.0, 0.0, 0.0], [distance, 0.0, 0.0]]))


def noise(asked: Asked) -> ContractLine:
    """Noise of the energy: what is left after a parabola is fitted along a line much shorter than a bond."""

    def left() -> list[float]:
        frame, steps = asked.frames[0], np.linspace(-1.0, 1.0, 21)
        direction = asked.direction(frame)
        energies, _ = asked([_moved(frame, frame.positions + 0.5 * EDGE * t * direction) for t in steps])
        answered = asked.outputs(asked.graph([frame]))[0].dtype
        if answered != torch.float64:
            raise ValueError(f"it was asked in float64 and answered in {str(answered).removeprefix('torch.')}")
        return [_largest(energies - np.polynomial.Polynomial.fit(steps, energies, 2)(steps))]

    (line,) = _measured([("float64", "eV", NOISE)], left)
    return line
