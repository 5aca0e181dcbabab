"""Training, validation and test frames for a budget of labels, drawn where the labels are."""

from __future__ import annotations

import copy
import warnings
from typing import NamedTuple

import numpy as np
from ase.data import chemical_symbols

from piwsl_lab.data.frames.duplicates import members, renumbered, shuffled
from piwsl_lab.data.frames.frame import DataError, DataWarning
from piwsl_lab.data.sets.dataset import Dataset
from piwsl_lab.data.sets.fewer import Follows, Labels, advice

Chosen = tuple[list[int], list[int], list[int]]  # frames to train on, to validate on and the rest


class Draw(NamedTuple):
    """Disjoint parts: labels beyond the budget are hidden in `train` and `validation`, `rest` is what is left."""

    train: Dataset
    validation: Dataset
    test: Dataset
    rest: Dataset


def draw(
    pool: Dataset, train: Labels, validation: Labels | Follows, n_test: int, test: Dataset | None = None, seed: int = 0
) -> Draw:
    """Draw the parts of a run; copies of one geometry never end up in two of them.

    The test frames come first and are those that training and validation can spare. They do not
    depend on the seed, nor on the budget while the set is large enough for both. Then come training
    and validation along one permutation; with one seed, a larger training set contains the smaller.
    A frame with both kinds of labels gives both. Frames without a label that is asked for go to the
    rest, if training knows their elements. Training sees every element of a labelled frame while it
    has places. A frame with a rare one is drawn first, with a `DataWarning`. Another warning names
    elements whose frames are used nowhere.

    Parameters
    ----------
    pool : Dataset
    train : Labels
        What training gets.
    validation : Labels or callable
        What validation gets; a function finds it from the labels of training.
    n_test : int
        Frames to test on at most, where they come from the pool.
    test : Dataset, optional
        Frames to test on that are no part of the pool.
    seed : int

    Raises
    ------
    DataError
        Too few labels; the message says how many there are, who wants them and what can be had.
    """
    follows = validation if callable(validation) else lambda _: validation
    stock = _Stock(pool, train, follows(train), seed)
    pool = stock.pool
    refusal = stock.shortage(testing=test is None)
    found = None if refusal else stock.divide(n_test, test)
    if found is None:
        refusal = refusal or stock.too_few_geometries(test is None)
        raise DataError(refusal + stock.advice(train, follows, n_test, test))
    tested, (trained, validated, rest) = found
    known = frozenset().union(*(stock.elements[i] for i in trained))
    shown = test if test is not None else pool[tested]
    stock.tell_rare(trained, shown)
    stock.tell_unused(known.union(shown.elements))
    return Draw(
        pool[trained].budget(*train, seed=seed),
        pool[validated].budget(*stock.parts[1], seed=seed).labelled() if validated else pool[[]],
        shown,
        pool[[i for i in rest if stock.elements[i] <= known]],
    )


class _Stock:
    """Who has which label, and what is still to be had."""

    def __init__(self, pool: Dataset, train: Labels, validation: Labels, seed: int) -> None:
        self.seed = seed
        self.pool, self.groups = pool.without_bridges()
        pool = self.pool
        has = [(frame.energy is not None, frame.forces is not None) for frame in pool]
        self.there = np.array(has, dtype=bool).reshape(-1, 2)
        self.elements = [frozenset(np.unique(frame.numbers).tolist()) for frame in pool]
        self._want((train, validation))

    def _want(self, parts: tuple[Labels, Labels]) -> None:
        self.parts = parts
        # A label that nobody asks for is no reason to draw a frame.
        self.has = self.there & (np.array(parts[0]) > 0)
        self.labelled = frozenset().union(*(self.elements[i] for i in np.flatnonzero(self.has.any(axis=1))))
        self.rare: set[int] = set()  # elements that training sees only because their frames were kept for it

    def can(self, parts: tuple[Labels, Labels], n_test: int, test: Dataset | None, whole: bool) -> bool:
        """Whether there are labels for other parts, and where the `whole` is asked, whether a draw finds them."""
        other = copy.copy(self)
        other._want(parts)
        enough = not other.shortage(test is None)
        if not (enough and whole):
            return enough
        found = other.divide(n_test, test)
        if found is None:
            return False
        # Training knows all the elements that it is tested on.
        tested, (trained, validated, _) = found
        known = frozenset().union(*(self.elements[i] for i in trained))
        shown = test.elements if test is not None else self.pool[tested].elements
        return known.issuperset(shown) and all(self.elements[i] <= known for i in validated)

    def advice(self, train: Labels, follows: Follows, n_test: int, test: Dataset | None) -> str:
        """Budgets that can be had, in words."""

        def fits(train: Labels, validation: Labels) -> bool:
            return self.can((train, validation), n_test, test, whole=False)

        def works(train: Labels, validation: Labels) -> bool:
            return self.can((train, validation), n_test, test, whole=True)

        return advice(train, follows, fits, works, len(self.pool))

    def divide(self, n_test: int, test: Dataset | None) -> tuple[list[int], Chosen] | None:
        """Frames to test on, and those of the other parts; None where the labels do not suffice."""
        spare = 0
        while True:
            nothing: list[int] = []
            tested, order = (nothing, np.arange(len(self.pool))) if test is not None else self.test(n_test, spare)
            chosen = self.train_and_validation(order, test.elements if test is not None else self.pool[tested].elements)
            if chosen is not None and (tested or test is not None):
                return tested, chosen
            if not tested:
                return None
            # Copies that the end of a part cuts off are lost to all: leave more for training.
            spare = max(1, 2 * spare)

    def shortage(self, testing: bool) -> str:
        """The first kind of label there is too little of, in words; "" where there is enough of both."""
        train, validation = self.parts
        for k, kind in enumerate(Labels._fields):
            there, want, more = int(self.there[:, k].sum()), train[k], validation[k]
            name = self.pool.metadata.name
            if want and not there:
                raise DataError(f"{name} has no {kind}: ask for 0 {kind}, or give a file that has them")
            if want + more + testing > there and want:
                left = "leave none to test on" if testing else "are more"
                return f"{name} has {there} frames with {kind}: {want} to train on and {more} to validate {left}; "
        return ""

    def too_few_geometries(self, testing: bool) -> str:
        """What to say when copies or single labels make the set smaller than its number of frames."""
        train, validation = self.parts
        geometries = len(np.unique(self.groups[self.has.any(axis=1)]))
        return (
            f"{self.pool.metadata.name}: {sum(map(max, self.parts))} labelled frames asked for "
            f"({max(train)} to train on, {max(validation)} to validate{', at least 1 to test' if testing else ''}), "
            f"but its {len(self.pool)} frames show {geometries} different geometries with these labels, "
            "and copies stay in one part; "
        )

    # -- test ----------------------------------------------------------------------------------------------------------

    def test(self, most: int, spare: int) -> tuple[list[int], np.ndarray]:
        """Frames to test on, and the others in the order in which they were passed."""
        order = shuffled(self.groups, 0)
        left = np.array([(self.has.all(axis=1)).sum(), *(self.has & ~self.has[:, ::-1]).sum(axis=0)])
        holders = np.zeros(119, dtype=np.int64)
        for i in np.flatnonzero(self.has.any(axis=1)).tolist():
            holders[list(self.elements[i])] += 1
        groups = members(self.groups)
        taken: dict[int, bool] = {}
        self.rare = set()
        tested: list[int] = []
        for i in self._one_of_each_first(order):
            if len(tested) == most:
                break
            if not self.has[i].any():
                continue
            group = int(self.groups[i])
            if group not in taken:
                cost, lost = self._cost(groups[group])
                last = np.flatnonzero((holders <= lost) & (lost > 0)).tolist()
                taken[group] = self._enough(left - cost, spare) and not last
                self.rare.update(last)
                if taken[group]:
                    left, holders = left - cost, holders - lost
            if taken[group]:
                tested.append(i)
        gone = [group for group, away in taken.items() if away]
        return tested, order[~np.isin(self.groups[order], gone)]

    def _one_of_each_first(self, order: np.ndarray) -> list[int]:
        """An order in which every kind of label is met at once: the test is to hold all of them."""
        first = [int(order[self.has[order, k].argmax()]) for k in range(2) if self.has[:, k].any()]
        return list(dict.fromkeys([*first, *order.tolist()]))

    def _cost(self, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames with both labels, energies alone, forces alone, and frames by element, that go with a group."""
        cost, lost = np.zeros(3, dtype=np.int64), np.zeros(119, dtype=np.int64)
        for i in group:
            if self.has[i].any():
                cost[0 if self.has[i].all() else 1 if self.has[i, 0] else 2] += 1
                lost[list(self.elements[i])] += 1
        return cost, lost

    def _enough(self, left: np.ndarray, spare: int) -> bool:
        """Whether training and validation find their labels among (both, energies alone, forces alone)."""
        for labels in self.parts:
            use = _shares(left, labels)
            if (use > left).any():
                return False
            left = left - use
        return int(left.sum()) >= spare

    # -- train and validation ------------------------------------------------------------------------------------------

    def train_and_validation(self, order: np.ndarray, tested: tuple[int, ...]) -> Chosen | None:
        """Frames to train on, to validate on and the rest; None where the labels do not suffice."""
        queue = order[shuffled(renumbered(self.groups[order]), self.seed)]
        first: list[int] = []
        sound: Chosen | None = None  # training knows all that it is validated and tested on
        while True:
            queue = np.array([*first, *(i for i in queue.tolist() if i not in first)], dtype=np.int64)
            train, rest = self._take(queue, self.parts[0], len(first))
            validation, rest = self._take(rest, self.parts[1])
            if train is None or validation is None:
                return sound
            seen = frozenset().union(*(self.elements[i] for i in train))
            asked = frozenset(tested).union(*(self.elements[i] for i in validation)) - seen
            if not asked:
                sound = train, validation, rest.tolist()
            unseen = asked or self.labelled - seen
            holder = next((i for i in queue.tolist() if self.has[i].any() and self.elements[i] & unseen), None)
            if holder is None or len(first) == len(train):
                return sound or (train, validation, rest.tolist())
            first.append(holder)
            self.rare |= self.elements[holder] & unseen

    def _take(self, queue: np.ndarray, labels: Labels, forced: int = 0) -> tuple[list[int] | None, np.ndarray]:
        """The first frames of a queue that have the labels, and the queue without them and their copies."""
        if not max(labels):
            return [], queue
        has = self.has[queue]
        kinds = [has.all(axis=1), has[:, 0] & ~has[:, 1], has[:, 1] & ~has[:, 0]]
        left = np.array([kind.sum() for kind in kinds])
        use = _shares(left, labels)
        if (use > left).any():
            return None, queue
        use = np.maximum(use, [kind[:forced].sum() for kind in kinds])
        chosen = np.zeros(len(queue), dtype=bool)
        for kind, size in zip(kinds, use, strict=True):
            chosen[np.flatnonzero(kind)[:size]] = True
        return queue[chosen].tolist(), queue[~np.isin(self.groups[queue], self.groups[queue[chosen]])]

    def tell_rare(self, train: list[int], test: Dataset) -> None:
        """Warn of elements that training sees only because a frame was put first for them."""
        everywhere = frozenset.intersection(*self.elements)  # an element of all frames is put first for no reason
        for z in sorted(self.rare - everywhere):
            drawn = sum(z in self.elements[i] for i in train)
            tested = sum(z in frame.numbers for frame in test)
            if drawn:
                self._warn(
                    [z],
                    f"Training gets {drawn} of them first, since a potential knows only elements it was trained on; "
                    f"{tested} of {len(test)} test frames hold it.",
                )

    def tell_unused(self, used: frozenset[int]) -> None:
        """Warn of elements whose frames no part can take: nothing is learnt of them."""
        unused = sorted(frozenset().union(*self.elements) - used)
        if unused:
            why = "training is full" if self.labelled.issuperset(unused) else "they lack the labels that are asked for"
            self._warn(unused, f"Such frames are used nowhere, since {why}.")

    def _warn(self, elements: list[int], then: str) -> None:
        there = sum(not numbers.isdisjoint(elements) for numbers in self.elements)
        symbols = ", ".join(chemical_symbols[z] for z in elements)
        verb = "is" if len(elements) == 1 else "are"
        text = f"{self.pool.metadata.name}: {symbols} {verb} in {there} of {len(self.pool)} frames. {then}"
        warnings.warn(text, DataWarning, stacklevel=4)


def _shares(left: np.ndarray, labels: Labels) -> np.ndarray:
    """Frames with both labels, with an energy alone and with forces alone that give the labels with the least waste."""
    both, energy, force = left
    shared = min(both, max(min(labels), labels.energies - energy, labels.forces - force))
    return np.array([shared, max(0, labels.energies - shared), max(0, labels.forces - shared)])
