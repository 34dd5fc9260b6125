"""Whether a file ends before its own structure says it should.

A decoder only says that it could not go on. The containers say more: a JPEG closes with EOI, a
PNG with IEND, a GIF with its trailer, and the boxes of MP4, RIFF and Matroska state their sizes.
This tells a file that was cut (copy it again) from one that is damaged inside.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

from unmask.media.limits import MIB

_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # TEM and RSTn carry no length
_SEGMENT = 0x18538067
_BOXES = frozenset(
    b"ftyp styp pdin moov moof mfra mdat imda idat meta sidx ssix prft emsg".split()
    + b"free skip wide udta uuid pnot jumb".split()
)


def ends_early(file: BinaryIO, size: int, kind: str) -> bool:
    """Whether the file's own structure reaches beyond its end.

    Bytes after the structure's end (a thumbnail, padding, a motion photo) are no fault.

    Args:
        file: seekable, at any position; its position changes.
        size: of the file in bytes.
        kind: a format as `sniff` names it.

    Returns:
        True when the end is missing. False also where the structure states no size at all
        (a Matroska segment or an mdat box of unknown length).
    """
    if kind == "jpeg":
        return not _tail_is(file, size, b"\xff\xd9") and _jpeg_is_cut(file)
    if kind == "png":
        return not _tail_is(file, size, _PNG_END) and _png_is_cut(file, size)
    if kind == "gif":
        return _gif_is_cut(file)
    if kind in ("webp", "avi"):
        return _riff_is_short(file, size)
    if kind in ("mkv", "webm"):
        return _matroska_is_short(file, size)
    return _boxes_are_short(file, size, needs_index=kind in ("mp4", "mov"))


def _tail_is(file: BinaryIO, size: int, end: bytes) -> bool:
    file.seek(max(0, size - len(end)))
    return file.read(len(end)) == end


def _jpeg_is_cut(file: BinaryIO) -> bool:
    """Walk the marker segments (ITU-T T.81, annex B); False at EOI and at junk."""
    file.seek(2)
    while len(first := file.read(2)) == 2:
        marker = first[1]
        if first[0] != 0xFF or marker == 0xD9:
            return False
        if marker == 0xFF:  # fill byte
            file.seek(-1, os.SEEK_CUR)
        elif marker not in _STANDALONE:
            length = file.read(2)
            file.seek(max(0, int.from_bytes(length, "big") - 2), os.SEEK_CUR)
            if marker == 0xDA and not _skip_entropy_coded(file):
                return True
    return True


def _skip_entropy_coded(file: BinaryIO) -> bool:
    """Move to the next marker that is neither a stuffed byte nor a restart."""
    at = file.tell()
    while len(chunk := file.read(MIB)) > 1:
        if found := _MARKER.search(chunk):
            file.seek(at + found.start())
            return True
        at += len(chunk) - 1  # the marker may straddle two chunks
        file.seek(at)
    return False


def _png_is_cut(file: BinaryIO, size: int) -> bool:
    """Walk the chunks; False at IEND and at a name that is no chunk's."""
    at = 8
    while at + 12 <= size:
        file.seek(at)
        head = file.read(8)
        at += 12 + int.from_bytes(head[:4], "big")
        if head[4:] == b"IEND" or not head[4:].isalpha():
            return False
    return True


def _gif_is_cut(file: BinaryIO) -> bool:
    """Walk the blocks (GIF89a specification); False at the trailer and at junk."""
    file.seek(10)
    _skip_colour_table(file, file.read(3))
    while introducer := file.read(1):
        if introducer not in b",!":
            return False
        if introducer == b",":
            _skip_colour_table(file, file.read(9)[8:])
        file.seek(1, os.SEEK_CUR)  # extension label, or the LZW code size
        while (length := file.read(1)) > b"\0":
            file.seek(length[0], os.SEEK_CUR)
    return True


def _skip_colour_table(file: BinaryIO, flags: bytes) -> None:
    """Skip the table that `flags` (first byte; may be missing) announces."""
    if flags and flags[0] & 0x80:
        file.seek(3 * 2 ** ((flags[0] & 7) + 1), os.SEEK_CUR)


def _riff_is_short(file: BinaryIO, size: int) -> bool:
    """One RIFF chunk, or a chain of them in an OpenDML AVI."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        if head[:4] != b"RIFF":
            return False
        at += 8 + int.from_bytes(head[4:], "little")
    return at > size


def _boxes_are_short(file: BinaryIO, size: int, needs_index: bool) -> bool:
    """Top-level boxes (ISO/IEC 14496-12, 4.2). An MP4 without moov was never finished."""
    at, indexed = 0, False
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        indexed |= head[4:8] == b"moov"
        if length == 1:
            length = int.from_bytes(head[8:], "big")
        if length == 0:  # to the end of the file
            return needs_index and not indexed
        if length < 8 or head[4:8] not in _BOXES:
            return False  # junk: a damaged box, or something behind the last one
        at += length
    return at != size or (needs_index and not indexed)


def _matroska_is_short(file: BinaryIO, size: int) -> bool:
    """Top-level EBML elements (RFC 8794): the header, then the segment."""
    at = 0
    while at < size:
        file.seek(at)
        head = file.read(12)
        id_length = 9 - head[0].bit_length()
        identifier = int.from_bytes(head[:id_length], "big")
        if len(head) <= id_length or head[id_length] == 0 or id_length > 4:
            return at < 64  # a tail of junk behind a whole segment is no fault
        width = 9 - head[id_length].bit_length()
        value = head[id_length : id_length + width]
        length = int.from_bytes(value, "big") & ((1 << 7 * width) - 1)
        if length == (1 << 7 * width) - 1:  # unknown on purpose: a live recording
            return False
        at += id_length + width + length
        if identifier == _SEGMENT:
            return at > size
    return True
