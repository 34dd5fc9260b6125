"""The distance of features from two classes: against the full Mahalanobis distance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from unmask.errors import ShapeError
from unmask.metrics.features import RANK, WITHIN, feature_distance, feature_parameters

WIDTH = 24
Floats = NDArray[np.float64]


def classes(seed: int = 0) -> tuple[Floats, Floats]:
    """Reals and fakes: two means, one covariance of `RANK` strong directions."""
    draw = np.random.default_rng(seed)
    axes = np.linalg.qr(draw.normal(size=(WIDTH, WIDTH)))[0]
    spread = np.r_[np.linspace(3, 1, RANK), np.full(WIDTH - RANK, 0.1)]
    noise = draw.normal(size=(3000, WIDTH)) * spread @ axes.T
    return noise[:1000], noise[1000:] + 5 * axes[0]


def people(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def parameters(real: Floats, fake: Floats) -> dict[str, object]:
    return feature_parameters(real, fake, people(len(real)), people(len(fake)))


def without_limit(found: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in found.items() if name != "limit"}


def test_it_is_the_mahalanobis_distance_to_the_nearer_mean() -> None:
    real, fake = classes()
    found = parameters(real, fake)
    asked = np.random.default_rng(1).normal(size=(50, WIDTH))
    covariance = (np.cov(real, rowvar=False) + np.cov(fake, rowvar=False)) / 2
    inverse = np.linalg.inv(covariance)
    means = [real.mean(0), fake.mean(0)]
    full = [np.sqrt([(x - m) @ inverse @ (x - m) / WIDTH for x in asked]) for m in means]
    measured = feature_distance(asked, **without_limit(found))  # type: ignore[arg-type]
    # the directions beyond the kept ones have one variance here, but for chance
    np.testing.assert_allclose(measured, np.min(full, axis=0), rtol=0.06)


def test_nearly_all_of_both_classes_lie_within_and_others_do_not() -> None:
    real, fake = classes()
    found = parameters(real, fake)
    for known in (real, fake):
        within = feature_distance(known, **without_limit(found)) <= found["limit"]  # type: ignore[arg-type]
        assert within.mean() >= WITHIN - 1e-3
    far = real + 4 * np.random.default_rng(2).normal(size=WIDTH)
    assert (feature_distance(far, **without_limit(found)) > found["limit"]).all()  # type: ignore[arg-type]


def test_features_that_are_all_alike_have_a_finite_distance() -> None:
    same = np.ones((5, 4))
    found = parameters(same, same)
    assert np.isfinite(feature_distance(same + 1, **without_limit(found))).all()  # type: ignore[arg-type]
    assert found["limit"] == 0


def test_the_limit_is_of_people_that_were_not_fitted_on() -> None:
    """Of few people in many directions, those that were fitted on lie nearer than others."""
    draw = np.random.default_rng(3)
    repeated = [np.repeat(draw.normal(size=(30, WIDTH)), 8, axis=0) for _ in range(2)]
    whose = [name for name in people(30) for _ in range(8)]
    found = feature_parameters(*repeated, whose, whose)
    others = feature_distance(draw.normal(size=(3000, WIDTH)), **without_limit(found))  # type: ignore[arg-type]
    fitted = feature_distance(repeated[0], **without_limit(found))  # type: ignore[arg-type]
    assert (others > fitted.max()).mean() > 0.1
    assert (others > found["limit"]).mean() < 0.05


@pytest.mark.parametrize(("real", "fake"), [((5, 4), (5, 3)), ((1, 4), (5, 4)), ((5,), (5, 4))])
def test_other_shapes_are_refused(real: tuple[int, ...], fake: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="of people in both halves"):
        parameters(np.zeros(real), np.zeros(fake))
