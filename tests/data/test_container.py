"""What files say beside their pixels. Oracles: the settings they are written with, and Pillow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from unmask.data.container import read_container

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif() -> Image.Exif:
    data = Image.Exif()
    data[0x010F] = "maker"
    return data


def saved(folder: Path, name: str, **options: Any) -> Path:
    path = folder / name
    Image.fromarray(PICTURE).save(path, **options)
    return path


def test_every_quality_of_libjpeg_is_recognised(tmp_path: Path) -> None:
    found = []
    for quality in range(1, 101):
        path = tmp_path / "a.jpg"
        cv2.imwrite(str(path), PICTURE, [cv2.IMWRITE_JPEG_QUALITY, quality])
        found.append(read_container(path).jpeg_quality)
    assert found == list(range(1, 101))


def test_quality_of_sixteen_bit_tables(tmp_path: Path) -> None:
    # libjpeg writes 16-bit tables for entries over 255, which a baseline file clips
    path = tmp_path / "a.jpg"
    table = [300] * 64
    Image.fromarray(PICTURE).save(path, qtables=[table, table])
    assert read_container(path).jpeg_quality == 1


@pytest.mark.parametrize(("option", "name"), [(0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")])
def test_subsampling(option: int, name: str, tmp_path: Path) -> None:
    assert read_container(saved(tmp_path, "a.jpg", subsampling=option)).subsampling == name


def test_grey_and_progressive(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(PICTURE[..., 0]).save(path, progressive=True)
    found = read_container(path)
    assert found.subsampling == "grey"
    assert " SOF2 " in found.structure


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_metadata(name: str, tmp_path: Path) -> None:
    plain = read_container(saved(tmp_path, name))
    assert (plain.exif, plain.icc, plain.comment) == (False, False, False)
    rich = read_container(saved(tmp_path, name, exif=exif(), icc_profile=PROFILE))
    assert (rich.exif, rich.icc, rich.comment) == (True, True, False)
    assert (rich.app_segments or 0) >= (plain.app_segments or 0) + 1
    assert rich.structure != plain.structure


def test_comments(tmp_path: Path) -> None:
    assert read_container(saved(tmp_path, "a.jpg", comment=b"hello")).comment
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "maker")
    found = read_container(saved(tmp_path, "a.png", pnginfo=text))
    assert found.comment
    assert found.structure == "IHDR tEXt IDAT IEND"


def test_the_header_says_what_wrote_the_file_and_not_how_long_it_is(tmp_path: Path) -> None:
    small, large = (saved(tmp_path, f"{q}.webp", quality=q) for q in (5, 95))
    assert small.stat().st_size != large.stat().st_size
    assert read_container(small).header == read_container(large).header
    assert read_container(small).format == "webp"
    assert read_container(saved(tmp_path, "a.jpg")).header == "ffd8ffe0....4a4649460001"


def test_a_video_is_told_by_its_boxes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as out:
        stream = out.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 40, 48, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(PICTURE, format="rgb24")))
        out.mux(stream.encode())
    found = read_container(path)
    assert (found.format, found.jpeg_quality) == ("mp4", None)
    assert set(found.structure.split()) >= {"ftyp", "moov", "mdat"}


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_a_cut_file_ends_the_reading_and_not_the_program(name: str, tmp_path: Path) -> None:
    data = saved(tmp_path, name, exif=exif()).read_bytes()
    whole = read_container(tmp_path / name)
    for length in (*range(12, 400, 7), len(data) - 3):
        (tmp_path / name).write_bytes(data[:length])
        assert read_container(tmp_path / name).format == whole.format


def test_junk_has_no_format(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"once upon a time")
    assert read_container(path).format is None
    with pytest.raises(OSError, match="nothing"):
        read_container(tmp_path / "nothing.jpg")
