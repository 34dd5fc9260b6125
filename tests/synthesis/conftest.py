"""A textured face-sized picture with landmarks where a face's would be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from unmask.faces import FIVE_POINTS
from unmask.synthesis.families import Forgery, Subject, forge
from unmask.synthesis.shape import Points, dense_landmarks
from unmask.types import UInt8Image

Sample = Callable[..., tuple[UInt8Image, Points]]


def five_points(side: int) -> NDArray[np.float64]:
    """MTCNN's five points of a face that fills 1 / 1.3 of a square picture."""
    return (FIVE_POINTS / 1.3 + 0.15 / 1.3) * side


@pytest.fixture(scope="session")
def sample() -> Sample:
    """(side, seed) -> picture and (189, 2) landmarks."""

    def make(side: int = 160, seed: int = 0) -> tuple[UInt8Image, Points]:
        rng = np.random.default_rng(seed)
        colours = gaussian_filter(rng.normal(size=(side, side, 3)), (side / 16, side / 16, 0))
        detail = gaussian_filter(rng.normal(size=(side, side, 1)), (1.2, 1.2, 0))
        image = 128 + colours / colours.std() * 35 + detail / detail.std() * 12
        return np.clip(image, 0, 255).astype(np.uint8), dense_landmarks(five_points(side))

    return make


def _subject(side: int = 160, seed: int = 0) -> Subject:
    """A textured picture with a face's landmarks, each person's a little different."""
    rng = np.random.default_rng([9, seed])
    colours = gaussian_filter(rng.normal(size=(side, side, 3)), (side / 16, side / 16, 0))
    detail = gaussian_filter(rng.normal(size=(side, side, 1)), (1.2, 1.2, 0))
    image = 128 + colours / colours.std() * 35 + detail / detail.std() * 12
    points = dense_landmarks(five_points(side) + rng.normal(0, side / 200, (5, 2)))
    return Subject(np.clip(image, 0, 255).astype(np.uint8), points, f"person {seed}")


@pytest.fixture(scope="session")
def subject() -> Callable[..., Subject]:
    """(side, seed) -> a person."""
    return _subject


@pytest.fixture(scope="session")
def made() -> Callable[..., tuple[Subject, Forgery]]:
    """(family, seed, side, fields to change) -> the target and its forgery; one other donor."""

    def make(name: str, seed: int, side: int = 160, **changed: Any) -> tuple[Subject, Forgery]:
        target = replace(_subject(side), **changed)
        donors = [target, _subject(max(side, 40), 1)]
        return target, forge(name, target, np.random.default_rng(seed), donors)

    return make
