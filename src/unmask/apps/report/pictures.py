"""Pictures of a report as data URIs: key frames with boxes, crops, heatmaps, residuals."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unmask.errors import DatasetError
from unmask.types import Box, Crop, FloatArray, Frame

FRAME_SIDE = 960
"""Longest side of a key frame in a report, in pixels."""
CROP_SIDE = 320
"""Side of a crop, heatmap and residual picture in a report, in pixels; smaller ones stay."""
GAINS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
HEAT_LEVELS = 48

# Dark violet to pale yellow: lightness grows all the way, so the order survives a grey print.
HEAT_STOPS = ((43, 10, 86), (130, 28, 110), (203, 59, 76), (246, 130, 36), (252, 226, 130))


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture.

    Attributes:
        uri: `data:` URI with the picture in it.
        width, height: in pixels.
    """

    uri: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Labelled:
    """A box to draw: xyxy in pixels of the frame, and the words beside it."""

    box: Box
    label: str


def key_frame(frame: Frame, boxes: Sequence[Labelled]) -> Picture:
    """The frame at most `FRAME_SIDE` long, with every box and its label drawn into it."""
    image = shrunk(Image.fromarray(frame.image), FRAME_SIDE)
    scale = image.width / frame.size[0]
    draw = ImageDraw.Draw(image)
    line = max(2, round(max(image.size) / 320))
    font = ImageFont.load_default(size=max(13, round(max(image.size) / 36)))
    for item in boxes:
        corners = _inside([scale * v for v in item.box], image.size)
        # a white line between two dark ones is seen on any background
        draw.rectangle(_grown(corners, line), outline="#10131a", width=3 * line)
        draw.rectangle(corners, outline="white", width=line)
        _label(draw, corners, item.label, font, image.size)
    return _jpeg(image, quality=82)


def crop(item: Crop) -> Picture:
    """The crop, at most `CROP_SIDE` wide."""
    return _jpeg(shrunk(Image.fromarray(item.image), CROP_SIDE), quality=90)


def heat_layer(heatmap: FloatArray) -> Picture:
    """A layer to lay over the crop: colour and opacity both grow with the heat.

    Args:
        heatmap: (S, S) float32 in [0, 1]; values outside are clipped, not-a-number counts as 0.
    """
    heat = np.clip(np.nan_to_num(heatmap, nan=0.0), 0.0, 1.0)
    grey = shrunk(Image.fromarray(np.rint(255 * heat).astype(np.uint8)), CROP_SIDE)
    levels = np.rint(np.asarray(grey) / 255 * (HEAT_LEVELS - 1)).astype(np.uint8)
    ramp = np.linspace(0.0, 1.0, HEAT_LEVELS)
    image = Image.fromarray(levels)
    image.putpalette(b"".join(bytes(heat_colour(v)) for v in ramp))
    opacity = np.rint(255 * 0.8 * np.minimum(1.0, ramp / 0.6)).astype(np.uint8)
    return encoded(image, "PNG", transparency=opacity.tobytes(), optimize=True)


def heat_colour(value: float) -> tuple[int, int, int]:
    """The RGB of a heat in [0, 1], linear between `HEAT_STOPS`."""
    stops = np.asarray(HEAT_STOPS, dtype=np.float64)
    knots = np.linspace(0.0, 1.0, len(stops))
    red, green, blue = (round(float(np.interp(value, knots, stops[:, k]))) for k in range(3))
    return red, green, blue


def residual(values: FloatArray) -> tuple[Picture, float]:
    """The residual on a grey scale that is symmetric about zero, and its gain.

    The largest of `GAINS` that clips no more than 1% of the pixels is taken. A picture larger
    than `CROP_SIDE` is cut to its centre: resampling would destroy what it shows.

    Args:
        values: (S, S) float32, signed grey levels.

    Returns:
        The picture (lossless) and the gain: grey = 127.5 + gain * residual.
    """
    clean = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top, left = (max(0, (n - CROP_SIDE) // 2) for n in clean.shape)
    clean = clean[top : top + CROP_SIDE, left : left + CROP_SIDE]
    reach = float(np.quantile(np.abs(clean), 0.99))
    gain = max((g for g in GAINS if g * reach <= 127.5), default=GAINS[0])
    grey = np.clip(np.rint(127.5 + gain * clean), 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(grey), "PNG", optimize=True), gain


def shrunk(image: Image.Image, side: int) -> Image.Image:
    """At most `side` pixels long; smaller ones stay."""
    scale = side / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _inside(box: Sequence[float], size: tuple[int, int]) -> list[float]:
    """The part of `box` inside the picture, at least one pixel wide."""
    x0 = min(max(box[0], 0.0), size[0] - 2.0)
    y0 = min(max(box[1], 0.0), size[1] - 2.0)
    x1 = max(min(box[2], size[0] - 1.0), x0 + 1)
    y1 = max(min(box[3], size[1] - 1.0), y0 + 1)
    return [x0, y0, x1, y1]


def _grown(box: Sequence[float], by: int) -> list[float]:
    return [box[0] - by, box[1] - by, box[2] + by, box[3] + by]


def _label(
    draw: ImageDraw.ImageDraw,
    box: Sequence[float],
    text: str,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    """Write `text` on a dark plate above the box, or inside it where there is no room above."""
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    pad = 5
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0.0, min(box[0], size[0] - width))
    y = box[1] - height if box[1] >= height else box[1]
    draw.rectangle([x, y, x + width, y + height], fill="#10131a")
    draw.text((x + pad - left, y + pad - top), text, fill="white", font=font)


def _jpeg(image: Image.Image, quality: int) -> Picture:
    return encoded(image, "JPEG", quality=quality, optimize=True, progressive=True)


def encoded(image: Image.Image, kind: str, **options: object) -> Picture:
    """As a data URI; `kind` and options are those of Pillow's `save`."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return _inline(buffer.getvalue(), kind, image.size)


def of_file(path: Path) -> Picture:
    """A JPEG or PNG file, its bytes as they are.

    Raises:
        DatasetError: it is missing, damaged or something else.
    """
    try:
        data = path.read_bytes()
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            image.load()
            return _inline(data, str(image.format), image.size)
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{path} is no JPEG or PNG picture.", "Delete it.") from error


def _inline(data: bytes, kind: str, size: tuple[int, int]) -> Picture:
    text = base64.b64encode(data).decode("ascii")
    return Picture(f"data:image/{kind.lower()};base64,{text}", *size)
