"""What a file is, told by its content and never by its name."""

from __future__ import annotations

HEAD_BYTES = 4096
"""How much of a file's start `sniff` wants to see; it accepts less."""

IMAGE_FORMATS = frozenset({"jpeg", "png", "webp", "heic", "avif", "gif"})
VIDEO_FORMATS = frozenset({"mp4", "mov", "mkv", "webm", "avi"})

SUPPORTED_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".gif"}
    | {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"}
)
"""File name endings to look for in a folder. The content alone decides how a file is decoded."""

_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"mif2", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_MP4_BRANDS = {b"avc1", b"hvc1", b"hev1", b"mp41", b"mp42", b"mp71", b"dash", b"mmp4", b"MSNV"}
_MP4_PREFIXES = (b"iso", b"M4", b"3gp", b"3g2", b"f4v", b"cmf", b"XAVC", b"dby", b"mp4")
_MOV_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}


def sniff(head: bytes) -> str | None:
    """Name the format of a file from its first bytes.

    Args:
        head: the first `HEAD_BYTES` of the file, or all of it.

    Returns:
        One of jpeg, png, webp, heic, avif, gif, mp4, mov, mkv, webm, avi; None for all else.
        `mp4` stands for the whole family (m4v, m4a, 3gp, fragmented).

    >>> sniff(b"GIF89a...")
    'gif'
    >>> sniff(b"once upon a time") is None
    True
    """
    if head[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF":
        return {b"WEBP": "webp", b"AVI ": "avi"}.get(head[8:12])
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _matroska(head)
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    return _bare_quicktime(head)


def _matroska(head: bytes) -> str | None:
    """The DocType element (id 0x4282) of the EBML header."""
    at = head.find(b"\x42\x82")
    doctype = head[at + 3 : at + 3 + (head[at + 2] & 0x7F)] if 0 <= at < len(head) - 2 else b""
    return {b"matroska": "mkv", b"webm": "webm"}.get(doctype.rstrip(b"\0"))


def _iso_media(head: bytes) -> str | None:
    """The brands of an ftyp box (ISO/IEC 14496-12, 4.3): the major one first."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))]
    if brands[0] == b"qt  ":
        return "mov"
    for brand in brands:
        if brand in _AVIF_BRANDS:
            return "avif"
        if brand in _HEIC_BRANDS:
            return "heic"
        if brand in _MP4_BRANDS or brand.startswith(_MP4_PREFIXES):
            return "mp4"
    return "heic" if brands[0] in _HEIF_BRANDS else None


def _bare_quicktime(head: bytes) -> str | None:
    """Early QuickTime files have no ftyp box and start with another one."""
    size = int.from_bytes(head[:4], "big")
    plausible = size == 1 or 8 <= size < 2**29  # from 2**29 on, four letters of text look like it
    return "mov" if head[4:8] in _MOV_BOXES and plausible else None
