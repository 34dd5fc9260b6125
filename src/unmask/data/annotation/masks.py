"""One mask as a PNG file: black is genuine, the other colour is manipulated."""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from unmask.errors import DatasetError, ShapeError

Mask = NDArray[np.bool_]
"""(H, W) bool, True where manipulated, in the picture's own pixels."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = len(_SIGNATURE) + 8 + 13
_GREY, _COLOUR, _PALETTE, _GREY_ALPHA, _COLOUR_ALPHA = 0, 2, 3, 4, 6


def check_mask(mask: Mask, what: str = "The mask") -> None:
    """Raise `ShapeError` unless `mask` is (H, W) bool with both sides positive."""
    if mask.ndim != 2 or mask.dtype != np.bool_ or 0 in mask.shape:
        raise ShapeError(
            f"{what} must be (H, W) bool with H, W > 0; got {mask.shape} {mask.dtype}."
        )


def mask_to_png(mask: Mask) -> bytes:
    """A PNG of one bit per pixel, white where True; the same mask gives the same bytes.

    Raises:
        ShapeError: not (H, W) bool.
    """
    check_mask(mask)
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).convert("1", dither=Image.Dither.NONE).save(
        file, "PNG"
    )
    return file.getvalue()


def mask_from_png(data: bytes, *, size: tuple[int, int], what: str = "The mask") -> Mask:
    """Read a mask; what could be meant in two ways is refused.

    Taken: one bit; grey or colour with nothing but black and full white (8 bits, and 16 bits of
    grey); a palette with black and at most one other colour. An alpha channel must be opaque
    everywhere. All black and all white are masks, too: whether they can be right is not decided
    here.

    Args:
        data: a PNG file's bytes.
        size: (width, height) of the picture that the mask belongs to.
        what: what messages call it.

    Raises:
        DatasetError: not a PNG, damaged, of another size, transparent, 16 bits of colour, or with
            other levels than two; the message says which.
    """
    if not data.startswith(_SIGNATURE) or len(data) < _HEAD:
        raise DatasetError(
            f"{what} is not a PNG file.",
            "Save it as PNG: what loses detail (JPEG) makes grey edges of a mask.",
        )
    width, height, bits, kind = struct.unpack(">IIBB", data[16:26])
    if (width, height) != tuple(size):
        raise DatasetError(
            f"{what} has {width}x{height} pixels, its picture {size[0]}x{size[1]}.",
            "Paint on the picture at its own size, and do not crop or scale the mask.",
        )
    if bits == 16 and kind in (_COLOUR, _COLOUR_ALPHA, _GREY_ALPHA):
        raise DatasetError(
            f"{what} has 16 bits per channel and several channels.", "Save it as 8-bit grey."
        )
    try:
        with PngImageFile(io.BytesIO(data)) as image:
            image.load()
            return _two_levels(image, what)
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise DatasetError(f"{what} is a damaged PNG file: {error}.", "Save it again.") from error


def _two_levels(image: Image.Image, what: str) -> Mask:
    _check_opaque(image, what)
    if image.mode == "1":
        return np.asarray(image).astype(bool)
    if image.mode == "P":
        return _of_colours(np.asarray(image.convert("RGB")), what)
    if image.mode in ("I", "I;16", "I;16B"):
        return _of_levels(np.asarray(image).astype(np.int64), 65535, what)
    if image.mode in ("L", "LA"):
        return _of_levels(np.asarray(image.getchannel(0)), 255, what)
    colours = np.asarray(image.convert("RGB"))
    if (colours != colours[..., :1]).any():
        raise DatasetError(
            f"{what} has {_count(colours)} colours, other than black and white.",
            "Save it as grey with 0 where genuine and 255 where manipulated.",
        )
    return _of_levels(colours[..., 0], 255, what)


def _check_opaque(image: Image.Image, what: str) -> None:
    if not (image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info):
        return
    if np.asarray(image.convert("RGBA").getchannel("A")).min() < 255:
        raise DatasetError(
            f"{what} has transparent pixels: what is meant by them is not clear.",
            "Flatten it on black, and save it without an alpha channel.",
        )


def _of_levels(grey: NDArray[np.generic], white: int, what: str) -> Mask:
    levels = np.unique(grey)
    if not np.isin(levels, (0, white)).all():
        shown = ", ".join(map(str, levels[:4].tolist())) + ", ..." * (len(levels) > 4)
        raise DatasetError(
            f"{what} has {len(levels)} grey level{'s' * (len(levels) > 1)} ({shown}); a mask has "
            f"only 0 and {white}.",
            f"Threshold it: 0 where genuine, {white} where manipulated, with hard edges.",
        )
    return np.asarray(grey == white)


def _of_colours(colours: NDArray[np.uint8], what: str) -> Mask:
    marked = np.asarray(colours.any(axis=2))
    if (n := _count(colours[marked])) > 1:
        raise DatasetError(
            f"{what} has a palette of which {n} colours beside black are used.",
            "Leave one colour: everything that is not black counts as manipulated.",
        )
    return marked


def _count(colours: NDArray[np.uint8]) -> int:
    return len(np.unique(colours.reshape(-1, 3), axis=0))
