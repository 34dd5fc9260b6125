"""Face swap: one person's face warped onto another's head, recoloured and blended in.

Source: the steps of Bitouk et al., "Face Swapping: Automatically Replacing Faces in Photographs",
ACM Transactions on Graphics 27(3), 2008, with the alignment done by landmarks: align, match the
colours, blend.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from unmask.errors import ShapeError
from unmask.faces.align import invert, similarity, warp_points
from unmask.synthesis.blend import Alpha, Mask, composite, hull_alpha
from unmask.synthesis.colour import transfer
from unmask.synthesis.poisson import poisson_blend
from unmask.synthesis.shape import BROWS, HAIRLINE, HULLS, MOUTH, Points, mean_shape
from unmask.synthesis.subject import Subject, checked, drawn_kind, fitted
from unmask.synthesis.warp import apply, face_map, pupil_distance, within
from unmask.types import UInt8Image

SWAP_KINDS = ("alpha", "poisson")
REGIONS = ("face", "face_and_forehead", "features")
"""Regions that are swapped: jaw to brows, to below the hairline, or brows to chin."""
_FEATURES = (*BROWS, *MOUTH, 165, 168, 174)
_CORE = (44, 49, 87, 93, 165, 166, 168, 169, 174, 52, 58)
"""Cheeks, nose, mouth and chin: skin in almost any pose; colours are measured there."""
_NETWORK_SIDES = (64, 96, 128, 160, 192, 256)
"""Sides in pixels at which generators of swaps work; their faces are then enlarged."""
_FACE_SIDE = 2.6
"""A face box's side in pupil distances."""


def face_swap(
    target: Subject, donor: Subject, rng: Generator, kind: str | None = None
) -> tuple[UInt8Image, Mask]:
    """Put the donor's face on the target's head.

    Region, colour transfer, softness of the edge and the resolution of the new face are drawn.

    Args:
        target: whose picture, pose and surroundings stay.
        donor: whose face is seen afterwards.
        rng: decides everything that is not given.
        kind: `alpha` (feathered edge) or `poisson` (the donor's gradients); random when None.

    Returns:
        fake: like the target's picture. mask: (H, W) bool, True where the donor's face has
        visible weight.

    Raises:
        ShapeError: a bad picture, or landmarks that do not fit their picture.
        ConfigError: unknown `kind`.
    """
    target, donor = checked(target, "face_swap's target"), checked(donor, "face_swap's donor")
    kind = drawn_kind(kind, SWAP_KINDS, "face_swap", rng)
    shape = target.image.shape[:2]
    region = hull_alpha(shape, swap_region(target.landmarks, rng))
    return grafted(target, donor, region, region, rng, kind, factor=_drawn_reduction(target, rng))


def grafted(
    target: Subject,
    donor: Subject,
    region: Alpha,
    coloured: Alpha,
    rng: Generator,
    kind: str,
    *,
    factor: float,
) -> tuple[UInt8Image, Mask]:
    """Lay a region of the donor's face over the target's: aligned, recoloured, blended in.

    Args:
        target, donor: `checked`.
        region: (H, W) float32 over the target's picture, 1 where the donor is to be seen.
        coloured: likewise, 1 where both faces' colours are measured: on the skin in it.
        rng: draws the kernel, the colour transfer and the softness of the edge.
        kind: of `SWAP_KINDS`.
        factor: how much coarser than the target the donor's part is, up to 1.

    Returns:
        fake and mask, as `face_swap`.

    Raises:
        ShapeError: the donor's landmarks lie outside its picture.
    """
    shape = target.image.shape[:2]
    source = fitted(donor, target, factor=factor)
    field = face_map(shape, target.landmarks, source.landmarks)
    seen = within(field, source.image.shape[:2])
    region, coloured = region * seen, coloured * seen
    if not region.any():
        raise ShapeError("The donor's landmarks lie outside its picture.")
    patch = apply(source.image, field, (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))])
    draw = float(rng.random())
    if draw < 0.9:
        method = "reinhard" if draw < 0.65 else "histogram"
        patch = transfer(patch, target.image, _skin(target.landmarks, coloured), method)
    unit = pupil_distance(target.landmarks)
    if kind == "poisson":
        patch = poisson_blend(patch, target.image, region > 0, limit=float(rng.uniform(20, 60)))
        width = float(rng.uniform(0.02, 0.08)) * unit
    else:
        width = max(1.5, float(rng.uniform(0.06, 0.35)) * unit)
    return composite(patch, target.image, feathered(region, width))


def swap_region(landmarks: Points, rng: Generator) -> Points:
    """Corners of a random one of `REGIONS`, a little smaller than its hull.

    Its upper edge runs clear of the brows: an edge through them would show both faces' brows.
    """
    name = REGIONS[int(rng.integers(len(REGIONS)))]
    chosen = _FEATURES if name == "features" else HULLS[name]
    to_face = similarity(mean_shape(), landmarks)
    points = warp_points(landmarks, invert(to_face))  # in pupil distances, upright
    brow = float(points[list(BROWS), 1].min())
    lifted = points.copy()
    lifted[list(BROWS), 1] -= float(rng.uniform(0.08, 0.25))
    hair = list(HAIRLINE)
    lifted[hair, 1] = brow + (points[hair, 1] - brow) * float(rng.uniform(0.4, 0.8))
    mouth = list(MOUTH)
    lifted[mouth] += (points[mouth] - points[mouth].mean(axis=0)) * 0.8
    region = lifted[list(chosen)]
    middle = (region.max(axis=0) + region.min(axis=0)) / 2
    smaller = middle + (region - middle) * rng.uniform(0.9, 1.0, 2)
    return warp_points(smaller, to_face)


def _skin(landmarks: Points, region: Alpha) -> Mask:
    """The part of a region where both faces show skin; all of it where they show none."""
    core = np.zeros_like(region)
    hull = cv2.convexHull(np.rint(landmarks[list(_CORE)]).astype(np.int32))
    cv2.fillConvexPoly(core, hull, 1.0)
    skin = (core > 0) & (region > 0)
    return skin if skin.any() else region > 0


def _drawn_reduction(target: Subject, rng: Generator) -> float:
    """How much coarser than the target the new face is: 1, or a network's side over its own."""
    side = _FACE_SIDE * pupil_distance(target.landmarks)
    drawn = _NETWORK_SIDES[int(rng.integers(len(_NETWORK_SIDES)))]
    return min(1.0, drawn / side) if rng.random() < 0.6 else 1.0


def feathered(region: Alpha, width: float) -> Alpha:
    """(H, W) float32: 0 outside a region of ones, rising to 1 within `width` pixels of its edge.

    A region thinner than that still reaches 1 in its middle.
    """
    depth = cv2.distanceTransform((region > 0).astype(np.uint8), cv2.DIST_L2, 3)
    reach = min(width, float(depth.max()))
    return np.asarray(np.minimum(depth, reach) / reach, np.float32)
