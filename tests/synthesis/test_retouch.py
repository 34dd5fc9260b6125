"""Retouching: the two local warps against their closed forms, and what smoothing keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, uniform_filter

from unmask.errors import ConfigError, ShapeError
from unmask.synthesis import retouch as module
from unmask.synthesis.retouch import (
    EYES,
    RETOUCHES,
    STILL,
    WARPS,
    guided,
    push,
    retouch,
    scale_at,
    skin,
    smooth,
    warp,
    whiten,
)


def home(side: int = 80) -> Any:
    y, x = np.mgrid[:side, :side].astype(np.float64)
    return np.stack([x, y], axis=2)


def slopes(field: Any) -> Any:
    """(H, W) determinant of the field's Jacobian: negative where it folds."""
    dy, dx = np.gradient(field, axis=(0, 1))
    return dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]


def test_scaling_magnifies_the_centre_and_ends_at_its_radius() -> None:
    start, centre = home(), np.array([40.0, 38])
    for amount in (0.5, 0.2, -0.4):
        field = scale_at(start, centre, 20.0, amount)
        distance = np.linalg.norm(start - centre, axis=2)
        np.testing.assert_array_equal(field[distance >= 20], start[distance >= 20])
        np.testing.assert_array_equal(field[38, 40], centre)
        # f(r) = (1 - (r/R - 1)^2 a) r, Gustafsson 1993
        expected = (1 - (distance / 20 - 1) ** 2 * amount) * distance
        found = np.linalg.norm(field - centre, axis=2)
        np.testing.assert_allclose(found[distance < 20], expected[distance < 20], atol=1e-9)
        assert slopes(field).min() > 0.2


def test_a_push_moves_its_start_and_never_folds() -> None:
    start, at = home(), np.array([40.0, 40])
    for length in (1.0, 4.0, 12.0):
        to = at + np.array([length, 0])
        field = push(start, at, to, 20.0)
        share = (20 / (20 + length)) ** 2
        np.testing.assert_allclose(field[40, 40], at - (length * share, 0), atol=1e-9)
        beyond = np.linalg.norm(start - at, axis=2) >= 20
        np.testing.assert_array_equal(field[beyond], start[beyond])
        assert slopes(field).min() > 0.3
    np.testing.assert_allclose(push(start, at, at, 20.0), start)
    # a push as long as its radius is the published form
    field = push(start, at, at + np.array([0, 20.0]), 20.0)
    inside = 20.0**2 - ((start - at) ** 2).sum(axis=2)
    published = (np.maximum(inside, 0) / (np.maximum(inside, 0) + 400)) ** 2 * 20
    np.testing.assert_allclose(start[..., 1] - field[..., 1], published, atol=1e-6)


@pytest.mark.parametrize("name", WARPS)
def test_no_warp_folds_the_face(name: str, sample: Any) -> None:
    _, points = sample(256)
    field = WARPS[name](home(256), points, 1.1)
    assert slopes(field).min() > 0.1
    moved = np.abs(field - home(256)).max(axis=2)
    unit = float(np.linalg.norm(points[1] - points[0]))
    assert 0.015 * unit < moved.max() < 0.2 * unit


def test_warps_do_what_they_are_called(sample: Any) -> None:
    _, points = sample(256)
    start = home(256)
    unit = float(np.linalg.norm(points[1] - points[0]))

    def looks_at(name: str, index: int) -> Any:
        """Where the pixel at a landmark takes its colour from, relative to it, in units."""
        x, y = np.rint(points[index]).astype(int)
        return (WARPS[name](start, points, 1.0)[y, x] - start[y, x]) / unit

    assert looks_at("thinner_nose", 62)[0] < -0.02  # the wing's pixel now shows the cheek
    assert looks_at("thinner_nose", 67)[0] > 0.02
    assert looks_at("slimmer_jaw", 126)[0] < -0.02
    assert looks_at("slimmer_jaw", 132)[0] > 0.02
    assert looks_at("fuller_lips", 89)[1] > 0.01  # the upper lip's edge moved up
    assert looks_at("fuller_lips", 106)[1] < -0.01
    assert looks_at("lifted_corners", 87)[1] > 0.01
    # an eye's corner shows what was nearer to the pupil
    assert looks_at("larger_eyes", 18)[0] > 0.01
    assert looks_at("larger_eyes", 27)[0] < -0.01


def test_the_mask_of_a_warp_is_where_pixels_moved(sample: Any) -> None:
    face, points = sample()
    for seed in range(6):
        fake, mask = warp(face, points, np.random.default_rng(seed))
        np.testing.assert_array_equal(fake[~mask], face[~mask])
        assert 0.01 < mask.mean() < 0.6
        assert (fake != face).any(axis=2)[mask].mean() > 0.5
    assert STILL < 0.05


def test_the_guided_filter_is_he_et_al_s() -> None:
    rng = np.random.default_rng(0)
    picture = rng.uniform(0, 255, (40, 50, 3)).astype(np.float32)
    radius, epsilon = 3, 400.0

    def mean(values: Any) -> Any:
        return uniform_filter(values.astype(np.float64), (7, 7, 0), mode="mirror")

    average = mean(picture)
    variance = mean(picture.astype(np.float64) ** 2) - average**2
    slope = variance / (variance + epsilon)
    expected = mean(slope) * picture + mean((1 - slope) * average)
    np.testing.assert_allclose(guided(picture, radius, epsilon), expected, atol=0.05)


def painted(points: Any, side: int, seed: int = 0) -> Any:
    """A face of grainy skin with dark eyes, brows and mouth on a blue ground."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), (60.0, 80, 160))
    inside = module.hull_alpha((side, side), points[list(module.HULLS["face_and_forehead"])])
    picture[inside > 0] = (205, 160, 135)
    for part in (*EYES, module.BROWS[:6], module.BROWS[6:12], module.MOUTH):
        picture[module.hull_alpha((side, side), points[list(part)]) > 0] = (70, 40, 40)
    picture += gaussian_filter(rng.normal(size=(side, side, 1)), (0.8, 0.8, 0)) * 25
    return np.clip(picture, 0, 255).astype(np.uint8), inside > 0


def test_skin_is_the_face_without_its_features(sample: Any) -> None:
    _, points = sample(200)
    face, inside = painted(points, 200)
    # a fringe over the forehead
    face[:75, :, :] = np.where(inside[:75, :, None], 30, face[:75]).astype(np.uint8)
    alpha = skin(face, points)
    assert alpha.dtype == np.float32
    assert 0 <= alpha.min() <= alpha.max() <= 1 + 1e-6
    assert alpha[~inside].max() < 0.1
    x, y = np.rint(points[[44, 49, 165, 168]]).astype(int).T
    assert (alpha[y, x] > 0.8).all()
    x, y = np.rint(points[[0, 1, 96, 84]]).astype(int).T
    assert (alpha[y, x] < 0.3).all()
    assert alpha[:70].max() < 0.1


def test_smoothing_takes_grain_from_skin_only(sample: Any) -> None:
    _, points = sample(200)
    face, inside = painted(points, 200)
    pixels = face.astype(float)
    grain = pixels - gaussian_filter(pixels, (2, 2, 0))
    shares = []
    for seed in range(12):
        fake, mask = smooth(face, points, np.random.default_rng(seed))
        assert mask[~inside].mean() < 0.03
        np.testing.assert_array_equal(fake[~mask], face[~mask])
        left = fake - gaussian_filter(fake.astype(float), (2, 2, 0))
        x, y = np.rint(points[[166, 169]]).astype(int).T
        for cx, cy in zip(x, y, strict=True):
            spot = np.s_[cy - 6 : cy + 7, cx - 6 : cx + 7]
            shares.append(left[spot].std() / grain[spot].std())
        assert abs(float(fake[mask].mean()) - float(face[mask].mean())) < 3
    assert max(shares) < 0.97
    assert np.median(shares) < 0.7


def test_whitening_bleaches_teeth_and_no_lips() -> None:
    face = np.full((40, 60, 3), (190, 90, 90), np.uint8)
    face[15:25, 15:45] = (215, 205, 170)
    outline = np.array([[5.0, 5], [55, 5], [55, 35], [5, 35]])
    fake, mask = whiten(face, outline, 40.0, 0.5)
    teeth, lips = np.s_[17:23, 17:43], np.s_[8:12, 10:50]
    assert fake[teeth].astype(int).min() >= 180
    assert (fake[teeth].max(axis=2) - fake[teeth].min(axis=2)).max() < 40  # was 45
    assert (fake[teeth].astype(int).sum(axis=2) > face[teeth].astype(int).sum(axis=2)).all()
    np.testing.assert_array_equal(fake[lips], face[lips])
    np.testing.assert_array_equal(fake[~mask], face[~mask])
    assert mask[teeth].all()


def test_grey_pictures_stay_grey_and_have_a_mask(sample: Any) -> None:
    _, points = sample(64)
    for kind in RETOUCHES:
        for value in (0, 128, 255):
            grey = np.full((64, 64, 3), value, np.uint8)
            for seed in range(6):
                fake, mask = retouch(grey, points, np.random.default_rng(seed), kind)
                assert mask.any()
                assert not mask.all()
                np.testing.assert_array_equal(fake[~mask], grey[~mask])
                if kind == "warp":
                    np.testing.assert_array_equal(fake, grey)


def test_both_kinds_are_drawn(sample: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    face, points = sample(48)
    drawn: list[str] = []
    for kind in RETOUCHES:
        monkeypatch.setattr(module, kind, lambda *_, kind=kind: drawn.append(kind))
    for seed in range(20):
        retouch(face, points, np.random.default_rng(seed))
    assert 4 <= drawn.count("warp") <= 16
    assert drawn.count("warp") + drawn.count("smooth") == 20


def test_what_cannot_work_is_refused(sample: Any) -> None:
    face, points = sample(64)
    with pytest.raises(ConfigError, match=r"no retouch 'tan'; choose of warp, smooth"):
        retouch(face, points, np.random.default_rng(0), "tan")
    for kind in RETOUCHES:
        with pytest.raises(ShapeError, match="landmarks lie outside the 64 x 64 picture"):
            retouch(face, points + 1000, np.random.default_rng(0), kind)
