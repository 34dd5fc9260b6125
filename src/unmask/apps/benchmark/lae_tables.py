"""Tables of an LAE comparison: how good the maps are, and how good the decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from unmask.apps.benchmark.lae_maps import BEFORE, FIXED, MEASURES, maps_path, read_maps
from unmask.errors import ShapeError, UnmaskError
from unmask.evaluation.comparison.draws import INTERVALS, Areas, Draws
from unmask.evaluation.comparison.measured import DECISIONS, LOCALIZATION, MeasuredFile
from unmask.evaluation.comparison.paired import p_values
from unmask.evaluation.comparison.scores import read_facts, read_items, read_scores
from unmask.evaluation.comparison.sets import draws_of, members_of, set_names
from unmask.evaluation.comparison.verify import differences

Floats = NDArray[np.float64]
Pairs = Sequence[tuple[str, str]]
Rows = Mapping[tuple[str, str], Mapping[str, Sequence[Floats]]]
"""(set, measure) -> arm -> a row (D + 1,) per seed."""

CONTROLS = (BEFORE, FIXED)
DRAWS, LEVEL = 2000, 0.95
THRESHOLDS = ("zero", "validation", "fpr_5_percent")
MAPS_ABOUT = (
    "Per test picture, averaged over pictures and seeds. iou: of the map, normalised as "
    "configured, at the threshold of the best mean IoU on validation fakes; pixel_ap, "
    "pointing_game (no tolerance), energy_in_mask: of fakes with a mask; mask_share: the mask's "
    "share of the picture, which a map without information gets in all but the IoU. "
    "energy_of_reals and energy_of_fakes: mean of the map as it is; reals_marked: share of reals "
    "whose map, as it is, reaches the threshold anywhere. "
    f"{BEFORE} is the same network before stage 2, {FIXED} the mean of the training masks for all "
    "pictures."
)
DECISIONS_ABOUT = (
    "Frames. auc: of the scores, at no threshold. accuracy: share of right decisions; "
    "balanced_accuracy: mean of the shares among reals and among fakes. A score at or above the "
    "threshold is called fake. zero: logit 0, where the larger half of the latent wins; "
    "validation: the best balanced accuracy on validation; fpr_5_percent: 5% of the validation "
    "reals reach it."
)


def best_balanced_threshold(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The threshold of the best balanced accuracy: a score >= it is called fake.

    Half way between two neighbouring scores; of equally good ones the middle one.

    Args:
        logits: (N,) of validation. labels: (N,) 0 real, 1 fake.

    Raises:
        ShapeError: a class is missing.

    >>> best_balanced_threshold(np.array([-1.0, 0.0, 2.0, 3.0]), np.array([0, 0, 1, 1]))
    1.0
    """
    reals, fakes = np.sort(logits[labels == 0]), np.sort(logits[labels == 1])
    if not len(reals) or not len(fakes):
        raise ShapeError("A threshold needs scores of both classes.")
    values = np.unique(logits)
    between = (values[1:] + values[:-1]) / 2
    candidates = np.concatenate([values[:1], between, values[-1:] + 1.0])
    below = np.searchsorted(reals, candidates) / len(reals)
    missed = np.searchsorted(fakes, candidates) / len(fakes)
    gain = below - missed
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return float(candidates[best[(len(best) - 1) // 2]])


def write_lae_tables(out: Path, arms: Sequence[str], seeds: Sequence[int], pairs: Pairs) -> None:
    """Write OUT/localization.json and OUT/decisions.json from the files of the runs alone.

    Args:
        out: folder of the comparison.
        arms, seeds: all of them done.
        pairs: arms that are compared: first less second.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    for name, made in _made(out, arms, seeds, pairs).items():
        made.write(out / name)


def verify_lae(out: Path) -> list[str]:
    """Where both files differ from what the files of the runs give; arms, seeds and pairs are
    taken from localization.json.

    Returns:
        A line per difference; none for a comparison without maps.

    Raises:
        DatasetError: a file does not follow its schema.
    """
    stated = {name: MeasuredFile.read(out / name) for name in (LOCALIZATION, DECISIONS)}
    maps = stated[LOCALIZATION]
    if maps is None:
        return []
    arms = [arm for arm in maps.arms if arm not in CONTROLS]
    seeds = sorted({int(key.rsplit("-", 1)[1]) for key in maps.thresholds})
    pairs = list(dict.fromkeys((gap.arm, gap.less) for gap in maps.differences))
    try:
        made = _made(out, arms, seeds, pairs)
    except UnmaskError as error:
        return [f"the tables of the maps cannot be computed again: {error.message}"]
    found = []
    for name, again in made.items():
        before = stated[name]
        if before is None:
            found.append(f"there is no {name}")
            continue
        was, now = (json.loads(file.model_dump_json()) for file in (before, again))
        found += differences(was, now, file=name)
    return found


def _made(
    out: Path, arms: Sequence[str], seeds: Sequence[int], pairs: Pairs
) -> dict[str, MeasuredFile]:
    items = read_items(out)
    draws = draws_of(items, draws=DRAWS, seed=0, level=LEVEL)
    common = {"intervals": INTERVALS, "draws": DRAWS, "level": LEVEL}
    rows = _map_rows(out, items, draws, (*CONTROLS, *arms), seeds)  # reads, and checks, every file
    maps = {
        **common,
        "about": MAPS_ABOUT,
        "thresholds": {
            f"{arm}/seed-{seed}": {
                name: float(kept[name])
                for kept in [pl.read_parquet_metadata(maps_path(out, arm, seed))]
                for name in ("threshold", "raw")
            }
            for arm in (*CONTROLS, *arms)
            for seed in seeds
        },
        **_tables(rows, draws, pairs),
    }
    decisions = {
        **common,
        "about": DECISIONS_ABOUT,
        "thresholds": {name: _threshold_values(out, arms, seeds, name) for name in THRESHOLDS},
        **_tables(_decision_rows(out, items, draws, arms, seeds), draws,
                  [pair for pair in pairs if not set(CONTROLS) & set(pair)]),
    }  # fmt: skip
    both = {LOCALIZATION: maps, DECISIONS: decisions}
    return {name: MeasuredFile.model_validate(data) for name, data in both.items()}


def _tables(rows: Rows, draws: Draws, pairs: Pairs) -> dict[str, Any]:
    """`rows`: value and interval of each arm; `differences`: of each pair, paired, with p."""
    values, gapped = [], []
    for (name, measure), by_arm in rows.items():
        means = {arm: draws.mean(found) for arm, found in by_arm.items()}
        common = {"set": name, "measure": measure}
        for arm, mean in means.items():
            estimate = draws.estimate(mean, "no item has it").model_dump(mode="json")
            each = [_finite(float(row[0])) for row in by_arm[arm]]
            values.append({**common, "arm": arm, **estimate, "seeds": each})
        gaps = {
            (one, two): means[one] - means[two]
            for one, two in pairs
            if one in means and two in means
        }
        tested = p_values(draws, gaps)
        for pair, gap in gaps.items():
            estimate = draws.estimate(gap, "no item has it").model_dump(mode="json")
            found = dict(zip(("p", "p_holm"), tested[pair], strict=True))
            gapped.append({**common, "arm": pair[0], "less": pair[1], **estimate, **found})
    return {"rows": values, "differences": gapped}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _map_rows(
    out: Path, items: pl.DataFrame, draws: Draws, arms: Sequence[str], seeds: Sequence[int]
) -> Rows:
    found: dict[tuple[str, str], dict[str, list[Floats]]] = {}
    real = items["label"].to_numpy() == 0
    for arm in arms:
        for seed in seeds:
            table = read_maps(out, arm, seed)
            for name in set_names(items):
                inside = members_of(items, name)
                for measure, kept, values in _measures(table, inside, real):
                    row = mean_rows(draws, kept, values)
                    found.setdefault((name, measure), {}).setdefault(arm, []).append(row)
    return found


def _measures(
    table: pl.DataFrame, inside: NDArray[np.intp], real: NDArray[np.bool_]
) -> Iterator[tuple[str, NDArray[np.intp], Floats]]:
    """Name, items and their values, of one set."""
    parts = {
        "mask_share": ("mask_share", inside),
        **{name: (name, inside) for name in MEASURES[:4]},
        "energy_of_reals": ("energy", inside[real[inside]]),
        "energy_of_fakes": ("energy", inside[~real[inside]]),
        "reals_marked": ("marked", inside),
    }
    for name, (column, chosen) in parts.items():
        values = table[column].to_numpy().astype(np.float64)[chosen]
        there = np.isfinite(values)
        yield name, chosen[there], values[there]


def _decision_rows(
    out: Path, items: pl.DataFrame, draws: Draws, arms: Sequence[str], seeds: Sequence[int]
) -> Rows:
    found: dict[tuple[str, str], dict[str, list[Floats]]] = {}
    fake = items["label"].to_numpy() == 1
    for arm in arms:
        for seed in seeds:
            table = read_scores(out, arm, seed, items)
            logits = table["logit"].to_numpy().astype(np.float64)
            for name in set_names(items):
                inside = members_of(items, name)
                row = auc_rows(draws, inside, fake[inside], logits[inside])
                found.setdefault((name, "auc"), {}).setdefault(arm, []).append(row)
            for kind in THRESHOLDS:
                right = (logits >= _threshold(out, arm, seed, kind)) == fake
                for name in set_names(items):
                    inside = members_of(items, name)
                    sides = [inside[fake[inside] == label] for label in (False, True)]
                    shares = [mean_rows(draws, side, right[side].astype(float)) for side in sides]
                    rows = {
                        "accuracy": mean_rows(draws, inside, right[inside].astype(float)),
                        "balanced_accuracy": (shares[0] + shares[1]) / 2,
                    }
                    for measure, row in rows.items():
                        key = (name, f"{measure}/{kind}")
                        found.setdefault(key, {}).setdefault(arm, []).append(row)
    return found


def _threshold(out: Path, arm: str, seed: int, kind: str) -> float:
    if kind == "zero":
        return 0.0
    facts = read_facts(out, arm, seed)
    if kind == "fpr_5_percent":
        return facts.threshold
    return float((facts.model_extra or {})["threshold_validation"])


def _threshold_values(
    out: Path, arms: Sequence[str], seeds: Sequence[int], kind: str
) -> dict[str, float]:
    return {f"{a}/seed-{s}": _threshold(out, a, s, kind) for a in arms for s in seeds}


def mean_rows(draws: Draws, items: NDArray[np.intp], values: Floats) -> Floats:
    """(D + 1,) mean of values (n,) of some items, as they are and in every draw; NaN for none."""
    means = np.full(draws.rows, np.nan)
    if len(items):
        for rows, weights in draws.blocks(items):
            total = weights.sum(1)
            np.divide(weights @ values, total, out=means[rows], where=total > 0)
    return means


def auc_rows(
    draws: Draws, items: NDArray[np.intp], fake: NDArray[np.bool_], scores: Floats
) -> Floats:
    """(D + 1,) AUC of scores (n,) of some items, as they are and in every draw.

    NaN in a draw without a real or without a fake.
    """
    area, found = Areas.of(scores[~fake], scores[fake]), np.empty(draws.rows)
    for rows, weights in draws.blocks(items):
        found[rows] = area(weights[:, ~fake], weights[:, fake])[:, 0]
    return found
