"""The decision's reals by source: who counts alone, who together, and who not at all."""

from __future__ import annotations

import numpy as np
import pytest

from unmask.data.scoring import ScoringSet
from unmask.training.decision import LEAST, by_source
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
