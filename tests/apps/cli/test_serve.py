"""`unmask serve` and `unmask tokens`: what is refused before a start, and an orderly end."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request

import pytest
from click.testing import CliRunner

from unmask.apps.cli import app

pytest.importorskip("sqlalchemy")
pytest.importorskip("uvicorn")

from unmask.apps.server.settings import ServerSettings
from unmask.apps.server.store import open_store


def unmask(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def started(monkeypatch):
    """What would be run, instead of running it."""
    runs = []

    def run(settings, *, api, say, told):
        runs.append((settings, api))

    monkeypatch.setattr("unmask.apps.server.worker.serving.serve", run)
    return runs


def test_options_become_settings(started, data):
    done = unmask(
        "serve", "--data", data, "--host", "::1", "--port", 0, "--database", "sqlite:///x.db",
        "--allowed-host", "a.example", "--allowed-host", "b.example", "--workers", 3,
        "--jobs", 2, "--model", "m.safetensors", "--device", "cpu", "--max-frames", 8,
        "--behind-tls", "--audit-retention", 30, "--max-upload", 1.5, "--retention", 0.5,
        "--queue", 7, "--rate", 9, "--uploads", 5,
        "--annotations", data / "masks", "--calibration", data / "own.json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    expected = ServerSettings.of(
        data=data, host="::1", port=0, database="sqlite:///x.db",
        allowed_hosts=("a.example", "b.example"), workers=3, jobs=2, model="m.safetensors",
        device="cpu", max_frames=8, max_upload_bytes=1572864, retention_s=1800.0,
        queue_limit=7, rate_per_minute=9, annotations=data / "masks", behind_tls=True,
        audit_retention_s=30 * 86400.0, max_uploads=5,
        calibration=data / "own.json",
    )  # fmt: skip
    assert started == [(expected, True)]


def test_defaults_are_those_of_the_settings(started, data):
    unmask("serve", "--data", data)
    assert started == [(ServerSettings.of(data=data), True)]


def test_help_states_the_defaults_of_the_settings():
    text = " ".join(unmask("serve", "--help").stdout.split())
    stated = {
        name: float(value)
        for name, value in re.findall(r"--([\w-]+) (?:(?!--).)*?\[([\d.]+)\]", text)
    }
    settings = ServerSettings.of(data="x")
    assert stated == {
        "port": settings.port,
        "workers": settings.workers,
        "max-upload": settings.max_upload_bytes / 2**20,
        "retention": settings.retention_s / 3600,
        "audit-retention": settings.audit_retention_s / 86400,
        "uploads": settings.max_uploads,
        "queue": settings.queue_limit,
        "rate": settings.rate_per_minute,
    }


@pytest.mark.parametrize(("role", "api", "workers"), [("api", True, 0), ("worker", False, 1)])
def test_roles(started, data, role, api, workers):
    assert unmask("serve", "--data", data, "--role", role).exit_code == 0
    assert [(settings.workers, has_api) for settings, has_api in started] == [(workers, api)]


@pytest.mark.parametrize("words", [("serve",), ("tokens", "list")], ids=str)
def test_without_the_extra_it_says_how_to_install_it(monkeypatch, data, words):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "sqlalchemy" else find(name)
    )
    done = unmask(*words, "--data", data)
    assert done.exit_code == 2
    assert "pip install 'unmask[serve]'" in done.stderr
    assert not data.exists()


def test_a_taken_port_is_named(data):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = unmask("serve", "--data", data, "--port", port)
    assert done.exit_code == 2
    assert f"The port {port} of 127.0.0.1 is taken." in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize("words", [("serve", "--port", 0), ("tokens", "list")], ids=str)
def test_a_store_of_a_later_version_is_refused(data, words):
    open_store(ServerSettings.of(data=data)).close()
    with sqlite3.connect(data / "service.db") as connection:
        connection.execute("UPDATE unmask_gate SET version = 999")
    connection.close()
    done = unmask(*words, "--data", data)
    assert done.exit_code == 2
    assert "of version 999" in done.stderr
    assert "update this one" in done.stderr


@pytest.mark.parametrize("role", ["all", "api", "worker"])
@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), ("{}", "is no calibration of unmask")],
    ids=["missing", "something else"],
)
def test_a_wrong_calibration_is_refused_before_anything_is_made(
    tmp_path, data, role, content, words
):
    path = tmp_path / "own.json"
    if content is not None:
        path.write_text(content)
    done = unmask("serve", "--data", data, "--port", 0, "--role", role, "--calibration", path)
    assert done.exit_code == 2
    assert words in done.stderr
    assert "unmask calibrate" in done.stderr
    assert not data.exists()


def test_an_address_of_elsewhere_is_named(data):
    store = open_store(ServerSettings.of(data=data))
    store.tokens.create("me", ["read"])
    store.close()
    done = unmask("serve", "--data", data, "--host", "192.0.2.1", "--port", 0)
    assert done.exit_code == 2
    assert "192.0.2.1 cannot be used" in done.stderr


def test_other_machines_need_a_token_that_is_valid(data):
    def serve():
        return unmask("serve", "--data", data, "--host", "0.0.0.0", "--port", port)

    with socket.create_server(("0.0.0.0", 0)) as other:  # so that it never starts
        port = other.getsockname()[1]
        refused = serve()
        assert refused.exit_code == 2
        assert "no token" in refused.stderr
        assert "unmask tokens create NAME --data" in refused.stderr
        unmask("tokens", "create", "me", "--data", data)
        assert "is taken" in serve().stderr
        (token,) = json.loads(unmask("tokens", "list", "--data", data, "--json").stdout)
        unmask("tokens", "revoke", token["id"], "--data", data)
        assert "no token" in serve().stderr


def test_a_setting_out_of_range_is_named(data):
    done = unmask("serve", "--data", data, "--max-frames", 20_000)
    assert done.exit_code == 2
    assert "max_frames" in done.stderr


def test_tokens_are_made_listed_and_revoked(data):
    made = unmask("tokens", "create", "desk", "--data", data, "--scope", "read", "--days", 2)
    assert made.exit_code == 0, made.stderr
    secret = made.stdout.strip()
    assert re.fullmatch(r"unmask_[\w-]{43}", secret)
    assert secret not in made.stderr
    store = open_store(ServerSettings.of(data=data))
    try:
        token = store.tokens.check(secret)
        assert (token.name, token.scopes) == ("desk", {"read"})
        listed = unmask("tokens", "list", "--data", data)
        assert listed.stdout.split()[0] == token.id
        assert "valid until" in listed.stdout
        assert secret not in listed.stdout
        assert unmask("tokens", "revoke", token.id, "--data", data).exit_code == 0
        assert store.tokens.check(secret) is None
        assert [entry.action for entry in store.audit.entries()] == ["token.revoke", "token.create"]
    finally:
        store.close()
    assert "revoked" in unmask("tokens", "list", "--data", data).stdout
    again = unmask("tokens", "revoke", token.id, "--data", data)
    assert again.exit_code == 2
    assert "unmask tokens list" in again.stderr


def test_no_tokens_says_how_to_make_one(data):
    done = unmask("tokens", "list", "--data", data)
    assert (done.stdout, done.exit_code) == ("", 0)
    assert "unmask tokens create" in done.stderr


def test_the_scopes_are_the_service_s():
    from unmask.apps.cli.tokens import SCOPES
    from unmask.apps.server.contract import SCOPES as KNOWN

    assert set(SCOPES) == set(KNOWN)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)], ids=["SIGTERM", "SIGINT"]
)
def test_it_answers_and_ends_in_order(data, number, code):
    """The whole service without workers: it says where it is, answers, and stops when told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "unmask", "serve", "--data", data, "--port", "0", "--role", "api"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stderr is not None
        address = next(
            line.split()[-1] for line in process.stderr if line.startswith("unmask: listening")
        )
        with urllib.request.urlopen(f"{address}/healthz") as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.wait(60) == code
        assert "stopping" in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
