"""The judge of a worker that is given a calibration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.worker.evidence import command_of
from unmask.apps.server.worker.judging import Judge
from unmask.apps.server.worker.process import SETTINGS_VARIABLE, main
from unmask.errors import ConfigError
from unmask.inference.detector import Detector
from unmask.media import try_decode

STILL = Path(__file__).parents[4] / "examples" / "fake_blend_london.jpg"


def test_results_are_those_of_a_scan_with_the_same_calibration(calibrate):
    path = calibrate()
    judge = Judge("unmask-default", "cpu", calibration=path)
    (judged,) = judge.examine([try_decode(STILL)], max_frames=4)
    detector = Detector.from_pretrained(device="cpu", max_frames=4, calibration=path)
    expected = detector.scan(STILL)
    assert judged.result.threshold == expected.threshold
    assert (judged.result.threshold.flag, judged.result.threshold.clear) == (0.625, 0.125)
    assert judged.result.verdict == expected.verdict
    assert judge.settings_sha256(4) == detector.settings_sha256


def test_a_calibration_for_other_weights_is_refused(calibrate):
    with pytest.raises(ConfigError, match="other weights"):
        Judge("unmask-default", "cpu", calibration=calibrate(weights_sha256="0" * 64))


def test_a_worker_with_a_damaged_calibration_ends_with_2(calibrate, tmp_path, monkeypatch, capsys):
    path = calibrate()
    damaged = json.loads(path.read_text())
    damaged["decision"]["bands"] = []
    path.write_text(json.dumps(damaged))
    settings = ServerSettings.of(data=tmp_path / "data", calibration=path, device="cpu")
    monkeypatch.setenv(SETTINGS_VARIABLE, settings.model_dump_json())
    assert main() == 2
    assert "own.json is no calibration of unmask: decision.bands" in capsys.readouterr().err


def test_the_command_of_a_report_names_the_calibration_without_its_folder(calibrate, tmp_path):
    result = Judge("unmask-default", "cpu").examine([try_decode(STILL)], max_frames=4)[0].result
    settings = ServerSettings.of(data=tmp_path, calibration=calibrate())
    assert command_of(result, settings)[:6] == [
        "unmask", "scan", "--model", "unmask-default", "--calibration", "own.json",
    ]  # fmt: skip
    assert "--calibration" not in command_of(result, ServerSettings.of(data=tmp_path))
