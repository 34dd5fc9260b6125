"""The default model: in family, on families left out of training, and on reals that must pass.

    unmask synthesize INDEX.csv forged --family all --seed 0
    python benchmarks/default_model.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --backbone-weights lite0.safetensors --people london/people.csv \
        --out benchmarks/results/default_model.json

Trains what is not yet trained in `--runs`: the parts of the default model, and those of a model
like it per file of `configs/left_out`, without the families named there; and fuses them. The
families that only the expert knows are left out with the expert. Scores the
validation split, on which the decision was fitted, and the test split. With `--install` the default
model and its card, with these results in it, go into the package. `--config
configs/permissive.yaml` measures that model instead, without models of left-out families.
`--left-out-from JSON` takes what was measured of these models from an earlier result instead of
training them again: for when `configs/left_out` is what it was.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
from default_parts import DEFAULT, LEFT_OUT, Parts
from record import ROOT, Record, arguments, command

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import DAILY, Change, ScoringSet, scoring_sets
from unmask.inference.calibration import distances_from, verdict_of
from unmask.metrics.bootstrap import bootstrap_interval, wilson
from unmask.metrics.calibration import brier, expected_calibration_error, sigmoid
from unmask.metrics.ranking import auc, equal_error_rate, tpr_at_fpr
from unmask.models.checkpoint import Card, Decision, load_checkpoint, read_card, write_card
from unmask.models.efficientnet_lite import fold_norms
from unmask.results import Verdict
from unmask.training.card import families_of
from unmask.training.config import TrainConfig, load_config
from unmask.training.module import Embeddings, Scores, embed_sets, reals_beside
from unmask.transforms.perturb import gaussian_noise

PACKAGED = ROOT / "src/unmask/weights"
LEAST = 20
"""A rate of fewer pictures is "not measured"."""
STRANGE: dict[str, Change] = {
    "strange/negative": lambda image, points, rng: 255 - image,
    "strange/upside-down": lambda image, points, rng: image[::-1].copy(),
    "strange/four-levels": lambda image, points, rng: (image // 64 * 85).astype(np.uint8),
    "strange/noise": lambda image, points, rng: gaussian_noise(image, 40, rng),
}
"""What a face in a photograph is not: how much of it is taken for unfamiliar."""
SIDES = (0, 230, 260, 10_000)
"""Crops are counted by their side in pixels, between these."""


def ranked(scores: Scores, family: str, beside: Mapping[str, Any]) -> dict[str, Any]:
    """AUC with its interval (bootstrap by identity), EER and TPR at 1% FPR of one family."""
    fakes, item = scores[family]
    reals, people = reals_beside(scores, family, beside)
    labels = np.r_[np.zeros(len(reals)), np.ones(len(fakes))]
    values = np.r_[reals, fakes]
    interval = bootstrap_interval(
        lambda ix: auc(labels[ix], values[ix]),
        [f"real/{p}" for p in people] + [f"fake/{p}" for p in item.identities],
        strata=labels.tolist(),
    )
    return {
        "auc": auc(labels, values),
        "ci95": interval,
        "eer": equal_error_rate(labels, values),
        "tpr_at_1pct_fpr": tpr_at_fpr(labels, values, 0.01),
        "reals": len(reals),
        "fakes": len(fakes),
    }


def share_flagged(logits: np.ndarray, flag: float) -> dict[str, Any]:
    """Share of reals at or above the flag threshold, with Wilson's interval."""
    alarms = int((sigmoid(logits) >= flag).sum())
    return {"flagged": alarms, "n": len(logits), "fpr": alarms / len(logits),
            "ci95": wilson(alarms, len(logits))}  # fmt: skip


def verdicts(scores: Scores, families: Sequence[str], decision: Decision) -> dict[str, Any]:
    """Share of each set by what its scores alone say: reals, also changed ones, and fakes."""
    found = {}
    for name in ("real", *DAILY, *families):
        said = [
            verdict_of(score, decision, reliable=True)
            for score in sigmoid(scores[name][0]).tolist()
        ]
        found[name] = {verdict: said.count(verdict) / len(said) for verdict in get_args(Verdict)}
    return found


def alarms(scores: Scores, flag: float) -> dict[str, Any]:
    """How many reals are flagged: as they are, by source, and under each control."""
    logits, real = scores["real"]
    return {
        "all": share_flagged(logits, flag),
        "by_source": by_group(logits, real.sources, flag),
        "controls": {name: share_flagged(scores[name][0], flag) for name in DAILY},
        "controls_by_source": {
            name: by_group(scores[name][0], scores[name][1].sources, flag) for name in DAILY
        },
    }


def by_group(logits: np.ndarray, groups: Sequence[str], flag: float) -> dict[str, Any]:
    """`share_flagged` of each group."""
    names = np.array(groups)
    return {g: share_flagged(logits[names == g], flag) for g in sorted(set(groups))}


def groups(
    scores: Scores, flag: float, sides: Sequence[int], people: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Reals flagged by the crop's size, and by what the London Set's people say of themselves."""
    logits, real = scores["real"]
    size = [
        next(f"{low} to {high - 1} px" for low, high in pairwise(SIDES)
             if low <= side < high)
        for side in sides
    ]  # fmt: skip
    found = {"crop_side": by_group(logits, size, flag)}
    known = [i for i, name in enumerate(real.identities) if name in people]
    for kind in ("gender", "ethnicity"):
        said = [people[real.identities[i]][kind] for i in known]
        rates = by_group(logits[known], said, flag) if known else {}
        found[kind] = {g: r if r["n"] >= LEAST else f"not measured: {r['n']} pictures"
                       for g, r in rates.items()}  # fmt: skip
    return found


def read_people(path: Path | None) -> dict[str, dict[str, str]]:
    """identity of the index -> gender and ethnicity, from the London Set's table."""
    if path is None:
        return {}
    with path.open(encoding="utf-8") as file:
        return {
            f"london/{row['face_id']}": {"gender": row["face_gender"], "ethnicity": row["face_eth"]}
            for row in csv.DictReader(file)
        }


def source_control(scores: Scores) -> dict[str, float]:
    """AUC of each source's reals against the other reals: 0.5 when sources are not told apart."""
    logits, real = scores["real"]
    sources = np.array(real.sources)
    return {s: auc((sources == s).astype(int), logits) for s in sorted(set(real.sources))}


def change_control(scores: Scores) -> dict[str, float]:
    """AUC of changed reals against the same as they are: 0.5 when no change looks like a fake."""
    plain = scores["real"][0]
    labels = np.r_[np.zeros(len(plain)), np.ones(len(plain))]
    return {name: auc(labels, np.r_[plain, scores[name][0]]) for name in DAILY}


def calibration(scores: Scores, card: Card, families: list[str]) -> dict[str, float]:
    """ECE and Brier score of the calibrated probability, both classes weighing the same."""
    assert card.decision is not None
    reals = scores["real"][0]
    fakes = np.concatenate([scores[name][0] for name in families])
    n = min(len(reals), len(fakes))
    rng = np.random.default_rng(0)
    logits = np.r_[rng.choice(reals, n, replace=False), rng.choice(fakes, n, replace=False)]
    labels = np.r_[np.zeros(n), np.ones(n)]
    p = sigmoid(card.decision.slope * logits + card.decision.bias)
    return {"ece": expected_calibration_error(labels, p), "brier": brier(labels, p), "n": 2 * n}


def scored(weights: Path, sets: Sequence[ScoringSet]) -> tuple[Scores, Embeddings, Card]:
    """Logits and embeddings of all sets by a model, and its card."""
    model, card = load_checkpoint(weights)
    fold_norms(model)  # as in a scan
    return *embed_sets(model, sets, card.input), card


def unfamiliar(embeddings: Embeddings, card: Card) -> dict[str, float] | None:
    """Share of each set whose features lie beyond the limit; None where the card has none."""
    if card.decision is None or card.decision.features is None:
        return None
    known = card.decision.features
    return {
        name: float((distances_from(known, found) > known.limit).mean())
        for name, found in embeddings.items()
    }


def measured(
    config: TrainConfig,
    crops: Crops,
    split: str,
    weights: Path,
    left_out: Mapping[str, Path],
    people: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Everything of one split."""
    families, beside = list(config.data.families), config.data.beside
    controls = {**DAILY, **STRANGE}
    sets = scoring_sets(
        crops, read_card(weights).input, split, forged=False, controls=controls, families=families
    )
    scores, embeddings, card = scored(weights, sets)
    assert card.decision is not None
    flag = card.decision.flag
    unseen: dict[str, Any] = {
        name: {"model": card.name, **ranked(scores, name, beside)}
        for name, (_, item) in scores.items()
        if item.label and name not in families
    }
    for fold, path in left_out.items():
        trained_on = families_of(read_card(path))
        lacking = [family for family in families if family not in trained_on]
        other, _, _ = scored(path, [one for one in sets if one.name in ("real", *lacking)])
        for family in lacking:
            unseen[family] = {"model": f"without {fold}", **ranked(other, family, beside)}
    reals = crops.where(lambda item: item.split == split and item.label == 0)
    sides = [crops.image(index).shape[0] for index in reals]
    return {
        "in_family": {
            name: {**ranked(scores, name, beside),
                   "flagged": float((sigmoid(scores[name][0]) >= flag).mean())}
            for name in families
        },
        "left_out_family": unseen,
        "verdicts": verdicts(scores, families, card.decision),
        "reals_flagged": alarms(scores, flag),
        "reals_flagged_by_group": groups(scores, flag, sides, people),
        "source_against_source_auc": source_control(scores),
        "change_against_none_auc": change_control(scores),
        "calibration": calibration(scores, card, families),
        "unfamiliar": unfamiliar(embeddings, card),
    }  # fmt: skip


def is_default(config: Path) -> bool:
    """Whether a configuration is that of the model in the package."""
    return config.resolve() == DEFAULT.resolve()


def main() -> None:
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--fakes", action="append", default=[], metavar="GENERATOR=INDEX")
    parser.add_argument("--backbone-weights", type=Path)
    parser.add_argument("--config", type=Path, default=DEFAULT)
    parser.add_argument("--left-out-from", type=Path, help="an earlier result of this benchmark")
    parser.add_argument("--people", type=Path, help="the London Set's table of people")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--install", action="store_true", help="put the model into the package")
    args = parser.parse_args()
    if args.left_out_from and not is_default(args.config):
        parser.error("--left-out-from is of models without some of the default's families")
    record = Record(seed=0)
    fakes = {name: Path(path) for name, path in pairs("--fakes", args.fakes)}
    parts = Parts(args.index, fakes, args.backbone_weights, args.runs)
    config = load_config(args.config)
    weights = parts.default() if is_default(args.config) else parts.trained(args.config)
    earlier = json.loads(args.left_out_from.read_text("utf-8")) if args.left_out_from else None
    whole = is_default(args.config) and earlier is None
    folds = sorted(LEFT_OUT.glob("*.yaml")) if whole else []
    crops = prepare_crops(read_items_with(args.index, fakes), args.runs / "cache")
    left_out = {path.stem: parts.without(path, crops) for path in folds}
    if whole:
        left_out["expert"] = parts.without_expert(crops)
    people = read_people(args.people)
    decision = read_card(weights).decision
    assert decision is not None
    results: dict[str, Any] = {
        "families": list(config.data.families),
        "splits": {
            split: measured(config, crops, split, weights, left_out, people)
            for split in ("val", "test")
        },
        "threshold": {"flag": decision.flag, "clear": decision.clear},
    }
    if earlier is not None:
        for split, found in results["splits"].items():
            found["left_out_family"] |= earlier["results"]["splits"][split]["left_out_family"]
        results["left_out_from"] = {key: earlier[key] for key in ("command", "commit", "date")}
    record.write(args.out, results)
    if args.install:
        install(weights, results)


def install(weights: Path, results: dict[str, Any]) -> None:
    """Copy the model into the package, with the benchmark's results in its card.

    The thresholds were fitted on the validation split; the error rate that every result states is
    that of the test split, under the worst condition.
    """
    packaged = PACKAGED / weights.name
    shutil.copyfile(weights, packaged)
    card = read_card(weights)
    assert card.decision is not None
    flagged = results["splits"]["test"]["reals_flagged"]
    conditions = {"as they are": flagged["all"], **flagged["controls"]}
    name, worst = max(conditions.items(), key=lambda item: item[1]["fpr"])
    sources = ", ".join(f"{e['n']} {source}" for source, e in flagged["by_source"].items())
    decision = card.decision.model_copy(
        update={
            "fpr_at_flag": worst["fpr"],
            "ci95": tuple(worst["ci95"]),
            "measured_on": f"{worst['n']} real test faces in stills ({sources}), JPEG quality 90, "
            f"under the worst of {len(conditions)} conditions: {name.removeprefix('real/')}",
        }
    )
    changed = {"metrics": {"command": command(), **results}, "decision": decision}
    write_card(packaged, card.model_copy(update=changed))


if __name__ == "__main__":
    main()
