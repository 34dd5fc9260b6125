"""Hard limits that keep one file from taking the machine with it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt

MIB = 2**20


class Limits(BaseModel):
    """What a single input may cost. Beyond it the input gets a reason, not a score."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: PositiveInt = 8192 * MIB
    """File size in bytes."""
    max_pixels: PositiveInt = 100_000_000
    """Width x height of a still or of a video's frames, checked before any pixel is decoded."""
    max_duration_s: PositiveFloat = 4 * 3600.0
    """Length of a clip in seconds."""
    timeout_s: PositiveFloat = 300.0
    """Wall-clock seconds for decoding one input."""
    memory_bytes: PositiveInt = 4096 * MIB
    """Address space a decoding process may use beyond what it starts with (Linux only)."""
