"""Cues seen in the pixels. Oracle: pictures made with the trace that is to be found."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.data.protocols.normalise import Normalise
from unmask.errors import MediaError, ShapeError
from unmask.evaluation.cues import CUES, SEEN, content, grid_phase, highpass, measure
from unmask.transforms.perturb import gaussian_blur, jpeg
from unmask.types import UInt8Image

FACES = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="module")
def face() -> UInt8Image:
    """A portrait halved, so that no grid of its own is left."""
    picture = cv2.imread(str(FACES / "london_006_03.jpg"))[..., ::-1]
    height, width = picture.shape[:2]
    return np.ascontiguousarray(
        cv2.resize(picture, (round(width / 1.9), round(height / 1.9)), interpolation=cv2.INTER_AREA)
    )


def gray(image: UInt8Image) -> UInt8Image:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


@pytest.mark.parametrize("quality", [60, 75, 85])
@pytest.mark.parametrize("phase", [(0, 0), (3, 5), (7, 1)])
def test_the_grid_is_found_where_it_was_put(
    quality: int, phase: tuple[int, int], face: UInt8Image
) -> None:
    found, strength = grid_phase(gray(jpeg(face, quality, phase=phase)))
    assert found == phase
    assert strength is not None
    assert strength > 4


def test_no_grid_is_found_where_there_is_none(face: UInt8Image) -> None:
    assert grid_phase(gray(face))[0] is None
    noise = np.random.default_rng(0).integers(0, 256, (400, 96, 96), np.uint8)
    hits = [n for n in noise if grid_phase(n)[0] is not None]
    assert len(hits) <= 2  # 400 / 4096 by chance
    assert grid_phase(np.full((96, 96), 7, np.uint8)) == (None, 0.0)
    assert grid_phase(noise[0][:, :40]) == (None, None)


def test_the_grid_of_a_large_picture_keeps_its_phase(face: UInt8Image) -> None:
    large = np.asarray(cv2.resize(face, (1500, 1300), interpolation=cv2.INTER_CUBIC))
    noisy = np.clip(large + np.random.default_rng(0).normal(0, 6, large.shape), 0, 255)
    assert content(jpeg(noisy.astype(np.uint8), 70, phase=(2, 6)))["grid_phase"] == "2,6"


def test_blur_lowers_sharpness_and_highpass_energy(face: UInt8Image) -> None:
    sharp, soft = content(face), content(gaussian_blur(face, 1.5))
    for name in ("blur", "highpass"):
        assert soft[name] < sharp[name]  # type: ignore[operator]


def test_highpass_of_a_known_cosine() -> None:
    # one coefficient u = v = 5 per block: energy on diagonal 10 of 15 coefficients 5 of them
    x = np.cos((2 * np.arange(8) + 1) * 5 * np.pi / 16)
    block = 128 + 40 * np.outer(x, x)
    image = np.repeat(np.tile(block, (4, 4))[..., None], 3, axis=2).round().astype(np.uint8)
    amplitude = 40 * 4.0  # orthonormal DCT-II: each factor is sqrt(2/8) * 4 = 2 for this cosine
    mean_of_diagonals = amplitude**2 / 5 / 7  # 5 coefficients on u + v = 10; 7 diagonals
    assert highpass(image) == pytest.approx(np.log10(mean_of_diagonals), abs=0.01)
    assert highpass(image[:7]) is None


def test_means_of_a_plain_picture() -> None:
    found = content(np.full((64, 64, 3), (200, 100, 100), np.uint8))
    assert found["saturation"] == pytest.approx(127.5, abs=0.6)  # 255 (200 - 100) / 200
    assert found["luma"] == pytest.approx(0.299 * 200 + 0.701 * 100, abs=0.6)
    assert found["blur"] == 0


def test_every_cue_is_measured(tmp_path: Path, face: UInt8Image) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), face[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    row = {"video_id": "v", "codec": "jpeg", "quality": 80, "compression": "", "box": [9, 16, 3, 3]}
    found = measure(path, row)
    assert set(found) == set(CUES)
    height, width = face.shape[:2]
    expected = {
        "format": "jpeg", "jpeg_quality": 80, "subsampling": "4:2:0", "width": width,
        "height": height, "crop_phase": "1,0", "grid_phase": "0,0", "quality": 80, "exif": False,
        "bytes_per_pixel": path.stat().st_size / (width * height),
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    assert measure(path, row | {"box": None})["crop_phase"] is None


def test_after_a_normalising_step_the_file_is_no_cue(tmp_path: Path, face: UInt8Image) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), face[..., ::-1])
    step = Normalise(side=128)
    assert measure(path, {"video_id": "v"}, step) == content(step.apply(face, "v"))
    assert set(measure(path, {"video_id": "v"}, step)) == set(SEEN)
    with pytest.raises(ShapeError, match="smaller than the window"):
        measure(path, {"video_id": "v"}, Normalise(side=1000))


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"once upon a time")
    for file, reason in ((path, "unsupported_format"), (tmp_path / "b.jpg", "missing")):
        with pytest.raises(MediaError) as caught:
            measure(file, {})
        assert caught.value.reason == reason
