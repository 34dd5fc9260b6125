"""The two-level bootstrap: clusters of items are drawn, and within a draw the seeds of training.

Every number is computed at once for the items as they are and for all draws, (D + 1,): the
estimate first. The draws are the same for all arms, sets, conditions and seeds, so a difference of
two such rows is paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unmask.errors import ConfigError, DatasetError
from unmask.evaluation.comparison.result import Estimate
from unmask.metrics.curve import Floats
from unmask.metrics.resampling import CELLS, Resamples

Indices = NDArray[np.intp]
Flags = NDArray[np.bool_]

LOST = 0.01
"""An interval may leave out at most this share of the draws for want of a class."""

INTERVALS = (
    "Percentile intervals of a two-level bootstrap: clusters of items are drawn with replacement, "
    "apart by the classes they hold; within a draw S - 1 of an arm's S seeds are drawn with "
    "replacement, so that the spread of the mean over seeds is not made too small. With one seed "
    "an interval says nothing of training again. All numbers rest on the same draws."
)

NO_RUN = "this arm has no run that could be used"


@dataclass(frozen=True)
class Draws:
    """Which clusters each draw holds, and how often.

    Attributes:
        members: (N,) the cluster of each item, 0 to C - 1.
        counts: (D + 1, C) how often each cluster was drawn; the first row is ones.
        seed: of the draws. level: coverage of the intervals.
    """

    members: Indices
    counts: NDArray[np.uint16]
    seed: int
    level: float

    @classmethod
    def of(
        cls, fake: ArrayLike, clusters: Sequence[str], *, draws: int, seed: int, level: float
    ) -> Draws:
        """Draws of clusters with replacement, those of reals only, fakes only and both apart.

        They are those of `resampling.resample`, except that a kind of which there is one cluster
        only is drawn together with the kind that has most.

        Args:
            fake: (N,) bool. clusters: of each item.
            draws: at least 100. seed, level: see above.

        Raises:
            ConfigError: too few draws or a level outside (0, 1).
            DatasetError: fewer than two clusters.
        """
        if draws < 100 or not 0 < level < 1 or seed < 0:
            raise ConfigError(
                f"The bootstrap needs >= 100 draws, a level in (0, 1) and a seed >= 0; got "
                f"{draws}, {level}, {seed}."
            )
        y = np.asarray(fake, bool)
        names, members = np.unique(np.asarray(clusters, np.str_), return_inverse=True)
        if len(names) < 2:
            raise DatasetError(
                "All items are of one cluster, so nothing can be drawn.",
                "Give the items the identities they show as clusters.",
            )
        has_fake, has_real = (np.bincount(members, side) > 0 for side in (y, ~y))
        kinds = (has_real & ~has_fake, has_fake & ~has_real, has_real & has_fake)
        resamples = Resamples(members, _strata([np.flatnonzero(k) for k in kinds]), draws, seed)
        _, first = np.unique(members, return_index=True)
        drawn = [block[:, first].astype(np.uint16) for block in resamples.weights()]
        ones = np.ones((1, len(names)), np.uint16)
        return cls(members, np.concatenate([ones, *drawn]), seed, level)

    @property
    def rows(self) -> int:
        """D + 1."""
        return len(self.counts)

    def blocks(self, items: Indices) -> Iterator[tuple[slice, Floats]]:
        """Rows and their weights (b, n) of the given items; all D + 1 rows in turn."""
        size = max(1, CELLS // max(len(items), 1))
        for start in range(0, self.rows, size):
            rows = slice(start, min(start + size, self.rows))
            yield rows, self.counts[rows][:, self.members[items]].astype(np.float64)

    def mean(self, values: Sequence[Floats]) -> Floats:
        """(D + 1,) mean over seeds of S rows (D + 1,); in the draws over the seeds drawn.

        S - 1 of S are drawn: the variance of their mean is then that of the mean over seeds
        without bias (McCarthy & Snowden 1985), where S of S would give (S - 1) / S of it, two
        thirds at three seeds. Arms with as many seeds get the same draws of them.
        """
        if not values:
            return np.full(self.rows, np.nan)
        table = np.stack(values)
        if table.shape[1] != self.rows:
            raise ValueError(f"rows must be ({self.rows},); got {table.shape[1]}")
        picks = _picks(len(table), self.rows - 1, self.seed)
        drawn = table[picks, np.arange(1, self.rows)[:, None]].mean(1)
        return np.concatenate([[table[:, 0].mean()], drawn])

    def estimate(self, values: Floats, missing: str = NO_RUN) -> Estimate:
        """The first of (D + 1,) values with the quantiles of the others.

        A value that is not finite is null with the reason `missing`; so is an interval where more
        than `LOST` of the draws have no value.
        """
        if not np.isfinite(values[0]):
            return Estimate(value=None, low=None, high=None, reason=missing)
        kept, enough = self._kept(values)
        if not enough:
            lost = self.rows - 1 - len(kept)
            return Estimate(
                value=float(values[0]),
                low=None,
                high=None,
                reason=f"no interval: {lost} of {self.rows - 1} draws lack a class, as its items "
                "come from too few clusters",
            )
        tail = (1 - self.level) / 2
        low, high = np.quantile(kept, [tail, 1 - tail])
        return Estimate(value=float(values[0]), low=float(low), high=float(high))

    def p_value(self, differences: Floats) -> float | None:
        """Two-sided p of (D + 1,) differences, as `resampling.BootstrapDifference` has it; None
        where `estimate` would give no interval."""
        kept, enough = self._kept(differences)
        if not np.isfinite(differences[0]) or not enough:
            return None
        sides = int((kept <= 0).sum()), int((kept >= 0).sum())
        return min(1.0, 2 * (1 + min(sides)) / (1 + len(kept)))

    def _kept(self, values: Floats) -> tuple[Floats, bool]:
        """The draws that have a value, and whether they are enough."""
        kept = values[1:][np.isfinite(values[1:])]
        lost = self.rows - 1 - len(kept)
        return kept, lost <= LOST * (self.rows - 1)


def _strata(kinds: Sequence[Indices]) -> tuple[Indices, ...]:
    strata = [kind for kind in kinds if len(kind) > 1]
    alone = [kind for kind in kinds if len(kind) == 1]
    if not strata:
        return (np.sort(np.concatenate(alone)),)
    largest = max(range(len(strata)), key=lambda i: len(strata[i]))
    strata[largest] = np.sort(np.concatenate([strata[largest], *alone]))
    return tuple(strata)


@lru_cache(maxsize=32)
def _picks(seeds: int, draws: int, seed: int) -> Indices:
    rng = np.random.default_rng([seed, seeds])
    return rng.integers(seeds, size=(draws, max(1, seeds - 1)))


@dataclass(frozen=True)
class Areas:
    """AUCs of several groups of fakes against the same reals, for many weightings at once.

    What `Ranked.curves(w).auc()` gives for each group, from one cumulative sum over the reals.

    Attributes:
        order: (R,) reals by ascending score.
        below, upto: (F,) how many reals score less than each fake, and not more.
        groups: (F, G) 1.0 where a fake belongs to a group.
    """

    order: Indices
    below: Indices
    upto: Indices
    groups: Floats

    @classmethod
    def of(cls, reals: Floats, fakes: Floats, groups: Flags | None = None) -> Areas:
        """From scores (R,) and (F,), and groups (F, G); one group of all fakes without them."""
        chosen = np.ones((len(fakes), 1)) if groups is None else groups.astype(np.float64)
        order = np.argsort(reals, kind="stable")
        ranked = reals[order]
        below, upto = (np.searchsorted(ranked, fakes, side) for side in ("left", "right"))
        return cls(order, below, upto, chosen)

    def __call__(self, reals: Floats, fakes: Floats) -> Floats:
        """(b, G) areas under weights (b, R) and (b, F); NaN where a class has no weight."""
        running = np.zeros((len(reals), len(self.order) + 1))
        np.cumsum(reals[:, self.order], axis=1, out=running[:, 1:])
        wins = (fakes * (running[:, self.below] + running[:, self.upto])) @ self.groups
        pairs = 2 * running[:, -1:] * (fakes @ self.groups)
        return np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0)


def shares(weights: Floats, called: Flags) -> Floats:
    """(b,) weighted shares of (n,) flags; NaN where there is no weight."""
    total = weights.sum(1)
    hits = weights[:, called].sum(1)
    out = np.full(len(weights), np.nan)
    np.divide(hits, total, out=out, where=total > 0)
    return out
