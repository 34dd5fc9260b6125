"""How fast the default model is on a laptop's terms, and what bfloat16 would change.

    python benchmarks/realtime.py PICTURES [--model MODEL]

- Stills: faces per second of a scan of PICTURES (a folder), decoding included.
- Video: seconds of a 720p clip (H.264, 30 frames a second, made of an example) per second of its
  scan, which looks at 4 frames of each of its seconds.
- The same scans with the network in bfloat16, in turn, and how far its scores are from float32's.

Exits with 1 where the default settings miss a goal.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
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
            results = measure(detectors, paths, str(clip), pool, given.rounds)
    default = results["float32"]
    met = {
        "stills": default["faces_per_second"]["median"] >= FACES_PER_S,
        "video": default["times_real_time"]["median"] >= REAL_TIME,
        "bfloat16_scores": results["bfloat16_score_difference"]["most"] < MOST_DIFFERENCE,
    }
    card = detectors["float32"].card
    told = {"model": card.name, "weights_sha256": card.weights_sha256, **results, "met": met}
    record.write(given.out, told)
    return 0 if met["stills"] and met["video"] else 1


def measure(
    detectors: dict[str, Detector],
    paths: Sequence[str],
    clip: str,
    pool: DecodePool,
    rounds: int,
) -> dict[str, Any]:
    """Both scans with each precision, in turn, after one of each that does not count."""
    first = {name: scanned(one, [*paths, clip], pool) for name, one in detectors.items()}
    faces = sum(result.coverage.faces_scored for result in first["float32"][:-1])
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in detectors}
    for turn in range(rounds):
        for name in list(detectors)[:: 1 if turn % 2 == 0 else -1]:
            one = detectors[name]
            of_stills = seconds(lambda one=one: scanned(one, paths, pool))  # type: ignore[misc]  # defaults bind
            of_clip = seconds(lambda one=one: scanned(one, [clip], pool))  # type: ignore[misc]
            taken[name].append((of_stills, of_clip))
    scores = {
        name: np.array([result.score for result in found], float) for name, found in first.items()
    }
    difference = np.abs(scores["float32"] - scores["bfloat16"])
    return {
        "pictures": len(paths),
        "faces": faces,
        "clip": {"seconds": CLIP_S, "frames_looked_at": first["float32"][-1].coverage.frames_read,
                 "size": [WIDTH, HEIGHT]},
        **{
            name: {
                "faces_per_second": spread([faces / a for a, _ in times]),
                "times_real_time": spread([CLIP_S / b for _, b in times]),
            }
            for name, times in taken.items()
        },
        "bfloat16_score_difference": {
            "most": float(difference.max()),
            "mean": float(difference.mean()),
        },
        "bfloat16_time_ratio": spread(
            [b[0] / a[0] for a, b in zip(taken["float32"], taken["bfloat16"], strict=True)]
        ),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
