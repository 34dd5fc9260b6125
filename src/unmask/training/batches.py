"""Batches of an epoch: an order that depends on seed and epoch alone, shared among processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from unmask.data.dataset import TrainingPairs
from unmask.errors import ConfigError
from unmask.training.config import TrainConfig
from unmask.training.module import epoch_seed
from unmask.training.share import Share


class Order(Sampler[int]):
    """A shuffle that is the same however often it is begun; Lightning begins it twice to resume.

    The shuffle and its division into batches do not depend on how many processes or parts there
    are: each process takes an equal run of every part of every batch. What does not fill a batch is
    left out.

    Args:
        size: number of pairs.
        seed: of the shuffle.
        batch: pairs per step, all processes and parts together; a multiple of both.
        parts: of a batch, one after the other.
        place: whose indices.

    >>> whole = list(Order(7, 0, batch=4))
    >>> left, right = (list(Order(7, 0, batch=4, place=Share(rank, 2))) for rank in range(2))
    >>> whole == left + right
    True
    """

    def __init__(
        self, size: int, seed: int, *, batch: int, parts: int = 1, place: Share | None = None
    ) -> None:
        self.size, self.seed, self.batch, self.parts = size, seed, batch, parts
        self.place = place or Share()

    def __len__(self) -> int:
        return self.size // self.batch * self.batch // self.place.world

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(self.size, generator=generator)
        order = order[: self.size // self.batch * self.batch]
        shares = order.view(-1, self.parts, self.place.world, self._each)
        return iter(shares[:, :, self.place.rank].flatten().tolist())

    @property
    def _each(self) -> int:
        return self.batch // (self.parts * self.place.world)


def loaders(
    pairs: Dataset[Any], config: TrainConfig, workers: int, place: Share
) -> Callable[[int], Any]:
    """epoch -> its batches, in an order and with draws that depend on (seed, epoch) alone.

    Raises:
        ConfigError: not enough pairs for one batch.
    """
    size, batch = len(pairs), config.optim.batch_size // 2  # type: ignore[arg-type]  # sized
    if size < batch:
        raise ConfigError(
            f"optim.batch_size: half a batch of {2 * batch} is {batch} training reals, but an "
            f"epoch has {size}.",
            "Use a smaller optim.batch_size, a larger data.repeats, or more training reals.",
        )

    def batches(epoch: int) -> DataLoader[Any]:
        if isinstance(pairs, TrainingPairs):
            pairs.set_epoch(epoch)
        parts = config.optim.accumulate
        order = Order(
            size, epoch_seed(config.seed, epoch), batch=batch, parts=parts, place=place
        )  # fmt: skip
        return DataLoader(
            pairs,
            batch_size=batch // (parts * place.world),
            sampler=order,
            drop_last=True,
            num_workers=workers,
            generator=torch.Generator(),  # its own, so that beginning twice leaves dropout's alone
        )

    return batches
