"""Stills of every format and mode come out upright, 8-bit and sRGB."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps

from unmask.errors import MediaError
from unmask.media import Limits, decode
from unmask.media.image import jpeg_grid

R, G, B, W = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners(image: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Rounded to 0 or 255: tl, tr, bl, br."""
    h, w = image.shape[:2]
    spots = [(h // 4, w // 4), (h // 4, -w // 4), (-h // 4, w // 4), (-h // 4, -w // 4)]
    return [tuple(255 * (int(v) > 127) for v in image[spot]) for spot in spots]


def save(path: Path, picture: NDArray[np.uint8], **options: object) -> Path:
    image = Image.fromarray(picture)
    if path.suffix == ".heic":
        pillow_heif.from_pillow(image).save(path, quality=95, **options)
    else:
        image.save(path, **options)
    return path


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "avif", "heic"])
def test_every_format(kind: str, tmp_path: Path, quarters: NDArray[np.uint8]) -> None:
    media = decode(save(tmp_path / f"a.{kind}", quarters))
    assert media.info.format == kind
    assert (media.info.width, media.info.height) == (48, 32)
    assert corners(media.frames[0].image) == [R, G, B, W]
    assert media.frames[0].grid == ((0, 0) if kind == "jpeg" else None)
    assert (media.frames[0].index, media.frames[0].time, media.reasons) == (0, None, ())


# Where the stored corners (r g / b w) end up, from the EXIF 2.3 table of row 0 and column 0.
ORIENTED = {
    1: [R, G, B, W],
    2: [G, R, W, B],
    3: [W, B, G, R],
    4: [B, W, R, G],
    5: [R, B, G, W],
    6: [B, R, W, G],
    7: [W, G, B, R],
    8: [G, W, R, B],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif", "heic"])
def test_orientation(
    kind: str, orientation: int, tmp_path: Path, quarters: NDArray[np.uint8]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    media = decode(save(tmp_path / f"a.{kind}", quarters, exif=exif.tobytes()))
    assert corners(media.frames[0].image) == ORIENTED[orientation]
    assert (media.info.width, media.info.height) == media.frames[0].size
    assert media.frames[0].size == ((48, 32) if orientation < 5 else (32, 48))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(21, 10), (16, 24), (7, 33), (40, 13)])
def test_grid_follows_the_blocks(size: tuple[int, int], orientation: int) -> None:
    """Oracle: paint every block with its own number, turn the picture, look where they change."""
    width, height = size
    ys, xs = np.mgrid[:height, :width]
    numbers = Image.fromarray((1 + ys // 8 * 16 + xs // 8).astype(np.uint8))
    numbers.getexif()[0x0112] = orientation
    turned = np.asarray(ImageOps.exif_transpose(numbers)).astype(int)
    x, y = jpeg_grid(size, orientation)
    across = set(np.flatnonzero(np.diff(turned, axis=1).any(axis=0)) + 1)
    down = set(np.flatnonzero(np.diff(turned, axis=0).any(axis=1)) + 1)
    assert across == {c for c in range(1, turned.shape[1]) if c % 8 == x}
    assert down == {r for r in range(1, turned.shape[0]) if r % 8 == y}


def test_sixteen_bit_grey_is_scaled(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    values = np.array([[0, 128, 129, 257, 32767, 32768, 65407, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(path)
    assert decode(path).frames[0].image[0, :, 0].tolist() == [0, 0, 1, 1, 127, 128, 255, 255]


def test_sixteen_bit_colour_keeps_the_high_byte(tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "a.png"
    values = np.array([[[0x1234, 0x80FF, 0xFF00]]], dtype=np.uint16)
    cv2.imwrite(str(path), values)  # OpenCV writes BGR
    assert decode(path).frames[0].image[0, 0].tolist() == [0xFF, 0x80, 0x12]


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 128]]], dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    # 200 * 128 / 255 + 255 * 127 / 255 = 227.4; 0 + 127
    assert decode(path).frames[0].image[0].tolist() == [[200, 0, 0], [255] * 3, [227, 127, 127]]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "I;16"])
def test_modes_of_png(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image = Image.new("L", (5, 3), 255)
    if mode == "I;16":
        image = Image.fromarray(np.full((3, 5), 65535, np.uint16))
    elif mode == "PA":
        image = image.convert("P")
        image.info["transparency"] = 0
    else:
        image = image.convert(mode)
    image.save(path)
    assert (decode(path).frames[0].image == 255).all()


def test_cmyk_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(path, quality=100)
    pixel = decode(path).frames[0].image[8, 8]
    assert pixel[0] > 245
    assert pixel[1] < 10
    assert pixel[2] < 10


def test_a_foreign_profile_is_applied_and_srgb_left_alone(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 8), (100, 150, 200))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    swapped = bytearray(srgb)  # red and blue primaries change places
    red, blue = swapped.index(b"rXYZ"), swapped.index(b"bXYZ")
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    description = swapped.index("sRGB".encode("utf-16-be"))
    swapped[description : description + 8] = "none".encode("utf-16-be")
    expected = {srgb: [100, 150, 200], bytes(swapped): [200, 150, 100], lab: [100, 150, 200]}
    for profile, colour in {**expected, b"junk": [100, 150, 200]}.items():
        out = BytesIO()
        picture.save(out, "PNG", icc_profile=profile)
        path = tmp_path / "a.png"
        path.write_bytes(out.getvalue())
        assert np.abs(decode(path).frames[0].image[0, 0].astype(int) - colour).max() <= 1


@pytest.mark.parametrize("kind", ["gif", "webp", "png", "avif"])
def test_an_animation_gives_its_first_picture(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{kind}"
    pictures = [Image.new("RGB", (16, 16), colour) for colour in ((250, 0, 0), (0, 0, 250))]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    image = decode(path).frames[0].image
    assert image[..., 0].min() > 200
    assert image[..., 2].max() < 60


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif", "avif", "heic"])
def test_size_is_checked_before_the_pixels(
    kind: str, tmp_path: Path, quarters: NDArray[np.uint8]
) -> None:
    with pytest.raises(MediaError, match="48 x 32 are 1,536 pixels") as caught:
        decode(save(tmp_path / f"a.{kind}", quarters), limits=Limits(max_pixels=1535))
    assert (caught.value.status, caught.value.reason) == ("limit_exceeded", "too_many_pixels")


def test_pillows_own_limit_is_neither_used_nor_touched(
    tmp_path: Path, quarters: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "a.png", quarters)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert decode(path).frames[0].size == (48, 32)
    assert Image.MAX_IMAGE_PIXELS == 100
