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
    """Thresholds from all validation reals and the fakes of the families that were trained on.

    The reals count as they are and under each control (re-encoded, blurred, grid-shifted): none
    of these may be flagged more often than `FPR`.
    """
    conditions = [item for _, item in scores.values() if item.label == 0]
    names = sorted(families)
    bands = np.stack([log_bands(view["native"]) for item in conditions for view in item.views])
    real = scores["real"][1]
    counts = ", ".join(f"{n} {source}" for source, n in sorted(Counter(real.sources).items()))
    controls = ", ".join(item.name.removeprefix("real/") for item in conditions[1:])
    return Decision(
        **decision_parameters(
            {item.name: scores[item.name][0] for item in conditions},
            np.concatenate([scores[name][0] for name in names]),
            bands,
            fpr=FPR,
            clear_p=CLEAR_P,
        ),
        measured_on=f"{len(real.views)} real validation faces ({counts}), JPEG quality 90; the "
        f"worst of: as they are, {controls}",
        domain=f"validation faces of {', '.join(sorted(set(real.sources)))}; fakes by "
        f"{', '.join(names)}; JPEG quality 90",
    )
