"""Small pictures and clips, made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

ClipMaker = Callable[..., Path]


@pytest.fixture
def quarters() -> NDArray[np.uint8]:
    """(32, 48, 3): red, green, blue, white in the corners tl, tr, bl, br."""
    picture = np.zeros((32, 48, 3), dtype=np.uint8)
    picture[:16, :24] = (255, 0, 0)
    picture[:16, 24:] = (0, 255, 0)
    picture[16:, :24] = (0, 0, 255)
    picture[16:, 24:] = 255
    return picture


@pytest.fixture
def clip(tmp_path: Path) -> ClipMaker:
    """Writes a clip whose frame i has the grey level 4 * i, noise on its upper half."""

    def make(
        name: str,
        codec: str = "libx264",
        count: int = 40,
        size: tuple[int, int] = (64, 48),
        container: dict[str, str] | None = None,
        options: dict[str, str] | None = None,
        pixels: str = "yuv420p",
        picture: NDArray[np.uint8] | None = None,
    ) -> Path:
        path = tmp_path / name
        rng = np.random.default_rng(0)
        width, height = size
        with av.open(str(path), "w", options=container or {}) as out:
            stream = out.add_stream(codec, rate=25, options=options or {})
            stream.width, stream.height, stream.pix_fmt = width, height, pixels
            for i in range(count):
                image = picture
                if image is None:
                    image = np.full((height, width, 3), 4 * i % 256, dtype=np.uint8)
                    image[: height // 2] = rng.integers(0, 256, (height // 2, width, 3))
                out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            out.mux(stream.encode())
        return path

    return make
