"""Training, to be read top to bottom: one `Trainer` and its `step()`; `piwsl_lab.training.drive` takes it to the end.

The trainer knows no widget and no file. It reads its `Objective` at every step, so a slider, a schedule or a test may
change a weight while it runs. The optimiser is AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from piwsl_lab.atoms.graph import AtomGraph
from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.models.first_answer import answers_checked, require_module
from piwsl_lab.models.interface import as_graphs, require_gradients
from piwsl_lab.names import Default
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.piwsl.terms import terms_of
from piwsl_lab.support.device import pick_device
from piwsl_lab.support.interrupts import held
from piwsl_lab.training.answer import Answer, calibrated
from piwsl_lab.training.attempt import Attempt
from piwsl_lab.training.best_step import Best, Ending, ending_of, is_better
from piwsl_lab.training.errors import Metrics, evaluate
from piwsl_lab.training.named_tensors import moments_of, require_like, restore_moments, tensors_under
from piwsl_lab.training.reach import Batches, Reach
from piwsl_lab.training.record import Record, diverged
from piwsl_lab.training.settings import check_frames, check_settings, learning_rate_at, rate_of

if TYPE_CHECKING:
    from piwsl_lab.data import Dataset


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
    learning_rate : float, optional
        Of AdamW, by default the potential's; `schedule` "cosine" takes it to 0 at the last step, "constant" leaves it.
    weight_decay : float
    clip : float
        Largest norm of the gradient.
    seed : int
        Of the batches and the displacements. The same seed gives the same run bit for bit on one machine's CPU, and two
        trainers of one seed see the same batches whatever their objectives.
    validate_every : int, optional
        Steps between validations; a twentieth of the run by default.
    average : float
        Share of the running mean of the weights that a step leaves (`piwsl_lab.training.answer`), 0.99 for instance;
        the mean is what is validated and given back. With 0 those are the weights of the last step themselves.
    patience : int
        Validations without a better one after which the training ends; 0 for never.
    device : "auto", "cpu", "cuda", …

    Raises
    ------
    ValueError
        Nothing to train on, a setting that makes no sense, or no copy for a mean; the message says which.
    """

    def __init__(
        self,
        potential: Any,
        train: Dataset,
        objective: Objective,
        *,
        validation: Dataset | None = None,
        pool: Dataset | None = None,
        steps: int = Default.STEPS,
        batch_size: int = Default.BATCH_SIZE,
        learning_rate: float | None = None,
        schedule: str = Default.SCHEDULE,
        weight_decay: float = Default.WEIGHT_DECAY,
        clip: float = 10.0,
        seed: int = 0,
        validate_every: int | None = None,
        average: float = Default.AVERAGE,
        patience: int = Default.PATIENCE,
        device: str = "auto",
    ) -> None:
        require_module(potential)
        require_gradients(potential)
        self.settings: dict[str, Any] = {
            "steps": steps, "batch_size": batch_size, "learning_rate": rate_of(potential, learning_rate),
            "schedule": schedule, "weight_decay": weight_decay, "clip": clip, "seed": seed,
            "validate_every": validate_every or max(1, steps // 20), "average": average, "patience": patience,
        }  # fmt: skip
        check_settings(self.settings)
        self.objective = objective
        self.used = replace(objective)  # the objective as the last step read it, schedules and all
        self.current = self.used.at(0)  # the same with its schedules at the step being taken
        self.train_data = train.labelled()
        self.validation_data = validation if validation is not None and len(validation) else None
        self.pool_data = pool.unlabelled() if pool is not None and len(pool) else None
        check_frames(self.train_data, self.validation_data, self.pool_data, patience)
        self.device = torch.device(pick_device(device))
        self.answer = Answer(calibrated(potential.to(self.device), self.train_data), average)
        self.learner = self.answer.learner  # what a step asks and moves; without `average` it is the potential
        self.optimiser: torch.optim.Optimizer = torch.optim.AdamW(
            self.learner.parameters(), lr=self.settings["learning_rate"], weight_decay=weight_decay, fused=True
        )
        self.validation = None if self.validation_data is None else as_graphs(potential, self.validation_data)
        self.reach = Reach(self.learner, self.train_data, self.pool_data)
        self.batches = Batches(len(self.train_data), batch_size, seed)
        self.pool_batches = Batches(len(self.pool_data or ()), batch_size, seed + 2)
        self.noise = torch.Generator().manual_seed(seed + 1)
        self.steps, self.done, self.seconds, self.best = steps, 0, 0.0, Best()
        self.last: Record | None = None  # of the step that was counted last
        self._begun: Attempt | None = None
        self._taken: Attempt | None = None  # its weights have moved, and it is not counted yet

    @property
    def potential(self) -> Any:
        """What the training answers with; with `average` its weights are the running mean."""
        return self.answer.potential

    @property
    def ending(self) -> Ending | None:
        """Where the training has ended and why; None while it goes on."""
        return ending_of(self.done, self.best, self.settings)

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.ending is not None

    @property
    def graphs(self) -> GraphSet:
        """The training frames with the neighbours that its ε asks for."""
        return self.reach.graphs

    def step(self) -> Record:
        """Train on one batch, and validate when it is time.

        A step is taken whole or not at all, whatever breaks it off: weights, optimiser, random
        numbers and `done` always belong together. Ctrl-C waits for its end. What validation or the
        fit of the energies' constant could not finish, the next call finishes. It then returns the
        record of the step that was broken off.

        Raises
        ------
        TrainingDiverged
            The loss or its gradient is not finite. The weights are those before the step.
        """
        require_gradients()
        # Gradients are asked for, even where a caller has switched them off.
        with held(), torch.enable_grad():
            try:
                taken = self._settle()
                return self._count(self._attempt() if taken is None else taken)
            except BaseException as error:
                taken = self._settle()
                # An interrupt: the step is booked before it goes on.
                if taken is not None and not isinstance(error, Exception):
                    self._count(taken)
                raise

    def _attempt(self) -> Attempt:
        """Move the weights by one step; `_settle` undoes or keeps what was broken off."""
        start = time.perf_counter()
        self.used = replace(self.objective)  # a copy: what is moved meanwhile waits for the next step
        self.current = self.used.at(self.done)
        self.reach.follow(self.current)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate_at(self.done, self.settings)
        begun = self._begun = Attempt.of(self, start)
        self._train_on(self.graphs.batch(self.batches.next()), self._pool_batch(), begun)
        self._taken, self._begun = begun, None
        return begun

    def _settle(self) -> Attempt | None:
        """Decide what becomes of a step that was broken off; it is returned if its weights have moved: it counts."""
        begun = self._begun
        if begun is not None and begun is not self._taken:
            if begun.has_moved(self):
                self._taken = begun
            else:
                begun.undo(self)
        self._begun = None
        return self._taken

    def _count(self, taken: Attempt) -> Record:
        """Book a step whose weights have moved. May be repeated."""
        taken.move_mean(self)
        if taken.seconds is None:
            taken.seconds = self.seconds + time.perf_counter() - taken.began
        due = taken.step % self.settings["validate_every"] == 0 or taken.step >= self.steps
        if due:
            taken.settle_buffers(self)
            self.answer.fit_shift(self.graphs, self.current)
        metrics = self.validate() if due else None
        record = self.last = Record(taken.step, taken.loss, taken.values, taken.seconds, metrics)
        self.done, self.seconds = taken.step, taken.seconds
        self._taken = None
        return record

    def settle(self) -> None:
        """Finish what an error broke off, so that the state can be read or saved."""
        with held():
            if (taken := self._settle()) is not None:
                self._count(taken)

    def validate(self) -> Metrics | None:
        """Score the current weights on the validation frames and remember them if they are the best so far."""
        if self.validation is None:
            return None
        metrics = evaluate(self.potential, self.validation)
        # As the step read it: a knob that moves meanwhile has trained nothing yet.
        if is_better(metrics, self.best.metrics, self.used, self.validation.graph, self.graphs.all()):
            weights = {name: value.clone() for name, value in self.potential.state_dict().items()}
            self.best = Best(self.done if self._taken is None else self._taken.step, metrics, weights)
        return metrics

    def restore_best(self) -> None:
        """Put the weights of the best validation into the potential (the present ones, if none was made)."""
        if self.best.weights is not None:
            self.potential.load_state_dict(self.best.weights)

    def _pool_batch(self) -> AtomGraph | None:
        """Frames without labels for the consistency terms, where the objective asks there."""
        pool = self.reach.pool() if self.current.centres == "pool" and self.current.is_consistent else None
        return None if pool is None else pool.batch(self.pool_batches.next())

    def _train_on(self, graph: AtomGraph, pool: AtomGraph | None, begun: Attempt) -> None:
        """One step of the optimiser; loss and unweighted terms are noted before the weights move."""
        with answers_checked(self.learner, wanted=self.last is None):
            terms = terms_of(self.current, self.learner, graph, self.noise, pool, self.reach.modes(self.current))
        if terms:  # else the weights in use find no label in this batch
            loss = self.current.total(terms)
            begun.loss = loss.item()
            begun.values = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
            self._descend(loss, begun)

    def _descend(self, loss: Tensor, begun: Attempt) -> None:
        if not bool(loss.isfinite()):
            raise diverged("the loss", loss.item(), self.done + 1, self.settings, self.current, self.best)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(self.learner.parameters(), self.settings["clip"])
        if not bool(norm.isfinite()):
            raise diverged("the gradient", norm.item(), self.done + 1, self.settings, self.current, self.best)
        begun.watch(self)
        self.optimiser.step()

    def state(self, moments: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What it needs to go on bit for bit: plain values, and tensors by name.

        Weights "best.…" and "learner.…" and moments "optimiser.…" have the shapes of the weights; states of generators
        are uint8 [B], queues of frames int64 [Q]. Frames, settings and objective make the trainer to `load` into.

        Parameters
        ----------
        moments : bool
            Whether to keep what the optimiser moves and remembers, up to three times the size of the weights. It is of
            use until the last step.
        """
        self.settle()
        present, best = self.potential.state_dict(), self.best.weights or {}
        best_is_present = bool(best) and all(torch.equal(value, present[name]) for name, value in best.items())
        values = {
            "done": self.done,
            "seconds": self.seconds,
            "best_metrics": asdict(self.best.metrics) if self.best.metrics else None,
            "best_is_present": best_is_present,
            "best_step": self.best.step,
            "radius": self.graphs.radius,
        }
        tensors = {"noise": self.noise.get_state()}
        tensors["batches"], tensors["queue"] = self.batches.state()
        tensors["pool_batches"], tensors["pool_queue"] = self.pool_batches.state()
        tensors |= {f"best.{name}": value for name, value in best.items() if not best_is_present}
        if moments:
            tensors |= {f"optimiser.{name}": value for name, value in moments_of(self.optimiser).items()}
            tensors |= {f"learner.{name}": value for name, value in self.answer.state().items()}
        return values, tensors

    def load(self, values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave, e.g. "queue" int64 [Q]; the potential has the weights of that step.

        Raises
        ------
        LookupError, TypeError, ValueError, RuntimeError
            They are not of such a training.
        """
        self.done, self.seconds = values["done"], values["seconds"]
        present = self.potential.state_dict()
        best = tensors_under(tensors, "best.")
        if values.get("best_is_present"):
            best = {name: value.clone() for name, value in present.items()}
        require_like(present if best else {}, best, "best")
        weights = {name: value.to(self.device) for name, value in best.items()} or None
        metrics = Metrics(**values["best_metrics"]) if values["best_metrics"] else None
        self.best = Best(values.get("best_step", 0), metrics, weights)
        self.answer.load(tensors_under(tensors, "learner."), self.finished)
        self.noise.set_state(tensors["noise"])
        self.batches.restore(tensors["batches"], tensors["queue"])
        self.pool_batches.restore(tensors["pool_batches"], tensors["pool_queue"])
        restore_moments(self.optimiser, tensors_under(tensors, "optimiser."), self.done)
        self.reach.cover(values.get("radius", 0.0))
