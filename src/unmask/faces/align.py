"""From a found face to the pixels around it, and the geometry of five landmarks. No torch."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ShapeError
from unmask.faces.quality import assess
from unmask.types import Crop, Face, Frame, UInt8Image

Matrix = NDArray[np.float64]

FIVE_POINTS: Final[Matrix] = np.array(
    [[0.333, 0.393], [0.667, 0.393], [0.5, 0.589], [0.342, 0.742], [0.658, 0.742]]
)
"""Where MTCNN's five points lie in the unit square around an upright face (the square on the longer
side of its box): the mean over 313 real faces, made symmetric."""


def crop_face(frame: Frame, face: Face, *, margin: float = 1.3) -> Crop:
    """The square around a face: copied pixels at native resolution, turned upright.

    Args:
        frame: the picture.
        face: a face of `frame`; its `quarter_turns` decide how the crop is turned.
        margin: side of the square relative to the longer side of the face's box.

    Returns:
        A crop of side round(margin * face.side) centred on the box. Where it reaches beyond the
        frame it is mirrored. `grid` is where the file's 8x8 blocks start in the turned crop.

    Raises:
        ShapeError: `margin` is not positive, or the square shows no pixel of the frame.
    """
    if not margin > 0 or not math.isfinite(margin):
        raise ShapeError(f"margin must be positive and finite; got {margin}.")
    side = max(1, round(margin * face.side))
    x0 = round((face.box[0] + face.box[2] - side) / 2)
    y0 = round((face.box[1] + face.box[3] - side) / 2)
    box = (x0, y0, x0 + side, y0 + side)
    turns = face.quarter_turns % 4
    image = np.ascontiguousarray(np.rot90(cut(frame.image, box), turns))
    return Crop(
        image=image,
        box=box,
        face=face,
        frame_index=frame.index,
        time=frame.time,
        grid=None if frame.grid is None else _grid_in_crop(frame.grid, box, turns),
        quality=assess(image, face.side),
    )


def cut(image: UInt8Image, box: tuple[int, int, int, int]) -> UInt8Image:
    """The pixels of an integer xyxy box, mirrored about the picture's edges where it leaves it.

    Works for any box that touches the picture: the mirror image is mirrored again as often as
    needed (d c b | a b c d | c b a, the edge itself not repeated).

    Raises:
        ShapeError: the box shows no pixel of the picture.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
        raise ShapeError(f"Box {box} lies outside the {width}x{height} picture.")
    if x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height:
        return image[y0:y1, x0:x1].copy()
    rows, columns = _mirrored(y0, y1, height), _mirrored(x0, x1, width)
    return image.take(rows, axis=0).take(columns, axis=1)  # twice as fast as one 2-D index


def _mirrored(start: int, stop: int, length: int) -> NDArray[np.intp]:
    """Indices start..stop-1 folded into 0..length-1."""
    period = max(1, 2 * (length - 1))
    index = np.abs(np.arange(start, stop)) % period
    return np.asarray(np.minimum(index, period - index), dtype=np.intp)


def _grid_in_crop(
    grid: tuple[int, int], box: tuple[int, int, int, int], turns: int
) -> tuple[int, int]:
    """Where 8x8 blocks start in a square crop after `turns` counter-clockwise quarter turns.

    A boundary at offset g along an axis of length `side` lies at (side - g) once the axis is
    reversed; np.rot90 once makes the reversed x axis the new y axis and y the new x.
    """
    side = box[2] - box[0]
    x, y = (grid[0] - box[0]) % 8, (grid[1] - box[1]) % 8
    for _ in range(turns):
        x, y = y, (side - x) % 8
    return x, y


def similarity(landmarks: ArrayLike, template: ArrayLike) -> Matrix:
    """Least-squares similarity (rotation, uniform scale, shift; no reflection) between points.

    Source: S. Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", IEEE TPAMI 13(4), 1991, in two dimensions, where it has a closed form: as complex
    numbers, template ~ a * landmarks + b with a = <landmarks, template> / <landmarks, landmarks>.

    Args:
        landmarks: (N, 2) x, y, at least two different points.
        template: (N, 2) where they should go.

    Returns:
        (2, 3) float64; `warp_points(landmarks, it)` is close to `template`.

    Raises:
        ShapeError: shapes differ, are not (N, 2), or the landmarks all coincide.
    """
    source, target = np.asarray(landmarks, np.float64), np.asarray(template, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
        raise ShapeError(
            f"Expected two equal arrays of (N, 2) points, N >= 2; got {source.shape} and "
            f"{target.shape}."
        )
    first, second = source - source.mean(axis=0), target - target.mean(axis=0)
    power = float((first**2).sum())
    if not power > 0:
        raise ShapeError("All landmarks coincide: no scale or rotation can be found.")
    real = float((first * second).sum()) / power
    imaginary = float((first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).sum()) / power
    linear = np.array([[real, -imaginary], [imaginary, real]])
    shift = target.mean(axis=0) - linear @ source.mean(axis=0)
    return np.column_stack([linear, shift])


def invert(matrix: Matrix) -> Matrix:
    """The inverse of a (2, 3) affine map, (2, 3) float64.

    Raises:
        ShapeError: not (2, 3), or not invertible.
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.shape != (2, 3) or abs(np.linalg.det(matrix[:, :2])) < 1e-12:
        raise ShapeError(f"Expected an invertible (2, 3) affine map; got {matrix.tolist()}.")
    linear = np.linalg.inv(matrix[:, :2])
    return np.column_stack([linear, -linear @ matrix[:, 2]])


def warp_points(points: ArrayLike, matrix: Matrix) -> Matrix:
    """Apply a (2, 3) affine map to (..., 2) points x, y.

    >>> warp_points([[1.0, 2.0]], np.array([[2.0, 0.0, 10.0], [0.0, 2.0, 0.0]])).tolist()
    [[12.0, 4.0]]
    """
    return np.asarray(np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2])
