"""Tables beside result.json: any measure of some arms on some sets, and differences in pairs.

`localization.json` says how good maps are, `decisions.json` how good decisions at a threshold.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from unmask.data.atomic import replace_text
from unmask.errors import DatasetError
from unmask.evaluation.comparison.result import Estimate

LOCALIZATION = "localization.json"
DECISIONS = "decisions.json"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MeasuredRow(Estimate):
    """One measure of one arm on one set: the mean over seeds, its interval, each seed's own."""

    set: str
    measure: str
    arm: str
    seeds: tuple[FiniteFloat | None, ...]


class MeasuredDifference(Estimate):
    """`arm` less `less`, paired by cluster and seed; `p` two-sided.

    `p_holm` is adjusted by Holm over all pairs of the same set and measure.
    """

    set: str
    measure: str
    arm: str
    less: str
    p: FiniteFloat | None
    p_holm: FiniteFloat | None


class MeasuredFile(_Model):
    """All of one file.

    Attributes:
        about: what the measures are.
        intervals: how the intervals were drawn. draws, level: of the bootstrap.
        thresholds: by ARM/seed-N, or by the kind of threshold and then so.
        rows: values.
        differences: of pairs of arms.
    """

    about: str
    intervals: str
    draws: int
    level: float
    thresholds: dict[str, dict[str, FiniteFloat]]
    rows: tuple[MeasuredRow, ...]
    differences: tuple[MeasuredDifference, ...]

    @property
    def arms(self) -> tuple[str, ...]:
        """In the order of the rows."""
        return tuple(dict.fromkeys(row.arm for row in self.rows))

    def row(self, set: str, measure: str, arm: str) -> MeasuredRow | None:
        """The one row of a set, a measure and an arm."""
        wanted = (set, measure, arm)
        found = (row for row in self.rows if (row.set, row.measure, row.arm) == wanted)
        return next(found, None)

    def write(self, path: Path) -> None:
        """Write it, whole or not at all."""
        replace_text(path, self.model_dump_json(indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> MeasuredFile | None:
        """What `write` wrote; None where there is no such file.

        Raises:
            DatasetError: it does not follow the schema.
        """
        if not path.is_file():
            return None
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise DatasetError(
                f"{path.name} does not follow its schema: {error.errors()[0]['msg']}.",
                "Delete it and run the comparison again with --resume.",
            ) from error
