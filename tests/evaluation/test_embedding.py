"""Principal components against scikit-learn, similarities against the sum over all pairs."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from sklearn.decomposition import PCA

from unmask.errors import ShapeError
from unmask.evaluation.embedding import (
    EmbeddingMap,
    embedding_map,
    group_similarity,
    principal_components,
)


def unit(n: int, d: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(2, 0.5, d)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "d", "k"), [(40, 7, 2), (6, 20, 3), (5, 2, 2)])
def test_components_are_those_of_scikit_learn(n: int, d: int, k: int) -> None:
    x = unit(n, d)
    scores, shares = principal_components(x, k)
    oracle = PCA(k, svd_solver="full").fit(x)
    expected = oracle.transform(x)
    signs = np.sign((expected * scores).sum(axis=0))
    np.testing.assert_allclose(scores, expected * signs, atol=1e-10)
    np.testing.assert_allclose(shares, oracle.explained_variance_ratio_, atol=1e-12)


def test_the_largest_loading_is_positive_whatever_the_order() -> None:
    x = unit(30, 6)
    scores, _ = principal_components(x, 2)
    for column in scores.T:
        loading = (x - x.mean(axis=0)).T @ column
        assert loading[np.abs(loading).argmax()] > 0
    order = np.random.default_rng(1).permutation(30)
    np.testing.assert_allclose(principal_components(x[order], 2)[0], scores[order], atol=1e-10)


def test_similarity_is_the_mean_over_pairs() -> None:
    x, groups = unit(23, 5), ["b", "a", "c"] * 7 + ["a", "lonely"]
    found = group_similarity(x, groups)
    assert found.groups == ("b", "a", "c", "lonely")
    assert found.counts == (7, 8, 7, 1)
    members = {g: [i for i, h in enumerate(groups) if h == g] for g in found.groups}
    for (i, a), (j, b) in product(enumerate(found.groups), repeat=2):
        pairs = [float(x[p] @ x[q]) for p in members[a] for q in members[b] if p != q]
        if pairs:
            assert found.matrix[i][j] == pytest.approx(np.mean(pairs), abs=1e-12)
        else:
            assert (a, b) == ("lonely", "lonely")
            assert found.matrix[i][j] is None


def test_a_map_survives_json() -> None:
    x, groups = unit(12, 4).astype(np.float32), ["real"] * 6 + ["gan"] * 6
    found = embedding_map(x, groups)
    assert EmbeddingMap.model_validate_json(found.model_dump_json()) == found
    assert len(found.points) == len(found.group) == 12
    assert found.explained[0] >= found.explained[1] > 0


@pytest.mark.parametrize(
    ("x", "groups", "words"),
    [
        (np.eye(3) * 2, ["a"] * 3, "length one"),
        (np.eye(3), ["a"] * 2, "one group"),
        (np.ones(3), ["a"] * 3, r"\(N, D\)"),
        (np.array([[np.nan, 1.0]]), ["a"], "finite"),
        (np.eye(3)[[0, 0, 0]], ["a"] * 3, "alike"),
        (np.eye(3)[:1], ["a"], "2 components"),
    ],
)
def test_what_cannot_be_a_map_is_refused(x: np.ndarray, groups: list[str], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        embedding_map(x, groups)
