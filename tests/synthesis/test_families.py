"""What every family of forgeries promises: exact masks, determinism, clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unmask.errors import ShapeError
from unmask.synthesis import blend
from unmask.synthesis.families import FAMILIES
from unmask.synthesis.shape import HULLS, Points, dense_landmarks, mean_shape, region_points
from unmask.synthesis.upsample import UPSAMPLERS
from unmask.types import UInt8Image

every_family = pytest.mark.parametrize("name", FAMILIES)
SEEDS = range(8)


@every_family
def test_the_mask_covers_what_was_changed(
    name: str, sample: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    face, points = sample()
    grounds: list[UInt8Image] = []
    composite = blend.composite

    def watched(inner: UInt8Image, outer: UInt8Image, alpha: blend.Alpha) -> object:
        grounds.append(outer)
        return composite(inner, outer, alpha)

    monkeypatch.setattr(blend, "composite", watched)
    for seed in SEEDS:
        grounds[:] = [face]
        fake, mask = FAMILIES[name](face, points, np.random.default_rng(seed))
        assert fake.shape == face.shape
        assert (fake.dtype, mask.dtype, mask.shape) == (np.uint8, np.bool_, face.shape[:2])
        changed = (fake != grounds[-1]).any(axis=2)
        assert mask[changed].mean() >= 0.995
        assert mask.any()


@every_family
def test_a_forgery_differs_visibly_inside_its_mask(name: str, sample: Any) -> None:
    faint = 0
    for seed in range(12):
        face, points = sample(seed=seed)
        fake, mask = FAMILIES[name](face, points, np.random.default_rng(seed))
        difference = np.abs(fake.astype(float) - face)[mask].mean()
        faint += difference < 0.3
    assert faint <= 2


@every_family
def test_the_seed_decides(name: str, sample: Any) -> None:
    face, points = sample()
    before = face.copy()
    made = [FAMILIES[name](face, points, np.random.default_rng(seed)) for seed in (5, 5, 6)]
    np.testing.assert_array_equal(made[0][0], made[1][0])
    np.testing.assert_array_equal(made[0][1], made[1][1])
    assert (made[0][0] != made[2][0]).any()
    np.testing.assert_array_equal(face, before)


@every_family
@pytest.mark.parametrize("side", [32, 33, 47])
def test_small_and_grey_faces_work(name: str, side: int, sample: Any) -> None:
    small, points = sample(side)
    grey = np.full((side, side, 3), 128, np.uint8)
    for face in (small, grey):
        for seed in SEEDS:
            fake, mask = FAMILIES[name](face, points, np.random.default_rng(seed))
            assert fake.shape == face.shape
            assert mask.any()


@every_family
def test_a_read_only_face_is_enough(name: str, sample: Any) -> None:
    face, points = sample(64)
    face = face.copy()
    face.flags.writeable = False  # crops are views of a file
    for seed in range(3):
        FAMILIES[name](face, points, np.random.default_rng(seed))


@every_family
def test_bad_pictures_are_refused(name: str, sample: Any) -> None:
    _, points = sample()
    with pytest.raises(ShapeError, match="uint8 RGB"):
        FAMILIES[name](np.zeros((32, 32), np.uint8), points, np.random.default_rng(0))


def test_self_blend_refuses_landmarks_outside(sample: Any) -> None:
    face, points = sample()
    for seed in SEEDS:
        with pytest.raises(ShapeError, match="landmarks lie outside the 160 x 160 picture"):
            FAMILIES["self_blend"](face, points + 1000, np.random.default_rng(seed))


def test_self_blend_never_replaces_everything_for_want_of_a_region(sample: Any) -> None:
    # a hull that only touches the corner may be moved out of the picture
    face, points = sample()
    corner = (points - points.max(axis=0)) + 0.6
    refused = []
    for seed in range(30):
        try:
            _, mask = FAMILIES["self_blend"](face, corner, np.random.default_rng(seed))
        except ShapeError as error:
            refused.append(str(error))
        else:
            assert mask.mean() < 0.25
    assert refused
    assert all("outside the" in r or "out of the picture" in r for r in refused)


def test_softening_leaves_a_small_region_visible() -> None:
    for seed in range(40):
        alpha = np.zeros((64, 64), np.float32)
        alpha[26:38, 24:40] = 1.0
        soft = blend.soften(alpha, np.random.default_rng(seed))
        assert soft.max() == pytest.approx(0.25, abs=1e-6) or soft.max() >= 0.49
        assert soft.min() >= 0
        assert soft.max() <= 1
        assert soft[0].max() < 0.2  # far from the region
    with pytest.raises(ShapeError, match="moved out of the picture"):
        blend.soften(np.zeros((64, 64), np.float32), np.random.default_rng(0))


def test_composite_is_alpha_blending() -> None:
    rng = np.random.default_rng(0)
    inner, outer = rng.integers(0, 256, (2, 9, 8, 3), dtype=np.uint8)
    alpha = rng.random((9, 8)).astype(np.float32)
    alpha[0], alpha[1], alpha[2] = 0.0, 1.0, 0.001
    fake, mask = blend.composite(inner, outer, alpha)
    mixed = inner * alpha[..., None].astype(float) + outer * (1 - alpha[..., None].astype(float))
    assert np.abs(fake - mixed).max() <= 0.51
    np.testing.assert_array_equal(fake[0], outer[0])
    np.testing.assert_array_equal(fake[1], inner[1])
    np.testing.assert_array_equal(fake[2], outer[2])
    assert not mask[0].any()
    assert mask[1].all()
    assert not mask[2].any()


def test_affine_moves_picture_and_alpha_alike(sample: Any) -> None:
    face, _ = sample()
    spot = np.zeros(face.shape[:2], np.float32)
    spot[70:90, 50:110] = 1.0
    marked = (spot * 255).astype(np.uint8)[..., None].repeat(3, 2)
    moved, alpha = blend.affine(marked, spot, np.random.default_rng(4))
    assert np.abs(moved[..., 0] / 255 - alpha).max() < 0.02
    assert np.abs(alpha - spot).max() > 0.5


def test_landmarks_follow_the_five_points() -> None:
    five = np.array([[50.0, 60], [90, 60], [70, 85], [55, 105], [85, 105]])
    dense = dense_landmarks(five)
    assert dense.shape == mean_shape().shape == (189, 2)
    fitted = dense[[0, 1, 55, 87, 93]]
    assert np.abs(fitted - five).max() < 6
    turn = np.array([[0.0, -2], [2, 0]])
    np.testing.assert_allclose(dense_landmarks(five @ turn.T + 7), dense @ turn.T + 7, atol=1e-6)
    for bad in (five[:4], np.full((5, 2), 3.0), np.full((5, 2), np.nan)):
        with pytest.raises(ShapeError, match="dense_landmarks needs"):
            dense_landmarks(bad)


def test_regions_are_hulls_of_the_landmarks(sample: Any) -> None:
    _, points = sample()
    unit = float(np.linalg.norm(points[1] - points[0]))
    sizes = {len(h): np.array(h) for h in HULLS.values()}
    seen: set[int] = set()
    for seed in range(40):
        region: Points = region_points(points, np.random.default_rng(seed), jitter=0.01)
        seen.add(len(region))
        assert np.abs(region - points[sizes[len(region)]]).max() < 0.06 * unit
    assert seen == set(sizes)


def test_all_upsamplers_are_drawn(sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from unmask.synthesis import upsample

    drawn: list[str] = []
    rebuild = upsample.rebuild

    def watched(face: UInt8Image, kind: str, factor: float, rng: np.random.Generator) -> object:
        drawn.append(kind)
        return rebuild(face, kind, factor, rng)

    monkeypatch.setattr(upsample, "rebuild", watched)
    face, points = sample(48)
    for seed in range(40):
        upsample.reupsample(face, points, np.random.default_rng(seed))
    assert set(drawn) == set(UPSAMPLERS)
