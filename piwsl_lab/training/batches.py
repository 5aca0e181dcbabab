"""The order in which frames are trained on."""

from __future__ import annotations

import torch
from torch import Tensor


class Batches:
    """An endless stream of batches: every frame once before any frame twice, in an order only the seed decides."""

    def __init__(self, n_frames: int, batch_size: int, seed: int) -> None:
        self.n_frames, self.batch_size = n_frames, min(batch_size, n_frames)
        self.generator = torch.Generator().manual_seed(seed)
        self.queue = torch.zeros(0, dtype=torch.long)

    def next(self) -> Tensor:
        """Indices of the next batch, [B], int64."""
        while len(self.queue) < self.batch_size:
            self.queue = torch.cat([self.queue, torch.randperm(self.n_frames, generator=self.generator)])
        batch, self.queue = self.queue[: self.batch_size], self.queue[self.batch_size :]
        return batch

    def state(self) -> tuple[Tensor, Tensor]:
        """State of the generator, uint8 [B], and indices of the frames still to come, int64 [Q], for `restore`."""
        return self.generator.get_state(), self.queue

    def restore(self, generator: Tensor, queue: Tensor) -> None:
        """Go on from what `state` gave: a state of the generator, uint8 [B], and indices, int64 [Q].

        Raises
        ------
        ValueError
            The queue holds no numbers of frames.
        """
        if queue.dtype != torch.long or queue.ndim != 1 or bool(((queue < 0) | (queue >= self.n_frames)).any()):
            raise ValueError("the frames still to come are not those of this set")
        self.generator.set_state(generator)
        self.queue = queue
