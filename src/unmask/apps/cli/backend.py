"""What the commands run on: the detector and the decoding processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from unmask.apps.machine import cores
from unmask.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from unmask.inference.detector import Detector
    from unmask.media import Limits
    from unmask.media.decoded import Failure, Media

DEFAULT_MODEL = "unmask-default"
DEFAULT_FRAMES = 32
MAX_DEFAULT_JOBS = 8


class Decoder(Protocol):
    """The part of `unmask.media.DecodePool` that the commands need."""

    def map(self, paths: Iterable[str]) -> Iterator[Media | Failure]: ...


def make_detector(
    model: str, device: str, max_frames: int, calibration: Path | None = None
) -> Detector:
    """Load the detector; the only place of the command line that imports torch for scanning."""
    from unmask.inference.detector import Detector

    return Detector.from_pretrained(
        model, device=device, max_frames=max_frames, calibration=calibration
    )


def make_pool(jobs: int | None, max_frames: int, limits: Limits) -> AbstractContextManager[Decoder]:
    """Start the decoding processes, as many as `default_jobs` says unless told."""
    from unmask.media import DecodePool

    jobs = default_jobs() if jobs is None else jobs
    return DecodePool(jobs, max_frames=max_frames, limits=limits)


def default_jobs() -> int:
    """Decoding processes unless told: half the cores, for the network needs the rest."""
    return min(MAX_DEFAULT_JOBS, max(1, cores() // 2))


def make_limits(
    *,
    timeout: float | None = None,
    max_megapixels: float | None = None,
    max_megabytes: float | None = None,
    max_duration: float | None = None,
) -> Limits:
    """Decoding limits, with those that are given instead of the defaults.

    Args:
        timeout: seconds for one input.
        max_megapixels: millions of pixels of a picture or a video's frames.
        max_megabytes: millions of bytes of a file.
        max_duration: seconds of a clip.
    """
    given = {
        "timeout_s": timeout,
        "max_pixels": max_megapixels and round(max_megapixels * 1e6),
        "max_bytes": max_megabytes and round(max_megabytes * 1e6),
        "max_duration_s": max_duration,
    }
    return recorded_limits({k: v for k, v in given.items() if v is not None})


def recorded_limits(given: Mapping[str, int | float]) -> Limits:
    """Decoding limits from those that are not the defaults, by name, as a result's run has them.

    Raises:
        ConfigError: an unknown name, or a value that cannot be.
    """
    from pydantic import ValidationError

    from unmask.media import Limits

    try:
        return Limits.model_validate(dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"The limit {first['loc'][0]} cannot be: {first['msg']}.") from error
