"""Random numbers of a heat bath."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

NOISE_STEPS = 64  # steps whose random numbers a replica draws at once


class Noise:
    """Normal random numbers, [N, 3] per call. The stream of a replica does not depend on the others."""

    def __init__(self, seeds: Sequence[int], sizes: Sequence[int], device: torch.device) -> None:
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self.sizes, self.device = sizes, device
        self.block = torch.zeros(0)
        self.used = 0

    def next(self) -> Tensor:
        """The numbers of the next step, [N, 3], float64, of mean 0 and variance 1."""
        if self.used == len(self.block):
            states = [generator.get_state() for generator in self.generators]
            try:
                drawn = [
                    torch.randn((NOISE_STEPS, n, 3), generator=g, dtype=torch.float64)
                    for g, n in zip(self.generators, self.sizes, strict=True)
                ]
                block = torch.cat(drawn, dim=1).to(self.device)
            except BaseException:  # Ctrl-C between two replicas must not leave one of them ahead
                for generator, state in zip(self.generators, states, strict=True):
                    generator.set_state(state)
                raise
            self.block, self.used = block, 0
        self.used += 1
        return self.block[self.used - 1]

    def mark(self) -> tuple[Tensor, int]:
        """Where the streams are, for `back_to`: the numbers [B, N, 3] drawn last, and how many of the B are used."""
        return self.block, self.used

    def back_to(self, mark: tuple[Tensor, int]) -> None:
        """Go back to a mark, at most one call of `next` ago: the same numbers come again."""
        block, used = mark
        # A block drawn since then begins with the numbers that are to come again.
        self.used = used if block is self.block else 0
