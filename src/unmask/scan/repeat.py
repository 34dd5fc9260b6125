"""Repeating a recorded result: which of its statements still come out the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from unmask.errors import ConfigError, first_fault
from unmask.results import Result

CPU_TOLERANCE = 1e-4
DEVICE_TOLERANCE = 5e-3
BOX_PIXELS = 0.1
ROUNDING = 1e-9

MAIN = {
    "run.weights_sha256": "weights sha256",
    "run.settings_sha256": "settings sha256",
    "status": "status",
    "verdict": "verdict",
    "reasons": "reasons",
    "score": "score",
}
"""Fields that are always shown, with their names there."""
NOT_COMPARED = re.compile(
    r"input\.(path|sha256)|run\.(seconds|device)|faces\[\d+\]\.heatmap"  # sha256: compared first
)

Fields = dict[str, object]


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
        raise ConfigError(
            f"{path} does not hold results of unmask: {first_fault(error)}.",
            "Give a file that `unmask scan --out` or `--format jsonl` wrote.",
        ) from error


def tolerance_for(recorded: Result, device: str) -> float:
    """How far the score may be off: `CPU_TOLERANCE` when both runs were on a CPU, which differ
    only in the order of sums; `DEVICE_TOLERANCE` when an accelerator took part."""
    both_cpu = recorded.run is not None and recorded.run.device == "cpu" and device == "cpu"
    return CPU_TOLERANCE if both_cpu else DEVICE_TOLERANCE


def compare(recorded: Result, now: Result, tolerance: float | None = None) -> list[Check]:
    """Compare a result with its repetition, field by field.

    When the media is not the recorded one, only that is said: other bytes, other score. Not
    compared are the path, the seconds, the device and the heatmaps' paths, which may well be
    others. Of the fields beside the main ones, those that differ are given one by one, and the
    rest in one check.

    Args:
        recorded: the earlier result.
        now: of the same input, made now.
        tolerance: largest difference of scores that counts as the same; by default as in
            `tolerance_for`. Other numbers have a tolerance that follows from it (`_allowed`).
    """
    path = now.input.path
    if recorded.input.sha256 is None or now.input.sha256 is None:
        return [_not_comparable(recorded, now)]
    same = recorded.input.sha256 == now.input.sha256
    media = Check(path, "media sha256", recorded.input.sha256, now.input.sha256, same)
    if not same:
        return [media]
    if tolerance is None:
        tolerance = tolerance_for(recorded, now.run.device if now.run else "")
    old, new = _fields(recorded), _fields(now)
    if recorded.run is not None and recorded.run.max_frames is None:
        new.pop("run.max_frames", None)  # from a version that did not record it
    if _same_message(recorded, now):
        new["message"] = old["message"]
    main = [media]
    for field, name in MAIN.items():
        before, after = old.pop(field, None), new.pop(field, None)
        if field == "score":
            if before is None and after is None:
                continue
            name = f"score (within {tolerance:g})"
        agree = _agree(field, before, after, tolerance)
        main.append(Check(path, name, _text(before), _text(after), agree))
    return [*main, *_other_checks(path, old, new, tolerance)]


def _other_checks(path: str, old: Fields, new: Fields, tolerance: float) -> list[Check]:
    """One check per field that differs, and one for all that agree."""
    names = list(dict.fromkeys([*old, *new]))
    differ = [n for n in names if not _agree(n, old.get(n), new.get(n), tolerance)]
    checks = [Check(path, n, _text(old.get(n)), _text(new.get(n)), False) for n in differ]
    count = f"{len(names) - len(differ)} fields"
    return [*checks, Check(path, "everything else", count, count, True)]


def _same_message(recorded: Result, now: Result) -> bool:
    """Whether two messages say the same of a file that may have moved: errors name the file."""
    if recorded.message is None or now.message is None:
        return False
    old, new = recorded.input.path, now.input.path
    return bool(old and new) and (
        recorded.message.replace(old, new) == now.message
        or now.message.replace(new, old) == recorded.message
    )


def _fields(result: Result) -> Fields:
    """The fields that are compared, by names such as `faces[0].frames[2].score`."""
    values = result.model_dump(by_alias=True)
    values["reasons"] = ", ".join(result.reasons)
    found = dict(_flat("", values))
    return {name: value for name, value in found.items() if not NOT_COMPARED.fullmatch(name)}


def _flat(name: str, value: object) -> Iterator[tuple[str, object]]:
    """The leaves of nested mappings and sequences; a box or a range of two is one leaf."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(f"{name}.{key}" if name else key, item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flat(f"{name}[{index}]", item)
    elif value is not None:
        yield name, value


def _agree(name: str, old: object, new: object, tolerance: float) -> bool:
    """Whether two values of a field are the same, numbers within what is allowed."""
    if isinstance(old, tuple) and isinstance(new, tuple):
        return len(old) == len(new) and all(
            _agree(name, a, b, tolerance) for a, b in zip(old, new, strict=True)
        )
    if isinstance(old, float) and isinstance(new, float):
        return abs(old - new) <= _allowed(name, tolerance)
    return old == new


def _allowed(name: str, tolerance: float) -> float:
    """The largest difference of a number that counts as the same.

    Scores and the probability made of them: `tolerance`. The log10 likelihood ratio: 10 times as
    much, for it is steeper. Boxes: `BOX_PIXELS`, or one pixel where an accelerator took part.
    Everything else is copied, not computed, and must be the same but for rounding.
    """
    last = name.rpartition(".")[2]
    if last in ("score", "p_fake"):
        return tolerance
    if last == "log10_lr":
        return 10 * tolerance
    if last == "box":
        return BOX_PIXELS if tolerance <= CPU_TOLERANCE else 1.0
    return ROUNDING


def _not_comparable(recorded: Result, now: Result) -> Check:
    """Without both hashes nothing can be said; the reasons tell why."""
    return Check(
        now.input.path,
        "media sha256",
        recorded.input.sha256 or f"none ({', '.join(recorded.reasons)})",
        now.input.sha256 or f"none ({', '.join(now.reasons)})",
        None,
    )


def _text(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, tuple):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)
