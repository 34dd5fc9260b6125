"""Tables of an LAE comparison for README and docs, from its committed JSON."""

from __future__ import annotations

import json
from typing import Any

from comparison_tables import RESULTS, estimate, loaded, table

SET = "unseen"
SHOWN = {
    "accuracy/validation": "accuracy",
    "balanced_accuracy/validation": "balanced accuracy",
    "iou": "map IoU",
    "pointing_game": "pointing game",
    "energy_in_mask": "energy in mask",
}


def _measured(name: str, part: str) -> list[dict[str, Any]]:
    """Rows and differences of localization.json and decisions.json, of the unseen set."""
    found: list[dict[str, Any]] = []
    for file in ("localization", "decisions"):
        data = json.loads((RESULTS / name / f"{file}.json").read_text("utf-8"))
        found += [row for row in data[part] if row["set"] == SET]
    return found


def arms(name: str) -> str:
    """A row per arm: how well it decides on the unseen half, and how well its map fits."""
    result = loaded(name)
    areas = {row["arm"]: row["auc"] for row in result["main"]}
    values = {(row["arm"], row["measure"]): row for row in _measured(name, "rows")}
    rows = []
    for arm in dict.fromkeys(arm for arm, measure in values if measure == "iou"):
        cells = [f"`{arm}`"]
        for half in ("seen", SET):
            cells.append(estimate(areas[arm][half]["mean"]) if arm in areas else "–")
        for measure in SHOWN:
            row = values.get((arm, measure))
            cells.append("–" if row is None else estimate(row))
        rows.append(cells)
    head = ["", "AUC seen", "AUC unseen", *SHOWN.values()]
    return (
        table(head, rows) + f"\n{len(result['seeds'])} seeds; all but the first column are of "
        "the unseen half.\n"
    )


def differences(name: str) -> str:
    """A row per pair of arms: differences on the unseen half, with intervals and p values."""
    found = {(r["arm"], r["less"], r["measure"]): r for r in _measured(name, "differences")}
    pairs = dict.fromkeys((arm, less) for arm, less, _ in found)
    rows = []
    for arm, less in pairs:
        cells = [f"`{arm}` less `{less}`"]
        for measure in SHOWN:
            row = found.get((arm, less, measure))
            if row is None or row["value"] is None:
                cells.append("–")
            else:
                cells.append(f"{estimate(row, sign='+')}, p {row['p']:.3f}")
        rows.append(cells)
    return table(["", *SHOWN.values()], rows)
