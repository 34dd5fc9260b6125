"""The technical record of one input: what a second examiner needs to repeat it."""

from __future__ import annotations

import json
from collections.abc import Sequence

from unmask.apps.report import numbers, text
from unmask.results import Result


def as_json(result: Result) -> str:
    """The result on one line; unlike `Result.to_json` also where a path is no valid Unicode."""
    return json.dumps(result.model_dump(by_alias=True), ensure_ascii=False)


def facts(result: Result) -> list[tuple[str, str, bool]]:
    """(term, value, is it code) of the technical record, in the order they are shown."""
    info, seen = result.input, result.coverage
    size = f"{info.width} × {info.height} pixels" if info.width and info.height else numbers.NONE
    kind = " ".join(word for word in (info.format, info.media) if word) or "not recognised"
    rows = [
        ("Path as given", info.path, True),
        ("SHA-256 of the file", info.sha256 or "not computed", True),
        ("Size", numbers.file_size(info.bytes), False),
        ("Content", kind, False),
        ("Picture size, upright", size, False),
    ]
    if info.media == "video":
        rows.append(("Duration", numbers.seconds(info.duration_s), False))
    rows.append(("Status", text.STATUS[result.status], False))
    read = f"{numbers.plural(seen.frames_read, 'frame')} read, {numbers.count(seen.frames_failed)}"
    rows.append(
        (
            "Coverage",
            f"{read} failed, {numbers.plural(seen.faces_scored, 'face view')} scored",
            False,
        )
    )
    return rows + _score_facts(result) + _run_facts(result)


def _score_facts(result: Result) -> list[tuple[str, str, bool]]:
    if result.score is None:
        return []
    rows = [("Score of the model", numbers.score(result.score), False)]
    if result.threshold:
        limits = result.threshold
        interval = numbers.percent_range(*limits.ci95)
        rows += [
            (
                "Thresholds",
                f"flag {numbers.score(limits.flag)}, clear {numbers.score(limits.clear)}",
                False,
            ),
            (
                "Real faces at or above flag",
                f"{numbers.percent(limits.fpr_at_flag)} (95% CI {interval})",
                False,
            ),
            ("Measured on", limits.measured_on, False),
        ]
    return [*rows, ("Calibrated probability", text.calibrated(result), False)]


def _run_facts(result: Result) -> list[tuple[str, str, bool]]:
    run = result.run
    if run is None:
        return [("Model", "not run on this input", False)]
    frames = str(run.max_frames) if run.max_frames else "not recorded"
    limits = ", ".join(f"{name} {value:,}" for name, value in run.limits.items())
    return [
        ("Model", run.model, False),
        ("SHA-256 of the weights", run.weights_sha256, True),
        ("SHA-256 of the settings", run.settings_sha256, True),
        ("Frames per video, at most", frames, False),
        ("Decoding limits", limits or "the defaults", False),
        ("Tool", run.tool, False),
        ("Device", run.device, False),
        ("Time taken", numbers.seconds(run.seconds), False),
    ]


def verify_line(result: Result, command: Sequence[str]) -> str:
    """The command that checks this result, with what the scan's own command line says of it."""
    words = ["unmask", "verify"]
    for option in ("--max-frames", "--model", "--calibration"):
        if (value := _option(command, option)) is not None:
            words += [option, value]
    saved = _option(command, "--out") or "result.json"
    if result.input.sha256 is None:  # the content cannot tell which result is meant
        return numbers.shell_line([*words, saved, f"--path={result.input.path}"])
    if saved.startswith("-") or result.input.path.startswith("-"):
        words.append("--")
    return numbers.shell_line([*words, saved, result.input.path])


def _option(command: Sequence[str], name: str) -> str | None:
    """The last value given to the option `name`, as `--name value` or `--name=value`."""
    value = None
    for word, following in zip(command, [*command[1:], None], strict=False):
        if word == name:
            value = following
        elif word.startswith(f"{name}="):
            value = word.removeprefix(f"{name}=")
    return value
