"""Stills: one upright 8-bit RGB frame from JPEG, PNG, WebP, HEIC, AVIF or GIF."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from PIL import Image, ImageFile, ImageOps

from unmask.errors import MediaError
from unmask.media.deadline import Deadline
from unmask.media.limits import Limits
from unmask.media.pixels import to_rgb
from unmask.media.source import Known, Source
from unmask.media.structure import ends_early
from unmask.types import Frame

_ORIENTATION = 0x0112  # EXIF
_T = TypeVar("_T")


def decode_image(
    source: Source, known: Known, limits: Limits, deadline: Deadline
) -> tuple[Frame, tuple[str, ...]]:
    """Decode a still; of an animation the first picture.

    A picture that decodes whole although its file ends early (a JPEG without its end marker, a
    GIF cut in a later picture) is given with the reason `truncated`. One that lacks pixels is
    never filled up: it fails.

    Args:
        source: open, its format one of `IMAGE_FORMATS`.
        known: learns the upright width and height.
        limits: `max_pixels` is checked before any pixel is decoded.
        deadline: checked between the steps.

    Returns:
        The frame, and what to know about it: `()` or `("truncated",)`.

    Raises:
        MediaError: too_many_pixels, truncated, damaged, unsupported_format, timeout.
        MemoryError: the picture does not fit.
    """
    _check_webp_canvas(source, limits)
    plugin = _plugin(source.format)
    image = _guarded(source, lambda: plugin(source.file))
    if 0 in image.size:
        raise undecodable(source, f"it claims to be {image.width} x {image.height} pixels")
    known.update(width=image.width, height=image.height)
    check_pixels(image.width, image.height, limits)
    deadline.check()
    _guarded(source, image.load)
    deadline.check()
    # Only now: a PNG may state its orientation after the pixels.
    orientation = _guarded(source, lambda: _orientation(image))
    stored = image.size
    upright = ImageOps.exif_transpose(image) if orientation != 1 else image
    known.update(width=upright.width, height=upright.height)
    pixels = to_rgb(upright)
    grid = jpeg_grid(stored, orientation) if source.format == "jpeg" else None
    short = ends_early(source.file, source.size, source.format)
    return Frame(pixels, grid=grid), ("truncated",) if short else ()


def jpeg_grid(stored: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Where the 8x8 blocks of a JPEG start once its EXIF orientation is applied.

    In the file they start at (0, 0) and the last ones may be cut. Luma is coded in 8x8 blocks
    whatever the chroma subsampling, so 8 is the period of the grid even where a minimum coded unit
    spans 16 pixels. Mirroring a side of n pixels moves the first whole block to n mod 8.

    Args:
        stored: (width, height) as in the file, before the orientation is applied.
        orientation: EXIF value 1 to 8; others count as 1.

    Returns:
        (x, y), each in 0..7, in the upright picture.

    >>> jpeg_grid((21, 10), 2)  # mirrored left to right
    (5, 0)
    >>> jpeg_grid((21, 10), 6)  # turned clockwise: the height has become the width, mirrored
    (2, 0)
    """
    width, height = stored[0] % 8, stored[1] % 8
    return {
        2: (width, 0),
        3: (width, height),
        4: (0, height),
        6: (height, 0),
        7: (height, width),
        8: (0, width),
    }.get(orientation, (0, 0))


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Raise `MediaError` (too_many_pixels) when a picture of this size is over the limit."""
    if width * height > limits.max_pixels:
        raise MediaError(
            "limit_exceeded",
            "too_many_pixels",
            f"{width} x {height} are {width * height:,} pixels; the limit is "
            f"{limits.max_pixels:,}.",
            "Raise the pixel limit if the file is trusted, or make a smaller copy.",
        )


# Each format opens through its own plugin class. `Image.open` would guess again, and would apply
# Pillow's process-wide pixel limit, which is the caller's to set.
_PLUGINS = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heic": ("pillow_heif", "HeifImageFile"),
}


def _plugin(kind: str) -> Callable[[BinaryIO], ImageFile.ImageFile]:
    """The class that reads `kind`; loaded on first use, for the sake of a quick start."""
    module, name = _PLUGINS[kind]
    plugin: Callable[[BinaryIO], ImageFile.ImageFile] = getattr(
        importlib.import_module(module), name
    )
    return plugin


def _guarded(source: Source, step: Callable[[], _T]) -> _T:
    """Run one step of a decoder, and say of its failure whether the file is cut or damaged.

    Decoders raise whatever their parser stumbles over (OSError, SyntaxError, struct.error,
    IndexError, ...), so everything but a lack of memory is the file's fault here.
    """
    try:
        return step()
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        if "memory" in str(error).lower():  # libheif and libavif have no exception type for it
            raise MemoryError(str(error)) from error
        raise undecodable(source, str(error)) from error


def undecodable(source: Source, detail: str) -> MediaError:
    """The error of a file no frame could be had from: cut, or damaged."""
    if ends_early(source.file, source.size, source.format):
        return MediaError(
            "unreadable",
            "truncated",
            f"The {source.format} file ends after {source.size:,} bytes, before its picture does.",
            "Copy or download the file again.",
        )
    return MediaError(
        "unreadable",
        "damaged",
        f"The {source.format} file cannot be decoded: {detail or 'no detail given'}.",
        "Get another copy of the file, or re-save it with the program that made it.",
    )


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def _check_webp_canvas(source: Source, limits: Limits) -> None:
    """The WebP decoder allocates its canvas on opening, so its size is read from the header."""
    if source.format != "webp":
        return
    head = source.file.read(30)
    source.file.seek(0)
    kind = head[12:16]
    if kind == b"VP8X" and len(head) == 30:
        width = int.from_bytes(head[24:27], "little") + 1
        height = int.from_bytes(head[27:30], "little") + 1
        check_pixels(width, height, limits)
    elif kind == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        check_pixels((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, limits)
    elif kind == b"VP8 " and len(head) == 30:
        width = int.from_bytes(head[26:28], "little") & 0x3FFF
        height = int.from_bytes(head[28:30], "little") & 0x3FFF
        check_pixels(width, height, limits)
