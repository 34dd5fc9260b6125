"""Decode one input in this process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from unmask.errors import ConfigError, MediaError
from unmask.media.deadline import Deadline
from unmask.media.decoded import Failure, Media
from unmask.media.limits import Limits
from unmask.media.source import Known, Source, opened, printable
from unmask.results import InputInfo


def decode(
    path: str | Path,
    *,
    max_frames: int = 32,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    display: str | None = None,
) -> Media:
    """Decode a still, or frames spread over a clip, in this process.

    The time limit is checked between steps and frames, and the memory limit not at all: what is
    not trusted goes through `DecodePool`.

    Args:
        path: of the file; its content decides the format, not its name.
        max_frames: the most frames to take of a clip, spread evenly over its length.
        limits: what the file may cost.
        display: the path to state in the result instead of `path`.

    Returns:
        At least one upright RGB frame, and what the file is.

    Raises:
        MediaError: the file gave no frame; `status` and `reason` say why.
        ConfigError: `max_frames` is below 1.
    """
    outcome = try_decode(path, max_frames=max_frames, limits=limits, display=display)
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome


def try_decode(
    path: str | Path,
    *,
    max_frames: int = 32,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    display: str | None = None,
    announce: Callable[[InputInfo], None] | None = None,
) -> Media | Failure:
    """Like `decode`, but an input that gives no frames is a `Failure`, not an exception.

    Args:
        path, max_frames, limits, display: as for `decode`.
        announce: is called with what is known before a decoder touches the file.

    Raises:
        ConfigError: `max_frames` is below 1.
    """
    if max_frames < 1:
        raise ConfigError(f"max_frames must be at least 1; got {max_frames}.")
    known = Known(display if display is not None else printable(path), announce)
    deadline = Deadline(limits.timeout_s)
    try:
        with opened(os.fspath(path), known, limits, deadline) as source:
            return _decode(source, known, max_frames, limits, deadline)
    except MediaError as error:
        return Failure(known.info, error)
    except MemoryError as error:
        return Failure(known.info, _out_of_memory(error))
    except Exception as error:  # an input must never take the others with it
        return Failure(known.info, _internal(error))


def _decode(
    source: Source, known: Known, max_frames: int, limits: Limits, deadline: Deadline
) -> Media | Failure:
    if source.is_image:
        from unmask.media.image import decode_image

        frame, reasons = decode_image(source, known, limits, deadline)
        return Media(known.info, (frame,), reasons=reasons)

    from unmask.media.video import decode_video

    clip = decode_video(source, known, max_frames, limits, deadline)
    if not clip.frames:
        return Failure(known.info, _zero_frames(clip.reasons, clip.failed), clip.failed)
    return Media(known.info, clip.frames, clip.failed, clip.reasons)


def _zero_frames(reasons: tuple[str, ...], failed: int) -> MediaError:
    reason = reasons[0] if reasons else "zero_frames"
    what = {"truncated": "The clip ends before its first whole frame"}.get(
        reason, "The clip has no frame that can be decoded"
    )
    return MediaError(
        "unreadable",
        reason,
        f"{what} ({failed} of the frames asked for failed).",
        "Copy or download the file again.",
    )


def _out_of_memory(error: MemoryError) -> MediaError:
    detail = f" ({error})" if str(error) else ""
    return MediaError(
        "limit_exceeded",
        "out_of_memory",
        f"Decoding needed more memory than there is or than the limit allows{detail}.",
        "Raise the memory limit, or ask for fewer frames.",
    )


def _internal(error: Exception) -> MediaError:
    wrapped = MediaError(
        "error",
        "internal_error",
        f"unmask failed on this file: {type(error).__name__}: {error}.",
        "Please report it, with the file if it may be shared.",
    )
    wrapped.__cause__ = error
    return wrapped
