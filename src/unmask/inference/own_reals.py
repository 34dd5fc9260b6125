"""Thresholds fitted on a user's own real pictures and clips, kept in a file beside a model.

A false-positive rate holds for the kind of reals it was measured on: another camera or another
platform has another one. With reals of one's own the threshold can be set for them. What a fake
would score is not learned from reals, so the probability stays that of the model's card, with the
data it was fitted on.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from unmask.errors import ConfigError, first_fault
from unmask.metrics.bootstrap import wilson
from unmask.metrics.calibration import band_parameters, threshold_at_fpr
from unmask.metrics.features import WITHIN
from unmask.models.checkpoint import Decision, FeatureDomain

FORMAT = "unmask.calibration/1"
OTHERS, ALL = "(others)", "(all)"
"""What sources with too few reals to be judged by themselves are gathered under: beside larger
ones, and where there are none."""
ENOUGH = 200
"""Of fewer reals the outermost 0.5% on either side is nobody, so the limits of the domain that they
give are too narrow: then what lies within the card's is within, too, and all of their features are
familiar."""
NAMED = 4
"""Sources that the text of a result's threshold names; of more it gives the number."""


@dataclass(frozen=True, slots=True)
class OwnReal:
    """One real input, scored.

    Attributes:
        source: what it is one of many of, such as its folder.
        score: of the input, in [0, 1].
        bands: (14,) log10 band energies of the face that decides it.
        distance: of that face's features from what the network was measured on; None where that is
            not known.
    """

    source: str
    score: float
    bands: Sequence[float]
    distance: float | None = None


class SourceRow(BaseModel):
    """How often the reals of a source are flagged.

    Attributes:
        source: its name, `OTHERS` or `ALL`.
        reals: number of inputs.
        flagged_before, flagged: of them at or above the model's own threshold, and the new one.
        fpr, ci95: share at or above the new one, with its Wilson interval.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    reals: int
    flagged_before: int
    flagged: int
    fpr: float
    ci95: tuple[float, float]


class CalibrationFile(BaseModel):
    """What `unmask calibrate` writes and `--calibration` reads.

    Attributes:
        format: of this file. tool: what wrote it.
        model, weights_sha256: the only weights that it is for.
        max_frames: frames per video that were looked at.
        fpr: asked for.
        decision: thresholds and limits of the reals; slope, bias and domain are the card's.
        sources: the reals, worst source first.
        left_out: why inputs do not count -> how many.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: str = Field(FORMAT, pattern=f"^{FORMAT}$")
    tool: str
    model: str
    weights_sha256: str
    max_frames: int
    fpr: float = Field(gt=0, lt=1)
    decision: Decision
    sources: tuple[SourceRow, ...]
    left_out: dict[str, int] = {}

    def to_json(self) -> str:
        """The text of the file."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def read(cls, path: Path) -> CalibrationFile:
        """A file with what `to_json` gave.

        Raises:
            ConfigError: the file cannot be read, or holds something else.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
        except ValidationError as error:
            raise ConfigError(
                f"{path} is no calibration of unmask: {first_fault(error)}.",
                "Make one with `unmask calibrate FOLDER --out FILE`.",
            ) from error

    def check_weights(self, model: str, weights_sha256: str) -> None:
        """Refuse another model than the one it was made for.

        Raises:
            ConfigError: the weights differ.
        """
        if weights_sha256 != self.weights_sha256:
            raise ConfigError(
                f"The calibration was made for other weights ({self.model}, "
                f"{self.weights_sha256[:12]}) than those of {model} ({weights_sha256[:12]}).",
                "Run `unmask calibrate` again with this model.",
            )


def least_reals(fpr: float) -> int:
    """Fewer reals than this cannot show a rate of `fpr`: not one of them could be flagged.

    >>> least_reals(0.01), least_reals(0.3)
    (100, 4)
    """
    return math.ceil(1 / fpr - 1e-9)


def fit_on_reals(
    reals: Sequence[OwnReal], card: Decision, *, fpr: float
) -> tuple[Decision, tuple[SourceRow, ...]]:
    """Thresholds at which no source of reals is flagged more often than `fpr`.

    `flag` is the highest of the thresholds that the sources need, each by itself; sources with
    fewer than `least_reals(fpr)` reals count together. `clear` is the card's, and never above
    `flag`. Band energies and their limits become those of the reals, or of fewer than `ENOUGH`
    reals the wider of theirs and the card's. The limit of the features' distance grows until nearly
    all of the reals lie within it.

    Args:
        reals: scored inputs, no content twice.
        card: the model's own decision.
        fpr: allowed at `flag`.

    Returns:
        The decision, and a row per source, the one most often flagged first.

    Raises:
        ConfigError: too few reals for this rate.
    """
    least = least_reals(fpr)
    if len(reals) < least:
        raise ConfigError(
            f"{len(reals)} reals were scored; a false-positive rate of {fpr:g} needs at least "
            f"{least}.",
            f"Give more real pictures or clips, or ask for --fpr {1 / max(1, len(reals)):.2g}.",
        )
    counts = Counter(real.source for real in reals)
    rest = OTHERS if max(counts.values()) >= least else ALL
    grouped: dict[str, list[float]] = {}
    for real in reals:
        name = real.source if counts[real.source] >= least else rest
        grouped.setdefault(name, []).append(real.score)
    deciding = {n: scores for n, scores in grouped.items() if len(scores) >= least}
    flag = min(1.0, max(threshold_at_fpr(scores, fpr) for scores in deciding.values()))
    rows = sorted(
        (_row(name, scores, card.flag, flag) for name, scores in grouped.items()),
        key=lambda row: (-row.fpr, row.source),
    )
    worst = max((row for row in rows if row.source in deciding), key=lambda row: row.fpr)
    decision = Decision.model_validate(
        {
            **card.model_dump(),
            "flag": flag,
            "clear": min(card.clear, flag),
            "fpr_at_flag": worst.fpr,
            "ci95": worst.ci95,
            "measured_on": _described(len(reals), grouped),
            **_bands(reals, card),
            "features": _features(reals, card),
        }
    )
    return decision, tuple(rows)


def _bands(reals: Sequence[OwnReal], card: Decision) -> dict[str, Any]:
    found = band_parameters([real.bands for real in reals])
    if len(reals) < ENOUGH:
        pairs = zip(found["band_limits"], card.band_limits, strict=True)
        found["band_limits"] = [(min(a, c), max(b, d)) for (a, b), (c, d) in pairs]
    return found


def _features(reals: Sequence[OwnReal], card: Decision) -> FeatureDomain | None:
    distances = [real.distance for real in reals if real.distance is not None]
    if card.features is None or not distances:
        return card.features
    share = WITHIN if len(distances) >= ENOUGH else 1.0
    limit = max(card.features.limit, float(np.quantile(distances, share)))
    return card.features.model_copy(update={"limit": limit})


def _row(source: str, scores: Sequence[float], before: float, flag: float) -> SourceRow:
    values = np.asarray(scores)
    flagged = int((values >= flag).sum())
    return SourceRow(
        source=source,
        reals=len(values),
        flagged_before=int((values >= before).sum()),
        flagged=flagged,
        fpr=flagged / len(values),
        ci95=wilson(flagged, len(values)),
    )


def _described(total: int, grouped: dict[str, list[float]]) -> str:
    text = f"{total} reals of this user's own"
    if len(grouped) == 1:
        return text
    if len(grouped) > NAMED:
        return f"{text}, the worst of {len(grouped)} sources"
    named = ", ".join(f"{len(scores)} {name}" for name, scores in sorted(grouped.items()))
    return f"{text}, the worst source of: {named}"
