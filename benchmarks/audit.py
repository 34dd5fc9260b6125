"""Whether our own forgeries give themselves away by anything but the forgery.

Makes one forgery per family of a sample of the index's reals, reals and forgeries through the same
chain, and audits what it wrote: once as PNG, once laundered and as JPEG.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from record import Record, arguments

from unmask.data.forging.forgery import make_settings
from unmask.data.forging.reals import read_reals
from unmask.data.forging.run import synthesize
from unmask.data.index import read_index
from unmask.evaluation.audit import Audit, CueReport, audit
from unmask.synthesis.families import SPECS

CHAINS: dict[str, dict[str, Any]] = {
    "png": {"encode": "png", "launder": False},
    "laundered jpeg": {"encode": "jpeg", "quality": 90, "launder": True},
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("index", type=Path, help="CSV or Parquet index of real pictures")
    parser.add_argument("--limit", type=int, default=400, help="reals that are drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    record = Record(seed=given.seed)
    reals = read_reals(given.index)
    results: dict[str, Any] = {}
    for name, chain in CHAINS.items():
        settings = make_settings(families=tuple(SPECS), seed=given.seed, limit=given.limit, **chain)
        with tempfile.TemporaryDirectory() as folder:
            made = synthesize(reals, Path(folder) / "out", settings, jobs=given.jobs)
            assert made.index is not None
            results[name] = summary(audit(read_index(made.index), name))
        results[name]["made"] = dict(made.report.forgeries)
        results[name]["landmarks"] = dict(made.report.landmarks)
    leaks = sum(len(entry["leaks"]) for entry in results.values())
    record.write(given.out, {"chains": results, "goal_met": leaks == 0})


def summary(done: Audit) -> dict[str, Any]:
    """The worst container cue over all fakes and per family, and every content cue."""
    container = [cue for cue in done.cues if cue.kind == "container"]
    return {
        "reals": done.reals,
        "fakes": done.fakes,
        "bound": done.bound,
        "unreadable": len(done.unreadable),
        "leaks": [told(cue) for cue in done.leaks],
        "container_all_fakes": {c.cue: told(c) for c in container if c.manipulation is None},
        "container_worst_per_family": {
            name: told(max(cues, key=lambda cue: cue.separation or 0))
            for name, cues in by_family(container).items()
        },
        "content_per_family": {
            name: {cue.cue: told(cue) for cue in cues}
            for name, cues in by_family([c for c in done.cues if c.kind == "content"]).items()
        },
    }


def by_family(cues: list[CueReport]) -> dict[str, list[CueReport]]:
    found: dict[str, list[CueReport]] = {}
    for cue in cues:
        if cue.manipulation is not None:
            found.setdefault(cue.manipulation, []).append(cue)
    return found


def told(cue: CueReport) -> dict[str, Any]:
    """The figures of one cue; null where it has no order or was not found."""
    return {
        "cue": cue.cue,
        "manipulation": cue.manipulation,
        "auc": cue.auc and cue.auc.model_dump(),
        "held_out": cue.held_out and cue.held_out.model_dump(),
        "separation": cue.separation,
    }


if __name__ == "__main__":
    main()
