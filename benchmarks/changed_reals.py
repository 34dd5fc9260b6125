"""What the default model says of real faces after each perturbation that `unmask` knows.

    python benchmarks/changed_reals.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --runs runs --out benchmarks/results/changed_reals.json

Reals of the test split, as many of each source, changed by the milder levels of
`unmask.transforms.levels` and laundered as every scored picture is. Faces that are then unfit for a
verdict by their quality (too blurry, too dark or too small) are counted and not judged, as in a
scan.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from judged import Judge, add_options
from record import Record, arguments

from unmask.data.crops import MARGIN
from unmask.data.scoring import drawn_reals, perturbed, unchanged
from unmask.faces.quality import assess
from unmask.inference.verdict import QUALITY_REASONS, UNFIT
from unmask.metrics.ranking import auc
from unmask.transforms.levels import PERTURBATIONS
from unmask.types import UInt8Image

MOST = 50
"""Reals of each source."""
LEVELS = (1, 2, 3)


def is_fit(picture: UInt8Image) -> bool:
    """Whether a crop is good enough for a verdict."""
    found = assess(picture, picture.shape[0] / MARGIN)
    return not UNFIT & {QUALITY_REASONS[flag] for flag in found}


def of_split(judge: Judge, split: str) -> dict[str, Any]:
    """By perturbation and level."""
    chosen = drawn_reals(judge.crops, split, most=MOST)
    _, plain = judge.look(chosen, unchanged)
    labels = np.repeat([0, 1], len(chosen))
    rows = []
    for name, perturbation in PERTURBATIONS.items():
        for level in LEVELS:
            pictures, logits = judge.look(chosen, perturbed(name, level))
            fit = np.array([is_fit(picture) for picture in pictures])
            rows.append(
                {
                    "perturbation": name,
                    "level": level,
                    "parameters": dict(perturbation.levels[level - 1]),
                    "auc": auc(labels, np.r_[plain, logits]),
                    "fit": int(fit.sum()),
                    "flagged": int((judge.flagged(logits) & fit).sum()),
                }
            )
    return {"pictures": len(chosen), "rows": rows}


def main() -> None:
    parser = arguments(__doc__.split("\n")[0])
    add_options(parser)
    args = parser.parse_args()
    record = Record(seed=0)
    judge = Judge.of(args)
    splits = {"test": of_split(judge, "test")}
    record.write(args.out, {"weights_sha256": judge.card.weights_sha256, "splits": splits})


if __name__ == "__main__":
    main()
