"""The model card as the Model page shows it: tables, the calibration curve, known failures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from unmask.apps.report import numbers
from unmask.apps.report.charts import Axis
from unmask.apps.server.model import OwnThresholds

SPLITS = ("test", "val")
"""Of the numbers in a card the first of these splits that is there is shown."""
CURVE_POINTS = 21
WIDTH, HEIGHT = 400.0, 262.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Calibrated probability by score.

    Attributes:
        points: (score, probability, x, y); x and y in the units of the chart.
        path: the points as an SVG polyline.
        clear, flag: where the thresholds stand, x.
    """

    x: Axis
    y: Axis
    points: tuple[tuple[float, float, float, float], ...]
    path: str
    clear: float
    flag: float


@dataclass(frozen=True, slots=True)
class CardView:
    """What the page draws of a card; tables are rows of texts, empty where the card has none.

    `calibrated` says that the thresholds are not the card's.
    """

    name: str
    summary: str
    facts: Sequence[tuple[str, str, bool]]
    limitations: Sequence[str]
    decision: Sequence[tuple[str, str, bool]]
    domain: str
    curve: Curve | None
    calibrated: bool
    split: str
    calibration: tuple[int, str, str] | None
    ranking: Sequence[tuple[str, str, str, str, str, str]]
    reals: Sequence[tuple[str, str, str]]
    items: Sequence[tuple[str, str]]
    command: str | None
    recorded: str


def card_view(card: dict[str, Any], own: OwnThresholds | None = None) -> CardView:
    """The tables of a card; what it does not hold is left empty, never made up.

    Args:
        card: as it stands in its file.
        own: thresholds of the service's own, in place of the card's.
    """
    metrics = card.get("metrics") or {}
    splits = metrics.get("splits") or {}
    split = next((name for name in SPLITS if name in splits), "")
    measured: dict[str, Any] = splits.get(split, {})
    decision: dict[str, Any] = card.get("decision") or {}
    used = decision | own.decision.model_dump() if decision and own else decision
    error = measured.get("calibration")
    return CardView(
        name=str(card.get("name", "")),
        summary=str(card.get("summary", "")),
        facts=_facts(card),
        limitations=card.get("limitations") or [],
        decision=[*_decision(used), *_replaced(decision, own)] if decision else [],
        domain=decision.get("domain", ""),
        curve=_curve(used) if decision else None,
        calibrated=bool(decision and own),
        split=split,
        calibration=(error["n"], f"{error['ece']:.3f}", f"{error['brier']:.3f}") if error else None,
        ranking=_ranking(measured),
        reals=_reals(measured.get("reals_flagged") or {}),
        items=[(k, numbers.count(n)) for k, n in _items(card).items()],
        command=metrics.get("command"),
        recorded=json.dumps(card, indent=1, ensure_ascii=False),
    )


def _facts(card: dict[str, Any]) -> list[tuple[str, str, bool]]:
    training = card.get("training") or {}
    rows = [
        ("Network", str(card.get("architecture", numbers.NONE)), False),
        ("Parameters", numbers.count(card.get("parameters", 0)), False),
        ("Licence of the weights", str(card.get("licence", "unspecified")), False),
        ("SHA-256 of the weights", str(card.get("weights_sha256", numbers.NONE)), True),
    ]
    for key, label in (("command", "Trained with"), ("commit", "At commit")):
        if key in training:
            rows.append((label, str(training[key]), True))
    return rows


def _decision(decision: dict[str, Any]) -> list[tuple[str, str, bool]]:
    share = numbers.percent(decision["fpr_at_flag"])
    return [
        ("Flag, at or above", numbers.score(decision["flag"]), False),
        ("Clear, below", numbers.score(decision["clear"]), False),
        (
            "Real faces at or above flag",
            f"{share} (95% CI {numbers.percent_range(*decision['ci95'])})",
            False,
        ),
        ("Measured on", decision["measured_on"], False),
        ("Probability fitted on", decision["domain"], False),
    ]


def _replaced(decision: dict[str, Any], own: OwnThresholds | None) -> list[tuple[str, str, bool]]:
    """What the card says in place of which the service's calibration holds."""
    if own is None:
        return []
    card = (
        f"flag {numbers.score(decision['flag'])}, clear {numbers.score(decision['clear'])}, "
        f"{numbers.percent(decision['fpr_at_flag'])} of: {decision['measured_on']}"
    )
    return [
        ("Set by", "a calibration of this service on real pictures of its own", False),
        ("In place of the card's", card, False),
    ]


def _curve(decision: dict[str, Any]) -> Curve:
    """p = sigmoid(slope * logit(score) + bias)."""
    x, y = Axis(0.0, 1.0, 40.0, 388.0), Axis(0.0, 1.0, 212.0, 12.0)
    points = []
    for k in range(CURVE_POINTS):
        score = min(max(k / (CURVE_POINTS - 1), 0.001), 0.999)
        odds = decision["slope"] * math.log(score / (1 - score)) + decision["bias"]
        p = 1 / (1 + math.exp(-odds))
        points.append((score, p, x.at(score), y.at(p)))
    path = " ".join(f"{a:g},{b:g}" for _, _, a, b in points)
    return Curve(x, y, tuple(points), path, x.at(decision["clear"]), x.at(decision["flag"]))


def _ranking(measured: dict[str, Any]) -> list[tuple[str, str, str, str, str, str]]:
    trained, left_out = measured.get("in_family") or {}, measured.get("left_out_family") or {}
    rows = []
    for family in dict.fromkeys([*trained, *left_out]):
        known, unseen = trained.get(family), left_out.get(family)
        some = known if known is not None else left_out[family]
        counted = f"{numbers.count(some['reals'])} / {numbers.count(some['fakes'])}"
        rows.append((family, _auc(known), _found(known), _auc(unseen), _found(unseen), counted))
    return rows


def _auc(row: dict[str, Any] | None) -> str:
    if row is None:
        return numbers.NONE
    low, high = row["ci95"]
    return f"{row['auc']:.3f} ({low:.3f}–{high:.3f})"


def _found(row: dict[str, Any] | None) -> str:
    return numbers.NONE if row is None else numbers.percent(row["tpr_at_1pct_fpr"])


def _reals(flagged: dict[str, Any]) -> list[tuple[str, str, str]]:
    named = {"all": flagged["all"]} if "all" in flagged else {}
    named |= flagged.get("by_source") or {}
    named |= flagged.get("controls") or {}
    return [
        (
            name,
            f"{numbers.count(row['flagged'])} of {numbers.count(row['n'])}",
            f"{numbers.percent(row['fpr'])} ({numbers.percent_range(*row['ci95'])})",
        )
        for name, row in named.items()
    ]


def _items(card: dict[str, Any]) -> dict[str, int]:
    return dict((card.get("training") or {}).get("items") or {})
