"""Pictures per second of every perturbation on one core, beside one JPEG encoding and decoding."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image
from record import ROOT, Record, arguments, spread

from unmask.transforms.levels import PERTURBATIONS, perturb
from unmask.transforms.perturb import jpeg

PICTURE = ROOT / "tests" / "data" / "london_024_03.jpg"
SIDE = 256
REFERENCE = "jpeg, quality 75"


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--level", type=int, default=3)
    given = parser.parse_args()
    record = Record(seed=0)
    cv2.setNumThreads(1)
    image = np.asarray(Image.open(PICTURE).convert("RGB"))[64 : 64 + SIDE, 64 : 64 + SIDE]
    taken = compare(np.ascontiguousarray(image), given)
    reference = taken.pop(REFERENCE)
    record.write(
        given.out,
        {
            "side": SIDE,
            "level": given.level,
            "what": "one picture through perturb(name, level, seed=0), OpenCV on one thread; "
            "h264 and h265 encode and decode a clip of five frames for each picture",
            REFERENCE: {"images_per_second": spread([1 / s for s in reference])},
            "perturbations": {
                name: {
                    "parameters": dict(PERTURBATIONS[name].levels[given.level - 1]),
                    "images_per_second": spread([1 / s for s in seconds]),
                    "times_the_reference": spread(
                        [s / r for s, r in zip(seconds, reference, strict=True)]
                    ),
                }
                for name, seconds in taken.items()
            },
        },
    )


def compare(image: np.ndarray, given: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds per picture, all in turn, so that a busy machine slows all alike."""
    steps: dict[str, Callable[[np.ndarray], object]] = {REFERENCE: lambda i: jpeg(i, 75)}
    steps.update({name: perturb(name, given.level, seed=0) for name in PERTURBATIONS})
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step(image)  # loads codecs, caches kernels
    for _ in range(given.repeats):
        for name, step in steps.items():
            taken[name].append(seconds(step, image, 2 if name in ("h264", "h265") else 20))
    return taken


def seconds(step: Callable[[np.ndarray], object], image: np.ndarray, times: int) -> float:
    """Per call."""
    started = time.perf_counter()
    for _ in range(times):
        step(image)
    return (time.perf_counter() - started) / times


if __name__ == "__main__":
    main()
