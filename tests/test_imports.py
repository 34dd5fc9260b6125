"""The light imports stay light: neither the package nor any help loads what is heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unmask.apps.cli.group import COMMANDS

HEAVY = ("torch", "torchvision", "timm", "av", "cv2", "numpy", "pydantic", "PIL", "jinja2")

SCRIPT = """
import atexit, sys
atexit.register(lambda: print(*[n for n in {heavy!r} if n in sys.modules], file=sys.stderr))
{code}
"""


def loaded_by(code: str) -> str:
    """The heavy modules that a fresh interpreter has loaded after `code`."""
    script = SCRIPT.format(heavy=HEAVY, code=code)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.strip()


def test_the_probe_sees_what_is_loaded():
    assert loaded_by("import numpy") == "numpy"


def test_package_is_light():
    assert loaded_by("import unmask; unmask.UnmaskError") == ""


@pytest.mark.parametrize("words", [["--help"], *([name, "--help"] for name in COMMANDS)], ids=str)
def test_help_is_light(words):
    code = f"import sys; sys.argv[1:] = {words!r}; from unmask.apps.cli import main; main()"
    assert loaded_by(code) == ""


@pytest.mark.parametrize(
    "room", ["errors", "types", "results", "media", "metrics", "scan.local", "scan.store"]
)
def test_rooms_without_torch(room):
    assert "torch" not in loaded_by(f"import unmask.{room}").split()
