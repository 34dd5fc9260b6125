"""Small clips, made on the spot, of people who agreed to be shown (see README.md)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from unmask.types import UInt8Image

DATA = Path(__file__).parent
PEOPLE = ("london_006_03.jpg", "london_024_03.jpg", "london_025_08.jpg")
Place = tuple[int, int, int]
"""x, y and side of a portrait, in pixels of the frame."""
WriteClip = Callable[..., Path]
PortraitClip = Callable[..., list[UInt8Image]]


@pytest.fixture(scope="session")
def write_clip() -> WriteClip:
    """`write_clip(path, pictures, qp=18, rate=25)`: an H.264 clip; qp 0 is lossless."""

    def write(path: Path, pictures: Sequence[UInt8Image], qp: int = 18, rate: int = 25) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = pictures[0].shape[:2]
        options = {"qp": str(qp), "preset": "ultrafast"}
        with av.open(str(path), "w") as out:
            stream = out.add_stream("libx264", rate=rate, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for picture in pictures:
                rgb = np.ascontiguousarray(picture)
                out.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            out.mux(stream.encode())
        return path

    return write


@pytest.fixture(scope="session")
def portrait_clip() -> PortraitClip:
    """`portrait_clip((person, place), ..., size=(440, 240))`: 8 frames, drifting to the right."""

    def make(*pasted: tuple[int, Place], size: tuple[int, int] = (440, 240)) -> list[UInt8Image]:
        frames = []
        for shift in range(8):
            image = np.full((size[1], size[0], 3), 128, np.uint8)
            for person, (x, y, side) in pasted:
                face = cv2.imread(str(DATA / PEOPLE[person]))
                assert face is not None
                face = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)
                image[y : y + side, x + shift : x + shift + side] = face[..., ::-1]
            frames.append(image)
        return frames

    return make


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file of a prepared folder but the journal, whose order is that of finishing."""

    def read(out: Path) -> dict[str, bytes]:
        files = (path for path in out.rglob("*") if path.is_file() and path.name != "records.jsonl")
        return {str(path.relative_to(out)): path.read_bytes() for path in files}

    return read
