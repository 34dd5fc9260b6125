"""Upsampling kernels: they must rebuild the picture where it was, and leave their own traces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis import upsample
from unmask.synthesis.upsample import (
    NAMED_UPSAMPLERS,
    UPSAMPLERS,
    rebuild,
    restore_energy,
    reupsample,
)

Gray = NDArray[np.float64]
Network = upsample.nearest_conv, upsample.pixel_shuffle, upsample.zero_insertion


class Still(np.random.Generator):
    """A generator without noise, so that kernels are their ideal selves."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def normal(self, loc=0.0, scale=1.0, size=None):  # type: ignore[no-untyped-def]
        return np.zeros(size) if size is not None else 0.0

    def uniform(self, low=0.0, high=1.0, size=None):  # type: ignore[no-untyped-def]
        return high if size is None else np.full(size, high)


def shift(before: Gray, after: Gray, margin: int = 12) -> Gray:
    """(x, y) in pixels by which `after` is displaced: least squares on the gradient, iterated."""
    before, after = (gaussian_filter(p, 2.5) for p in (before, after))
    inner = slice(margin, -margin), slice(margin, -margin)
    gy, gx = (g[inner].ravel() for g in np.gradient(before))
    design = np.stack([gx, gy, np.ones_like(gx)], axis=1)
    found = np.linalg.lstsq(design, (before - after)[inner].ravel(), rcond=None)[0]
    return np.asarray(found[:2])


def test_the_measure_measures() -> None:
    picture = gaussian_filter(np.random.default_rng(0).normal(size=(120, 120)), 3) * 500
    np.testing.assert_allclose(shift(picture, np.roll(picture, (0, 1), (0, 1))), [1, 0], atol=0.1)
    np.testing.assert_allclose(shift(picture, picture), [0, 0], atol=1e-9)


@pytest.mark.parametrize("side", [160, 161, 163])
@pytest.mark.parametrize("factor", [2.0, 4.0])
@pytest.mark.parametrize("kind", NAMED_UPSAMPLERS)
def test_nothing_shifts_the_picture(kind: str, factor: float, side: int, sample: Any) -> None:
    face = sample(side)[0]
    moved = []
    for seed in range(3):
        rebuilt = rebuild(face, kind, factor, np.random.default_rng(seed))
        assert rebuilt.shape == face.shape
        whole = shift(face.mean(2), rebuilt.mean(2))
        # a wrong scale shows at the far corner only
        corner = shift(face[-70:, -70:].mean(2), rebuilt[-70:, -70:].mean(2))
        moved.append(max(np.abs(whole).max(), np.abs(corner).max()))
    assert max(moved) < 0.3


@pytest.mark.parametrize("double", Network)
def test_the_ideal_kernels_are_bilinear_interpolation(double: Any) -> None:
    small = np.random.default_rng(1).uniform(0, 255, (12, 15, 3)).astype(np.float32)
    wide = double(small, Still())
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(small).permute(2, 0, 1)[None],
        scale_factor=2,
        mode="bilinear",
        align_corners=False,
    )[0].permute(1, 2, 0)
    np.testing.assert_allclose(wide[3:-3, 3:-3], expected.numpy()[3:-3, 3:-3], atol=1e-2)


@pytest.mark.parametrize("double", Network)
def test_brightness_is_kept(double: Any) -> None:
    flat = np.full((20, 20, 3), 100.0, np.float32)
    for seed in range(5):
        wide = double(flat, np.random.default_rng(seed))
        assert wide.shape == (40, 40, 3)
        assert wide.mean() == pytest.approx(100, rel=0.03)


def test_zero_insertion_leaves_a_checkerboard() -> None:
    flat = np.full((20, 20, 3), 100.0, np.float32)
    wide = upsample.zero_insertion(flat, np.random.default_rng(3))[4:-4, 4:-4, 0]
    phases = [wide[y::2, x::2] for y in (0, 1) for x in (0, 1)]
    assert max(p.std() for p in phases) < 1e-3
    assert np.ptp([p.mean() for p in phases]) > 0.5


def test_rebuilding_takes_away_detail(sample: Any) -> None:
    face = sample()[0]
    detail = (face.astype(float) - gaussian_filter(face.astype(float), (1, 1, 0))).std()
    for kind in UPSAMPLERS:  # bare nearest adds edges of its own
        rebuilt = rebuild(face, kind, 4.0, np.random.default_rng(0)).astype(float)
        left = (rebuilt - gaussian_filter(rebuilt, (1, 1, 0))).std()
        assert left < 0.85 * detail


def test_energy_comes_back_in_every_way(sample: Any) -> None:
    face = sample()[0]
    rebuilt = rebuild(face, "bilinear", 3.0, np.random.default_rng(0))

    def energy(picture: Gray) -> float:
        return float((picture - gaussian_filter(picture, (1, 1, 0))).var())

    soft, sharp = energy(rebuilt.astype(float)), energy(face.astype(float))
    energies = []
    for seed in range(40):
        back = restore_energy(rebuilt, face, np.random.default_rng(seed))
        assert (back.shape, back.dtype) == (rebuilt.shape, np.float32)
        assert np.isfinite(back).all()
        energies.append(energy(back.astype(float)))
    assert min(energies) == pytest.approx(soft)
    assert sorted(energies)[len(energies) // 2] > soft * 1.05
    assert max(energies) < 1.6 * sharp


def test_a_kernel_of_every_day_never_replaces_the_whole_picture(sample: Any) -> None:
    face, points = sample(96)
    for kind in ("bilinear", "bicubic", "lanczos", "nearest"):
        for seed in range(8):
            _, mask = reupsample(face, points, np.random.default_rng(seed), kind)
            assert 0.01 < mask.mean() < 0.95
    whole = [
        reupsample(face, points, np.random.default_rng(seed), "pixel_shuffle")[1].all()
        for seed in range(30)
    ]
    assert 8 <= sum(whole) <= 27  # of 30 at probability .6


def test_nearest_repeats_pixels_and_is_only_made_when_asked_for(sample: Any) -> None:
    face = sample(64)[0]
    blocks = rebuild(face, "nearest", 4.0, np.random.default_rng(0)).reshape(16, 4, 16, 4, 3)
    np.testing.assert_array_equal(blocks, blocks[:, :1, :, :1].repeat(4, 1).repeat(4, 3))
    means = face.astype(np.float32).reshape(16, 4, 16, 4, 3).mean((1, 3))
    np.testing.assert_allclose(blocks[:, 0, :, 0], means, atol=1e-3)
    # what the default model was trained with: another list would draw other kinds
    assert UPSAMPLERS == (
        "bilinear",
        "bicubic",
        "lanczos",
        "nearest_conv",
        "zero_insertion",
        "pixel_shuffle",
    )
    assert set(NAMED_UPSAMPLERS) - set(UPSAMPLERS) == {"nearest"}


@pytest.mark.parametrize("kind", NAMED_UPSAMPLERS)
def test_whole_or_region_can_be_asked_for(kind: str, sample: Any) -> None:
    face, points = sample(96)
    seen = set()
    for seed in range(12):
        made = {
            whole: reupsample(face, points, np.random.default_rng(seed), kind, whole=whole)
            for whole in (True, False, None)
        }
        assert made[True][1].all()
        assert 0.01 < made[False][1].mean() < 0.95
        # the request takes the place of the draw and moves no other
        drawn = bool(made[None][1].all())
        np.testing.assert_array_equal(made[None][0], made[drawn][0])
        inside = made[False][1]
        assert np.abs(made[True][0].astype(float) - face)[inside].mean() > 0.5
        seen.add(drawn)
    assert (True in seen) == (kind in ("nearest_conv", "zero_insertion", "pixel_shuffle"))


def test_what_cannot_work_is_refused(sample: Any) -> None:
    face, points = sample(64)
    with pytest.raises(ConfigError, match=r"no upsampler 'cubic'; choose of bilinear"):
        reupsample(face, points, np.random.default_rng(0), "cubic")
    with pytest.raises(ShapeError, match="outside the 64 x 64 picture"):
        reupsample(face, points - 500, np.random.default_rng(0), "bicubic")
