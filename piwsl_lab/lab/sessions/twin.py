"""`Twin`: one potential of a session, its trainer, and everything known about its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from piwsl_lab.atoms.graph_set import GraphSet
from piwsl_lab.lab.sessions.preview import Preview
from piwsl_lab.models import Potential
from piwsl_lab.names import CONSISTENCY
from piwsl_lab.piwsl.objective import Objective
from piwsl_lab.study.setup import Setup
from piwsl_lab.support.interrupts import held
from piwsl_lab.training.best_step import ending_in_words
from piwsl_lab.training.errors import Metrics, score
from piwsl_lab.training.record import Record
from piwsl_lab.training.trainer import Trainer

MOST_SNAPSHOTS = 400  # of the history of a twin: 2 MB for ethanol


class CannotStep(ValueError):
    """The objective asks for what this potential cannot do; the message says for what, and the remedy."""


class Predictions(NamedTuple):
    """What one twin predicts for the monitored test frames, beside the labels.

    `energy`, `reference_energy` [M] in eV, relative to the per-element reference; `forces`, `reference_forces`:
    M arrays [N, 3] in eV/Å. References are nan where a frame has no label.
    """

    step: int
    energy: np.ndarray
    reference_energy: np.ndarray
    forces: list[np.ndarray]
    reference_forces: list[np.ndarray]


@dataclass
class Twin:
    """One of the potentials of a session and everything known about its training.

    Attributes
    ----------
    setup : Setup
        What it was built from: that of the session, but for the head.
    kind : str
        Where its forces come from and whether PIWSL teaches it: what decides its colour everywhere. It is fixed when
        the session is built, so that no slider changes a colour.
    records : list of Record
        One per step: step number, loss terms, seconds.
    points : list of (step, Metrics)
        Scores of the current weights on the monitored test frames.
    snapshot : Predictions
        What the present weights predict there; after training those are the best ones.
    history : list of Predictions
        What was predicted at earlier scores and at the last one, at most `MOST_SNAPSHOTS`. The list is replaced, never
        changed: another thread may read the one it got.
    changes : dict of step → Objective
        The objective in force after that many steps, wherever it was changed; what *Copy as code* replays. What a
        schedule does is no change: the objective holds the schedule.
    final : Metrics or None
        Score of the best weights on all test frames, once training has ended.
    """

    name: str
    setup: Setup
    trainer: Trainer
    kind: str
    records: list[Record] = field(default_factory=list)
    points: list[tuple[int, Metrics]] = field(default_factory=list)
    changes: dict[int, Objective] = field(default_factory=dict)
    snapshot: Predictions | None = None
    history: list[Predictions] = field(default_factory=list)
    final: Metrics | None = None
    trajectory: Preview | None = None

    @property
    def potential(self) -> Potential:
        return self.trainer.potential

    @property
    def ended(self) -> bool:
        """Whether it takes no further step; one with patience may end before the others."""
        return self.trainer.finished

    @property
    def early_end(self) -> str:
        """A sentence that says where it ended before the last step, and why; "" where it did not."""
        ending = self.trainer.ending
        return f"{self.name} {ending_in_words(ending)}." if ending is not None and ending.in_vain else ""

    @property
    def objective(self) -> Objective:
        """The knobs: the trainer's own objective, which it reads at every step. Write to it at any time."""
        return self.trainer.objective

    @property
    def used(self) -> Objective:
        """The objective as the last step read it; before the first step, as the next one will."""
        return self.changes[max(self.changes)] if self.changes else self.objective

    @property
    def metrics(self) -> Metrics | None:
        """The latest score: on all test frames after training, on the monitored ones before."""
        return self.final or (self.points[-1][1] if self.points else None)

    @property
    def obstacle(self) -> str:
        """Why the knobs, as they stand, allow no further step, and the remedy; empty where they do."""
        if self.in_force("gradient") > 0 and not self.potential.has_direct_head:
            return (
                f"{self.name}: gradient consistency holds the forces of a direct head against −dE/dr, and a "
                "conservative potential has no direct head. Switch the gradient weight off, or take forces from dual "
                "and press Reset."
            )
        if self.objective.centres == "pool" and self.objective.is_consistent and self.trainer.pool_data is None:
            return (
                f"{self.name}: every frame has a label, so that there are no frames without labels to ask at. Ask at "
                "labelled frames, or take fewer labels and press Reset."
            )
        return ""

    def in_force(self, name: str) -> Any:
        """A field of the objective or a weight of `extra`: its own, or what its schedule says at the present step."""
        schedule = self.objective.schedules.get(name)
        if schedule is None:
            return _value(self.objective, name)
        if self.trainer.used.schedules.get(name) == schedule:
            return _value(self.trainer.current, name)
        return schedule(self.trainer.done)  # it came after the last step

    @property
    def now(self) -> Objective:
        """The objective with the values in force."""
        scheduled = {name: self.in_force(name) for name in self.objective.schedules}
        return self.objective.at_values(scheduled) if scheduled else self.objective

    def step(self) -> Record:
        """One training step with the objective as it is now; remembers what it was where it changed.

        Raises
        ------
        CannotStep
            There is an `obstacle`; nothing has changed.
        """
        if obstacle := self.obstacle:
            raise CannotStep(obstacle)
        with held():
            self.settle()
            try:
                try:
                    self.trainer.step()
                finally:
                    self._note()
            finally:  # twice: an error may come in the first
                self._note()
            return self.records[-1]

    def settle(self) -> None:
        """Finish a step that an error broke off, so that records and weights can be read together."""
        self.trainer.settle()
        self._note()

    def _note(self) -> None:
        """Take the record of a step that the trainer counts and this twin does not yet."""
        record = self.trainer.last
        if record is None or self.trainer.done != len(self.records) + 1:
            return
        # What was used comes first: an interrupt between the two then loses nothing.
        if not self.changes or self.used != self.trainer.used:
            self.changes[len(self.records)] = self.trainer.used
        self.records.append(record)

    def monitor(self, monitored: GraphSet) -> None:
        """Score the current weights on the monitored frames, and keep the score and what they predict there."""
        self.snapshot, metrics = self.predict(monitored)
        step = len(self.records)
        # Each of the two by itself: an interrupt may have come between them.
        if not self.history or self.history[-1].step != step:
            first = self.history[0] if self.history else self.snapshot  # labels stay the same: one copy will do
            forces = [part.astype(np.float32) for part in self.snapshot.forces]
            shot = first._replace(step=step, energy=self.snapshot.energy, forces=forces)
            self.history = thinned([*self.history, shot])
        if not self.points or self.points[-1][0] != step:
            self.points.append((step, metrics))

    @torch.no_grad()
    def predict(self, monitored: GraphSet) -> tuple[Predictions, Metrics]:
        """What the twin predicts now for the monitored frames, and its score there, from one call of the potential."""
        graph = monitored.all()
        prediction = self.potential(graph)
        metrics = Metrics.of([score(prediction, graph)])
        sizes = graph.structure.bincount().tolist()
        # A label that is not there must look like none, not like a force of zero.
        labels = graph.forces.masked_fill(~graph.has_forces[graph.structure].unsqueeze(1), torch.nan)
        snapshot = Predictions(
            step=len(self.records),
            energy=prediction.energy.cpu().numpy(),
            reference_energy=graph.energy.masked_fill(~graph.has_energy, torch.nan).cpu().numpy(),
            forces=[part.cpu().numpy() for part in prediction.forces.split(sizes)],
            reference_forces=[part.cpu().numpy() for part in labels.split(sizes)],
        )
        return snapshot, metrics


def _value(objective: Objective, name: str) -> Any:
    return getattr(objective, name) if hasattr(objective, name) else objective.weight(name)


def taught_by_piwsl(name: str, objective: Objective) -> bool:
    """Whether a twin counts as taught by consistency: by its name, else by the weights and schedules it begins with."""
    if name in ("supervised", "PIWSL"):
        return name == "PIWSL"
    return objective.is_consistent or any(term in objective.schedules for term in (*CONSISTENCY, *objective.extra))


def steps_of(twins: Sequence[Twin]) -> int:
    """Steps that every twin has taken that goes on; those of the longest where all have ended."""
    going = [len(twin.records) for twin in twins if not twin.ended]
    return min(going) if going else max(len(twin.records) for twin in twins)


def nearest(history: Sequence[Predictions], step: int) -> int:
    """Index of the snapshot that is nearest to a training step; of two, the earlier."""
    return int(np.abs(np.array([shot.step for shot in history]) - step).argmin())


def thinned(history: list[Predictions], most: int = MOST_SNAPSHOTS) -> list[Predictions]:
    """The history without the snapshot that leaves the smallest gap, if it is too long; the first and last stay."""
    if len(history) <= most:
        return history
    steps = np.array([shot.step for shot in history])
    crowded = 1 + int((steps[2:] - steps[:-2]).argmin())
    return history[:crowded] + history[crowded + 1 :]
