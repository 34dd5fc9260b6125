"""How fast the default model is on a laptop's terms, with torch, with OpenVINO, and in bfloat16.

    python benchmarks/realtime.py PICTURES [--model MODEL]

- Stills: faces per second of a scan of PICTURES (a folder), decoding included.
- Video: seconds of a 720p clip (H.264, 30 frames a second, made of an example) per second of its
  scan, which looks at 4 frames of each of its seconds.
- Both with `--device cpu` and with `--device openvino`, in turn, and how far the scores are apart.
- The first `--compared` stills in bfloat16 too: what that would gain, and how far its scores are
  from float32's. A processor without bfloat16 instructions makes it far slower.

Exits with 1 where a goal is missed with OpenVINO: it is what a bulk scan on a processor is meant to
use. What torch alone reaches stands beside it.
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
DEVICES = ("cpu", "openvino")
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

    def made(device: str, precision: str = "float32") -> Detector:
        return Detector.from_pretrained(
            given.model, device=device, max_frames=frames, precision=precision
        )

    detectors = {device: made(device) for device in DEVICES}
    paths = stills(given.pictures, given.limit)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "720p.mp4"
        clip.write_bytes(clip_720p(EXAMPLE))
        with DecodePool(backend.default_jobs(), max_frames=frames) as pool:
            results = measure(detectors, paths, str(clip), pool, given.rounds)
            few = {"float32": detectors["cpu"], "bfloat16": made("cpu", "bfloat16")}
            results["bfloat16"] = compare(few, paths[: given.compared], pool)
    met = {
        device: {
            "stills": results[device]["faces_per_second"]["median"] >= FACES_PER_S,
            "video": results[device]["times_real_time"]["median"] >= REAL_TIME,
        }
        for device in DEVICES
    }
    met["openvino"]["same_scores"] = results["score_difference"]["most"] < MOST_DIFFERENCE
    card = detectors["cpu"].card
    told = {"model": card.name, "weights_sha256": card.weights_sha256, **results, "met": met}
    record.write(given.out, told)
    return 0 if all(met["openvino"].values()) else 1


def measure(
    detectors: Mapping[str, Detector],
    paths: Sequence[str],
    clip: str,
    pool: DecodePool,
    rounds: int,
) -> dict[str, Any]:
    """Both scans `rounds` times with every detector in turn, after one of each that does not count.

    Returns:
        By detector how fast it is, and how far the scores of the stills are apart.
    """
    first = {name: scanned(one, paths, pool) for name, one in detectors.items()}
    of_clip, *_ = [scanned(one, [clip], pool)[0] for one in detectors.values()]
    faces = sum(result.coverage.faces_scored for result in first["cpu"])
    per_still: dict[str, list[float]] = {name: [] for name in detectors}
    per_clip: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(rounds):
        for name, one in detectors.items():
            per_still[name].append(seconds(lambda one=one: scanned(one, paths, pool)))  # type: ignore[misc]  # a default binds
            per_clip[name].append(seconds(lambda one=one: scanned(one, [clip], pool)))  # type: ignore[misc]
    return {
        "pictures": len(paths),
        "faces": faces,
        "clip": {
            "seconds": CLIP_S,
            "frames_looked_at": of_clip.coverage.frames_read,
            "size": [WIDTH, HEIGHT],
        },
        **{
            name: {
                "faces_per_second": spread([faces / taken for taken in per_still[name]]),
                "times_real_time": spread([CLIP_S / taken for taken in per_clip[name]]),
            }
            for name in detectors
        },
        "score_difference": apart(first["cpu"], first["openvino"]),
    }


def compare(
    detectors: Mapping[str, Detector], paths: Sequence[str], pool: DecodePool
) -> dict[str, Any]:
    """Times and scores of bfloat16 against float32's."""
    found = {name: scanned(one, paths, pool) for name, one in detectors.items()}
    times = {name: seconds(lambda one=one: scanned(one, paths, pool))  # type: ignore[misc]
             for name, one in detectors.items()}  # fmt: skip
    return {
        "pictures": len(paths),
        "time_ratio": times["bfloat16"] / times["float32"],
        "score_difference": apart(*found.values()),
        "goal": MOST_DIFFERENCE,
    }


def apart(some: Sequence[Result], others: Sequence[Result]) -> dict[str, float]:
    """How far the scores of the same inputs are from each other."""
    found: list[NDArray[np.float64]] = [
        np.array([result.score for result in results], float) for results in (some, others)
    ]
    difference = np.abs(found[0] - found[1])
    return {"most": float(difference.max()), "mean": float(difference.mean())}


if __name__ == "__main__":
    sys.exit(main())
