"""Box arithmetic against counting pixels and against the plainest suppression."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.faces import boxes as bx


def painted(box: np.ndarray) -> np.ndarray:
    canvas = np.zeros((40, 40), bool)
    x0, y0, x1, y1 = box.astype(int)
    canvas[y0:y1, x0:x1] = True
    return canvas


def some_boxes(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 25, (count, 2))
    return np.concatenate([corner, corner + rng.integers(1, 15, (count, 2))], axis=1).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_overlap_counts_pixels(seed: int) -> None:
    one, many = some_boxes(seed, 1)[0], some_boxes(seed + 100, 20)
    shared = np.array([(painted(one) & painted(b)).sum() for b in many])
    union = np.array([(painted(one) | painted(b)).sum() for b in many])
    smaller = np.array([min(painted(one).sum(), painted(b).sum()) for b in many])
    np.testing.assert_allclose(bx.overlap(one, many, over="union"), shared / union)
    np.testing.assert_allclose(bx.overlap(one, many, over="smaller"), shared / smaller)


def test_an_empty_box_overlaps_nothing() -> None:
    empty, full = np.array([5.0, 5.0, 5.0, 9.0]), np.array([[0.0, 0.0, 10.0, 10.0]])
    assert bx.overlap(empty, full, over="smaller").tolist() == [0.0]
    assert bx.areas(np.array([[9.0, 0.0, 3.0, 4.0]])).tolist() == [0.0]


@pytest.mark.parametrize("over", ["union", "smaller"])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [30, 3 * bx.BLOCK + 5])
def test_suppression_is_the_greedy_one(seed: int, over: str, count: int) -> None:
    boxes = some_boxes(seed, count)
    scores = np.random.default_rng(seed).integers(0, count, count) / count  # some are alike
    expected: list[int] = []
    for i in sorted(range(count), key=lambda i: -scores[i]):
        if all(bx.overlap(boxes[i], boxes[k][None], over=over)[0] <= 0.3 for k in expected):
            expected.append(i)
    assert bx.suppress(boxes, scores, 0.3, over=over).tolist() == expected


def test_suppression_of_nothing_is_nothing() -> None:
    assert bx.suppress(np.zeros((0, 4)), np.zeros(0), 0.5).shape == (0,)


def test_squares_keep_the_centre_and_the_longer_side() -> None:
    np.testing.assert_allclose(
        bx.squared(np.array([[0.0, 0.0, 10.0, 20.0], [4.0, 4.0, 10.0, 6.0]])),
        [[-5.0, 0.0, 15.0, 20.0], [4.0, 2.0, 10.0, 8.0]],
    )


def test_offsets_are_in_units_of_the_box() -> None:
    moved = bx.regressed(np.array([[10.0, 20.0, 20.0, 60.0]]), np.array([[0.1, 0.5, -0.2, 0.0]]))
    np.testing.assert_allclose(moved, [[11.0, 40.0, 18.0, 60.0]])
