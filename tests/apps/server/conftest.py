"""A calibration of the packaged model, as `unmask calibrate` writes one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unmask.apps.server.model import read_model_card

MEASURED_ON = "120 reals of this user's own"


@pytest.fixture
def calibrate(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file with thresholds other than the card's; takes fields to change."""
    from unmask.inference.own_reals import CalibrationFile

    def write(**changed: Any) -> Path:
        card = read_model_card("unmask-default")
        own = {"flag": 0.625, "clear": 0.125, "fpr_at_flag": 0.05, "ci95": (0.02, 0.11)}
        fields = {
            "tool": "unmask test",
            "model": "unmask-default",
            "weights_sha256": card["weights_sha256"],
            "max_frames": 32,
            "fpr": 0.05,
            "decision": card["decision"] | own | {"measured_on": MEASURED_ON},
            "sources": (),
        }
        path = tmp_path / "own.json"
        path.write_text(CalibrationFile.model_validate(fields | changed).to_json(), "utf-8")
        return path

    return write
