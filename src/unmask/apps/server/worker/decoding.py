"""Decode the media of claims in processes that a file may hang or crash."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from types import TracebackType

from unmask.apps.server.contract import Claim
from unmask.errors import MediaError
from unmask.media.decoded import Failure, Media
from unmask.media.limits import Limits
from unmask.media.process import Worker
from unmask.media.source import printable
from unmask.media.wire import WireError

_DEATHS = (EOFError, OSError, WireError, ValueError)
TASK = "unmask.media.reader:try_decode"


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A claim with what its file gave; the item names the file as its client did."""

    claim: Claim
    item: Media | Failure

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.item.frames) if isinstance(self.item, Media) else 0

    @property
    def bytes(self) -> int:
        """Memory of the pixels."""
        if isinstance(self.item, Failure):
            return 0
        return sum(frame.image.nbytes for frame in self.item.frames)


@dataclass(slots=True)
class _Slot:
    """One decoding process, and what it has or waits to be told once it has started."""

    process: Worker
    max_frames: int
    claim: Claim | None = None


class Decoders:
    """Decoding processes that take claims one by one and give them back as they are done.

    Unlike `unmask.media.DecodePool`, which answers in order, a file that hangs delays no other,
    a claim can be dropped while it is decoded, and each may ask for its own number of frames.
    For one thread; a context manager.

    Args:
        jobs: number of processes.
        max_frames: the most frames to take of a clip where its claim asks for no other number.
        limits: what one file may cost.
        task: "module:function" that decodes one path.

    Raises:
        UnmaskError: from `collect`: no decoding process can be started.
    """

    def __init__(
        self,
        jobs: int,
        *,
        max_frames: int,
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        task: str = TASK,
    ) -> None:
        self._jobs, self._max_frames, self._limits, self._task = jobs, max_frames, limits, task
        self._slots: list[_Slot] = []

    def __enter__(self) -> Decoders:
        while len(self._slots) < self._jobs:
            self._start(self._max_frames)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._slots:
            self._slots.pop().process.kill()

    @property
    def idle(self) -> int:
        """How many more claims can be taken at once."""
        return self._jobs - self.busy

    @property
    def busy(self) -> int:
        """How many claims are being decoded."""
        return sum(slot.claim is not None for slot in self._slots)

    def submit(self, claim: Claim) -> None:
        """Start to decode a claim; there must be an idle process."""
        frames = claim.max_frames or self._max_frames
        free = [slot for slot in self._slots if slot.claim is None]
        fitting = [slot for slot in free if slot.max_frames == frames]
        if fitting:
            slot = fitting[0]
        else:
            self._remove(free[0])
            slot = self._start(frames)
        slot.claim = claim
        _tell(slot)

    def drop(self, held: Callable[[Claim], bool]) -> None:
        """End the processes whose claim is no longer held; others take their place."""
        for slot in [s for s in self._slots if s.claim is not None and not held(s.claim)]:
            self._remove(slot)
            self._start(slot.max_frames)

    def collect(self, patience: float) -> list[Decoded]:
        """What is decoded by now.

        Args:
            patience: seconds to wait for something to happen.

        Raises:
            UnmaskError: a process cannot be started.
        """
        patience = min([patience, *(slot.process.seconds_left for slot in self._slots)])
        wait([slot.process.connection for slot in self._slots], patience)
        return [done for slot in list(self._slots) if (done := self._hear(slot)) is not None]

    def _hear(self, slot: _Slot) -> Decoded | None:
        claim, fresh = slot.claim, False
        try:
            outcome = slot.process.collect()
        except _DEATHS:
            outcome, fresh = slot.process.obituary("died"), True
        else:
            if outcome is None and slot.process.seconds_left == 0.0:
                outcome, fresh = slot.process.obituary("overdue"), True
            elif isinstance(outcome, Failure) and outcome.error.reason == "out_of_memory":
                fresh = True  # its heap may be left in pieces
        if fresh:
            self._remove(slot)
            self._start(slot.max_frames)
        if outcome is None:
            _tell(slot)
            return None
        slot.claim = None
        return None if claim is None else Decoded(claim, _renamed(outcome, claim))

    def _start(self, max_frames: int) -> _Slot:
        slot = _Slot(Worker(self._task, max_frames, self._limits), max_frames)
        self._slots.append(slot)
        return slot

    def _remove(self, slot: _Slot) -> None:
        self._slots.remove(slot)
        slot.process.kill()


def _tell(slot: _Slot) -> None:
    """Hand over the claim's path, once the process has started."""
    if slot.claim is not None and slot.process.idle:
        slot.process.submit(0, os.fspath(slot.claim.path))


def _renamed(outcome: Media | Failure, claim: Claim) -> Media | Failure:
    """The outcome under the client's name for the file: no path of the service gets out."""
    info = outcome.info.model_copy(update={"path": claim.name})
    if isinstance(outcome, Media):
        return replace(outcome, info=info)
    error, path = outcome.error, printable(claim.path)
    told = [text and text.replace(path, claim.name) for text in (error.message, error.hint)]
    named = MediaError(error.status, error.reason, told[0] or "", told[1])
    return replace(outcome, info=info, error=named)
