"""A tiny index: variations of the four test pictures, as if they were many people."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest

PICTURES = sorted((Path(__file__).parent.parent / "data").glob("*.jpg"))
TRAIN, VAL, FAKES = 8, 22, 6
FOLDER = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(
    path
    for path in FOLDER.rglob("*.yaml")
    if path.relative_to(FOLDER).parts[0] != "lae"  # of another kind, see tests/training/lae
)


def vary(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Another size, crop and brightness, with a little noise."""
    side = int(rng.integers(200, 240))
    scale = side / min(image.shape[:2])
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    noisy = image * rng.uniform(0.8, 1.1) + rng.normal(0, 2, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV of 8 training and 22 validation reals, and 6 fakes of the generator `blurrer`."""
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    originals = [cv2.imread(str(path)) for path in PICTURES]
    rows = []
    plan = [("train", 0)] * TRAIN + [("val", 0)] * VAL + [("train", 1), ("val", 1)] * (FAKES // 2)
    for number, (split, label) in enumerate(plan):
        picture = vary(originals[number % len(originals)], rng)
        if label:
            picture = cv2.GaussianBlur(picture, (0, 0), 1.5)
        path = root / f"{number:03}.png"
        cv2.imwrite(str(path), picture)
        rows.append([path.name, label, "blurred" if label else "tests", "blurrer" * label, split])
    with (root / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "source", "generator", "split"])
        writer.writerows(rows)
    return root / "index.csv"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where runs go; their face crops are shared."""
    return tmp_path_factory.mktemp("runs")
