"""The decision that goes into the card: fitted on validation reals and fakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from unmask.metrics.calibration import decision_parameters
from unmask.metrics.features import feature_parameters
from unmask.models.checkpoint import CLEAR_P, Decision, FeatureDomain
from unmask.training.module import Embeddings, Scores
from unmask.transforms.dct import log_bands

FPR = 0.01
"""Allowed of all reals under every condition."""
SOURCE_FPR = 0.02
"""Allowed of the reals of each source under every condition."""
LEAST = 50
"""Sources with fewer reals than this count together: one of 50 is 2%."""

LEAST_FAMILIAR = 200
"""Of fewer reals nobody can say which features one in 200 others would have."""


def fit_decision_on(
    scores: Scores, families: Iterable[str], embeddings: Embeddings | None = None
) -> Decision:
    """Thresholds from all validation reals and the fakes of the families that were trained on.

    The reals count as they are and under each control (re-encoded, blurred, resized, ...): none of
    these may be flagged more often than `FPR`, and of no source more than `SOURCE_FPR`.

    Args:
        scores: of all sets of the validation split.
        families: those that were trained on.
        embeddings: of the same sets; which features are familiar is not known without, or with
            fewer than `LEAST_FAMILIAR` reals.
    """
    conditions = [item for _, item in scores.values() if item.label == 0]
    names = sorted(families)
    bands = np.stack([log_bands(view["native"]) for item in conditions for view in item.views])
    real = scores["real"][1]
    counts = ", ".join(f"{n} {source}" for source, n in sorted(Counter(real.sources).items()))
    controls = ", ".join(item.name.removeprefix("real/") for item in conditions[1:])
    return Decision(
        features=None if embeddings is None else familiar(scores, names, embeddings),
        **decision_parameters(
            {item.name: scores[item.name][0] for item in conditions},
            np.concatenate([scores[name][0] for name in names]),
            bands,
            fpr=FPR,
            clear_p=CLEAR_P,
            parts=by_source({item.name: scores[item.name] for item in conditions}),
            part_fpr=SOURCE_FPR,
        ),
        measured_on=f"{len(real.views)} real validation faces ({counts}), JPEG quality 90; the "
        f"worst of: as they are, {controls}; of no source more than {SOURCE_FPR:.0%}",
        domain=f"validation faces of {', '.join(sorted(set(real.sources)))}; fakes by "
        f"{', '.join(names)}; JPEG quality 90",
    )


def familiar(
    scores: Scores, families: Sequence[str], embeddings: Embeddings
) -> FeatureDomain | None:
    """Where the reals under all conditions and the fakes lie; None of too few reals."""
    reals = [item for _, item in scores.values() if item.label == 0]
    fakes = [scores[name][1] for name in families]
    if len(scores["real"][1].identities) < LEAST_FAMILIAR:
        return None
    return FeatureDomain(
        **feature_parameters(
            np.concatenate([embeddings[item.name] for item in reals]),
            np.concatenate([embeddings[item.name] for item in fakes]),
            [person for item in reals for person in item.identities],
            [person for item in fakes for person in item.identities],
        )
    )


def by_source(conditions: Scores) -> dict[str, NDArray[np.float64]]:
    """condition/source -> its logits; sources with fewer than `LEAST` reals together.

    Where even those together are fewer they decide nothing: so few show no rate.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for name, (logits, item) in conditions.items():
        counts = Counter(item.sources)
        group = np.array([s if counts[s] >= LEAST else "(others)" for s in item.sources])
        for source in sorted(set(group.tolist())):
            if (chosen := group == source).sum() >= LEAST:
                found[f"{name}/{source}"] = logits[chosen]
    return found
