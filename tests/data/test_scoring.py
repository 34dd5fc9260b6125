"""What reals are changed by, for thresholds, controls and heads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unmask.data.scoring import CONTROLS, DAILY, MOVES

FACE = np.array(Image.open(Path(__file__).parent / "london_006_03.jpg").convert("RGB"))[:240, :240]
POINTS = np.zeros((5, 2))


@pytest.mark.parametrize("name", MOVES)
def test_a_change_is_one_that_a_face_survives(name: str) -> None:
    """It does something, the same for the same draws, and the picture stays what it was of."""
    assert FACE.shape == (240, 240, 3)
    before = FACE.copy()
    one, other = (MOVES[name](FACE, POINTS, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(FACE, before)
    assert one.dtype == np.uint8
    if one.shape == FACE.shape:
        assert (one != FACE).any()
        assert np.corrcoef(one.ravel(), FACE.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("worse", "name"),
    [("blurred-more", "blurred"), ("motion-blurred-more", "motion-blurred")],
)
def test_more_of_a_blur_leaves_less_detail(worse: str, name: str) -> None:
    def detail(change: str) -> float:
        changed = MOVES[f"real/{change}"](FACE, POINTS, np.random.default_rng(3))
        return float(np.abs(np.diff(changed.astype(float), axis=0)).mean())

    assert detail(worse) < detail(name)


def test_each_list_holds_the_one_before_it() -> None:
    assert list(MOVES)[: len(DAILY)] == list(DAILY)
    assert list(DAILY)[: len(CONTROLS)] == list(CONTROLS)
