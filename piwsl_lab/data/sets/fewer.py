"""What to ask for where a set has fewer labels than a run wants: numbers that were tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Labels(NamedTuple):
    """How many labels of each kind a part gets."""

    energies: int
    forces: int


Follows = Callable[[Labels], Labels]
Works = Callable[[Labels, Labels], bool]


def advice(asked: Labels, validation: Follows, fits: Works, works: Works, there: int) -> str:
    """The largest budgets that can be had, in words.

    Parameters
    ----------
    asked : Labels
        What training wants.
    validation : callable
        What validation gets beside a training set.
    fits : callable
        Whether there are enough labels for parts with these labels (training, validation): soon said.
    works : callable
        Whether parts with these labels (training, validation) can be drawn.
    there : int
        Frames of the set: nobody gets more labels of a kind.
    """
    for kinds in ((True, False), (False, True), (True, True)):  # to lower one kind is better than to lower both

        def under(ceiling: int, kinds: tuple[bool, bool] = kinds) -> Labels:
            return Labels(*(min(n, ceiling) if kind else n for n, kind in zip(asked, kinds, strict=True)))

        def parts(ceiling: int, under: Callable[[int], Labels] = under) -> tuple[Labels, Labels]:
            return under(ceiling), validation(under(ceiling))

        top = max(n for n, kind in zip(asked, kinds, strict=True) if kind)
        high = _highest(1, min(there, top - 1), parts, fits, works)
        if high:
            most = under(high)
            lowered = [name for name, old, new in zip(Labels._fields, asked, most, strict=True) if new < old]
            numbers = " and ".join(f"at most {getattr(most, name)} {name}" for name in lowered)
            return f"ask for fewer labels, {numbers} (validation then takes {max(validation(most))} frames)"
    return _smaller_validation(asked, validation, fits, works, there)


def _smaller_validation(asked: Labels, validation: Follows, fits: Works, works: Works, there: int) -> str:
    """What to say where validation takes so much that no budget is small enough."""
    for train in (asked, Labels(*(min(1, n) for n in asked))):
        taken = max(validation(train))

        def sized(size: int, train: Labels = train) -> tuple[Labels, Labels]:
            return train, Labels(*(round(size / max(train) * n) for n in train))

        size = _highest(0, min(there, taken - 1), sized, fits, works)
        if size is not None:
            return (
                f"no smaller number helps, since validation takes {taken} frames: ask for {train.energies} energies "
                f"and {train.forces} forces with Setup(validation={size}), or give more frames"
            )
    return "no smaller number helps; give more frames"


def _highest(low: int, high: int, parts: Callable[[int], tuple[Labels, Labels]], *tests: Works) -> int | None:
    """The largest number from `low` to `high` whose parts pass all tests; None where there is none."""
    for test in tests:  # counting first: it mostly leaves one draw to try
        passes, middle = low - 1, high
        while high > passes:  # nothing above high passes
            if test(*parts(middle)):
                passes = middle
            else:
                high = middle - 1
            middle = (passes + high + 1) // 2
    return high if high >= low else None
