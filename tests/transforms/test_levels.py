"""One contract for every perturbation at every level, and severity on a real face."""

from __future__ import annotations

import pickle
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unmask.errors import ConfigError, ShapeError
from unmask.transforms import levels
from unmask.transforms.levels import LEVELS, PERTURBATIONS, perturb
from unmask.types import UInt8Image

FACE = Path(__file__).parents[1] / "data" / "london_024_03.jpg"
VIDEO = ("h264", "h265")
STILL = tuple(name for name in PERTURBATIONS if name not in VIDEO)
FIXED = tuple(name for name, p in PERTURBATIONS.items() if p.keeps_size)


@pytest.fixture(scope="module")
def face() -> UInt8Image:
    """(181, 191, 3): odd sides, most of a real face; cannot be written to."""
    crop = np.asarray(Image.open(FACE).convert("RGB"))[95:276, 97:288].copy()
    crop.setflags(write=False)
    return crop


def mean_square(a: UInt8Image, b: UInt8Image) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


def test_all_kinds_are_there_with_five_levels() -> None:
    assert set(PERTURBATIONS) == {
        "jpeg", "double_jpeg", "webp", "h264", "h265",
        "gaussian_blur", "motion_blur", "defocus_blur", "gaussian_noise", "sensor_noise",
        "resize_nearest", "resize_bilinear", "resize_bicubic", "resize_lanczos", "resize_area",
        "downscale", "upscale", "gamma_dark", "gamma_bright", "contrast_low", "contrast_high",
        "messenger", "social", "reshare",
    }  # fmt: skip
    for name, perturbation in PERTURBATIONS.items():
        assert len(perturbation.levels) == LEVELS, name
        assert len({tuple(p.items()) for p in perturbation.levels}) == LEVELS, name
        assert len({tuple(p) for p in perturbation.levels}) == 1, name  # the same parameters
        assert perturbation.unit, name


@pytest.mark.parametrize(("name", "level"), list(product(PERTURBATIONS, range(1, LEVELS + 1))))
def test_the_contract(name: str, level: int, face: UInt8Image) -> None:
    before = face.copy()
    changed = perturb(name, level, seed=1)(face)
    np.testing.assert_array_equal(face, before)
    assert changed.dtype == np.uint8
    assert changed.ndim == 3
    assert changed.shape[2] == 3
    if PERTURBATIONS[name].keeps_size:
        assert changed.shape == face.shape
    assert changed.shape != face.shape or (changed != face).any()
    again = pickle.loads(pickle.dumps(perturb(name, level, seed=1)))(face)
    np.testing.assert_array_equal(again, changed)


@pytest.mark.parametrize("name", [n for n in FIXED if n not in VIDEO])
def test_each_level_is_farther_from_the_picture(name: str, face: UInt8Image) -> None:
    for seed, picture in ((0, face), (3, face[20:160, 25:165])):
        chains = [perturb(name, level, seed) for level in range(LEVELS + 1)]
        errors = [mean_square(chain(picture), picture) for chain in chains]
        assert errors[0] == 0
        assert (np.diff(errors) > 0).all(), errors


@pytest.mark.parametrize("name", VIDEO)
def test_each_crf_is_farther_from_the_picture(name: str, face: UInt8Image) -> None:
    errors = [mean_square(perturb(name, level, 0)(face), face) for level in range(LEVELS + 1)]
    assert (np.diff(errors) > 0).all(), errors


@pytest.mark.parametrize("name", [n for n in PERTURBATIONS if n not in FIXED])
@pytest.mark.parametrize("side", [180, 1700])
def test_each_level_keeps_less_of_the_picture(name: str, side: int, face: UInt8Image) -> None:
    """For what changes the size: the error after it is brought back to the old one."""
    whole = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    if side > 180:  # a large picture has detail of its own
        rng = np.random.default_rng(0)
        noise = cv2.GaussianBlur(rng.normal(0, 40, (side, side, 3)), (0, 0), 1.0)
        whole = np.clip(whole + noise, 0, 255).astype(np.uint8)
    errors = []
    for level in range(LEVELS + 1):
        changed = perturb(name, level, 0)(whole)
        shrunk = changed.shape[0] < side
        kernel = cv2.INTER_CUBIC if shrunk else cv2.INTER_AREA
        errors.append(mean_square(cv2.resize(changed, (side, side), interpolation=kernel), whole))
    if name == "upscale":  # loses nothing that the mean of a block would not give back
        assert max(errors) < 30
    else:
        assert (np.diff(errors) > 0).all(), errors


def test_enlarging_leaves_less_energy_per_pixel(face: UInt8Image) -> None:
    energy = [
        float(np.mean(cv2.Laplacian(perturb("upscale", k, 0)(face), cv2.CV_64F) ** 2))
        for k in range(LEVELS + 1)
    ]
    assert energy == sorted(energy, reverse=True)


@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    name=st.sampled_from(STILL),
    level=st.integers(0, LEVELS),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=150, deadline=None)
def test_any_size_works(height: int, width: int, name: str, level: int, seed: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    image.setflags(write=False)
    changed = perturb(name, level, seed)(image)
    assert changed.dtype == np.uint8
    assert min(changed.shape) >= 1
    if PERTURBATIONS[name].keeps_size:
        assert changed.shape == image.shape


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_level_zero_is_the_picture_itself(name: str, face: UInt8Image) -> None:
    assert perturb(name, 0, seed=0)(face) is face


@pytest.mark.parametrize(
    "name", ["gaussian_noise", "sensor_noise", "motion_blur", "double_jpeg", "social", "reshare"]
)
def test_what_is_random_follows_the_seed(name: str, face: UInt8Image) -> None:
    results = [perturb(name, 3, seed)(face) for seed in range(6)]
    assert len({r.tobytes() for r in results}) > 2


@pytest.mark.parametrize(
    "name", ["jpeg", "double_jpeg", "gaussian_noise", "sensor_noise", "motion_blur"]
)
def test_a_pair_is_treated_alike_where_it_is_alike(name: str, face: UInt8Image) -> None:
    fake = face.copy()
    fake[:32, :32] = 255 - fake[:32, :32]
    chain = perturb(name, 2, seed=9)
    real, forged = chain(face), chain(fake)
    np.testing.assert_array_equal(real[60:, 60:], forged[60:, 60:])  # away from the forged corner
    assert (real[:32, :32] != forged[:32, :32]).any()


def test_what_is_drawn_does_not_depend_on_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(levels, "motion_blur", lambda i, _, angle: (seen.append(angle), i)[1])
    monkeypatch.setattr(levels, "double_jpeg", lambda i, a, b, shift: (seen.append(shift), i)[1])
    black = np.zeros((9, 9, 3), np.uint8)
    shifts = set()
    for seed in range(300):
        seen.clear()
        for name, level in product(("motion_blur", "double_jpeg"), range(1, LEVELS + 1)):
            perturb(name, level, seed)(black)
        angle, shift = seen[0], seen[LEVELS]
        assert seen == [angle] * LEVELS + [shift] * LEVELS
        assert 0 <= angle < 180  # type: ignore[operator]
        shifts.add(shift)
    assert shifts <= set(product(range(8), range(8))) - {(0, 0)}
    assert len(shifts) > 50


def test_known_levels() -> None:
    assert PERTURBATIONS["jpeg"].levels[1] == {"quality": 75}
    assert [p["crf"] for p in PERTURBATIONS["h264"].levels] == [18, 23, 28, 35, 40]


def test_what_cannot_work_is_refused(face: UInt8Image) -> None:
    with pytest.raises(ConfigError, match=r"no perturbation 'blur'[\s\S]*gaussian_blur"):
        perturb("blur", 1, 0)
    for level in (-1, 6):
        with pytest.raises(ConfigError, match=r"0 \(unchanged\) to 5"):
            perturb("jpeg", level, 0)
        with pytest.raises(ConfigError, match=r"0 \(unchanged\) to 5"):
            PERTURBATIONS["jpeg"](face, level, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="seed is 0 or above"):
        perturb("jpeg", 1, -1)
    for name, level in product(PERTURBATIONS, (0, 1)):
        with pytest.raises(ShapeError, match="uint8 RGB"):
            perturb(name, level, 0)(np.zeros((4, 4), np.uint8))
