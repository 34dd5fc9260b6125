"""The tables of the packaged model, from what was measured of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from comparison_tables import table

ROOT = Path(__file__).resolve().parent.parent
DEFAULT, PERMISSIVE = "default_model", "permissive_model"
"""Results by model."""


def results(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text("utf-8"))


def with_interval(entry: dict[str, Any], key: str = "auc") -> str:
    low, high = entry["ci95"]
    return f"{entry[key]:.3f} ({low:.3f}–{high:.3f})"


def percent(entry: dict[str, Any]) -> str:
    low, high = entry["ci95"]
    return f"{100 * entry['fpr']:.1f}% ({100 * low:.1f}–{100 * high:.1f}), {entry['n']} pictures"


def ranking(split: str = "test", of: str = DEFAULT) -> str:
    """AUC and detection rate per family, seen and unseen."""
    measured = results(of)["results"]["splits"][split]
    trained, left_out = measured["in_family"], measured["left_out_family"]
    rows = []
    for family in dict.fromkeys([*trained, *left_out]):
        cells = []
        for row in (trained.get(family), left_out.get(family)):
            found = f"{100 * row['tpr_at_1pct_fpr']:.0f}%" if row else "–"
            cells += [with_interval(row) if row else "–", found]
        some = trained.get(family) or left_out[family]
        rows.append([f"`{family}`", *cells, f"{some['reals']} / {some['fakes']}"])
    head = ["fakes", "AUC, trained on", "found", "AUC, left out", "found", "reals / fakes"]
    return table(head, rows)


def ranking_validation() -> str:
    return ranking("val")


def false_alarms(split: str = "test") -> str:
    """Share of reals flagged, as they are, under the controls and by source."""
    flagged = results(DEFAULT)["results"]["splits"][split]["reals_flagged"]
    rows = [["all reals", percent(flagged["all"])]]
    rows += [
        [f"reals, {n.removeprefix('real/')}", percent(v)] for n, v in flagged["controls"].items()
    ]
    rows += [[f"reals of {name}", percent(entry)] for name, entry in flagged["by_source"].items()]
    return table(["", "flagged (95% interval)"], rows)


def false_alarms_validation() -> str:
    return false_alarms("val")


def worst_by_source(split: str = "test", of: str = DEFAULT) -> str:
    """Share of each source's reals flagged, clean and under each control."""
    flagged = results(of)["results"]["splits"][split]["reals_flagged"]
    sources = list(flagged["by_source"])
    rows = [["as they are", *(percent(flagged["by_source"][s]) for s in sources)]]
    rows += [
        [name.removeprefix("real/"), *(percent(found[s]) for s in sources)]
        for name, found in flagged["controls_by_source"].items()
    ]
    return table(["reals", *sources], rows)


def by_group(split: str = "test") -> str:
    """Share of reals flagged by the crop's size and by what people say of themselves."""
    found = results("default_model")["results"]["splits"][split]["reals_flagged_by_group"]
    rows = [
        [kind.replace("_", " "), name, entry if isinstance(entry, str) else percent(entry)]
        for kind, groups in found.items()
        for name, entry in groups.items()
    ]
    return table(["", "group", "flagged (95% interval)"], rows)


def source_control(split: str = "test") -> str:
    """AUC of each source's reals as if they were fakes, against all other reals."""
    found = results(DEFAULT)["results"]["splits"][split]["source_against_source_auc"]
    return table(
        ["reals of", "AUC against the others"], [[s, f"{v:.3f}"] for s, v in found.items()]
    )


def unfamiliar(split: str = "test") -> str:
    """Share of faces whose features are taken for unfamiliar: reals, fakes, and no photographs."""
    found = results("default_model")["results"]["splits"][split]["unfamiliar"]
    kinds = {"real": "real faces, ", "strange": "real faces made strange, "}
    rows = []
    for name, share in found.items():
        kind, _, what = name.partition("/")
        told = f"{kinds[kind]}{what or 'as they are'}" if kind in kinds else f"`{name}`"
        rows.append([told, f"{100 * share:.1f}%"])
    return table(["faces", "unfamiliar"], rows)


def verdicts(split: str = "test") -> str:
    """Share of faces by verdict, as their scores alone have it."""
    found = results(DEFAULT)["results"]["splits"][split]["verdicts"]
    rows = []
    for name, shares in found.items():
        _, _, change = name.partition("/")
        real = f"reals, {change or 'as they are'}"
        cells = [f"{100 * share:.1f}%" for share in shares.values()]
        rows.append([real if name.startswith("real") else f"`{name}`", *cells])
    columns = [f"`{verdict}`" for verdict in next(iter(found.values()))]
    return table(["faces", *columns], rows)


def change_control() -> str:
    """Changed reals against the same as they are, test split."""
    found = results("default_model")["results"]["splits"]["test"]["change_against_none_auc"]
    return table(
        ["reals", "AUC against the same as they are"],
        [[name.removeprefix("real/"), f"{value:.3f}"] for name, value in found.items()],
    )


def longer() -> str:
    """The network after each run, and with the head on frozen features: families trained on."""
    runs = [
        results(name)["results"]["splits"]["test"]["in_family"]
        for name in ("default_first", "default_second", "default_model")
    ]
    head = ["family", "AUC, first run", "found", "both runs", "found", "the default", "found"]
    rows = []
    for family in runs[-1]:
        cells = [f"`{family}`"]
        for run in runs:
            cells += [with_interval(run[family]), f"{100 * run[family]['tpr_at_1pct_fpr']:.0f}%"]
        rows.append(cells)
    return table(head, rows)


def packaged_card() -> Any:
    """The card of the model that ships."""
    return json.loads((ROOT / "src/unmask/weights/unmask-default.json").read_text("utf-8"))


def expert_margin() -> str:
    """Validation results by how steep the expert is, and by how much it is held back."""
    rows = []
    for row in results("expert_margin")["results"]["held_back"]:
        parts = [row["expert"], row["left_out"], row["trained_on"]]
        shown = [text for one in parts for text in (f"{one['auc']:.3f}", f"{one['flagged']:.1%}")]
        none = row["slope"] is None
        start = ["without it", ""] if none else [f"{row['slope']:g}", f"{row['margin']:g}"]
        rows.append([*start, *shown])
    heads = ["StyleGAN", "left out", "trained on"]
    columns = [h for head in heads for h in (f"{head}, AUC", "flagged")]
    return table(["slope", "margin", *columns], rows)


def other_sources() -> str:
    """What an expert says of reals by source, where sources were not erased from it."""
    found = results("expert_margin")["results"]["other_sources"]
    rows = [
        [
            row["source"],
            "yes" if row["seen"] else "no",
            f"{row['n']}",
            f"{row['mean']:.2f}",
            f"{row['deviation']:.2f}",
            f"{row['above']:.1%}",
        ]
        for row in found["rows"]
    ]
    return table(["reals of", "seen", "pictures", "mean", "deviation", "above"], rows)


def expert_alone() -> str:
    """What the expert by itself says of every family, validation split."""
    found = results("expert_margin")["results"]["expert_alone"]
    return table(
        ["family", "AUC of the expert alone"],
        [[f"`{family}`", f"{one['auc']:.3f}"] for family, one in found.items()],
    )


def candidates() -> str:
    """Every candidate that was trained without each fold, best first."""
    rows = []
    for one in results("research/research")["candidates"]:
        unseen = {row["family"]: row["auc"] for row in one["families"] if row["part"] == "left_out"}
        rows.append(
            [
                f"`{one['name']}`",
                one["summary"],
                f"{one['mean_auc']:.3f} ({one['low']:.3f}\u2013{one['high']:.3f})",
                f"{100 * one['mean_tpr']:.0f}%",
                f"{unseen['stylegan']:.2f}",
                f"{unseen['diffusion']:.2f}",
                f"{one['trained_auc']:.3f}",
            ]
        )
    head = ["candidate", "", "left out: mean AUC", "found", "StyleGAN", "diffusion", "trained on"]
    return table(head, rows)


def items() -> str:
    """How many pictures of each source are in each split, from the packaged model's card."""
    card = packaged_card()
    counts = {tuple(key.split("/")): n for key, n in card["training"]["items"].items()}
    splits = ("train", "val", "test")
    rows = [
        [source, label, *(str(counts.get((split, source, label), 0)) for split in splits)]
        for source, label in sorted({key[1:] for key in counts})
    ]
    return table(["source", "class", *splits], rows)
