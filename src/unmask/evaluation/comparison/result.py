"""The schema of result.json: every table of a comparison, and why a number is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from unmask.data.atomic import replace_text
from unmask.errors import DatasetError, first_fault

SCHEMA = "unmask.benchmark/1"
Level = Literal["frame", "video"]
Verdict = Literal["better", "worse", "no difference shown"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(_Model):
    """A number with its bootstrap interval; without one of them, why."""

    value: FiniteFloat | None
    low: FiniteFloat | None
    high: FiniteFloat | None
    reason: str | None = None

    @model_validator(mode="after")
    def _says_why(self) -> Estimate:
        whole = None not in (self.value, self.low, self.high)
        if whole != (self.reason is None) or (self.low is None) != (self.high is None):
            raise ValueError("a reason is given if and only if a number is missing")
        return self


class SeedValue(_Model):
    """A number of one run; null where its class of items is missing."""

    seed: int
    value: FiniteFloat | None


class Cell(_Model):
    """Mean over seeds with its interval, and the seeds' own values."""

    mean: Estimate
    per_seed: tuple[SeedValue, ...]


class SetCounts(_Model):
    """Size of a test set: items by class, videos and clusters they come from."""

    reals: int
    fakes: int
    videos: int
    clusters: int


class MainRow(_Model):
    """Table I: frame AUC of an arm on every set, and how much less than on `seen` that is."""

    arm: str
    auc: dict[str, Cell]
    drop: dict[str, Cell] = Field(description="set -> AUC on seen less AUC on the set")


class MetricRow(_Model):
    """All metrics of an arm on a set, means over seeds. Probabilities are sigmoid(logit)."""

    arm: str
    set: str
    level: Level
    reals: int
    fakes: int
    auc: Estimate
    average_precision: Estimate
    equal_error_rate: Estimate
    balanced_accuracy: Estimate = Field(description="at the run's own threshold")
    tpr_at_fpr_1_percent: Estimate
    tpr_at_fpr_01_percent: Estimate
    fpr: Estimate = Field(description="at the run's own threshold")
    tpr: Estimate = Field(description="at the run's own threshold")
    ece: Estimate = Field(description="15 bins of equal width; noise only adds to it")
    brier: Estimate
    notes: tuple[str, ...]


class DelongRow(_Model):
    """DeLong's test of one seed of an arm against the same seed of the reference."""

    seed: int
    difference: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    p: FiniteFloat | None
    reason: str | None = None


class ComparisonRow(_Model):
    """An arm against the reference on one set, by frame AUC."""

    arm: str
    set: str
    difference: Estimate = Field(description="mean AUC of the arm less that of the reference")
    p: FiniteFloat | None = Field(description="two-sided, of the paired two-level bootstrap")
    p_holm: FiniteFloat | None = Field(description="adjusted over all comparisons of the set")
    verdict: Verdict | None
    delong: tuple[DelongRow, ...]


class Comparisons(_Model):
    """Every arm against the reference."""

    note: str
    delong_note: str
    rows: tuple[ComparisonRow, ...]


class GroupRow(_Model):
    """AUC of every arm on a part of a set; which reals stand beside the fakes is said above it."""

    set: str
    name: str
    manipulation: str | None = None
    reals: int
    fakes: int
    auc: dict[str, Estimate]


class Groups(_Model):
    """A set by parts."""

    note: str
    rows: tuple[GroupRow, ...]


class ControlRow(_Model):
    """What a harmless change of the reals does to an arm's verdicts on them."""

    arm: str
    control: str
    seeds: tuple[int, ...]
    reals: int
    clean_fpr: Estimate
    fpr: Estimate
    change: Estimate = Field(description="fpr less clean_fpr")
    auc: Estimate = Field(description="of changed reals against clean ones; 0.5: not told apart")


class BlurRow(_Model):
    """Frame AUC of an arm on a set as it is and under blur and JPEG."""

    arm: str
    set: str
    seeds: tuple[int, ...]
    clean: Estimate
    changed: Estimate
    drop: Estimate


class SweepRow(_Model):
    """An arm under one perturbation at one level; `none` at level 0 is the baseline."""

    arm: str
    perturbation: str
    level: int
    auc: Estimate
    fpr: Estimate


class SweepMean(_Model):
    """An arm at one level, the mean over all perturbations."""

    arm: str
    level: int
    perturbations: int
    auc: Estimate
    fpr: Estimate


class Sweep(_Model):
    """The robustness sweep on its subset of `unseen`; null counts where no run has it."""

    note: str
    reals: int | None
    fakes: int | None
    seeds: dict[str, tuple[int, ...]]
    rows: tuple[SweepRow, ...]
    means: tuple[SweepMean, ...]


class CurveRow(_Model):
    """ROC and DET points of the seed with the median AUC on `unseen`, at frame level."""

    arm: str
    seed: int | None
    fpr: tuple[FiniteFloat, ...]
    tpr: tuple[FiniteFloat, ...]
    fnr: tuple[FiniteFloat, ...]
    reason: str | None = None


class CoverageRow(_Model):
    """Items listed and items with a clean score."""

    arm: str
    seed: int
    listed: int
    scored: int


class AbsentRun(_Model):
    """A planned run that is not there."""

    arm: str
    seed: int


class Result(_Model):
    """A whole comparison."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_id: Literal["unmask.benchmark/1"] = Field(default="unmask.benchmark/1", alias="schema")
    protocol: str
    reference: str
    draws: int
    seed: int
    level: float
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    intervals: str = Field(description="how the intervals were made")
    sets: dict[str, SetCounts]
    main: tuple[MainRow, ...]
    metrics: tuple[MetricRow, ...]
    comparisons: Comparisons
    generators: Groups
    sources: Groups
    controls: tuple[ControlRow, ...]
    blur_jpeg: tuple[BlurRow, ...]
    sweep: Sweep
    curves: tuple[CurveRow, ...]
    coverage: tuple[CoverageRow, ...]
    absent: tuple[AbsentRun, ...]
    files: dict[str, str] = Field(description="path -> SHA-256 of what it was computed from")

    def to_json(self) -> str:
        """The same result always gives the same text."""
        data = self.model_dump(mode="json", by_alias=True)
        return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_result(out: Path, result: Result) -> Path:
    """Write OUT/result.json."""
    path = out / "result.json"
    replace_text(path, result.to_json())
    return path


def read_result(out: Path) -> Result:
    """OUT/result.json.

    Raises:
        DatasetError: it is missing or does not follow the schema.
    """
    path = out / "result.json"
    try:
        return Result.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DatasetError(
            f"{path} cannot be read: {error.strerror}.", "Run the benchmark, which writes it."
        ) from error
    except ValidationError as error:
        raise DatasetError(
            f"{path} does not follow {SCHEMA}: {first_fault(error, 'the file')}.",
            "Compute the tables again from the score files.",
        ) from error
