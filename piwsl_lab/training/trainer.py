"""Training, to be read top to bottom: one `Trainer`, one `step()`, and `fit()`, a generator that drives it.

The trainer knows no widget and no file. It reads its `Objective` at every step, so a slider, a schedule or a test may
change a weight while it runs. The optimiser is AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import DEFAULT_SKIN, GraphSet
from piwsl_lab.data import require_disjoint
from piwsl_lab.models.interface import as_graphs, require_gradients
from piwsl_lab.piwsl.displacements import LONGEST_BOND, SoftModes, longest, per_atom_epsilon, shortest_bonds
from piwsl_lab.piwsl.objective import WEIGHTS, Objective
from piwsl_lab.support.device import pick_device
from piwsl_lab.support.interrupts import held
from piwsl_lab.support.memory import keep_memory
from piwsl_lab.training.attempt import Attempt
from piwsl_lab.training.batches import Batches
from piwsl_lab.training.best_step import label_variances, unexplained_variance
from piwsl_lab.training.errors import Metrics, evaluate

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset

SCHEDULES = ("cosine", "constant")
SHIFT_FRAMES = 128  # training frames that the shift of the energies is fitted on: their mean error is known well enough
BOND_FRACTION = 0.3  # the paper keeps ε under 30 % of a bond


class TrainingDiverged(ValueError):
    """The loss is no longer a finite number.

    Attributes
    ----------
    trainer : Trainer or None
        Of `piwsl_lab.training.kept.finish`, with the best weights in its potential.
    part : str
        What that training was called.
    """

    trainer: Trainer | None = None
    part: str = ""


@dataclass(frozen=True)
class Record:
    """What one step did.

    Attributes
    ----------
    step : int
        1 for the first.
    loss : float
        Weighted sum of the terms.
    terms : dict of float
        Unweighted terms by name, those that were on and had a label: energy, pitc, pisc, weak (eV²), force, gradient
        ((eV/Å)²), curl ((eV/Å²)²), denoise (no unit), and noisy, which has the weights of energy and force inside.
    seconds : float
        Time spent in steps so far, validation not counted.
    metrics : Metrics or None
        Errors on the validation frames, at the steps that validate.
    """

    step: int
    loss: float
    terms: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    metrics: Metrics | None = None


def fit(potential: Any, train: Dataset, objective: Objective, **options: Any) -> Iterator[Record]:
    """Train a potential: yields a `Record` a step, and leaves the best weights in the potential at the end.

    Parameters
    ----------
    potential, train, objective, **options
        As for `Trainer`.

    Examples
    --------
    >>> for record in fit(potential, train, Objective(pitc=100.0), steps=3000):
    ...     print(record.step, record.loss)  # doctest: +SKIP
    """
    trainer = Trainer(potential, train, objective, **options)
    try:
        while not trainer.finished:
            yield trainer.step()
    except TrainingDiverged:
        trainer.restore_best()
        raise
    trainer.restore_best()


class Trainer:
    """One training run, a step at a time.

    Parameters
    ----------
    potential : Potential, or any torch module with the same call and a `cutoff` (Å)
        A `Potential` that was not calibrated yet is calibrated on the training labels; another module without an
        attribute `reference` (eV per element) is given that of the training set. Before every validation and after the
        last step the constant part of its energies (`Potential.fit_shift`) is fitted to the training labels.
    train : Dataset
        Frames with at least one label; labels a budget hides are not there to be read.
    objective : Objective
        Read at every step.
    validation : Dataset, optional
        Frames that pick the best step: that with the least unexplained variance of energies and forces. Without them
        the last step is kept.
    pool : Dataset, optional
        Frames at which the consistency terms ask where the objective's `centres` is "pool"; their labels, if they have
        any, are thrown away here.
    steps, batch_size : int
    learning_rate : float
        Of AdamW; `schedule` "cosine" takes it to 0 at the last step, "constant" leaves it.
    weight_decay : float
    clip : float
        Largest norm of the gradient.
    seed : int
        Of the batches and the displacements. The same seed gives the same run bit for bit on one machine's CPU, and two
        trainers of one seed see the same batches whatever their objectives.
    validate_every : int, optional
        Steps between validations; a twentieth of the run by default.
    device : "auto", "cpu", "cuda", …

    Raises
    ------
    ValueError
        Nothing to train on, or a setting that makes no sense; the message says which.
    """

    def __init__(
        self,
        potential: Any,
        train: Dataset,
        objective: Objective,
        *,
        validation: Dataset | None = None,
        pool: Dataset | None = None,
        steps: int = 3000,
        batch_size: int = 8,
        learning_rate: float = 1e-3,
        schedule: str = "cosine",
        weight_decay: float = 0.01,
        clip: float = 10.0,
        seed: int = 0,
        validate_every: int | None = None,
        device: str = "auto",
    ) -> None:
        require_gradients(potential)
        self.settings: dict[str, Any] = {
            "steps": steps, "batch_size": batch_size, "learning_rate": learning_rate, "schedule": schedule,
            "weight_decay": weight_decay, "clip": clip, "seed": seed,
            "validate_every": validate_every or max(1, steps // 20),
        }  # fmt: skip
        _check(self.settings)
        self.train_data, self.objective = train.labelled(), objective
        self.current = objective.at(0)  # the objective with its schedules at the step being taken
        if len(self.train_data) == 0:
            raise ValueError("no frame of the training set has a label: give the budget some energies or forces")
        keep_memory()
        self.device = torch.device(pick_device(device))
        self.potential = potential.to(self.device)
        if hasattr(potential, "calibrate") and potential.reference is None:
            potential.calibrate(self.train_data)
        elif getattr(potential, "reference", None) is None:
            potential.reference = self.train_data.reference_energies()
        self.graphs = as_graphs(potential, self.train_data, DEFAULT_SKIN)
        self.validation_data = validation if validation is not None and len(validation) else None
        if self.validation_data is not None:
            require_disjoint(train=self.train_data, validation=self.validation_data)
        self.validation = as_graphs(potential, self.validation_data) if self.validation_data is not None else None
        self.optimiser = torch.optim.AdamW(
            potential.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        self.pool_data = pool.unlabelled() if pool is not None and len(pool) else None
        if self.pool_data is not None:
            held_out = {} if self.validation_data is None else {"validation": self.validation_data}
            require_disjoint(pool=self.pool_data, **held_out)
        self._pool: GraphSet | None = None  # built when first asked for: hundreds of frames
        self.batches = Batches(len(self.graphs), batch_size, seed)
        self.pool_batches = Batches(len(self.pool_data or ()), batch_size, seed + 2)
        self.noise = torch.Generator().manual_seed(seed + 1)
        self.steps, self.done, self.seconds = steps, 0, 0.0
        self.best_weights: dict[str, Tensor] | None = None
        self.best_metrics: Metrics | None = None
        self.best_step = 0  # 0: none is known
        self.last: Record | None = None  # of the step that was counted last
        self._begun: Attempt | None = None
        self._taken: Attempt | None = None  # its weights have moved, and it is not counted yet
        self._epsilon_seen: tuple[str, float, bool] | None = None
        self._warned = False
        self._bonds: tuple[float, float] | None = None
        self._soft_modes: SoftModes | None = None

    @property
    def finished(self) -> bool:
        return self.done >= self.steps

    def step(self) -> Record:
        """Train on one batch, and validate when it is time.

        A step is taken whole or not at all, whatever breaks it off: weights, optimiser, random numbers and `done`
        always belong together. Ctrl-C waits for its end. What validation or the fit of the energies' constant could
        not finish is finished by the next call, which then returns the record of the step that was broken off.

        Raises
        ------
        TrainingDiverged
            The loss or its gradient is not finite. The weights are those before the step.
        """
        require_gradients()
        # Gradients are asked for, even where a caller has switched them off.
        with held(), torch.enable_grad():
            try:
                self._settle()
                if self._taken is None:
                    self._attempt()
                return self._count()
            except BaseException as error:
                self._settle()
                if not isinstance(error, Exception):  # an interrupt: the step is booked before it goes on
                    self._count()
                raise

    def _attempt(self) -> None:
        """Move the weights by one step; `_settle` undoes or keeps what was broken off."""
        start = time.perf_counter()
        self.current = self.objective.at(self.done)
        self._follow_epsilon()
        self._set_learning_rate()
        begun = self._begun = Attempt.of(self, start)
        self._train_on(self.graphs.batch(self.batches.next()), self._pool_batch(), begun)
        self._taken, self._begun = begun, None

    def _settle(self) -> None:
        """Decide what becomes of a step that was broken off: it counts if its weights have moved."""
        begun = self._begun
        if begun is not None and begun is not self._taken:
            if begun.has_moved(self):
                self._taken = begun
            else:
                begun.undo(self)
        self._begun = None

    def _count(self) -> Record:
        """Book the step whose weights have moved, if there is one. May be repeated."""
        taken = self._taken
        if taken is None:
            return self.last
        if taken.seconds is None:
            taken.seconds = self.seconds + time.perf_counter() - taken.began
        due = taken.step % self.settings["validate_every"] == 0 or taken.step >= self.steps
        if due:
            taken.settle_buffers(self)
            self._fit_shift()
        metrics = self.validate() if due else None
        self.last = Record(taken.step, taken.loss, taken.values, taken.seconds, metrics)
        self.done, self.seconds = taken.step, taken.seconds
        self._taken = None
        return self.last

    def settle(self) -> None:
        """Finish what an error broke off, so that the state can be read or saved."""
        with held():
            self._settle()
            self._count()

    def validate(self) -> Metrics | None:
        """Score the current weights on the validation frames and remember them if they are the best so far."""
        if self.validation is None:
            return None
        metrics = evaluate(self.potential, self.validation)
        score = self._score(metrics)
        if score < (math.inf if self.best_metrics is None else self._score(self.best_metrics)):
            # In this order: if an interrupt comes between the two, the same weights are taken once more.
            self.best_weights = {name: value.clone() for name, value in self.potential.state_dict().items()}
            self.best_metrics = metrics
            self.best_step = self.done if self._taken is None else self._taken.step
        return metrics

    def _fit_shift(self) -> None:
        """Take the constant error out of the energies, with labels that training reads anyway."""
        has_energy = self.graphs.graph.has_energy
        if self.current.energy > 0 and hasattr(self.potential, "fit_shift") and bool(has_energy.any()):
            frames = has_energy.nonzero()[:SHIFT_FRAMES, 0]
            chunks = self.graphs.chunks(frames, SHIFT_FRAMES)
            self.potential.fit_shift((self.graphs.batch(chunk) for chunk in chunks), self.current.per_atom)

    def restore_best(self) -> None:
        """Put the weights of the best validation into the potential (the present ones, if none was made)."""
        if self.best_weights is not None:
            self.potential.load_state_dict(self.best_weights)

    def _pool_batch(self) -> AtomGraph | None:
        """Frames without labels for the consistency terms, where the objective asks there."""
        if self.current.centres != "pool" or not self.current.is_consistent or self.pool_data is None:
            return None
        if self._pool is None:
            self._pool = as_graphs(self.potential, self.pool_data, self.graphs.radius - self.potential.cutoff)
        return self._pool.batch(self.pool_batches.next())

    def _train_on(self, graph: AtomGraph, pool: AtomGraph | None, begun: Attempt) -> None:
        """One step of the optimiser; loss and unweighted terms are noted before the weights move."""
        terms = self.current.terms(self.potential, graph, self.noise, pool, self._modes())
        if terms:  # else the weights in use find no label in this batch
            loss = self.current.total(terms)
            begun.loss = loss.item()
            begun.values = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
            self._descend(loss, begun)

    def _descend(self, loss: Tensor, begun: Attempt) -> None:
        if not bool(loss.isfinite()):
            raise self._diverged("the loss", loss)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.potential.parameters(), self.settings["clip"])
        if not bool(norm.isfinite()):
            raise self._diverged("the gradient", norm)
        begun.watch(self)
        self.optimiser.step()

    def _diverged(self, what: str, value: Tensor) -> TrainingDiverged:
        best = f"those of step {self.best_step} are the best" if self.best_weights else "none were validated before"
        weights = ", ".join(
            f"{name}={getattr(self.current, name):g}" for name in WEIGHTS if getattr(self.current, name)
        )
        return TrainingDiverged(
            f"{what} became {value.item()} at step {self.done + 1}: lower the learning rate "
            f"({self.settings['learning_rate']}) or the weights of the objective ({weights}); "
            f"of the weights of the potential, {best}"
        )

    def _set_learning_rate(self) -> None:
        rate = self.settings["learning_rate"]
        if self.settings["schedule"] == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * self.done / self.steps))
        for group in self.optimiser.param_groups:
            group["lr"] = rate

    def _score(self, metrics: Metrics) -> float:
        labels, spread = self.validation.graph, label_variances(self.graphs.all(), self.objective.per_atom)
        return unexplained_variance(metrics, self.objective, labels, spread)

    def _modes(self) -> SoftModes | None:
        """The soft directions of the training frames, found once, if the objective displaces along them."""
        if self.current.direction != "covariance" or not self.current.displaces:
            return None
        if self._soft_modes is None:
            self._soft_modes = SoftModes.from_graphs(self.graphs)
        return self._soft_modes

    def _follow_epsilon(self) -> None:
        """When ε has changed, warn if it is large against a bond, and widen the neighbour lists if they must be."""
        o = self.current
        seen = (o.direction, o.epsilon, o.relative)
        if not o.displaces or seen == self._epsilon_seen:
            return
        if self._bonds is None:
            self._bonds = bond_range(self.graphs)
        shortest, farthest = self._bonds
        limit = BOND_FRACTION * (1.0 if o.relative else shortest)
        if o.epsilon > limit and not self._warned:
            self._warned = True  # a schedule would say it at every step
            warnings.warn(
                f"epsilon={o.epsilon} is more than 30 % of every bond: the displaced structures are no longer "
                f"chemistry; use at most {BOND_FRACTION}"
                if o.relative
                else f"epsilon={o.epsilon} Å is more than 30 % of the shortest distance between two atoms of the "
                f"training set ({shortest:.3f} Å): the displaced structures are no longer chemistry; use at most "
                f"{limit:.2f} Å",
                stacklevel=4,
            )
        elif o.epsilon <= limit:
            self._warned = False
        # A frame of the pool may have a bond that is a little longer than any of the training set.
        reach = o.epsilon * (min(1.2 * farthest, LONGEST_BOND) if o.relative else 1.0)
        needed = 2 * longest(o.direction, reach)
        if self.graphs.radius < self.potential.cutoff + needed:
            self._widen(needed)
        self._epsilon_seen = seen  # last: what is broken off here is done again

    def reach(self, radius: float) -> None:
        """Let the neighbour lists reach at least as far, Å: a training that goes on sees the graphs it saw before."""
        if self.graphs.radius < radius:
            self._widen(radius - self.potential.cutoff)

    def _widen(self, skin: float) -> None:
        """Build the neighbour lists anew with another skin, Å."""
        self._pool = None  # first, so that it is never the shorter one
        self.graphs = as_graphs(self.potential, self.train_data, skin)


def bond_range(graphs: GraphSet) -> tuple[float, float]:
    """The shortest and the longest bond of a set of graphs, Å, as a relative ε counts them; inf and 3 without any."""
    graph = graphs.all()
    return float(shortest_bonds(graph).min()), float(per_atom_epsilon(graph, 1.0).max())


def _check(settings: dict[str, Any]) -> None:
    for name in ("steps", "batch_size", "validate_every"):
        if not isinstance(settings[name], int) or settings[name] < 1:
            raise ValueError(f"{name}={settings[name]} must be a whole number, 1 or larger")
    for name in ("learning_rate", "clip"):
        if not (math.isfinite(settings[name]) and settings[name] > 0):
            raise ValueError(f"{name}={settings[name]} must be a finite number above 0")
    if settings["weight_decay"] < 0:
        raise ValueError(f"weight_decay={settings['weight_decay']} must be 0 or larger")
    if settings["schedule"] not in SCHEDULES:
        raise ValueError(f"schedule={settings['schedule']!r} does not exist; choose one of {', '.join(SCHEDULES)}")
