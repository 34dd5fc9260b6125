"""What decoding one input gives: frames, or the reason why not."""

from __future__ import annotations

from dataclasses import dataclass

from unmask.errors import MediaError
from unmask.results import InputInfo
from unmask.types import Frame


@dataclass(frozen=True, slots=True, eq=False)
class Media:
    """A decoded input.

    Attributes:
        info: what the file is, with its hash.
        frames: at least one, in order of time.
        frames_failed: frames that were asked for and could not be decoded.
        reasons: what to know about the frames, e.g. `("truncated",)`; of `results.REASONS`.
    """

    info: InputInfo
    frames: tuple[Frame, ...]
    frames_failed: int = 0
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """An input that gave no frames: what could be found out about it, and why it failed."""

    info: InputInfo
    error: MediaError
    frames_failed: int = 0
