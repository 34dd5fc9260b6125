"""Any picture mode to 8-bit sRGB, without clipping and without touching what is sRGB already."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO

import numpy as np
from PIL import Image, ImageCms

from unmask.errors import MediaError
from unmask.types import UInt8Image

_DEEP_GREY = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


def to_rgb(image: Image.Image) -> UInt8Image:
    """Convert a loaded picture to 8-bit sRGB.

    16-bit grey is scaled (65535 becomes 255) and rounded, not clipped. 16-bit colour arrives from
    Pillow as its high bytes. An embedded colour profile other than sRGB is applied; one that
    cannot be read is ignored. Transparency is laid on white.

    Args:
        image: loaded, of any mode that the supported formats can have.

    Returns:
        (H, W, 3) uint8 RGB, owned and contiguous.

    Raises:
        MediaError: unsupported_format for modes without a defined range (float).
    """
    plain = _eight_bit(image)
    alpha = plain.getchannel("A") if plain.mode in ("LA", "RGBA") else None
    colour = plain if alpha is None else plain.convert(plain.mode[:-1])
    rgb = _to_srgb(colour, image.info.get("icc_profile"))
    if alpha is not None:
        white = Image.new("RGB", rgb.size, (255, 255, 255))
        white.paste(rgb, mask=alpha)
        rgb = white
    return np.array(rgb, dtype=np.uint8)


def _eight_bit(image: Image.Image) -> Image.Image:
    """To one of L, LA, RGB, RGBA, CMYK."""
    if image.mode in _DEEP_GREY:
        return _scaled_grey(image)
    if image.mode == "F":
        raise MediaError(
            "unreadable",
            "unsupported_format",
            "Floating-point pixels have no defined white.",
            "Save the picture with 8 or 16 bits per channel.",
        )
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in ("LA", "La", "L", "1") else "RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scaled_grey(image: Image.Image) -> Image.Image:
    values = np.asarray(image).astype(np.uint32)
    grey = Image.fromarray(((values * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return grey


def _to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Apply the embedded profile. sRGB passes untouched: a rounding would disturb its traces."""
    if isinstance(profile, bytes) and profile:
        transform = _transform(profile, image.mode)
        if transform is not None:
            converted = ImageCms.applyTransform(image, transform)
            if converted is not None:
                return converted
    return image.convert("RGB")


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From `profile` to sRGB; None where that is not needed, or not possible for `mode`."""
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return None
        return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
