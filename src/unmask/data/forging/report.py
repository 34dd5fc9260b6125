"""What a synthesis made and did not make: counts, and every loss with its reason."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from unmask.data.atomic import replace_text
from unmask.data.forging.forgery import REASONS, Forged, Found, Settings
from unmask.data.forging.plan import Input, Plan

REPORT_FILE = "synthesis.json"


@dataclass(frozen=True, slots=True)
class Missing:
    """A picture, or a picture in one family, that gave no forgery.

    Attributes:
        path: as in the input's index.
        family: '' where it is the picture that failed, for all families.
        reason: of `forgery.REASONS`; message: more, for a person.
    """

    path: str
    family: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of a synthesis.

    Attributes:
        settings: it was made with.
        pictures: reals that were looked at; faces: those with a face.
        reals: faces that were written, because at least one forgery was made of them.
        forgeries: family -> how many.
        landmarks: where the faces' landmarks come from -> how many: own, mesh or mean_shape.
        missing: what was not made.
    """

    settings: Settings
    pictures: int
    faces: int
    reals: int
    forgeries: Counter[str]
    landmarks: Counter[str]
    missing: list[Missing]

    @classmethod
    def of(
        cls,
        settings: Settings,
        inputs: Sequence[Input],
        found: Sequence[Found],
        plan: Plan,
        forged: Sequence[Forged],
    ) -> Report:
        """Count what there is: `found` goes with `inputs`, `forged` with the plan's tasks."""
        path = {i.source.name: str(i.row["path"]) for i in inputs}
        missing = [Missing(path[f.name], "", f.reason, f.message) for f in found if f.reason]
        made = {record.name: record for record in forged}
        for f in found:
            losses = [*plan.without_donor.get(f.name, ())]
            losses += made[f.name].lost if f.name in made else ()
            missing += [Missing(path[f.name], e.family, e.reason, e.message) for e in losses]
        families = Counter(dict.fromkeys(settings.families, 0))
        families.update(m.family for record in forged for m in record.made)
        return cls(
            settings=settings,
            pictures=len(inputs),
            faces=sum(not f.reason for f in found),
            reals=sum(bool(record.real) for record in forged),
            forgeries=families,
            landmarks=Counter(str(f.source) for f in found if not f.reason),
            missing=missing,
        )

    def lines(self) -> list[str]:
        """The counts for a person."""
        told = [
            f"{self.pictures} real pictures, {self.faces} with a face; landmarks: "
            + (_counts(self.landmarks) or "none"),
            f"{self.forgeries.total()} forgeries beside {self.reals} reals: "
            + ", ".join(f"{name} {n}" for name, n in self.forgeries.items()),
        ]
        if self.landmarks["mean_shape"] and self.settings.landmarks == "mean_shape":
            told.append(
                "Landmarks are those of a mean face; better ones need: pip install "
                "'unmask[landmarks]'"
            )
        why = Counter((m.family, m.reason) for m in self.missing)
        for (family, reason), n in sorted(why.items(), key=lambda e: (-e[1], e[0])):
            what = f"forgeries by {family} were not made" if family else "pictures gave none"
            told.append(f"  {n} {what}: {REASONS[reason]} ({reason})")
        return told

    def as_dict(self) -> dict[str, Any]:
        """For JSON; the same run gives the same text."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "settings_sha256": self.settings.sha256,
            "versions": {
                "unmask": version("unmask"),
                "python": platform.python_version(),
                "numpy": np.__version__,
                "opencv": cv2.__version__,
                "torch": str(torch.__version__),
            },
            "pictures": self.pictures,
            "faces": self.faces,
            "reals": self.reals,
            "forgeries": dict(self.forgeries),
            "landmarks": dict(sorted(self.landmarks.items())),
            "reasons": dict(sorted(Counter(m.reason for m in self.missing).items())),
            "missing": [
                {"path": m.path, "family": m.family, "reason": m.reason, "message": m.message}
                for m in self.missing
            ],
        }


def write_report(out: Path, report: Report) -> None:
    """Write `synthesis.json`, whole or not at all."""
    replace_text(out / REPORT_FILE, json.dumps(report.as_dict(), indent=1) + "\n")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counter.items()))
