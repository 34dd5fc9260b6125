"""Codecs: against Pillow, by their bit streams, and that no colour moves on the way."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from unmask.errors import ConfigError, ShapeError
from unmask.transforms import codecs
from unmask.transforms.codecs import (
    VideoCodec,
    double_jpeg,
    encode_clip,
    video_codec,
    video_still,
    webp,
)
from unmask.types import UInt8Image

CODECS: tuple[VideoCodec, ...] = ("h264", "h265")
FACE = Path(__file__).parents[1] / "data" / "london_024_03.jpg"


@pytest.fixture(scope="module")
def face() -> UInt8Image:
    """(160, 192, 3): eyes, nose and mouth of a real face."""
    return np.asarray(Image.open(FACE).convert("RGB"))[110:270, 96:288]


def mean_square(a: UInt8Image, b: UInt8Image) -> float:
    return float(np.mean((a.astype(float) - b) ** 2))


def through_pillow(image: UInt8Image, kind: str, **options: object) -> UInt8Image:
    data = io.BytesIO()
    Image.fromarray(image).save(data, kind, **options)
    return np.asarray(Image.open(data).convert("RGB"))


def test_two_jpegs_on_shifted_grids(face: UInt8Image) -> None:
    once = through_pillow(face, "JPEG", quality=60, subsampling="4:2:0")
    # a grid that starts at 3, 5 is a picture that starts 5, 3 earlier
    padded = np.pad(once, ((3, 0), (5, 0), (0, 0)), "symmetric")
    expected = through_pillow(padded, "JPEG", quality=80, subsampling="4:2:0")[3:, 5:]
    assert np.abs(double_jpeg(face, 60, 80, (3, 5)).astype(float) - expected).mean() < 0.2


def test_a_shift_between_costs_more_than_none(face: UInt8Image) -> None:
    aligned, shifted = (double_jpeg(face, 40, 40, s) for s in ((0, 0), (4, 4)))
    assert mean_square(shifted, face) > mean_square(aligned, face)
    # on the same grid at the same quality the second finds everything already rounded
    again = double_jpeg(face, 40, 40)
    assert mean_square(again, codecs.jpeg(face, 40)) < 0.2 * mean_square(shifted, again)


@pytest.mark.parametrize("quality", [5, 50, 90, 100])
def test_webp_is_pillows(face: UInt8Image, quality: int) -> None:
    expected = through_pillow(face, "WEBP", quality=quality)
    assert np.abs(webp(face, quality).astype(float) - expected).mean() < 0.3


def test_webps_error_falls_with_quality(face: UInt8Image) -> None:
    errors = [mean_square(webp(face, q), face) for q in (1, 20, 50, 80, 100)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] > 0


@given(height=st.integers(1, 70), width=st.integers(1, 70), tone=st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_stills_of_any_size_come_back(height: int, width: int, tone: int) -> None:
    image = np.full((height, width, 3), tone, np.uint8)
    for changed in (webp(image, 60), double_jpeg(image, 90, 80, (7, 2))):
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert np.abs(changed.astype(int) - tone).max() <= 3


@given(height=st.integers(1, 70), width=st.integers(1, 70), codec=st.sampled_from(CODECS))
@settings(max_examples=12, deadline=None)
def test_clips_of_any_size_come_back(height: int, width: int, codec: VideoCodec) -> None:
    image = np.full((height, width, 3), (200, 60, 90), np.uint8)
    first, second = video_codec([image, image], codec, 20)
    for frame in (first, second, video_still(image, codec, 20)):
        assert frame.shape == image.shape
        assert frame.dtype == np.uint8
        assert np.abs(frame.astype(int) - image).max() <= 4


def wheel() -> UInt8Image:
    """(128, 128, 3): colours that change slowly, so that halved chroma loses little."""
    y, x = np.mgrid[0:128, 0:128] / 127.0
    return np.rint(np.stack([40 + 180 * x, 40 + 180 * y, 220 - 180 * x * y], -1)).astype(np.uint8)


@pytest.mark.parametrize("codec", CODECS)
def test_the_finest_setting_moves_no_colour(codec: VideoCodec, face: UInt8Image) -> None:
    for image, bound in ((wheel(), 0.6), (face, 1.0)):
        error = video_codec([image], codec, 0)[0].astype(float) - image
        assert np.abs(error).mean() < bound
        assert np.abs(error.mean((0, 1))).max() < 0.3  # per channel: no cast


@pytest.mark.parametrize("codec", CODECS)
def test_the_stream_says_and_holds_bt709_in_limited_range(codec: VideoCodec) -> None:
    rgb = np.array([200.0, 60.0, 40.0])
    image = np.full((64, 64, 3), rgb, np.uint8)
    with av.open(io.BytesIO(encode_clip([image], codec, 0)), format=codec.replace("h265", "hevc"),
                 options={}) as container:  # fmt: skip
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (1, 1)
    assert (frame.color_primaries, frame.color_trc) == (1, 1)
    assert frame.format.name == "yuv420p"
    planes = frame.to_ndarray()
    luma = float(rgb @ [0.2126, 0.7152, 0.0722])  # ITU-R BT.709, 3.2 to 3.5
    assert planes[32, 32] == pytest.approx(16 + 219 / 255 * luma, abs=1)
    blue = 128 + 224 / 255 * (rgb[2] - luma) / 1.8556
    red = 128 + 224 / 255 * (rgb[0] - luma) / 1.5748
    assert planes[64:80].mean() == pytest.approx(blue, abs=1)
    assert planes[80:].mean() == pytest.approx(red, abs=1)


def moving(face: UInt8Image, count: int) -> list[UInt8Image]:
    return [np.ascontiguousarray(face[k : k + 97, 2 * k : 2 * k + 111]) for k in range(count)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_clip_goes_through_whole_and_in_order(codec: VideoCodec, face: UInt8Image) -> None:
    clip = moving(face, 8)
    out = video_codec(clip, codec, 18)
    assert [frame.shape for frame in out] == [(97, 111, 3)] * 8
    errors: NDArray[np.float64] = np.array([[mean_square(a, b) for b in clip] for a in out])
    np.testing.assert_array_equal(errors.argmin(1), np.arange(8))
    assert errors.diagonal().max() < 40


@pytest.mark.parametrize("codec", CODECS)
def test_a_clip_is_smaller_than_its_frames_apart(codec: VideoCodec, face: UInt8Image) -> None:
    clip = moving(face, 5)
    apart = sum(len(encode_clip([frame], codec, 28)) for frame in clip)
    assert len(encode_clip(clip, codec, 28)) < 0.7 * apart


@pytest.mark.parametrize("codec", CODECS)
def test_coarser_is_smaller_and_worse(codec: VideoCodec, face: UInt8Image) -> None:
    sizes = [len(encode_clip([face], codec, crf)) for crf in (10, 25, 40, 51)]
    errors = [mean_square(video_still(face, codec, crf), face) for crf in (10, 25, 40, 51)]
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


@pytest.mark.parametrize("codec", CODECS)
def test_a_still_is_predicted_from_its_neighbours(
    codec: VideoCodec, face: UInt8Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[UInt8Image]] = []

    def spy(frames: list[UInt8Image], *rest: object) -> list[UInt8Image]:
        seen.append(frames)
        return frames

    monkeypatch.setattr(codecs, "video_codec", spy)
    np.testing.assert_array_equal(video_still(face, codec, 30), face)
    clip = seen[0]
    assert len(clip) == 5
    assert len({frame.tobytes() for frame in clip}) == 5  # a drift: all differ
    stream = io.BytesIO(encode_clip(clip, codec, 30))
    with av.open(stream, format=codec.replace("h265", "hevc")) as container:
        kinds = [
            av.video.frame.PictureType(frame.pict_type).name for frame in container.decode(video=0)
        ]
    assert kinds[0] == "I"
    assert kinds[2] in "PB"


@pytest.mark.parametrize("codec", CODECS)
def test_the_bytes_are_the_same_whatever_came_before(codec: VideoCodec, face: UInt8Image) -> None:
    first = encode_clip([face], codec, 30)
    encode_clip([face[:20, :20]], codec, 10)  # libx265 keeps process-wide settings
    assert encode_clip([face], codec, 30) == first


def test_frames_that_cannot_be_written_to_are_left_alone(face: UInt8Image) -> None:
    locked = face[:63, :65]
    locked.setflags(write=False)
    before = locked.copy()
    for codec in CODECS:
        video_still(locked, codec, 30)
    webp(locked, 50)
    np.testing.assert_array_equal(locked, before)


def test_what_cannot_work_is_refused(face: UInt8Image) -> None:
    with pytest.raises(ConfigError, match=r"WebP quality is 1\.\.100"):
        webp(face, 0)
    with pytest.raises(ShapeError, match="at most 16383"):
        webp(np.zeros((1, 16_384, 3), np.uint8), 50)
    with pytest.raises(ConfigError, match="phase"):
        double_jpeg(face, 90, 90, (8, 0))
    with pytest.raises(ConfigError, match="one of h264, h265"):
        video_codec([face], "vp9", 30)  # type: ignore[arg-type]
    for crf in (-1, 52):
        with pytest.raises(ConfigError, match=r"0\.\.51"):
            video_codec([face], "h264", crf)
    with pytest.raises(ShapeError, match="at least one frame"):
        video_codec([], "h264", 30)
    with pytest.raises(ShapeError, match=r"one size; got \[\(192, 100\), \(192, 160\)\]"):
        video_codec([face, face[:100]], "h265", 30)
    with pytest.raises(ShapeError, match="uint8 RGB"):
        video_codec([face.astype(np.float32)], "h264", 30)  # type: ignore[list-item]
    with pytest.raises(ConfigError, match=r"refuses frames of 2 x 20000[\s\S]*16384 pixels"):
        video_codec([np.zeros((20_000, 2, 3), np.uint8)], "h264", 30)


def test_an_ffmpeg_without_the_encoder_is_named(
    face: UInt8Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(codecs._ENCODERS, "h265", "no_such_encoder")
    with pytest.raises(ConfigError, match=r"no encoder no_such_encoder[\s\S]*pip install"):
        video_codec([face], "h265", 30)


def test_pyav_is_loaded_only_when_needed() -> None:
    code = "import sys, unmask.transforms.levels; print('av' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_h265_never_sees_a_frame_that_it_writes_beyond(face: UInt8Image) -> None:
    stream = io.BytesIO(encode_clip([face[:20, :31]], "h265", 30))
    with av.open(stream, format="hevc") as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (64, 64)
