"""How much more than the mean the default model's expert has to see to be heard, and how steeply.

    python benchmarks/expert_margin.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --backbone-weights lite0.safetensors --runs runs --out benchmarks/results/expert_margin.json

The parts are those of `benchmarks/default_model.py`, trained unless they are in `--runs`. On the
validation split alone: what the expert says of every family, and, by its slope and margin, how well
the families are known that it knows, those that the other members were trained on, and those left
out; and what the expert by itself says of reals of each source, were sources not erased from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from default_parts import DEFAULT, EXPERT, LEFT_OUT, MEMBERS, SHARES, Parts
from record import Record, arguments, command

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import DAILY, ScoringSet, reals_of, scoring_sets
from unmask.metrics.calibration import threshold_at_fpr
from unmask.metrics.ranking import auc, tpr_at_fpr
from unmask.models.checkpoint import load_checkpoint, read_card
from unmask.models.efficientnet_lite import fold_norms
from unmask.training.card import families_of
from unmask.training.config import load_config
from unmask.training.decision import FPR, SOURCE_FPR, by_source
from unmask.training.erasure import untrained
from unmask.training.members import Member, balanced
from unmask.training.module import Scores, reals_beside, score_sets
from unmask.training.run import train_on

HELD_BACK = (
    None,
    *((1.0, margin) for margin in (1.0, 0.75, 0.5, 0.25, 0.0)),
    *((1.5, margin) for margin in (1.5, 1.0, 0.5)),
    *((2.0, margin) for margin in (2.5, 2.0, 1.5)),
    *((3.0, margin) for margin in (4.0, 3.0, 2.0)),
)
"""Slope and margin, see `unmask.training.members.Member`; None: without the expert."""


MOST = 10_000
"""Reals of a source that are looked at: all of them."""


def said(weights: Path, sets: Sequence[ScoringSet]) -> tuple[Member, Scores]:
    """A network, and its logits of all sets."""
    member = Member(*load_checkpoint(weights))
    fold_norms(member.network)  # as in a scan
    return member, score_sets(member.network, sets, member.card.input)


def together(
    found: Sequence[tuple[Member, Scores]], held_back: tuple[float, float] | None
) -> Scores:
    """What an ensemble says: of two members, and of the expert that is last.

    Args:
        found: the members' logits by set.
        held_back: the expert's slope and margin; None without it.
    """
    if held_back is None:
        found = found[:-1]
    parts = [one._replace(share=share) for (one, _), share in zip(found, SHARES, strict=False)]
    if held_back is not None:
        slope, margin = held_back
        parts.append(found[-1][0]._replace(slope=slope, margin=margin))
    reals = [scores["real"][0] for _, scores in found]
    weights, bias, offsets = balanced(reals, parts)
    scored: Scores = {}
    for name, (_, items) in found[0][1].items():
        each = [w * scores[name][0] for w, (_, scores) in zip(weights, found, strict=True)]
        mean = np.sum(each[: len(SHARES)], axis=0) + bias
        raised = [mine + offset for mine, offset in zip(each[len(SHARES) :], offsets, strict=True)]
        scored[name] = np.max([mean, *raised], axis=0), items
    return scored


def of_family(
    scores: Scores, family: str, beside: Mapping[str, Sequence[str]], flag: float
) -> dict[str, float]:
    """AUC, the share found where 1% of the reals beside them are flagged, and that at the flag."""
    reals, _ = reals_beside(scores, family, beside)
    fakes, _ = scores[family]
    labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
    values = np.r_[reals, fakes]
    return {
        "auc": auc(labels, values),
        "tpr_at_1pct_fpr": tpr_at_fpr(labels, values, 0.01),
        "flagged": float(np.mean(fakes >= flag)),
    }


def flag_of(scores: Scores) -> float:
    """The logit from which on a scan would flag."""
    conditions = {name: found for name, found in scores.items() if found[1].label == 0}
    return max(
        *(threshold_at_fpr(logits, FPR) for logits, _ in conditions.values()),
        *(threshold_at_fpr(logits, SOURCE_FPR) for logits in by_source(conditions).values()),
    )


def families_in(
    scores: Scores, families: Sequence[str], beside: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    flag = flag_of(scores)
    return {name: of_family(scores, name, beside, flag) for name in families}


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
        crops,
        read_card(expert_path).input,
        "val",
        forged=False,
        controls=DAILY,
        families=families,
    )
    expert = said(expert_path, sets)
    known = families_of(expert[0].card)
    whole = [*(said(parts.trained(part), sets) for part in MEMBERS), expert]
    lacking = {}
    for path in sorted(LEFT_OUT.glob("*.yaml")):
        trained = load_config(path).data.families
        unseen = [name for name in families if name not in trained and name not in known]
        some = [one for one in sets if one.label == 0 or one.name in unseen]
        pair = [said(parts.trained(path), some), said(parts.head_without(path, crops), some)]
        lacking[path.stem] = (unseen, [*pair, expert])
    rows = []
    for held_back in HELD_BACK:
        inside = families_in(together(whole, held_back), families, beside)
        outside = {}
        for unseen, found in lacking.values():
            outside |= families_in(together(found, held_back), unseen, beside)
        slope, margin = held_back or (None, None)
        rows.append(
            {
                "slope": slope,
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
        "expert_alone": families_in(expert[1], families, beside),
        "held_back": rows,
        "other_sources": other_sources(parts, crops),
    }


def other_sources(parts: Parts, crops: Crops) -> dict[str, Any]:
    """What the expert says of reals of sources that it never saw, were these not erased from it.

    In deviations of the validation reals of the sources that it saw. The other sources' training
    reals count, too: it was not trained on them.
    """
    config = load_config(EXPERT)
    plain = config.model_copy(
        update={
            "name": "expert-with-sources",
            "backbone_weights": parts.backbone_weights,
            "optim": config.optim.model_copy(update={"erase_sources": False}),
        }
    )
    cache = parts.runs / "cache"
    path = train_on(
        plain, crops, out=parts.runs / plain.name, cache=cache, command=command(), resume=True
    )
    model, card = load_checkpoint(path)
    held = reals_of(crops, card.input, "val", most=MOST)
    others = untrained(config.data, set(held.sources))
    trained = replace(
        reals_of(crops, card.input, "train", most=MOST, sources=others), name="trained"
    )
    scores = score_sets(model, [held, trained], card.input)
    logits, sources = scores["real"][0], np.array(held.sources)
    seen = logits[~np.isin(sources, list(others))]
    centre, spread = float(seen.mean()), float(seen.std())
    flag = threshold_at_fpr(seen, FPR)
    rows = []
    for source in sorted(set(held.sources)):
        mine = logits[sources == source]
        if source in others:
            mine = np.r_[mine, scores["trained"][0][np.array(trained.sources) == source]]
        rows.append(
            {
                "source": source,
                "seen": source not in others,
                "n": len(mine),
                "mean": float(mine.mean() - centre) / spread,
                "deviation": float(mine.std()) / spread,
                "above": float(np.mean(mine >= flag)),
            }
        )
    return {"fpr": FPR, "rows": rows}


if __name__ == "__main__":
    main()
