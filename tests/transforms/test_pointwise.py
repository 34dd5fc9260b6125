"""Tone curves in closed form; the sensor's noise by its moments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.errors import ConfigError, ShapeError
from unmask.transforms.pointwise import contrast, gamma, sensor_noise
from unmask.types import UInt8Image


def all_tones() -> UInt8Image:
    """(16, 16, 3): every grey level once per channel, in another order in each."""
    tones = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return np.stack([tones, tones[::-1], tones.T], -1)


@given(exponent=st.floats(0.05, 10))
@settings(max_examples=40, deadline=None)
def test_gamma_is_a_power_of_the_share_of_white(exponent: float) -> None:
    image = all_tones()
    expected = 255.0 * (image / 255.0) ** exponent
    assert np.abs(gamma(image, exponent) - expected).max() <= 0.5 + 1e-9


@given(factor=st.floats(0, 20))
@settings(max_examples=40, deadline=None)
def test_contrast_pivots_on_the_middle_grey(factor: float) -> None:
    image = all_tones()
    expected = np.clip(127.5 + factor * (image - 127.5), 0, 255)
    assert np.abs(contrast(image, factor) - expected).max() <= 0.5 + 1e-9


def test_known_tones() -> None:
    image = np.full((1, 1, 3), 128, np.uint8)
    assert gamma(image, 2.0)[0, 0, 0] == 64
    assert gamma(image, 0.5)[0, 0, 0] == 181
    assert contrast(np.full((1, 1, 3), 28, np.uint8), 0.5)[0, 0, 0] == 78
    assert contrast(np.full((1, 1, 3), 28, np.uint8), 2.0)[0, 0, 0] == 0


@pytest.mark.parametrize("change", [gamma, contrast])
def test_one_leaves_every_tone(change) -> None:  # type: ignore[no-untyped-def]
    np.testing.assert_array_equal(change(all_tones(), 1.0), all_tones())


@pytest.mark.parametrize(("tone", "gain", "read"), [(128, 0, 5), (60, 1.5, 0), (150, 2, 7)])
def test_noise_has_its_variance(tone: int, gain: float, read: float) -> None:
    flat = np.full((200, 200, 3), tone, np.uint8)
    noise = sensor_noise(flat, gain, read, np.random.default_rng(0)).astype(float) - tone
    # rounding to whole grey levels adds 1/12; 120,000 samples
    assert noise.var() == pytest.approx(gain * tone + read**2 + 1 / 12, rel=0.03)
    assert abs(noise.mean()) < 0.2
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02


def test_no_noise_is_no_change() -> None:
    np.testing.assert_array_equal(
        sensor_noise(all_tones(), 0, 0, np.random.default_rng(0)), all_tones()
    )


def test_equal_pixels_get_equal_noise_beside_others_that_differ() -> None:
    real = all_tones()
    fake = real.copy()
    fake[:8] = 255 - fake[:8]
    one, two = (sensor_noise(x, 1.0, 3.0, np.random.default_rng(5)) for x in (real, fake))
    np.testing.assert_array_equal(one[8:], two[8:])
    assert (one[:8] != two[:8]).any()


@pytest.mark.parametrize("exponent", [0.0, -1.0, float("inf"), float("nan")])
def test_impossible_exponents_are_refused(exponent: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and finite"):
        gamma(all_tones(), exponent)


@pytest.mark.parametrize("factor", [-0.1, float("inf"), float("nan")])
def test_impossible_factors_are_refused(factor: float) -> None:
    with pytest.raises(ConfigError, match="0 or above and finite"):
        contrast(all_tones(), factor)


@pytest.mark.parametrize(("gain", "read"), [(-1, 0), (0, -1), (256, 0), (0, float("nan"))])
def test_impossible_noise_is_refused(gain: float, read: float) -> None:
    with pytest.raises(ConfigError, match=r"0\.\.255"):
        sensor_noise(all_tones(), gain, read, np.random.default_rng(0))


def test_other_arrays_are_refused() -> None:
    floats = np.zeros((4, 4, 3), np.float32)
    for change in (
        lambda i: gamma(i, 2),
        lambda i: contrast(i, 2),
        lambda i: sensor_noise(i, 1, 1, np.random.default_rng(0)),
    ):
        with pytest.raises(ShapeError, match="uint8 RGB"):
            change(floats)
