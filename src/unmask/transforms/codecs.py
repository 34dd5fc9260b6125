"""Through an encoder and back: JPEG twice, WebP, H.264 and H.265.

`perturb.jpeg` is the first of them. PyAV is imported only when a video codec is used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from unmask.errors import ConfigError, ShapeError
from unmask.transforms.perturb import jpeg
from unmask.types import UInt8Image, check_rgb

if TYPE_CHECKING:
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame

VideoCodec = Literal["h264", "h265"]

_WEBP_SIDE = 16_383
"""The format's limit."""
_ENCODERS = {"h264": "libx264", "h265": "libx265"}
_DECODERS = {"h264": "h264", "h265": "hevc"}
_PRIVATE = {
    "h264": {"x264-params": "cpu-independent=1"},
    "h265": {"x265-params": "log-level=none:pools=none:frame-threads=1"},
}
"""What keeps the stream from depending on the machine, and libx265 off the terminal."""
_MAX_CRF = 51
_MIN_SIDE = {"h264": 2, "h265": 64}
"""Smaller frames are mirrored outwards to it. libx265 refuses less than 16 pixels, and on clips
narrower than about 50 it writes beyond its buffers (seen with glibc's malloc checks)."""
_BT709 = 1
_LIMITED, _FULL = 1, 2
_LUMA = np.array([0.2126, 0.7152, 0.0722])
_BLUE = (np.array([0, 0, 1]) - _LUMA) / 1.8556
_RED = (np.array([1, 0, 0]) - _LUMA) / 1.5748
_RGB_TO_YUV = np.column_stack(
    [np.stack([219 * _LUMA, 224 * _BLUE, 224 * _RED]) / 255, [16, 128, 128]]
)
"""(3, 4): ITU-R BT.709-6, 3.2 to 3.4, for 8 bits in limited range; offsets in the last column."""
_CLIP = 5
"""Frames around a still: one group of key, bidirectional and predicted frames."""
_DRIFT = (0.7, 0.4)
"""Pixels per frame (x, y). At a whole number, or at none, prediction would be free."""


def double_jpeg(
    image: UInt8Image, first: int, second: int, shift: tuple[int, int] = (0, 0)
) -> UInt8Image:
    """Encode as JPEG twice, the second time on a grid moved by `shift`, both with 4:2:0 chroma.

    Args:
        image: (H, W, 3) uint8 RGB.
        first, second: the two qualities, libjpeg's, 1 to 100.
        shift: (x, y) in 0..7, where the second grid starts; the first starts at (0, 0).

    Raises:
        ConfigError: quality or shift out of range.
        ShapeError: not uint8 RGB, or too large for a JPEG.
    """
    return jpeg(jpeg(image, first), second, phase=shift)


def webp(image: UInt8Image, quality: int) -> UInt8Image:
    """Encode as lossy WebP (a VP8 key frame, 4:2:0 chroma) and decode again.

    Args:
        image: (H, W, 3) uint8 RGB.
        quality: libwebp's, 1 to 100; 100 is not lossless.

    Raises:
        ConfigError: quality out of range.
        ShapeError: not uint8 RGB, or a side over 16383 pixels.
    """
    check_rgb(image, "webp's image")
    if not 1 <= quality <= 100:
        raise ConfigError(f"WebP quality is 1..100; got {quality}.")
    if max(image.shape[:2]) > _WEBP_SIDE:
        raise ShapeError(f"A WebP side is at most {_WEBP_SIDE} pixels; got {image.shape[1::-1]}.")
    _, data = cv2.imencode(".webp", image[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])


def video_still(image: UInt8Image, codec: VideoCodec, crf: int) -> UInt8Image:
    """What the codec makes of a picture amid a clip: the third of five frames that drift.

    A still encoded alone would be a key frame, of which a clip has few. So the picture is the
    middle of a clip whose other frames are itself moved by a fraction of a pixel per frame: it
    is predicted from its neighbours, and only the rest is coded, as it is in a film.

    Args:
        image: (H, W, 3) uint8 RGB.
        codec, crf: as of `video_codec`.

    Raises:
        ConfigError, ShapeError: as of `video_codec`.
    """
    check_rgb(image, "video_still's image")
    middle = _CLIP // 2
    clip = [image if k == middle else _moved(image, k - middle) for k in range(_CLIP)]
    return video_codec(clip, codec, crf)[middle]


def video_codec(frames: Sequence[UInt8Image], codec: VideoCodec, crf: int) -> list[UInt8Image]:
    """Encode a clip as H.264 or H.265 at a constant rate factor and decode it again.

    Args:
        frames: at least one, (H, W, 3) uint8 RGB, all of one size; 25 per second are assumed.
        codec: "h264" (libx264) or "h265" (libx265), both at their preset "medium".
        crf: 0 to 51, higher is coarser. Not comparable between the two codecs. At 0 H.264 is
            lossless after the conversion to 4:2:0, H.265 nearly so.

    Returns:
        As many frames of the same size.

    Raises:
        ConfigError: no such codec, crf out of range, the installed FFmpeg has no such encoder,
            or the encoder refuses the size.
        ShapeError: no frames, not uint8 RGB, or of different sizes.
    """
    stream = encode_clip(frames, codec, crf)
    height, width = frames[0].shape[:2]
    decoded = [
        np.ascontiguousarray(rgb[:height, :width]) for rgb in _decoded(stream, _DECODERS[codec])
    ]
    if len(decoded) != len(frames):
        raise ConfigError(
            f"{codec} gave back {len(decoded)} of {len(frames)} frames of {width} x {height}.",
            "Report this with the versions of PyAV and FFmpeg: python -m av --version",
        )
    return decoded


def encode_clip(frames: Sequence[UInt8Image], codec: VideoCodec, crf: int) -> bytes:
    """The clip as a raw stream without a container (Annex B of the standards).

    Colour: BT.709 matrix, primaries and transfer, limited range (luma 16 to 235), all written
    into the stream; 4:2:0 with the chroma in its default place. Odd sides are mirrored outwards
    by one pixel, right and below.
    One thread only, so that the bytes do not depend on how many cores there are.

    Args, raises: as of `video_codec`.
    """
    import av

    height, width = _checked(frames, codec, crf)
    encoder = _encoder(codec, crf)
    encoder.width, encoder.height = (
        max(_MIN_SIDE[codec], side + side % 2) for side in (width, height)
    )
    pad = (0, encoder.height - height, 0, encoder.width - width)
    packets: list[bytes] = []
    try:
        for number, frame in enumerate(frames):
            padded = cv2.copyMakeBorder(frame, *pad, cv2.BORDER_REFLECT) if any(pad) else frame
            packets.extend(bytes(p) for p in encoder.encode(_to_yuv(padded, number)))
        packets.extend(bytes(p) for p in encoder.encode(None))
    except av.FFmpegError as error:
        raise ConfigError(
            f"{_ENCODERS[codec]} refuses frames of {width} x {height}: {error.strerror}.",
            "Cut or shrink them: H.264 ends at 16384 pixels a side.",
        ) from error
    return b"".join(packets)


def _checked(frames: Sequence[UInt8Image], codec: str, crf: int) -> tuple[int, int]:
    if codec not in _ENCODERS or not 0 <= crf <= _MAX_CRF:
        raise ConfigError(
            f"A video codec is one of {', '.join(_ENCODERS)}, its CRF 0..{_MAX_CRF}; "
            f"got {codec!r}, {crf}."
        )
    if not frames:
        raise ShapeError("A clip needs at least one frame; got none.")
    for frame in frames:
        check_rgb(frame, "A clip's frame")
    sizes = {frame.shape[1::-1] for frame in frames}
    if len(sizes) > 1:
        raise ShapeError(f"A clip's frames must be of one size; got {sorted(sizes)}.")
    return frames[0].shape[0], frames[0].shape[1]


def _encoder(codec: VideoCodec, crf: int) -> VideoCodecContext:
    import av
    from av.video.codeccontext import VideoCodecContext

    try:
        context = av.CodecContext.create(_ENCODERS[codec], "w")
    except av.codec.codec.UnknownCodecError as error:
        raise ConfigError(
            f"The installed FFmpeg has no encoder {_ENCODERS[codec]}.",
            "PyAV's own wheel has it: pip install --force-reinstall --only-binary=av av",
        ) from error
    assert isinstance(context, VideoCodecContext)
    context.pix_fmt = "yuv420p"
    context.framerate, context.time_base = Fraction(25), Fraction(1, 25)
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED
    context.thread_count = 1
    context.options = {"crf": str(crf), "preset": "medium", **_PRIVATE[codec]}
    return context


def _to_yuv(image: UInt8Image, number: int) -> VideoFrame:
    """4:2:0 samples of an even-sided picture, each rounded once.

    Written out because swscale puts the chroma of RGB amid four pixels, while a stream that says
    nothing of it (and so every decoder) has it level with the left two: colours would move by
    half a pixel.
    """
    from av.video.frame import VideoFrame

    samples = cv2.transform(image.astype(np.float32), _RGB_TO_YUV)
    rows = (samples[0::2, :, 1:] + samples[1::2, :, 1:]) / 2
    before = np.concatenate([rows[:, :1], rows[:, 1:-2:2]], axis=1)
    chroma = (before + 2 * rows[:, 0::2] + rows[:, 1::2]) / 4
    planes = np.concatenate([samples[..., 0].ravel(), chroma.transpose(2, 0, 1).ravel()])
    rounded = np.rint(planes).astype(np.uint8).reshape(-1, image.shape[1])
    frame = VideoFrame.from_ndarray(rounded, format="yuv420p")
    frame.pts, frame.time_base = number, Fraction(1, 25)
    return frame


def _decoded(stream: bytes, decoder: str) -> Iterator[UInt8Image]:
    import av
    from av.video.codeccontext import VideoCodecContext

    context = av.CodecContext.create(decoder, "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    for packet in [*context.parse(stream), *context.parse(None), None]:
        for frame in context.decode(packet):
            yield _to_rgb(frame)


def _to_rgb(frame: VideoFrame) -> UInt8Image:
    """Accurate rounding and chroma at full width: swscale's default shortcuts darken."""
    from av.video.reformatter import Interpolation, VideoReformatter

    exact = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    rgb = VideoReformatter().reformat(
        frame,
        format="rgb24",
        src_colorspace=_BT709,
        dst_colorspace=_BT709,
        src_color_range=_LIMITED,
        dst_color_range=_FULL,
        interpolation=exact,
        threads=1,
    )
    return rgb.to_ndarray().astype(np.uint8, copy=False)


def _moved(image: UInt8Image, frames: int) -> UInt8Image:
    """The picture as it is `frames` frames later, mirrored where it shows what lies beyond."""
    height, width = image.shape[:2]
    shift = np.array([[1, 0, _DRIFT[0] * frames], [0, 1, _DRIFT[1] * frames]])
    moved = cv2.warpAffine(
        image, shift, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved, np.uint8)
