"""Colour transfer: the moments and distributions of the target, measured in the mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis import colour
from unmask.types import UInt8Image


def lab(image: UInt8Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB))


def pair() -> tuple[UInt8Image, UInt8Image, NDArray[np.bool_]]:
    rng = np.random.default_rng(0)
    source = rng.normal((120, 110, 100), 20, (60, 50, 3)).clip(40, 210).astype(np.uint8)
    target = rng.normal((150, 115, 95), 15, (60, 50, 3)).clip(40, 210).astype(np.uint8)
    where = np.zeros((60, 50), bool)
    where[10:50, 8:40] = True
    target[~where] = (0, 0, 255)  # must not count
    return source, target, where


def test_reinhard_gives_the_targets_mean_and_deviation() -> None:
    source, target, where = pair()
    out, wanted = lab(colour.reinhard(source, target, where))[where], lab(target)[where]
    np.testing.assert_allclose(out.mean(axis=0), wanted.mean(axis=0), atol=0.2)
    np.testing.assert_allclose(out.std(axis=0), wanted.std(axis=0), rtol=0.03)


def test_a_face_in_its_own_colours_stays() -> None:
    source, _, where = pair()
    for method in colour.METHODS:
        out = colour.transfer(source, source, where, method)
        assert np.abs(out.astype(int) - source)[where].max() <= 2


def test_flat_faces_do_not_blow_noise_up() -> None:
    source, target, where = pair()
    flat = (128 + (source.astype(int) - 128) // 16).astype(np.uint8)
    out = colour.reinhard(flat, target, where)
    assert lab(out)[where][:, 0].std() < 1.75 * lab(flat)[where][:, 0].std()


def test_histogram_gives_the_targets_distribution_of_lightness() -> None:
    source, target, where = pair()
    target[where] -= 40  # two humps: moments cannot do that
    target[10:25, 8:40] += 70
    wanted = lab(target)[where][:, 0]
    matched = lab(colour.histogram(source, target, where))[where][:, 0]
    moments = lab(colour.reinhard(source, target, where))[where][:, 0]
    assert ks_2samp(matched, wanted).statistic < 0.06
    assert ks_2samp(moments, wanted).statistic > 0.08


def test_matching_levels_is_quantile_mapping() -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(20, 90, 5000).astype(np.uint8)
    wanted = rng.normal(160, 25, 7000).clip(0, 255).astype(np.uint8)
    levels = colour.matching_levels(values, wanted)
    assert (np.diff(levels) >= 0).all()
    got = np.quantile(levels[values], np.linspace(0.02, 0.98, 25))
    np.testing.assert_allclose(got, np.quantile(wanted, np.linspace(0.02, 0.98, 25)), atol=2.0)
    constant = colour.matching_levels(values, np.full(9, 77, np.uint8))
    np.testing.assert_allclose(constant, 77)


def test_refusals() -> None:
    source, target, where = pair()
    with pytest.raises(ShapeError, match="of one size"):
        colour.transfer(source[1:], target, where, "reinhard")
    with pytest.raises(ShapeError, match="no pixel of the picture"):
        colour.transfer(source, target, where & False, "reinhard")
    with pytest.raises(ShapeError, match="uint8 RGB"):
        colour.transfer(source[..., 0], target, where, "reinhard")
    with pytest.raises(ConfigError, match="reinhard, histogram"):
        colour.transfer(source, target, where, "optimal")
