"""The decision's reals by source: who counts alone, who together, and who not at all."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.data.scoring import ScoringSet
from unmask.metrics.features import feature_parameters
from unmask.training.decision import LEAST, LEAST_FAMILIAR, by_source, familiar
from unmask.training.module import Scores


def scored(name: str, **counts: int) -> Scores:
    """Reals of each source in turn, their logits 0, 1, 2, ..."""
    sources = [source for source, n in counts.items() for _ in range(n)]
    item = ScoringSet(name, [], 0, sources, sources)
    return {name: (np.arange(len(sources), dtype=float), item)}


def test_large_sources_count_alone_and_small_ones_together() -> None:
    parts = by_source(scored("real", archive=LEAST, phone=LEAST - 1, studio=1))
    assert {name: len(logits) for name, logits in parts.items()} == {
        "real/archive": LEAST,
        "real/(others)": LEAST,
    }
    np.testing.assert_array_equal(parts["real/archive"], np.arange(LEAST))


def test_too_few_even_together_decide_nothing() -> None:
    assert list(by_source(scored("real", archive=LEAST, phone=LEAST - 1))) == ["real/archive"]


@pytest.mark.parametrize("name", ["real", "real/blurred"])
def test_every_condition_has_its_sources(name: str) -> None:
    conditions = {**scored("real", archive=LEAST), **scored("real/blurred", archive=LEAST)}
    assert f"{name}/archive" in by_source(conditions)


@pytest.mark.parametrize("reals", [LEAST_FAMILIAR - 1, LEAST_FAMILIAR])
def test_familiar_features_are_those_of_reals_under_all_conditions_and_of_fakes(reals: int) -> None:
    people = [f"p{number}" for number in range(reals)]
    draw = np.random.default_rng(0)
    names = {"real": 0, "swap": 1, "real/blurred": 0, "other": 1}
    scores: Scores = {
        name: (np.zeros(reals), ScoringSet(name, [], label, people, people))
        for name, label in names.items()
    }
    embeddings = {
        name: draw.normal(place, 1, (reals, 12)).astype(np.float32)
        for place, name in enumerate(names)
    }
    found = familiar(scores, ["swap"], embeddings)
    if reals < LEAST_FAMILIAR:
        assert found is None
        return
    seen = np.concatenate([embeddings["real"], embeddings["real/blurred"]])
    expected = feature_parameters(seen, embeddings["swap"], people * 2, people)
    assert found is not None
    assert found.model_dump() == expected
