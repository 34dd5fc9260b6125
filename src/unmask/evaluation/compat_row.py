"""A row of the compatibility table: a flawed practice beside the honest one, drawn as a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from unmask.evaluation.comparison.draws import Areas, Draws, Flags, Indices
from unmask.evaluation.comparison.result import Estimate
from unmask.evaluation.comparison.sets import lacking
from unmask.metrics.curve import Floats

Variant = Literal[
    "first_frames",
    "merged_videos",
    "test_selected",
    "dropped_faces",
    "half_scored",
    "frame_as_video",
]

PRACTICES: dict[Variant, str] = {
    "first_frames": "The first frames of a video are scored instead of frames spread over it; they "
    "are nearly one picture, so the number tells how videos begin and not what is in them.",
    "merged_videos": "Frames are grouped by the name of their folder, so that videos of the same "
    "name made by several manipulations (or real) become one; fewer, easier videos are ranked, "
    "and one fake that is found covers for others that are missed.",
    "test_selected": "The checkpoint that is best on the test set is reported; the test then takes "
    "part in training, and the number is the largest of several noisy ones.",
    "dropped_faces": "Videos in which no face was found are left out without a word; the number "
    "then holds for the easier rest, and over all videos may lie anywhere between two bounds, of "
    "which the lower one is the honest value here.",
    "half_scored": "Videos in which no face was found get the score 0.5, a number that no detector "
    "gave; where it falls among the others decides the AUC, while all that is known is the lower "
    "bound, the honest value here.",
    "frame_as_video": "A frame AUC stands in a column of video AUCs (or the reverse); averaging "
    "over a video removes noise, so the two differ for the same detector and must not be "
    "compared.",
}
"""What is done, and why it is wrong."""


NOT_FINITE = "an AUC is not finite"


class CompatRow(BaseModel):
    """One flawed practice beside the honest one, on the same scores.

    Attributes:
        variant: which one. practice: what is done and why it is wrong.
        honest, flawed: AUCs in [0, 1]. inflation: flawed - honest, in [-1, 1], paired.
        best: AUC if every missing video were ranked rightly, where `honest` is the one if they
            all were ranked wrongly; None for the variants that are not about missing videos.
        coverage: share of the expected videos that have a score; None likewise.
        ranked: number of frames or videos that the honest and the flawed AUC rank; None where the
            variant does not apply.
        detail: what was counted or chosen; empty where the variant does not apply.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Variant
    practice: str
    honest: Estimate
    flawed: Estimate
    inflation: Estimate
    best: Estimate | None = None
    coverage: FiniteFloat | None = Field(None, ge=0, le=1)
    ranked: tuple[int, int] | None = None
    detail: str = ""


@dataclass(frozen=True)
class Bootstrap:
    """Settings of the intervals.

    Attributes:
        draws: at least 100. seed: of the draws. level: coverage, in (0, 1).
    """

    draws: int = 1000
    seed: int = 0
    level: float = 0.95

    def of(self, table: pl.DataFrame, clusters: Sequence[str] | None = None) -> Draws:
        """Draws of the rows of a table with a label and a cluster each."""
        fake = table["label"].to_numpy() == 1
        names = table["cluster"].to_list() if clusters is None else clusters
        return Draws.of(fake, names, draws=self.draws, seed=self.seed, level=self.level)


@dataclass(frozen=True)
class Ranking:
    """U units to rank: `first` (U,) is a row of the drawn table that has the unit's cluster."""

    first: Indices
    fake: Flags
    scores: Floats

    def areas(self, draws: Draws) -> Floats:
        """(D + 1,) AUCs; NaN where a class is missing."""
        areas = Areas.of(self.scores[~self.fake], self.scores[self.fake])
        out = np.full(draws.rows, np.nan)
        for rows, weights in draws.blocks(self.first):
            out[rows] = areas(weights[:, ~self.fake], weights[:, self.fake])[:, 0]
        return out

    def point(self) -> float:
        """The AUC of the units as they are."""
        areas = Areas.of(self.scores[~self.fake], self.scores[self.fake])
        ones = np.ones((1, len(self.fake)))
        return float(areas(ones[:, ~self.fake], ones[:, self.fake])[0, 0])

    def estimate(self, draws: Draws) -> Estimate:
        """The AUC with its interval."""
        return draws.estimate(self.areas(draws), self.lacking or NOT_FINITE)

    @property
    def lacking(self) -> str | None:
        """Why there is no AUC, if a class is missing."""
        fakes = int(self.fake.sum())
        return lacking(len(self.fake) - fakes, fakes)


def paired_row(
    variant: Variant, draws: Draws, honest: Ranking, flawed: Ranking, *, detail: str
) -> CompatRow:
    """Both AUCs and their difference from the same draws."""
    right, wrong = honest.areas(draws), flawed.areas(draws)
    why = honest.lacking or flawed.lacking or NOT_FINITE
    return CompatRow(
        variant=variant,
        practice=PRACTICES[variant],
        honest=draws.estimate(right, why),
        flawed=draws.estimate(wrong, why),
        inflation=draws.estimate(wrong - right, why),
        ranked=(len(honest.fake), len(flawed.fake)),
        detail=detail,
    )


def absent_row(variant: Variant, reason: str) -> CompatRow:
    """A practice that cannot be tried here, and why."""
    nothing = Estimate(value=None, low=None, high=None, reason=reason)
    return CompatRow(
        variant=variant,
        practice=PRACTICES[variant],
        honest=nothing,
        flawed=nothing,
        inflation=nothing,
    )


def without_intervals(row: CompatRow, reason: str) -> CompatRow:
    """The row's values alone, and why they have no interval."""
    bare = {
        name: Estimate(value=value, low=None, high=None, reason=f"no interval: {reason}")
        for name in ("honest", "flawed", "inflation")
        if (value := getattr(row, name).value) is not None
    }
    return row.model_copy(update=bare)
