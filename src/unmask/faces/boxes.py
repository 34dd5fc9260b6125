"""Arithmetic on boxes: overlap, non-maximum suppression, squares. NumPy only.

Boxes are xyxy in continuous pixel coordinates: pixel (column 0) covers [0, 1), so a box's width is
x1 - x0 and there is no "+ 1" anywhere.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
BLOCK = 32
"""Boxes whose overlaps `suppress` takes at once."""


def areas(boxes: Boxes) -> NDArray[np.float64]:
    """(N, 4) boxes -> (N,) areas; a box turned inside out has area zero."""
    sides = np.clip(boxes[..., 2:] - boxes[..., :2], 0.0, None)
    return np.asarray(sides[..., 0] * sides[..., 1], dtype=np.float64)


def overlap(one: Boxes, many: Boxes, *, over: Literal["union", "smaller"]) -> NDArray[np.float64]:
    """Intersection of one box with each of many, relative to their union or the smaller of the two.

    Args:
        one: (4,) or broadcastable to `many`, e.g. (M, 1, 4).
        many: (N, 4).
        over: `union` gives the usual IoU; `smaller` gives 1 for a box inside another.

    Returns:
        (N,) or (M, N) in [0, 1]; 0 where either box is empty.
    """
    low = np.maximum(one[..., :2], many[..., :2])
    high = np.minimum(one[..., 2:], many[..., 2:])
    sides = np.clip(high - low, 0.0, None)
    shared = sides[..., 0] * sides[..., 1]
    first, second = areas(one), areas(many)
    base = first + second - shared if over == "union" else np.minimum(first, second)
    share: NDArray[np.float64] = np.divide(shared, base, out=np.zeros_like(shared), where=base > 0)
    return share


def suppress(
    boxes: Boxes,
    scores: NDArray[np.float64],
    threshold: float,
    *,
    over: Literal["union", "smaller"] = "union",
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression.

    Args:
        boxes: (N, 4).
        scores: (N,), higher is better; ties go to the earlier box.
        threshold: a box overlapping a better one by more than this is dropped.

    Returns:
        Indices of the boxes that stay, best first.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    # a block of the best at a time: each step of NumPy's costs more than what it does
    while order.size:
        best = order[:BLOCK]
        near = overlap(boxes[best][:, None], boxes[order], over=over) > threshold
        dropped = np.zeros(order.size, bool)
        for row, index in enumerate(best.tolist()):
            if not dropped[row]:
                kept.append(index)
                dropped |= near[row]
        order = order[best.size :][~dropped[best.size :]]
    return np.asarray(kept, dtype=np.intp)


def squared(boxes: Boxes) -> Boxes:
    """(N, 4) boxes -> squares with the same centres and the longer side."""
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centres - half, centres + half], axis=1)


def regressed(boxes: Boxes, offsets: NDArray[np.floating]) -> Boxes:
    """Move each side of (N, 4) boxes by (N, 4) offsets given in units of the box's own sides."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    return boxes + offsets * sides
