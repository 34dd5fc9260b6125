"""Small pictures to paint on."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.data.annotation.pictures import Picture
from unmask.data.index import INDEX_FILE, index_of, write_index

WIDTH, HEIGHT = 12, 8


def paint(path: Path, seed: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> list[Picture]:
    """a/0.png, a/1.png, b/0.png and b/2.png of 12x8 pixels, without labels."""
    names = ("a/0.png", "a/1.png", "b/0.png", "b/2.png")
    return [Picture(n, paint(tmp_path / "in" / n, i)) for i, n in enumerate(names)]


@pytest.fixture
def square() -> np.ndarray:
    """A mask of that size."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[2:5, 3:9] = True
    return mask


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """An index: fakes 0, 1, 2 (train; 2 without mask), 3 (val), a real 4 (train)."""
    root = tmp_path / "set"
    rows = []
    for i, (label, split) in enumerate([(1, "train")] * 3 + [(1, "val"), (0, "train")]):
        paint(root / f"{i}.png", 10 + i)
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[i : i + 3, 2:6] = 255
        if label and i != 2:
            (root / "masks").mkdir(exist_ok=True)
            cv2.imwrite(str(root / "masks" / f"{i}.png"), mask)
        rows.append(
            {
                "video_id": f"set/x/raw/{i}", "frame": 0, "path": f"{i}.png", "label": label,
                "dataset": "set", "manipulation": "swap" * label, "source": "s",
                "identities": [f"p{i}"], "split": split,
                "mask_path": f"masks/{i}.png" if label and i != 2 else None,
            }
        )  # fmt: skip
    write_index(index_of(root, rows), root / INDEX_FILE)
    return root / INDEX_FILE
