"""Predictions of the course: what is asked before anything is seen, and what to say to each answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """One answer to choose.

    Parameters
    ----------
    text : str
    comment : str
        Said to whoever chose it, once the measurement is there.
    low, high : float, optional
        Measurements from `low` on and below `high` are this answer.
    """

    text: str
    comment: str
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Question:
    """A prediction that is asked for.

    Parameters
    ----------
    key : str
        "06.double": lesson and what is asked.
    text : str
    options : sequence of Option
    """

    key: str
    text: str
    options: Sequence[Option]

    def named(self, text: str) -> Option:
        """The option of this text.

        Raises
        ------
        ValueError
            There is none.
        """
        for option in self.options:
            if option.text == text:
                return option
        raise ValueError(f"{self.key} has no option {text!r}: {', '.join(o.text for o in self.options)}")

    def measured(self, value: float | str) -> Option:
        """The option that a measurement is: the one whose range holds the number, or the one of this text.

        Raises
        ------
        ValueError
            The number is in no range.
        """
        if isinstance(value, str):
            return self.named(value)
        for option in self.options:
            if option.low <= float(value) < option.high:
                return option
        raise ValueError(f"{self.key}: no option stands for {float(value):.4g}")


_INF = math.inf
_ALL = (
    Question(
        "00.winner",
        "Two potentials learn from the same 50 labels. One learns only from them. The other is also punished when its "
        "energy and its forces disagree. Compare their energy errors at the end.",
        (
            Option("the plain one is better", "Here the extra advice did not distract.", 0.0, 0.95),
            Option("about equal", "With so few labels, free advice counts more than that.", 0.95, 1.3),
            Option("PIWSL is better, by less than 5 times", "Right here. Other molecules gain less.", 1.3, 5.0),
            Option(
                "PIWSL is better, by more than 5 times", "That would be a revolution. It helps, and less.", 5.0, _INF
            ),
        ),
    ),
    Question(
        "00.more",
        "Now each gets 200 labels. What happens to the factor that PIWSL gains in energy?",
        (
            Option("it grows", "The advice replaces labels. With more labels there is less to replace."),
            Option("it stays", "The advice replaces labels. With more labels there is less to replace."),
            Option("it shrinks", "Right: the advice replaces labels, and more labels leave less to replace."),
        ),
    ),
    Question(
        "01.pull",
        "Stretch a hydrogen molecule slowly. Where does the bond pull back hardest?",
        (
            Option(
                "at rest, at the lowest point", "At the lowest point the curve is flat: no slope, no force.", 0.7, 0.8
            ),
            Option(
                "on the slope, between rest and far out", "Right: the force is the slope, not the height.", 0.8, 1.6
            ),
            Option("far out, where it breaks", "Far out the energy is high but flat, so nothing pulls.", 1.6, _INF),
        ),
    ),
    Question(
        "01.halve",
        "Measure a slope from two points, one on each side at distance h. Halve h. By what factor does the error fall?",
        (
            Option("2", "That would be a rule with one side. Points on both sides cancel the first error.", 1.5, 3.0),
            Option("4", "Right: the error of a two-sided rule falls with the square of the step.", 3.0, 6.0),
            Option("8", "The first term that is left goes with the square of the step, not the cube.", 6.0, 12.0),
        ),
    ),
    Question(
        "04.forces_only",
        "Train a potential on forces only, never on an energy. What will its energies be like on new frames?",
        (
            Option("wrong, without any pattern", "A force is a slope of the energy: its shape is learned."),
            Option("right up to one constant", "Right: slopes give the shape. Nothing tells the height."),
            Option("right", "Slopes give the shape. But nothing tells the height: one constant is missing."),
        ),
    ),
    Question(
        "04.energies_only",
        "Train another one on energies only. How large is its force error? Compare it with guessing zero.",
        (
            Option("small: below a third of guessing zero", "One energy says little of 27 force numbers.", 0.0, 0.33),
            Option(
                "large, but below that of guessing zero",
                "Right: one energy against 27 force numbers. Slopes of a learned energy are rough.",
                0.33,
                0.97,
            ),
            Option("as bad as guessing zero", "Its slopes are rough. Still they tell something.", 0.97, _INF),
        ),
    ),
    Question(
        "05.fourfold",
        "With 50 labels the energy error is about 75 meV. What is it with 200 labels?",
        (
            Option("about 19 meV: four times less", "Errors fall more slowly than labels grow.", 0.0, 26.0),
            Option(
                "about 38 meV: two times less",
                "Right: the error falls about as the square root of the labels.",
                26.0,
                47.0,
            ),
            Option(
                "about 56 meV: a quarter less", "It falls faster: about as the square root of the labels.", 47.0, _INF
            ),
        ),
    ),
    Question(
        "05.coverage",
        "A “95 % interval” is made from five seeds by bootstrap. How often does it hold the truth?",
        (
            Option("about 95 times of 100", "So it says. With five seeds it is too narrow.", 90.0, 100.1),
            Option("about 85 times of 100", "Right: with five seeds the interval is too narrow.", 78.0, 90.0),
            Option("about 70 times of 100", "It is too narrow, but not so much.", 60.0, 78.0),
            Option("about 50 times of 100", "It is too narrow, but not so much.", 0.0, 60.0),
        ),
    ),
    Question(
        "06.double",
        "Push all atoms by a step, and compare the change of energy with the work of the first force. "
        "Double the step. What is left over grows …",
        (
            Option("2 times", "The part that grows 2 times is the work itself, and it was taken away.", 1.4, 3.0),
            Option("4 times", "Right: what is left is the curvature, and it goes with the square.", 3.0, 6.0),
            Option("8 times", "That is what the mean of both forces leaves. One force leaves more.", 6.0, 12.0),
        ),
    ),
    Question(
        "06.sign",
        "Take 100 random steps from a frame at 500 K. How often is what is left over positive?",
        (
            Option("about 50 times", "It is no noise: it is curvature, and most directions curve upwards.", 0.0, 65.0),
            Option("about 80 times", "A random step has a part along every direction. The stiff ones win.", 65.0, 95.0),
            Option(
                "all times, or nearly all", "Right: a random step has a part along every stiff direction.", 95.0, 100.5
            ),
        ),
    ),
    Question(
        "06.hunt",
        "Is there any step at all that leaves something negative?",
        (
            Option("no, never", "There is: this frame is no minimum, and one direction curves downwards."),
            Option("yes, in some directions", "Right: this frame is no minimum, and one direction curves downwards."),
        ),
    ),
    Question(
        "07.softer",
        "First-order advice makes a spring softer. Double the step ε. The softening k/k′ − 1 grows …",
        (
            Option("2 times", "The loss holds a square of a remainder that itself goes as ε².", 1.4, 3.0),
            Option("4 times", "What is left over grows 4 times. The loss has its square.", 3.0, 8.0),
            Option("16 times", "Right: the remainder goes as ε², and the loss has its square.", 8.0, 32.0),
        ),
    ),
    Question(
        "07.weight",
        "The spring became too soft. What brings it back best?",
        (
            Option("a larger weight for the advice", "More of a wrong advice is more wrong."),
            Option(
                "the mean of both forces in place of the first", "Right: the advice itself was wrong, not its weight."
            ),
            Option("more training steps", "The spring already sits at the minimum of its loss."),
        ),
    ),
)
QUESTIONS = {question.key: question for question in _ALL}
