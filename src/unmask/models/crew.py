"""Several pictures at a time on a processor, one core each.

The face detector's networks are small, and a picture has dozens of their maps: threads that share
one map wait for each other more than they compute. Threads that have a picture each do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


class Crew:
    """Threads that are started when there is something to share, and kept.

    Args:
        device: as torch names it. Only a processor's cores are shared out.
        spare: threads beyond one per core, for work that often waits for the interpreter or for
            its last item, when a core would be idle.

    Attributes:
        size: threads that torch may use in all.
    """

    def __init__(self, device: str, *, spare: int = 0) -> None:
        self.spare = spare
        self.size = torch.get_num_threads() if torch.device(device).type == "cpu" else 1
        self._pool: ThreadPoolExecutor | None = None

    def map(self, do: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """What `do` makes of each item, in their order; the first error is raised."""
        return [done.result() for done in self.start(do, items)]

    def start(
        self, do: Callable[[T], R], items: Sequence[T], *, more: bool = False
    ) -> list[Future[R]]:
        """Begin `map`. A single item, or a crew of one, is done here and at once.

        Args:
            do, items: as of `map`.
            more: there are others beside these, so that even a single one gets one core.
        """
        if self.size == 1 or (len(items) < 2 and not more):
            return [_done(do, item) for item in items]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.size + self.spare, "crew")
        return [self._pool.submit(_alone, do, item) for item in items]


def _done(do: Callable[[T], R], item: T) -> Future[R]:
    future: Future[R] = Future()
    try:
        future.set_result(do(item))
    except Exception as error:
        future.set_exception(error)
    return future


def _alone(do: Callable[[T], R], item: T) -> R:
    """With one of torch's threads: their number is each calling thread's own."""
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return do(item)
