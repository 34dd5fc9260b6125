"""From bytes to frames: formats told by content, hard limits, killable decoding processes.

The public names load on first use: asking for the suffixes loads neither numpy nor FFmpeg.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOME = {
    "SUPPORTED_SUFFIXES": "unmask.media.formats",
    "DecodePool": "unmask.media.pool",
    "Failure": "unmask.media.decoded",
    "Limits": "unmask.media.limits",
    "Media": "unmask.media.decoded",
    "decode": "unmask.media.reader",
    "sniff": "unmask.media.formats",
    "try_decode": "unmask.media.reader",
}

if TYPE_CHECKING:
    from unmask.media.decoded import Failure as Failure
    from unmask.media.decoded import Media as Media
    from unmask.media.formats import SUPPORTED_SUFFIXES as SUPPORTED_SUFFIXES
    from unmask.media.formats import sniff as sniff
    from unmask.media.limits import Limits as Limits
    from unmask.media.pool import DecodePool as DecodePool
    from unmask.media.reader import decode as decode
    from unmask.media.reader import try_decode as try_decode

__all__ = list(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'unmask.media' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
