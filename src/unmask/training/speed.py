"""What slows training on the processor without need: memory given back and asked for again."""

from __future__ import annotations

import ctypes
import sys

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of glibc's `mallopt`."""
_KEPT = 2**31 - 1


def keep_memory() -> bool:
    """Let the allocator keep what is freed, and let torch leave new tensors as they are.

    glibc maps every large tensor anew and gives it back at once, so that the system clears its
    pages again at every step; kept, the same memory serves the next one. And where deterministic
    algorithms are asked for, torch fills every new tensor with NaN before it is written, which
    changes no result. Both hold for the process.

    Returns:
        Whether the allocator could be told: it is glibc's.
    """
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
