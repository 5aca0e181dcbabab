"""The contract of a potential: what physics asks of any of them, tried on frames and measured.

| line | what is compared |
|---|---|
| rotation, reflection, translation, permutation | energies and forces before and after |
| batch | a frame alone, and the same frame among others |
| longer list | neighbours up to the cutoff, and up to 1 Å beyond it |
| finite differences | forces, and minus the slope of the energy; not asked of a direct head |
| second derivative | the derivative that training takes of a force, and the slope of that force |
| cutoff | energy and forces of two atoms just inside and just outside of it |
| lone atom | a single atom has a finite energy, and no force |
| float64 | the noise of an energy along a straight line of 1e-6 Å |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from piwsl_lab.data import Frame
from piwsl_lab.models.contract_lines import Asked, ContractLine, derivatives, edges, lists, noise, symmetries
from piwsl_lab.models.interface import AnyPotential


@dataclass(frozen=True)
class ContractReport:
    """What came of `check_potential`; printed, it is a table."""

    name: str
    lines: tuple[ContractLine, ...]

    @property
    def passed(self) -> bool:
        """Whether every line is within its limit."""
        return not self.failed

    @property
    def failed(self) -> list[str]:
        """Names of the lines beyond their limits."""
        return [line.name for line in self.lines if not line.passed]

    def __getitem__(self, name: str) -> ContractLine:
        return next(line for line in self.lines if line.name == name)

    def __str__(self) -> str:
        verdict = f"fails in {len(self.failed)} of {len(self.lines)} lines" if self.failed else "keeps the contract"
        return "\n".join([f"{self.name} {verdict}", *(f"  {line}" for line in self.lines)])


def check_potential(potential: AnyPotential, frames: Iterable[Frame], seed: int = 0) -> ContractReport:
    """Put any potential through what physics asks of it, in float64, and measure every line.

    A broken potential raises nothing here: its report names the lines. An exception inside a line is that line's note.

    Parameters
    ----------
    potential : AnyPotential
        Of any library. A `torch.nn.Module` is copied and converted to float64; nothing happens to the original. One
        whose forces are no gradient of its energy says so by an attribute `head` = "direct".
    frames : Dataset, or frames
        A handful, of the kind it is made for; labels are not read. One has two atoms or more.
    seed : int
        Of directions and rotations.

    Returns
    -------
    ContractReport
        `passed`, `failed`, and one `ContractLine` for each number.

    Raises
    ------
    ValueError
        It cannot be asked at all: no frames, no `cutoff`, an element that it does not know, or an answer that is not
        energies [S] and forces [N, 3].

    Examples
    --------
    >>> from piwsl_lab import build, check_potential, load
    >>> check_potential(build("painn", channels=8, layers=1), load("ethanol")[:2]).passed
    True
    """
    asked = Asked(potential, [Frame(f.numbers, f.positions, f.cell, f.pbc) for f in frames], seed)
    lines = [*symmetries(asked), *lists(asked), *derivatives(asked), *edges(asked), noise(asked)]
    return ContractReport(type(potential).__name__, tuple(lines))
