"""Spectra against closed forms: a wave, white noise, doubled pictures, a shared pattern."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from scipy.ndimage import median_filter

from unmask.errors import ConfigError, DatasetError, ShapeError
from unmask.evaluation.spectra import (
    BINS,
    GroupSpectrum,
    group_spectrum,
    log_picture,
    noise_residual,
    power_spectrum,
    radial_profile,
)

PICTURE_SIDE = 128


def rgb(plane: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(plane), 0, 255).astype(np.uint8)[..., None].repeat(3, axis=2)


def noise(n: int, scale: float = 20.0, side: int = PICTURE_SIDE) -> list[np.ndarray]:
    rng = np.random.default_rng(5)
    return [rgb(128 + rng.normal(0, scale, (side, side))) for _ in range(n)]


@pytest.mark.parametrize(("u", "v"), [(32, 0), (0, 47), (20, 40), (10, 3)])
def test_a_wave_has_its_power_at_its_frequency(u: int, v: int) -> None:
    y, x = np.mgrid[0:128, 0:128]
    power = power_spectrum(10 * np.cos(2 * np.pi * (u * x + v * y) / 128))
    top = {tuple(p) for p in np.argwhere(power > power.max() * (1 - 1e-9)).tolist()}
    assert top == {(64 + v, 64 + u), (64 - v, 64 - u)}
    assert radial_profile(power).argmax() == int(np.hypot(u, v) + 1e-9)
    # a Hann window puts (2/3)^2 of the power of a wave into its own frequency: 1 / 1.5 per axis
    assert 2 * power.max() / power.sum() == pytest.approx((2 / 3) ** 2, rel=1e-9)


def test_white_noise_is_flat_at_its_variance() -> None:
    rng = np.random.default_rng(0)
    mean = sum(power_spectrum(rng.normal(0, 3, (128, 128))) for _ in range(40)) / 40
    profile = radial_profile(mean)
    np.testing.assert_allclose(profile[10:], 9.0, rtol=0.1)  # the inner rings hold few draws
    assert profile[10:].mean() == pytest.approx(9.0, rel=0.01)


def test_rings_are_means_over_literal_rings() -> None:
    power = np.random.default_rng(0).random((130, 130))
    f = (np.arange(130) - 65) / 130
    radius = np.hypot(f[:, None], f)
    edges = np.arange(9) / 16
    found = radial_profile(power, 8)
    for k in range(8):
        upper = radius <= edges[k + 1] if k == 7 else radius < edges[k + 1] - 1e-12
        expected = power[(radius >= edges[k] - 1e-12) & upper].mean()
        assert found[k] == pytest.approx(expected, rel=1e-12)


def test_the_residual_is_luma_minus_its_median_in_the_middle() -> None:
    image = np.random.default_rng(0).integers(0, 256, (150, 171, 3), np.uint8)
    luma = image.astype(np.float64) @ [0.299, 0.587, 0.114]
    expected = luma - median_filter(luma, 3, mode="nearest")
    np.testing.assert_allclose(noise_residual(image), expected[8:136, 16:144], atol=1e-3)


@pytest.mark.parametrize("f", [4, 10, 20])
def test_nearest_doubling_mirrors_the_spectrum(f: int) -> None:
    """Doubling repeats the spectrum at half the sampling rate, weighed by cos^2 per axis."""
    x = np.arange(64)
    small = np.cos(2 * np.pi * f * x / 64 + 0.3)[None, :].repeat(64, axis=0)
    power = power_spectrum(small.repeat(2, axis=0).repeat(2, axis=1))
    ratio = power[64, 64 + 64 - f] / power[64, 64 + f]
    assert ratio == pytest.approx(np.tan(np.pi * f / 128) ** 2, rel=1e-6)


def test_doubling_gives_peaks_at_half_the_sampling_rate() -> None:
    """A stride-2 transposed convolution of kernel 3 leaves its checks in every picture."""
    rng = np.random.default_rng(0)

    def doubled() -> np.ndarray:
        spread = np.zeros((128, 128))
        spread[::2, ::2] = rng.normal(110, 6, (64, 64))
        for axis in (0, 1):
            spread = spread + 0.5 * (np.roll(spread, 1, axis) * 1.2 + np.roll(spread, -1, axis))
        return rgb(spread)

    found = group_spectrum("doubled", (doubled() for _ in range(12)))
    assert np.argmax(found.radial_of_mean) == BINS - 1
    shown = found.of_mean.values()
    top, left = np.unravel_index(shown.argmax(), shown.shape)
    assert {int(top), int(left)} <= {0, 32}  # half the sampling rate, or zero, in each direction
    assert 0 in (top, left)
    assert shown.max() > np.median(shown) + 3
    real = group_spectrum("real", noise(12, 6))
    assert found.radial_of_mean[-1] > 30 * real.radial_of_mean[-1]


def test_what_pictures_do_not_share_falls_with_their_number() -> None:
    found = group_spectrum("noise", noise(30))
    share = np.array(found.radial_of_mean) / found.radial * found.pictures
    assert share[8:].mean() == pytest.approx(1.0, abs=0.1)
    same = group_spectrum("same", noise(1) * 3)
    np.testing.assert_allclose(same.radial_of_mean, same.radial, rtol=1e-9)


def test_grids_of_different_sizes_stay_in_step() -> None:
    def blocks(h: int, w: int) -> np.ndarray:
        plane = np.full((h, w), 100.0)
        plane[:, ::8] += 12
        return rgb(plane)

    one = group_spectrum("one", [blocks(128, 128)] * 2)
    mixed = group_spectrum("mixed", [blocks(128, 128), blocks(150, 141)])
    np.testing.assert_allclose(mixed.radial_of_mean, one.radial_of_mean, rtol=0.1, atol=1e-3)


def test_a_picture_keeps_the_values_to_its_step() -> None:
    power = 10 ** np.random.default_rng(0).uniform(-3, 4, (128, 128))
    found = log_picture(power)
    expected = np.log10(power.reshape(64, 2, 64, 2).mean(axis=(1, 3)))
    step = (found.high - found.low) / 255
    np.testing.assert_allclose(found.values(), expected, atol=step / 2 + 1e-12)
    assert len(base64.b64decode(found.data)) == 64 * 64
    silent = log_picture(np.zeros((64, 64)))
    assert set(silent.values().ravel()) == {-12.0}


def test_spectra_survive_json() -> None:
    found = group_spectrum("real", noise(2))
    assert GroupSpectrum.model_validate_json(found.model_dump_json()) == found
    broken = found.average.model_dump() | {"data": "AAAA"}
    with pytest.raises(ValueError, match="64 x 64"):
        type(found.average).model_validate(broken)


def test_what_has_no_spectrum_is_refused() -> None:
    with pytest.raises(DatasetError, match="No picture of 'x'"):
        group_spectrum("x", [])
    with pytest.raises(ConfigError, match="multiple of 64"):
        group_spectrum("x", noise(1), side=100)
    with pytest.raises(ShapeError, match="smaller than the square"):
        group_spectrum("x", [np.zeros((127, 200, 3), np.uint8)])
    with pytest.raises(ShapeError, match="RGB"):
        group_spectrum("x", [np.zeros((128, 128), np.uint8)])
    with pytest.raises(ShapeError, match="square plane"):
        power_spectrum(np.zeros((4, 5)))
    with pytest.raises(ShapeError, match="rings"):
        radial_profile(np.zeros((20, 20)))
    with pytest.raises(ShapeError, match="multiple of 64"):
        log_picture(np.zeros((100, 100)))
