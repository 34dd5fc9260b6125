"""The networks against outputs of the original, the cascade's parts against brute force."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from unmask.errors import CheckpointError, ShapeError
from unmask.faces import mtcnn
from unmask.faces.mtcnn import MTCNN, Detections, OutputNet, RefineNet, patches, pyramid

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def net() -> MTCNN:
    return MTCNN.pretrained()


def wave(*shape: int) -> Tensor:
    """sin(0.37 n) for n = 0, 1, ... in C order: an input anyone can make again."""
    count = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(count * 0.37).float().reshape(shape)


# The literals were printed by facenet-pytorch 2.6.0's PNet, RNet and ONet for `wave(...)`:
#   boxes, probability = PNet()(wave(1, 3, 14, 12)); boxes, landmarks, probability = ONet()(...)
PROPOSAL = [
    [1.2578259429574246e-06, -0.0579996407, 0.0231597871, 0.2599103153, 0.1291336417],
    [5.53556503746222e-07, -0.1857967079, 0.3446890712, 0.3945854604, 0.4040989876],
]
REFINE = [1.9741581127163954e-05, -0.1264307797, 0.1140943393, 0.2446644753, 0.6666406393]
OUTPUT = [
    *(0.0032750910613685846, -0.1397271752, -0.0631823838, 0.1009528190, 0.2715801299),
    *(0.2325494438, 0.6876871586, 0.3646467626, 0.2181129456, 0.6097611189),
    *(0.2962462903, 0.2908100784, 0.4693377316, 0.8488831520, 0.8720251918),
]


@pytest.mark.parametrize(
    ("stage", "shape", "expected"),
    [
        ("proposal", (14, 12), PROPOSAL),
        ("refine", (24, 24), [REFINE]),
        ("output", (48, 48), [OUTPUT]),
    ],
)
def test_networks_give_the_original_outputs(
    net: MTCNN, stage: str, shape: tuple[int, int], expected: list[list[float]]
) -> None:
    with torch.inference_mode():
        raw = getattr(net, stage)(wave(1, 3, *shape))
    rows = raw.flatten(2)[0].T if raw.ndim == 4 else raw
    rows = torch.cat([rows[:, :1].sigmoid(), rows[:, 1:]], dim=1).numpy()
    np.testing.assert_allclose(rows, np.array(expected), rtol=1e-4, atol=2e-6)


def test_a_compiler_runs_the_judges(net: MTCNN) -> None:
    asked: list[tuple[int, int]] = []

    def compiler(judge: RefineNet | OutputNet) -> Callable[[Tensor], Tensor]:
        def run(batch: Tensor) -> Tensor:
            asked.append((judge.size, batch.shape[-1]))
            return judge(batch)

        return run

    image = cv2.imread(str(EXAMPLES / "real_congress_1.jpg"))[..., ::-1].copy()
    compiled = MTCNN.pretrained()
    compiled.compile_judges(compiler)
    found, expected = compiled.detect(image, 40.0), net.detect(image, 40.0)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    assert len(found.boxes) > 0
    assert asked == [(24, 24), (48, 48)]


def test_every_level_of_the_pyramid_still_fits_a_cell() -> None:
    sizes = pyramid(480, 640, 40.0)
    assert sizes[0] == (192, 144)
    assert all(min(size) >= 12 for size in sizes)
    assert min(sizes[-1]) * mtcnn.PYRAMID_FACTOR < 12
    assert pyramid(11, 500, 12.0) == []


def test_patches_are_black_outside_the_picture() -> None:
    image = np.full((30, 20, 3), 200, np.uint8)
    out = patches(image, np.array([[-10.0, -10.0, 10.0, 10.0], [0.0, 0.0, 20.0, 20.0]]), 20)
    expected = np.zeros((20, 20, 3), np.uint8)
    expected[10:, 10:] = 200
    np.testing.assert_array_equal(out[0], expected)
    np.testing.assert_array_equal(out[1], 200)


def test_patches_copy_the_pixels_of_a_box_at_its_own_size() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    out = patches(image, np.array([[7.0, 3.0, 31.0, 27.0]]), 24)
    np.testing.assert_array_equal(out[0], image[3:27, 7:31])


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (12, 12), (300, 12)])
def test_tiny_and_thin_pictures_have_no_face(net: MTCNN, size: tuple[int, int]) -> None:
    found = net.detect(np.full((*size, 3), 128, np.uint8), 12.0)
    assert isinstance(found, Detections)
    assert (found.boxes.shape, found.scores.shape) == ((0, 4), (0,))
    assert found.landmarks.shape == (0, 5, 2)


def test_a_strict_threshold_stops_everything() -> None:
    net = MTCNN.pretrained((0.6, 0.7, 0.7))
    net.thresholds = (1.0 - 1e-12, 0.7, 0.7)
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    assert len(net.detect(noise, 20.0).boxes) == 0


def test_a_grey_picture_is_refused(net: MTCNN) -> None:
    with pytest.raises(ShapeError, match=r"\(H, W, 3\) uint8 RGB"):
        net.detect(np.zeros((50, 50), np.uint8), 20.0)


def test_damaged_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(_: bytes) -> dict[str, Tensor]:
        raise mtcnn.SafetensorError("header too small")

    monkeypatch.setattr(mtcnn, "load", cut)
    with pytest.raises(CheckpointError, match=r"mtcnn\.safetensors.*header too small"):
        MTCNN.pretrained()


def test_weights_of_another_network_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtcnn, "load", lambda _: {"some.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match="Install the package again"):
        MTCNN.pretrained()
