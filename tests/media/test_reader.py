"""Every input that gives no frames says why, and what is known of it is kept."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.errors import ConfigError, MediaError
from unmask.media import Failure, Limits, Media, decode, try_decode
from unmask.results import REASONS


def failure(path: Path | str, **settings: object) -> Failure:
    outcome = try_decode(path, **settings)  # type: ignore[arg-type]
    assert isinstance(outcome, Failure)
    assert outcome.error.reason in REASONS
    assert outcome.error.hint
    return outcome


@pytest.fixture
def png(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    Image.fromarray(np.full((4, 6, 3), 7, np.uint8)).save(path)
    return path


def test_what_is_known_of_a_picture(png: Path) -> None:
    info = decode(png).info
    assert info.path == str(png)
    assert info.sha256 == hashlib.sha256(png.read_bytes()).hexdigest()
    assert info.bytes == len(png.read_bytes())
    assert (info.media, info.format, info.width, info.height) == ("image", "png", 6, 4)
    assert info.duration_s is None
    assert decode(png, display="upload").info.path == "upload"


def test_text_with_a_picture_name(tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_text("not a picture")
    got = failure(path)
    assert (got.error.status, got.error.reason) == ("unreadable", "unsupported_format")
    assert got.info.sha256 == hashlib.sha256(b"not a picture").hexdigest()
    assert got.info.bytes == 13
    assert got.info.media is None


def test_a_picture_under_another_name(png: Path) -> None:
    other = png.rename(png.with_suffix(".txt"))
    assert decode(other).info.format == "png"


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.touch()
    got = failure(path)
    assert (got.error.status, got.error.reason, got.info.bytes) == ("unreadable", "empty_file", 0)


@pytest.mark.parametrize("name", ["gone.jpg", "a.png/below", "nul\0byte", "n" * 5000])
def test_missing(png: Path, name: str) -> None:
    got = failure(f"{png.parent}/{name}")
    assert (got.error.status, got.error.reason) == ("unreadable", "missing")
    assert got.info.bytes is None


def test_a_folder_and_a_pipe_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert failure(tmp_path).error.reason == "unsupported_format"
    assert "folder" in failure(tmp_path).error.message
    assert "regular" in failure(tmp_path / "pipe.mp4").error.message


def test_permission_denied(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    png.chmod(0)
    if os.access(png, os.R_OK):  # the superuser may read all

        def refuse(*_: object) -> int:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "open", refuse)
    got = failure(png)
    assert (got.error.status, got.error.reason) == ("unreadable", "permission_denied")


def test_too_many_bytes(png: Path) -> None:
    got = failure(png, limits=Limits(max_bytes=10))
    assert (got.error.status, got.error.reason) == ("limit_exceeded", "too_many_bytes")
    assert got.info.bytes == png.stat().st_size


def test_the_time_limit_holds_inside_the_process(png: Path) -> None:
    got = failure(png, limits=Limits(timeout_s=1e-9))
    assert (got.error.status, got.error.reason) == ("limit_exceeded", "timeout")


def test_a_fault_of_ours_is_a_result_and_keeps_its_cause(
    png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("unmask.media.image.decode_image", broken)
    got = failure(png)
    assert (got.error.status, got.error.reason) == ("error", "internal_error")
    assert isinstance(got.error.__cause__, RuntimeError)


def test_lack_of_memory_is_a_limit(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("unmask.media.image.decode_image", greedy)
    got = failure(png)
    assert (got.error.status, got.error.reason) == ("limit_exceeded", "out_of_memory")


def test_decode_raises_what_try_decode_returns(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no file") as caught:
        decode(tmp_path / "gone.png")
    assert caught.value.reason == "missing"


def test_no_frames_asked(png: Path) -> None:
    with pytest.raises(ConfigError, match="max_frames"):
        decode(png, max_frames=0)


def test_names_that_are_no_utf8(png: Path) -> None:
    odd = os.fsdecode(bytes(png.parent) + b"/\xff.png")
    try:
        os.rename(png, odd)
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    outcome = try_decode(odd)
    assert isinstance(outcome, Media)
    assert outcome.info.path.endswith("\\xff.png")


def test_media_loads_no_torch() -> None:
    code = "import sys, unmask.media; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
