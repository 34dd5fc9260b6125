"""The decision that goes into the card: fitted on validation reals and fakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np

from unmask.metrics.calibration import decision_parameters
from unmask.models.checkpoint import CLEAR_P, Decision
from unmask.training.module import Scores
from unmask.transforms.dct import log_bands

FPR = 0.01


def fit_decision_on(scores: Scores, families: Iterable[str]) -> Decision:
    """Thresholds from all validation reals and the fakes of the families that were trained on."""
    logits, real = scores["real"]
    names = sorted(families)
    fakes = np.concatenate([scores[name][0] for name in names])
    bands = np.stack([log_bands(view["native"]) for view in real.views])
    counts = ", ".join(f"{n} {source}" for source, n in sorted(Counter(real.sources).items()))
    return Decision(
        **decision_parameters(logits, fakes, bands, fpr=FPR, clear_p=CLEAR_P),
        measured_on=f"{len(logits)} real validation faces ({counts}) at JPEG quality 90",
        domain=f"validation faces of {counts}; fakes: {', '.join(names)}; JPEG quality 90",
    )
