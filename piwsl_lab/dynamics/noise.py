"""Random numbers of a heat bath."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

NOISE_STEPS = 64  # steps whose random numbers a replica draws at once


class Noise:
    """Normal random numbers, [N, 3] a call, each replica with a stream of its own whatever its company."""

    def __init__(self, seeds: Sequence[int], sizes: Sequence[int], device: torch.device) -> None:
        self.generators = [torch.Generator().manual_seed(int(seed)) for seed in seeds]
        self.sizes, self.device = sizes, device
        self.block = torch.zeros(0)
        self.used = 0

    def next(self) -> Tensor:
        if self.used == len(self.block):
            drawn = [
                torch.randn((NOISE_STEPS, n, 3), generator=g, dtype=torch.float64)
                for g, n in zip(self.generators, self.sizes, strict=True)
            ]
            self.block, self.used = torch.cat(drawn, dim=1).to(self.device), 0
        self.used += 1
        return self.block[self.used - 1]
