"""Write the measured numbers into README and docs, from the committed benchmark results.

    python tools/render_numbers.py [--check]

Each block between `<!-- NAME: made by ... -->` and `<!-- end NAME -->` is replaced by the table
that the function NAME makes from `benchmarks/results`, or from the package itself. `--check`
changes nothing and exits with 1 when a file is out of date, so that no number can be typed by hand.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import comparison_tables
import default_tables
import lae_results
import summary_tables
import trial_tables
from comparison_tables import table
from default_tables import results

from unmask.data.readers import READERS
from unmask.synthesis.families import SPECS
from unmask.transforms.levels import PERTURBATIONS

ROOT = Path(__file__).resolve().parent.parent
FILES = (
    "README.md",
    "docs/ablations.md",
    "docs/benchmark.md",
    "docs/data.md",
    "docs/generalisation.md",
    "docs/generalisation-trials.md",
    "docs/lae.md",
    "docs/model-card.md",
    "docs/performance.md",
    "docs/service.md",
)
COMPARISONS = {"comparison": "synthetic-unseen", "ablations": "ablations", "masks": "masks"}
"""Beginning of the blocks' names -> folder of results."""
TABLES = {
    "": comparison_tables.table_one,
    "_tests": comparison_tables.tests,
    "_by_test": comparison_tables.by_test,
    "_robustness": comparison_tables.robustness,
}
"""How the names go on -> what makes the block of such a folder."""
AUDITED = ("blur", "highpass", "bytes_per_pixel", "grid_strength", "luma", "saturation")
BLOCK = re.compile(r"(<!-- (\w+): made by [^>]*-->\n).*?(<!-- end \2 -->)", re.DOTALL)


def speed() -> str:
    """What the timing benchmarks measured, one line each, with its command."""
    lines = [
        *pipeline_lines(),
        *realtime_lines(),
        *dct_lines(),
        help_line(),
        bulk_line(),
        *training_lines(),
    ]
    return "".join(f"- {line}\n" for line in lines)


def pipeline_lines() -> list[str]:
    measured = results("pipeline")
    named = {"stills": "Scanning stills", "clips": "Scanning clips"}
    return [
        f"{words} runs at {spread(measured['results'][key]['throughput_ratio_to_bare'])} of the "
        f"rate of the bare face detector and forward pass of the same network "
        f"({measured['results']['model']}). `{measured['command']}`"
        for key, words in named.items()
        if key in measured["results"]
    ]


def realtime_lines() -> list[str]:
    measured = results("realtime")
    found, threads = measured["results"], measured["threads"]["torch"]
    clip, other = found["clip"], found["bfloat16"]
    frames = clip["frames_looked_at"] / clip["seconds"]

    def both(what: str) -> str:
        with_openvino, with_torch = (spread(found[d][what], 1) for d in ("openvino", "cpu"))
        return f"{with_openvino} with `--device openvino`, {with_torch} with `--device cpu`"

    return [
        f"On {threads} cores a scan of {found['pictures']} stills takes in so many faces per "
        f"second: {both('faces_per_second')}. One of a {clip['size'][1]}p clip, {frames:g} frames "
        f"of each second, runs at so many times real time: {both('times_real_time')} "
        f"({found['model']}). The scores differ by {found['score_difference']['most']:.1g} at "
        f"most. `{measured['command']}`",
        f"In bfloat16, {other['pictures']} of the stills take {other['time_ratio']:.1f} times as "
        f"long there, and scores differ by {other['score_difference']['most']:.4f} at most.",
    ]


def dct_lines() -> list[str]:
    measured = results("dct_cost")
    return [
        f"The block DCT takes {spread(size['dct_share_of_forward'], 4)} of the time of the AIRL-B4 "
        f"forward pass ({name} pixels). `{measured['command']}`"
        for name, size in measured["results"]["sizes"].items()
    ]


def help_line() -> str:
    measured = results("help_latency")
    seconds = measured["results"]["seconds"]
    return (
        f"`unmask --help` takes {spread(seconds['unmask --help'])} s, Python alone "
        f"{spread(seconds['python -c pass'])} s. `{measured['command']}`"
    )


def bulk_line() -> str:
    measured = results("bulk")
    found = measured["results"]
    peak = found["to_the_end"]["memory_mib"]["peak_tree"]
    exact = "exactly one result each" if found["goal_met"] else "NOT exactly one result each"
    return (
        f"{found['inputs']['stills']} stills and a 1080p clip of {found['inputs']['clip_frames']} "
        f"frames, also when interrupted and resumed: {exact}; peak memory of all processes "
        f"{peak:.0f} MiB. `{measured['command']}`"
    )


def training_lines() -> list[str]:
    loader, scale = results("loader"), results("training_scale")
    found, apart = loader["results"], scale["results"]
    several = apart["several_against_one"]["largest_relative_difference"]["train/loss"]
    resumed = apart["resumed_against_one"]["largest_weight_difference"]
    return [
        f"Loading takes {100 * found['share_of_loading']:.1f}% of the processor time of a training "
        f"step ({found['model']}, {found['side']} px, batches of {found['batch']}). "
        f"`{loader['command']}`",
        f"The loss of two processes differs from that of one by {several:.1e} at most, relative; "
        f"weights after a kill and `--resume` by {resumed:g}. `{scale['command']}`",
    ]


def readers() -> str:
    """The data sets that can be read."""
    rows = [[f"`{name}`", entry.title, entry.licence] for name, entry in READERS.items()]
    return table(["name", "data set", "terms"], rows)


def families() -> str:
    """The families of forgeries, and how fast each is made."""
    rates = results("synthesis")["results"]["families"]
    rows = [
        [
            f"`{name}`",
            spec.summary,
            ", ".join(f"`{kind}`" for kind in spec.kinds),
            spec.source,
            f"{rates[name]['images_per_second']['median']:.0f}",
        ]
        for name, spec in SPECS.items()
    ]
    return table(["family", "what is done", "kinds", "source", "images/s per core"], rows)


def audit() -> str:
    """The worst container cue and the content cues of every family, by chain."""
    lines = []
    for chain, found in results("audit")["results"]["chains"].items():
        rows = []
        for family, worst in found["container_worst_per_family"].items():
            content = found["content_per_family"][family]
            rows.append(
                [
                    f"`{family}`",
                    f"{worst['cue']}, {worst['separation']:.3f} from 0.5",
                    *(f"{content[cue]['auc']['value']:.2f}" for cue in AUDITED),
                ]
            )
        everything = found["container_all_fakes"].values()
        farthest = max(everything, key=lambda cue: cue["separation"] or 0)
        lines.append(
            f"{chain}: {found['reals']} reals, {found['fakes']} fakes; over all fakes the farthest "
            f"container cue is {farthest['cue']}, {farthest['separation']:.3f} from 0.5 (bound "
            f"{found['bound']}), {len(found['leaks'])} leaks.\n\n"
        )
        head = ["family", "worst container cue", *(f"AUC of {cue}" for cue in AUDITED)]
        lines.append(table(head, rows) + "\n")
    return "".join(lines)


def perturbations() -> str:
    """The parameters of the five levels."""
    rows = [
        [f"`{name}`", *(" / ".join(f"{v:g}" for v in one.values()) for one in entry.levels), unit]
        for name, entry in PERTURBATIONS.items()
        for unit in [f"{', '.join(entry.levels[0])} ({entry.unit})"]
    ]
    return table(["", *(str(level) for level in range(1, 6)), "parameters"], rows)


def masks_gate() -> str:
    return comparison_tables.tests_of(results("masks_gate"))


def lae_perceptual() -> str:
    kinds = {"none": "none", "VGG16 with random weights": "random"}
    return lae_results.perceptual({text: f"lae-perceptual-{k}" for text, k in kinds.items()})


def service_kills() -> str:
    found = results("service_kills")["results"]
    uploads, killed = found["uploads"], found["processes_killed"]
    twice = sum(n for attempts, n in found["attempts"].items() if int(attempts) > 1)
    rows = [
        ["kills", f"{found['kills_by_target']['worker']} of a worker, "
                  f"{found['kills_by_target']['service']} of the service, "
                  f"{found['kills_by_target']['both']} of both"],
        ["processes killed", str(sum(killed.values()))],
        ["uploads accepted", str(uploads["accepted"])],
        ["of them done", str(found["states"].get("done", 0))],
        ["of them ended in a stated failure", str(sum(found["failures"].values()))],
        ["taken up again after a kill", str(twice)],
        ["lost, doubled or changed afterwards",
         str(sum(len(found["faults"][n]) for n in ("lost", "doubled", "changed")))],
    ]  # fmt: skip
    return table(["", ""], rows)


def service_load() -> str:
    found = results("service_load")["results"]
    pace, memory = found["throughput"], found["memory"]
    scans = [pace["against_scan_before"], pace["against_scan_after"]]
    files = found["inputs"]["files"]
    rows = [
        ["uploads lost / doubled", f"{files - found['results']} / "
                                   f"{sum(found['states'].values()) - found['results']}"],
        ["files per second, service", f"{pace['service_files_per_s']:.1f}"],
        ["files per second, `unmask scan` before and after",
         " and ".join(f"{one['scan_files_per_s']:.1f}" for one in scans)],
        ["of the scan's pace", " and ".join(f"{one['ratio']:.2f}" for one in scans)],
        ["of its pace without its start",
         " and ".join(f"{one['ratio_without_start']:.2f}" for one in scans)],
        ["95th percentile of other endpoints", f"{found['endpoints_ms']['all']['p95']:.0f} ms, "
         f"at most {max(one['p95'] for one in found['endpoints_ms'].values()):.0f} ms of any"],
        ["peak memory, first / second half", f"{memory['peak_mib_first_half']['all']:.0f} / "
                                             f"{memory['peak_mib_second_half']['all']:.0f} MiB"],
    ]  # fmt: skip
    head = f"{files} uploads of {found['inputs']['clients']} clients"
    return table([head, ""], rows)


def service_fuzz() -> str:
    found = results("service_fuzz")["results"]
    statuses: Counter[str] = Counter()
    for answers in found["answers"].values():
        statuses.update(answers)
    failures = sum(statuses[s] for s in statuses if s.startswith("5"))
    return (
        f"{found['cases']} generated requests to {len(found['answers'])} endpoints: {failures} "
        f"answers of 5xx, {len(found['failures'])} that the description does not allow.\n"
    )


def spread(values: dict[str, float], digits: int = 3) -> str:
    """Median and range of repeated measurements."""
    middle, low, high = (f"{values[k]:.{digits}f}" for k in ("median", "min", "max"))
    return f"{middle} ({low} to {high})"


MAKERS: dict[str, Callable[[], str]] = {
    maker.__name__: maker
    for maker in (
        default_tables.ranking,
        default_tables.ranking_validation,
        default_tables.false_alarms,
        default_tables.false_alarms_validation,
        default_tables.worst_by_source,
        default_tables.by_group,
        default_tables.verdicts,
        default_tables.source_control,
        default_tables.change_control,
        default_tables.longer,
        trial_tables.second_run,
        trial_tables.shares,
        trial_tables.network_without_stylegan,
        default_tables.expert_margin,
        default_tables.other_sources,
        default_tables.expert_alone,
        trial_tables.pretrained,
        trial_tables.erase_sources,
        trial_tables.erase_changes,
        trial_tables.erase_experts,
        trial_tables.discriminant,
        trial_tables.families_curve,
        trial_tables.cells,
        trial_tables.kinds,
        trial_tables.patches,
        summary_tables.helped,
        summary_tables.did_not_help,
        trial_tables.larger_network,
        trial_tables.close_look,
        trial_tables.strong_blur,
        trial_tables.codecs,
        trial_tables.coded,
        trial_tables.damaged,
        trial_tables.under_changes,
        trial_tables.under_changes_probe,
        trial_tables.changed_reals,
        trial_tables.more_changes,
        trial_tables.blurred,
        trial_tables.training_size,
        trial_tables.expert_sources,
        default_tables.candidates,
        default_tables.unfamiliar,
        default_tables.items,
        speed,
        readers,
        families,
        audit,
        perturbations,
        masks_gate,
        lae_perceptual,
        service_kills,
        service_fuzz,
        service_load,
    )
}
MAKERS |= {
    f"{start}{end}": partial(maker, folder)
    for start, folder in COMPARISONS.items()
    for end, maker in TABLES.items()
}
MAKERS |= {
    f"permissive_{maker.__name__}": partial(maker, of=default_tables.PERMISSIVE)
    for maker in (default_tables.ranking, default_tables.worst_by_source)
}
MAKERS |= {
    f"lae_{task}_{maker.__name__}": partial(maker, f"lae-{task}")
    for task in ("swap", "inpainting")
    for maker in (lae_results.decisions, lae_results.maps, lae_results.differences)
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
