"""The group of commands: help, errors in words, exit codes."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from unmask import __version__
from unmask.apps.cli import app, backend
from unmask.apps.cli.group import COMMANDS
from unmask.errors import CheckpointError, MissingExtraError


@pytest.mark.parametrize("name", COMMANDS)
def test_listed_help_is_the_command_s_own_first_line(name):
    command = getattr(importlib.import_module(f"unmask.apps.cli.{name}"), name)
    assert isinstance(command, click.Command)
    assert (command.help or "").split("\n")[0] == COMMANDS[name]
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0
    assert COMMANDS[name] in shown.stdout


def test_help_lists_every_command():
    text = CliRunner().invoke(app, ["--help"]).stdout
    lines = text.split("Commands:")[1].strip().splitlines()
    assert [line.split()[0] for line in lines] == list(COMMANDS)


def test_version():
    assert CliRunner().invoke(app, ["--version"]).stdout == f"unmask {__version__}\n"


def test_unknown_command_is_a_usage_error():
    done = CliRunner().invoke(app, ["unheard-of"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "unheard-of" in done.stderr


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """Runs a scan whose detector cannot be made."""
    (tmp_path / "a.png").write_text("real")

    def run(error: BaseException):
        def make(*_: object) -> None:
            raise error

        monkeypatch.setattr(backend, "make_detector", make)
        return CliRunner().invoke(app, ["scan", str(tmp_path)])

    return run


def test_deliberate_errors_are_a_message_and_a_hint(failing):
    done = failing(CheckpointError("The weights are damaged.", "Install them again."))
    assert done.stderr == "unmask: The weights are damaged.\n  Install them again.\n"
    assert (done.exit_code, done.stdout) == (2, "")


def test_missing_extra_says_how_to_install(failing):
    done = failing(MissingExtraError("unmask train", "train", "lightning"))
    assert "pip install 'unmask[train]'" in done.stderr
    assert done.exit_code == 2


@pytest.mark.parametrize("error", [RuntimeError("odd"), KeyError("odd"), OSError("odd")])
def test_fault_is_not_mistaken_for_a_verdict(failing, error):
    done = failing(error)
    assert done.exit_code == 70
    assert "odd" in done.stderr
    assert "UNMASK_DEBUG=1" in done.stderr
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(failing, monkeypatch):
    monkeypatch.setenv("UNMASK_DEBUG", "1")
    done = failing(RuntimeError("odd"))
    assert "Traceback" in done.stderr
    assert done.exit_code == 70


def test_interrupt_while_loading(failing):
    assert failing(KeyboardInterrupt()).exit_code == 130


def test_module_is_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "unmask", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"unmask {__version__}\n"


def test_train_without_its_extra_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["train", str(tmp_path / "c.yaml")])
    assert "pip install 'unmask[train]'" in done.stderr
    assert done.exit_code == 2


def test_train_without_configuration(tmp_path):
    if importlib.util.find_spec("lightning") is None:
        pytest.skip("needs the extra 'train'")
    done = CliRunner().invoke(app, ["train", str(tmp_path / "c.yaml")])
    assert "There is no configuration file" in done.stderr
    assert done.exit_code == 2
