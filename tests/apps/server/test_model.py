"""What the service knows of its model without loading it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from unmask.apps.server.model import read_own_thresholds
from unmask.apps.server.settings import ServerSettings
from unmask.errors import UnmaskError


def settings(tmp_path: Path, calibration: Path | None, **given: Any) -> ServerSettings:
    return ServerSettings.of(data=tmp_path / "data", calibration=calibration, **given)


def test_without_a_calibration_the_cards_thresholds_hold(tmp_path: Path) -> None:
    assert read_own_thresholds(settings(tmp_path, None)) is None


def test_what_unmask_calibrate_writes_is_read(
    tmp_path: Path, calibrate: Callable[..., Path]
) -> None:
    own = read_own_thresholds(settings(tmp_path, calibrate()))
    assert own is not None
    assert (own.decision.flag, own.decision.clear, own.fpr) == (0.625, 0.125, 0.05)
    assert own.decision.measured_on == "120 reals of this user's own"


def test_reading_it_loads_no_network(tmp_path: Path, calibrate: Callable[..., Path]) -> None:
    script = (
        "import sys; from unmask.apps.server.model import read_own_thresholds;"
        "from unmask.apps.server.settings import ServerSettings as S;"
        "assert read_own_thresholds(S.model_validate_json(sys.argv[1]));"
        "print('torch' in sys.modules)"
    )
    given = settings(tmp_path, calibrate()).model_dump_json()
    done = subprocess.run([sys.executable, "-c", script, given], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (None, "cannot be read: No such file"),
        ("{", "no calibration of unmask: the text"),
        ("[]", "no calibration of unmask"),
        ({"format": "unmask.calibration/2"}, "no calibration of unmask: format"),
        ({"decision": None}, "no calibration of unmask: decision"),
        ({"weights_sha256": "0" * 64}, "other weights"),
    ],
    ids=["missing", "no JSON", "no object", "format", "decision", "weights"],
)
def test_another_file_is_refused_and_named(
    tmp_path: Path, calibrate: Callable[..., Path], change: Any, words: str
) -> None:
    path = calibrate()
    if change is None:
        path.unlink()
    elif isinstance(change, str):
        path.write_text(change)
    else:
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UnmaskError, match=words) as caught:
        read_own_thresholds(settings(tmp_path, path))
    assert caught.value.exit_code == 2
    assert "own.json" in caught.value.message
    assert "unmask calibrate" in str(caught.value.hint)


def test_a_model_without_a_card_is_refused(tmp_path: Path, calibrate: Callable[..., Path]) -> None:
    with pytest.raises(UnmaskError, match="card of the model gone") as caught:
        read_own_thresholds(settings(tmp_path, calibrate(), model="gone.safetensors"))
    assert caught.value.exit_code == 2
