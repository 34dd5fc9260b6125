"""What every family of forgeries promises: exact masks, determinism, clear refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis import blend
from unmask.synthesis.blend import self_blend
from unmask.synthesis.families import (
    SPECS,
    TRAINING_FAMILIES,
    parse_family,
    variants,
)
from unmask.synthesis.shape import HULLS, Points, dense_landmarks, mean_shape, region_points
from unmask.synthesis.upsample import UPSAMPLERS
from unmask.types import UInt8Image

EVERY = [name for family, spec in SPECS.items() for name in (family, *variants(family, spec))]
every_family = pytest.mark.parametrize("name", EVERY)
SEEDS = range(8)


@every_family
def test_the_mask_covers_what_was_changed(name: str, made: Any) -> None:
    for seed in SEEDS:
        target, (fake, mask) = made(name, seed)
        assert fake.shape == target.image.shape
        assert (fake.dtype, mask.dtype, mask.shape) == (np.uint8, np.bool_, fake.shape[:2])
        changed = (np.abs(fake.astype(int) - target.image) > 2).any(axis=2)
        assert not changed.any() or mask[changed].mean() >= 0.995
        assert mask.any()


@every_family
def test_a_forgery_differs_visibly_inside_its_mask(name: str, made: Any) -> None:
    faint = 0
    for seed in range(12):
        target, (fake, mask) = made(name, seed)
        faint += np.abs(fake.astype(float) - target.image)[mask].mean() < 0.3
    assert faint <= 2


@every_family
def test_the_seed_decides(name: str, made: Any, subject: Any) -> None:
    before = subject(160).image.copy()
    (target, first), (_, second), (_, other) = (made(name, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (first[0] != other[0]).any()
    np.testing.assert_array_equal(target.image, before)


@every_family
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(side=st.integers(32, 120), seed=st.integers(0, 2**32 - 1), grey=st.booleans())
def test_any_face_and_seed(
    name: str, side: int, seed: int, grey: bool, made: Any, subject: Any
) -> None:
    image = np.full((side, side, 3), 128, np.uint8) if grey else subject(side).image
    target, (fake, mask) = made(name, seed, side, image=image)
    assert fake.shape == target.image.shape
    assert fake.dtype == np.uint8
    assert mask.shape == (side, side)
    assert mask.dtype == np.bool_
    _, (again, same) = made(name, seed, side, image=image)
    np.testing.assert_array_equal(fake, again)
    np.testing.assert_array_equal(mask, same)


@every_family
def test_landmarks_outside_the_picture_are_refused_or_work(
    name: str, made: Any, subject: Any
) -> None:
    for shift in (100.0, 1000.0):
        for seed in range(3):
            try:
                target, (fake, mask) = made(name, seed, landmarks=subject(160).landmarks + shift)
            except ShapeError as error:
                assert "landmarks" in str(error) or "picture" in str(error)  # noqa: PT017
            else:
                assert fake.shape == target.image.shape
                assert mask.any()


@every_family
def test_a_read_only_face_is_enough(name: str, made: Any, subject: Any) -> None:
    image = subject(64).image.copy()
    image.flags.writeable = False  # crops are views of a file
    for seed in range(3):
        made(name, seed, 64, image=image)


@every_family
def test_bad_pictures_are_refused(name: str, made: Any) -> None:
    with pytest.raises(ShapeError, match="uint8 RGB"):
        made(name, 0, image=np.zeros((32, 32), np.uint8))


def test_unknown_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"(?s)no family of forgeries 'face'.*self_blend"):
        parse_family("face")
    with pytest.raises(ConfigError, match=r"(?s)no kind 'cubic'.*reupsample-bicubic"):
        parse_family("reupsample-cubic")
    with pytest.raises(ConfigError, match="Its kinds: none; say self_blend"):
        parse_family("self_blend-x")


def test_training_changes_the_ground_as_often_as_the_copy(subject: Any) -> None:
    face, points = subject(160).image, subject(160).landmarks
    corners = [
        (TRAINING_FAMILIES["self_blend"](face, points, np.random.default_rng(s))[0] != face)[0, 0]
        for s in range(40)
    ]
    assert 8 <= sum(c.any() for c in corners) <= 32


def test_self_blend_refuses_landmarks_outside(sample: Any) -> None:
    face, points = sample()
    for seed in SEEDS:
        with pytest.raises(ShapeError, match="landmarks lie outside the 160 x 160 picture"):
            self_blend(face, points + 1000, np.random.default_rng(seed))


def test_self_blend_never_replaces_everything_for_want_of_a_region(sample: Any) -> None:
    # a hull that only touches the corner may be moved out of the picture
    face, points = sample()
    corner = (points - points.max(axis=0)) + 0.6
    refused = []
    for seed in range(30):
        try:
            _, mask = self_blend(face, corner, np.random.default_rng(seed))
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
