"""Forgeries per second and core, for every family and every kind of it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from record import Record, arguments, spread

from unmask.errors import ShapeError
from unmask.faces import MTCNNDetector, crop_face, find_faces
from unmask.synthesis.families import SPECS, Subject, forge, variants
from unmask.synthesis.landmarks import best_landmarks
from unmask.types import Frame

GOAL_FAMILY, GOAL = "self_blend", 100.0
PICTURES = Path(__file__).resolve().parent.parent / "tests" / "data"
WARM_UP = 3


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--side", type=int, default=256, help="of the face crops, in pixels")
    parser.add_argument("--repeats", type=int, default=40, help="forgeries of every kind")
    parser.add_argument("--seconds", type=float, default=20.0, help="at most, for every kind")
    parser.add_argument("--family", action="append", help="only these  [all]")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    record = Record(seed=0)
    people = subjects(given.side)
    results = {
        name: measured(name, people, given)
        for family in given.family or SPECS
        for name in (family, *variants(family, SPECS[family]))
    }
    rate = results.get(GOAL_FAMILY, {}).get("images_per_second", {}).get("median")
    record.write(
        given.out,
        {
            "what": "one forgery from a face crop and its landmarks, in memory: no detection, no "
            "decoding, no encoding; one thread",
            "side": given.side,
            "faces": len(people),
            "families": results,
            "goal": {"family": GOAL_FAMILY, "images_per_second": GOAL},
            "goal_met": None if rate is None else rate >= GOAL,
        },
    )


def subjects(side: int) -> list[Subject]:
    """The faces of the test pictures, cropped and resized."""
    detector, found = MTCNNDetector(), []
    for path in sorted(PICTURES.glob("*.jpg")):
        image = np.ascontiguousarray(cv2.imread(str(path))[..., ::-1])
        crop = crop_face(Frame(image), find_faces(Frame(image), detector)[0])
        scale = side / crop.image.shape[0]
        kernel = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        resized = np.asarray(cv2.resize(crop.image, (side, side), interpolation=kernel))
        five = (crop.face.landmarks - np.array(crop.box[:2])) * scale
        found.append(Subject(resized, best_landmarks(resized, five)[0], path.stem))
    return found


def measured(name: str, people: Sequence[Subject], given: argparse.Namespace) -> dict:
    """Rates of single forgeries, over faces and random draws in turn."""
    rates: list[float] = []
    refused = 0
    stop = time.perf_counter() + given.seconds
    for number in range(-WARM_UP, given.repeats):
        target, rng = people[number % len(people)], np.random.default_rng([number + WARM_UP, 7])
        started = time.perf_counter()
        try:
            forge(name, target, rng, people)
        except ShapeError:  # a region drawn outside the picture: counted, not timed
            refused += 1
            continue
        taken = time.perf_counter() - started
        if number >= 0:
            rates.append(1 / taken)
        if rates and time.perf_counter() > stop:
            break
    # the mean time counts for a data set; single rates show how far kinds and draws differ
    mean = len(rates) / sum(1 / rate for rate in rates)
    return {"images_per_second": spread(rates), "mean_images_per_second": mean, "refused": refused}


if __name__ == "__main__":
    main()
