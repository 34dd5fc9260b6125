"""Write the measured numbers into README and docs, from the committed benchmark results.

    python tools/render_numbers.py [--check]

Each block between `<!-- NAME: made by ... -->` and `<!-- end NAME -->` is replaced by the table
that the function NAME makes from `benchmarks/results`. `--check` changes nothing and exits with 1
when a file is out of date, so that no number can be typed by hand.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FILES = ("README.md", "docs/model-card.md", "docs/performance.md")
BLOCK = re.compile(r"(<!-- (\w+): made by [^>]*-->\n).*?(<!-- end \2 -->)", re.DOTALL)


def results(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text("utf-8"))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def with_interval(entry: dict[str, Any], key: str = "auc") -> str:
    low, high = entry["ci95"]
    return f"{entry[key]:.3f} ({low:.3f}–{high:.3f})"


def percent(entry: dict[str, Any]) -> str:
    low, high = entry["ci95"]
    return f"{100 * entry['fpr']:.1f}% ({100 * low:.1f}–{100 * high:.1f}), {entry['n']} pictures"


def ranking(split: str = "test") -> str:
    """AUC per family, seen and unseen."""
    measured = results("default_model")["results"]["splits"][split]
    rows = [
        [
            f"`{family}`",
            with_interval(seen),
            with_interval(measured["left_out_family"][family]),
            f"{seen['reals']} / {seen['fakes']}",
        ]
        for family, seen in measured["in_family"].items()
    ]
    head = ["fakes", "AUC, family trained on", "AUC, family left out of training", "reals / fakes"]
    return table(head, rows)


def ranking_validation() -> str:
    return ranking("val")


def false_alarms(split: str = "test") -> str:
    """Share of reals flagged, as they are, under the controls and by source."""
    flagged = results("default_model")["results"]["splits"][split]["reals_flagged"]
    rows = [["all reals", percent(flagged["all"])]]
    rows += [
        [f"reals, {n.removeprefix('real/')}", percent(v)] for n, v in flagged["controls"].items()
    ]
    rows += [[f"reals of {name}", percent(entry)] for name, entry in flagged["by_source"].items()]
    return table(["", "flagged (95% interval)"], rows)


def false_alarms_validation() -> str:
    return false_alarms("val")


def speed() -> str:
    """Ratios of the whole-pipeline benchmarks."""
    return "\n".join(
        f"- {line}" for name in ("pipeline", "dct_cost", "help_latency", "bulk")
        for line in results(name)["results"]["summary"]
    ) + "\n"  # fmt: skip


MAKERS: dict[str, Callable[[], str]] = {
    maker.__name__: maker
    for maker in (ranking, ranking_validation, false_alarms, false_alarms_validation, speed)
}


def rendered(text: str) -> str:
    return BLOCK.sub(lambda m: f"{m[1]}{MAKERS[m[2]]()}{m[3]}", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    stale = []
    for name in FILES:
        path = ROOT / name
        before = path.read_text("utf-8")
        after = rendered(before)
        if before != after:
            stale.append(name)
            if not args.check:
                path.write_text(after, "utf-8")
    if stale:
        print(("out of date: " if args.check else "updated: ") + ", ".join(stale))
    return int(bool(stale) and args.check)


if __name__ == "__main__":
    sys.exit(main())
