"""`unmask train` on a configuration of the LAE."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from unmask.apps.cli.train import train
from unmask.errors import ConfigError
from unmask.training.lae import run as lae_run


def test_the_kind_decides_who_trains(
    drawn: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def trained(path: Path, **how: Any) -> Path:
        asked.update(how, config=path)
        return Path(how["out"], "tiny.safetensors")

    monkeypatch.setattr(lae_run, "train_lae", trained)
    config = drawn.write_config(tmp_path / "tiny.yaml")
    arguments = [str(config), "--out", "here", "--index", "faces.parquet", "--resume"]
    done = CliRunner().invoke(train, arguments, catch_exceptions=False)
    assert done.output.strip() == str(Path("here/tiny.safetensors"))
    assert asked == {
        "config": config, "out": Path("here"), "index": Path("faces.parquet"), "resume": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (["--no-pretrained"], "--no-pretrained"),
        (["--devices", "2"], "--devices"),
        (["--backbone-weights", "w.safetensors"], "--backbone-weights"),
    ],
)
def test_what_an_lae_cannot_use_is_refused(
    option: list[str], name: str, drawn: SimpleNamespace, tmp_path: Path
) -> None:
    config = drawn.write_config(tmp_path / "tiny.yaml")
    done = CliRunner().invoke(train, [str(config), *option])
    assert isinstance(done.exception, ConfigError)
    assert name in done.exception.message
