"""Are masks worth painting? The LAE with none, with few by each rule, and with all of them.

Stage 1 is trained once per seed and shared by all arms; each arm is a stage 2 from there, of the
same length. Masks come out of the mask store, as those that people paint would. Everything is
chosen on validation items of the trained manipulations; the tests are scored once.

    WORK/seed-N/stage-1, WORK/seed-N/ARM/{masks,stage-2}   may be deleted
    OUT/localization/ARM/seed-N.parquet   what each map is worth, picture by picture
    OUT/localization.json, OUT/decisions.json, OUT/samples/   beside the files of any comparison
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from unmask.apps.benchmark.lae_maps import (
    BEFORE,
    FIXED,
    MapJudge,
    maps_path,
    masks_of_tests,
    write_samples,
)
from unmask.apps.benchmark.lae_tables import best_balanced_threshold, write_lae_tables
from unmask.apps.benchmark.material import Material, gather
from unmask.apps.benchmark.plan import Arm, Plan, Table
from unmask.apps.benchmark.run import is_done, open_plan
from unmask.apps.benchmark.tabulate import tabulate
from unmask.data.protocols.resolve import Resolved
from unmask.errors import ConfigError
from unmask.evaluation.comparison.layout import CLEAN, UNSEEN
from unmask.evaluation.comparison.scores import (
    Facts,
    scores_path,
    write_facts,
    write_items,
    write_scores,
)
from unmask.evaluation.scoring import score
from unmask.evaluation.views import Batch, ViewStore
from unmask.metrics.calibration import threshold_at_fpr
from unmask.models.checkpoint import file_sha256
from unmask.models.lae import LAE
from unmask.training.active import Rule
from unmask.training.card import commit
from unmask.training.lae.config import KIND, LAETrainConfig, Selection
from unmask.training.lae.data import TRAIN, VAL, Corpus, StoredMasks, stored_masks
from unmask.training.lae.run import WEIGHTS, Done, Work, check_precision, load_lae

Say = Callable[[str], None]
FPR = 0.05
"""Share of the validation reals at or above a run's threshold, as in other comparisons."""
NONE = "none"

Ask = tuple[Rule, str] | None
"""Rule, and percent of the training fakes; None asks for no masks."""

ARMS: dict[str, Ask] = {
    NONE: None,
    "published-1": ("published", "1%"),
    "published-3": ("published", "3%"),
    "random-1": ("random", "1%"),
    "random-3": ("random", "3%"),
    "all": ("random", "100%"),
}
PAIRS = (("published-1", "random-1"), ("published-3", "random-3"))
"""Compared with each other, beside each with `none` and with stage 1."""


@dataclass(frozen=True)
class Experiment:
    """A comparison of arms, ready to be run.

    Attributes:
        config: of all arms; its selection is not looked at.
        corpus: what is trained on and chosen with. material: test items.
        tests, validation: views of the test items, and of all validation crops.
        judge: of the maps.
        out, work: folders.
        say: told of every run.
    """

    config: LAETrainConfig
    corpus: Corpus
    material: Material
    tests: ViewStore
    validation: ViewStore
    judge: MapJudge
    out: Path
    work: Path
    say: Say

    @classmethod
    def of(
        cls, config: LAETrainConfig, resolved: Resolved, out: Path, work: Path, say: Say
    ) -> Experiment:
        """Cut out faces, render the test items, and read masks; nothing is trained.

        Raises:
            ConfigError: the protocol has no test `unseen`.
            DatasetError: pictures or masks cannot be used.
        """
        material = gather(resolved, {}, {}, work / "cache", say)
        corpus = Corpus.of(resolved, work / "cache")
        spec = config.input()
        views = work / f"views-{material.sha256()[:12]}"
        every = np.arange(material.items.height)
        tests = ViewStore(views / "test", (Batch(CLEAN, every),), material.places)
        tests.make(material.test_crops(), [spec])
        places = [p for label in (0, 1) for p in corpus.places(VAL, label)]
        shown = Batch(CLEAN, np.arange(len(places)))
        validation = ViewStore(views / "val", (shown,), np.array(places))
        validation.make(lambda: corpus.crops, [spec])
        own = [corpus.own_mask_seen(place, spec) for place in places]
        found, lost = masks_of_tests(resolved, material, spec)
        if lost:
            say(f"masks of which nothing is left at {config.data.side} pixels: {lost}")
        judge = MapJudge(
            spec, tests, validation, own, found, np.asarray(material.items["label"].to_numpy() == 0)
        )
        return cls(config, corpus, material, tests, validation, judge, out, work, say)

    def plan(self, protocol: str, arms: dict[str, Ask], seeds: tuple[int, ...]) -> Plan:
        """As `unmask benchmark` writes it, so that its tables and page can be made."""
        config, counts = self.config, [len(self.corpus.places(TRAIN, c)) for c in (0, 1)]
        one, two = config.stage_one, config.stage_two
        view = "windows at native resolution" if config.data.window else "whole crops"
        table = Table(
            name=config.name,
            summary="LAE, its second stage with masks of few training fakes, all, or none",
            reference=NONE if NONE in arms else next(iter(arms)),
            budget=(
                f"{config.data.side} pixels, {view}; stage 1, shared by all arms of a seed: "
                f"{one.epochs} epochs; stage 2: {two.epochs}, chosen on validation; {counts[0]} "
                f"training reals and {counts[1]} fakes; budgets are percent of the training fakes, "
                "which is "
                f"{counts[1] / sum(counts):.0%} of that percentage of all training data"
            ),
            seeds=seeds,
            arms={name: Arm(model=KIND, summary=_about(ask)) for name, ask in arms.items()},
            sweep_each=0,
            embedded_each=0,
        )
        return Plan(
            protocol=protocol,
            table=table,
            families=self.material.families,
            items_sha256=self.material.sha256(),
            dropped=self.material.dropped,
        )

    def carry_out(self, arms: dict[str, Ask], seeds: tuple[int, ...]) -> None:
        """Every run that is not done yet, seed by seed.

        Raises:
            ConfigError: a run that is there was made with another configuration.
        """
        write_items(self.out, self.material.items)
        for seed in seeds:
            home = self.work / f"seed-{seed}"
            work = Work(self.config, self.corpus, seed)
            first = work.first(home / "stage-1")
            self.say(f"seed {seed}, stage 1: validation AUC {first.val_auc:.3f}")
            self.judge.write(self.out, BEFORE, seed, load_lae(home / "stage-1")[0])
            if not maps_path(self.out, FIXED, seed).is_file():
                self.judge.write_fixed(self.out, seed, self.mean_mask)
            for arm, ask in arms.items():
                if is_done(self.out, arm, seed, self._sha256(ask)):
                    continue
                scores_path(self.out, arm, seed).unlink(missing_ok=True)
                done, masks = self._second(work, home, arm, ask)
                self._score(arm, ask, seed, home / arm / "stage-2", first, done, masks)
                self.say(
                    f"seed {seed}, {arm}: {done.masks} masks, validation AUC {done.val_auc:.3f}"
                )

    @cached_property
    def mean_mask(self) -> NDArray[np.float32]:
        """(s, s) in [0, 1]: how often a training mask covers each pixel, as the network sees it."""
        spec = self.config.input()
        found = [self.corpus.own_mask_seen(p, spec) for p in self.corpus.places(TRAIN, 1)]
        return np.asarray(np.mean([m for m in found if m is not None], axis=0), np.float32)

    def _second(self, work: Work, home: Path, arm: str, ask: Ask) -> tuple[Done, StoredMasks]:
        first, folder = home / "stage-1", home / arm
        masks = StoredMasks()
        if ask is not None:
            selection = Selection(rule=ask[0], budget=ask[1])
            asking = replace(work, config=work.config.model_copy(update={"selection": selection}))
            asking.choose(first, folder / "masks")
            masks = stored_masks(folder / "masks", self.corpus, self.config.input())
        return work.second(folder / "stage-2", first, masks.masks, masks.left_out), masks

    def _sha256(self, ask: Ask) -> str:
        """Hash of what decides an arm."""
        plain = self.config.model_copy(update={"selection": Selection()})
        return hashlib.sha256(f"{plain.sha256()} {ask}".encode()).hexdigest()

    def _score(
        self, arm: str, ask: Ask, seed: int, folder: Path, first: Done, done: Done,
        masks: StoredMasks,
    ) -> None:  # fmt: skip
        """Thresholds on validation, the tests once, the maps; the facts last."""
        model, card = load_lae(folder)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = model.to(device)
        val = score(model, card.input, self.validation, self.validation.batches[0]).logits
        labels = self._validation_labels()
        logits = score(model, card.input, self.tests, self.tests.batches[0]).logits
        scores = pl.DataFrame(
            {
                "item": pl.Series(np.arange(len(logits)), dtype=pl.UInt32),
                "condition": [CLEAN] * len(logits),
                "logit": pl.Series(logits, dtype=pl.Float32),
            }
        )
        self.judge.write(self.out, arm, seed, model)
        write_scores(self.out, arm, seed, scores, self.material.items)
        pictures = sum(len(self.corpus.places(TRAIN, label)) for label in (0, 1))
        told = {
            "arm": arm,
            "seed": seed,
            "threshold": threshold_at_fpr(val[labels == 0], FPR),
            "threshold_validation": best_balanced_threshold(val, labels),
            "val_auc": done.val_auc,
            "best_epoch": done.best_epoch,
            "parameters": card.parameters,
            "seconds": done.seconds,
            "seconds_stage_1": first.seconds,
            "stage_1": first.model_dump(mode="json"),
            "rule": ask[0] if ask else None,
            "masks": masks.count,
            "masks_share_of_training": masks.count / pictures,
            "masks_left_out": masks.left_out,
            "validation_reals": int((labels == 0).sum()),
            "config_sha256": self._sha256(ask),
            "weights_sha256": file_sha256(folder / WEIGHTS),
            "device": device,
            "commit": commit(),
            "torch": torch.__version__,
        }
        write_facts(self.out, Facts.model_validate(told))

    def _validation_labels(self) -> NDArray[np.int64]:
        counts = [len(self.corpus.places(VAL, label)) for label in (0, 1)]
        return np.repeat([0, 1], counts)

    def finish(
        self, arms: dict[str, Ask], seeds: tuple[int, ...], show: tuple[str, ...] | None
    ) -> Path:
        """All tables, the samples of the first seed, and the page, whose path it returns.

        The samples are of the sources `show`; of any when None.
        """
        pairs = [pair for pair in PAIRS if set(pair) <= set(arms)]
        pairs += [(arm, control) for control in (BEFORE, FIXED) for arm in arms]
        pairs += [(arm, NONE) for arm in arms if arm != NONE and NONE in arms]
        write_lae_tables(self.out, tuple(arms), seeds, pairs)
        home = self.work / f"seed-{seeds[0]}"
        folders = {BEFORE: home / "stage-1", **{arm: home / arm / "stage-2" for arm in arms}}
        models: dict[str, LAE] = {name: load_lae(folder)[0] for name, folder in folders.items()}
        items = self.material.items
        unseen = items["sets"].list.contains(UNSEEN).to_numpy()
        shown = np.full(items.height, True)
        if show is not None:
            shown = items["source"].is_in(show).to_numpy()
        write_samples(self.out / "samples", models, self.judge, unseen, shown)
        return tabulate(self.out)


def _about(ask: Ask) -> str:
    if ask is None:
        return "stage 2 without masks"
    return f"masks of {ask[1]} of the training fakes, by the rule {ask[0]}"


def run_lae(
    config: LAETrainConfig,
    resolved: Resolved,
    *,
    out: Path,
    work: Path,
    say: Say,
    arms: tuple[str, ...] = tuple(ARMS),
    seeds: tuple[int, ...] = (),
    resume: bool = False,
    show: tuple[str, ...] | None = None,
) -> Path:
    """The whole comparison; what is done already in `out` and `work` is not done again.

    Args:
        config: of all arms.
        resolved: its sets, with tests `seen` and `unseen`.
        out, work: see the module.
        say: told what goes on.
        arms: of `ARMS`. seeds: instead of the configuration's.
        resume: go on with what `out` holds; its plan may grow.
        show: sources of the pictures that the samples may be of, as not every data set may be
            passed on; any when None.

    Returns:
        Path of the page.

    Raises:
        ConfigError: an unknown arm, `out` holds something else, or a precision that this machine
            does not have.
        DatasetError: the indices cannot be used.
    """
    unknown = sorted(set(arms) - set(ARMS))
    if unknown or not arms:
        raise ConfigError(
            f"There is no arm {', '.join(unknown)}.", f"There are: {', '.join(ARMS)}."
        )
    check_precision(config)
    chosen = {name: ask for name, ask in ARMS.items() if name in arms}
    taken = seeds or config.seeds
    experiment = Experiment.of(config, resolved, out, work, say)
    open_plan(out, experiment.plan(resolved.protocol.name, chosen, taken), resume)
    experiment.carry_out(chosen, taken)
    return experiment.finish(chosen, taken, show)
