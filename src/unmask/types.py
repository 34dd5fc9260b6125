"""What flows through the house: Frame -> Face -> Crop. Immutable, numpy only, self-checking."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unmask.errors import ShapeError

UInt8Image = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
Box = tuple[float, float, float, float]


def check_rgb(image: UInt8Image, what: str) -> None:
    """Raise `ShapeError` unless `image` is (H, W, 3) uint8 with both sides positive."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ShapeError(
            f"{what} must be (H, W, 3) uint8 RGB with H, W > 0; got {image.shape} {image.dtype}."
        )


def check_box(box: Box, what: str) -> None:
    """Raise `ShapeError` unless `box` is finite xyxy with positive width and height."""
    if len(box) != 4 or not all(np.isfinite(box)) or box[2] <= box[0] or box[3] <= box[1]:
        raise ShapeError(f"{what} must be finite xyxy with x1 > x0 and y1 > y0; got {box}.")


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture, upright.

    Attributes:
        image: (H, W, 3) uint8 RGB, sRGB, alpha flattened, EXIF or stream rotation applied.
        index: frame number in its stream, from 0; 0 for a still.
        time: seconds from the start of the stream; None for a still.
        grid: (x, y) in 0..7, where the file's 8x8 JPEG blocks start in `image`; None where the
            file has no such grid (PNG, video, ...).
    """

    image: UInt8Image
    index: int = 0
    time: float | None = None
    grid: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        check_rgb(self.image, "Frame.image")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """A face found in a frame.

    Attributes:
        box: xyxy in pixels of the frame; may reach beyond it.
        landmarks: (5, 2) float32 x, y in the frame: the eye that is on the left of the upright
            face, the one on the right, nose, left and right mouth corner.
        confidence: the detector's, in [0, 1].
        quarter_turns: how many times the frame had to be turned by 90 degrees counter-clockwise
            before the face was found (0 to 3).
        tight: found only after padding the picture: it is itself a tight face crop.
    """

    box: Box
    landmarks: FloatArray
    confidence: float
    quarter_turns: int = 0
    tight: bool = False

    def __post_init__(self) -> None:
        check_box(self.box, "Face.box")
        if self.landmarks.shape != (5, 2):
            raise ShapeError(f"Face.landmarks must be (5, 2); got {self.landmarks.shape}.")

    @property
    def side(self) -> float:
        """The longer side of the box in pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A square around a face at the frame's native resolution: copied pixels, never resampled.

    Attributes:
        image: (S, S, 3) uint8 RGB. Where the square reaches beyond the frame it is mirrored.
        box: integer xyxy of the square in the frame, before any quarter turn; may reach beyond it.
        face: the face inside.
        frame_index, time: of the frame.
        grid: (x, y) in 0..7, where the file's JPEG blocks start in `image`; None without a grid.
        quality: flags, of `too_small`, `too_blurry` or `blurry`, `too_dark`; else empty.
    """

    image: UInt8Image
    box: tuple[int, int, int, int]
    face: Face
    frame_index: int = 0
    time: float | None = None
    grid: tuple[int, int] | None = None
    quality: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        check_rgb(self.image, "Crop.image")
        if self.image.shape[0] != self.image.shape[1]:
            raise ShapeError(f"Crop.image must be square; got {self.image.shape[:2]}.")
