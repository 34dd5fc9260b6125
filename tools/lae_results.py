"""Tables of an LAE comparison for README and docs, from its committed JSON."""

from __future__ import annotations

import json
from typing import Any

from comparison_tables import RESULTS, estimate, loaded, table

SETS = ("seen", "unseen")
DECIDED = {"auc": "AUC", "accuracy/validation": "accuracy",
           "balanced_accuracy/validation": "balanced accuracy"}  # fmt: skip
MAPS = {"iou": "map IoU", "pointing_game": "pointing game", "energy_in_mask": "energy in mask"}
BEFORE = "stage-1"


def _file(name: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / name / f"{file}.json").read_text("utf-8"))
    return found


def _rows(name: str, file: str, of: str) -> dict[tuple[str, str], dict[str, Any]]:
    """(arm, measure) -> its row, of a set."""
    rows = _file(name, file)["rows"]
    return {(row["arm"], row["measure"]): row for row in rows if row["set"] == of}


def _masks(name: str, arm: str) -> str:
    """How many masks, and their share of all training pictures; the same for every seed."""
    runs = [json.loads(p.read_text("utf-8")) for p in (RESULTS / name / "runs" / arm).iterdir()]
    (found,) = {(run["masks"], run["masks_share_of_training"]) for run in runs}
    return f"{found[0]} ({100 * found[1]:.1f}%)"


def decisions(name: str) -> str:
    """A row per arm: AUC on both halves, and accuracy on the unseen one."""
    seen, unseen = (_rows(name, "decisions", of) for of in SETS)
    rows = [
        [
            f"`{arm}`",
            _masks(name, arm),
            estimate(seen[arm, "auc"]),
            *(estimate(unseen[arm, measure]) for measure in DECIDED),
        ]
        for arm in dict.fromkeys(arm for arm, _ in unseen)
    ]
    head = ["", "masks", "AUC seen", *(f"{text} unseen" for text in DECIDED.values())]
    seeds = len(loaded(name)["seeds"])
    note = f"\nMeans of {seeds} seeds. Masks: their number, and share of all training pictures.\n"
    return table(head, rows) + note


def maps(name: str) -> str:
    """A row per arm, and one for before stage 2: how the map fits on the unseen half."""
    found = _rows(name, "localization", "unseen")
    shown = {**MAPS, "reals_marked": "reals marked"}
    rows = [
        [f"`{arm}`", *(estimate(found[arm, measure]) for measure in shown)]
        for arm in dict.fromkeys(arm for arm, _ in found)
    ]
    share = found[BEFORE, "mask_share"]["value"]
    note = (
        f"\nThe masks cover {100 * share:.0f}% of these pictures: so much a map without "
        "information gets in the last two of the three measures, and marking everything as IoU.\n"
    )
    return table(["", *shown.values()], rows) + note


def perceptual(losses: dict[str, str]) -> str:
    """A row per perceptual loss: what the arm without masks decides, and what it took to train.

    Args:
        losses: what it was -> folder of its comparison.
    """
    rows = []
    for loss, name in losses.items():
        seen, unseen = (_rows(name, "decisions", of)["none", "auc"] for of in SETS)
        runs = sorted((RESULTS / name / "runs/none").iterdir())
        seconds = [json.loads(run.read_text("utf-8"))["seconds_stage_1"] for run in runs]
        spent = f"{sum(seconds) / len(seconds):.0f} s"
        rows.append([loss, str(len(runs)), estimate(seen), estimate(unseen), spent])
    return table(["perceptual loss", "seeds", "AUC seen", "AUC unseen", "stage 1"], rows)


def differences(name: str) -> str:
    """A row per pair of arms: differences on the unseen half, and which of them are real."""
    measures = {**DECIDED, **MAPS}
    found = {
        (row["arm"], row["less"], row["measure"]): row
        for file in ("decisions", "localization")
        for row in _file(name, file)["differences"]
        if row["set"] == "unseen"
    }
    level = 1 - _file(name, "decisions")["level"]
    rows = []
    for arm, less in dict.fromkeys((arm, less) for arm, less, _ in found):
        cells = [f"`{arm}` less `{less}`"]
        for measure in measures:
            row = found.get((arm, less, measure))
            if row is None or row["value"] is None:
                cells.append("–")
                continue
            text = estimate(row, sign="+")
            cells.append(f"**{text}**" if row["p_holm"] <= level + 1e-12 else text)
        rows.append(cells)
    note = (
        f"\nBold: p by Holm over the pairs of a measure is at most {level:.2f}; the others are "
        "no difference shown.\n"
    )
    return table(["", *measures.values()], rows) + note
