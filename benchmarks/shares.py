"""What a network and a head on frozen features should count in the default model.

    python benchmarks/shares.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --backbone-weights lite0.safetensors --out benchmarks/results/shares.json

Scores the members of the models in `benchmarks/default_model.py` that never saw a fold's families,
on the validation split, and averages their standardised logits with several shares. The share is
chosen here, on families left out of training, so that the test split takes no part in it. The
members of the default itself are averaged, too: what that costs on families trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from default_model import DEFAULT, LEFT_OUT, PROBE, SECOND, Parts
from record import Record, arguments

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import scoring_sets
from unmask.metrics.ranking import auc, tpr_at_fpr
from unmask.models.checkpoint import load_checkpoint
from unmask.models.efficientnet_lite import fold_norms
from unmask.training.config import load_config
from unmask.training.module import Scores, reals_beside, score_sets

SHARES = (0.0, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0)
"""Of the head on frozen features."""


def scores(weights: Path, crops: Crops, families: list[str]) -> Scores:
    """Logits of the validation reals and some families, on a scale where the reals are standard."""
    model, card = load_checkpoint(weights)
    fold_norms(model)
    sets = scoring_sets(crops, card.input, "val", forged=False, controls={}, families=families)
    found = score_sets(model, [s for s in sets if s.name in ("real", *families)], card.input)
    reals = found["real"][0]
    return {
        name: ((logits - reals.mean()) / reals.std(), item)
        for name, (logits, item) in found.items()
    }


def averaged(
    network: Scores, head: Scores, families: list[str], beside: Mapping[str, Any]
) -> dict[str, Any]:
    """Per family and share: AUC, and the fakes found at 1% of the reals beside them."""
    result: dict[str, Any] = {}
    for family in families:
        rows = {}
        for share in SHARES:
            both = {
                name: ((1 - share) * network[name][0] + share * head[name][0], network[name][1])
                for name in ("real", family)
            }
            reals, _ = reals_beside(both, family, beside)
            fakes = both[family][0]
            labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
            values = np.r_[reals, fakes]
            rows[f"{share:g}"] = {
                "auc": auc(labels, values),
                "tpr_at_1pct_fpr": tpr_at_fpr(labels, values, 0.01),
            }
        result[family] = rows
    return result


def means(table: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Of all families, per share; and the worst AUC."""
    return {
        share: {
            "mean_auc": float(np.mean([row[share]["auc"] for row in table.values()])),
            "worst_auc": float(min(row[share]["auc"] for row in table.values())),
            "mean_tpr": float(np.mean([row[share]["tpr_at_1pct_fpr"] for row in table.values()])),
        }
        for share in next(iter(table.values()))
    }


def main() -> None:
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--fakes", action="append", default=[], metavar="GENERATOR=INDEX")
    parser.add_argument("--backbone-weights", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    args = parser.parse_args()
    record = Record(seed=0)
    fakes = {name: Path(path) for name, path in pairs("--fakes", args.fakes)}
    parts = Parts(args.index, fakes, args.backbone_weights, args.runs)
    data = load_config(DEFAULT).data
    crops = prepare_crops(read_items_with(args.index, fakes), args.runs / "cache")
    left_out: dict[str, Any] = {}
    for fold in sorted(LEFT_OUT.glob("*.yaml")):
        trained_on = load_config(fold).data.families
        lacking = [family for family in data.families if family not in trained_on]
        both = (parts.trained(fold), parts.head_without(fold, crops))
        left_out |= averaged(*(scores(path, crops, lacking) for path in both), lacking, data.beside)
    families = list(data.families)
    both = (parts.trained(SECOND), parts.trained(PROBE))
    trained = averaged(*(scores(path, crops, families) for path in both), families, data.beside)
    results = {
        "split": "val",
        "share_of": "the head on frozen features",
        "left_out": {"mean": means(left_out), "families": left_out},
        "trained_on": {"mean": means(trained), "families": trained},
    }
    record.write(args.out, results)


if __name__ == "__main__":
    main()
