"""What a file says beside its pixels: segments, compression tables, metadata."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from unmask.media import sniff

_HEAD = 4096
_SOS, _EOI = 0xDA, 0xD9
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
_NAMES = {0xC4: "DHT", 0xDB: "DQT", 0xDD: "DRI", 0xDA: "SOS", 0xFE: "COM"}
_CHROMA = {(2, 2): "4:2:0", (2, 1): "4:2:2", (1, 1): "4:4:4", (1, 2): "4:4:0", (4, 1): "4:1:1"}

# ITU-T T.81, table K.1, in the zigzag order in which a DQT segment holds it.
_LUMINANCE = np.array(
    [
        [16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40],
        [26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61, 60, 57, 51],
        [56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87],
        [95, 98, 103, 104, 103, 62, 77, 113, 121, 112, 100, 120, 92, 101, 103, 99],
    ]
).ravel()


@dataclass(frozen=True, slots=True)
class Container:
    """A file without its pixels.

    Attributes:
        format: as `unmask.media.sniff` names it; None for what is no picture and no video.
        header: the first 12 bytes as hex digits, those that hold a length as `..`.
        structure: names of the segments, chunks or boxes up to the pixels, repetitions once.
        jpeg_quality: libjpeg's, of the quantisation table next to it; None but for JPEG.
        subsampling: `4:2:0`, `grey`, ...; None but for JPEG.
        exif, icc, comment: whether there is metadata, a colour profile, a text.
        app_segments: of a JPEG; ancillary chunks of a PNG or WebP; None for others.
    """

    format: str | None
    header: str
    structure: str
    jpeg_quality: int | None = None
    subsampling: str | None = None
    exif: bool = False
    icc: bool = False
    comment: bool = False
    app_segments: int | None = None


def read_container(path: Path) -> Container:
    """Read what a file says beside its pixels; what is damaged ends the reading, not the program.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        kind = sniff(head)
        if kind == "jpeg":
            return _jpeg(file, head)
        if kind in ("png", "webp"):
            return _chunked(file, head, kind)
        names = _boxes(file) if head[4:8] == b"ftyp" else []
    return Container(kind, _header(head, kind), _joined(names))


def _header(head: bytes, kind: str | None) -> str:
    lengths = {"jpeg": (4, 6), "webp": (4, 8), "avi": (4, 8)}.get(kind or "", (0, 0))
    hidden = range(*lengths)
    return "".join(".." if i in hidden else f"{byte:02x}" for i, byte in enumerate(head[:12]))


def _joined(names: list[str]) -> str:
    return " ".join(name for name, _ in groupby(names))


def _jpeg(file: BinaryIO, head: bytes) -> Container:
    names, tables, sampling = [], [], None
    exif = icc = comment = False
    apps = 0
    for marker, body in _segments(file):
        if 0xE0 <= marker <= 0xEF:
            label = body[:32].split(b"\0")[0].decode("latin-1")
            names.append(f"APP{marker - 0xE0}:{label if label.isprintable() else ''}")
            apps += 1
            exif |= label == "Exif"
            icc |= label == "ICC_PROFILE"
            continue
        names.append(_NAMES.get(marker, f"{marker:02X}"))
        comment |= marker == 0xFE
        if marker == 0xDB:
            tables += _quantisation(body)
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            names[-1] = f"SOF{marker - 0xC0}"
            sampling = _sampling(body)
    quality = jpeg_quality(tables[0]) if tables else None
    return Container(
        "jpeg", _header(head, "jpeg"), _joined(names), quality, sampling, exif, icc, comment, apps
    )


def _segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of the segments before the coded pixels (ITU-T T.81, annex B)."""
    file.seek(2)
    while len(lead := file.read(2)) == 2 and lead[0] == 0xFF:
        while lead[1] == 0xFF:  # fill bytes
            lead = lead[:1] + file.read(1)
            if len(lead) < 2:
                return
        if lead[1] in _BARE:
            continue
        length = int.from_bytes(file.read(2), "big")
        yield lead[1], file.read(max(0, length - 2))
        if lead[1] in (_SOS, _EOI):
            return


def _quantisation(body: bytes) -> list[NDArray[np.int64]]:
    """The (64,) tables of one DQT segment, in zigzag order; that of luma is the file's first."""
    tables, at = [], 0
    while at < len(body):
        kind = np.dtype(">u2" if body[at] >> 4 else ">u1")
        raw = body[at + 1 : at + 1 + 64 * kind.itemsize]
        if len(raw) < 64 * kind.itemsize:
            break
        tables.append(np.frombuffer(raw, kind).astype(np.int64))
        at += 1 + len(raw)
    return tables


def _sampling(frame: bytes) -> str | None:
    """Chroma subsampling from a frame header: luma's factors over those of the chroma planes."""
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        return None
    if frame[5] == 1:
        return "grey"
    factors = [(frame[7 + 3 * i] >> 4, frame[7 + 3 * i] & 15) for i in range(frame[5])]
    (across, down), others = factors[0], set(factors[1:])
    if len(others) == 1 and 0 not in (other := others.pop()):
        ratio = (across // other[0], down // other[1])
        if ratio in _CHROMA:
            return _CHROMA[ratio]
    return ",".join(f"{x}x{y}" for x, y in factors)


def jpeg_quality(table: NDArray[np.int64]) -> int:
    """libjpeg's quality, 1 to 100, whose luma table is nearest to a quantisation table.

    libjpeg scales the standard's example table by 5000 / q below q = 50 and by 200 - 2 q above, in
    percent, and keeps it in 1..255; other encoders have tables of their own, of which this tells
    the strength.

    Args:
        table: (64,) luma table in zigzag order.

    >>> jpeg_quality(_LUMINANCE)
    50
    """
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)
    tables = np.clip((_LUMINANCE * scale[:, None] + 50) // 100, 1, 255)
    return int(quality[np.abs(tables - table).sum(1).argmin()])


_NEEDED = frozenset(
    {"IHDR", "PLTE", "IDAT", "IEND", "VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF"}
)


def _chunked(file: BinaryIO, head: bytes, kind: str) -> Container:
    """PNG (length, name, body, checksum) and RIFF (name, length, body, padding)."""
    png = kind == "png"
    names, at = [], 8 if png else 12
    while len(start := _at(file, at, 8)) == 8:
        name, length = (start[4:], start[:4]) if png else (start[:4], start[4:])
        size = int.from_bytes(length, "big" if png else "little")
        names.append(name.decode("latin-1"))
        at += size + 12 if png else size + 8 + size % 2
    exif = "eXIf" in names or "EXIF" in names
    icc = "iCCP" in names or "ICCP" in names
    comment = bool({"tEXt", "zTXt", "iTXt", "XMP "} & set(names))
    ancillary = sum(name not in _NEEDED for name in names)
    return Container(
        kind, _header(head, kind), _joined(names), None, None, exif, icc, comment, ancillary
    )


def _boxes(file: BinaryIO) -> list[str]:
    """Names of the top-level boxes of an ISO file (ISO/IEC 14496-12, 4.2)."""
    names, at = [], 0
    while len(start := _at(file, at, 16)) >= 8:
        size = int.from_bytes(start[:4], "big")
        if size == 1:
            size = int.from_bytes(start[8:16], "big")
        names.append(start[4:8].decode("latin-1"))
        if size < 8:  # 0: to the end of the file
            break
        at += size
    return names


def _at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
