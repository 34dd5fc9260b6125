"""The normalising step of a protocol: one chain for both classes, so that no container tells."""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from unmask.errors import ShapeError
from unmask.transforms.perturb import Subsampling, jpeg, resize
from unmask.types import UInt8Image, check_rgb

Quality = Annotated[int, Field(ge=1, le=100)]
_Pixel = TypeVar("_Pixel", bound=np.generic)


class Normalise(BaseModel):
    """What every picture of a protocol goes through, real or fake, in training and in the test.

    First its size, then a JPEG of random quality on a random 8x8 grid: whatever grid, quality or
    chroma subsampling a picture came with, the last ones it went through are drawn alike for both
    classes. The draw depends on the video's id (and `seed`) alone, so that frames of one video
    are treated alike, and a second run sees the same pictures. A mild trace of an earlier, much
    coarser compression remains: this step makes the containers alike, not the histories.

    About size there are two rules, and neither is free:

    - `window` cuts `side` x `side` pixels from the middle and resamples nothing, so that the
      traces of a generator stay as they are. All pictures then have one size, but faces keep their
      scale. A smaller picture cannot be taken: mirroring or enlarging it would tell its size.
    - `scale` brings the shorter side to `side` (area averaging down, bicubic up) and cuts the
      middle square, so that faces are of one scale too. It weakens traces, and what resampling
      leaves behind depends on the size there was: for classes of like size, or as a stress test.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: Literal["window", "scale"] = "window"
    side: Annotated[int, Field(ge=32, le=1024)] = 192
    """In pixels, of the square that comes out."""
    jpeg_quality: tuple[Quality, Quality] = (80, 95)
    """Drawn uniformly, both ends included."""
    subsampling: Annotated[tuple[Subsampling, ...], Field(min_length=1)] = ("4:2:0",)
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _range(self) -> Normalise:
        if self.jpeg_quality[0] > self.jpeg_quality[1]:
            raise ValueError(f"jpeg_quality must be (low, high); got {self.jpeg_quality}")
        return self

    def takes(self, width: int, height: int) -> bool:
        """Whether a picture of this size can go through."""
        return self.size == "scale" or min(width, height) >= self.side

    def apply(self, image: UInt8Image, video_id: str) -> UInt8Image:
        """The picture as the protocol sees it.

        Args:
            image: (H, W, 3) uint8 RGB.
            video_id: of its row in the index.

        Returns:
            (side, side, 3) uint8 RGB.

        Raises:
            ShapeError: not uint8 RGB, or smaller than the window.
        """
        check_rgb(image, "Normalise.apply's image")
        low, high = self.jpeg_quality
        key = hashlib.sha256(f"{self.seed}/{video_id}".encode()).digest()
        rng = np.random.default_rng(list(key))
        quality = int(rng.integers(low, high + 1))
        subsampling = self.subsampling[int(rng.integers(len(self.subsampling)))]
        phase = (int(rng.integers(8)), int(rng.integers(8)))
        if self.size == "scale":
            width, height = self._scaled(image.shape[1], image.shape[0])
            kernel: Literal["area", "bicubic"] = "area" if width < image.shape[1] else "bicubic"
            if (height, width) != image.shape[:2]:
                image = resize(image, width, height, kernel)
        return jpeg(np.ascontiguousarray(self._middle(image)), quality, subsampling, phase)

    def apply_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The part of a picture's mask that `apply` keeps: (H, W) bool -> (side, side) bool.

        Raises:
            ShapeError: not (H, W) bool, or smaller than the window.
        """
        if mask.ndim != 2 or mask.dtype != np.bool_ or 0 in mask.shape:
            raise ShapeError(f"A mask must be (H, W) bool; got {mask.shape} {mask.dtype}.")
        if self.size == "scale":
            width, height = self._scaled(mask.shape[1], mask.shape[0])
            rows = ((np.arange(height) + 0.5) * mask.shape[0] / height).astype(int)
            columns = ((np.arange(width) + 0.5) * mask.shape[1] / width).astype(int)
            mask = mask[np.ix_(rows, columns)]
        return np.ascontiguousarray(self._middle(mask))

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        shorter = min(width, height)
        return round(width * self.side / shorter), round(height * self.side / shorter)

    def _middle(self, array: NDArray[_Pixel]) -> NDArray[_Pixel]:
        height, width = array.shape[:2]
        if min(height, width) < self.side:
            raise ShapeError(
                f"A picture of {width} x {height} pixels is smaller than the window of {self.side} "
                "that the protocol's normalising step cuts."
            )
        top, left = (height - self.side) // 2, (width - self.side) // 2
        return array[top : top + self.side, left : left + self.side]
