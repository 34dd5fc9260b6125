"""Morphs lie between two people: in texture, in shape, and in the target's surroundings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis import morph
from unmask.synthesis.shape import HAIRLINE, JAW, MOUTH, mean_shape
from unmask.synthesis.subject import Subject


def person(level: int, mouth: float = 0.0, side: int = 200) -> Subject:
    """A grey face with a black dot for a mouth, `mouth` pupil distances below the mean's."""
    points = mean_shape() * 45 + (100, 85)
    points[list(MOUTH), 1] += mouth * 45
    image = np.full((side, side, 3), level, np.uint8)
    x, y = points[list(MOUTH)].mean(axis=0)
    cv2.circle(image, (round(x), round(y)), 4, (0, 0, 0), -1)
    return Subject(image, points, f"{level} {mouth}")


def test_textures_are_mixed_at_30_to_70_per_cent() -> None:
    shares = []
    for seed in range(30):
        fake, mask = morph.morph(person(100), person(200), np.random.default_rng(seed), "full")
        cheek = float(fake[120, 75].mean())
        shares.append((cheek - 100) / 100)
        assert (fake[~mask] == 100).all() or mask.all()
    recoloured = [s for s in shares if abs(s) < 0.1]  # half are given the target's colours
    mixed = [s for s in shares if abs(s) >= 0.1]
    assert 8 <= len(recoloured) <= 22
    assert min(mixed) > 0.28
    assert max(mixed) < 0.72
    assert max(mixed) - min(mixed) > 0.2


@pytest.mark.parametrize("kind", morph.MORPH_KINDS)
def test_features_lie_between_the_two(kind: str) -> None:
    target, donor = person(150), person(150, mouth=0.2)
    centres = []
    for seed in range(8):
        fake, _ = morph.morph(target, donor, np.random.default_rng(seed), kind)
        rows, columns = np.nonzero(fake[..., 0] < 60)
        assert len(rows) > 20  # the two dots coincide: no ghost beside it
        assert np.ptp(rows) < 14
        assert np.ptp(columns) < 14
        centres.append(rows.mean())
    first, second = (p.landmarks[list(MOUTH), 1].mean() for p in (target, donor))
    assert first + 0.2 * (second - first) < min(centres)
    assert max(centres) < first + 0.8 * (second - first)


def test_face_keeps_the_targets_outline(made: Any) -> None:
    for seed in range(4):
        target, (fake, mask) = made("morph-face", seed)
        np.testing.assert_array_equal(fake[~mask], target.image[~mask])
        assert mask.mean() < 0.65
        x, y = np.rint(target.landmarks[[*HAIRLINE[3:8]]]).astype(int).T
        inside = (y >= 0) & (y < 160)
        assert not mask[y[inside], x[inside]].all()
        x, y = np.rint(target.landmarks[[JAW[0], JAW[-1]]] + ((-4, 0), (4, 0))).astype(int).T
        assert not mask[y, x].any()


def test_full_takes_the_heads_outline_along(made: Any) -> None:
    for seed in range(4):
        _, (_, face) = made("morph-face", seed)
        _, (_, full) = made("morph-full", seed)
        assert full.sum() > 1.2 * face.sum()


def test_a_donors_picture_without_the_face_is_refused(sample: Any) -> None:
    image, points = sample(96)
    target = Subject(image, points, "a")
    with pytest.raises(ShapeError, match="donor's landmarks lie outside its picture"):
        morph.morph(target, Subject(image, points + 900, "b"), np.random.default_rng(0))
    with pytest.raises(ShapeError, match="morph's donor needs 189 finite landmarks"):
        morph.morph(target, replace(target, landmarks=points[:5]), np.random.default_rng(0))
    with pytest.raises(ConfigError, match="face, full"):
        morph.morph(target, target, np.random.default_rng(0), "splice")
