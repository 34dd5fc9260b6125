"""Clips of every container: which frames, when, upright, in the right colours."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from unmask.errors import MediaError
from unmask.media import Limits, decode, video
from unmask.media.sampling import spread

ClipMaker = Callable[..., Path]


def level(image: NDArray[np.uint8]) -> float:
    """The frame number that the `clip` fixture painted, from the lower part's grey."""
    return float(image[image.shape[0] * 3 // 4 :].mean()) / 4


KINDS = [
    ("a.mp4", "libx264", {}),
    ("a.mov", "libx264", {}),
    ("a.mkv", "libx264", {}),
    ("a.avi", "mpeg4", {}),
    ("b.avi", "libx264", {}),  # reordered frames in a container without presentation times
    ("b.mp4", "mpeg4", {}),
    ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    ("b.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "8"}),
]


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_spread_frames_of_every_format(
    name: str, codec: str, options: dict[str, str], clip: ClipMaker
) -> None:
    media = decode(clip(name, codec, options=options), max_frames=6)
    positions = spread(40, 6)
    assert [f.index for f in media.frames] == positions == [3, 10, 16, 23, 30, 36]
    assert [f.time for f in media.frames] == pytest.approx([p / 25 for p in positions], abs=1e-3)
    assert [level(f.image) for f in media.frames] == pytest.approx(positions, abs=1.0)
    assert (media.frames_failed, media.reasons) == (0, ())
    assert (media.info.media, media.info.format) == ("video", name[2:])
    assert (media.info.width, media.info.height) == (64, 48)
    assert media.info.duration_s == pytest.approx(1.6, abs=0.05)
    assert all(f.grid is None for f in media.frames)


def test_a_short_clip_gives_all_its_frames(clip: ClipMaker) -> None:
    media = decode(clip("a.mp4", count=5))
    assert [f.index for f in media.frames] == [0, 1, 2, 3, 4]


def test_fragmented_and_faststart(clip: ClipMaker) -> None:
    for flags in ("frag_keyframe+empty_moov", "faststart"):
        media = decode(clip("a.mp4", container={"movflags": flags}), max_frames=2)
        assert [f.index for f in media.frames] == [10, 30]
        assert media.reasons == ()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_jumping_gives_the_same_frames_as_going_through(
    name: str, clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = "libvpx" if name.endswith("webm") else "libx264"
    options = {"g": "30", "keyint_min": "30"} if codec == "libvpx" else {"x264-params": "keyint=30"}
    path = clip(name, codec, count=240, options=options)
    plans = []
    original = video.stretches
    monkeypatch.setattr(video, "stretches", lambda *a: plans.append(original(*a)) or plans[-1])
    jumped = decode(path, max_frames=5)
    assert len(plans) == 1  # no jump went wrong
    assert len(plans[0]) > 2
    monkeypatch.setattr(video, "stretches", lambda wanted, _: original(wanted, []))
    through = decode(path, max_frames=5)
    assert [f.index for f in jumped.frames] == [f.index for f in through.frames] == spread(240, 5)
    for one, other in zip(jumped.frames, through.frames, strict=True):
        assert one.time == other.time
        assert np.array_equal(one.image, other.image)


def test_a_jump_that_lands_too_far_is_made_good(
    clip: ClipMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip("a.mp4", count=120, options={"x264-params": "keyint=30"})
    original = video.stretches
    monkeypatch.setattr(  # claims that the last key frame lies before the first goal
        video, "stretches", lambda wanted, keys: [(90, wanted)] if keys else original(wanted, [])
    )
    assert [f.index for f in decode(path, max_frames=3).frames] == [20, 60, 100]


# Display matrices of ISO/IEC 14496-12 (a, b, c, d): where right and down of the stored picture go.
UPRIGHT = {
    "none": ((1, 0, 0, 1), 0),
    "a quarter clockwise": ((0, 1, -1, 0), -1),
    "half": ((-1, 0, 0, -1), 2),
    "a quarter counter-clockwise": ((0, -1, 1, 0), 1),
}


@pytest.mark.parametrize("turn", UPRIGHT)
def test_rotation(turn: str, clip: ClipMaker, quarters: NDArray[np.uint8]) -> None:
    (a, b, c, d), counter_clockwise = UPRIGHT[turn]
    path = clip("a.mp4", count=3, size=(48, 32), picture=quarters)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of other fields
    one = 1 << 16
    assert struct.unpack_from(">9i", data, at) == (one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    struct.pack_into(">9i", data, at, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    media = decode(path)
    expected = np.rot90(quarters, counter_clockwise)
    assert media.frames[0].image.shape == expected.shape
    assert (media.info.width, media.info.height) == (expected.shape[1], expected.shape[0])
    middle = np.s_[4:-4:8, 4:-4:8]
    difference = media.frames[0].image[middle].astype(int) - expected[middle]
    assert np.median(np.abs(difference)) < 12


def yuv_clip(path: Path, size: tuple[int, int], matrix: int | None, bits: int = 8) -> Path:
    """Y, Cb, Cr = 63, 102, 240 (limited range): saturated red in BT.709."""
    width, height = size
    kind = "yuv420p" if bits == 8 else "yuv420p10le"
    sample = np.uint8 if bits == 8 else np.uint16
    planes = np.full(height * 3 // 2 * width, 102, sample)
    planes[: width * height] = 63
    planes[width * height * 5 // 4 :] = 240
    planes = planes.reshape(height * 3 // 2, width) << (bits - 8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, kind
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        frame = av.VideoFrame.from_ndarray(planes, format=kind)
        if matrix is not None:
            frame.colorspace = matrix
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("size", "matrix", "bits", "expected"),
    [
        # R = 1.164 (Y-16) + 1.793 (Cr-128), G = .. - 0.213 (Cb-128) - 0.533 (Cr-128),
        # B = .. + 2.112 (Cb-128) for BT.709 (1); 1.596, 0.392, 0.813, 2.017 for BT.601 (6)
        ((64, 48), 1, 8, (255, 1, 0)),
        ((64, 48), 6, 8, (233, 0, 2)),
        ((64, 48), None, 8, (233, 0, 2)),
        ((1280, 720), None, 8, (255, 1, 0)),
        ((64, 48), 1, 10, (255, 1, 0)),
    ],
)
def test_colour_matrix(
    size: tuple[int, int],
    matrix: int | None,
    bits: int,
    expected: tuple[int, int, int],
    tmp_path: Path,
) -> None:
    image = decode(yuv_clip(tmp_path / "a.mp4", size, matrix, bits)).frames[0].image
    assert np.abs(image[8, 8].astype(int) - expected).max() <= 3


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def test_sound_alone_is_not_applicable(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        decode(sound(tmp_path / "a.mp4"))
    assert (caught.value.status, caught.value.reason) == ("not_applicable", "no_video_stream")


@pytest.mark.parametrize(
    ("name", "flags"), [("a.avi", {}), ("a.mp4", {"movflags": "empty_moov"}), ("b.mp4", {})]
)
def test_no_frames(name: str, flags: dict[str, str], tmp_path: Path) -> None:
    with av.open(str(tmp_path / name), "w", options=flags) as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        out.start_encoding()
    with pytest.raises(MediaError) as caught:
        decode(tmp_path / name)
    assert (caught.value.status, caught.value.reason) == ("unreadable", "zero_frames")


def test_too_long_and_too_large(clip: ClipMaker) -> None:
    path = clip("a.mp4")
    with pytest.raises(MediaError, match="2 s long") as caught:
        decode(path, limits=Limits(max_duration_s=1.5))
    assert (caught.value.status, caught.value.reason) == ("limit_exceeded", "too_long")
    with pytest.raises(MediaError) as caught:
        decode(path, limits=Limits(max_pixels=64 * 48 - 1))
    assert (caught.value.status, caught.value.reason) == ("limit_exceeded", "too_many_pixels")


def test_a_playlist_in_disguise_reaches_no_other_file(clip: ClipMaker, tmp_path: Path) -> None:
    clip("a.mp4")
    listing = tmp_path / "b.mp4"
    listing.write_text("ffconcat version 1.0\nfile a.mp4\n")
    with pytest.raises(MediaError) as caught:
        decode(listing)
    assert caught.value.reason == "unsupported_format"


def test_damage_inside_is_counted_and_never_shown(clip: ClipMaker) -> None:
    path = clip("a.mp4", container={"movflags": "faststart"}, options={"x264-params": "bframes=0"})
    whole = decode(path, max_frames=40)
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        entry = container.streams.video[0].index_entries[20]
    data[entry.pos + 8 : entry.pos + entry.size] = bytes(entry.size - 8)
    path.write_bytes(data)
    damaged = decode(path, max_frames=40)
    assert damaged.frames_failed == 40 - len(damaged.frames) > 0
    assert 20 not in [f.index for f in damaged.frames]
    for frame in damaged.frames:
        assert np.array_equal(frame.image, whole.frames[frame.index].image)


def test_titles_that_are_no_utf8(clip: ClipMaker) -> None:
    path = clip("a.avi", "mpeg4", count=4)
    with av.open(str(path)) as container:
        encoder = container.metadata["software"].encode()
    path.write_bytes(path.read_bytes().replace(encoder, b"\xe9" * len(encoder)))
    assert len(decode(path).frames) == 4
