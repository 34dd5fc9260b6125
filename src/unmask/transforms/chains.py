"""Imitations of what messengers and social networks do to an uploaded picture.

Each is the general pattern (shrink to a limit, encode as JPEG with halved chroma, drop the
metadata), and no platform's exact pipeline: those differ, change without notice and are not
published. An array holds no metadata, so that dropping it needs no step. A picture within the
limit keeps its size and is only encoded again: apply chains to whole frames, before the crop.
"""

from __future__ import annotations

from unmask.transforms.perturb import jpeg
from unmask.transforms.scale import shrink_to
from unmask.types import UInt8Image


def messenger(image: UInt8Image, longer_side: int = 1280, quality: int = 75) -> UInt8Image:
    """As sent in a chat: the longer side within a limit, then JPEG with 4:2:0 chroma.

    Args:
        image: (H, W, 3) uint8 RGB.
        longer_side: in pixels, at least 1.
        quality: libjpeg's, 1 to 100.

    Raises:
        ConfigError: a limit below one pixel, or quality out of range.
        ShapeError: not uint8 RGB.
    """
    return jpeg(shrink_to(image, longer_side, longer_side), quality)


def social(
    image: UInt8Image, width: int = 1080, quality: int = 78, phase: tuple[int, int] = (0, 0)
) -> UInt8Image:
    """As posted to a feed: the width within a limit, then JPEG with 4:2:0 chroma.

    Args:
        image: (H, W, 3) uint8 RGB.
        width: in pixels, at least 1; the height is not limited.
        quality: libjpeg's, 1 to 100.
        phase: (x, y) in 0..7, where the blocks start; other than (0, 0) as if the poster had
            moved the picture's frame a little.

    Raises:
        ConfigError: a limit below one pixel, quality or phase out of range.
        ShapeError: not uint8 RGB.
    """
    height = image.shape[0] if image.ndim else 1
    return jpeg(shrink_to(image, width, max(1, height)), quality, phase=phase)


def reshare(
    image: UInt8Image,
    chat: tuple[int, int] = (1280, 75),
    feed: tuple[int, int] = (1080, 78),
    phase: tuple[int, int] = (0, 0),
) -> UInt8Image:
    """Sent in a chat, and posted from there: `messenger`, then `social`.

    Args:
        image: (H, W, 3) uint8 RGB.
        chat: (longer side, quality) of the first.
        feed: (width, quality) of the second.
        phase: of the second's blocks.

    Raises:
        ConfigError, ShapeError: as of the two.
    """
    return social(messenger(image, *chat), *feed, phase=phase)
