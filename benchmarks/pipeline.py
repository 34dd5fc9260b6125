"""End-to-end throughput of a scan beside the detector and the bare forward pass, in one run.

    python benchmarks/pipeline.py PICTURES [--clip CLIP] [--model MODEL]

End to end is what `unmask scan` does between reading its command line and printing: worker
processes decode, this one finds faces, crops, scores and assembles results. The bare work is one
upright pass of the face detector over each picture, already decoded, and one forward pass over the
same faces, already tensors, in the same batches. The search is `find_faces` instead of the bare
detector: it looks again, turned and padded, where no face is certain. All are repeated in turn.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from record import Record, arguments, spread

from unmask.apps.cli import backend
from unmask.errors import MediaError
from unmask.faces import FaceDetector, MTCNNDetector, find_faces
from unmask.inference.detector import BATCH, Detector
from unmask.inference.faces import find_in_frames
from unmask.inference.settings import locate_weights
from unmask.media import SUPPORTED_SUFFIXES, DecodePool, Media, decode
from unmask.media.formats import IMAGE_FORMATS
from unmask.models.checkpoint import load_checkpoint
from unmask.models.efficientnet_lite import fold_norms
from unmask.scan.local import Plan, scan
from unmask.transforms.preprocess import to_tensors, to_views

GOAL = 0.8
Batch = dict[str, torch.Tensor]
STAGES = {
    "wait for decoding": ("pool.py", "_collect"),
    "faces: search": ("detect.py", "find_faces"),
    "faces: MTCNN": ("mtcnn.py", "detect"),
    "faces: crop": ("align.py", "crop_face"),
    "faces: quality, within crop": ("quality.py", "assess"),
    "views": ("preprocess.py", "to_views"),
    "tensors": ("preprocess.py", "to_tensors"),
    "network": ("checkpoint.py", "predict"),
    "band energies": ("dct.py", "log_bands"),
    "result": ("verdict.py", "assemble"),
}
"""What to show of the profile: (file, function) by the name of the stage. Some lie in others."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("pictures", type=Path, help="folder of stills with faces")
    parser.add_argument("--clip", type=Path)
    parser.add_argument("--clip-copies", type=int, default=8, help="clips in the archive")
    parser.add_argument("--model", default=backend.DEFAULT_MODEL)
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    record = Record()
    bench = Bench.load(given.model)
    jobs = backend.default_jobs()
    with DecodePool(jobs, max_frames=bench.detector.max_frames) as pool:
        paths = stills(given.pictures, given.limit)
        results = {"stills": bench.compare(paths, pool, given.rounds, "pictures")}
        results["stills"]["stages"] = profile(bench, paths, pool)
        if given.clip:
            clips = [str(given.clip)] * given.clip_copies
            results["clips"] = bench.compare(clips, pool, given.rounds, "frames")
            results["clips"]["stages"] = profile(bench, clips, pool)
    ratio = results["stills"]["throughput_ratio_to_bare"]["median"]
    record.write(
        given.out,
        {
            "model": bench.detector.model,
            "weights_sha256": bench.detector.weights_sha256,
            "device": bench.detector.device,
            "decoding_processes": jobs,
            **results,
            "goal_ratio": GOAL,
            "goal_met": ratio >= GOAL,
        },
    )


def stills(folder: Path, limit: int) -> list[str]:
    """The first `limit` pictures of a folder that hold a face."""
    detector, found = MTCNNDetector(), []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in SUPPORTED_SUFFIXES):
        if len(found) == limit:
            break
        if path.suffix.lower() not in {f".{name}" for name in (*IMAGE_FORMATS, "jpg", "heif")}:
            continue
        try:
            frame = decode(path).frames[0]
        except MediaError as error:
            print(f"left out {path.name}: {error.message}", file=sys.stderr)
            continue
        if find_faces(frame, detector):
            found.append(str(path))
    return found


@dataclass(frozen=True)
class Bench:
    """A detector, and its two networks by themselves."""

    detector: Detector
    network: torch.nn.Module
    faces: FaceDetector

    @classmethod
    def load(cls, model: str) -> Bench:
        network, _ = load_checkpoint(locate_weights(model))
        network = network.to(memory_format=torch.channels_last)
        fold_norms(network)  # as in a scan
        return cls(Detector.from_pretrained(model, device="cpu"), network, MTCNNDetector())

    def compare(
        self, paths: Sequence[str], pool: DecodePool, rounds: int, unit: str
    ) -> dict[str, Any]:
        """Time the ways through `paths` in turn, `rounds` times."""
        distinct = {path: decode(path, max_frames=self.detector.max_frames) for path in set(paths)}
        media = [distinct[path] for path in paths]
        frames = [frame for item in media for frame in item.frames]
        batches = self.batches(media)
        ways: dict[str, Callable[[], object]] = {
            "end_to_end": lambda: self.end_to_end(paths, pool),
            "detector": lambda: [self.faces.detect(frame.image) for frame in frames],
            "search": lambda: [self.search(item) for item in media],
            "forward": lambda: self.forward(batches),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            way()
        for turn in range(rounds):
            for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
                taken[name].append(seconds(ways[name]))
        per_second = {name: [len(frames) / s for s in values] for name, values in taken.items()}
        whole, forward = taken["end_to_end"], taken["forward"]
        return {
            unit: len(frames),
            "faces": sum(len(batch["rgb"]) for batch in batches),
            f"{unit}_per_second": {name: spread(values) for name, values in per_second.items()},
            "throughput_ratio_to_bare": spread(ratios(taken["detector"], forward, whole)),
            "throughput_ratio_to_search_and_forward": spread(
                ratios(taken["search"], forward, whole)
            ),
        }

    def batches(self, media: Sequence[Media]) -> list[Batch]:
        """The network's inputs for all faces of `media`, made in advance."""
        spec, settings = self.detector.card.input, self.detector.settings
        crops = [
            crop
            for item in media
            for crop in find_in_frames(item.frames, self.faces, settings).crops
        ]
        views = [to_views(crop.image, spec) for crop in crops]
        made = [to_tensors(views[i : i + BATCH], spec) for i in range(0, len(views), BATCH)]
        return [
            batch | {"rgb": batch["rgb"].contiguous(memory_format=torch.channels_last)}
            for batch in made
        ]

    def end_to_end(self, paths: Sequence[str], pool: DecodePool) -> None:
        for outcome in scan(Plan(paths), self.detector, pool.map):
            if outcome.result.status != "scored":
                raise SystemExit(f"{outcome.result.input.path}: {outcome.result.message}")

    def search(self, media: Media) -> None:
        """As in a scan, which tries turned and padded views of stills only."""
        for frame in media.frames:
            find_faces(frame, self.faces, thorough=len(media.frames) == 1)

    @torch.inference_mode()
    def forward(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            self.network(**batch)


def ratios(first: Sequence[float], second: Sequence[float], whole: Sequence[float]) -> list[float]:
    """Throughput of the whole, relative to that of two parts alone, round by round."""
    return [(a + b) / w for a, b, w in zip(first, second, whole, strict=True)]


def profile(bench: Bench, paths: Sequence[str], pool: DecodePool) -> dict[str, Any]:
    """Share of one end-to-end pass that each stage takes in the judging process."""
    profiler = cProfile.Profile()
    started = time.perf_counter()
    profiler.runcall(bench.end_to_end, paths, pool)
    total = time.perf_counter() - started
    table = pstats.Stats(profiler).stats  # type: ignore[attr-defined]  # not in the stubs
    shares = {}
    for stage, (file, function) in STAGES.items():
        spent = [row[3] for (path, _, name), row in table.items()
                 if name == function and Path(path).name == file and "unmask" in path]  # fmt: skip
        shares[stage] = sum(spent) / total
    return {"seconds": total, "share_of_seconds": shares}


def seconds(step: Callable[[], object]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
