"""Repeating a recorded result: which of its statements still come out the same."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from unmask.errors import ConfigError
from unmask.results import Result

CPU_TOLERANCE = 1e-4
DEVICE_TOLERANCE = 5e-3


@dataclass(frozen=True, slots=True)
class Check:
    """One statement of a result, then and now.

    Attributes:
        path: of the media that was looked at now.
        name: what was compared.
        recorded, now: both values, as text.
        ok: whether they agree; None when it could not be found out.
    """

    path: str
    name: str
    recorded: str
    now: str
    ok: bool | None


def read_results(path: Path) -> list[Result]:
    """All results of a file: JSON lines, or one JSON object over any number of lines.

    Raises:
        ConfigError: the file cannot be read, is empty, or holds something else.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        try:
            return [Result.from_json(data)]
        except ValidationError:
            lines = [line for line in data.splitlines() if line.strip()]
            if len(lines) < 2:
                raise
            return [Result.from_json(line) for line in lines]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the text"
        raise ConfigError(
            f"{path} does not hold results of unmask: {where}: {first['msg']}.",
            "Give a file that `unmask scan --out` or `--format jsonl` wrote.",
        ) from error


def tolerance_for(recorded: Result, device: str) -> float:
    """How far the score may be off: `CPU_TOLERANCE` when both runs were on a CPU, which differ
    only in the order of sums; `DEVICE_TOLERANCE` when an accelerator took part."""
    both_cpu = recorded.run is not None and recorded.run.device == "cpu" and device == "cpu"
    return CPU_TOLERANCE if both_cpu else DEVICE_TOLERANCE


def compare(recorded: Result, now: Result, tolerance: float | None = None) -> list[Check]:
    """Compare a result with its repetition.

    When the media is not the recorded one, only that is said: other bytes, other score.

    Args:
        recorded: the earlier result.
        now: of the same input, made now.
        tolerance: largest difference of scores that counts as the same; by default as in
            `tolerance_for`.
    """
    path = now.input.path
    if recorded.input.sha256 is None or now.input.sha256 is None:
        return [_not_comparable(recorded, now)]
    same = recorded.input.sha256 == now.input.sha256
    media = Check(path, "media sha256", recorded.input.sha256, now.input.sha256, same)
    if not same:
        return [media]
    checks = [media, *_run_checks(path, recorded, now)]
    for name in ("status", "verdict"):
        old, new = getattr(recorded, name), getattr(now, name)
        checks.append(Check(path, name, _text(old), _text(new), old == new))
    if recorded.score is None or now.score is None:
        old_reasons, new_reasons = ", ".join(recorded.reasons), ", ".join(now.reasons)
        return [
            *checks,
            Check(path, "reasons", old_reasons, new_reasons, old_reasons == new_reasons),
        ]
    if tolerance is None:
        tolerance = tolerance_for(recorded, now.run.device if now.run else "")
    close = abs(recorded.score - now.score) <= tolerance
    name = f"score (within {tolerance:g})"
    return [*checks, Check(path, name, f"{recorded.score:.6f}", f"{now.score:.6f}", close)]


def _run_checks(path: str, recorded: Result, now: Result) -> list[Check]:
    old, new = recorded.run, now.run
    if old is None or new is None:
        return []
    return [
        Check(path, "weights sha256", old.weights_sha256, new.weights_sha256,
              old.weights_sha256 == new.weights_sha256),
        Check(path, "settings sha256", old.settings_sha256, new.settings_sha256,
              old.settings_sha256 == new.settings_sha256),
    ]  # fmt: skip


def _not_comparable(recorded: Result, now: Result) -> Check:
    """Without both hashes nothing can be said; the reasons tell why."""
    return Check(
        now.input.path,
        "media sha256",
        recorded.input.sha256 or f"none ({', '.join(recorded.reasons)})",
        now.input.sha256 or f"none ({', '.join(now.reasons)})",
        None,
    )


def _text(value: str | None) -> str:
    return "-" if value is None else value
