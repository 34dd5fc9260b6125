"""What was tried for the packaged model in one table: what it changed, and whether it was kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from comparison_tables import table
from default_tables import packaged_card, results
from trial_tables import against_rich, trial

Means = tuple[float | None, float | None]
"""Mean validation AUC of families left out, and of families trained on; None where not measured."""


def _row(what: str, before: Means, after: Means, source: str) -> list[str]:
    cells = [
        "–" if old is None or new is None else f"{old:.3f} → {new:.3f}"
        for old, new in zip(before, after, strict=True)
    ]
    return [what, *cells, f"`{source}`"]


def _means(row: Mapping[str, Any]) -> Means:
    return row["left_out"]["mean_auc"], row["trained_on"]["mean_auc"]


def _one(rows: Sequence[Mapping[str, Any]], **wanted: Any) -> Means:
    """The means of the one row that has these values."""
    (found,) = [row for row in rows if all(row[k] == value for k, value in wanted.items())]
    return _means(found)


def _candidate(name: str) -> Means:
    (found,) = [row for row in results("research/research")["candidates"] if row["name"] == name]
    return found["mean_auc"], found["trained_auc"]


def _pretrained() -> tuple[Means, Means]:
    """Of rich statistics and of a network from ImageNet weights, without the same families."""
    rows = against_rich().values()

    def mean(place: int, unseen: bool) -> float:
        return float(np.mean([row[place] for row in rows if row[0] is unseen]))

    return (mean(1, True), mean(1, False)), (mean(2, True), mean(2, False))


def _expert() -> tuple[Means, Means]:
    """Without it, and as it ships."""
    rows = results("expert_margin")["results"]["held_back"]
    known = {(row["slope"], row["margin"]): row for row in rows}
    (ships,) = [one for one in packaged_card()["training"]["members"] if "margin" in one]
    pair = known[None, None], known[ships["slope"], ships["margin"]]
    return tuple((row["left_out"]["auc"], row["expert"]["auc"]) for row in pair)  # type: ignore[return-value]  # two rows


def helped() -> str:
    """What was kept, in the order in which it came."""
    apart = trial("network_without_stylegan")["left_out"]["mean"]
    by_changes = trial("discriminant")["by_changes"]
    cells = trial("cells")["rows"]
    runs = trial("second_run")["mean"]
    kinds = trial("kinds")["rows"]
    half = {"of": "half network"}

    def left(name: str) -> Means:
        return apart[name]["auc"], None

    rows = [
        _row("ImageNet weights, beside residual statistics", *_pretrained(), "pretrained"),
        _row("the average of two runs' weights, beside the first", (None, runs["first"]),
             (None, runs["average"]), "second_run"),
        _row("StyleGAN's faces out of the network's training", left("network"),
             left("network without StyleGAN"), "network_without_stylegan"),
        _row("a mean with a head on the frozen network", left("network without StyleGAN"),
             left("0.375 head, network without StyleGAN"), "network_without_stylegan"),
        _row("that head in closed form, changes as variance",
             _one(by_changes, of="0.625 network, 0.375 head by steps"),
             _one(by_changes, of="half network", changes=0.05), "discriminant"),
        _row("deep stages by cell of the face",
             _one(cells, **half, statistics="all stages", ridge=0.3, changes=0.05),
             _one(cells, **half, statistics="without stage 7, stages 5 and 6 by cell", ridge=1.0,
                  changes=0.1), "cells"),
        _row("a score for each family, of the head alone", _one(kinds, what="one score"),
             _one(kinds, what="a score for each family, their mean odds"), "kinds"),
        _row("an expert for StyleGAN (right: StyleGAN)", *_expert(), "expert_margin"),
    ]  # fmt: skip
    return table(["", "left out", "trained on", "measured in"], rows)


def did_not_help() -> str:
    """What was not kept."""
    return table(["", "left out", "trained on", "measured in"], list(_not_kept()))


def _not_kept() -> Iterator[list[str]]:
    runs = trial("second_run")["mean"]
    erased = trial("erase_changes")["rows"]
    larger = trial("larger_network")["rows"]
    kinds = trial("kinds")["rows"]
    curve = {row["families"]: row for row in trial("discriminant")["by_families"]["rows"]}
    size = {(row["reals"], row["fakes_of_a_family"]): _means(row)
            for row in trial("training_size")["rows"]}  # fmt: skip
    bases = trial("more_bases")["rows"]
    own = trial("self_reference")
    reference = "score - 0.5 x ridge (10000) from the half-size picture"
    one, frozen = _one(kinds, what="one score"), {"of": "half network", "ridge": 0.3}
    probe = _candidate("probe")
    yield _row("residual statistics beside frozen features", probe, _candidate("probe_rich"),
               "research")  # fmt: skip
    yield _row("no contrastive loss", probe, _candidate("probe_contrast_0"), "research")
    yield _row("a head of 1024, dropout 0.3", probe, _candidate("probe_large_head"), "research")
    yield _row("twice the steps, by itself", (None, runs["first"]), (None, runs["second"]),
               "second_run")  # fmt: skip
    yield _row("EfficientNet-Lite2 instead of Lite0",
               _one(larger, **frozen, frozen_network="EfficientNet-Lite0"),
               _one(larger, **frozen, frozen_network="EfficientNet-Lite2"),
               "larger_network")  # fmt: skip
    yield _row("ten families instead of five", (curve[5]["mean_auc"], None),
               (curve[10]["mean_auc"], None), "discriminant")  # fmt: skip
    yield _row("twice as many reals, to all there are", size[928, 929], size[1857, 929],
               "training_size")  # fmt: skip
    yield _row("two fakes of each real by every family", one,
               _one(kinds, what="one score, two fakes of each real by every family"),
               "kinds")  # fmt: skip
    yield _row("StyleGAN's faces as further pictures to forge, of the head alone",
               _one(bases, what="reals alone"),
               _one(bases, what="means and covariance, half weight"), "more_bases")  # fmt: skip
    yield _row("mirrored pictures too", one, _one(kinds, what="one score, mirrored pictures too"),
               "kinds")  # fmt: skip
    yield _row("what families disagree in counts as variance", one,
               _one(kinds, what="one score, what families disagree in counts as variance, 0.3"),
               "kinds")  # fmt: skip
    yield _row("compression taken out of the logit", _means(erased[1]),
               _one(erased, erased=[*erased[1]["erased"], "quality-50"]),
               "erase_changes")  # fmt: skip
    yield _row("a score less what the content makes it",
               (own["left_out"]["score"]["mean_without_stylegan"], None),
               (own["left_out"][reference]["mean_without_stylegan"], None),
               "self_reference")  # fmt: skip
