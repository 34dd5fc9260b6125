"""The tables of the packaged model, from what was measured of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from comparison_tables import table

ROOT = Path(__file__).resolve().parent.parent
DEFAULT, PERMISSIVE = "default_model", "permissive_model"
"""Results by model."""


def results(name: str) -> dict[str, Any]:
    return json.loads((ROOT / f"benchmarks/results/{name}.json").read_text("utf-8"))


def trial(name: str) -> dict[str, Any]:
    """What an experiment found that is no benchmark of its own."""
    found: dict[str, Any] = json.loads(
        (ROOT / f"benchmarks/experiments/{name}.json").read_text("utf-8")
    )
    return found


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


def second_run() -> str:
    """Mean validation AUC of the two runs of the default, and of the average of their weights."""
    found = trial("second_run")
    names = {"first": "first run", "second": "second run", "average": "average of both's weights"}
    rows = [
        [told, f"{found['mean'][name]:.3f}", f"{found['auc'][name]['stylegan']:.3f}"]
        for name, told in names.items()
    ]
    return table(["weights", "mean AUC", "StyleGAN"], rows)


def shares() -> str:
    """Validation AUC of the network, of heads on frozen features, and of their means."""
    found = trial("shares")
    left_out, trained = found["left_out"], found["trained_on"]
    stylegan = {"`stylegan`": trained["families"]["stylegan"]}
    rows = [
        *auc_rows({f"`{f}`, left out": row for f, row in left_out["families"].items()} | stylegan),
        *mean_rows(left_out["mean"], ", left out"),
        *mean_rows(trained["mean"], ", trained on"),
    ]
    return table(["AUC", *left_out["mean"]], rows)


def network_without_stylegan() -> str:
    """Validation AUC on families left out, of networks trained with StyleGAN and without."""
    left_out = trial("network_without_stylegan")["left_out"]
    rows = auc_rows({f"`{family}`": row for family, row in left_out["families"].items()})
    return table(["AUC, left out", *left_out["mean"]], [*rows, *mean_rows(left_out["mean"])])


def expert_margin() -> str:
    """Validation AUC by the margin that the expert has to pass."""
    rows = []
    for row in results("expert_margin")["results"]["margins"]:
        parts = [row["expert"], row["left_out"], row["trained_on"]]
        shown = [
            text
            for one in parts
            for text in (f"{one['auc']:.3f}", f"{100 * one['tpr_at_1pct_fpr']:.1f}%")
        ]
        rows.append(["none" if row["margin"] is None else f"{row['margin']:g}", *shown])
    heads = ["StyleGAN", "left out", "trained on"]
    return table(["margin", *(h for head in heads for h in (f"{head}, AUC", "found"))], rows)


def expert_alone() -> str:
    """What the expert by itself says of every family, validation split."""
    found = results("expert_margin")["results"]["expert_alone"]
    return table(
        ["family", "AUC of the expert alone"],
        [[f"`{family}`", f"{one['auc']:.3f}"] for family, one in found.items()],
    )


def auc_rows(families: dict[str, dict[str, Any]]) -> list[list[str]]:
    """A row of a trial's models for each family."""
    return [
        [name, *(f"{one['auc']:.3f}" for one in row.values())] for name, row in families.items()
    ]


def mean_rows(means: dict[str, dict[str, float]], of: str = "") -> list[list[str]]:
    """Mean AUC and mean share found, of the same models."""
    return [
        [f"mean{of}", *(f"{mean['auc']:.3f}" for mean in means.values())],
        [f"found{of}", *(f"{100 * mean['found']:.0f}%" for mean in means.values())],
    ]


def pretrained() -> str:
    """AIRL-Lite0 from ImageNet weights beside rich statistics, without the same families."""
    found = trial("pretrained")
    research = results("research-nine/research")
    rich = next(row for row in research["candidates"] if row["name"] == "rich")
    known = {(row["family"], row["part"]): row["auc"] for row in rich["families"]}
    rows = []
    for family in sorted(found["auc"]):
        left = family in found["left_out"]
        before = known[family, "left_out" if left else "trained"]
        part = "left out" if left else "trained on"
        rows.append([f"`{family}`", part, f"{before:.2f}", f"{found['auc'][family]:.2f}"])
    return table(["family", "", "`rich`", "AIRL-Lite0, ImageNet weights"], rows)


def erase_sources() -> str:
    """The default's weights before and after sources were erased from the logit."""
    found = trial("erase_sources")
    sources = found["before"]["source_auc"]
    rows = [
        [
            f"reals of {name} against the others, AUC",
            *(f"{found[when]['source_auc'][name]:.3f}" for when in ("before", "after")),
        ]
        for name in sources
    ]
    rows += [
        [f"{told}", *(f"{found[when][key]:.3f}" for when in ("before", "after"))]
        for told, key in (("mean AUC of families", "mean_auc"), ("mean found", "mean_found"))
    ]
    return table(["", "before", "after"], rows)


def erase_changes() -> str:
    """Validation results with sources and changes erased from the logits."""
    rows = []
    for row in trial("erase_changes")["rows"]:
        left_out, known = row["left_out"], row["trained_on"]
        rows.append(
            [
                "; ".join(row["erased"]) or "as it was",
                f"{left_out['mean_auc']:.3f}",
                f"{left_out['found']:.1%}",
                f"{known['mean_auc']:.3f}",
                f"{known['found']:.1%}",
                f"{row['source_auc']['training']['london']:.2f}",
                f"{row['source_auc']['validation']['london']:.2f}",
                f"{row['change_auc']['quality-50']:.2f}",
            ]
        )
    heads = ["left out, AUC", "found", "trained on, AUC", "found"]
    controls = ["London against others, training reals", "validation reals", "quality 50, AUC"]
    return table(["taken out", *heads, *controls], rows)


HEAD_COLUMNS = (
    *("left out, AUC", "found", "trained on, AUC", "found", "StyleGAN unseen", "blurred reals"),
    "reals at quality 50",
)


def _head_row(label: str, row: Any, blurred: float, quality_50: float) -> list[str]:
    """Validation results of a head in closed form, or of a mean with one."""
    left_out, known = row["left_out"], row["trained_on"]
    return [
        label,
        f"{left_out['mean_auc']:.3f}",
        f"{left_out['found']:.1%}",
        f"{known['mean_auc']:.3f}",
        f"{known['found']:.1%}",
        f"{row['stylegan_unseen']:.2f}",
        f"{blurred:.2f}",
        f"{quality_50:.2f}",
    ]


def discriminant() -> str:
    """Validation results of a head in closed form, by how much changes count."""
    rows = []
    for row in trial("discriminant")["by_changes"]:
        changed = row["change_auc"]
        counted = "" if row["changes"] is None else f", changes count {row['changes']:g}"
        label = f"{row['of']}{counted}"
        rows.append(_head_row(label, row, changed["real/blurred"], changed["real/quality-50"]))
    return table(["", *HEAD_COLUMNS], rows)


def _what_it_looks_at(name: str, field: str, ridges: Sequence[float] = (0.3, 1.0)) -> str:
    rows = [
        _head_row(
            f"{row['of']}, {row[field]}; ridge {row['ridge']:g}, changes count {row['changes']:g}",
            row,
            row["blurred_reals"],
            row["quality_50_reals"],
        )
        for row in trial(name)["rows"]
        if row["ridge"] in ridges
    ]
    return table(["", *HEAD_COLUMNS], rows)


def cells() -> str:
    """The same, by the statistics that the head looks at."""
    return _what_it_looks_at("cells", "statistics")


def larger_network() -> str:
    """The same, by the frozen network."""
    return _what_it_looks_at("larger_network", "frozen_network", (0.3,))


def blurred() -> str:
    """How many of blurred faces are flagged, by the sharpness that is left."""
    splits = trial("blurred")["splits"]
    rows = []
    for place, row in enumerate(splits["val"]["rows"]):
        low, high = row["sharpness"]
        cells = [f"{low:.2f} to {high:.2f}" if high else f"{low:.2f} and more"]
        for split in splits.values():
            found = split["rows"][place]
            cells += [
                f"{found[f'{kind}flagged']} of {found[whole]}"
                for kind, whole in (("", "reals"), ("fakes_", "fakes"))
            ]
        rows.append(cells)
    columns = [f"{kind} flagged, {split}" for split in ("validation", "test")
               for kind in ("reals", "fakes")]  # fmt: skip
    return table(["sharpness", *columns], rows)


def close_look() -> str:
    """Large faces, with a look at their own resolution and without."""
    results = trial("close_look")["results"]
    rows = [
        [
            what,
            *(f"{found[source]['mean_auc']:.3f}, {found[source]['found']:.0%}"
              for source in ("london", "congress")),
            *(f"{share:.0%}" for share in found["ffhq_flagged"].values()),
        ]
        for what, found in results.items()
    ]  # fmt: skip
    flagged = [f"FFHQ {size}" for size in results["as it is"]["ffhq_flagged"]]
    return table(["", "London, AUC and found", "Congress, AUC and found", *flagged], rows)


def expert_sources() -> str:
    """How far the sources of reals are apart by the expert's logit, and by the default's."""
    rows = [
        [row["what"], *(f"{row['auc'][source]:.2f}" for source in ("congress", "ffhq", "london"))]
        for row in trial("expert_sources")["rows"]
    ]
    return table(["", "Congress", "FFHQ", "London"], rows)


def training_size() -> str:
    """The same of the head alone, by how many training pictures it had."""
    rows = [
        [
            str(row["reals"]),
            str(row["fakes_of_a_family"]),
            f"{row['left_out']['mean_auc']:.3f}",
            f"{row['left_out']['found']:.1%}",
            f"{row['trained_on']['mean_auc']:.3f}",
            f"{row['trained_on']['found']:.1%}",
        ]
        for row in trial("training_size")["rows"]
    ]
    return table(["reals", "fakes of each family", *HEAD_COLUMNS[:4]], rows)


def families_curve() -> str:
    """AUC of families that a head was not trained on, by how many others it was trained on."""
    rows = [
        [
            str(row["families"]),
            f"{row['mean_auc']:.3f}",
            *(f"{row['auc'][name]:.2f}" for name in ("face_swap", "part_swap", "diffusion")),
            f"{row['unseen']:.2f}",
        ]
        for row in trial("discriminant")["by_families"]["rows"]
    ]
    heads = ["`face_swap`", "`part_swap`", "`diffusion`", "StyleGAN"]
    return table(["trained on", "the others, mean AUC", *heads], rows)


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
    card = json.loads((ROOT / "src/unmask/weights/unmask-default.json").read_text("utf-8"))
    counts = {tuple(key.split("/")): n for key, n in card["training"]["items"].items()}
    splits = ("train", "val", "test")
    rows = [
        [source, label, *(str(counts.get((split, source, label), 0)) for split in splits)]
        for source, label in sorted({key[1:] for key in counts})
    ]
    return table(["source", "class", *splits], rows)
