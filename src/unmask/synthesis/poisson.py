"""Poisson blending: a patch keeps its gradients and takes its seam's colours from the ground.

Source: Perez, Gangnet & Blake, "Poisson Image Editing", ACM Transactions on Graphics 22(3), 2003,
in its membrane form: the patch plus the harmonic function that equals the difference of ground and
patch around the region. Written here since OpenCV's `seamlessClone` changes pixels outside the
mask, and masks must be exact.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.synthesis.blend import Mask
from unmask.types import UInt8Image

_NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.float32) / 4
_COARSEST = 8
"""Side in pixels below which a level is not halved any more."""
_SMALL = 80
"""Side in pixels up to which steps cost so little that three times as many are taken."""
_STEPS = 24
_RADIUS = 0.995
"""Steps per level, and the spectral radius they assume of Jacobi's iteration: together they take
waves of up to some 30 pixels away, and the coarser levels have seen to the longer ones."""


def poisson_blend(
    patch: UInt8Image, ground: UInt8Image, where: Mask, *, limit: float = 255.0
) -> UInt8Image:
    """`patch` pasted into `ground` seamlessly.

    Args:
        patch: (H, W, 3) uint8 RGB.
        ground: likewise.
        where: (H, W) bool, the region to paste.
        limit: largest difference at the seam, in grey levels, that is spread over the patch: hair
            or background at the seam would otherwise bleed into it.

    Returns:
        `ground` outside `where`, exactly; within it the patch plus the membrane. At the picture's
        own edges the membrane is level (Neumann). Where the region has no surroundings at all,
        the patch is pasted as it is.
    """
    if where.all():
        return patch.copy()
    difference = ground.astype(np.float32) - patch.astype(np.float32)
    pasted = patch.astype(np.float32) + membrane(np.clip(difference, -limit, limit), where)
    pixels = np.rint(np.clip(pasted, 0, 255)).astype(np.uint8)
    return np.where(where[..., None], pixels, ground)


def membrane(values: NDArray[np.float32], where: Mask) -> NDArray[np.float32]:
    """Fill `where` with the harmonic function that meets `values` around it.

    Solved from coarse to fine (cascadic multigrid): each level starts from the one above and is
    relaxed by Jacobi steps under Chebyshev acceleration (Golub & Varga 1961).

    Args:
        values: (H, W, C) float32, given outside `where`.
        where: (H, W) bool, not all True; the pixels to solve for.

    Returns:
        (H, W, C) float32, equal to `values` outside `where`.
    """
    height, width = where.shape
    start = _coarse_start(values, where)
    free = where.astype(np.float32)[..., None]
    fixed = values * (1 - free)
    out = fixed + start * free
    before, weight = out, 1.0
    for step in range(_STEPS if max(height, width) > _SMALL else 3 * _STEPS):
        mean = cv2.filter2D(out, -1, _NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
        relaxed = fixed + mean.reshape(out.shape) * free
        if step:
            weight = 1 / (1 - _RADIUS**2 * (0.5 if step == 1 else weight / 4))
        before, out = out, before + weight * (relaxed - before)
    return np.asarray(out, np.float32)


def _coarse_start(values: NDArray[np.float32], where: Mask) -> NDArray[np.float32]:
    """First guess: the solution at half the size, or the mean of what is given."""
    height, width = where.shape
    known = (~where).astype(np.float32)
    if max(height, width) <= _COARSEST or not where.any():
        mean = (values * known[..., None]).sum((0, 1)) / max(1.0, float(known.sum()))
        return np.broadcast_to(mean.astype(np.float32), values.shape)
    size = ((width + 1) // 2, (height + 1) // 2)
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    sums = cv2.resize(values * known[..., None], size, interpolation=cv2.INTER_AREA)
    sums = sums.reshape(*share.shape, -1)
    coarse = membrane(sums / np.maximum(share, 1e-6)[..., None], share <= 0)
    grown = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(grown.reshape(values.shape), np.float32)
