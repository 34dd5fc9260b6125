"""`unmask scan` with the real decoding processes; only the network is replaced."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from unmask.apps.cli import app, backend

REAL_POOL = backend.make_pool

DRIVER = """
import importlib.util, sys, time
import unmask.scan.local
from unmask.apps.cli import backend, main

def load():
    spec = importlib.util.spec_from_file_location("fakes", {fakes!r})
    fakes = sys.modules["fakes"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fakes)
    class Slow(fakes.FakeDetector):
        def examine(self, items, *, evidence=False):
            time.sleep(0.2)
            return super().examine(items, evidence=evidence)
    return Slow()

if __name__ == "__main__":
    backend.make_detector = lambda *_: load()
    unmask.scan.local.BATCH_ITEMS = 1
    main()
"""


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A working folder with `in/`: what decodes and what does not."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    Image.fromarray(np.full((16, 16, 3), 240, np.uint8)).save("in/fake.png")
    Image.fromarray(np.full((16, 16, 3), 20, np.uint8)).save("in/real.png")
    Path("in/text.jpg").write_text("not a picture at all")
    Path("in/empty.png").write_bytes(b"")
    return tmp_path


def test_each_failure_has_its_own_reason(detector, pictures, monkeypatch):
    monkeypatch.setattr(backend, "make_pool", REAL_POOL)
    done = CliRunner().invoke(app, ["scan", "in", "gone.png", "--format", "jsonl", "--jobs", "1"])
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["input"]["path"], r["status"], r["reasons"]) for r in results] == [
        ("in/empty.png", "unreadable", ["empty_file"]),
        ("in/fake.png", "scored", []),
        ("in/real.png", "scored", []),
        ("in/text.jpg", "unreadable", ["unsupported_format"]),
        ("gone.png", "unreadable", ["missing"]),
    ]
    assert done.exit_code == 3
    limited = CliRunner().invoke(
        app, ["scan", "in/fake.png", "--max-megapixels", "0.0001", "--format", "csv"]
    )
    assert "limit_exceeded,,,too_many_pixels" in limited.stdout
    assert limited.exit_code == 4


def test_ctrl_c_reaches_the_whole_group_and_leaves_no_process(pictures):
    for index in range(30):
        Image.fromarray(np.full((16, 16, 3), index + 3, np.uint8)).save(f"in/n{index:02}.png")
    code = DRIVER.format(fakes=str(Path(__file__).with_name("conftest.py")))
    Path("driver.py").write_text(code)
    process = subprocess.Popen(
        [sys.executable, "driver.py", "scan", "in", "--out", "o.jsonl", "--jobs", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    out = Path("o.jsonl")
    while not (out.exists() and out.read_bytes().count(b"\n") >= 2):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert err.count("\n") == 1
    assert out.read_bytes().endswith(b"\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
