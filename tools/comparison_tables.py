"""Tables of a comparison for README and docs, from its committed result.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks/results"
CONTROLS = ("re-encoded", "blurred", "grid-shifted")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def loaded(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / name / "result.json").read_text("utf-8"))
    return result


def estimate(found: dict[str, Any], digits: int = 3, sign: str = "") -> str:
    """Value and interval, or a dash."""
    if found["value"] is None:
        return "–"
    text = f"{found['value']:{sign}.{digits}f}"
    if found["low"] is None:
        return text
    return f"{text} ({found['low']:{sign}.{digits}f} to {found['high']:{sign}.{digits}f})"


def share(found: dict[str, Any]) -> str:
    return "–" if found["value"] is None else f"{100 * found['value']:.1f}%"


def trained(result: dict[str, Any]) -> dict[str, int]:
    """Arm -> how many seeds of it were run."""
    return {row["arm"]: len(row["auc"]["unseen"]["per_seed"]) for row in result["main"]}


def table_one(name: str) -> str:
    """Table I with the controls: a row per arm."""
    result = loaded(name)
    seeds = trained(result)
    extra = [s for s in result["sets"] if s not in ("seen", "unseen")]
    alarms = {(row["arm"], row["control"]): row for row in result["controls"]}
    head = ["", "seeds", "AUC seen", "AUC unseen", "drop", *(f"AUC {s}" for s in extra)]
    head += ["reals flagged", *(f"{c} reals flagged" for c in CONTROLS)]
    rows = []
    for row in result["main"]:
        arm = row["arm"]
        if not seeds[arm]:
            continue
        cells = [
            f"`{arm}`",
            str(seeds[arm]),
            *(estimate(row["auc"][s]["mean"]) for s in ("seen", "unseen")),
        ]
        cells += [f"{row['drop']['unseen']['mean']['value']:.3f}"]
        cells += [estimate(row["auc"][s]["mean"]) for s in extra]
        cells += [share(alarms[arm, CONTROLS[0]]["clean_fpr"])]
        cells += [share(alarms[arm, c]["fpr"]) for c in CONTROLS]
        rows.append(cells)
    absent, planned = len(result["absent"]), len(result["arms"]) * len(result["seeds"])
    note = (
        f"\n{absent} of {planned} planned runs are still to come; an interval of one seed says "
        "nothing of training again.\n"
    )
    return table(head, rows) + (note if absent else "")


def tests(name: str) -> str:
    """Every arm against the reference, on unseen fakes."""
    return tests_of(loaded(name))


def tests_of(result: dict[str, Any]) -> str:
    """The same of a result at hand."""
    rows = [
        [
            f"`{row['arm']}`",
            estimate(row["difference"], sign="+"),
            "–" if row["p_holm"] is None else f"{row['p_holm']:.3f}",
            row["verdict"] or "–",
        ]
        for row in result["comparisons"]["rows"]
        if row["set"] == "unseen" and row["difference"]["value"] is not None
    ]
    head = ["", f"AUC unseen less that of `{result['reference']}`", "p (Holm)", "finding"]
    return table(head, rows)


def by_test(name: str) -> str:
    """A row per test, a column per arm: families, sources of fakes, and the three controls."""
    result = loaded(name)
    arms = [arm for arm, seeds in trained(result).items() if seeds]
    rows = [
        [
            f"{row['name']} ({row['set']})",
            f"{row['reals']} / {row['fakes']}",
            *(f"{row['auc'][a]['value']:.2f}" if row["auc"][a]["value"] else "–" for a in arms),
        ]
        for row in result["generators"]["rows"]
        if row["manipulation"] is None
    ]
    for control in CONTROLS:
        found = {row["arm"]: row for row in result["controls"] if row["control"] == control}
        rows.append(
            [
                f"control: {control} reals against reals",
                str(found[arms[0]]["reals"]),
                *(f"{found[a]['auc']['value']:.2f}" for a in arms),
            ]
        )
    return table(["AUC", "reals / fakes", *(f"`{a}`" for a in arms)], rows)


def robustness(name: str) -> str:
    """Blur + JPEG, and the mean over the sweep by level."""
    result = loaded(name)
    blurred = {row["arm"]: row for row in result["blur_jpeg"] if row["set"] == "unseen"}
    means: dict[str, dict[int, str]] = {}
    for row in result["sweep"]["means"]:
        value = row["auc"]["value"]
        means.setdefault(row["arm"], {})[row["level"]] = "–" if value is None else f"{value:.3f}"
    levels = sorted({level for found in means.values() for level in found})
    rows = [
        [
            f"`{arm}`",
            estimate(row["clean"]),
            estimate(row["changed"]),
            estimate(row["drop"], sign="+"),
            *(means.get(arm, {}).get(level, "–") for level in levels),
        ]
        for arm, row in blurred.items()
        if row["clean"]["value"] is not None
    ]
    head = ["", "AUC unseen", "after blur + JPEG", "drop"]
    return table(head + [f"sweep, level {level}" for level in levels], rows)
