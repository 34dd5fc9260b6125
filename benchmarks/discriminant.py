"""What the two numbers of a discriminant are worth, and how many families it takes.

    python benchmarks/discriminant.py forged/index.parquet --fakes stylegan=INDEX.csv \
        --backbone-weights lite0.safetensors --runs runs --out benchmarks/results/discriminant.json

On the validation split alone, without StyleGAN but where it is named:

- By how much changes count (`changes`): the head of `configs/default_probe.yaml` alone, and as half
  of a mean with the default's network. Families left out are scored by parts trained without a fold
  (`configs/left_out`), the others by parts trained on all. The networks are trained unless they are
  in `--runs`. "Found" is the share of fakes at the threshold that 2% of the reals reach under the
  worst change.
- By the number of families that the head is trained on: the mean AUC of the families it is not
  trained on, over random choices of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from default_model import LEFT_OUT, PROBE, SECOND, Parts
from expert_margin import said
from numpy.typing import NDArray
from record import Record, arguments

from unmask.apps.cli.indices import pairs
from unmask.data.crops import Crops, prepare_crops
from unmask.data.items import read_items_with
from unmask.data.scoring import DAILY, scoring_sets
from unmask.metrics.ranking import auc
from unmask.models.registry import model_spec
from unmask.models.statistics import StatisticsNet
from unmask.training.config import load_config
from unmask.training.discriminant import Measure, Moments, discriminant, movements
from unmask.training.network import as_stored, build, sized

CHANGES = (0.0, 0.01, 0.03, 0.05, 0.1, 0.3, 1.0)
COUNTS = (1, 2, 3, 5, 7, 10)
CHOICES = 3
"""Of families, for every count and every family that is not among them."""
TOO_EASY = "autoencoder_swap"
"""Not counted in the curve: everything finds it."""
AGREED = 0.02
UNSEEN = "stylegan"

Logits = dict[str, NDArray[np.float64]]


class Heads:
    """All that heads are computed from and scored on.

    Attributes:
        families: of the default's head.
        val: standardised statistics of the validation sets.
    """

    def __init__(self, parts: Parts, crops: Crops) -> None:
        config = load_config(PROBE).model_copy(update={"backbone_weights": parts.backbone_weights})
        self.spec = sized(model_spec(config.model), config).input
        model = build(sized(model_spec(config.model), config), config, pretrained=False)
        assert isinstance(model, StatisticsNet)
        assert config.optim.discriminant is not None
        self.ridge, self.weights = config.optim.discriminant.ridge, config.data.families
        self.families = list(config.data.families)
        as_stored(model.statistics)
        measure = Measure(model.eval(), self.spec, parts.runs / "cache")
        every = [*self.families, UNSEEN]
        sets = {
            split: scoring_sets(
                crops, self.spec, split, forged=False, controls=controls, families=every
            )
            for split, controls in (("train", {}), ("val", DAILY))
        }
        trained = {one.name: measure.raw(one) for one in sets["train"] if one.name != UNSEEN}
        measure.standardise_to(trained["real"])
        self.reals = Moments.of(measure.standard(trained["real"]))
        self.fakes = {name: Moments.of(measure.standard(trained[name])) for name in self.families}
        self.sets = [one for one in sets["val"] if not one.label or one.name in every]
        self.val = {one.name: measure.standard(measure.raw(one)) for one in self.sets}
        self.beside = np.array(self.sets[0].sources) == "ffhq"
        self.moved = movements(measure, crops, self.spec, print)

    def logits(self, families: Sequence[str], changes: float) -> Logits:
        """Of the validation sets, by a head that was trained on these families."""
        weight, bias = discriminant(
            [(self.weights[name], self.fakes[name], self.reals) for name in families],
            self.moved,
            ridge=self.ridge,
            changes=changes,
        )
        return {name: rows @ weight + bias for name, rows in self.val.items()}

    def auc(self, logits: Logits, family: str) -> float:
        reals = logits["real"][self.beside] if family == UNSEEN else logits["real"]
        labels = np.r_[np.zeros(len(reals)), np.ones(len(logits[family]))]
        return auc(labels, np.r_[reals, logits[family]])


def scaled(logits: Logits) -> Logits:
    """With mean 0 and deviation 1 over the reals."""
    mean, deviation = logits["real"].mean(), logits["real"].std()
    return {name: (values - mean) / deviation for name, values in logits.items()}


def half(one: Logits, other: Logits) -> Logits:
    one, other = scaled(one), scaled(other)
    return {name: (values + other[name]) / 2 for name, values in one.items() if name in other}


def found(logits: Logits, families: Sequence[str]) -> float:
    """Mean share of these families' fakes where no change flags more than 2% of the reals."""
    threshold = max(np.quantile(logits[name], 1 - AGREED) for name in ("real", *DAILY))
    return float(np.mean([(logits[name] >= threshold).mean() for name in families]))


def row(heads: Heads, inside: Logits, outside: Mapping[str, tuple[list[str], Logits]]) -> dict:
    left = {name: heads.auc(logits, name) for unseen, logits in outside.values() for name in unseen}
    shares = [found(logits, [name]) for unseen, logits in outside.values() for name in unseen]
    return {
        "left_out": {"mean_auc": float(np.mean(list(left.values()))),
                     "found": float(np.mean(shares)), "auc": left},
        "trained_on": {
            "mean_auc": float(np.mean([heads.auc(inside, name) for name in heads.families])),
            "found": found(inside, heads.families),
        },
        "stylegan_unseen": heads.auc(inside, UNSEEN),
        "change_auc": {
            name: auc(np.r_[np.zeros(len(inside["real"])), np.ones(len(inside[name]))],
                      np.r_[inside["real"], inside[name]])
            for name in DAILY
        },
    }  # fmt: skip


def by_changes(heads: Heads, parts: Parts) -> list[dict[str, Any]]:
    folds = {path.stem: path for path in sorted(LEFT_OUT.glob("*.yaml"))}
    unseen = {
        fold: [name for name in heads.families if name not in load_config(path).data.families]
        for fold, path in folds.items()
    }
    networks = {
        fold: {
            name: values for name, (values, _) in said(parts.trained(path), heads.sets)[1].items()
        }
        for fold, path in {**folds, "all": SECOND}.items()
    }
    rows = []
    for changes in CHANGES:
        alone = {
            fold: heads.logits(
                [n for n in heads.families if n not in unseen.get(fold, ())], changes
            )
            for fold in networks
        }
        mixed = {fold: half(networks[fold], alone[fold]) for fold in networks}
        rows += [
            {"changes": changes, "of": what,
             **row(heads, logits["all"], {f: (unseen[f], logits[f]) for f in folds})}
            for what, logits in (("head", alone), ("half network", mixed))
        ]  # fmt: skip
    of_network = {f: (unseen[f], networks[f]) for f in folds}
    return [{"changes": None, "of": "network", **row(heads, networks["all"], of_network)}, *rows]


def by_families(heads: Heads, changes: float) -> list[dict[str, Any]]:
    """The curve: what a head knows of a family by how many others it was trained on."""
    rng = np.random.default_rng(0)
    wanted = [name for name in heads.families if name != TOO_EASY]
    rows = []
    for count in COUNTS:
        values: dict[str, list[float]] = {name: [] for name in (*wanted, UNSEEN)}
        for name, seen in values.items():
            others = [one for one in heads.families if one != name]
            for _ in range(CHOICES if count < len(others) else 1):
                chosen = rng.choice(others, count, replace=False).tolist()
                seen.append(heads.auc(heads.logits(chosen, changes), name))
        means = {name: float(np.mean(seen)) for name, seen in values.items()}
        rows.append({"families": count, "unseen": means.pop(UNSEEN), "auc": means,
                     "mean_auc": float(np.mean(list(means.values())))})  # fmt: skip
    return rows


def main() -> None:
    parser = arguments(__doc__.split("\n")[0])
    parser.add_argument("index", type=Path)
    parser.add_argument("--fakes", action="append", default=[], metavar="GENERATOR=INDEX")
    parser.add_argument("--backbone-weights", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    args = parser.parse_args()
    record = Record(seed=0)
    fakes = {name: Path(path) for name, path in pairs("--fakes", args.fakes)}
    parts = Parts(args.index, fakes, args.backbone_weights, args.runs)
    crops = prepare_crops(read_items_with(args.index, fakes), args.runs / "cache")
    heads = Heads(parts, crops)
    settings = load_config(PROBE).optim.discriminant
    assert settings is not None
    record.write(
        args.out,
        {
            "split": "val",
            "found_at_most_of_reals": AGREED,
            "ridge": heads.ridge,
            "by_changes": by_changes(heads, parts),
            "by_families": {
                "changes": settings.changes,
                "choices": CHOICES,
                "rows": by_families(heads, settings.changes),
            },
        },
    )


if __name__ == "__main__":
    main()
