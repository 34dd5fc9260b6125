"""The four test pictures and one detector for the whole room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from unmask.faces import MTCNNDetector
from unmask.types import UInt8Image

DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(scope="session")
def detector() -> MTCNNDetector:
    return MTCNNDetector()


@pytest.fixture(scope="session")
def picture() -> Callable[[str], UInt8Image]:
    """Reads a test picture as RGB."""

    def read(name: str) -> UInt8Image:
        image = cv2.imread(str(DATA / name), cv2.IMREAD_COLOR)
        assert image is not None, f"{DATA / name} is missing"
        return np.ascontiguousarray(image[..., ::-1])

    return read
