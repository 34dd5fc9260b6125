"""The tables of what was tried for the packaged model: experiments that are no benchmarks."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from comparison_tables import table
from default_tables import ROOT, results


def trial(name: str) -> dict[str, Any]:
    """What an experiment found that is no benchmark of its own."""
    found: dict[str, Any] = json.loads(
        (ROOT / f"benchmarks/experiments/{name}.json").read_text("utf-8")
    )
    return found


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


def against_rich() -> dict[str, tuple[bool, float, float]]:
    """Of every family whether both were trained without it, and the AUC of rich statistics and of
    AIRL-Lite0 from ImageNet weights."""
    found = trial("pretrained")
    research = results("research-nine/research")
    rich = next(row for row in research["candidates"] if row["name"] == "rich")
    known = {(row["family"], row["part"]): row["auc"] for row in rich["families"]}
    left = {family: family in found["left_out"] for family in sorted(found["auc"])}
    return {
        family: (unseen, known[family, "left_out" if unseen else "trained"], found["auc"][family])
        for family, unseen in left.items()
    }


def pretrained() -> str:
    """AIRL-Lite0 from ImageNet weights beside rich statistics, without the same families."""
    rows = [
        [f"`{family}`", "left out" if unseen else "trained on", f"{rich:.2f}", f"{lite:.2f}"]
        for family, (unseen, rich, lite) in against_rich().items()
    ]
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
        rows.append(
            [
                "; ".join(row["erased"]) or "as it was",
                *_known(row),
                f"{row['source_auc']['training']['london']:.2f}",
                f"{row['source_auc']['validation']['london']:.2f}",
                f"{row['change_auc']['quality-50']:.2f}",
            ]
        )
    controls = ["London against others, training reals", "validation reals", "quality 50, AUC"]
    return table(["taken out", *HEAD_COLUMNS[:4], *controls], rows)


def erase_experts() -> str:
    """What is left of the sources in an ensemble's logit, by what is made alike in them."""
    rows = []
    for row in trial("erase_experts")["rows"]:
        aucs = [row[split]["source_auc"] for split in ("val", "test")]
        rows.append([row["what"], *(f"{auc:.3f}" for part in aucs for auc in part.values())])
    sources = trial("erase_experts")["rows"][0]["val"]["source_auc"]
    columns = [f"{source}, {split}" for split in ("validation", "test") for source in sources]
    return table(["", *columns], rows)


HEAD_COLUMNS = (
    *("left out, AUC", "found", "trained on, AUC", "found", "StyleGAN unseen", "blurred reals"),
    "reals at quality 50",
)

CHANGED = {
    "network": {"against_as_they_are_auc": ".2f", "families_both_changed_mean_auc": ".3f"},
    "model": {"against_as_they_are_auc": ".2f", "flagged_reals": ".1%"},
}
"""What is shown of changed faces, and how."""


def _known(row: Any) -> list[str]:
    """Mean AUC and share found, of families left out and of those trained on."""
    return [
        _shown(row[part] and row[part][key], form)
        for part in ("left_out", "trained_on")
        for key, form in (("mean_auc", ".3f"), ("found", ".1%"))
    ]


def _shown(value: float | None, form: str) -> str:
    """A dash for what was not measured."""
    return "–" if value is None else format(value, form)


def _head_row(label: str, row: Any, blurred: float | None, quality_50: float | None) -> list[str]:
    """Validation results of a head in closed form, or of a mean with one."""
    return [
        label,
        *_known(row),
        *(_shown(value, ".2f") for value in (row["stylegan_unseen"], blurred, quality_50)),
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


def kinds() -> str:
    """The same, with one score and with one for each family; and as half of the mean."""
    columns = ["as half of the mean: trained on, AUC", "found"]
    rows = []
    for row in trial("kinds")["rows"]:
        half = row["half_network"]
        head = _head_row(row["what"], row, row["blurred_reals"], row["quality_50_reals"])
        rows.append([*head, f"{half['mean_auc']:.3f}", f"{half['found']:.1%}"])
    return table(["", *HEAD_COLUMNS, *columns], rows)


def patches() -> str:
    """The same, of what else a head with a score for each family may look at."""
    rows = [
        _head_row(row["what"], row, row["blurred_reals"], row["quality_50_reals"])
        for row in trial("patches")["rows"]
    ]
    return table(["", *HEAD_COLUMNS], rows)


def larger_network() -> str:
    """The same, by the frozen network."""
    return _what_it_looks_at("larger_network", "frozen_network", (0.3,))


def _by_change(
    rows: Sequence[Any],
    key: str,
    told: Callable[[Any], str],
    own: Callable[[Any], list[str]] = lambda row: [],
    columns: Sequence[str] = ("",),
    label: str = "{}",
) -> str:
    """A row for each trial: what it is, its own cells, and what is told of every change."""
    cells = [[row["what"], *own(row), *map(told, row[key].values())] for row in rows]
    return table([*columns, *(label.format(change) for change in rows[0][key])], cells)


def strong_blur() -> str:
    """A head in closed form, by the blur that counts as variance."""
    rows = trial("strong_blur")["rows"]
    columns = ["", *HEAD_COLUMNS[:4]]
    return _by_change(rows, "blurred_reals", "{:.2f}".format, _known, columns, "blurred {}")


def codecs() -> str:
    """A head in closed form, by the codecs that count as variance."""
    return _by_change(
        trial("codecs")["rows"],
        "changed_reals",
        "{:.2f}".format,
        lambda row: [*_known(row), f"{row['flagged']:.1%}"],
        ["", *HEAD_COLUMNS[:4], "flagged"],
    )


def coded() -> str:
    """Coded reals and fakes, before and after pairs were coded in training."""
    return _before_and_after("codecs", "coded")


def damaged() -> str:
    """Damaged reals and fakes, before and after pairs were damaged in training."""
    return _before_and_after("damage", "changed")


def _before_and_after(name: str, how: str) -> str:
    """What changes make of reals and fakes, to network and model, in a trial of training."""
    whole = trial(name)["before_and_after"]
    rows = []
    for place, row in enumerate(whole["network"]["before"]):
        cells = [row["change"]]
        for part, keys in CHANGED.items():
            then, now = (whole[part][when][place] for when in ("before", "after"))
            for key, form in keys.items():
                known = then.get(key) is not None
                cells.append(f"{then[key]:{form}} → {now[key]:{form}}" if known else "")
        rows.append(cells)
    reals, fakes = f"{how} reals", f"fakes, both {how}"
    return table(["", f"network: {reals}", fakes, f"model: {reals}", "flagged"], rows)


def under_changes() -> str:
    """The expert, by the changes that both classes are seen under: AUC and share found."""
    rows = trial("under_changes")["rows"]
    told = "{0[auc]:.3f}, {0[found]:.0%}".format
    return _by_change(rows, "both_changed", told, columns=["seen"])


def under_changes_probe() -> str:
    """The same of the head for the other families: mean AUC."""
    rows = trial("under_changes")["probe"]["rows"]
    told = "{0[trained_on_auc]:.3f} / {0[left_out_auc]:.3f}".format
    return _by_change(rows, "both_changed", told, columns=["seen"])


def more_changes() -> str:
    """A head in closed form, by further changes that count as variance."""
    rows = trial("more_changes")["rows"]

    def told(reals: Any) -> str:
        return "–" if reals is None else f"{reals['auc']:.2f}, {reals['above']:.0%}"

    return _by_change(rows, "changed_reals", told, _known, ["", *HEAD_COLUMNS[:4]])


def changed_reals() -> str:
    """How many reals are flagged after every perturbation, by its level."""
    rows: dict[str, list[str]] = {}
    for row in results("changed_reals")["results"]["splits"]["test"]["rows"]:
        cells = rows.setdefault(f"`{row['perturbation']}`", [])
        cells.append(f"{row['flagged']} of {row['fit']}" if row["fit"] else "none fit")
    width = len(next(iter(rows.values())))
    columns = [f"level {level + 1}" for level in range(width)]
    return table(["", *columns], [[name, *cells] for name, cells in rows.items()])


def blurred() -> str:
    """How many of blurred faces are flagged, by the sharpness that is left."""
    splits = results("blurred")["results"]["splits"]
    rows = []
    for place, row in enumerate(splits["val"]["rows"]):
        low, high = row["sharpness"]
        cells = [f"{low:.2f} to {high:.2f}" if high else f"{low:.2f} and more"]
        for split in splits.values():
            found = split["rows"][place]
            cells += [
                f"{found[kind]['flagged']} of {found[kind]['pictures']}"
                for kind in ("reals", "fakes")
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
            *_known(row),
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
