"""Comparing a result with its repetition: whatever field is changed, it shows."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest

from unmask.results import Result
from unmask.scan.repeat import compare

FULL: dict[str, Any] = {
    "schema": "unmask.result/1",
    "input": {
        "path": "in/a.mp4", "sha256": "ab" * 32, "bytes": 10, "media": "video", "format": "mp4",
        "width": 8, "height": 6, "duration_s": 2.5,
    },
    "status": "scored",
    "reasons": ["truncated", "too_dark"],
    "message": "words",
    "verdict": "inconclusive",
    "score": 0.5,
    "calibrated": {"p_fake": 0.6, "log10_lr": 0.2, "domain": "faces", "in_domain": True},
    "threshold": {
        "flag": 0.8, "clear": 0.3, "fpr_at_flag": 0.01, "ci95": [0.0, 0.05], "measured_on": "reals",
    },
    "coverage": {"frames_read": 2, "frames_failed": 1, "faces_scored": 2},
    "faces": [
        {
            "id": 0, "score": 0.5, "start_s": 0.0, "end_s": 1.0, "heatmap": "a.png",
            "frames": [
                {"index": 0, "t": 0.0, "box": [1.0, 2.0, 5.0, 6.0], "score": 0.4, "quality": "ok"},
                {"index": 9, "t": 1.0, "box": [1.0, 2.0, 5.0, 6.0], "score": 0.6, "quality": "ok"},
            ],
        }
    ],
    "run": {
        "tool": "unmask 1", "model": "m", "weights_sha256": "cd" * 32, "settings_sha256": "ef" * 32,
        "device": "cpu", "seconds": 1.0, "max_frames": 2, "limits": {"max_pixels": 100},
    },
}  # fmt: skip
FREE = {"input.path", "faces.0.heatmap", "run.device", "run.seconds"}
INSTEAD = {"status": None, "verdict": "no_evidence_found", "input.media": "image", "schema": None}


def leaves(value: Any, name: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        yield name
        return
    for key, item in items:
        yield from leaves(item, f"{name}.{key}" if name else str(key))


def changed(name: str) -> Result:
    """The full result with another value in one place."""
    made = copy.deepcopy(FULL)
    *parents, last = [int(word) if word.isdigit() else word for word in name.split(".")]
    place: Any = made
    for parent in parents:
        place = place[parent]
    old = place[last]
    if name in INSTEAD:
        place[last] = INSTEAD[name]
    elif isinstance(old, bool):
        place[last] = not old
    elif isinstance(old, float):
        place[last] = old + (0.2 if ".box." in name else 0.02)
    elif isinstance(old, int):
        place[last] = old + 1
    else:
        place[last] = "no_face" if name.startswith("reasons") else f"{old}x"
    return Result.model_validate(made)


NAMES = [name for name in leaves(FULL) if INSTEAD.get(name, "") is not None]


def test_the_full_result_has_every_field():
    result = Result.model_validate(FULL)
    dumped = result.model_dump(by_alias=True, mode="json")
    assert sorted(leaves(dumped)) == sorted(leaves(FULL))


@pytest.mark.parametrize("name", NAMES)
def test_each_changed_field_differs_unless_it_may(name):
    checks = compare(changed(name), Result.model_validate(FULL))
    differing = [check.name for check in checks if check.ok is False]
    assert len(differing) == (0 if name in FREE else 1), differing
    if differing and name != "input.sha256":
        words = re.split(r"[.\[_ ]", differing[0].replace(" (within 0.0001)", ""))
        assert set(words) & set(re.split(r"[._]", name))


@pytest.mark.parametrize("name", ["calibrated", "threshold", "faces", "reasons", "run"])
def test_each_missing_part_differs(name):
    short = Result.model_validate({key: value for key, value in FULL.items() if key != name})
    full = Result.model_validate(FULL)
    for recorded, now in ((short, full), (full, short)):
        assert any(check.ok is False for check in compare(recorded, now))


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (("a", "a has 9 bytes"), ("away/a", "away/a has 9 bytes"), True),
        (("in/a", "in/a has 9 bytes"), ("a", "a has 9 bytes"), True),
        (("in/a", "in/a has 9 bytes"), ("a", "a has 8 bytes"), False),
    ],
)
def test_only_the_path_in_a_message_may_be_another(old, new, same):
    first, second = (
        Result.model_validate(FULL | {"input": FULL["input"] | {"path": path}, "message": message})
        for path, message in (old, new)
    )
    assert all(check.ok for check in compare(first, second)) is same
