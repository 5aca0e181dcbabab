"""Lesson 05: errors against labels, intervals from few seeds, and the frame that is worst."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import ipywidgets as W
import numpy as np

from piwsl_lab.data import Dataset
from piwsl_lab.lab.checks.statistics import bootstrap_interval as exact_interval
from piwsl_lab.lab.checks.statistics import exponent as exact_exponent
from piwsl_lab.lab.figures.players import TRUTH, YOURS, Line, Panel, Panels
from piwsl_lab.lab.molecule.scene import atom_labels
from piwsl_lab.lab.molecule.view import MoleculeView
from piwsl_lab.lab.parts.colours import COLOURS, DIRECT, DIRECT_PITC
from piwsl_lab.lab.parts.knobs import choice
from piwsl_lab.lab.parts.units import mev
from piwsl_lab.lab.players.player import Player, Yours, spread
from piwsl_lab.study.tables import find_studies, own_test, read_table

PATIENCE, FEWEST = 0.5, 100  # s for the intervals of one number of seeds, and how many there are at least
METHODS = {"labels alone": ("supervised", COLOURS[DIRECT]), "with PITC": ("pitc", COLOURS[DIRECT_PITC])}
QUANTITIES = {"energy error": ("energy_mae", "meV"), "force error": ("force_rmse", "meV/Å")}
BUDGETS = (25.0, 50.0, 100.0, 200.0)  # labels that the exponents are fitted to


class StarvingPlayer(Player):
    """Errors of stored trainings against the number of labels, one point for every seed.

    The study is `sparse-labels`: ethanol, direct forces, five seeds.

    Parameters
    ----------
    exponent : callable, optional
        The learner's fit, drawn as it is: `exponent(labels, errors)`.
    studies : Path, optional
        Folder of the studies; by default that of the installation.
    """

    def __init__(self, exponent: Callable[..., Any] | None = None, studies: Path | None = None) -> None:
        folder = studies or find_studies()
        if folder is None:
            raise ValueError("the stored studies are not here: install piwsl-lab from its wheel or its checkout")
        rows = own_test(read_table(folder / "sparse-labels" / "results.csv"))
        self.rows = [row for row in rows if row["data"] == "ethanol"]
        self.yours = Yours(exponent)
        knobs = {
            "method": choice(list(METHODS), ["Trained on labels only.", "The same with PIWSL's loss."], "110px"),
            "quantity": choice(list(QUANTITIES), ["Of energies (MAE).", "Of forces (RMSE)."], "110px"),
            "seeds": W.IntSlider(value=1, min=1, max=5, description="seeds shown"),
        }
        spread(knobs["seeds"], "84px", 340)
        panel = Panel(
            "error on frames never seen: energy in meV, force in meV/Å", "labelled frames", "xy", (18.0, 1400.0)
        )
        super().__init__(knobs, Panels([panel], height=360))

    def errors(self, method: str, quantity: str, seeds: int = 5) -> dict[float, np.ndarray]:
        """Errors by number of labels, in meV or meV/Å: one for every seed below `seeds`.

        `method` is "labels alone" or "with PITC", `quantity` "energy error" or "force error".
        """
        found: dict[float, list[float]] = {}
        for row in self.rows:
            if row["method"] == METHODS[method][0] and row["seed"] < seeds and row["energies"] == row["forces"]:
                found.setdefault(row["energies"], []).append(mev(row[QUANTITIES[quantity][0]]))
        return {labels: np.array(found[labels]) for labels in sorted(found)}

    def means(self, method: str, quantity: str, seeds: int = 5) -> tuple[np.ndarray, np.ndarray]:
        """Labels [4] and mean errors [4] from 25 to 200 labels."""
        errors = self.errors(method, quantity, seeds)
        return np.array(BUDGETS), np.array([errors[labels].mean() for labels in BUDGETS])

    def show(self) -> str:
        method, quantity, seeds = (self.value(name) for name in ("method", "quantity", "seeds"))
        unit, colour = QUANTITIES[quantity][1], METHODS[method][1]
        errors = self.errors(method, quantity, seeds)
        labels, means = self.means(method, quantity, seeds)
        where, each = zip(*((count, error) for count, found in errors.items() for error in found), strict=True)
        slope = float(exact_exponent(labels, means))
        lines = [
            Line(0, "one training each", where, each, colour, "", "circle", size=8),
            Line(0, "mean", list(errors), [found.mean() for found in errors.values()], colour),
        ]
        own = self.yours(labels, means)
        known = slope if self.yours.function is not None else None  # before that it would be told too soon
        for name, power, shade in (("exact power law", known, TRUTH), ("yours", own, YOURS)):
            if power is not None and np.size(power) == 1:
                middle = np.exp(np.log(labels).mean()), np.exp(np.log(means).mean())
                line = middle[1] * (labels / middle[0]) ** float(np.ravel(power)[0])
                lines.append(Line(0, name, labels, line, shade, "dash", width=2))
        self.plot.draw(lines)
        words = (
            f"{method}, {quantity}: {means[1]:.0f} {unit} with 50 labels, {means[3]:.0f} {unit} with 200, from {seeds} "
            f"{'seed' if seeds == 1 else 'seeds'}."
        )
        return f"{words}{self.yours.said(own, '', '+.2f')}"


class CoveragePlayer(Player):
    """How often a 95 % bootstrap interval of a mean holds the truth, when it rests on few seeds.

    Parameters
    ----------
    bootstrap : callable, optional
        The learner's interval, counted as it is: `bootstrap(errors, draws)` returns its two ends.
    experiments : int, optional
        How many times the seeds are drawn anew.
    """

    SEEDS: ClassVar[tuple[int, ...]] = (3, 5, 10, 20)
    SHOWN = 40

    def __init__(self, bootstrap: Callable[..., Any] | None = None, experiments: int = 2000) -> None:
        self.yours, self._experiments = Yours(bootstrap), experiments
        self._known: dict[tuple[int, bool], tuple[np.ndarray, np.ndarray]] = {}
        knobs = {"seeds": choice([str(n) for n in self.SEEDS], ["Seeds of one experiment."] * 4, "60px", value="5")}
        panels = [
            Panel("95 % intervals of the first 40 experiments, meV", "experiment", y=(30.0, 110.0)),
            Panel("how often they hold the truth, %", "seeds", "x", (2.6, 24.0), (60.0, 100.0)),
        ]
        super().__init__(knobs, Panels(panels, columns=2, height=340))

    def intervals(self, seeds: int, function: Callable[..., Any] = exact_interval) -> np.ndarray:
        """Ends [experiments, 2] of the intervals, meV, of normal errors about 70 meV with a spread of 15 meV."""
        rng = np.random.default_rng(seeds)
        errors = rng.normal(70.0, 15.0, (self._experiments, seeds))
        draws = rng.integers(0, seeds, (1000, seeds))
        most = len(errors) if function is exact_interval else self._affordable(function, errors, draws)
        found = [function(row, draws) for row in errors[:most]]
        ends = [[np.nan, np.nan] if end is None or np.size(end) != 2 else np.ravel(end) for end in found]
        return np.array(ends, dtype=float)

    @staticmethod
    def _affordable(function: Callable[..., Any], errors: np.ndarray, draws: np.ndarray) -> int:
        """How many experiments a learner's function has time for: a loop over draws may be slow."""
        began = time.perf_counter()
        for row in errors[:5]:
            function(row, draws)
        return int(np.clip(5 * PATIENCE / max(time.perf_counter() - began, 1e-9), FEWEST, len(errors)))

    def coverage(self, seeds: int, function: Callable[..., Any] = exact_interval) -> float:
        """Share of the intervals that hold the truth, %."""
        low, high = self.intervals(seeds, function).T
        return float(100.0 * np.mean((low <= 70.0) & (high >= 70.0)))

    def _all(self, own: bool) -> tuple[np.ndarray, np.ndarray]:
        """Intervals for the chosen seeds, and coverages for all: each is worked out once."""
        seeds = int(self.value("seeds"))
        if (seeds, own) not in self._known:
            function = self.yours if own else exact_interval
            shares = next((known[1] for key, known in self._known.items() if key[1] == own), None)
            if shares is None:
                shares = np.array([self.coverage(n, function) for n in self.SEEDS])
            self._known[seeds, own] = self.intervals(seeds, function), shares
        return self._known[seeds, own]

    def show(self) -> str:
        seeds = int(self.value("seeds"))
        intervals, shares = self._all(own=False)
        lines = [
            Line(1, "what it says", [2.6, 24.0], [95.0, 95.0], "#888888", "dot", width=2),
            Line(1, "bootstrap", self.SEEDS, shares, COLOURS[DIRECT_PITC], marker="circle"),
            Line(0, "truth", [0.0, 41.0], [70.0, 70.0], TRUTH, "dash", width=2),
        ]
        if self.yours.function is not None and self.yours(np.arange(3.0), np.zeros((2, 3), dtype=int)) is not None:
            intervals, own = self._all(own=True)
            lines.append(Line(1, "yours", self.SEEDS, own, YOURS, "dash", "diamond"))
        holds = (intervals[:, 0] <= 70.0) & (intervals[:, 1] >= 70.0)
        for name, chosen, colour in (("holds it", True, COLOURS[DIRECT_PITC]), ("misses it", False, COLOURS[DIRECT])):
            x, y = [], []
            for number, (ends, held) in enumerate(zip(intervals[: self.SHOWN], holds, strict=False), 1):
                if held == chosen:
                    x += [number, number, np.nan]
                    y += [*ends, np.nan]
            lines.append(Line(0, name, x, y, colour, width=3))
        self.plot.draw(lines)
        share = shares[self.SEEDS.index(seeds)]
        words = f"{seeds} seeds: the “95 %” interval holds the truth in {share:.0f} of 100 experiments."
        return f"{words} {self.yours.words}".strip()


class WorstFramePlayer(Player):
    """Test frames in the order of their force errors, and each of them as a molecule.

    Parameters
    ----------
    potential : Potential
    test : Dataset
        Frames with forces.
    """

    def __init__(self, potential: Any, test: Dataset) -> None:
        self.test = test
        predicted = potential.predict(test)[1]
        self._forces = [np.asarray(forces) for forces in predicted]
        errors = [np.sqrt(np.mean((f - frame.forces) ** 2)) for f, frame in zip(self._forces, test, strict=True)]
        self.errors = mev(np.array(errors))
        self.order = np.argsort(-self.errors)
        rank = W.IntSlider(value=1, min=1, max=len(test), description="rank, 1 is worst")
        spread(rank, "104px", 520)
        frame = test[0]
        molecule = MoleculeView(frame.numbers, frame.positions, height="280px", bare=True, room=1.0)
        molecule.colour_by_error.value = True
        panel = Panel("force error of each test frame (RMSE), meV/Å", "rank", "xy", (0.9, 1.2 * len(test)))
        legend = "Darker atoms have larger force errors. Wide and pale: the true forces. Orange: the predicted ones."
        super().__init__({"rank": rank}, Panels([panel], height=330), molecule, legend)

    def show(self) -> str:
        rank = self.value("rank")
        which = int(self.order[rank - 1])
        frame, forces = self.test[which], self._forces[which]
        ranks = np.arange(1, len(self.order) + 1)
        middle = float(np.median(self.errors))
        lines = [
            Line(0, "a frame", ranks, self.errors[self.order], COLOURS[DIRECT], "", "circle", size=5),
            Line(0, "median", ranks[[0, -1]], [middle, middle], TRUTH, "dash", width=2),
            Line(0, "shown", [rank], [self.errors[which]], TRUTH, "", "circle-open", size=16),
        ]
        self.plot.draw(lines)
        self.molecule.show(frame.positions, forces, frame.forces)
        atoms = np.linalg.norm(forces - frame.forces, axis=1)
        worst = int(np.argmax(atoms))
        return (
            f"Test frame {which}: {self.errors[which]:.0f} meV/Å, median of all {middle:.0f} meV/Å. Largest error "
            f"{atoms[worst]:.1f} eV/Å, at atom {atom_labels(frame.numbers)[worst]}."
        )

    def __repr__(self) -> str:
        """Without numbers, which rest on a training."""
        return f"WorstFramePlayer: {len(self.test)} test frames in the order of their force errors."
