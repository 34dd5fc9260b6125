"""A clip's table of frames, read from its packets without decoding any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from numpy.typing import NDArray

from unmask.media.deadline import Deadline

_DEMUXERS = {"mp4": "mov", "mov": "mov", "mkv": "matroska", "webm": "matroska", "avi": "avi"}


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Where the frames of a clip are in time.

    Attributes:
        count: frames whose packets are whole.
        pts: (count,) int64 presentation times in `time_base` units, ascending; None where the
            file does not tell them (AVI with reordered frames), so that frames are counted.
        keys: ascending positions of the key frames; empty when `pts` is None.
        declared: frames the file claims to have; at least `count`.
        cut: the last packet is incomplete, or reading stopped with an error.
    """

    count: int
    pts: NDArray[np.int64] | None
    keys: list[int]
    declared: int
    cut: bool

    def without_tail(self, frames: int) -> FrameTable:
        """The table without its last `frames` frames; they are still declared."""
        count = max(0, self.count - frames)
        pts = None if self.pts is None else self.pts[:count]
        return replace(self, count=count, pts=pts, keys=[k for k in self.keys if k < count])

    def position(self, pts: int) -> int:
        """The position of the frame shown at `pts`, or of the next one."""
        assert self.pts is not None
        return int(np.searchsorted(self.pts, pts))


@contextmanager
def opened_video(path: str, kind: str) -> Iterator[tuple[InputContainer, VideoStream | None]]:
    """Open a clip with the one demuxer that fits its format; no network, no playlists.

    Args:
        path: of the file.
        kind: as `sniff` names it.

    Yields:
        The container, and its first video stream that is not a cover picture (None without one).

    Raises:
        av.FFmpegError: the container cannot be read.
    """
    with av.open(
        f"file:{path}",
        format=_DEMUXERS[kind],
        options={"protocol_whitelist": "file"},
        metadata_errors="replace",  # titles in Latin-1 are common, and of no interest here
    ) as container:
        chosen = None
        for stream in container.streams.video:
            if chosen is None and not stream.disposition & Disposition.attached_pic:
                chosen = stream
                # One thread: a damaged stream then gives the same frames on every machine, and
                # the workers are the parallelism.
                if has_decoder(stream):
                    stream.codec_context.thread_count = 1
        yield container, chosen


def has_decoder(stream: VideoStream) -> bool:
    """Whether the codec of `stream` is known; a cut or exotic header may name none."""
    context: object = stream.codec_context
    return context is not None


def declared_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The clip's length as its header states it, or None."""
    if stream.duration is not None and stream.time_base is not None:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / av.time_base
    else:
        return None
    return seconds if seconds > 0 else None


def read_table(container: InputContainer, stream: VideoStream, deadline: Deadline) -> FrameTable:
    """Go through all packets of `stream` once.

    Raises:
        MediaError: timeout.
    """
    times: list[int] = []
    keys: list[int] = []
    count, timed, cut = 0, not _counts_frames(container, stream), False
    with suppress(av.FFmpegError):
        cut = True  # until the end is reached without an error
        last_is_whole = True
        for packet in container.demux(stream):
            deadline.check()
            if packet.size == 0 or packet.is_discard:
                continue
            last_is_whole = not packet.is_corrupt
            if packet.is_corrupt:
                continue
            count += 1
            if packet.pts is None:
                timed = False
            elif timed:
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        cut = not last_is_whole
    pts = np.unique(np.array(times, dtype=np.int64)) if timed else None
    if pts is not None:
        count = len(pts)
    return FrameTable(
        count=count,
        pts=pts,
        keys=[] if pts is None else np.searchsorted(pts, np.unique(keys)).tolist(),
        declared=max(count, _declared_frames(container, stream)),
        cut=cut,
    )


def _counts_frames(container: InputContainer, stream: VideoStream) -> bool:
    """AVI stores decoding order only: with reordered frames its times mean nothing."""
    return container.format.name == "avi" and bool(stream.codec_context.has_b_frames)


def _declared_frames(container: InputContainer, stream: VideoStream) -> int:
    if stream.frames > 0:
        return stream.frames
    seconds = declared_seconds(container, stream)
    return round(seconds * stream.average_rate) if seconds and stream.average_rate else 0
