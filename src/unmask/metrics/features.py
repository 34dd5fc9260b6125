"""How unlike everything seen before a face's features are: a distance to the nearer class.

The Mahalanobis distance to the nearest class mean under one covariance (Lee et al. 2018), with the
covariance of a few principal directions and one variance for all others (Moghaddam & Pentland
1997), so that a few numbers describe it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ShapeError

Floats = NDArray[np.float64]

RANK = 8
"""Principal directions that are kept; embeddings trained to form two classes have few."""
WITHIN = 0.995
"""Share of the held-out faces of each class, at least, that lies inside the limit."""
LEAST_VARIANCE = 1e-8
"""Of unit-length embeddings; less is rounding."""


def feature_parameters(
    real: ArrayLike, fake: ArrayLike, real_people: Sequence[str], fake_people: Sequence[str]
) -> dict[str, Any]:
    """Everything in a `models.checkpoint.FeatureDomain`, from held-out reals and fakes.

    Each class weighs the same in the covariance. The limit is the larger of the two classes'
    `WITHIN` quantiles of distances that were taken without their own people: those of one half by
    what was fitted on the other.

    Args:
        real: (N, D) embeddings of reals. fake: (M, D) of fakes.
        real_people: (N,) whose face each is. fake_people: (M,) the same of the fakes.

    Raises:
        ShapeError: not two tables of the same width, or one of fewer than two people.
    """
    classes = [np.asarray(real, np.float64), np.asarray(fake, np.float64)]
    known, index = np.unique([*real_people, *fake_people], return_inverse=True)
    halves = np.split(index % 2, [len(real_people)])
    if any(
        c.ndim != 2 or c.shape[1:] != classes[0].shape[1:] or len(c) != len(h) or len({*h}) < 2
        for c, h in zip(classes, halves, strict=True)
    ):
        raise ShapeError(
            "A domain of features needs (N, D) reals and (M, D) fakes, each of people in both "
            f"halves of them; got {classes[0].shape}, {classes[1].shape} of {len(known)} people."
        )
    held_out: list[list[Floats]] = [[], []]
    for half in (0, 1):
        fitted = _fitted([c[h != half] for c, h in zip(classes, halves, strict=True)])
        for kept, c, h in zip(held_out, classes, halves, strict=True):
            kept.append(feature_distance(c[h == half], **fitted))
    limit = max(float(np.quantile(np.concatenate(kept), WITHIN)) for kept in held_out)
    return {**_fitted(classes), "limit": limit}


def _fitted(classes: Sequence[Floats]) -> dict[str, Any]:
    covariance = np.mean([np.cov(c, rowvar=False, ddof=0) for c in classes], axis=0)
    variances, directions = np.linalg.eigh(np.atleast_2d(covariance))
    variances, directions = np.maximum(variances[::-1], LEAST_VARIANCE), directions[:, ::-1]
    rank = min(RANK, len(variances) - 1)
    return {
        "centres": [_short(c.mean(0)) for c in classes],
        "directions": [_short(d) for d in directions[:, :rank].T],
        "variances": _short(variances[:rank]),
        "rest": float(variances[rank:].mean()),
    }


def _short(values: Floats) -> list[float]:
    """Six significant digits: more is not known, and a card is read by people, too."""
    return [float(f"{value:.6g}") for value in values]


def feature_distance(
    embeddings: ArrayLike,
    *,
    centres: ArrayLike,
    directions: ArrayLike,
    variances: ArrayLike,
    rest: float,
) -> Floats:
    """(N,) root mean square of (N, D) embeddings' deviations, in standard deviations.

    Args:
        embeddings: (N, D).
        centres: (C, D) means of the classes; the nearest counts.
        directions: (K, D) orthonormal. variances: (K,) along them.
        rest: variance along every other direction.

    >>> feature_distance([[0, 3, 4]], centres=[[0, 0, 0]], directions=[[1, 0, 0]],
    ...                  variances=[1], rest=1).round(3).tolist()
    [2.887]
    """
    x, means = np.asarray(embeddings, np.float64), np.asarray(centres, np.float64)
    deviations = x[:, None] - means  # (N, C, D)
    along = deviations @ np.asarray(directions, np.float64).reshape(-1, x.shape[1]).T  # (N, C, K)
    beside = (deviations**2).sum(2) - (along**2).sum(2)
    squared = (along**2 / np.asarray(variances, np.float64)).sum(2) + np.maximum(beside, 0) / rest
    return np.asarray(np.sqrt(squared.min(1) / x.shape[1]))
