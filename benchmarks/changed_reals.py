"""What the default model says of real faces after each perturbation that `unmask` knows.

    python benchmarks/changed_reals.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --runs runs --out benchmarks/results/changed_reals.json

Reals of the test split, as many of each source, changed by the milder levels of
`unmask.transforms.levels` and laundered as every scored picture is. Faces that are then unfit for a
verdict by their quality (too blurry, too dark or too small) are counted and not judged, as in a
scan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from record import Record, arguments
from torch import nn

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import Change, ScoringSet, scored_picture
from unmask.faces.quality import assess
from unmask.inference.settings import packaged_models
from unmask.inference.verdict import QUALITY_REASONS, UNFIT
from unmask.metrics.calibration import sigmoid
from unmask.metrics.ranking import auc
from unmask.models.checkpoint import Card, load_checkpoint
from unmask.models.efficientnet_lite import fold_norms
from unmask.training.module import score_sets
from unmask.transforms.levels import PERTURBATIONS
from unmask.transforms.preprocess import to_views

MOST = 50
"""Reals of each source."""
LEVELS = (1, 2, 3)
MARGIN = 1.3
"""Of a crop around its face."""


def changed(name: str, level: int) -> Change:
    return lambda image, points, rng: PERTURBATIONS[name](image, level, rng)


def drawn(crops: Crops, split: str) -> list[int]:
    """Places of `MOST` reals of each source, or all where there are fewer."""
    rng = np.random.default_rng(0)
    reals = np.array(crops.where(lambda item: item.split == split and item.label == 0))
    sources = np.array([crops.items[place].source for place in reals])
    chosen: list[int] = []
    for source in sorted(set(sources.tolist())):
        mine = reals[sources == source]
        chosen += rng.choice(mine, min(MOST, len(mine)), replace=False).tolist()
    return sorted(chosen)


class Judge:
    """A packaged model on crops."""

    def __init__(self, crops: Crops, model: nn.Module, card: Card) -> None:
        self.crops, self.model, self.card = crops, model, card

    def look(self, chosen: list[int], change: Change) -> tuple[Any, Any]:
        """Logits (N,), and which faces are fit for a verdict (N,)."""
        pictures = [scored_picture(self.crops, place, change) for place in chosen]
        fit = [
            not UNFIT & {QUALITY_REASONS[flag] for flag in assess(one, one.shape[0] / MARGIN)}
            for one in pictures
        ]
        views = [to_views(one, self.card.input) for one in pictures]
        sources = [self.crops.items[place].source for place in chosen]
        found = score_sets(
            self.model, [ScoringSet("seen", views, 0, sources, sources)], self.card.input
        )
        return found["seen"][0], np.array(fit)

    def of_split(self, split: str) -> dict[str, Any]:
        """By perturbation and level."""
        assert self.card.decision is not None
        chosen = drawn(self.crops, split)
        plain, _ = self.look(chosen, lambda image, points, rng: image)
        rows = []
        for name in PERTURBATIONS:
            for level in LEVELS:
                logits, fit = self.look(chosen, changed(name, level))
                labels = np.repeat([0, 1], len(chosen))
                flagged = sigmoid(logits) >= self.card.decision.flag
                rows.append(
                    {
                        "perturbation": name,
                        "level": level,
                        "parameters": dict(PERTURBATIONS[name].levels[level - 1]),
                        "auc": auc(labels, np.r_[plain, logits]),
                        "fit": int(fit.sum()),
                        "flagged": int((flagged & fit).sum()),
                    }
                )
        return {"pictures": len(chosen), "rows": rows}


def main() -> None:
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--fakes", action="append", default=[], metavar="GENERATOR=INDEX")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="its cache has the crops")
    parser.add_argument("--model", type=Path, help="weights instead of the packaged ones")
    args = parser.parse_args()
    record = Record(seed=0)
    fakes = {name: Path(path) for name, path in pairs("--fakes", args.fakes)}
    crops = prepare_crops(read_items_with(args.index, fakes), args.runs / "cache")
    model, card = load_checkpoint(args.model or packaged_models()["unmask-default"])
    fold_norms(model)  # as in a scan
    judge = Judge(crops, model, card)
    splits = {"test": judge.of_split("test")}
    record.write(args.out, {"weights_sha256": card.weights_sha256, "splits": splits})


if __name__ == "__main__":
    main()
