"""The random chain of training pairs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.transforms import laundering, perturb
from unmask.transforms.codecs import video_still, webp
from unmask.transforms.laundering import LaunderingPolicy
from unmask.types import UInt8Image

from .test_perturb import texture

NOTHING = LaunderingPolicy(resize_p=0, blur_p=0, noise_p=0, jpeg_p=0, second_jpeg_p=0)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), strength=st.floats(0, 1))
def test_one_chain_treats_pictures_alike(seed: int, strength: float) -> None:
    chain = LaunderingPolicy(noise_p=0.8).draw(np.random.default_rng(seed), strength)
    image, other = texture(), texture(seed=1)
    first = chain(image)
    chain(other)
    np.testing.assert_array_equal(chain(image), first)
    assert chain(other).shape == first.shape
    np.testing.assert_array_equal(image, texture())  # left as it was


def test_the_same_generator_draws_the_same_chain() -> None:
    image = texture()
    for seed in range(8):
        one, two = (LaunderingPolicy().draw(np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(one(image), two(image))


def test_strength_zero_is_a_light_jpeg_at_most() -> None:
    image = texture()
    policy = LaunderingPolicy(resize_p=1, blur_p=1, noise_p=1, second_jpeg_p=1)
    lightest = perturb.jpeg(image, 90)
    bound = float(np.mean((lightest - image.astype(float)) ** 2))
    for seed in range(40):
        changed = policy.draw(np.random.default_rng(seed), 0.0)(image)
        assert changed.shape == image.shape
        assert float(np.mean((changed - image.astype(float)) ** 2)) < 1.1 * bound


def test_strength_scales_the_noise() -> None:
    flat = np.full((64, 64, 3), 128, np.uint8)
    policy = LaunderingPolicy(0, (1, 1), 0, (1, 1), 1e9, (8.0, 8.0), 0, (90, 100), 0)
    spread = [policy.draw(np.random.default_rng(0), s)(flat).std() for s in (0.25, 1.0)]
    assert spread[0] == pytest.approx(2.0, rel=0.1)
    assert spread[1] == pytest.approx(8.0, rel=0.1)


@pytest.mark.parametrize("quality", [(50, 80), (95, 100), (90, 90)])
@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_the_quality_never_leaves_its_range(
    quality: tuple[int, int], strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(laundering, "jpeg", lambda image, q, *rest: (seen.append(q), image)[1])
    policy = LaunderingPolicy(jpeg_p=1, jpeg_quality=quality)
    for seed in range(60):
        policy.draw(np.random.default_rng(seed), strength)(texture(20, 20))
    assert seen
    assert quality[0] <= min(seen)
    assert max(seen) <= quality[1]


@pytest.mark.parametrize(
    ("chance", "low", "high"), [(0.0, 0, 12), (0.5, 170, 240), (1.0, 400, 400)]
)
def test_a_share_of_grids_begins_in_the_corner(
    chance: float, low: int, high: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(
        laundering, "jpeg", lambda image, q, s, phase: (seen.append(phase), image)[1]
    )
    policy = LaunderingPolicy(jpeg_p=1, second_jpeg_p=0, resize_p=0, noise_p=0, aligned_p=chance)
    image = texture(20, 20)
    for seed in range(400):
        policy.draw(np.random.default_rng(seed))(image)
    assert len(seen) == 400
    assert low <= seen.count((0, 0)) <= high  # drawn anywhere, one of 64 is the corner, too
    assert len(set(seen)) > (1 if chance < 1 else 0)


def test_a_share_of_pictures_is_coded_as_in_a_clip_or_as_webp() -> None:
    image = texture()
    policy = replace(NOTHING, codec_p=0.5, crf=(30, 31), webp_quality=(60, 60))
    stills = [video_still(image, "h264", crf).tobytes() for crf in (30, 31)]
    known = [image.tobytes(), webp(image, 60).tobytes(), *stills]
    assert len(set(known)) == 4
    found = [
        known.index(policy.draw(np.random.default_rng(seed))(image).tobytes())
        for seed in range(200)
    ]
    plain, webps, *clips = np.bincount(found, minlength=4).tolist()
    assert 75 <= plain <= 125
    assert 18 <= webps <= 50
    assert min(clips) > 15


def test_a_share_of_pictures_is_moved_noisy_or_reduced_and_enlarged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, float]] = []

    def note(name: str, image: UInt8Image, first: float, *_: object) -> UInt8Image:
        drawn.append((name, first))
        return image

    for name in ("motion_blur", "gaussian_noise", "sensor_noise", "resize_and_back"):
        monkeypatch.setattr(laundering, name, partial(note, name))
    policy = replace(NOTHING, damage_p=0.6)
    image = texture(20, 20)
    for seed in range(600):
        policy.draw(np.random.default_rng(seed))(image)
    assert 310 <= len(drawn) <= 410
    found = {name: [value for kind, value in drawn if kind == name] for name, _ in drawn}
    ranges = {
        "motion_blur": (policy.motion_length, 90, 150),
        "resize_and_back": (policy.back_scale, 90, 150),
        "gaussian_noise": (policy.strong_sigma, 40, 80),
        "sensor_noise": (policy.gain, 40, 80),
    }
    for name, ((low, high), fewest, most) in ranges.items():
        assert fewest <= len(found[name]) <= most, name
        assert low <= min(found[name]) < max(found[name]) <= high


def test_damage_is_done_as_named() -> None:
    """To a flat picture only noise does anything; to texture everything does."""
    policy = replace(NOTHING, damage_p=1)
    flat = np.full((48, 48, 3), 128, np.uint8)
    noisy = 0
    for seed in range(30):
        chain = policy.draw(np.random.default_rng(seed))
        noisy += int((chain(flat) != flat).any())
        assert (chain(texture()) != texture()).any()
    assert 4 <= noisy <= 17


def test_without_codecs_and_damage_runs_are_drawn_as_before_there_were_any() -> None:
    """Whether there is each of five steps, and no more: else no earlier run could be repeated."""
    drawn, counted = np.random.default_rng(0), np.random.default_rng(0)
    NOTHING.draw(drawn)
    counted.random(5)
    assert drawn.random() == counted.random()
