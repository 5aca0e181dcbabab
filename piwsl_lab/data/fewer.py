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


def advice(asked: Labels, validation: Follows, works: Works, there: int) -> str:
    """The largest budgets that can be had, in words.

    Parameters
    ----------
    asked : Labels
        What training wants.
    validation : callable
        What validation gets beside a training set.
    works : callable
        Whether parts with these labels (training, validation) can be drawn.
    there : int
        Frames of the set: nobody gets more labels of a kind.
    """
    for kinds in ((True, False), (False, True), (True, True)):  # to lower one kind is better than to lower both
        most = _largest(asked, kinds, validation, works, there)
        if most is not None:
            lowered = [name for name, old, new in zip(Labels._fields, asked, most, strict=True) if new < old]
            numbers = [f"at most {getattr(most, name)} {name}" for name in lowered]
            return (
                f"ask for fewer labels, {' and '.join(numbers)} (validation then takes {max(validation(most))} frames)"
            )
    one = Labels(*(min(1, n) for n in asked))
    for size in range(max(validation(one)) - 1, -1, -1):
        if works(one, Labels(*(size * n for n in one))):
            return (
                f"no smaller number helps, since validation takes {max(validation(one))} frames: ask for "
                f"{one.energies} energies and {one.forces} forces with Setup(validation={size}), or give more frames"
            )
    return "no smaller number helps; give more frames"


def _largest(asked: Labels, kinds: tuple[bool, bool], validation: Follows, works: Works, there: int) -> Labels | None:
    """The largest budget that works when some kinds get a ceiling; None where not even a ceiling of 1 does."""

    def under(ceiling: int) -> Labels:
        return Labels(*(min(n, ceiling) if kind else n for n, kind in zip(asked, kinds, strict=True)))

    if all(n == 0 for n, kind in zip(asked, kinds, strict=True) if kind):
        return None
    low, high = 0, 1 + min(there, max(asked))  # low works or is 0, high does not
    while high - low > 1:
        middle = (low + high) // 2
        if under(middle) != asked and works(under(middle), validation(under(middle))):
            low = middle
        else:
            high = middle
    return under(low) if low else None
