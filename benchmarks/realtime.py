"""How fast the default model is on a laptop's terms, and what bfloat16 would change.

    python benchmarks/realtime.py PICTURES [--model MODEL]

- Stills: faces per second of a scan of PICTURES (a folder), decoding included.
- Video: seconds of a 720p clip (H.264, 30 frames a second, made of an example) per second of its
  scan, which looks at 4 frames of each of its seconds.
- The first `--compared` stills in both float32 and bfloat16, in turn: what that would gain, and how
  far its scores are from float32's. A processor without bfloat16 instructions makes it far slower.

Exits with 1 where the default settings, which are float32, miss a goal.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pipeline import seconds, stills
from record import ROOT, Record, arguments, spread

from unmask.apps.cli import backend
from unmask.inference.detector import Detector
from unmask.media import DecodePool
from unmask.results import Result
from unmask.scan.local import Plan, scan

EXAMPLE = ROOT / "examples" / "real_london_1.jpg"
CLIP_S, RATE, SAMPLED = 8, 30, 4
WIDTH, HEIGHT = 1280, 720
FACES_PER_S = 25
REAL_TIME = 1.0
MOST_DIFFERENCE = 0.01


def clip_720p(portrait: Path) -> bytes:
    """A portrait that drifts over a grey background."""
    image = Image.open(portrait).convert("RGB").resize((HEIGHT, HEIGHT))
    out = io.BytesIO()
    with av.open(out, "w", "mp4") as target:
        stream = target.add_stream("libx264", rate=RATE, options={"preset": "fast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(CLIP_S * RATE):
            canvas = Image.new("RGB", (WIDTH, HEIGHT), (128, 128, 128))
            canvas.paste(image, (number * (WIDTH - HEIGHT) // (CLIP_S * RATE), 0))
            target.mux(stream.encode(av.VideoFrame.from_image(canvas)))
        target.mux(stream.encode())
    return out.getvalue()


def scanned(detector: Detector, paths: Sequence[str], pool: DecodePool) -> list[Result]:
    """The results of a scan, all scored."""
    results = [outcome.result for outcome in scan(Plan(paths), detector, pool.map)]
    for result in results:
        if result.status != "scored":
            raise SystemExit(f"{result.input.path}: {result.message}")
    return results


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("pictures", type=Path, help="folder of stills with faces")
    parser.add_argument("--model", default=backend.DEFAULT_MODEL)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compared", type=int, default=16, help="stills scanned in bfloat16 too")
    given = parser.parse_args()
    record = Record()
    frames = CLIP_S * SAMPLED
    detectors = {
        precision: Detector.from_pretrained(
            given.model, device="cpu", max_frames=frames, precision=precision
        )
        for precision in ("float32", "bfloat16")
    }
    paths = stills(given.pictures, given.limit)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "720p.mp4"
        clip.write_bytes(clip_720p(EXAMPLE))
        with DecodePool(backend.default_jobs(), max_frames=frames) as pool:
            results = measure(detectors["float32"], paths, str(clip), pool, given.rounds)
            results["bfloat16"] = compare(detectors, paths[: given.compared], pool)
    met = {
        "stills": results["faces_per_second"]["median"] >= FACES_PER_S,
        "video": results["times_real_time"]["median"] >= REAL_TIME,
    }
    card = detectors["float32"].card
    told = {"model": card.name, "weights_sha256": card.weights_sha256, **results, "met": met}
    record.write(given.out, told)
    return 0 if all(met.values()) else 1


def measure(
    detector: Detector, paths: Sequence[str], clip: str, pool: DecodePool, rounds: int
) -> dict[str, Any]:
    """Both scans `rounds` times, after one of each that does not count."""
    stills_found = scanned(detector, paths, pool)
    (of_clip,) = scanned(detector, [clip], pool)
    faces = sum(result.coverage.faces_scored for result in stills_found)
    per_still, per_clip = [], []
    for _ in range(rounds):
        per_still.append(seconds(lambda: scanned(detector, paths, pool)))
        per_clip.append(seconds(lambda: scanned(detector, [clip], pool)))
    return {
        "pictures": len(paths),
        "faces": faces,
        "clip": {
            "seconds": CLIP_S,
            "frames_looked_at": of_clip.coverage.frames_read,
            "size": [WIDTH, HEIGHT],
        },
        "faces_per_second": spread([faces / taken for taken in per_still]),
        "times_real_time": spread([CLIP_S / taken for taken in per_clip]),
    }


def compare(
    detectors: Mapping[str, Detector], paths: Sequence[str], pool: DecodePool
) -> dict[str, Any]:
    """Times and scores of bfloat16 against float32's."""
    scores: dict[str, NDArray[np.float64]] = {}
    times = {}
    for name, detector in detectors.items():
        found = scanned(detector, paths, pool)
        scores[name] = np.array([result.score for result in found], float)
        times[name] = seconds(lambda detector=detector: scanned(detector, paths, pool))  # type: ignore[misc]  # a default binds
    difference = np.abs(scores["float32"] - scores["bfloat16"])
    return {
        "pictures": len(paths),
        "time_ratio": times["bfloat16"] / times["float32"],
        "score_difference": {"most": float(difference.max()), "mean": float(difference.mean())},
        "goal": MOST_DIFFERENCE,
    }


if __name__ == "__main__":
    sys.exit(main())
