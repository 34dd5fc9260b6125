"""The pictures hold what they claim: size, colours, gain, boxes."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from unmask.apps.report import pictures
from unmask.types import Frame


def opened(picture: pictures.Picture) -> Image.Image:
    head, data = picture.uri.split(",", 1)
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert head == f"data:image/{(image.format or '').lower()};base64"
    assert image.size == (picture.width, picture.height)
    return image


@pytest.mark.parametrize("shape", [(1200, 1920), (1920, 1200), (64, 96), (2000, 3)])
def test_key_frames_keep_their_shape_and_are_at_most_960_long(shape: tuple[int, int]) -> None:
    frame = Frame(np.zeros((*shape, 3), np.uint8))
    image = opened(pictures.key_frame(frame, []))
    assert max(image.size) == min(960, max(shape))
    assert abs(image.width / image.height - shape[1] / shape[0]) < 0.01 * shape[1] / shape[0] or (
        image.width == 1
    )


def test_the_box_is_drawn_where_the_face_is() -> None:
    frame = Frame(np.full((960, 1920, 3), 128, np.uint8))
    drawn = pictures.key_frame(frame, [pictures.Labelled((600, 400, 1000, 800), "Face 7")])
    grey = np.asarray(opened(drawn).convert("L"), dtype=int)
    line = grey[250:350, 290:312]  # the left edge: x = 600 / 2
    assert line.max(axis=1).min() > 200
    assert line.min(axis=1).max() < 60
    assert np.abs(grey[450:, 600:] - 128).max() < 8  # nothing is drawn elsewhere


@pytest.mark.parametrize("box", [(-50, -50, 30, 30), (90, 60, 400, 300), (500, 500, 600, 600)])
def test_boxes_beyond_the_frame_are_drawn_inside(box: tuple[float, ...]) -> None:
    frame = Frame(np.full((64, 96, 3), 128, np.uint8))
    grey = np.asarray(opened(pictures.key_frame(frame, [pictures.Labelled(box, "Face 0")])))
    assert np.ptp(grey) > 100


def test_heat_grows_in_lightness_and_opacity() -> None:
    heat = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    layer = np.asarray(opened(pictures.heat_layer(heat)).convert("RGBA"), dtype=float)[32]
    luma = layer[:, :3] @ [0.299, 0.587, 0.114]
    assert (np.diff(luma) >= 0).all()
    assert (np.diff(layer[:, 3]) >= 0).all()
    assert layer[0, 3] == 0
    assert luma[-1] - luma[0] > 150


def test_heat_survives_values_that_are_no_numbers() -> None:
    heat = np.array([[np.nan, 2.0], [-1.0, 0.5]], np.float32)
    layer = np.asarray(opened(pictures.heat_layer(heat)).convert("RGBA"))
    assert layer[0, 0, 3] == 0
    assert tuple(layer[0, 1, :3]) == pictures.HEAT_STOPS[-1]
    assert layer[1, 0, 3] == 0


def test_residual_grey_is_symmetric_with_the_stated_gain() -> None:
    values = np.array([[-4.0, 4.0], [0.0, 1.0]], np.float32)
    picture, gain = pictures.residual(values)
    assert gain == 16.0  # 32 x 4 would clip
    grey = np.asarray(opened(picture), dtype=float)
    np.testing.assert_allclose(grey, 127.5 + gain * values, atol=0.5)


def test_large_residuals_are_cut_to_the_centre_not_resampled() -> None:
    values = np.random.default_rng(0).normal(0, 3, (400, 400)).astype(np.float32)
    picture, gain = pictures.residual(values)
    grey = np.asarray(opened(picture), dtype=float)
    assert grey.shape == (320, 320)
    np.testing.assert_allclose(
        grey, np.clip(127.5 + gain * values[40:360, 40:360], 0, 255), atol=0.51
    )


@pytest.mark.parametrize("level", [0.0, 5000.0])
def test_residuals_of_any_size_have_a_gain(level: float) -> None:
    _, gain = pictures.residual(np.full((8, 8), level, np.float32))
    assert gain in pictures.GAINS
