"""Data sets in small: trees in a true layout whose videos are real H.264 clips."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from unmask.media import Media, try_decode

Clip = Callable[..., bytes]
Tree = Callable[[Path, Mapping[str, Any]], Path]
Decodes = Callable[[Path], None]


@lru_cache(maxsize=8)
def _encoded(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=25, options={"crf": "23", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for i in range(6):
            picture = np.full((64, 64, 3), colour, dtype=np.uint8)
            picture[8 * i : 8 * i + 8] = 255 - picture[8 * i : 8 * i + 8]
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return file.getvalue()


@pytest.fixture(scope="session")
def h264_clip() -> Clip:
    """`h264_clip(colour=(90, 120, 60))`: bytes of an MP4 of 64x64, 6 frames at 25 per second."""

    def clip(colour: tuple[int, int, int] = (90, 120, 60)) -> bytes:
        return _encoded(colour)

    return clip


@pytest.fixture
def tree() -> Tree:
    """Writes `{relative path: content}` below a root and returns the root.

    Content is bytes, text, or a dict or list, which is written as JSON.
    """

    def write(root: Path, contents: Mapping[str, Any]) -> Path:
        root.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif isinstance(content, str):
                path.write_text(content, encoding="utf-8")
            else:
                path.write_text(json.dumps(content), encoding="utf-8")
        return root

    return write


@pytest.fixture
def decodes() -> Decodes:
    """Asserts that a listed file decodes into frames of 64x64."""

    def check(path: Path) -> None:
        media = try_decode(path, max_frames=2)
        assert isinstance(media, Media), media
        assert {frame.image.shape for frame in media.frames} == {(64, 64, 3)}

    return check
