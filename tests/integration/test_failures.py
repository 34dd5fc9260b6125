"""Every way an input can fail gives its own reason and exit code, through the real command."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from unmask.apps.cli import app
from unmask.results import Result

PORTRAIT = Path(__file__).parents[1] / "data" / "congress_A000055.jpg"
SCORED, INCOMPLETE, NOTHING_SCORED = 0, 3, 4


def no_face(path: Path) -> None:
    y, x = np.mgrid[0:240, 0:320]
    ramp = np.stack([x % 256, y, 255 - y], axis=2).astype(np.uint8)
    Image.fromarray(ramp).save(path, quality=95)


def truncated(path: Path) -> None:
    data = PORTRAIT.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def text(path: Path) -> None:
    path.write_text("Dear reader, this is a letter and no picture.\n" * 40)


def empty(path: Path) -> None:
    path.touch()


def zero_length_video(path: Path) -> None:
    """A well-formed MP4 whose H.264 stream holds not one frame."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        out.start_encoding()


def huge_png(path: Path) -> None:
    """20,000 x 15,000 pixels, valid to the last one, in a few dozen kilobytes."""
    width, height = 20_000, 15_000
    packer = zlib.compressobj(9)
    row = bytes(1 + width // 8)  # filter type, then one bit per pixel
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")):
            check = zlib.crc32(name + data)
            file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", check))


def missing(path: Path) -> None:
    assert not path.exists()


Scan = Callable[[Sequence[Path]], tuple[int, list[Result]]]
Case = tuple[str, Callable[[Path], None], str, str]
CASES: tuple[Case, ...] = (
    ("no_face.jpg", no_face, "not_applicable", "no_face"),
    ("truncated.jpg", truncated, "unreadable", "truncated"),
    ("text.jpg", text, "unreadable", "unsupported_format"),
    ("empty.jpg", empty, "unreadable", "empty_file"),
    ("zero_length.mp4", zero_length_video, "unreadable", "zero_frames"),
    ("huge.png", huge_png, "limit_exceeded", "too_many_pixels"),
    ("missing.jpg", missing, "unreadable", "missing"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All failing inputs, and one good picture."""
    root = tmp_path_factory.mktemp("failures")
    for name, make, _, _ in CASES:
        make(root / name)
    (root / "good.jpg").write_bytes(PORTRAIT.read_bytes())
    return root


@pytest.fixture
def words(checkpoint: Path) -> list[str]:
    """The options of every scan here."""
    return ["--model", str(checkpoint), "--format", "jsonl", "--jobs", "1"]


@pytest.fixture
def scan(words: list[str]) -> Scan:
    """Run `unmask scan` in a process of its own: exit code, and the results it printed."""

    def run(paths: Sequence[Path]) -> tuple[int, list[Result]]:
        command = [sys.executable, "-m", "unmask", "scan", *map(str, paths), *words]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
        assert "Traceback" not in done.stderr
        return done.returncode, [Result.from_json(line) for line in done.stdout.splitlines()]

    return run


def test_the_huge_picture_is_whole_in_a_small_file(folder: Path) -> None:
    data = (folder / "huge.png").read_bytes()
    assert len(data) < 1_000_000
    assert struct.unpack(">II", data[16:24]) == (20_000, 15_000)
    start = data.index(b"IDAT") + 4
    size = int.from_bytes(data[start - 8 : start - 4], "big")
    unpacker = zlib.decompressobj()
    assert len(unpacker.decompress(data[start : start + size])) == 15_000 * (1 + 20_000 // 8)
    assert unpacker.eof


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[3])
def test_each_failure_alone(case: Case, folder: Path, words: list[str]) -> None:
    name, _, status, reason = case
    path = str(folder / name)
    done = CliRunner().invoke(app, ["scan", path, *words])
    assert done.exit_code == NOTHING_SCORED
    result = Result.from_json(done.stdout)
    assert (result.input.path, result.status, result.reasons) == (path, status, [reason])
    assert (result.score, result.verdict, result.faces) == (None, None, [])
    assert result.message
    assert f"1 {reason}" in done.stderr


def test_the_reasons_are_all_different() -> None:
    assert len({reason for *_, reason in CASES}) == len(CASES)


def test_all_of_them_beside_a_good_picture(folder: Path, scan: Scan) -> None:
    paths = [folder / name for name, *_ in CASES]
    paths.insert(3, folder / "good.jpg")
    code, results = scan(paths)
    assert code == INCOMPLETE
    assert [r.input.path for r in results] == [str(path) for path in paths]
    assert [r.reasons[0] for r in results if r.status != "scored"] == [
        reason for *_, reason in CASES
    ]
    (good,) = [r for r in results if r.status == "scored"]
    assert good.input.path == str(folder / "good.jpg")


def test_all_of_them_and_nothing_else(folder: Path, scan: Scan) -> None:
    code, results = scan([folder / name for name, *_ in CASES])
    assert code == NOTHING_SCORED
    assert [r.reasons for r in results] == [[reason] for *_, reason in CASES]


def test_a_good_picture_alone(folder: Path, scan: Scan) -> None:
    code, results = scan([folder / "good.jpg"])
    assert (code, [r.status for r in results]) == (SCORED, ["scored"])
