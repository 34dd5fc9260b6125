from __future__ import annotations

from pathlib import Path

import pytest

from unmask.apps.server.settings import ServerSettings
from unmask.errors import ConfigError


def test_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = ServerSettings.of(data="data", annotations="masks")
    assert settings.data == tmp_path / "data"
    assert settings.annotations == tmp_path / "masks"
    assert settings.upload_path("0" * 32) == tmp_path / "data" / "uploads" / ("0" * 32) / "media"


def test_settings_survive_the_way_to_a_worker(tmp_path: Path) -> None:
    settings = ServerSettings.of(data=tmp_path, database="postgresql://ann:hush@host/x", jobs=2)
    assert ServerSettings.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [("lease_s", 0), ("queue_limit", 0), ("port", 70_000), ("max_attempts", 0), ("colour", "red")],
)
def test_a_setting_that_cannot_be_is_named(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        ServerSettings.of(data=tmp_path, **{name: value})
