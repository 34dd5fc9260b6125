"""Clips: frames spread over the whole length of MP4, MOV, MKV, WebM or AVI."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from av.video.stream import VideoStream

from unmask.errors import MediaError
from unmask.media.deadline import Deadline
from unmask.media.image import check_pixels, undecodable
from unmask.media.limits import Limits
from unmask.media.sampling import spread, stretches
from unmask.media.source import Known, Source
from unmask.media.structure import ends_early
from unmask.media.video_index import (
    FrameTable,
    declared_seconds,
    has_decoder,
    opened_video,
    read_table,
)
from unmask.types import Frame

_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED, ITU-T H.273 table 4


class _JumpMissedError(Exception):
    """A jump landed behind its goal."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What was read of a video.

    Attributes:
        frames: in order of time; may be empty.
        failed: frames that were asked for and could not be had.
        reasons: `()` or `("truncated",)`.
    """

    frames: tuple[Frame, ...]
    failed: int
    reasons: tuple[str, ...]


def decode_video(
    source: Source, known: Known, max_frames: int, limits: Limits, deadline: Deadline
) -> Clip:
    """Decode up to `max_frames` frames spread evenly over the first video stream.

    The packets are read once without decoding, which gives the exact number, time and key frames
    whatever the header claims. Of a clip that ends early the existing part is sampled instead;
    the frames of the even spread over the declared length that are missing count as failed.
    Frames from a decoding error up to the next key frame carry its smear and count as failed too.

    Args:
        source: open, its format one of `VIDEO_FORMATS`.
        known: learns upright width and height and the length in seconds.
        max_frames: at least 1.
        limits: pixels and length are checked before any frame is decoded.
        deadline: checked at every packet.

    Raises:
        MediaError: no_video_stream, too_long, too_many_pixels, truncated, damaged, timeout.
        MemoryError: the frames do not fit.
    """
    short = ends_early(source.file, source.size, source.format)
    try:
        with opened_video(source.path, source.format) as (container, stream):
            if stream is None or not has_decoder(stream):
                raise _no_stream(source, short, container, stream)
            _check_header(container, stream, known, limits)
            table = read_table(container, stream, deadline)
            _check_length(table, stream, known, limits)
            short = short or table.cut
            if short:
                # Frames are stored in decoding order: of the last ones shown, as many as the
                # codec reorders, earlier neighbours may be missing and their numbers be wrong.
                table = table.without_tail(stream.codec_context.has_b_frames)
        wanted = spread(table.count, max_frames)
        asked = spread(table.declared, max_frames) if short else wanted
        missing = sum(position >= table.count for position in asked)
        frames = _read(source, table, wanted, limits, deadline)
    except MemoryError:
        raise
    except av.FFmpegError as error:
        raise undecodable(source, error.strerror or str(error)) from error
    if frames:
        known.update(width=frames[0].size[0], height=frames[0].size[1])
    failed = missing + len(wanted) - len(frames)
    return Clip(tuple(frames), failed, ("truncated",) if short else ())


def _no_stream(
    source: Source, short: bool, container: InputContainer, stream: VideoStream | None
) -> MediaError:
    if short:
        return undecodable(source, "it has no index")
    if stream is not None:
        return MediaError(
            "unreadable",
            "unsupported_format",
            f"There is no decoder for the video in this {source.format} file.",
            "Convert it to H.264.",
        )
    if not len(container.streams):
        return MediaError(
            "unreadable",
            "zero_frames",
            f"The {source.format} file is an empty container.",
            "Get another copy: nothing was ever recorded in this one.",
        )
    if not container.streams.audio:
        return undecodable(source, "none of its streams is picture or sound")
    return MediaError(
        "not_applicable",
        "no_video_stream",
        f"The {source.format} file has no video stream.",
        "Sound alone is not judged.",
    )


def _check_header(
    container: InputContainer, stream: VideoStream, known: Known, limits: Limits
) -> None:
    seconds = declared_seconds(container, stream)
    known.update(width=stream.width or None, height=stream.height or None, duration_s=seconds)
    _check_seconds(seconds or 0.0, limits)
    check_pixels(stream.width, stream.height, limits)


def _check_length(table: FrameTable, stream: VideoStream, known: Known, limits: Limits) -> None:
    """The length by the packets, where the header is silent or too modest."""
    if table.count == 0:
        return
    if table.pts is not None and stream.time_base is not None:
        seconds = float((table.pts[-1] - table.pts[0]) * stream.time_base)
    else:
        seconds = float((table.count - 1) / (stream.average_rate or 25))
    if known.info.duration_s is None:
        known.update(duration_s=seconds)
    _check_seconds(seconds, limits)


def _check_seconds(seconds: float, limits: Limits) -> None:
    if seconds > limits.max_duration_s:
        raise MediaError(
            "limit_exceeded",
            "too_long",
            f"The clip is {seconds:,.0f} s long; the limit is {limits.max_duration_s:,.0f} s.",
            "Cut out the part in question, or raise the limit.",
        )


def _read(
    source: Source, table: FrameTable, wanted: list[int], limits: Limits, deadline: Deadline
) -> list[Frame]:
    """The wanted frames that decode, jumping where it pays; without jumps if one went wrong."""
    try:
        return _go_through(source, table, stretches(wanted, table.keys), limits, deadline)
    except _JumpMissedError:
        return _go_through(source, table, stretches(wanted, []), limits, deadline)


def _go_through(
    source: Source,
    table: FrameTable,
    plan: list[tuple[int, list[int]]],
    limits: Limits,
    deadline: Deadline,
) -> list[Frame]:
    frames: list[Frame] = []
    with opened_video(source.path, source.format) as (container, stream):
        assert stream is not None
        for start, goals in plan:
            if start and table.pts is not None:
                try:
                    container.seek(int(table.pts[start]), stream=stream)
                except av.FFmpegError as error:
                    raise _JumpMissedError from error
            queue = deque(goals)
            for position, picture in _decoded(container, stream, table, deadline):
                if start and position > queue[0] and len(queue) == len(goals):
                    raise _JumpMissedError
                while queue and queue[0] < position:
                    queue.popleft()
                if queue and queue[0] == position:
                    queue.popleft()
                    if picture is not None:
                        frames.append(_to_frame(picture, position, table, stream, limits))
                if not queue:
                    break
    return frames


def _decoded(
    container: InputContainer, stream: VideoStream, table: FrameTable, deadline: Deadline
) -> Iterator[tuple[int, VideoFrame | None]]:
    """Every frame from here with its position; None for one that a decoding error has touched."""
    smeared = False
    counted = 0
    try:
        for packet in container.demux(stream):
            deadline.check()
            try:
                pictures = packet.decode()
            except MemoryError:
                raise
            except av.FFmpegError:
                smeared = True
                continue
            smeared = smeared or packet.is_corrupt
            for picture in pictures:
                smeared = picture.is_corrupt or (smeared and not picture.key_frame)
                if table.pts is None:
                    position = counted
                elif picture.pts is not None:
                    position = table.position(picture.pts)
                else:
                    continue
                counted += 1
                yield position, None if smeared else picture
    except MemoryError:
        raise
    except av.FFmpegError:
        return  # the container cannot be read further: what is missing counts as failed


def _to_frame(
    picture: VideoFrame, position: int, table: FrameTable, stream: VideoStream, limits: Limits
) -> Frame:
    check_pixels(picture.width, picture.height, limits)  # a stream may change its size
    rgb = picture.reformat(format="rgb24", src_colorspace=_matrix(picture), threads=1).to_ndarray()
    # FFmpeg states the counter-clockwise angle that turns the stored picture upright.
    turns = round(picture.rotation / 90) % 4
    if table.pts is not None and picture.pts is not None and stream.time_base is not None:
        time = float((picture.pts - int(table.pts[0])) * stream.time_base)
    else:
        time = float(position / (stream.average_rate or 25))
    upright = np.ascontiguousarray(np.rot90(rgb, turns))
    return Frame(upright.astype(np.uint8, copy=False), index=position, time=time)


def _matrix(picture: VideoFrame) -> int:
    """The colour matrix; where the stream names none, BT.709 for HD and BT.601 below it."""
    if picture.colorspace != _UNSPECIFIED:
        return int(picture.colorspace)
    hd = max(picture.width, picture.height) >= 1280 or min(picture.width, picture.height) > 576
    return int(Colorspace.ITU709 if hd else Colorspace.ITU601)
