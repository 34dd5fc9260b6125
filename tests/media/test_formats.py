"""Formats are told by content; the names of files play no part."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unmask.media import SUPPORTED_SUFFIXES, sniff


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "webp"),
        (b"RIFF\x10\0\0\0AVI LIST", "avi"),
        (b"RIFF\x10\0\0\0WAVEfmt ", None),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x18ftypavis\0\0\0\0avifmsf1", "avif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mp41avc1", "mp4"),
        (b"\0\0\0\x14ftypM4A \0\0\0\0M4A ", "mp4"),
        (b"\0\0\0\x14ftyp3gp5\0\0\0\0isom", "mp4"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "mov"),
        (b"\0\0\0\x10ftypcrx \0\0\0\1", None),
        (b"\0\0\0\x08wide\0\0\1\0mdat", "mov"),
        (b"carefree is not a QuickTime file", None),
        (b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska", "mkv"),
        (b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm", "webm"),
        (b"\x1a\x45\xdf\xa3\x87\x42\x82", None),
        (b"#EXTM3U\nhttp://example.org/a.ts", None),
        (b"BM\x00\x00", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_known_heads(head: bytes, expected: str | None) -> None:
    assert sniff(head) == expected


@given(st.binary(max_size=64))
def test_any_bytes_are_answered(head: bytes) -> None:
    assert sniff(head) in {
        None, "jpeg", "png", "webp", "heic", "avif", "gif", "mp4", "mov", "mkv", "webm", "avi",
    }  # fmt: skip


def test_suffixes_are_lower_case_with_a_dot() -> None:
    assert all(s == Path("a" + s).suffix.lower() for s in SUPPORTED_SUFFIXES)
    assert {".jpg", ".heif", ".m4v", ".webm"} <= SUPPORTED_SUFFIXES
