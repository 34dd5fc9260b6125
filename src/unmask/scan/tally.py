"""Counting what came out of a scan: the summary line and the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from unmask.results import Result

DONE, FAIL_ON, INCOMPLETE, NOTHING_SCORED, INTERRUPTED = 0, 1, 3, 4, 130

FAIL_ON_VERDICTS = {"flagged": "likely_manipulated", "inconclusive": "inconclusive"}
"""What `--fail-on` accepts, and the verdict it stands for."""


@dataclass(slots=True)
class Tally:
    """Counts over results.

    >>> tally = Tally()
    >>> tally.exit_code(min_coverage=1.0, fail_on=set())
    4
    """

    total: int = 0
    kept: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    not_scored: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result, *, kept: bool = False) -> None:
        """Count one result; `kept` when it comes from an earlier run."""
        self.total += 1
        self.kept += kept
        self.statuses[result.status] += 1
        if result.verdict is not None:
            self.verdicts[result.verdict] += 1
        else:
            self.not_scored[result.reasons[0]] += 1

    @property
    def scored(self) -> int:
        return self.statuses["scored"]

    @property
    def coverage(self) -> float:
        """Share of the inputs that were scored; 0 without inputs."""
        return self.scored / self.total if self.total else 0.0

    def exit_code(self, *, min_coverage: float, fail_on: Collection[str]) -> int:
        """What the process should say, for a scan that ran to its end.

        Nothing scored (4) comes first: then no verdict exists that `fail_on` could name. A verdict
        that was asked to fail (1) comes before low coverage (3), so that unreadable files can
        never hide a manipulated one. Usage errors (2) and interruption (130) never get here.

        Args:
            min_coverage: smallest share of inputs scored that counts as success, in [0, 1].
            fail_on: of `FAIL_ON_VERDICTS`.
        """
        if not self.scored:
            return NOTHING_SCORED
        if any(self.verdicts[FAIL_ON_VERDICTS[name]] for name in fail_on):
            return FAIL_ON
        return INCOMPLETE if self.coverage < min_coverage else DONE

    def summary(self) -> str:
        """One line for a person."""
        parts = [f"{count} {verdict}" for verdict, count in sorted(self.verdicts.items())]
        missing = self.total - self.scored
        if missing:
            why = ", ".join(f"{n} {reason}" for reason, n in self.not_scored.most_common())
            parts.append(f"{missing} not scored ({why})")
        kept = f"; {self.kept} kept from an earlier run" if self.kept else ""
        plural = "" if self.total == 1 else "s"
        return (
            f"{self.total} input{plural}: {', '.join(parts) or 'none finished'}; "
            f"coverage {self.coverage:.1%}{kept}"
        )
