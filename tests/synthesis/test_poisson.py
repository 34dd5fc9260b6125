"""Poisson blending against the sparse linear system it solves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import spsolve

from unmask.synthesis.poisson import membrane, poisson_blend


def solved(values: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The five-point Laplace equation in `where`, Neumann at the picture's edges."""
    height, width = where.shape
    number = np.full(where.shape, -1)
    number[where] = np.arange(where.sum())
    rows, columns, data = [], [], []
    right = np.zeros((int(where.sum()), values.shape[2]))
    for y, x in np.argwhere(where):
        i = number[y, x]
        rows.append(i), columns.append(i), data.append(4.0)
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            at = min(max(y + dy, 0), height - 1), min(max(x + dx, 0), width - 1)
            if where[at]:
                rows.append(i), columns.append(number[at]), data.append(-1.0)
            else:
                right[i] += values[at]
    out = values.astype(np.float64)
    out[where] = spsolve(coo_matrix((data, (rows, columns))).tocsc(), right).reshape(right.shape)
    return out


def disc(side: int, radius: float, x: float = 0.5, y: float = 0.55) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:side, :side] / side
    return np.asarray((rows - y) ** 2 / 1.3 + (columns - x) ** 2 < radius**2)


def texture(side: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.normal(size=(side, side, 3)), (side / 12, side / 12, 0))
    return (smooth / smooth.std() * 30 + rng.normal(0, 8, smooth.shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("side", "radius", "x"), [(40, 0.3, 0.5), (97, 0.35, 0.5), (120, 0.3, 0.5), (120, 0.3, 0.1)]
)
def test_the_membrane_is_the_harmonic_function(side: int, radius: float, x: float) -> None:
    values, where = texture(side), disc(side, radius, x)
    error = np.abs(membrane(values, where) - solved(values, where))
    assert error[~where].max() == 0
    assert error[where].mean() < 0.8
    assert error[where].max() < 5
    untouched = np.abs(np.where(where[..., None], 0, values) - solved(values, where))
    assert untouched[where].mean() > 5  # the test can fail


def test_linear_functions_are_harmonic() -> None:
    rows, columns = np.mgrid[:64, :80].astype(np.float32)
    plane = np.stack([rows, 2 * columns, rows - columns], axis=2)
    where = np.zeros((64, 80), bool)
    where[10:50, 15:70] = True
    spoiled = plane.copy()
    spoiled[where] = 0
    assert np.abs(membrane(spoiled, where) - plane).max() < 1.0


def test_a_patch_of_other_lightness_vanishes() -> None:
    ground = (texture(96).clip(-60, 60) + 128).astype(np.uint8)
    patch = np.add(ground, (30, -20, 10)).clip(0, 255).astype(np.uint8)
    where = disc(96, 0.3)
    out = poisson_blend(patch, ground, where)
    assert np.abs(out.astype(int) - ground).max() <= 2
    np.testing.assert_array_equal(out[~where], ground[~where])


def test_the_patchs_gradients_stay_and_the_ground_is_kept() -> None:
    ground = np.full((96, 96, 3), 90, np.uint8)
    patch = (texture(96, 3).clip(-60, 60) * 0.5 + 160).astype(np.uint8)
    where = disc(96, 0.35)
    out = poisson_blend(patch, ground, where)
    np.testing.assert_array_equal(out[~where], ground[~where])
    change = out.astype(float) - patch
    assert np.abs(change[disc(96, 0.25)].mean() + 70) < 6
    steps = np.abs(np.diff(change, axis=1))[disc(96, 0.25)[:, 1:]].mean()
    assert steps < 0.2 * np.abs(np.diff(patch.astype(float), axis=1)).mean()


def test_a_limit_keeps_the_seam_from_bleeding() -> None:
    ground = np.full((80, 80, 3), 130, np.uint8)
    ground[:, 60:] = (0, 0, 255)
    patch = np.full_like(ground, 130)
    where = disc(80, 0.35)
    free = poisson_blend(patch, ground, where).astype(int)
    limited = poisson_blend(patch, ground, where, limit=20).astype(int)
    inner = disc(80, 0.2)
    assert np.abs(free - 130)[inner].max() > 40
    assert np.abs(limited - 130)[where].max() <= 21


def test_regions_without_surroundings_or_of_nothing() -> None:
    patch, ground = np.full((12, 10, 3), 40, np.uint8), np.full((12, 10, 3), 200, np.uint8)
    everything = np.ones((12, 10), bool)
    np.testing.assert_array_equal(poisson_blend(patch, ground, everything), patch)
    np.testing.assert_array_equal(poisson_blend(patch, ground, ~everything), ground)
