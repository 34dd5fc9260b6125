"""Inpainting: the mask is the region, the filling knows nothing of what was there."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis import patch_fill as patches
from unmask.synthesis.inpaint import (
    INPAINTERS,
    PARTS,
    REGIONS,
    continue_inwards,
    draw_region,
    inpaint,
)
from unmask.synthesis.patch_fill import patch_fill

every_kind = pytest.mark.parametrize("kind", INPAINTERS)


def stripes(side: int = 96, period: int = 8) -> Any:
    """Slanted lines: a texture that only copying continues."""
    y, x = np.mgrid[:side, :side]
    wave = 128 + 100 * np.sign(np.sin(2 * np.pi * (x + y) / period))
    return np.stack([wave, 255 - wave, wave], axis=2).astype(np.uint8)


def square(side: int = 96, reach: int = 10) -> Any:
    hole = np.zeros((side, side), bool)
    middle = side // 2
    hole[middle - reach : middle + reach, middle - reach : middle + reach] = True
    return hole


@every_kind
def test_what_was_there_is_never_looked_at(kind: str, sample: Any) -> None:
    face, points = sample(120)
    for seed in range(4):
        fake, mask = inpaint(face, points, np.random.default_rng(seed), kind)
        other = face.copy()
        other[mask] = np.random.default_rng(99).integers(0, 256, (int(mask.sum()), 3))
        again, same = inpaint(other, points, np.random.default_rng(seed), kind)
        np.testing.assert_array_equal(mask, same)
        np.testing.assert_array_equal(fake, again)
        np.testing.assert_array_equal(fake[~mask], face[~mask])
        # something of the region is really gone
        assert np.abs(fake[mask].astype(float) - face[mask]).mean() > 2


@every_kind
def test_a_plain_picture_is_continued(kind: str, sample: Any) -> None:
    _, points = sample(96)
    plain = np.full((96, 96, 3), (200, 150, 120), np.uint8)
    for seed in range(4):
        spoilt = plain.copy()
        _, mask = inpaint(plain, points, np.random.default_rng(seed), kind)
        spoilt[mask] = 0
        fake, _ = inpaint(spoilt, points, np.random.default_rng(seed), kind)
        # OpenCV's Telea rounds down on the way in
        assert np.abs(fake.astype(int) - plain).max() <= (6 if kind == "telea" else 1)


@pytest.mark.parametrize("kind", ["telea", "navier_stokes"])
def test_filling_a_window_is_filling_the_picture(kind: str, sample: Any) -> None:
    face, points = sample(140)
    method = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}[kind]
    for name in REGIONS:
        hole = draw_region(points, face.shape[:2], np.random.default_rng(3), name)
        whole = cv2.inpaint(face, hole.astype(np.uint8), 4.0, method)
        np.testing.assert_array_equal(continue_inwards(face, hole, kind, 4.0), whole)


def test_patches_continue_a_texture_that_diffusion_cannot() -> None:
    picture, hole = stripes(), square()
    spoilt = picture.copy()
    spoilt[hole] = 0
    copied = np.abs(patch_fill(spoilt, hole, np.random.default_rng(0)).astype(int) - picture)
    smooth = np.abs(continue_inwards(spoilt, hole, "telea", 4.0).astype(int) - picture)
    assert copied[hole].mean() < 20
    assert smooth[hole].mean() > 50


def test_the_search_finds_the_exact_copy(sample: Any) -> None:
    # tiles of 20 pixels without a seam: what the hole hides stands whole beside it
    quarter = sample(96, seed=4)[0][40:50, 40:50]
    half = np.concatenate([quarter, quarter[::-1]])
    picture = np.tile(np.concatenate([half, half[:, ::-1]], axis=1), (5, 5, 1))
    hole = np.zeros((100, 100), bool)
    hole[45:54, 42:51] = True
    fake = patch_fill(np.where(hole[..., None], 0, picture).astype(np.uint8), hole, rng(1))
    assert np.abs(fake.astype(int) - picture)[hole].mean() < 3
    blurred = continue_inwards(picture, hole, "telea", 4.0)
    assert np.abs(blurred.astype(int) - picture)[hole].mean() > 6


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_search_never_makes_a_match_worse(sample: Any) -> None:
    face = sample(64)[0].astype(np.float32)
    level = patches._guessed(patches._level(face, square(64, 6)))
    size = 2 * level.radius + 1
    windows = np.lib.stride_tricks.sliding_window_view(level.picture, (size, size), axis=(0, 1))
    known = windows[level.usable].reshape(int(level.usable.sum()), -1)
    targets = windows[level.where[0], level.where[1]].reshape(level.where.shape[1], -1)
    rows = np.full(level.hole.shape, -1, np.intp)
    rows[level.usable] = np.arange(level.usable.sum())
    exact = ((targets[:, None] - known[None]) ** 2).sum(axis=2).min(axis=1)
    matches = patches._anywhere(level, rng(0))
    means = []
    last = None
    for turn in range(8):
        matches, distance = patches._search(level, matches, targets, known, rows, rng(turn))
        assert level.usable[matches[0], matches[1]].all()
        true = ((targets - known[rows[matches[0], matches[1]]]) ** 2).sum(axis=1)
        np.testing.assert_allclose(distance, true, rtol=1e-4)
        assert (distance >= exact * (1 - 1e-4)).all()
        assert last is None or (distance <= last * (1 + 1e-4)).all()
        last = distance
        means.append(float(distance.mean()))
    assert means[-1] < 1.3 * exact.mean() < means[0]


def test_large_holes_take_over_the_matches_of_a_coarser_level(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patches, "SEARCHED", 150)
    picture, hole = stripes(128, 16), square(128, 12)
    spoilt = picture.copy()
    spoilt[hole] = 0
    fake = patch_fill(spoilt, hole, rng(0))
    np.testing.assert_array_equal(fake[~hole], picture[~hole])
    assert np.abs(fake.astype(int) - picture)[hole].mean() < 30
    # copied, not averaged: as much contrast as around it
    assert fake[hole].std() > 0.8 * picture[~hole].std()


def test_an_empty_hole_changes_nothing_and_a_full_one_is_refused() -> None:
    picture = stripes(40)
    np.testing.assert_array_equal(patch_fill(picture, np.zeros((40, 40), bool), rng(0)), picture)
    hole = np.ones((40, 40), bool)
    hole[0] = False
    with pytest.raises(ShapeError, match="picture shows too little beside the region"):
        patch_fill(picture, hole, rng(0))


def test_regions_lie_where_their_names_say(sample: Any) -> None:
    _, points = sample()
    unit = float(np.linalg.norm(points[1] - points[0]))
    for name, indices in PARTS.items():
        for seed in range(5):
            region = draw_region(points, (160, 160), np.random.default_rng(seed), name)
            y, x = np.nonzero(region)
            middle = np.array([x.mean(), y.mean()])
            aim = (points[list(indices)].max(axis=0) + points[list(indices)].min(axis=0)) / 2
            assert np.abs(middle - aim).max() < 0.2 * unit
            inside = np.rint(points[list(indices)].mean(axis=0)).astype(int)
            assert region[inside[1], inside[0]]


def test_free_forms_stay_on_the_face_and_vary(sample: Any) -> None:
    _, points = sample()
    box = np.array([points[109:145].min(axis=0), points[109:145].max(axis=0)])
    for name in ("strokes", "blobs"):
        areas = []
        for seed in range(12):
            region = draw_region(points, (160, 160), np.random.default_rng(seed), name)
            y, x = np.nonzero(region)
            assert x.min() >= box[0, 0] - 1
            assert x.max() <= box[1, 0] + 1
            assert y.max() <= box[1, 1] + 1
            areas.append(region.sum())
        assert max(areas) > 2 * min(areas)


def test_all_kinds_and_regions_are_drawn(sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.synthesis import inpaint as module

    drawn: set[str] = set()
    filled = module.continue_inwards

    def watched(face: Any, hole: Any, kind: str, radius: float) -> Any:
        drawn.add(kind)
        return filled(face, hole, kind, radius)

    monkeypatch.setattr(module, "continue_inwards", watched)
    monkeypatch.setattr(module, "patch_fill", lambda face, *_: (drawn.add("patch"), face)[1])
    face, points = sample(64)
    masks = [inpaint(face, points, np.random.default_rng(s))[1].tobytes() for s in range(40)]
    assert drawn == set(INPAINTERS)
    assert len(set(masks)) == 40


def test_what_cannot_work_is_refused(sample: Any) -> None:
    face, points = sample(64)
    with pytest.raises(ConfigError, match=r"no inpainter 'criminisi'; choose of telea"):
        inpaint(face, points, rng(0), "criminisi")
    with pytest.raises(ConfigError, match=r"no region 'ear'; choose of left_eye"):
        inpaint(face, points, rng(0), region="ear")
    for region in REGIONS:
        with pytest.raises(ShapeError, match="outside the"):
            inpaint(face, points + 1000, rng(0), region=region)
    near = points - points[list(PARTS["forehead"])].mean(axis=0)
    with pytest.raises(ShapeError, match="covers the whole 64 x 64 picture"):
        inpaint(face, near * 60 + 32, rng(0), region="forehead")
