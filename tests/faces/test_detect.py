"""Finding faces: agreement with the original on pictures, orientation, tight crops, no face."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from torch import Tensor

from unmask.errors import ConfigError, ShapeError
from unmask.faces import MTCNNDetector, find_faces
from unmask.faces import boxes as bx
from unmask.faces.detect import plausible
from unmask.faces.mtcnn import OutputNet, RefineNet
from unmask.types import Face, Frame, UInt8Image

Read = Callable[[str], UInt8Image]

# box and landmarks as facenet-pytorch 2.6.0 gives them (MTCNN(keep_all=True, min_face_size=40));
# its boxes count pixels from 1 and include the last, so 1 is taken off x0 and y0 here
KNOWN: dict[str, tuple[list[float], list[list[float]]]] = {
    "congress_A000055.jpg": (
        [78.5, 42.1, 243.0, 272.4],
        [[124.8, 136.4], [192.3, 135.3], [158.0, 181.2], [127.8, 209.8], [193.0, 210.2]],
    ),
    "london_006_03.jpg": (
        [86.8, 54.7, 298.3, 341.3],
        [[145.5, 170.5], [243.7, 173.7], [193.9, 225.7], [152.8, 275.4], [232.6, 278.2]],
    ),
    "london_024_03.jpg": (
        [96.9, 57.1, 295.0, 331.9],
        [[157.3, 162.4], [248.7, 166.4], [205.3, 212.6], [160.2, 261.6], [238.4, 265.9]],
    ),
    "london_025_08.jpg": (
        [97.7, 61.8, 313.0, 362.4],
        [[153.1, 178.9], [256.8, 177.4], [198.7, 229.9], [155.9, 277.3], [252.4, 277.0]],
    ),
}


def iou(one: object, two: object) -> float:
    return float(bx.overlap(np.array(one, float), np.array([two], float), over="union")[0])


def moved(name: str, right: float) -> list[float]:
    x0, y0, x1, y1 = KNOWN[name][0]
    return [x0 + right, y0, x1 + right, y1]


def test_threads_that_begin_at_once_share_the_networks() -> None:
    """Making them twice is waste, and with OpenVINO, which converts one at a time, an error."""
    begun: list[int] = []

    def compiler(net: RefineNet | OutputNet) -> Callable[[Tensor], Tensor]:
        begun.append(net.size)
        time.sleep(0.1)  # time for the other threads to begin, too
        return net

    detector = MTCNNDetector(compiler=compiler)
    picture = np.zeros((64, 64, 3), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(detector.detect, [picture] * 4)) == [[]] * 4
    assert sorted(begun) == [RefineNet.size, OutputNet.size]


@pytest.mark.parametrize("name", KNOWN)
def test_agrees_with_the_original(name: str, picture: Read, detector: MTCNNDetector) -> None:
    box, landmarks = KNOWN[name]
    (face,) = detector.detect(picture(name))
    assert iou(face.box, box) > 0.88
    assert np.abs(face.landmarks - landmarks).max() < 5.0
    assert face.confidence > 0.999


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("name", KNOWN)
def test_a_turned_picture_gives_the_same_face(
    name: str, turns: int, picture: Read, detector: MTCNNDetector
) -> None:
    upright = picture(name)
    (expected,) = find_faces(Frame(upright), detector)
    (face,) = find_faces(Frame(np.ascontiguousarray(np.rot90(upright, -turns))), detector)
    assert face.quarter_turns == turns
    # np.rot90(_, -1): x, y -> height - y, x, once per quarter turn
    points = np.concatenate([np.reshape(expected.box, (2, 2)), expected.landmarks])
    height, width = upright.shape[:2]
    for _ in range(turns):
        points = np.stack([height - points[:, 1], points[:, 0]], axis=1)
        height, width = width, height
    corners = np.concatenate([points[:2].min(axis=0), points[:2].max(axis=0)])
    np.testing.assert_allclose(face.box, corners, atol=0.01)
    np.testing.assert_allclose(face.landmarks, points[2:], atol=0.01)


# 0.7 of each box: neither chin nor forehead is left
TIGHT = {
    "congress_A000055.jpg": (104, 76, 216, 235),
    "london_006_03.jpg": (112, 96, 266, 301),
    "london_024_03.jpg": (130, 96, 266, 284),
    "london_025_08.jpg": (130, 104, 283, 316),
}


@pytest.mark.parametrize("name", TIGHT)
def test_a_tight_crop_is_found_in_its_own_pixels(
    name: str, picture: Read, detector: MTCNNDetector
) -> None:
    x0, y0, x1, y1 = TIGHT[name]
    crop = picture(name)[y0:y1, x0:x1].copy()
    assert plausible(detector.detect(crop)) == []
    (face,) = find_faces(Frame(crop), detector)
    assert face.tight
    assert face.quarter_turns == 0
    expected = np.array(KNOWN[name][1]) - (x0, y0)
    assert np.abs(face.landmarks - expected).max() < 0.06 * (y1 - y0)


@pytest.mark.parametrize("kind", ["noise", "flat", "clouds", "landscape", "stripes"])
def test_no_face_where_there_is_none(kind: str, detector: MTCNNDetector) -> None:
    rng = np.random.default_rng(5)
    size = 200
    rows, columns = np.mgrid[:size, :size]
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    frequency[0, 0] = 1.0
    white = rng.standard_normal((size, size))
    cloud = np.fft.ifft2(np.fft.fft2(white) / frequency**1.5).real
    cloud = 128 + 50 * cloud / cloud.std()
    horizon = np.where(rows < 90 + 15 * np.sin(columns / 23), 200 - rows / 3, 60 + cloud / 4)
    grey = {
        "noise": rng.uniform(0, 255, (size, size)),
        "flat": np.full((size, size), 128.0),
        "clouds": cloud,
        "landscape": horizon,
        "stripes": 128 + 100 * np.sin(columns / 5),
    }[kind]
    image = np.repeat(np.clip(grey, 0, 255)[..., None], 3, axis=2).astype(np.uint8)
    assert find_faces(Frame(image), detector) == []


def test_two_faces_come_largest_first(picture: Read, detector: MTCNNDetector) -> None:
    large, small = picture("london_006_03.jpg"), picture("london_024_03.jpg")[::2, ::2]
    image = np.full((384, 600, 3), 200, np.uint8)
    image[:, 200:584] = large
    image[100:292, 4:196] = small
    first, second = find_faces(Frame(image), detector)
    assert iou(first.box, moved("london_006_03.jpg", 200)) > 0.8
    expected = np.array(KNOWN["london_024_03.jpg"][0]) / 2 + (4, 100, 4, 100)
    assert iou(second.box, expected) > 0.8
    (only,) = find_faces(Frame(image), detector, max_faces=1)
    assert only.box == first.box


def test_a_face_half_outside_the_frame_is_found(picture: Read, detector: MTCNNDetector) -> None:
    image = picture("london_025_08.jpg")[:, 190:].copy()
    (face,) = find_faces(Frame(image), detector)
    assert iou(face.box, moved("london_025_08.jpg", -190)) > 0.5


def test_a_large_picture_is_searched_reduced(picture: Read, detector: MTCNNDetector) -> None:
    image = picture("congress_A000055.jpg").repeat(5, axis=0).repeat(5, axis=1)
    (face,) = detector.detect(image)
    assert iou(face.box, np.array(KNOWN["congress_A000055.jpg"][0]) * 5) > 0.85
    assert np.abs(face.landmarks / 5 - KNOWN["congress_A000055.jpg"][1]).max() < 5.0


def test_the_same_picture_gives_the_same_faces(picture: Read, detector: MTCNNDetector) -> None:
    image = picture("london_006_03.jpg")
    (first,), (again,) = detector.detect(image), MTCNNDetector().detect(image.copy())
    assert first.box == again.box
    assert first.confidence == again.confidence
    np.testing.assert_array_equal(first.landmarks, again.landmarks)


def test_a_quick_look_is_upright_and_unpadded_only(picture: Read, detector: MTCNNDetector) -> None:
    upright = picture("london_006_03.jpg")
    (expected,) = find_faces(Frame(upright), detector)
    (face,) = find_faces(Frame(upright), detector, thorough=False)
    assert face.box == expected.box
    turned = Frame(np.ascontiguousarray(np.rot90(upright, 2)))
    quick = find_faces(turned, detector, thorough=False)
    assert all(f.quarter_turns == 0 for f in quick)
    assert all(f.confidence < find_faces(turned, detector)[0].confidence for f in quick)
    x0, y0, x1, y1 = TIGHT["london_006_03.jpg"]
    tight = Frame(upright[y0:y1, x0:x1].copy())
    assert find_faces(tight, detector, thorough=False) == []
    assert len(find_faces(tight, detector)) == 1


def stand_in(side: float, confidence: float) -> Face:
    points = np.zeros((5, 2), np.float32)
    return Face((0.0, 0.0, side, side), points, confidence)


def test_what_is_plausible_beside_a_large_face() -> None:
    large, near, button = stand_in(200, 0.999), stand_in(150, 0.92), stand_in(30, 0.97)
    assert plausible([large, near, button]) == [large, near]
    assert plausible([large, stand_in(30, 0.995)])[1:]
    assert plausible([stand_in(200, 0.8)]) == []
    assert plausible([]) == []


def test_importing_the_room_and_making_a_detector_loads_no_torch() -> None:
    code = (
        "import sys, unmask.faces as f; f.MTCNNDetector(); f.crop_face; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 12 pixels; got 5"):
        MTCNNDetector(min_face=5)
    with pytest.raises(ConfigError, match=r"three numbers in \(0, 1\)"):
        MTCNNDetector(thresholds=(0.5, 0.7, 1.5))


def test_bad_input_is_refused(detector: MTCNNDetector) -> None:
    with pytest.raises(ShapeError, match="uint8"):
        detector.detect(np.zeros((20, 20, 3), np.float32))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="max_faces"):
        find_faces(Frame(np.zeros((20, 20, 3), np.uint8)), detector, max_faces=0)
