"""`unmask schema`, `unmask models`, `unmask doctor`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from unmask.apps.cli import checkup, models
from unmask.apps.cli.checkup import Finding
from unmask.results import Result

ROOT = Path(__file__).parents[3]


def test_schema_names_what_results_hold(unmask, folder):
    schema = json.loads(unmask("schema").stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(schema["properties"]) == {
        field.alias or name for name, field in Result.model_fields.items()
    }
    line = unmask("scan", "in/real.png", "--format", "jsonl").stdout
    assert set(json.loads(line)) <= set(schema["properties"])


def test_models_lists_every_network(unmask):
    from unmask.models.registry import MODELS

    text = unmask("models").stdout
    assert all(f"  {name} " in text for name in MODELS)
    listed = json.loads(unmask("models", "--json").stdout)
    assert set(MODELS) <= set(listed)


def test_model_is_described_with_its_number_of_parameters(unmask):
    from unmask.models.registry import MODELS

    name = "airl_small_frequency"
    described = json.loads(unmask("models", name, "--json").stdout)
    expected = sum(p.numel() for p in MODELS[name].create().parameters())
    assert described["parameters"] == expected
    assert f"parameters: {expected}" in unmask("models", name).stdout


def test_unknown_model_lists_the_known(unmask):
    done = unmask("models", "nope")
    assert done.exit_code == 2
    assert "airl_b4" in done.stderr


@pytest.fixture
def packaged(monkeypatch, tmp_path):
    """A package folder of our own, to put cards in."""
    (tmp_path / "weights").mkdir()
    monkeypatch.setattr(models.resources, "files", lambda _: tmp_path)
    return tmp_path / "weights"


def test_cards_of_weights_are_listed_and_described(unmask, packaged):
    card = {"name": "mine", "architecture": "airl_small", "licence": "CC0", "metrics": {"auc": 0.5}}
    (packaged / "mine.json").write_text(json.dumps(card))
    assert "mine" in unmask("models").stdout.split("Networks")[0]
    assert "metrics:\n  auc: 0.5\n" in unmask("models", "mine").stdout


@pytest.mark.parametrize("text", ["{", "[]"])
def test_damaged_card_is_named(unmask, packaged, text):
    (packaged / "mine.json").write_text(text)
    done = unmask("models")
    assert done.exit_code == 2
    assert "mine.json" in done.stderr


def test_doctor_tries_the_decoders(unmask):
    found = {f.name: f for f in checkup.examine(checkup._decoders)}
    assert {"decode JPEG", "decode PNG", "decode WEBP", "decode GIF"} <= set(found)
    assert all(finding.ok for finding in found.values()), found
    assert any("mp4" in name or "avi" in name for name in found)


def test_doctor_is_healthy_only_when_nothing_fails(unmask, monkeypatch):
    def good():
        yield Finding("one", True, "fine")
        yield Finding("extra x", None, "not installed", "Install it with: ...")

    def bad():
        yield Finding("two", True, "fine")
        raise RuntimeError("broken")

    monkeypatch.setattr(checkup, "CHECKS", (good,))
    done = unmask("doctor")
    assert (done.exit_code, done.stderr) == (0, "Scanning works.\n")
    monkeypatch.setattr(checkup, "CHECKS", (bad, good))
    done = unmask("doctor", "--json")
    report = json.loads(done.stdout)
    assert done.exit_code == 1
    assert report["healthy"] is False
    assert [check["ok"] for check in report["checks"]] == [True, False, True, None]
    assert "FAILS  bad" in unmask("doctor").stdout


def test_doctor_names_the_extra_to_install(monkeypatch):
    monkeypatch.setattr(checkup, "EXTRAS", {"moon": ("no_such_module",)})
    (finding,) = checkup._extras()
    assert finding.ok is None
    assert finding.hint == "Install it with: pip install 'unmask[moon]'"


def test_doctor_knows_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(checkup.EXTRAS) == set(project["optional-dependencies"]) - {"dev"}
    details = {finding.name: finding.detail for finding in checkup._extras()}
    details.pop("extra openvino")  # may be absent where tests run
    assert set(details.values()) == {"installed"}, details
