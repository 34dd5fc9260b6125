"""Cheap cues: what tells a real from a fake for reasons that have nothing to do with a forgery.

A container cue is a matter of how a file was written. It must not tell the classes apart, for what
a detector learns from it is who made the data set. A content cue comes with a forgery too (a
blended face is smoother, and so its file smaller): it is reported, not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from unmask.data.container import read_container
from unmask.data.protocols.normalise import Normalise
from unmask.errors import MediaError
from unmask.media import Failure, try_decode
from unmask.transforms.dct import BLOCK, log_bands
from unmask.types import UInt8Image

Value = str | int | float | bool | None
Kind = Literal["container", "content"]
CENTRE = 1024
"""Content cues look at the middle of a larger picture, at most this many pixels a side."""
STRIPS = 3
_HIGH = 7


@dataclass(frozen=True, slots=True)
class Cue:
    """A cue that is measured of every item.

    Attributes:
        kind: container cues are judged, content cues reported.
        about: what it is, in a few words.
        found_only: items of which it is None are left out; else None is a value of its own.
    """

    kind: Kind
    about: str
    found_only: bool = False


CUES: dict[str, Cue] = {
    "format": Cue("container", "file type, by its content"),
    "header": Cue("container", "first 12 bytes, lengths hidden"),
    "structure": Cue("container", "names of the file's segments, chunks or boxes"),
    "width": Cue("container", "of the upright picture, pixels"),
    "height": Cue("container", "of the upright picture, pixels"),
    "aspect": Cue("container", "width over height"),
    "jpeg_quality": Cue("container", "from the luma quantisation table"),
    "subsampling": Cue("container", "of the chroma planes of a JPEG"),
    "exif": Cue("container", "EXIF is there"),
    "icc": Cue("container", "a colour profile is there"),
    "comment": Cue("container", "a comment or text is there"),
    "app_segments": Cue("container", "number of metadata segments"),
    "codec": Cue("container", "the index's column"),
    "quality": Cue("container", "the index's column"),
    "compression": Cue("container", "the index's column"),
    "crop_phase": Cue("container", "where a crop begins on its frame's 8x8 grid", True),
    "grid_phase": Cue("container", "where 8x8 blocks begin, seen in the pixels", True),
    "bytes_per_pixel": Cue("content", "file size; of a clip per second", True),
    "blur": Cue("content", "variance of the Laplacian of luma"),
    "highpass": Cue("content", "log energy of the block DCT from u + v = 8", True),
    # content decides with history whether blocks can be seen, so this cannot be judged
    "grid_found": Cue("content", "8x8 blocks are seen in the pixels: a past JPEG"),
    "grid_strength": Cue("content", "how much the strongest grid phase stands out", True),
    "luma": Cue("content", "mean, 0 to 255"),
    "saturation": Cue("content", "mean, 0 to 255"),
}
"""name -> cue, in the order of the report."""

SEEN = ("grid_phase", "blur", "highpass", "grid_found", "grid_strength", "luma", "saturation")
"""Cues that are seen in the pixels; what a normalising step leaves."""


def measure(
    path: Path, row: Mapping[str, Any], normalise: Normalise | None = None
) -> dict[str, Value]:
    """All cues of one item; of a video those of its first frame.

    Args:
        path: of the picture or video.
        row: of the index, for its video_id and the columns among the cues.
        normalise: a protocol's step; the cues are then those of what it makes of the picture,
            without a file, and only those in `SEEN`.

    Returns:
        A value per name of `CUES`, or of `SEEN`; None where there is none.

    Raises:
        MediaError: the file cannot be read or decoded; the reason says why.
        ShapeError: the picture is too small for the normalising step.
    """
    media = try_decode(path, max_frames=1)
    if isinstance(media, Failure):
        raise media.error
    image = media.frames[0].image
    if normalise is not None:
        return content(normalise.apply(image, row["video_id"]))
    try:
        container = read_container(path)
    except OSError as error:
        raise MediaError(
            "unreadable", "damaged", f"{path} cannot be read: {error.strerror}."
        ) from error
    height, width = image.shape[:2]
    seconds = 1.0 if media.info.media == "image" else media.info.duration_s
    size = media.info.bytes
    names = ("format", "header", "structure", "jpeg_quality", "subsampling", "exif", "icc")
    box = row.get("box")
    return {
        **{name: getattr(container, name) for name in (*names, "comment", "app_segments")},
        "width": width,
        "height": height,
        "aspect": round(width / height, 4),
        **{name: row.get(name) for name in ("codec", "quality", "compression")},
        "crop_phase": None if box is None else f"{box[0] % BLOCK},{box[1] % BLOCK}",
        "bytes_per_pixel": size / (width * height * seconds) if size and seconds else None,
        **content(image),
    }


def content(image: UInt8Image) -> dict[str, Value]:
    """The cues that are seen in the pixels.

    Args:
        image: (H, W, 3) uint8 RGB; of a larger one the middle `CENTRE` x `CENTRE` pixels count.
    """
    # cut at multiples of 8, so that the phase of the grid stays
    top, left = (max(0, side - CENTRE) // 2 // BLOCK * BLOCK for side in image.shape[:2])
    image = np.ascontiguousarray(image[top : top + CENTRE, left : left + CENTRE])
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    phase, strength = grid_phase(gray)
    return {
        "grid_phase": None if phase is None else f"{phase[0]},{phase[1]}",
        "grid_found": int(phase is not None),
        "grid_strength": strength,
        "blur": float(cv2.Laplacian(gray, cv2.CV_64F).var()),
        "highpass": highpass(image),
        "luma": float(gray.mean()),
        "saturation": float(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1].mean()),
    }


def highpass(image: UInt8Image) -> float | None:
    """log10 of the mean energy of the 8x8 block DCT over the diagonals u + v = 8 .. 14.

    Returns:
        In log10 squared grey levels; None for a picture smaller than one block.
    """
    if min(image.shape[:2]) < BLOCK:
        return None
    return float(np.log10((10.0 ** log_bands(image)[_HIGH:]).mean()))


def grid_phase(gray: NDArray[np.uint8]) -> tuple[tuple[int, int] | None, float | None]:
    """Where the 8x8 blocks of a past compression begin, from the steps between them.

    A step at a block's border is larger than both its neighbours more often than a step inside.
    Counting how often, rather than adding up how much, keeps edges of the picture from deciding.
    The phase counts as found when `STRIPS` strips of the picture name the same one, across and
    down; a picture without a grid passes by chance once in 4096.

    Args:
        gray: (H, W) uint8.

    Returns:
        (x, y) in 0..7 or None where none is found, and how far the strongest phase stands above
        the others, in standard deviations of those, the mean of both directions (None below
        `STRIPS` * 16 pixels a side).
    """
    if min(gray.shape) < STRIPS * 2 * BLOCK:
        return None, None
    votes = [_votes(gray), _votes(gray.T)]
    named = [{int(strip.argmax()) for strip in direction} for direction in votes]
    strengths = []
    for direction in votes:
        total = np.sort(direction.mean(0))
        spread = float(total[:-1].std())
        strengths.append(float(total[-1] - total[:-1].mean()) / spread if spread > 0 else 0.0)
    found = all(len(phases) == 1 for phases in named) and min(strengths) > 0
    phase = (named[0].pop(), named[1].pop()) if found else None
    return phase, float(np.mean(strengths))


def _votes(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(STRIPS, 8): per strip and phase, how often the step into a column beats both neighbours."""
    steps = np.abs(np.diff(gray.astype(np.int16), axis=1))
    wins = (steps[:, 1:-1] > steps[:, :-2]) & (steps[:, 1:-1] > steps[:, 2:])
    phase = (np.arange(wins.shape[1]) + 2) % BLOCK  # wins[:, j] is the step into column j + 2
    strips = np.array_split(wins, STRIPS, axis=0)
    return np.array([[s[:, phase == p].mean() for p in range(BLOCK)] for s in strips])
