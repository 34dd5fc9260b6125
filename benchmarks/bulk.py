"""A scan of 1,000 stills and a 10-minute 1080p clip: memory, and interruption without loss.

    python benchmarks/bulk.py PICTURES [--model MODEL] [--stills 1000] [--minutes 10]

Copies of PICTURES and a clip made of them go to a temporary folder. The command then runs, as a
user would start it: on everything to the end; on the stills, interrupted half-way and resumed; on
the clip, interrupted while it is looked at and resumed. Memory is that of the whole process tree.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from memory import Sampler
from record import ROOT, Record, arguments

from unmask.apps.cli.backend import DEFAULT_MODEL

RATE, WIDTH, HEIGHT = 25, 1920, 1080
SEGMENT = 500
"""Frames that are encoded; the clip repeats their packets, which a decoder cannot tell."""
INTERRUPTED = 130
OPTIONS = {"preset": "veryfast", "crf": "23", "bf": "0", "g": "250", "x264-params": "scenecut=0"}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("pictures", type=Path, help="folder of stills with faces")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--stills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--temp", type=Path, help="where to make the temporary folder")
    given = parser.parse_args()
    record = Record()
    with tempfile.TemporaryDirectory(prefix="unmask-bulk-", dir=given.temp) as name:
        root = Path(name)
        stills = copy_stills(given.pictures, root / "stills", given.stills)
        clip = make_clip(root / "clip.mp4", stills, given.minutes)
        scan = Scan(root, given.model)
        everything = [*map(str, stills), str(clip)]
        results = {
            "inputs": {
                "stills": len(stills),
                "clip_frames": round(given.minutes * 60 * RATE),
                "clip_bytes": clip.stat().st_size,
                "clip_size": [WIDTH, HEIGHT],
            },
            "to_the_end": scan.whole("all", [root / "stills", clip], everything),
            "clip_alone": scan.whole("clip", [clip], [str(clip)]),
            "stills_interrupted": scan.interrupted(
                "half",
                [root / "stills"],
                everything[:-1],
                lambda out: lines(out) >= len(stills) // 2,
            ),
        }
        pause = 0.5 * results["clip_alone"]["seconds"]
        results["clip_interrupted"] = scan.interrupted(
            "half-clip", [clip], [str(clip)], after(pause)
        )
    checks = [r["exactly_one_each"] for r in results.values() if "exactly_one_each" in r]
    record.write(given.out, {**results, "goal_met": all(checks)})


def copy_stills(source: Path, target: Path, count: int) -> list[Path]:
    """`count` files with the bytes of the pictures of `source`, in order and again from the top."""
    pictures = sorted(p for p in source.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    target.mkdir()
    made = []
    for index in range(count):
        picture = pictures[index % len(pictures)]
        made.append(target / f"{index:05d}{picture.suffix.lower()}")
        shutil.copyfile(picture, made[-1])
    return made


def make_clip(path: Path, stills: Sequence[Path], minutes: float) -> Path:
    """An H.264 clip of four faces that move over a wall; a segment, repeated packet by packet."""
    total = round(minutes * 60 * RATE)
    packets = encode(path.with_suffix(".segment.mp4"), stills, min(SEGMENT, total))
    with av.open(str(packets)) as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        segment = [p for p in source.demux(video=0) if p.dts is not None]
        step, base = segment[0].duration, segment[0].time_base
        blobs = [(bytes(p), p.is_keyframe) for p in segment]
        for index in range(total):
            data, key = blobs[index % len(blobs)]
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, base, key
            packet.pts = packet.dts = index * step
            packet.duration = step
            out.mux(packet)
    packets.unlink()
    return path


def encode(path: Path, stills: Sequence[Path], frames: int) -> Path:
    """The segment, without reordered frames so that its packets can be repeated."""
    wall = np.linspace(60, 180, WIDTH, dtype=np.float32)[None, :, None]
    wall = np.broadcast_to(wall, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    faces = [cv2.resize(cv2.imread(str(p)), (360, 360)) for p in stills[:4]]
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=RATE, options=OPTIONS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            picture = wall.copy()
            sway = round(40 * np.sin(2 * np.pi * index / frames))
            for place, face in enumerate(faces):
                x, y = 80 + 460 * place + sway, 340 + (sway if place % 2 else -sway)
                picture[y : y + 360, x : x + 360] = face
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        out.mux(stream.encode())
    return path


class Scan:
    """Runs the command, watches its memory and counts what it wrote."""

    def __init__(self, root: Path, model: str) -> None:
        self.root, self.model = root, model

    def command(self, out: Path, sources: Sequence[Path], *more: str) -> list[str]:
        return [
            *(sys.executable, "-m", "unmask", "scan", *map(str, sources)),
            *("--model", self.model, "--out", str(out), "--format", "jsonl", *more),
        ]

    def run(self, command: Sequence[str], stop: Callable[[], bool] | None = None) -> dict[str, Any]:
        """Run to the end, or send SIGINT once `stop` says so."""
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        with Sampler(process.pid) as memory:
            while stop is not None and process.poll() is None:
                if stop():
                    process.send_signal(signal.SIGINT)
                    break
                time.sleep(0.05)
            _, said = process.communicate()
        return {
            "exit_code": process.returncode,
            "seconds": time.perf_counter() - started,
            "memory_mib": memory.summary(),
            # without the command to continue with, which names folders of this machine
            "last_line": said.strip().splitlines()[-1].partition(" Continue with")[0],
        }

    def whole(self, name: str, sources: Sequence[Path], expected: Sequence[str]) -> dict[str, Any]:
        out = self.root / f"{name}.jsonl"
        ran = self.run(self.command(out, sources))
        return ran | counted(out, expected)

    def interrupted(
        self,
        name: str,
        sources: Sequence[Path],
        expected: Sequence[str],
        stop: Callable[[Path], bool],
    ) -> dict[str, Any]:
        """Interrupt, look, resume, look again: what was done before must still be there as it was.

        Every result states the seconds it took, so a line that is the same byte for byte was not
        made again.
        """
        out = self.root / f"{name}.jsonl"
        first = self.run(self.command(out, sources), lambda: stop(out))
        before = out.read_bytes().splitlines()
        second = self.run(self.command(out, sources, "--resume"))
        after_resuming = Counter(out.read_bytes().splitlines())
        done = counted(out, expected)
        kept = sum(after_resuming[line] == 1 for line in before)
        return {
            "interrupted": first | {"results": len(before)},
            "resumed": second,
            "kept_unchanged": kept,
            **done,
            "exactly_one_each": done["exactly_one_each"]
            and kept == len(before)
            and first["exit_code"] == INTERRUPTED
            and len(before) < len(expected),
        }


def after(seconds: float) -> Callable[[Path], bool]:
    """Says yes once that time has passed since it was first asked."""
    asked: list[float] = []

    def stop(_: Path) -> bool:
        asked.append(time.perf_counter())
        return asked[-1] - asked[0] >= seconds

    return stop


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def counted(out: Path, expected: Sequence[str]) -> dict[str, Any]:
    """What a results file holds, and whether each input is in it exactly once."""
    results = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    paths = Counter(result["input"]["path"] for result in results)
    return {
        "results": len(results),
        "statuses": Counter(result["status"] for result in results),
        "faces_scored": sum(result["coverage"]["faces_scored"] for result in results),
        "exactly_one_each": paths == Counter(expected),
    }


if __name__ == "__main__":
    main()
