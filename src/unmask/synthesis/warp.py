"""Piecewise-affine warps: a face's triangles brought onto another's, as one dense map.

All faces have the same 189 points, so one Delaunay triangulation, that of the mean shape, serves
every face; points that fold over it are settled first. A ring of border points around the head
carries the surroundings along, so that the map has no holes wherever the face lies.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.errors import ShapeError
from unmask.faces.align import Matrix, similarity, warp_points
from unmask.synthesis.shape import Points, mean_shape
from unmask.types import UInt8Image

Triangles = NDArray[np.int32]
Field = NDArray[np.float32]
"""(H, W, 2): for each pixel of the result, the x, y in the source that it shows."""

LOWER_LIP_EDGE = tuple(range(99, 104))
UPPER_LIP_EDGE = tuple(range(94, 99))
_UNSTABLE = (
    *(*range(2, 18), 50, 56, *range(179, 183)),  # irises, root of the nose, nostril rims
    *(115, 117, 119, 120, 122, 124, 146, 156, 158, 161, 164, 167),  # of ears, hair and cheeks
)
"""Points so near to others that they often trade places."""
CONTROL = tuple(i for i in range(189) if i not in _UNSTABLE)
"""Landmarks that carry the triangles."""
_RING = 16
_RADIUS = 2.5
"""Border points, and their distance from the head's middle in pupil distances: hair and neck of
the London Set's faces end within 2.3."""
_GRID = 1000.0
"""Side of the square that points are triangulated in."""
_SLIVER = 0.05
"""Triangles below this area in square pixels are left to their neighbours."""
_FOLD = 0.0005
"""Area, in squared pupil distances, up to which a triangle may be turned over: two square pixels
of a face of 256 pixels."""
_STEPS, _ROUNDS = 16, 4
_SQUEEZE = 1.6
"""Ratio of an affine map's axes up to which it may be a turned head's."""
_STILL = 0.05
"""Distance in pixels below which a pixel keeps its value."""
_SUBPIXEL = 4
"""Vertices are rasterised to 1 / 2**4 of a pixel."""


def check_landmarks(points: Points, what: str) -> None:
    """Raise `ShapeError` unless `points` are (189, 2), finite, and not all in one place."""
    if points.shape != (189, 2) or not np.isfinite(points).all():
        raise ShapeError(f"{what} needs 189 finite landmarks (189, 2); got {points.shape}.")
    if np.ptp(points, axis=0).max() < 1.0:
        raise ShapeError(f"{what} needs landmarks that are at least a pixel apart.")


def pupil_distance(landmarks: Points) -> float:
    """The face's unit of length in pixels; robust where the two pupils' points are not."""
    linear = similarity(mean_shape(), landmarks)[:, :2]
    return float(np.hypot(linear[0, 0], linear[1, 0]))


def framed(landmarks: Points, *, around: Points | None = None) -> Points:
    """`CONTROL` landmarks and a ring of border points around the head.

    Args:
        landmarks: (189, 2) x, y.
        around: (189, 2) landmarks to lay the ring around, in place of `landmarks`: those of the
            same face before it moved, so that its surroundings stay.

    Returns:
        (len(CONTROL) + 16, 2) x, y in the landmarks' pixels; the ring comes last.
    """
    to_face = similarity(mean_shape(), landmarks if around is None else around)
    return np.concatenate([uncrossed(landmarks)[list(CONTROL)], warp_points(_ring(), to_face)])


def uncrossed(landmarks: Points) -> Points:
    """Inner lip lines that cross, as hand-set points of a closed mouth may, meet half-way."""
    upper, lower = list(UPPER_LIP_EDGE), list(LOWER_LIP_EDGE)
    down = similarity(mean_shape(), landmarks)[:, 1]
    crossed = (landmarks[lower] - landmarks[upper]) @ down < 0
    out = landmarks.copy()
    middle = (landmarks[lower] + landmarks[upper]) / 2
    out[upper] = np.where(crossed[:, None], middle, landmarks[upper])
    out[lower] = np.where(crossed[:, None], middle, landmarks[lower])
    return out


def _ring() -> Points:
    angles = np.arange(_RING) * (2 * np.pi / _RING)
    return np.column_stack([np.cos(angles), np.sin(angles)]) * _RADIUS + (0.0, 0.3)


@cache
def face_triangles() -> Triangles:
    """(T, 3) int32 indices into `framed` points: Delaunay of the mean shape, mouth ajar.

    The mean mouth is closed, its two inner lip lines one and the same; ajar, the gap between them
    gets triangles of its own, empty on a closed mouth, so that a mouth can open and close.
    """
    shape = mean_shape().copy()
    shape[list(LOWER_LIP_EDGE), 1] += 0.03
    return delaunay(np.concatenate([shape[list(CONTROL)], _ring()]))


def settled(landmarks: Points) -> Points:
    """Landmarks that keep the mean face's order: lips do not cross, no triangle is turned over.

    Where they would be (hand-set points that traded places, a fit that went astray), the points
    concerned are drawn towards the mean shape, brought onto the face by an affine map.

    Args:
        landmarks: (189, 2) x, y.

    Returns:
        (189, 2); the same where nothing folds.
    """
    out = uncrossed(landmarks)
    shape = np.column_stack([mean_shape(), np.ones(len(landmarks))])
    alike = warp_points(mean_shape(), similarity(mean_shape(), landmarks))
    affine = np.linalg.lstsq(shape, landmarks, rcond=None)[0]
    likely = np.linalg.det(affine[:2]) > 0 and np.linalg.cond(affine[:2]) < _SQUEEZE
    rest = uncrossed(shape @ affine) if likely else alike
    for _ in range(_ROUNDS):  # the border points follow what the last round left
        points = framed(out)
        free = unfolded(points, framed(rest, around=out))
        if free is points:
            return out
        out = out.copy()
        out[list(CONTROL)] = free[: len(CONTROL)]
    return alike


def unfolded(points: Points, rest: Points) -> Points:
    """`framed` points drawn towards `rest`, which must not fold, wherever triangles turn over."""
    triangles = face_triangles()
    unit = float(np.linalg.norm(rest[-1] - rest[-1 - _RING // 2])) / (2 * _RADIUS)
    kept = np.ones((len(points), 1))
    out = points
    for step in range(_STEPS):
        folded = _areas(out, triangles) < -_FOLD * unit**2
        if not folded.any():
            return out
        kept[np.unique(triangles[folded])] *= 0.5
        if step >= _STEPS // 2:  # the neighbours are what is wrong
            kept *= 0.5
        out = rest + kept * (points - rest)
    return rest


def delaunay(points: Points) -> Triangles:
    """(T, 3) int32: the Delaunay triangulation of (N, 2) points, all turned the same way.

    Of points in one place only one has triangles; slivers along the hull may be missing.

    Raises:
        ShapeError: the points span no triangle.
    """
    span = float(np.ptp(points, axis=0).max())
    places = ((points - points.min(axis=0)) * (_GRID / max(span, 1e-9))).astype(np.float32)
    number = {(float(x), float(y)): index for index, (x, y) in enumerate(places)}
    division = cv2.Subdiv2D((-1, -1, int(_GRID) + 2, int(_GRID) + 2))
    for x, y in number:
        division.insert((x, y))
    corners = np.asarray(division.getTriangleList(), np.float64).reshape(-1, 3, 2).tolist()
    # the division's own outermost vertices are none of the points
    found = [[number.get((x, y), -1) for x, y in triangle] for triangle in corners]
    triangles = np.array([t for t in found if min(t) >= 0], np.int32).reshape(-1, 3)
    if not len(triangles):
        raise ShapeError("The landmarks lie on one line: they span no triangles.")
    turned = _areas(points, triangles) < 0
    triangles[turned] = triangles[turned][:, ::-1]
    return triangles


def _areas(points: Points, triangles: Triangles) -> NDArray[np.float64]:
    """Signed areas, positive for the orientation that `delaunay` gives."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    u, v = b - a, c - a
    return np.asarray((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2)


def dense_map(
    shape: tuple[int, int], to: Points, source: Points, triangles: Triangles, beyond: Matrix
) -> Field:
    """The map that carries `source` points to `to` points, affine in each triangle.

    Args:
        shape: (H, W) of the result.
        to: (N, 2) x, y where the points are in the result.
        source: (N, 2) x, y where they are in the picture that is warped.
        triangles: (T, 3) int32 indices of points; they must not overlap in `to`.
        beyond: (2, 3) affine map from result to source for pixels in no triangle.

    Returns:
        (H, W, 2) float32 for `cv2.remap`. A pixel on an edge may take either triangle; what it
        shows lies within a pixel of that triangle's bounds in the source, however thin it is.
    """
    height, width = shape
    kept = triangles[np.abs(_areas(to, triangles)) > _SLIVER]
    label = np.zeros(shape, np.int32)
    corners = np.rint(to[kept] * 2**_SUBPIXEL).clip(-(2**28), 2**28).astype(np.int32)
    for number, corner in enumerate(corners, 1):
        cv2.fillConvexPoly(label, corner, number, shift=_SUBPIXEL)

    vertices = np.concatenate([to[kept], np.ones((len(kept), 3, 1))], 2)
    affine = np.linalg.solve(vertices, source[kept])  # (T, 3, 2): x, y and 1 to the source
    lowest, highest = source[kept].min(axis=1) - 1, source[kept].max(axis=1) + 1
    x = np.arange(width, dtype=np.float32)
    y = np.arange(height, dtype=np.float32)[:, None]
    field = np.empty((height, width, 2), np.float32)
    for axis in (0, 1):
        table = np.concatenate([beyond[None].transpose(0, 2, 1), affine])[..., axis]
        at_x, at_y, shift = (column.astype(np.float32)[label] for column in table.T)
        value = at_x * x + at_y * y + shift
        low = np.append(-np.inf, lowest[:, axis]).astype(np.float32)
        high = np.append(np.inf, highest[:, axis]).astype(np.float32)
        field[..., axis] = np.clip(value, low[label], high[label])
    return field


def face_map(shape: tuple[int, int], to: Points, source: Points) -> Field:
    """`dense_map` between two faces' `settled` landmarks, both (189, 2); (H, W, 2) float32."""
    points, origin = framed(to), framed(source)
    beyond = similarity(points[-_RING:], origin[-_RING:])
    return dense_map(shape, points, origin, face_triangles(), beyond)


def apply(image: UInt8Image, field: Field, interpolation: int = cv2.INTER_LINEAR) -> UInt8Image:
    """Sample a picture by a dense map; beyond its edges it is mirrored, once."""
    height, width = image.shape[:2]
    # OpenCV mirrors again and again: of a map that leads far away it would never be done, nor,
    # with BORDER_REFLECT_101 and cubic kernels, of a picture one pixel high
    x, y = field[..., 0].clip(-width, 2 * width), field[..., 1].clip(-height, 2 * height)
    return np.asarray(cv2.remap(image, x, y, interpolation, borderMode=cv2.BORDER_REFLECT))


def within(field: Field, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool, True where a dense map stays in a source picture of `shape` (H, W)."""
    height, width = shape
    x, y = field[..., 0], field[..., 1]
    return np.asarray((x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1))


def displaced(field: Field) -> NDArray[np.bool_]:
    """(H, W) bool, True where a dense map shows another place than the pixel's own."""
    height, width = field.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    return np.asarray(np.hypot(field[..., 0] - x, field[..., 1] - y) > _STILL)
