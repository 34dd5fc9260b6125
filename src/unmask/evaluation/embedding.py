"""Where pictures lie in a network's embedding: a plane to look at, and similarities between groups.

A plane of two components is a picture, not evidence: it holds only the share of the variance that
is given with it. The similarities are those of the whole embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat

from unmask.errors import ShapeError

Floats = NDArray[np.float64]
UNIT_TOLERANCE = 1e-3
"""How far the length of an embedding may be from one (they are kept as float32)."""
Pair = Annotated[tuple[FiniteFloat, ...], Field(min_length=2, max_length=2)]


def _alike(values: Sequence[object]) -> Sequence[object]:
    if len(set(values)) != len(values):
        raise ValueError("every group is named once")
    return values


class Similarity(BaseModel):
    """Mean cosine similarity between groups.

    Attributes:
        groups: (G,) names, in the order given.
        counts: (G,) embeddings in each.
        matrix: (G, G) in [-1, 1], symmetric. The diagonal is the mean over pairs of two different
            members; None for a group of one, which has no pair.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    groups: Annotated[tuple[str, ...], AfterValidator(_alike)]
    counts: tuple[int, ...]
    matrix: tuple[tuple[FiniteFloat | None, ...], ...]


class EmbeddingMap(BaseModel):
    """The embeddings of one model, small enough for a page.

    Attributes:
        group: (N,) the group of each point.
        points: (N, 2) scores on the first two principal components.
        explained: their shares of the variance, each in [0, 1].
        similarity: between the groups.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    group: tuple[str, ...]
    points: tuple[Pair, ...]
    explained: Pair
    similarity: Similarity


def principal_components(embeddings: ArrayLike, components: int = 2) -> tuple[Floats, Floats]:
    """Principal component analysis by singular value decomposition of the centred embeddings.

    The sign of a component is arbitrary; it is fixed so that its loading of largest magnitude is
    positive, and the same embeddings give the same plane everywhere.

    Source: Pearson 1901, Philosophical Magazine 2 (11); Jolliffe 2002, section 3.5.

    Args:
        embeddings: (N, D).
        components: how many, at most min(N, D).

    Returns:
        (N, components) scores, and (components,) shares of the total variance.

    Raises:
        ShapeError: not (N, D) and finite, too few for that many components, or all alike.

    >>> scores, shares = principal_components([[0.0, 3.0], [0.0, 0.0], [0.0, 1.5], [0.0, 0.5]])
    >>> scores[:, 0].round(6).tolist(), shares.round(6).tolist()
    ([1.75, -1.25, 0.25, -0.75], [1.0, 0.0])
    """
    x = _matrix(embeddings)
    if not 1 <= components <= min(x.shape):
        raise ShapeError(
            f"{components} components need as many embeddings and dimensions; got {x.shape}."
        )
    u, s, loadings = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    variance = s**2
    if s[0] <= 1e-12 * max(1.0, float(np.abs(x).max())):
        raise ShapeError(f"All {len(x)} embeddings are alike: they have no principal component.")
    largest = np.abs(loadings).argmax(axis=1)
    signs = np.sign(loadings[np.arange(len(loadings)), largest])
    scores = (u * s * signs)[:, :components]
    return scores, np.asarray(variance[:components] / variance.sum())


def group_similarity(embeddings: ArrayLike, groups: Sequence[str]) -> Similarity:
    """Mean cosine similarity of every two groups, from the sums of their unit vectors.

    The mean over all pairs of a and b is the dot product of their mean vectors; within a group
    the pairs of a member with itself are left out.

    Args:
        embeddings: (N, D), each row of length one.
        groups: (N,) names; they are listed in the order they first come.

    Raises:
        ShapeError: lengths differ, or a row is not of length one.

    >>> group_similarity([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], ["a", "a", "b"]).matrix
    ((1.0, 0.0), (0.0, None))
    """
    x = _unit_rows(embeddings, groups)
    names = tuple(dict.fromkeys(groups))
    members = np.array([[g == name for g in groups] for name in names], np.float64)
    counts, sums = members.sum(axis=1), members @ x
    totals, pairs = sums @ sums.T, np.outer(counts, counts)
    own = np.diag_indices(len(names))
    totals[own] -= members @ (x**2).sum(axis=1)
    pairs[own] -= counts
    means = np.clip(np.divide(totals, pairs, out=np.zeros_like(totals), where=pairs > 0), -1, 1)
    matrix = tuple(
        tuple(float(m) if p else None for m, p in zip(row, n, strict=True))
        for row, n in zip(means, pairs, strict=True)
    )
    return Similarity(groups=names, counts=tuple(int(n) for n in counts), matrix=matrix)


def embedding_map(embeddings: ArrayLike, groups: Sequence[str]) -> EmbeddingMap:
    """Plane and similarities of one model's embeddings.

    Args:
        embeddings: (N, D), each row of length one.
        groups: (N,) e.g. `real` or a family of generators.

    Raises:
        ShapeError: see `principal_components` and `group_similarity`.
    """
    similarity = group_similarity(embeddings, groups)
    scores, shares = principal_components(embeddings, 2)
    return EmbeddingMap(
        group=tuple(groups),
        points=tuple((float(a), float(b)) for a, b in scores),
        explained=(float(shares[0]), float(shares[1])),
        similarity=similarity,
    )


def _matrix(embeddings: ArrayLike) -> Floats:
    x = np.asarray(embeddings, np.float64)
    if x.ndim != 2 or 0 in x.shape or not np.isfinite(x).all():
        raise ShapeError(f"Embeddings must be (N, D), N and D > 0, and finite; got {x.shape}.")
    return x


def _unit_rows(embeddings: ArrayLike, groups: Sequence[str]) -> Floats:
    x = _matrix(embeddings)
    if len(groups) != len(x):
        raise ShapeError(f"Every embedding has one group; got {len(x)} and {len(groups)}.")
    lengths = np.linalg.norm(x, axis=1)
    if np.abs(lengths - 1).max() > UNIT_TOLERANCE:
        worst = float(lengths[np.abs(lengths - 1).argmax()])
        raise ShapeError(f"Embeddings must have length one (divide by the norm); got {worst:.4g}.")
    return np.asarray(x / lengths[:, None], np.float64)
