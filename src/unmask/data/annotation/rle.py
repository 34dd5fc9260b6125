"""Masks as COCO writes them: run lengths down the columns, plain or packed into a string.

Format: Lin et al. 2014, "Microsoft COCO: common objects in context", and its mask interface.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypedDict

import numpy as np

from unmask.data.annotation.masks import Mask, check_mask
from unmask.errors import DatasetError


class RLE(TypedDict):
    """size: [height, width]. counts: run lengths, False first, column by column; or packed."""

    size: list[int]
    counts: list[int] | str


def encode_rle(mask: Mask, *, packed: bool = True) -> RLE:
    """Run lengths of a mask, read column by column, beginning with those of False (may be 0).

    Args:
        mask: (H, W) bool.
        packed: as a string, see `pack`; else as a list.

    Raises:
        ShapeError: not (H, W) bool.

    >>> encode_rle(np.array([[False, True], [True, True]]), packed=False)
    {'size': [2, 2], 'counts': [1, 3]}
    """
    check_mask(mask)
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *([0] if flat[0] else []), *changes, flat.size]).tolist()
    return RLE(size=list(mask.shape), counts=pack(counts) if packed else counts)


def decode_rle(rle: object, what: str = "The mask") -> Mask:
    """The mask of `encode_rle`, or of another program that writes the format.

    Args:
        rle: {"size": [height, width], "counts": list or string}.
        what: what messages call it.

    Raises:
        DatasetError: no such object, or the runs do not fill the mask.
    """
    if not isinstance(rle, dict) or not {"size", "counts"} <= set(rle):
        raise DatasetError(f"{what} is no RLE: it needs size and counts; got {str(rle)[:60]!r}.")
    size, counts = rle["size"], rle["counts"]
    if not _whole_numbers(size) or len(size) != 2 or min(size) < 1:
        raise DatasetError(f"{what}: size must be [height, width] in pixels; got {size!r}.")
    runs = unpack(counts, what) if isinstance(counts, str) else counts
    if not _whole_numbers(runs) or min(runs, default=0) < 0:
        raise DatasetError(f"{what}: counts must be run lengths of 0 or more.")
    if sum(runs) != size[0] * size[1]:
        raise DatasetError(
            f"{what}: its runs cover {sum(runs)} pixels, but {size[1]}x{size[0]} are "
            f"{size[0] * size[1]}.",
            "It was cut off, or its size is that of another picture.",
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(size, order="F"))


def _whole_numbers(values: object) -> bool:
    return isinstance(values, list | tuple) and all(type(v) is int for v in values)


def pack(counts: Sequence[int]) -> str:
    """Run lengths as COCO's string.

    From the fourth on, what is written is the difference to the run before the last (that of the
    same value). A number is cut into groups of five bits, lowest first, in two's complement; the
    sixth bit says that more groups follow. 48 is added to make it a printable character.

    >>> pack([0, 4])
    '04'
    """
    letters = []
    for place, count in enumerate(counts):
        rest = count - counts[place - 2] if place > 2 else count
        while True:
            group, rest = rest & 31, rest >> 5
            more = rest != (-1 if group & 16 else 0)
            letters.append(chr(48 + group + 32 * more))
            if not more:
                break
    return "".join(letters)


def unpack(text: str, what: str = "The mask") -> list[int]:
    """The run lengths of `pack`.

    Raises:
        DatasetError: a character that is not of the format, or a number that does not end.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        group = ord(letter) - 48
        if not 0 <= group < 64:
            raise DatasetError(f"{what}: {letter!r} is no character of COCO's run lengths.")
        value |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise DatasetError(f"{what}: its run lengths are cut off.", "Export it again.")
    return counts


def fill_polygons(
    polygons: Sequence[Sequence[float]], height: int, width: int, what: str = "The mask"
) -> Mask:
    """The union of polygons: a pixel is in one when its centre is (even-odd rule).

    The centre of the first pixel lies at (0.5, 0.5), so the polygon 0 0, 4 0, 4 4, 0 4 holds 16
    pixels. Programs differ by the pixels of the edge; run lengths are exact.

    Args:
        polygons: each x0, y0, x1, y1, ... in pixels, three points or more.
        height, width: of the picture; what lies outside is cut off.
        what: what messages call it.

    Returns:
        (H, W) bool.

    Raises:
        DatasetError: fewer than three points, half a point, or a value that is not finite.
    """
    mask = np.zeros((height, width), bool)
    for polygon in polygons:
        try:
            points = np.array(polygon, np.float64)
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{what}: a polygon is a list of numbers x, y, ...") from error
        if points.ndim != 1 or len(points) < 6 or len(points) % 2 or not np.isfinite(points).all():
            raise DatasetError(
                f"{what}: a polygon needs three or more points as finite x0, y0, x1, y1, ...; got "
                f"{len(polygon)} numbers."
            )
        mask |= _fill(points.reshape(-1, 2), height, width)
    return mask


def _fill(points: np.ndarray, height: int, width: int) -> Mask:
    """Each edge flips, in the rows it spans, all pixels to the right of it."""
    flips = np.zeros((height, width + 1), np.int64)
    for (x0, y0), (x1, y1) in pairwise([*points, points[0]]):
        if y0 > y1:
            x0, y0, x1, y1 = x1, y1, x0, y0
        first, last = (int(np.clip(np.ceil(y - 0.5), 0, height)) for y in (y0, y1))
        rows = np.arange(first, last)
        if not len(rows):
            continue
        x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        flips[rows, np.clip(np.ceil(x - 0.5), 0, width).astype(int)] += 1
    return np.asarray(flips[:, :width].cumsum(axis=1) % 2 == 1)
