"""A cut file never passes for a whole one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from unmask.media import Media, try_decode

ClipMaker = Callable[..., Path]
STILLS = ["jpeg", "progressive.jpeg", "png", "webp", "gif", "animated.gif", "avif", "heic"]
CLIPS = ["a.mp4", "faststart.mp4", "fragmented.mp4", "a.mov", "a.mkv", "a.webm", "a.avi", "b.avi"]


def still(kind: str, folder: Path) -> Path:
    path = folder / f"a.{kind.rsplit('.', 1)[-1]}"
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (40, 56, 3), dtype=np.uint8))
    if kind == "heic":
        pillow_heif.from_pillow(image).save(path)
    elif kind == "animated.gif":
        image.save(path, save_all=True, append_images=[image.rotate(180)])
    else:
        image.save(path, progressive=True) if "prog" in kind else image.save(path)
    return path


def film(name: str, clip: ClipMaker) -> Path:
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(name, "libx264")
    flags = {"faststart.mp4": "faststart", "fragmented.mp4": "frag_keyframe+empty_moov"}
    container = {"movflags": flags[name]} if name in flags else {}
    options = {"x264-params": "keyint=8"} if codec == "libx264" else {}
    return clip(name, codec, container=container, options=options)


def check_all_cuts(path: Path, whole: Media, cuts: list[int]) -> set[str]:
    """Cut the file everywhere asked, check each, and return the kinds of answer seen."""
    data, seen = path.read_bytes(), set()
    pictures = {frame.index: frame.image for frame in whole.frames}
    for cut in cuts:
        path.write_bytes(data[:cut])
        got = try_decode(path, max_frames=64)
        if isinstance(got, Media):
            assert got.reasons == ("truncated",), cut
            for frame in got.frames:
                assert np.array_equal(frame.image, pictures[frame.index]), (cut, frame.index)
            seen.add("told")
        else:
            assert got.error.status == "unreadable", cut
            seen.add(got.error.reason)
    return seen


@pytest.mark.parametrize("kind", STILLS)
def test_stills(kind: str, tmp_path: Path) -> None:
    path = still(kind, tmp_path)
    whole = try_decode(path)
    assert isinstance(whole, Media)
    assert whole.reasons == ()
    size = path.stat().st_size
    cuts = [*range(64, size, max(1, size // 50)), *range(size - 16, size)]
    seen = check_all_cuts(path, whole, cuts)
    assert "truncated" in seen
    assert seen <= {"told", "truncated"}


@pytest.mark.parametrize("name", CLIPS)
def test_clips(name: str, clip: ClipMaker) -> None:
    path = film(name, clip)
    whole = try_decode(path, max_frames=64)
    assert isinstance(whole, Media)
    assert (len(whole.frames), whole.reasons) == (40, ())
    size = path.stat().st_size
    cuts = [*range(40, size, max(1, size // 25)), size - 9, size - 1]
    seen = check_all_cuts(path, whole, cuts)
    assert seen <= {"told", "truncated"}
    assert "truncated" in seen
    if name not in ("a.mp4", "a.mov"):  # their index comes last: without it nothing can be read
        assert "told" in seen


def test_what_is_missing_is_counted_and_the_rest_fully_sampled(clip: ClipMaker) -> None:
    path = film("faststart.mp4", clip)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 5])
    got = try_decode(path, max_frames=4)
    assert isinstance(got, Media)
    assert len(got.frames) == 4
    assert got.frames[-1].index < 24
    assert got.frames_failed >= 1


@pytest.mark.parametrize("kind", STILLS)
def test_bytes_behind_the_end_are_no_fault(kind: str, tmp_path: Path) -> None:
    path = still(kind, tmp_path)
    whole = try_decode(path)
    path.write_bytes(path.read_bytes() + b"motion photo" * 3)
    got = try_decode(path)
    assert isinstance(whole, Media)
    assert isinstance(got, Media)
    assert got.reasons == ()
    assert np.array_equal(got.frames[0].image, whole.frames[0].image)


@pytest.mark.parametrize("kind", ["png", "webp", "heic"])
def test_damage_is_not_called_truncation(kind: str, tmp_path: Path) -> None:
    path = still(kind, tmp_path)
    data = bytearray(path.read_bytes())
    start = {"png": 41, "webp": 20, "heic": data.find(b"mdat") + 4}[kind]
    data[start : len(data) - 12] = bytes(len(data) - 12 - start)
    path.write_bytes(data)
    got = try_decode(path)
    assert not isinstance(got, Media)
    assert (got.error.status, got.error.reason) == ("unreadable", "damaged")
    assert got.info.sha256 is not None
