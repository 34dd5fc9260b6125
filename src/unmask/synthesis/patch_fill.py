"""Exemplar-based filling: a hole rebuilt from patches of its surroundings.

Two papers together. Wexler, Shechtman & Irani 2007, "Space-Time Completion of Video": coarse to
fine, every patch that touches the hole is matched with a known one, and every pixel of the hole
becomes the weighted mean of what the matches say of it. Barnes et al. 2009, "PatchMatch": the
matches are found by random guesses that spread to neighbours, all targets at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.random import Generator
from numpy.typing import NDArray

from unmask.errors import ShapeError
from unmask.synthesis.blend import Mask
from unmask.types import UInt8Image

FloatImage = NDArray[np.float32]
Index = NDArray[np.intp]

PATCH = 7
DECAY = 1.3
"""How much less a patch counts per pixel that its centre lies deeper in the hole (the paper's)."""
SEARCHED = 6000
"""A level whose hole has more pixels than this takes over the matches of the one below."""
_STEPS = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(slots=True)
class _Level:
    """One scale of the pyramid, with a border of half a patch mirrored around it.

    Attributes:
        picture: (h + 2r, w + 2r, 3) float32; the hole holds the present estimate.
        hole: (h, w) bool, unknown.
        usable: (h, w) bool: the patch around it is whole and known.
        where: (2, N) y, x of the targets: patches that touch the hole.
        trust: (N,) weight by the centre's depth in the hole.
    """

    picture: FloatImage
    hole: Mask
    usable: Mask
    where: Index
    trust: FloatImage
    radius: int


def patch_fill(image: UInt8Image, hole: Mask, rng: Generator) -> UInt8Image:
    """Fill a hole with patches of what surrounds it.

    Args:
        image: (H, W, 3) uint8 RGB; what it shows inside the hole is never looked at.
        hole: (H, W) bool, True where it is to be filled.
        rng: starts the search for matches.

    Returns:
        (H, W, 3) uint8; equal to `image` outside the hole.

    Raises:
        ShapeError: no patch of the picture is free of the hole.
    """
    if not hole.any():
        return image.copy()
    window = _surroundings(hole)
    pyramid = _pyramid(image[window].astype(np.float32), hole[window])
    matches: Index | None = None
    previous: _Level | None = None
    for depth, (picture, missing) in reversed(list(enumerate(pyramid))):
        level = _level(picture, missing)
        if previous is None or matches is None:
            level = _guessed(level)
            matches = _anywhere(level, rng)
        else:
            matches = _finer(matches, previous, level, rng)
            _vote(level, matches, np.zeros(len(level.trust), np.float32), 1.0)
        if missing.sum() <= SEARCHED or depth == len(pyramid) - 1:
            matches = _settle(level, matches, rng, rounds=min(2 + 2 * depth, 8))
        previous = level
    assert previous is not None
    out = image.copy()
    r = previous.radius
    filled = np.clip(np.rint(previous.picture[r:-r, r:-r]), 0, 255).astype(np.uint8)
    out[hole] = filled[hole[window]]
    return out


def _surroundings(hole: Mask) -> tuple[slice, slice]:
    """The hole's box, wider on each side by two thirds of its longer side."""
    spans = [np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0)]
    wider = max(24, *(2 * int(np.ptp(span)) // 3 for span in spans))
    y, x = (
        slice(max(0, int(span[0]) - wider), min(length, int(span[-1]) + 1 + wider))
        for span, length in zip(spans, hole.shape, strict=True)
    )
    return y, x


def _pyramid(picture: FloatImage, hole: Mask) -> list[tuple[FloatImage, Mask]]:
    """Halved until the hole is about a patch wide; each level averages known pixels only."""
    levels = [(picture, hole)]
    while True:
        picture, hole = levels[-1]
        deep = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3).max()
        if deep <= PATCH / 2 or min(hole.shape) < 6 * PATCH:
            return levels
        height, width = (side // 2 * 2 for side in hole.shape)
        known = (~hole[:height, :width]).astype(np.float32)
        blocks = known.reshape(height // 2, 2, width // 2, 2)
        share = blocks.mean(axis=(1, 3))
        small = (picture[:height, :width] * known[..., None]).reshape(
            height // 2, 2, width // 2, 2, 3
        ).mean(axis=(1, 3)) / np.maximum(share, 0.25)[..., None]
        if not _usable(share < 1, PATCH).any():
            return levels
        levels.append((small.astype(np.float32), share < 1))


def _usable(hole: Mask, size: int) -> Mask:
    """Centres of patches that are whole and show no pixel of the hole."""
    kernel = np.ones((size, size), np.uint8)
    known = (~hole).astype(np.uint8)
    eroded = cv2.erode(known, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(eroded.astype(bool))


def _level(picture: FloatImage, hole: Mask) -> _Level:
    for size in (PATCH, 5, 3):
        usable = _usable(hole, size)
        if usable.any():
            break
    else:
        raise ShapeError(
            "The picture shows too little beside the region to fill it from.",
            "Give a larger crop around the face.",
        )
    radius = size // 2
    kernel = np.ones((size, size), np.uint8)
    touching = cv2.dilate(hole.astype(np.uint8), kernel).astype(bool)
    where = np.array(np.nonzero(touching), np.intp)
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    trust = (DECAY ** -np.minimum(depth[touching], 40.0)).astype(np.float32)
    padded = np.pad(picture, ((radius, radius), (radius, radius), (0, 0)), mode="reflect")
    return _Level(padded, hole, usable, where, trust, radius)


def _guessed(level: _Level) -> _Level:
    """The coarsest estimate: diffused from the edge."""
    r = level.radius
    pixels = np.clip(np.rint(level.picture), 0, 255).astype(np.uint8)
    hole = np.pad(level.hole, r).astype(np.uint8)
    filled = cv2.inpaint(pixels, hole, 3, cv2.INPAINT_NS).astype(np.float32)
    level.picture = np.where(hole[..., None] > 0, filled, level.picture)
    return level


def _anywhere(level: _Level, rng: Generator) -> Index:
    """(2, N) a random usable patch for every target."""
    usable = np.array(np.nonzero(level.usable), np.intp)
    return usable[:, rng.integers(usable.shape[1], size=level.where.shape[1])]


def _finer(matches: Index, coarse: _Level, level: _Level, rng: Generator) -> Index:
    """The matches of half the size, doubled; random where they leave the usable patches."""
    field = np.zeros((2, *coarse.hole.shape), np.intp)
    field[:, coarse.where[0], coarse.where[1]] = matches - coarse.where
    edge = np.array(coarse.hole.shape)[:, None] - 1
    y, x = np.minimum(level.where // 2, edge)
    doubled = level.where + 2 * field[:, y, x]
    moved = _anywhere(level, rng)
    return np.where(_allowed(level, doubled), doubled, moved)


def _allowed(level: _Level, places: Index) -> Mask:
    height, width = level.hole.shape
    inside = (places >= 0).all(axis=0) & (places[0] < height) & (places[1] < width)
    y, x = np.where(inside, places, 0)
    return np.asarray(inside & level.usable[y, x])


def _settle(level: _Level, matches: Index, rng: Generator, *, rounds: int) -> Index:
    """Search and vote in turn; the last vote trusts only the best matches, to stay crisp."""
    size = 2 * level.radius + 1
    rows = np.full(level.hole.shape, -1, np.intp)
    rows[level.usable] = np.arange(level.usable.sum())
    windows = sliding_window_view(level.picture, (size, size), axis=(0, 1))
    known = windows[level.usable].reshape(int(level.usable.sum()), -1)
    for turn in range(rounds):
        windows = sliding_window_view(level.picture, (size, size), axis=(0, 1))
        targets = windows[level.where[0], level.where[1]].reshape(level.where.shape[1], -1)
        matches, distance = _search(level, matches, targets, known, rows, rng)
        spread = float(np.quantile(distance, 0.75 if turn < rounds - 1 else 0.25))
        _vote(level, matches, distance, max(spread, 1e-3))
    return matches


def _search(
    level: _Level,
    matches: Index,
    targets: FloatImage,
    known: FloatImage,
    rows: Index,
    rng: Generator,
) -> tuple[Index, FloatImage]:
    """One round of PatchMatch, all targets at once: (matches, squared distances)."""

    def distances(places: Index, of: Index) -> FloatImage:
        apart = known[rows[places[0], places[1]]] - targets[of]
        return np.asarray(np.einsum("nd,nd->n", apart, apart), np.float32)

    def offer(places: Index) -> None:
        chosen = np.flatnonzero(_allowed(level, places) & (places != matches).any(axis=0))
        found = distances(places[:, chosen], chosen)
        better = found < best[chosen]
        matches[:, chosen[better]] = places[:, chosen[better]]
        best[chosen[better]] = found[better]

    matches = matches.copy()
    best = distances(matches, np.arange(matches.shape[1]))
    order = np.full(np.array(level.hole.shape) + 2, -1, np.intp)
    order[level.where[0] + 1, level.where[1] + 1] = np.arange(matches.shape[1])
    for step in _STEPS:
        shift = np.array(step)[:, None]
        neighbour = order[level.where[0] + 1 + step[0], level.where[1] + 1 + step[1]]
        offer(np.where(neighbour >= 0, matches[:, neighbour] - shift, -1))
    reach = max(level.hole.shape) // 2
    while reach >= 1:
        offer(matches + rng.integers(-reach, reach + 1, matches.shape))
        reach //= 4
    return matches, best


def _vote(level: _Level, matches: Index, distance: FloatImage, spread: float) -> None:
    """Put the mean of what all matches say into the hole, closer matches counting more."""
    weight = level.trust * np.exp(-np.minimum(distance / (2 * spread), 30.0)) + 1e-12
    total = np.zeros(level.picture.shape[:2], np.float32)
    votes = np.zeros(level.picture.shape, np.float32)
    size = 2 * level.radius + 1
    for dy in range(size):
        for dx in range(size):
            said = level.picture[matches[0] + dy, matches[1] + dx]
            y, x = level.where[0] + dy, level.where[1] + dx
            votes[y, x] += said * weight[:, None]
            total[y, x] += weight
    inside = np.pad(level.hole, level.radius)
    level.picture[inside] = votes[inside] / total[inside][:, None]
    r = level.radius  # keep the mirrored border in step with what it mirrors
    level.picture = np.pad(level.picture[r:-r, r:-r], ((r, r), (r, r), (0, 0)), mode="reflect")
