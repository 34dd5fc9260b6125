"""One picture with another's sharpness: power by ring, phases, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from unmask.errors import ShapeError
from unmask.transforms.spectrum import GAIN, match_spectrum, radial_power


def textured(seed: int, height: int = 96, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blobs = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), 3)
    grain = rng.normal(0, 6, (height, width, 3))
    return np.clip(128 + 25 * blobs / blobs.std() + grain, 0, 255).astype(np.uint8)


def test_rings_hold_all_the_power_there_is() -> None:
    """By Parseval, with every coefficient of the full transform counted in its ring."""
    image = textured(0).astype(float)
    luma = image @ [0.299, 0.587, 0.114]
    full = np.abs(np.fft.fft2(luma)) ** 2
    y, x = np.meshgrid(np.fft.fftfreq(96) * 96, np.fft.fftfreq(96) * 96, indexing="ij")
    radius = np.hypot(y, x)
    power = radial_power(image)
    assert power[0] == pytest.approx(full[0, 0])
    for ring in (1, 5, 20, 40):
        half = (radius > ring - 1) & (radius <= ring) & (x >= 0)
        # the real transform has the columns 0 .. W/2; of W/2 the sign is negative in fftfreq
        half |= (radius > ring - 1) & (radius <= ring) & (x == -48)
        assert power[ring] == pytest.approx(full[half].mean(), rel=1e-9)


def test_a_soft_picture_becomes_as_sharp_as_the_other_and_back() -> None:
    sharp = textured(1)
    soft = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 0.8), np.uint8)
    target = radial_power(sharp.astype(float))
    before = radial_power(soft.astype(float))
    after = radial_power(match_spectrum(soft, sharp).astype(float))
    rings = slice(2, 44)
    assert (before[rings][-10:] < 0.3 * target[rings][-10:]).all()
    np.testing.assert_allclose(after[rings], target[rings], rtol=0.1)
    back = radial_power(match_spectrum(sharp, soft).astype(float))
    np.testing.assert_allclose(back[2:30], before[2:30], rtol=0.1)


def test_nothing_moves_and_no_colour_changes() -> None:
    image, other = textured(2), textured(3)
    found = match_spectrum(image, other)
    np.testing.assert_allclose(found.mean((0, 1)), image.mean((0, 1)), atol=0.2)
    one, two = (np.fft.rfft2(p.astype(float).mean(2)) for p in (image, found))
    strong = np.abs(one) > np.quantile(np.abs(one), 0.7)
    turned = np.angle(one[strong] * two[strong].conj())
    assert np.abs(turned).mean() < 0.1
    assert np.abs(match_spectrum(image, image).astype(int) - image).max() <= 1


def test_noise_is_not_made_into_detail() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    flat[::2] += 1
    found = match_spectrum(flat, textured(4, 64, 64)).astype(float)
    assert np.abs(found - flat).max() <= GAIN


@pytest.mark.parametrize(
    ("one", "other"), [((64, 64), (64, 62)), ((64, 63), (64, 63)), ((64, 64), (32, 64))]
)
def test_shapes_must_fit(one: tuple[int, int], other: tuple[int, int]) -> None:
    with pytest.raises(ShapeError, match="one shape and an even width"):
        match_spectrum(textured(0, *one), textured(1, *other))
