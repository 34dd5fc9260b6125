"""How much more than the mean the default model's expert has to see to be heard.

    python benchmarks/expert_margin.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --backbone-weights lite0.safetensors --runs runs --out benchmarks/results/expert_margin.json

The parts are those of `benchmarks/default_model.py`, trained unless they are in `--runs`. On the
validation split alone: what the expert says of every family, and, by its margin, the AUC of the
families that it knows, of those that the other members were trained on, and of those left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from default_model import DEFAULT, EXPERT, LEFT_OUT, PROBE, SECOND, SHARES, Parts
from record import Record, arguments

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import ScoringSet, scoring_sets
from unmask.metrics.ranking import auc, tpr_at_fpr
from unmask.models.checkpoint import load_checkpoint, read_card
from unmask.models.efficientnet_lite import fold_norms
from unmask.training.card import families_of
from unmask.training.config import load_config
from unmask.training.fuse import Member, balanced
from unmask.training.module import Scores, reals_beside, score_sets

MARGINS = (None, 2.0, 1.5, 1.0, 0.75, 0.5, 0.25, 0.0)
"""None: without the expert."""


def said(weights: Path, sets: Sequence[ScoringSet]) -> tuple[Member, Scores]:
    """A network, and its logits of all sets."""
    member = Member(*load_checkpoint(weights))
    fold_norms(member.network)  # as in a scan
    return member, score_sets(member.network, sets, member.card.input)


def together(found: Sequence[tuple[Member, Scores]], margin: float | None) -> Scores:
    """What an ensemble says: of two members, and of the expert that is last unless margin is None.

    Args:
        found: the members' logits by set.
    """
    if margin is None:
        found = found[:-1]
    parts = [one._replace(share=share) for (one, _), share in zip(found, SHARES, strict=False)]
    if margin is not None:
        parts.append(found[-1][0]._replace(margin=margin))
    reals = [scores["real"][0] for _, scores in found]
    weights, bias, offsets = balanced(reals, parts)
    scored: Scores = {}
    for name, (_, items) in found[0][1].items():
        each = [w * scores[name][0] for w, (_, scores) in zip(weights, found, strict=True)]
        mean = np.sum(each[: len(SHARES)], axis=0) + bias
        raised = [mine + offset for mine, offset in zip(each[len(SHARES) :], offsets, strict=True)]
        scored[name] = np.max([mean, *raised], axis=0), items
    return scored


def of_family(scores: Scores, family: str, beside: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """AUC, and the share found where 1% of the reals beside them are flagged."""
    reals, _ = reals_beside(scores, family, beside)
    fakes, _ = scores[family]
    labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
    values = np.r_[reals, fakes]
    return {"auc": auc(labels, values), "tpr_at_1pct_fpr": tpr_at_fpr(labels, values, 0.01)}


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


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
    crops = prepare_crops(read_items_with(args.index, fakes), args.runs / "cache")
    record.write(args.out, measured(parts, crops))


def measured(parts: Parts, crops: Crops) -> dict[str, Any]:
    """All results."""
    data = load_config(DEFAULT).data
    families, beside = list(data.families), data.beside
    expert_path = parts.trained(EXPERT)
    sets = scoring_sets(
        crops, read_card(expert_path).input, "val", forged=False, controls={}, families=families
    )
    sets = [one for one in sets if one.name in ("real", *families)]
    expert = said(expert_path, sets)
    alone = {name: of_family(expert[1], name, beside) for name in families}
    known = families_of(expert[0].card)
    whole = [said(parts.trained(SECOND), sets), said(parts.trained(PROBE), sets), expert]
    lacking = {}
    for path in sorted(LEFT_OUT.glob("*.yaml")):
        trained = load_config(path).data.families
        unseen = [name for name in families if name not in trained and name not in known]
        some = [one for one in sets if one.name in ("real", *unseen)]
        pair = [said(parts.trained(path), some), said(parts.head_without(path, crops), some)]
        lacking[path.stem] = (unseen, [*pair, expert])
    rows = []
    for margin in MARGINS:
        scores = together(whole, margin)
        inside = {name: of_family(scores, name, beside) for name in families}
        outside = {}
        for unseen, found in lacking.values():
            scores = together(found, margin)
            outside |= {name: of_family(scores, name, beside) for name in unseen}
        rows.append(
            {
                "margin": margin,
                "expert": mean_of([inside[name] for name in families if name in known]),
                "trained_on": mean_of([inside[name] for name in families if name not in known]),
                "left_out": mean_of(list(outside.values())),
                "families_left_out": outside,
            }
        )
    return {
        "split": "val",
        "shares": list(SHARES),
        "expert_knows": sorted(known),
        "expert_alone": alone,
        "margins": rows,
    }


if __name__ == "__main__":
    main()
