"""The test items as arrays: which are of a set, and what is judged there, frames or videos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from unmask.evaluation.comparison.draws import Draws, Flags, Indices
from unmask.evaluation.comparison.layout import SEEN, UNSEEN
from unmask.evaluation.comparison.result import SetCounts
from unmask.evaluation.comparison.scores import Run
from unmask.metrics.calibration import sigmoid
from unmask.metrics.curve import Floats


def set_names(items: pl.DataFrame) -> tuple[str, ...]:
    """`seen`, `unseen`, then every other set by name."""
    others = set(items["sets"].explode().to_list()) - {SEEN, UNSEEN}
    return (SEEN, UNSEEN, *sorted(others))


def members_of(items: pl.DataFrame, name: str) -> Indices:
    """Item numbers of a set, ascending."""
    return np.flatnonzero(items["sets"].list.contains(name).to_numpy())


def counts_of(items: pl.DataFrame, name: str) -> SetCounts:
    """Size of a set."""
    inside = items[members_of(items, name)]
    fakes = int(inside["label"].sum())
    return SetCounts(
        reals=inside.height - fakes,
        fakes=fakes,
        videos=inside["video_id"].n_unique(),
        clusters=inside["cluster"].n_unique(),
    )


def fakes_of(items: pl.DataFrame) -> Flags:
    """(N,) True where an item is fake."""
    return np.asarray(items["label"].to_numpy() == 1)


def draws_of(items: pl.DataFrame, *, draws: int, seed: int, level: float) -> Draws:
    """The draws of all items; raises as `Draws.of`."""
    clusters = items["cluster"].to_list()
    return Draws.of(fakes_of(items), clusters, draws=draws, seed=seed, level=level)


def lacking(reals: int, fakes: int, least: int = 1) -> str | None:
    """Why there is no AUC of so many reals and fakes, if there is none."""
    if min(reals, fakes) >= least:
        return None
    return f"{reals} reals and {fakes} fakes; an AUC here needs {least} of each class"


@dataclass(frozen=True)
class Units:
    """What is judged of a set: its items, or its videos.

    Attributes:
        items: (n,) item numbers of the set.
        of: (n,) the unit of each item, 0 to U - 1; None where every item is one.
        first: (U,) an item of each unit, which has its label and cluster.
        fake: (U,) bool.
    """

    items: Indices
    of: Indices | None
    first: Indices
    fake: Flags

    @classmethod
    def frames(cls, items: pl.DataFrame, name: str) -> Units:
        """The items of a set."""
        inside = members_of(items, name)
        return cls(inside, None, inside, fakes_of(items)[inside])

    @classmethod
    def videos(cls, items: pl.DataFrame, name: str) -> Units:
        """The videos of a set; frames of other sets do not count."""
        inside = members_of(items, name)
        ids = np.asarray(items["video_id"].to_list(), np.str_)[inside]
        _, first, unit = np.unique(ids, return_index=True, return_inverse=True)
        return cls(inside, unit, inside[first], fakes_of(items)[inside[first]])

    def judged(self, run: Run) -> tuple[Floats, Floats, float]:
        """What ranks the units, their P(fake), and the threshold of the former.

        Frames are ranked by their logits, which do not saturate. A video's P(fake) is the mean of
        sigmoid(logit) of its frames, and ranks it.
        """
        logits = run.clean[self.items]
        if self.of is None:
            return logits, sigmoid(logits), run.facts.threshold
        mean = np.bincount(self.of, sigmoid(logits)) / np.bincount(self.of)
        mean = np.minimum(mean, 1.0)  # a sum of ones can round above
        return mean, mean, float(sigmoid(run.facts.threshold))

    @property
    def counts(self) -> tuple[int, int]:
        """Reals and fakes."""
        fakes = int(self.fake.sum())
        return len(self.fake) - fakes, fakes
